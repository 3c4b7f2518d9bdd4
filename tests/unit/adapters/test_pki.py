from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.adapters.pki import OPERATOR, PRINCIPAL_RULE, Authority, CertificateNameInvalid
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
    for name, site in (("JCF", None), ("JCF-X", None), ("ATF", "tracing-1"), (OPERATOR, None), (OPERATOR, "node-1")):
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
    with pytest.raises(TlsFileInvalid, match="not an unencrypted private key"):
        files.check()
