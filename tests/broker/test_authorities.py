"""Several certificate authorities: an agency's own is held to its agency by the node, and to no host by our clients."""

from __future__ import annotations

import asyncio
import os
import ssl
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.adapters.broker_process import TEST_JVM, BrokerProcess, TruststoreInvalid
from hub.adapters.kafka import KafkaProducer
from hub.adapters.pki import Authority, make_authority_request
from hub.adapters.tls import TlsFiles, client_context
from hub.errors import BusNotAuthorized
from hub.ports import OutgoingRecord
from tests.support.broker import DEPLOY, JARS, Broker, is_answered

pytestmark = pytest.mark.broker

ORGANISATION, NAME = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME
Attributes = list[tuple[x509.ObjectIdentifier, str]]
Key = ec.EllipticCurvePrivateKey


@pytest.fixture(params=["client", "controller"])
def port(request: pytest.FixtureRequest, broker: Broker) -> int:
    return broker.process.client_port if request.param == "client" else broker.process.controller_port


@pytest.fixture
def of_atf(broker: Broker, tmp_path: Path) -> Authority:
    """ATF's own authority, certified by the operator's: the operator never sees its key."""
    folder = tmp_path / "atf-ca"
    request = make_authority_request(folder).read_bytes()
    (folder / "ca.pem").write_bytes(broker.authority.certify_authority(request, "ATF", hosts=["hub.example"]))
    (folder / "root.pem").write_bytes(broker.authority.ca.read_bytes())
    return Authority.load(folder)


def name(*parts: Attributes) -> x509.Name:
    """A subject of relative names, each with one attribute or, beside our own practice, several."""
    return x509.Name([x509.RelativeDistinguishedName([x509.NameAttribute(*each) for each in part]) for part in parts])


def made_up(
    signer: Key,
    issuer: x509.Name,
    subject: x509.Name,
    key: Key,
    add: Callable[[x509.CertificateBuilder], x509.CertificateBuilder] = lambda builder: builder,
) -> bytes:
    """A certificate as no code of ours would issue it: whoever holds a CA's key can."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )
    return add(builder).sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def files_of(folder: Path, ca: Path, chain: bytes, key: Key) -> TlsFiles:
    folder.mkdir(exist_ok=True)
    files = TlsFiles(ca, folder / "tls.pem", folder / "tls.key")
    files.certificate.write_bytes(chain)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.key.chmod(0o600)
    return files


def issued(authority: Authority, folder: Path, subject: x509.Name) -> TlsFiles:
    key = ec.generate_private_key(ec.SECP256R1())
    chain = made_up(authority.key, authority.certificate.subject, subject, key) + authority.chain
    return files_of(folder, authority.ca, chain, key)


# --- an agency's own authority ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", [None, "desk-1"])
async def test_it_works_for_its_own_agency(of_atf: Authority, port: int, tmp_path: Path, site: str | None) -> None:
    files = of_atf.issue_client("ATF", tmp_path / "client", site=site)
    assert await is_answered(port, client_context(files))


async def test_its_clients_have_their_agencys_rights_and_no_others(
    of_atf: Authority, broker: Broker, tmp_path: Path
) -> None:
    files = of_atf.issue_client("ATF", tmp_path / "client")
    producer = KafkaProducer(broker.bootstrap, files, metadata_seconds=2.0)
    await producer.start()
    try:
        await producer.send([OutgoingRecord("ingest.ATF", b"k", b"no bundle")])
        with pytest.raises(BusNotAuthorized):
            await producer.send([OutgoingRecord("ingest.JCF", b"k", b"no bundle")])
    finally:
        await producer.stop()


IMPERSONATIONS = {
    "another agency": name([(ORGANISATION, "JCF")], [(NAME, "JCF")]),
    "another agency's site": name([(ORGANISATION, "JCF")], [(NAME, "JCF.desk-1")]),
    "one that begins like it": name([(ORGANISATION, "ATF-X")], [(NAME, "ATF-X")]),
    "the operator": name([(ORGANISATION, "operator")], [(NAME, "operator")]),
    "the hub": name([(ORGANISATION, "HUB")], [(NAME, "HUB")]),
    "the console": name([(ORGANISATION, "console")], [(NAME, "console")]),
    "another below its own": name([(ORGANISATION, "ATF")], [(ORGANISATION, "JCF")], [(NAME, "JCF")]),
    "another beside its own": name([(ORGANISATION, "ATF"), (ORGANISATION, "JCF")], [(NAME, "JCF")]),
    "another before its own": name([(ORGANISATION, "JCF")], [(ORGANISATION, "ATF")], [(NAME, "JCF")]),
    "another's name": name([(ORGANISATION, "ATF")], [(NAME, "JCF")]),
    "another's name in commas": name([(ORGANISATION, "ATF")], [(NAME, "JCF,O=JCF")]),
    "no organisation": name([(NAME, "JCF")]),
    "nobody": x509.Name([]),
}


@pytest.mark.parametrize("who", IMPERSONATIONS)
async def test_it_cannot_name_anyone_else(of_atf: Authority, port: int, tmp_path: Path, who: str) -> None:
    files = issued(of_atf, tmp_path / "client", IMPERSONATIONS[who])
    assert not await is_answered(port, client_context(files))


async def test_what_is_made_the_same_way_for_itself_is_answered(of_atf: Authority, port: int, tmp_path: Path) -> None:
    files = issued(of_atf, tmp_path / "client", name([(ORGANISATION, "ATF")], [(NAME, "ATF")]))
    assert await is_answered(port, client_context(files))


async def test_it_can_make_no_further_authority(of_atf: Authority, port: int, tmp_path: Path) -> None:
    key, below = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    middle = name([(ORGANISATION, "ATF")], [(NAME, "ATF below")])
    sub = made_up(
        of_atf.key,
        of_atf.certificate.subject,
        middle,
        below,
        lambda builder: builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
    )
    leaf = made_up(below, middle, name([(ORGANISATION, "ATF")], [(NAME, "ATF")]), key)
    files = files_of(tmp_path / "client", of_atf.ca, leaf + sub + of_atf.chain, key)
    assert not await is_answered(port, client_context(files))


async def test_a_client_certificate_makes_no_certificates(broker: Broker, port: int, tmp_path: Path) -> None:
    atf = broker.authority.issue_client("ATF", tmp_path / "atf")
    holder = x509.load_pem_x509_certificate(atf.certificate.read_bytes())
    signer = load_pem_private_key(atf.key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = made_up(signer, holder.subject, name([(ORGANISATION, "JCF")], [(NAME, "JCF")]), key)
    files = files_of(tmp_path / "client", broker.authority.ca, leaf + atf.certificate.read_bytes(), key)
    assert not await is_answered(port, client_context(files))


# --- no node of an agency's making ------------------------------------------------------------------------------------

HOSTS: dict[str, list[x509.GeneralName]] = {
    "an address": [x509.IPAddress(ip_address("127.0.0.1"))],
    "a name": [x509.DNSName("localhost")],
    "a node's name": [x509.DNSName("node-1.hub.example")],
    "a name that nobody excluded": [x509.DNSName("other.example")],
    "in the subject alone": [],
}


def node_of_atf(of_atf: Authority, folder: Path, host: str) -> TlsFiles:
    """A server's certificate from ATF's authority: else an agency could stand between the others and the node."""
    key = ec.generate_private_key(ec.SECP256R1())

    def add(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        names = HOSTS[host]
        return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder

    called = name([(ORGANISATION, "ATF")], [(NAME, "localhost")])
    chain = made_up(of_atf.key, of_atf.certificate.subject, called, key, add) + of_atf.chain
    return files_of(folder, of_atf.ca, chain, key)


@asynccontextmanager
async def listening(files: TlsFiles) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("host", HOSTS)
async def test_our_clients_take_no_node_that_it_certified(of_atf: Authority, tmp_path: Path, host: str) -> None:
    ours = client_context(of_atf.issue_client("ATF", tmp_path / "client"))
    names = {"an address": "127.0.0.1", "a node's name": "node-1.hub.example"}
    called = names.get(host, "other.example" if "excluded" in host else "localhost")
    async with listening(node_of_atf(of_atf, tmp_path / "node", host)) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ours, server_hostname=called)


async def java_says(ca: Path, address: str, folder: Path) -> str:
    """What Kafka's own client, in Java, says of a server: it checks the chain by other rules than OpenSSL."""
    properties = folder / "client.properties"
    properties.write_text(
        f"security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={ca}\n"
        "request.timeout.ms=3000\ndefault.api.timeout.ms=4000\n"
    )
    jars = os.pathsep.join(map(str, JARS.glob("*.jar")))
    command = ["java", *TEST_JVM, "-cp", jars, "org.apache.kafka.tools.TopicCommand", "--list"]
    command += ["--bootstrap-server", address, "--command-config", str(properties)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()
    return output.decode()


@pytest.mark.parametrize(("host", "called"), [("an address", "127.0.0.1"), ("a name", "localhost")])
async def test_a_client_in_java_takes_none_either(of_atf: Authority, tmp_path: Path, host: str, called: str) -> None:
    async with listening(node_of_atf(of_atf, tmp_path / "node", host)) as port:
        said = await java_says(of_atf.ca, f"{called}:{port}", tmp_path)
    assert "SslAuthenticationException" in said
    assert "name constraints" in said


async def test_a_client_in_java_takes_one_of_the_operators(broker: Broker, tmp_path: Path) -> None:
    files = broker.authority.issue_node("node-2", tmp_path / "node", hosts=["localhost"])
    async with listening(files) as port:
        said = await java_says(broker.authority.ca, f"localhost:{port}", tmp_path)
    assert "SslAuthenticationException" not in said


# --- a second root beside the operator's ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root_of_atf() -> tuple[Key, x509.Certificate]:
    """A root that ATF made for itself, with the same constraint in it as one that the operator certifies."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.DirectoryName(name([(ORGANISATION, "ATF")]))

    def add(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        return builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(
            x509.NameConstraints(permitted_subtrees=[own], excluded_subtrees=None), critical=True
        )

    subject = name([(ORGANISATION, "ATF")], [(NAME, "ATF root")])
    return key, x509.load_pem_x509_certificate(made_up(key, subject, subject, key, add))


@pytest.fixture(scope="module")
def two_roots(
    tmp_path_factory: pytest.TempPathFactory, root_of_atf: tuple[Key, x509.Certificate]
) -> Iterator[BrokerProcess]:
    """A node whose settings somebody changed by hand: it trusts ATF's root as it stands, beside the operator's."""
    folder = tmp_path_factory.mktemp("roots")
    authority = Authority.create(folder / "ca")
    both = folder / "both.pem"
    both.write_bytes(authority.ca.read_bytes() + root_of_atf[1].public_bytes(Encoding.PEM))
    settings = [f"ssl.truststore.location={both}"]
    with BrokerProcess(folder / "kafka", deploy=DEPLOY, jars=JARS, authority=authority, settings=settings) as node:
        yield node


async def test_java_holds_a_root_to_no_constraint(
    two_roots: BrokerProcess, root_of_atf: tuple[Key, x509.Certificate], tmp_path: Path
) -> None:
    """Why there is one root and no second: were this to fail one day, docs/adr/0083 can be read anew."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, root = root_of_atf
    for who in ("JCF", "operator"):
        leaf = made_up(signer, root.subject, name([(ORGANISATION, who)], [(NAME, who)]), key)
        files = files_of(tmp_path / who, two_roots.authority.ca, leaf, key)
        assert await is_answered(two_roots.client_port, client_context(files))


def test_so_a_node_of_ours_does_not_start_with_two(root_of_atf: tuple[Key, x509.Certificate], tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    with authority.ca.open("ab") as file:
        file.write(root_of_atf[1].public_bytes(Encoding.PEM))
    with pytest.raises(TruststoreInvalid):
        BrokerProcess(tmp_path / "kafka", deploy=DEPLOY, jars=JARS, authority=authority).start()


async def test_an_agencys_own_root_is_certified_instead_and_then_held(
    broker: Broker, port: int, root_of_atf: tuple[Key, x509.Certificate], tmp_path: Path
) -> None:
    """The same key, under the operator's certificate: its old leaves need a new issuer's name and nothing else."""
    signer, _ = root_of_atf
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(signer, hashes.SHA256())
    cross = broker.authority.certify_authority(request.public_bytes(Encoding.PEM), "ATF", hosts=["hub.example"])
    issuer = x509.load_pem_x509_certificate(cross).subject
    answers = {}
    for who in ("ATF", "JCF", "operator"):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = made_up(signer, issuer, name([(ORGANISATION, who)], [(NAME, who)]), key)
        files = files_of(tmp_path / who, broker.authority.ca, leaf + cross, key)
        answers[who] = await is_answered(port, client_context(files))
    assert answers == {"ATF": True, "JCF": False, "operator": False}
