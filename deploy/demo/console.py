"""The operators' console beside the stack of `make up`, with certificates for an operator and a viewer.

A deployment has a CA of its own for people (docs/guides/console.md); here one is made, used once and thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.demo.ceremony import Ceremony
from hub.adapters.pki import CONSOLE, Authority
from hub.model import HUB

ORGANISATION: Final = "Demo operations"
PEOPLE: Final = {"operator": "Operations desk", "viewer": "Duty room"}
P12_PASSWORD: Final = "demo"  # noqa: S105  a browser wants one to import a certificate


@dataclass(frozen=True)
class DemoConsole:
    """A console that is ready to start: its configuration, its state folder, and where people's certificates are."""

    config: Path
    people: Path

    @property
    def state(self) -> Path:
        """Its state folder, where its addresses stand too."""
        return self.config.parent / "state"

    @property
    def url(self) -> str:
        """Where it is, once it is ready."""
        return "https://" + (self.state / "console.address").read_text(encoding="ascii").strip()

    def describe(self) -> dict[str, str]:
        """For stack.json: the address, and the files of each person."""
        described = {"url": self.url, "ca": str(self.people / "ca.pem"), "p12_password": P12_PASSWORD}
        for role in PEOPLE:
            described |= {f"{role}_{kind}": str(self.people / f"{role}.{kind}") for kind in ("pem", "key", "p12")}
        return described


def prepare_console(ceremony: Ceremony, bootstrap: str, authority: Path, prometheus: str) -> DemoConsole:
    """Certificates and configuration of a console; it follows the directory on Kafka. ``prometheus`` is its address."""
    folder = ceremony.folder / "console"
    people = folder / "people"
    people.mkdir(parents=True)
    _make_certificates(people)
    tls = Authority.load(authority).issue_client(CONSOLE, folder / "kafka")
    (folder / "people.toml").write_text(
        "\n".join(
            f'[[person]]\norganisation = "{ORGANISATION}"\nname = "{name}"\nrole = "{role}"\n'
            for role, name in PEOPLE.items()
        ),
        encoding="utf-8",
    )
    config = folder / "console.toml"
    config.write_text(
        f"""name = "console-1"
state = "state"
listen = "127.0.0.1:0"
people = "people.toml"
subscriptions = "{ceremony.site(HUB) / "subscriptions"}"

[tls]
certificate = "people/console.pem"
key = "people/console.key"
people_ca = "people/ca.pem"

[kafka]
bootstrap = "{bootstrap}"
ca = "{tls.ca}"
certificate = "{tls.certificate}"
key = "{tls.key}"

[directory]
root = "{ceremony.folder / "root.json"}"

[prometheus]
url = "http://{prometheus}"
""",
        encoding="utf-8",
    )
    return DemoConsole(config, people)


def _make_certificates(folder: Path) -> None:
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Demo people")])
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _builder(issuer, issuer, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    for name, subject in {"console": "console", **PEOPLE}.items():
        key = ec.generate_private_key(ec.SECP256R1())
        full = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
                x509.NameAttribute(NameOID.COMMON_NAME, subject),
            ]
        )
        usage = ExtendedKeyUsageOID.SERVER_AUTH if name == "console" else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(full, issuer, key).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if name == "console":
            hosts = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
            builder = builder.add_extension(hosts, critical=False)
        certificate = builder.sign(ca_key, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        secret = folder / f"{name}.key"
        secret.touch(mode=0o600)
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if name in PEOPLE:
            password = BestAvailableEncryption(P12_PASSWORD.encode())
            bundle = pkcs12.serialize_key_and_certificates(subject.encode(), key, certificate, None, password)
            (folder / f"{name}.p12").write_bytes(bundle)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=30))
    )
