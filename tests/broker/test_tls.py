"""Who gets a connection at all: on every listener, who shows a good certificate of the operator's CA."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFiles, client_context
from hub.errors import BusNotAuthorized, BusUnavailable
from tests.support.broker import Broker, is_answered

pytestmark = pytest.mark.broker


@pytest.fixture(params=["client", "controller"])
def port(request: pytest.FixtureRequest, broker: Broker) -> int:
    return broker.process.client_port if request.param == "client" else broker.process.controller_port


def subject_files(authority: Authority, folder: Path, *attributes: tuple[x509.ObjectIdentifier, str]) -> TlsFiles:
    """A certificate of the operator's CA for a subject that our code would never issue."""
    good = authority.issue_client("ATF", folder)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .sign(authority.key, hashes.SHA256())
    )
    good.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    good.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return good


async def test_a_good_certificate_is_answered(broker: Broker, port: int) -> None:
    assert await is_answered(port, client_context(broker.client_files("ATF")))


async def test_plaintext_is_not(port: int) -> None:
    assert not await is_answered(port, None)


async def test_no_certificate_is_not(broker: Broker, port: int) -> None:
    context = ssl.create_default_context(cafile=broker.authority.ca)
    assert not await is_answered(port, context)


async def test_an_older_tls_is_not(broker: Broker, port: int) -> None:
    files = broker.client_files("ATF")
    context = ssl.create_default_context(cafile=files.ca)
    context.load_cert_chain(files.certificate, files.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not await is_answered(port, context)


async def test_a_strangers_authority_is_not(broker: Broker, port: int, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "ca").issue_client("ATF", tmp_path / "client")
    files = TlsFiles(broker.authority.ca, stranger.certificate, stranger.key)
    assert not await is_answered(port, client_context(files))


async def test_an_expired_certificate_is_not(broker: Broker, port: int, tmp_path: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=3)
    files = broker.authority.issue_client("ATF", tmp_path, now=past, lifetime=timedelta(days=2))
    assert not await is_answered(port, client_context(files))


async def test_a_certificate_of_tomorrow_is_not(broker: Broker, port: int, tmp_path: Path) -> None:
    files = broker.authority.issue_client("ATF", tmp_path, now=datetime.now(UTC) + timedelta(days=1))
    assert not await is_answered(port, client_context(files))


@pytest.mark.parametrize(
    "attributes",
    [
        [(NameOID.ORGANIZATION_NAME, "JCF"), (NameOID.COMMON_NAME, "ATF")],
        [(NameOID.COMMON_NAME, "ATF"), (NameOID.ORGANIZATION_NAME, "ATF")],
        [(NameOID.COMMON_NAME, "ATF")],
        [(NameOID.ORGANIZATION_NAME, "JCF"), (NameOID.COMMON_NAME, "ATF,O=ATF")],
        [(NameOID.COUNTRY_NAME, "JM"), (NameOID.ORGANIZATION_NAME, "ATF"), (NameOID.COMMON_NAME, "ATF")],
        [(NameOID.ORGANIZATION_NAME, "JCF"), (NameOID.COMMON_NAME, "operator")],
    ],
    ids=["another's name", "other order", "no organisation", "a comma in it", "more than both", "the operator's name"],
)
async def test_a_subject_of_another_form_is_not(
    broker: Broker, port: int, tmp_path: Path, attributes: list[tuple[x509.ObjectIdentifier, str]]
) -> None:
    files = subject_files(broker.authority, tmp_path, *attributes)
    assert not await is_answered(port, client_context(files))


async def test_a_well_formed_subject_made_the_same_way_is_answered(broker: Broker, port: int, tmp_path: Path) -> None:
    subject = [(NameOID.ORGANIZATION_NAME, "ATF"), (NameOID.COMMON_NAME, "ATF")]
    assert await is_answered(port, client_context(subject_files(broker.authority, tmp_path, *subject)))


# --- what our own clients say then ------------------------------------------------------------------------------------


async def test_our_clients_say_that_the_certificate_is_refused(broker: Broker, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "ca").issue_client("ATF", tmp_path / "client")
    files = TlsFiles(broker.authority.ca, stranger.certificate, stranger.key)
    with pytest.raises(BusNotAuthorized, match="refuses our certificate"):
        await KafkaProducer(broker.bootstrap, files).start()
    with pytest.raises(BusNotAuthorized, match="refuses our certificate"):
        await KafkaConsumer(broker.bootstrap, files, group="ATF.x", topics=["deliver.ATF"]).start()


async def test_our_clients_refuse_a_broker_of_another_authority(broker: Broker, tmp_path: Path) -> None:
    good = broker.client_files("ATF")
    files = TlsFiles(Authority.create(tmp_path / "ca").ca, good.certificate, good.key)
    with pytest.raises(BusNotAuthorized, match="broker's certificate is not good"):
        await KafkaProducer(broker.bootstrap, files).start()


async def test_our_clients_refuse_a_broker_under_another_name(broker: Broker) -> None:
    address = f"127.0.0.2:{broker.process.client_port}"
    with pytest.raises((BusNotAuthorized, BusUnavailable)):
        await KafkaProducer(address, broker.client_files("ATF")).start()


async def test_a_broker_that_is_not_there_is_unavailable(broker: Broker) -> None:
    with pytest.raises(BusUnavailable):
        await KafkaProducer("127.0.0.1:1", broker.client_files("ATF")).start()
