"""The files of a TLS client or server, and the one TLS configuration that every connection of ours uses.

TLS 1.3 only; both sides show a certificate; the peer's name is checked. There is no way to switch any of it off.

A private key may be encrypted (PKCS #8). What we make says before its PEM how the password is derived from the site's
passphrase (``DERIVATION``); for what another tool made, the passphrase is the password. docs/adr/0085.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hub.adapters.credentials import forbidden_bits
from hub.adapters.key_files import replace_secret
from hub.errors import ConfigError, HubError
from hub.log_words import say
from hub.trust.keys import PassphraseSource, encode_derivation, parse_derivation
from hub.trust.passphrase import FileKey, PassphraseNeeded

DERIVATION: Final = b"cgi-hub/v1/pem-derivation: "
"""Before an encrypted PEM of ours: text that readers of PEM skip (RFC 7468 2), with how its password is derived."""
_ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


class TlsFileInvalid(ConfigError):
    """A certificate or key file is missing, unreadable by its owner alone, not PEM, or does not fit the other one."""

    code = "tls.file_invalid"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: the CA to trust, our certificate (with its chain, if any), our private key (PKCS #8).

    ``passphrase`` is asked where the key is encrypted.
    """

    ca: Path
    certificate: Path
    key: Path
    passphrase: PassphraseSource | None = field(default=None, compare=False, repr=False)

    def check(self) -> None:
        """Fail before anything connects: raises :class:`TlsFileInvalid` unless all three can be used, and as the
        passphrase's source does."""
        load_certificate(self.ca)
        own = load_certificate(self.certificate)
        key = load_tls_key(self.key, self.passphrase)
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key.public_key().public_bytes(*spki) != own.public_key().public_bytes(*spki):
            raise TlsFileInvalid("the key is not the certificate's", key=self.key, certificate=self.certificate)

    def key_password(self) -> bytes | None:
        """The password of the key's file, for a library that reads it itself; None where it is not encrypted.

        Raises as :meth:`check` does.
        """
        return _password(self.key, self.passphrase)


def load_tls_key(path: Path, passphrase: PassphraseSource | None = None) -> PrivateKeyTypes:
    """The private key in a PEM file. Raises as :meth:`TlsFiles.check` does."""
    if path.exists() and path.stat().st_mode & forbidden_bits(path):
        raise TlsFileInvalid("others can read this private key: chmod 600 it", file=path)
    password = _password(path, passphrase)
    try:
        return load_pem_private_key(_read(path), password=password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the library's error: it may hold what it could not read.
        what = "not a private key in PEM" if password is None else "the passphrase does not open it, or it is damaged"
        raise TlsFileInvalid(what, file=path) from None


def encode_tls_key(key: ec.EllipticCurvePrivateKey, file_key: FileKey | None) -> bytes:
    """A private key in PEM (PKCS #8), encrypted with ``file_key`` where there is one."""
    if file_key is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(file_key.pem_password()))
    return DERIVATION + encode_derivation(file_key.derivation) + b"\n" + encrypted


def encrypt_tls_key(path: Path, passphrase: PassphraseSource | None, file_key: FileKey) -> None:
    """Encrypt a private key's file with ``file_key``, in its place. Raises as :meth:`TlsFiles.check` does."""
    key = load_tls_key(path, passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TlsFileInvalid("not a key on an elliptic curve: encrypt it with its own tool (PKCS #8)", file=path)
    replace_secret(path, encode_tls_key(key, file_key))


def is_pem(path: Path) -> bool:
    """Whether a private key's file is in PEM. Raises :class:`TlsFileInvalid` where it cannot be read."""
    return b"-----BEGIN " in _read(path)


def is_encrypted(path: Path) -> bool:
    """Whether a private key's file is encrypted. Raises :class:`TlsFileInvalid` where it cannot be read."""
    return any(mark in _read(path) for mark in _ENCRYPTED)


def _password(path: Path, passphrase: PassphraseSource | None) -> bytes | None:
    raw = _read(path)
    if not any(mark in raw for mark in _ENCRYPTED):
        return None
    if passphrase is None:
        raise PassphraseNeeded("the key file is encrypted, and nothing says where its passphrase is", file=path)
    if not raw.startswith(DERIVATION):
        return passphrase().pem_password()
    return passphrase().key(parse_derivation(raw[len(DERIVATION) :].partition(b"\n")[0])).pem_password()


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """The context of a client: TLS 1.3, the server's name and chain checked, our certificate shown.

    A renewed certificate is taken with the next connection (:class:`RenewedContext`). Raises :class:`TlsFileInvalid`.
    """
    return RenewedContext(files)


class RenewedContext(ssl.SSLContext):
    """A client's context that looks at its files with each new connection, and uses them as they are then.

    Files that cannot be used (half of a renewal is written, say) leave what was used before in use. Connections that
    are open stay as they are.
    """

    def __new__(cls, files: TlsFiles) -> RenewedContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: TlsFiles) -> None:
        self.minimum_version = ssl.TLSVersion.TLSv1_3
        self._files = files
        self._stamp = _stamp(files)
        self._context = _load_context(files)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        return self._newest().wrap_bio(*arguments, **named)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return self._newest().wrap_socket(*arguments, **named)

    def _newest(self) -> ssl.SSLContext:
        stamp = _stamp(self._files)
        if stamp != self._stamp:
            try:
                self._context = _load_context(self._files)
            except HubError as error:
                say("certificate.refused", code=error.code, reason=error.message)
                return self._context
            self._stamp = stamp
            say("certificate.renewed", expires_at_ms=certificate_expiry_ms(self._files.certificate))
        return self._context


def _stamp(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Changes when one of the files is replaced or rewritten."""
    found: list[tuple[int, int, int] | None] = []
    for path in (files.ca, files.certificate, files.key):
        try:
            stat = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _load_context(files: TlsFiles) -> ssl.SSLContext:
    files.check()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=files.ca)
        context.load_cert_chain(files.certificate, files.key, files.key_password())
    except (ssl.SSLError, OSError) as error:
        raise TlsFileInvalid(
            "OpenSSL refuses the certificate files", ca=files.ca, certificate=files.certificate
        ) from error
    return context


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate in a PEM file. Raises :class:`TlsFileInvalid`."""
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError as error:
        raise TlsFileInvalid("not a certificate in PEM", file=path) from error


def certificate_expiry_ms(path: Path) -> int:
    """When the certificate in ``path`` ends, in milliseconds since 1970. Raises :class:`TlsFileInvalid`."""
    return int(load_certificate(path).not_valid_after_utc.timestamp() * 1000)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileInvalid("cannot be read", file=path, reason=error.strerror) from error
