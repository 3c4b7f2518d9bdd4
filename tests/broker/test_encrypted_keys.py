"""A TLS key that is encrypted at rest serves both Kafka libraries, on the real broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.tls import TlsFiles, client_context, encode_tls_key, load_tls_key
from hub.trust.passphrase import Passphrase, PassphraseWrong
from tests.support.broker import Broker, is_answered

pytestmark = pytest.mark.broker


def encrypted(files: TlsFiles, folder: Path, words: str) -> TlsFiles:
    """The same certificate, its key encrypted; and the passphrase ``words`` to open it with."""
    key = load_tls_key(files.key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    path = folder / "tls.key"
    path.write_bytes(encode_tls_key(key, Passphrase("correct horse battery").new_key()))
    path.chmod(0o600)
    phrase = Passphrase(words)
    return TlsFiles(files.ca, files.certificate, path, lambda: phrase)


async def test_python_speaks_to_the_broker(broker: Broker, tmp_path: Path) -> None:
    files = encrypted(broker.client_files("ATF"), tmp_path, "correct horse battery")
    assert await is_answered(broker.process.client_port, client_context(files))


def test_librdkafka_speaks_to_the_broker(broker: Broker, tmp_path: Path) -> None:
    files = encrypted(broker.client_files("operator"), tmp_path, "correct horse battery")
    KafkaAdmin(f"127.0.0.1:{broker.process.client_port}", files).check(seconds=60)


def test_with_another_passphrase_nothing_is_tried(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(PassphraseWrong):
        KafkaAdmin("127.0.0.1:1", encrypted(broker.client_files("operator"), tmp_path, "incorrect horse battery"))
