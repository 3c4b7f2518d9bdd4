"""hub/adapters/tls.py: a private key that is encrypted, ours or another tool's, for every library that reads it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFileInvalid, TlsFiles, client_context, encode_tls_key, is_encrypted, load_tls_key
from hub.trust import passphrase
from hub.trust.keys import KeyFileInvalid
from hub.trust.passphrase import DerivationRefused, Passphrase, PassphraseNeeded, PassphraseWrong

WORDS = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "NEW_COST", passphrase.Cost(19 * 1024, 2, 1))


@pytest.fixture
def plain(tmp_path: Path) -> TlsFiles:
    return Authority.create(tmp_path / "ca").issue_client("ATF", tmp_path / "atf")


@pytest.fixture(params=["ours", "another tool's"])
def encrypted(request: pytest.FixtureRequest, plain: TlsFiles) -> TlsFiles:
    key = load_tls_key(plain.key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    if request.param == "ours":
        plain.key.write_bytes(encode_tls_key(key, Passphrase(WORDS).new_key()))
    else:
        encryption = BestAvailableEncryption(WORDS.encode())
        plain.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return plain


def opened(files: TlsFiles, words: str = WORDS) -> TlsFiles:
    phrase = Passphrase(words)
    return TlsFiles(files.ca, files.certificate, files.key, lambda: phrase)


def test_for_python(encrypted: TlsFiles) -> None:
    assert is_encrypted(encrypted.key)
    opened(encrypted).check()
    assert isinstance(client_context(opened(encrypted)), ssl.SSLContext)


def test_for_librdkafka(encrypted: TlsFiles) -> None:
    password = opened(encrypted).key_password()
    assert password is not None
    settings = {
        "bootstrap.servers": "127.0.0.1:1",
        "security.protocol": "SSL",
        "ssl.ca.location": str(encrypted.ca),
        "ssl.certificate.location": str(encrypted.certificate),
        "ssl.key.location": str(encrypted.key),
    }
    AdminClient({**settings, "ssl.key.password": password.decode()}, logger=None)
    with pytest.raises(KafkaException):
        AdminClient({**settings, "ssl.key.password": "wrong"}, logger=None)


def test_an_unencrypted_one_asks_nobody(plain: TlsFiles) -> None:
    files = TlsFiles(plain.ca, plain.certificate, plain.key, lambda: pytest.fail("asked"))
    files.check()
    assert files.key_password() is None
    assert not is_encrypted(plain.key)


def test_without_its_passphrase(encrypted: TlsFiles) -> None:
    with pytest.raises(PassphraseNeeded):
        encrypted.check()
    with pytest.raises((PassphraseWrong, TlsFileInvalid)) as caught:
        opened(encrypted, "another passphrase").check()
    assert "another passphrase" not in caught.value.diagnostics()


def test_the_password_in_ours_is_not_the_passphrase(plain: TlsFiles) -> None:
    key = load_tls_key(plain.key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    plain.key.write_bytes(encode_tls_key(key, Passphrase(WORDS).new_key()))
    assert opened(plain).key_password() != WORDS.encode()


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        (b'"iterations":2', b'"iterations":99', DerivationRefused),
        (b'"argon2id"', b'"none"', KeyFileInvalid),
        (b"\n", b"x\n", KeyFileInvalid),
    ],
)
def test_a_foreign_derivation(plain: TlsFiles, before: bytes, after: bytes, error: type[Exception]) -> None:
    key = load_tls_key(plain.key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    raw = encode_tls_key(key, Passphrase(WORDS).new_key())
    assert before in raw
    plain.key.write_bytes(raw.replace(before, after, 1))
    with pytest.raises(error):
        opened(plain).check()
