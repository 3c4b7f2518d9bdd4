"""hub/cli/site.py, publish.py, router.py: what is wrong is one line and the right exit code, without any Kafka."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from hub.adapters.files import write_file
from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFiles
from hub.cli import main
from tests.support.authority import World
from tests.support.deployment import Deployment


class NoBroker:
    """What a deployment needs of a broker, without one: an address where nobody listens, and certificates."""

    bootstrap = "127.0.0.1:9"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority.create(folder / "ca")

    def add_agencies(self, _agencies: object) -> None:
        """Nothing to add them to."""

    def client_files(self, principal: str) -> TlsFiles:
        return self._authority.issue_client(principal, self._folder / principal)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    world = World.of("JCF", "ATF", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "trace.request")
    made = Deployment(tmp_path / "deployment", NoBroker(tmp_path), world)  # type: ignore[arg-type]
    made.subscribe("JCF", ["trace.result"])
    return made


SINK = '[[sink]]\nkind = "jsonl"\npath = "out.jsonl"\n'


def test_a_site_that_is_in_order(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    config = deployment.site_config("JCF", tables=SINK)
    assert main.run(["site", "check", "--config", str(config)]) == 0
    words = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert words == ["certificate", "directory", "signing", "KEM", "release", "subscription", "sink"]


def wrong(deployment: Deployment, capsys: pytest.CaptureFixture[str], config: Path, command: str = "check") -> str:
    arguments = {"check": ["site", "check"], "run": ["site", "run"], "router": ["router", "run"]}[command]
    code = main.run([*arguments, "--config", str(config)])
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: "), said
    assert "Traceback" not in said
    return f"{code} {said.splitlines()[-1]}"


def test_a_key_that_the_directory_does_not_list(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    config = deployment.site_config("JCF")
    other = deployment.site_config("ATF")
    shutil.copy(other.parent / "signing.key", config.parent / "signing.key")
    assert wrong(deployment, capsys, config).startswith("2 error: settings.own_key_not_listed")


def test_a_key_that_others_can_read(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    config = deployment.site_config("JCF")
    (config.parent / "signing.key").chmod(0o644)
    assert wrong(deployment, capsys, config).startswith("2 error: key_file.exposed")


def test_a_directory_that_is_refused(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    config = deployment.site_config("JCF")
    write_file(deployment.folder / "directory.json", b"{}")
    assert wrong(deployment, capsys, config).startswith("3 error: directory.refused")


def test_a_rule_with_a_typo(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    release = "agency: JCF\nallow:\n  - rule: r\n    types: [trace.requst]\n    to: [ATF]\n    compartments: [core]\n"
    config = deployment.site_config("JCF", release=release)
    said = wrong(deployment, capsys, config)
    assert said.startswith("2 error: ")
    assert "release.yaml:4" in said


def test_a_site_without_anything_to_run(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    config = deployment.site_config("JCF")
    assert wrong(deployment, capsys, config, "run").startswith("2 error: settings.needed")


def test_a_router_with_a_subscription_that_tells_content(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    path = deployment.subscribe("ATF", ["trace.request"])
    path.write_text(path.read_text() + "    when: {field: channel, is: ETRACE}\n")
    said = wrong(deployment, capsys, deployment.router_config(), "router")
    assert said.startswith("2 error: "), said
    assert "ATF.yaml" in said


def test_publishing_where_kafka_is_away_keeps_it_in_the_outbox(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    release = "agency: JCF\nallow:\n  - rule: r\n    types: [trace.request]\n    to: [ATF]\n    compartments: [core]\n"
    config = deployment.site_config("JCF", release=release)
    example = Path(__file__).parents[3] / "schemas/examples/trace.request/valid/legible-pistol.json"
    file = deployment.folder / "register.jsonl"
    file.write_text(json.dumps(json.loads(example.read_text())) + "\n")
    arguments = ["publish", str(file), "--config", str(config), "--wait", "0.2", "--json"]
    assert main.run(arguments) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "published": 1,
        "duplicates": 0,
        "rejected_rows": 0,
        "waiting_records": 1,
        "waiting_events": 0,
    }
    assert "error: unavailable: Kafka has not acknowledged everything" in captured.err
    assert main.run(arguments) == 3  # published before: nothing is sealed anew
    assert json.loads(capsys.readouterr().out)["duplicates"] == 1


def test_a_stub_that_is_none(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    config = deployment.site_config("JCF")
    (deployment.folder / "stub").write_bytes(b"garbage")
    assert main.run(["site", "verify-stub", str(deployment.folder / "stub"), "--config", str(config)]) == 1
    assert "error: frame.kind_wrong" in capsys.readouterr().err


def test_an_instance_that_is_not_hexadecimal(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    config = deployment.router_config()
    entry = ["--publisher", "JCF", "--instance", "xyz", "--to", "ATF", "--seq", "1", "--out", "x"]
    assert main.run(["router", "stub", "--config", str(config), *entry]) == 2
