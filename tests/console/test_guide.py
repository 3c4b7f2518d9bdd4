"""docs/guides/console.md: its files load, its commands make certificates that come in."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.adapters.pki import Authority
from hub.cli.main import run
from hub.console.people import People
from hub.console.server import ServerTls
from hub.settings import load_console
from tests.support.authority import World

GUIDE = (Path(__file__).parents[2] / "docs/guides/console.md").read_text("utf-8")
BLOCKS = re.findall(r"```(sh|toml)\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the guide makes, in a folder."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    for kind, text in BLOCKS:
        if kind == "toml":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
    script = next(text for kind, text in BLOCKS if "openssl" in text)
    done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    Authority.create(tmp_path / "pki").issue_client("console", tmp_path / "kafka")
    (tmp_path / "subscriptions").mkdir()
    (tmp_path / "root.json").write_bytes(World.of("ATF").root_bytes())
    return tmp_path


def test_the_files_load_and_the_people_come_in(folder: Path) -> None:
    settings = load_console(folder / "console.toml")
    assert (settings.name, settings.listen) == ("console-1", "127.0.0.1:8443")
    tls = ServerTls(settings.tls.certificate, settings.tls.key, settings.tls.people_ca)
    tls.check()
    context = ssl.create_default_context(cafile=str(folder / "people-ca.pem"))
    context.load_cert_chain(folder / "desk.pem", folder / "desk.key")
    certificate = x509.load_pem_x509_certificate((folder / "desk.pem").read_bytes())
    person = People(settings.people).identify(certificate.public_bytes(Encoding.DER))
    assert (person.subject, person.role) == ("Operations desk (Hub operations)", "operator")


def test_the_commands_of_the_guide_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command in set(re.findall(r"hub (?:console|status)(?: (?:run|audit|returned))?", GUIDE)):
        assert run([*command.split()[1:], "--help"]) == 0
    text = capsys.readouterr().out
    assert "--watch" in text


def test_every_screenshot_of_the_guide_is_there() -> None:
    for name in re.findall(r"\(\.\./console/([a-z-]+\.png)\)", GUIDE):
        assert (Path(__file__).parents[2] / "docs/console" / name).is_file()
