"""The operator's certificate authority: the certificates by which the broker and its clients know each other.

A certificate's subject is ``O=<agency>, CN=<agency>`` or, for one of its sites, ``O=<agency>, CN=<agency>.<site>``. The
broker maps it to the principal ``User:<agency>`` only where organisation and name agree (``PRINCIPAL_RULE``), and
refuses every other subject. The organisation comes first in the subject, so that an agency's own CA is held to its
organisation by an X.509 name constraint (RFC 5280 4.2.1.10, docs/adr/0083). The operator's principal is ``operator``,
which can never be an agency's code, because those are upper case; so with ``console``, the operators' console, and
``exporter``, which may do no more than hub/topics.py says. Why: docs/adr/0021, docs/adr/0102.

What a request (PKCS #10) says about its subject, its names and its uses counts nothing: the caller says whose it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.adapters.tls import TlsFileInvalid, TlsFiles, load_certificate
from hub.errors import ConfigError, RejectedError
from hub.model import NameInvalid, parse_agency_id
from hub.topics import EXPORTER

OPERATOR: Final = "operator"
"""The principal that runs the broker: the only super user. Nodes are its sites: ``operator.node-1``."""

CONSOLE: Final = "console"
"""The principal of the operators' console (hub/console)."""

OWN: Final = (OPERATOR, CONSOLE, EXPORTER)
"""The principals that are no agency's."""

PRINCIPAL_RULE: Final = r"RULE:^CN=([A-Z][A-Z0-9-]{1,31}|operator|console|exporter)([.][a-z0-9-]{1,32})?,O=\1$/$1/"
"""Kafka's ``ssl.principal.mapping.rules``: with no DEFAULT after it, a subject of another form is refused."""

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = timedelta(days=397)
_CLOCK_SKEW: Final = timedelta(minutes=5)
_SITE: Final = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)

MAX_REQUEST_BYTES: Final = 16_384
"""Of a certificate request in PEM."""

_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_RSA_BITS: Final = range(3072, 4097)
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class CertificateNameInvalid(ConfigError):
    """A name that no certificate can be issued for."""

    code = "tls.name_invalid"


class RequestInvalid(RejectedError):
    """A certificate request that is none, is not signed by its own key, or brings a key that is too weak."""

    code = "tls.request_invalid"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that lives in ``folder``: ``ca.pem`` and ``ca.key`` (mode 0600).

    An agency's own authority is certified by the operator's: its folder has ``root.pem`` too, the operator's CA, which
    is what everybody trusts; what it issues carries ``ca.pem`` as its chain.
    """

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def ca(self) -> Path:
        """The CA's certificate that everybody trusts."""
        root = self.folder / "root.pem"
        return root if root.exists() else self.folder / "ca.pem"

    @property
    def chain(self) -> bytes:
        """What goes with each certificate in PEM: nothing, or this authority's own where another one certified it."""
        return self.certificate.public_bytes(Encoding.PEM) if (self.folder / "root.pem").exists() else b""

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

    def sign_request(
        self,
        request: bytes,
        principal: str,
        *,
        site: str | None = None,
        now: datetime | None = None,
        lifetime: timedelta = CERTIFICATE_LIFETIME,
    ) -> bytes:
        """A client's certificate for the key in ``request`` (PKCS #10 in PEM), with its chain, in PEM.

        The subject is ``principal`` (an agency's code or one of :data:`OWN`) and ``site``, whatever the request
        asks for. Nothing is written. Raises :class:`RequestInvalid`, :class:`CertificateNameInvalid`.
        """
        subject = _client_subject(principal, site)
        certificate = self._certify(read_request(request), subject, hosts=(), now=now, lifetime=lifetime)
        return certificate.public_bytes(Encoding.PEM) + self.chain

    def certify_authority(
        self,
        request: bytes,
        agency: str,
        *,
        hosts: Sequence[str],
        now: datetime | None = None,
        lifetime: timedelta = AUTHORITY_LIFETIME,
    ) -> bytes:
        """A certificate for an agency's own CA, whose key is in ``request``, in PEM: it can issue for itself alone.

        Held by four things: the name constraint lets it name its own organisation and no node (``hosts`` are the names
        by which clients reach the nodes; a domain covers all below it; every address is excluded anyway); it can make
        no further CA; what it issues is for clients alone; and only an agency, never the operator, gets one.
        Raises :class:`RequestInvalid`, :class:`CertificateNameInvalid`.
        """
        organisation = _agency(agency)
        key = read_request(request)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{organisation} CA"),
            ]
        )
        ends = min((now or datetime.now(UTC)) + lifetime, self.certificate.not_valid_after_utc)
        lasting = ends - (now or datetime.now(UTC))
        certificate = (
            _builder(subject, self.certificate.subject, key, now or datetime.now(UTC), lasting)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(sign_certificates=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(_only(organisation, hosts), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)

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
        return self._issue(_client_subject(principal, site), folder, hosts=(), now=now, lifetime=lifetime)

    def issue_node(self, name: str, folder: Path, *, hosts: Sequence[str], now: datetime | None = None) -> TlsFiles:
        """The same for a node of the broker: a server under the names ``hosts``, and a client of other nodes."""
        if not hosts:
            raise CertificateNameInvalid("a node needs the names that clients reach it by", node=name)
        return self._issue(_subject(OPERATOR, name), folder, hosts=hosts, now=now, lifetime=CERTIFICATE_LIFETIME)

    def _issue(
        self, subject: x509.Name, folder: Path, *, hosts: Sequence[str], now: datetime | None, lifetime: timedelta
    ) -> TlsFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certify(key.public_key(), subject, hosts=hosts, now=now, lifetime=lifetime)
        files = TlsFiles(folder / "ca.pem", folder / "tls.pem", folder / "tls.key")
        _write(files.ca, self.ca.read_bytes(), 0o644)
        _write(files.certificate, certificate.public_bytes(Encoding.PEM) + self.chain, 0o644)
        _write(files.key, _pem(key), 0o600)
        return files

    def _certify(
        self, key: PublicKey, subject: x509.Name, *, hosts: Sequence[str], now: datetime | None, lifetime: timedelta
    ) -> x509.Certificate:
        own = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if own and subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME) != own:
            raise CertificateNameInvalid(
                "an agency's authority issues for that agency alone", authority=own[0].value, wanted=str(subject)
            )
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])
        builder = (
            _builder(subject, self.certificate.subject, key, now or datetime.now(UTC), lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def make_request(folder: Path) -> Path:
    """Make a key in ``folder`` (``tls.key``, mode 0600) and a request for its certificate, ``tls.csr``; gives the path.

    An agency's own authority begins with one too: its key never leaves the agency. Raises :class:`ConfigError` where a
    key is there already.
    """
    return _make_request(folder / "tls.key", folder / "tls.csr")


def make_authority_request(folder: Path) -> Path:
    """The same for an agency's own CA: ``ca.key`` and ``ca.csr``; its certificate will be ``ca.pem`` beside them."""
    return _make_request(folder / "ca.key", folder / "ca.csr")


def read_request(request: bytes) -> PublicKey:
    """The key that a request (PKCS #10 in PEM) wants a certificate for. Raises :class:`RequestInvalid`.

    Its signature must be by that key: who asks holds it. Elliptic curves P-256 and P-384, RSA of 3072 to 4096 bits.
    """
    if len(request) > MAX_REQUEST_BYTES:
        raise RequestInvalid("a certificate request is smaller", bytes=len(request))
    try:
        parsed = x509.load_pem_x509_csr(request)
        key = parsed.public_key()
        own = parsed.is_signature_valid
        digest = parsed.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RequestInvalid("not a certificate request in PEM that we can read") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            raise RequestInvalid("the key's curve is not P-256 or P-384", curve=key.curve.name)
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise RequestInvalid("an RSA key has 3072 to 4096 bits", bits=key.key_size)
        if key.public_numbers().e < 65537:
            raise RequestInvalid("an RSA key's public exponent is 65537 or more", exponent=key.public_numbers().e)
    else:
        raise RequestInvalid("the key is neither elliptic nor RSA", kind=type(key).__name__)
    if not isinstance(digest, _HASHES):
        raise RequestInvalid("the request is not signed over SHA-256, SHA-384 or SHA-512")
    if not own:
        raise RequestInvalid("the request is not signed by the key that it brings")
    return key


def _make_request(key_file: Path, request_file: Path) -> Path:
    if key_file.exists():
        raise ConfigError("there is a key already; nothing is overwritten", file=key_file)
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    _write(key_file, _pem(key), 0o600)
    _write(request_file, request.public_bytes(Encoding.PEM), 0o644)
    return request_file


def _only(organisation: str, hosts: Sequence[str]) -> x509.NameConstraints:
    """What an agency's CA may name: its own organisation, and no node of the broker's.

    Not "no host at all": Java takes a client's common name for a host's where there is no other, and would refuse it.
    """
    own = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)]))
    nodes: list[x509.GeneralName] = [x509.DNSName(host) for host in ("localhost", *hosts)]
    nodes += [x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0"))]
    return x509.NameConstraints(permitted_subtrees=[own], excluded_subtrees=nodes)


def _agency(code: str) -> str:
    try:
        return parse_agency_id(code)
    except NameInvalid as error:
        raise CertificateNameInvalid(error.message, **error.details) from error


def _client_subject(principal: str, site: str | None) -> x509.Name:
    return _subject(principal if principal in OWN else _agency(principal), site)


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
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now: datetime, lifetime: timedelta
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
