"""deploy/demo/console.py: the console of `make up` has a configuration that loads and people who come in."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from deploy.demo.ceremony import Ceremony
from deploy.demo.console import P12_PASSWORD, PEOPLE, prepare_console
from hub.adapters.pki import Authority
from hub.console.people import People
from hub.console.server import ServerTls
from hub.model import HUB
from hub.settings import load_console
from tests.support.authority import World


def test_the_console_of_the_stack(tmp_path: Path) -> None:
    ceremony = Ceremony(tmp_path, lambda _command: None)
    (ceremony.site(HUB) / "subscriptions").mkdir(parents=True)
    (tmp_path / "root.json").write_bytes(World.of("ATF").root_bytes())
    Authority.create(tmp_path / "pki")
    console = prepare_console(ceremony, "127.0.0.1:9093", tmp_path / "pki", "127.0.0.1:9090")
    settings = load_console(console.config)
    assert settings.state == console.state
    ServerTls(settings.tls.certificate, settings.tls.key, settings.tls.people_ca).check()
    people = People(settings.people)
    context = ssl.create_default_context(cafile=str(console.people / "ca.pem"))
    for role, name in PEOPLE.items():
        context.load_cert_chain(console.people / f"{role}.pem", console.people / f"{role}.key")
        certificate = x509.load_pem_x509_certificate((console.people / f"{role}.pem").read_bytes())
        person = people.identify(certificate.public_bytes(Encoding.DER))
        assert (person.name, person.role) == (name, role)
        bundle = pkcs12.load_pkcs12((console.people / f"{role}.p12").read_bytes(), P12_PASSWORD.encode())
        assert bundle.cert is not None
        assert bundle.cert.certificate == certificate
