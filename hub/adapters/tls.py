"""The files of a TLS client or server, and the one TLS configuration that every connection of ours uses.

TLS 1.3 only; both sides show a certificate; the peer's name is checked. There is no way to switch any of it off.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from hub.adapters.credentials import forbidden_bits
from hub.errors import ConfigError


class TlsFileInvalid(ConfigError):
    """A certificate or key file is missing, unreadable by its owner alone, not PEM, or does not fit the other one."""

    code = "tls.file_invalid"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: the CA to trust, our certificate (with its chain, if any), our private key (PKCS #8)."""

    ca: Path
    certificate: Path
    key: Path

    def check(self) -> None:
        """Raise :class:`TlsFileInvalid` unless all three can be used: so that a client can fail before it connects."""
        load_certificate(self.ca)
        own = load_certificate(self.certificate)
        if self.key.exists() and self.key.stat().st_mode & forbidden_bits(self.key):
            raise TlsFileInvalid("others can read this private key: chmod 600 it", file=self.key)
        try:
            key = load_pem_private_key(_read(self.key), password=None)
        except (ValueError, TypeError) as error:
            raise TlsFileInvalid("not an unencrypted private key in PEM", file=self.key) from error
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key.public_key().public_bytes(*spki) != own.public_key().public_bytes(*spki):
            raise TlsFileInvalid("the key is not the certificate's", key=self.key, certificate=self.certificate)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """The context of a client: TLS 1.3, the server's name and chain checked, our certificate shown.

    Raises :class:`TlsFileInvalid`.
    """
    files.check()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
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
