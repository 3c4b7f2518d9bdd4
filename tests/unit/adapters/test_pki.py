from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.adapters.pki import (
    CONSOLE,
    OPERATOR,
    PRINCIPAL_RULE,
    Authority,
    CertificateNameInvalid,
    RequestInvalid,
    make_authority_request,
    make_request,
    read_request,
)
from hub.adapters.tls import TlsFileInvalid, TlsFiles, certificate_expiry_ms, client_context, load_certificate
from hub.errors import ConfigError
from hub.model import NameInvalid, parse_agency_id

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca")


def principal(certificate: x509.Certificate) -> str | None:
    """What the broker makes of a subject (Kafka's rule, with Java's regular expression in Python's form)."""
    match = re.fullmatch(r"RULE:(\^.*\$)/\$1/", PRINCIPAL_RULE)
    assert match
    found = re.fullmatch(match[1], certificate.subject.rfc4514_string())
    return found[1] if found else None


def test_an_agency_maps_to_its_code_and_so_do_its_sites(authority: Authority, tmp_path: Path) -> None:
    for name, site in (
        ("JCF", None),
        ("JCF-X", None),
        ("ATF", "tracing-1"),
        (OPERATOR, None),
        (OPERATOR, "node-1"),
        (CONSOLE, None),
    ):
        files = authority.issue_client(name, tmp_path / "client", site=site)
        assert principal(load_certificate(files.certificate)) == name


def test_organisation_and_name_must_agree() -> None:
    rule = PRINCIPAL_RULE.removeprefix("RULE:").removesuffix("/$1/")
    assert re.fullmatch(rule, "CN=ATF,O=ATF")
    for subject in (
        "CN=ATF,O=JCF",
        "CN=ATF",
        "O=ATF",
        "O=ATF,CN=ATF",
        "CN=ATF,O=ATF,C=US",
        "CN=ATF+O=ATF",
        "CN=ATF.Kingston,O=ATF",
        "CN=ATF.,O=ATF",
        "CN=ATF.a.b,O=ATF",
        r"CN=ATF\,O=ATF,O=JCF",
        "CN=operator2,O=operator",
        "CN=Operator,O=Operator",
        "CN=JCF,O=JCF-X",
        "CN=JCF-X,O=JCF",
    ):
        assert not re.fullmatch(rule, subject), subject


def test_no_agency_can_have_the_operators_name() -> None:
    with pytest.raises(NameInvalid):
        parse_agency_id(OPERATOR)


@pytest.mark.parametrize("name", ["atf", "", "ATF.X", "ATF,O=JCF", "Operator"])
def test_no_certificate_for_a_name_that_is_no_agency(authority: Authority, tmp_path: Path, name: str) -> None:
    with pytest.raises(CertificateNameInvalid):
        authority.issue_client(name, tmp_path / "client")


@pytest.mark.parametrize("site", ["", "Kingston", "a.b", "a,O=x", "x" * 33])
def test_no_certificate_for_a_site_of_another_form(authority: Authority, tmp_path: Path, site: str) -> None:
    with pytest.raises(CertificateNameInvalid):
        authority.issue_client("ATF", tmp_path / "client", site=site)


def test_a_client_is_no_server_and_a_node_is_both(authority: Authority, tmp_path: Path) -> None:
    client = load_certificate(authority.issue_client("ATF", tmp_path / "client").certificate)
    node = load_certificate(authority.issue_node("node-1", tmp_path / "node", hosts=["127.0.0.1", "b1"]).certificate)
    usages = [set(c.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for c in (client, node)]
    assert usages == [
        {ExtendedKeyUsageOID.CLIENT_AUTH},
        {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH},
    ]
    names = node.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["b1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    for certificate in (client, node):
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_node_without_names_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(CertificateNameInvalid):
        authority.issue_node("node-1", tmp_path / "node", hosts=[])


def test_expiry_can_be_read(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue_client("ATF", tmp_path, now=NOW, lifetime=timedelta(days=2))
    assert certificate_expiry_ms(files.certificate) == int((NOW + timedelta(days=2)).timestamp() * 1000)


def test_private_keys_are_for_their_owner_alone(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue_client("ATF", tmp_path / "client")
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert (authority.folder / "ca.key").stat().st_mode & 0o777 == 0o600


def test_an_authority_is_not_overwritten_but_loaded(authority: Authority) -> None:
    with pytest.raises(ConfigError):
        Authority.create(authority.folder)
    assert Authority.load_or_create(authority.folder).certificate == authority.certificate


def test_a_certificate_is_replaced_by_a_new_one(authority: Authority, tmp_path: Path) -> None:
    first = authority.issue_client("ATF", tmp_path).certificate.read_bytes()
    files = authority.issue_client("ATF", tmp_path)
    assert files.certificate.read_bytes() != first
    files.check()


# --- the files --------------------------------------------------------------------------------------------------------


def test_a_context_checks_the_server_and_speaks_only_tls_1_3(authority: Authority, tmp_path: Path) -> None:
    context = client_context(authority.issue_client("ATF", tmp_path))
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_files_that_do_not_fit_or_are_not_there_are_told_apart(authority: Authority, tmp_path: Path) -> None:
    good = authority.issue_client("ATF", tmp_path / "a")
    other = authority.issue_client("JCF", tmp_path / "b")
    for files, words in (
        (TlsFiles(tmp_path / "no.pem", good.certificate, good.key), "cannot be read"),
        (TlsFiles(good.ca, good.certificate, other.key), "not the certificate's"),
        (TlsFiles(good.ca, good.key, good.key), "not a certificate"),
        (TlsFiles(good.ca, good.certificate, good.certificate), "others can read"),
    ):
        with pytest.raises(TlsFileInvalid, match=words):
            files.check()


def test_a_private_key_that_others_can_read_is_refused(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue_client("ATF", tmp_path)
    files.key.chmod(0o640)
    with pytest.raises(TlsFileInvalid, match="chmod 600"):
        client_context(files)


def test_a_file_that_is_no_key(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue_client("ATF", tmp_path)
    files.key.write_text("nonsense")
    with pytest.raises(TlsFileInvalid, match="not a private key in PEM"):
        files.check()


# --- requests ---------------------------------------------------------------------------------------------------------

JCF_NAMES = x509.Name(
    [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "JCF"), x509.NameAttribute(NameOID.COMMON_NAME, "JCF")]
)


def request(key: object = None, *, digest: object = hashes.SHA256(), subject: x509.Name = JCF_NAMES) -> bytes:
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("broker")]), critical=False)
    )
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), digest)  # type: ignore[arg-type]
    return signed.public_bytes(Encoding.PEM)


def test_the_subject_is_what_the_caller_says_whatever_the_request_asks_for(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = x509.load_pem_x509_certificate(authority.sign_request(request(key), "ATF", site="desk-1", now=NOW))
    assert certificate.subject.rfc4514_string() == "CN=ATF.desk-1,O=ATF"
    assert principal(certificate) == "ATF"
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=397)
    certificate.verify_directly_issued_by(authority.certificate)


def test_our_own_request_can_be_signed_and_is_not_made_twice(authority: Authority, tmp_path: Path) -> None:
    file = make_request(tmp_path / "site")
    (tmp_path / "site" / "tls.pem").write_bytes(authority.sign_request(file.read_bytes(), "ATF"))
    TlsFiles(authority.ca, tmp_path / "site" / "tls.pem", tmp_path / "site" / "tls.key").check()
    assert (tmp_path / "site" / "tls.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        make_request(tmp_path / "site")


def test_an_rsa_key_of_3072_bits_is_taken(authority: Authority) -> None:
    assert authority.sign_request(request(rsa.generate_private_key(65537, 3072)), "ATF")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "3072 to 4096"),
        (lambda: rsa.generate_private_key(3, 3072), "exponent"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "P-256 or P-384"),
        (lambda: ec.generate_private_key(ec.SECP192R1()), "P-256 or P-384"),
        (lambda: dsa.generate_private_key(2048), "neither elliptic nor RSA"),
    ],
    ids=["short RSA", "small exponent", "another curve", "short curve", "DSA"],
)
def test_a_weak_key_gets_no_certificate(authority: Authority, key: object, words: str) -> None:
    with pytest.raises(RequestInvalid, match=words):
        authority.sign_request(request(key()), "ATF")  # type: ignore[operator]


def test_a_key_of_a_kind_that_is_not_taken(authority: Authority) -> None:
    with pytest.raises(RequestInvalid, match="neither elliptic nor RSA"):
        authority.sign_request(request(ed25519.Ed25519PrivateKey.generate(), digest=None), "ATF")


def test_who_does_not_hold_the_key_gets_no_certificate(authority: Authority) -> None:
    der = bytearray(x509.load_pem_x509_csr(request()).public_bytes(Encoding.DER))
    at = der.index(b"JCF")
    der[at : at + 3] = b"ATF"  # what is signed is another now
    with pytest.raises(RequestInvalid, match="not signed by the key"):
        authority.sign_request(x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM), "ATF")


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", b"x" * 20_000])
def test_what_is_no_request(raw: bytes) -> None:
    with pytest.raises(RequestInvalid):
        read_request(raw)


@pytest.mark.parametrize("name", ["atf", "ATF,O=JCF", "Operator", ""])
def test_no_request_is_signed_for_a_name_that_is_no_agency(authority: Authority, name: str) -> None:
    with pytest.raises(CertificateNameInvalid):
        authority.sign_request(request(), name)


# --- an agency's own authority ----------------------------------------------------------------------------------------


def own_authority(authority: Authority, folder: Path, agency: str) -> Authority:
    """An agency's CA in ``folder``, certified by ``authority``."""
    wanted = make_authority_request(folder).read_bytes()
    (folder / "ca.pem").write_bytes(authority.certify_authority(wanted, agency, hosts=["hub.example"]))
    (folder / "root.pem").write_bytes(authority.ca.read_bytes())
    return Authority.load(folder)


def test_an_agencys_authority_is_held_to_its_organisation_and_makes_no_servers(
    authority: Authority, tmp_path: Path
) -> None:
    certificate = own_authority(authority, tmp_path, "ATF").certificate
    assert certificate.subject.rfc4514_string() == "CN=ATF CA,O=ATF"
    assert principal(certificate) is None  # it is nobody's client certificate
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ATF")]))
    ]
    assert x509.DNSName("hub.example") in (constraints.value.excluded_subtrees or [])
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert certificate.not_valid_after_utc <= authority.certificate.not_valid_after_utc


@pytest.mark.parametrize("name", [OPERATOR, "atf", "ATF,O=operator"])
def test_the_operators_name_gets_no_authority(authority: Authority, name: str) -> None:
    with pytest.raises(CertificateNameInvalid):
        authority.certify_authority(request(), name, hosts=[])


def test_what_an_agencys_authority_issues_brings_its_chain(authority: Authority, tmp_path: Path) -> None:
    own = own_authority(authority, tmp_path / "atf-ca", "ATF")
    files = own.issue_client("ATF", tmp_path / "client", site="desk-1")
    files.check()
    assert files.ca.read_bytes() == authority.ca.read_bytes()
    leaf, issuer = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(authority.certificate)


@pytest.mark.parametrize("name", ["JCF", OPERATOR])
def test_an_agencys_authority_is_not_asked_for_another_name(authority: Authority, tmp_path: Path, name: str) -> None:
    """The node would refuse it anyway."""
    own = own_authority(authority, tmp_path / "atf-ca", "ATF")
    with pytest.raises(CertificateNameInvalid, match="that agency alone"):
        own.issue_client(name, tmp_path / "client")
    with pytest.raises(CertificateNameInvalid, match="that agency alone"):
        own.sign_request(request(), name)
