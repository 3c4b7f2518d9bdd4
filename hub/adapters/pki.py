"""The operator's certificate authority: the certificates by which the broker and its clients know each other.

A certificate's subject is ``O=<agency>, CN=<agency>`` or, for one of its sites, ``O=<agency>, CN=<agency>.<site>``. The
broker maps it to the principal ``User:<agency>`` only where organisation and name agree (``PRINCIPAL_RULE``), and
refuses every other subject. The organisation comes first in the subject, so that an agency's own CA can later be held
to its organisation by an X.509 name constraint (RFC 5280 4.2.1.10). The operator's principal is ``operator``, which can
never be an agency's code, because those are upper case. Why: docs/adr/0021.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.adapters.tls import TlsFileInvalid, TlsFiles, load_certificate
from hub.errors import ConfigError
from hub.model import NameInvalid, parse_agency_id

OPERATOR: Final = "operator"
"""The principal that runs the broker: the only super user. Nodes are its sites: ``operator.node-1``."""

PRINCIPAL_RULE: Final = r"RULE:^CN=([A-Z][A-Z0-9-]{1,31}|operator)([.][a-z0-9-]{1,32})?,O=\1$/$1/"
"""Kafka's ``ssl.principal.mapping.rules``: with no DEFAULT after it, a subject of another form is refused."""

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = timedelta(days=397)
_CLOCK_SKEW: Final = timedelta(minutes=5)
_SITE: Final = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)


class CertificateNameInvalid(ConfigError):
    """A name that no certificate can be issued for."""

    code = "tls.name_invalid"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that lives in ``folder``: ``ca.pem`` and ``ca.key`` (mode 0600)."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def ca(self) -> Path:
        """The CA's certificate: what everybody trusts."""
        return self.folder / "ca.pem"

    @classmethod
    def create(cls, folder: Path, *, name: str = "CGI Hub operator", now: datetime | None = None) -> Authority:
        """Make a new authority in ``folder``. Raises :class:`ConfigError` where one is there already."""
        if (folder / "ca.key").exists():
            raise ConfigError("there is an authority already; nothing is overwritten", folder=folder)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key.public_key(), now or datetime.now(UTC), AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_key_usage(sign_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(folder / "ca.pem", certificate.public_bytes(Encoding.PEM), 0o644)
        _write(folder / "ca.key", _pem(key), 0o600)
        return cls(folder, certificate, key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The authority in ``folder``. Raises :class:`TlsFileInvalid`."""
        files = TlsFiles(folder / "ca.pem", folder / "ca.pem", folder / "ca.key")
        files.check()
        key = load_pem_private_key(files.key.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TlsFileInvalid("not a key on an elliptic curve", file=files.key)
        return cls(folder, load_certificate(files.ca), key)

    @classmethod
    def load_or_create(cls, folder: Path) -> Authority:
        """The authority in ``folder``; a new one where there is none."""
        return cls.load(folder) if (folder / "ca.key").exists() else cls.create(folder)

    def issue_client(
        self,
        principal: str,
        folder: Path,
        *,
        site: str | None = None,
        now: datetime | None = None,
        lifetime: timedelta = CERTIFICATE_LIFETIME,
    ) -> TlsFiles:
        """Write ``<folder>/{ca,tls}.pem`` and ``tls.key`` for an agency (or the operator), replacing older ones.

        ``now`` is when it begins (tests make expired ones). Raises :class:`CertificateNameInvalid`.
        """
        try:
            subject = _subject(principal if principal == OPERATOR else parse_agency_id(principal), site)
        except NameInvalid as error:
            raise CertificateNameInvalid(error.message, **error.details) from error
        return self._issue(subject, folder, hosts=(), now=now, lifetime=lifetime)

    def issue_node(self, name: str, folder: Path, *, hosts: Sequence[str], now: datetime | None = None) -> TlsFiles:
        """The same for a node of the broker: a server under the names ``hosts``, and a client of other nodes."""
        if not hosts:
            raise CertificateNameInvalid("a node needs the names that clients reach it by", node=name)
        return self._issue(_subject(OPERATOR, name), folder, hosts=hosts, now=now, lifetime=CERTIFICATE_LIFETIME)

    def _issue(
        self, subject: x509.Name, folder: Path, *, hosts: Sequence[str], now: datetime | None, lifetime: timedelta
    ) -> TlsFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])
        builder = (
            _builder(subject, self.certificate.subject, key.public_key(), now or datetime.now(UTC), lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        files = TlsFiles(folder / "ca.pem", folder / "tls.pem", folder / "tls.key")
        _write(files.ca, self.certificate.public_bytes(Encoding.PEM), 0o644)
        _write(files.certificate, certificate.public_bytes(Encoding.PEM), 0o644)
        _write(files.key, _pem(key), 0o600)
        return files


def _subject(organisation: str, site: str | None) -> x509.Name:
    if site is not None and not _SITE.fullmatch(site):
        raise CertificateNameInvalid("not a site's name ([a-z0-9-]{1,32})", site=site[:40])
    name = organisation if site is None else f"{organisation}.{site}"
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is never, not even for a moment, open to more readers than ``mode`` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
