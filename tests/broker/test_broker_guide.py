"""docs/guides/broker.md: every command in it works, in the order in which it stands there."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.adapters.broker_process import BrokerProcess, _free_port
from hub.app.broker import run_follower
from hub.settings import load_broker
from tests.support.authority import World
from tests.support.broker import DEPLOY, JARS, ROOT
from tests.support.command import hub

pytestmark = pytest.mark.broker

GUIDE = (ROOT / "docs" / "guides" / "broker.md").read_text("utf-8")
PLACES = f"--deploy {DEPLOY} --jars {JARS}"


def commands() -> list[str]:
    """The guide's indented commands of ours, without their comments."""
    return [
        line.split("  #")[0].strip().removeprefix("hub ") for line in re.findall(r"^    (hub .*)$", GUIDE, re.MULTILINE)
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    world = World.of("ATF", "JCF", now_ms=int(time.time() * 1000))
    for path, raw in world.publish().files.items():
        (tmp_path / "directory" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "directory" / path).write_bytes(raw)
    (tmp_path / "root.json").write_bytes(world.root_bytes())
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    BrokerProcess(tmp_path / "build" / "kafka", deploy=DEPLOY, jars=JARS).stop()


def run(line: str, port: int) -> str:
    """The command as it stands there, but for the port, for where the checkout is, and for the answer to a question."""
    line = line.replace("9093", str(port))
    if line.startswith(("broker start", "broker renew")):
        line += f" {PLACES}"
    if "apply" in line or "--request" in line:
        line += " --yes"
    ran = hub(line)
    assert ran.code == 0, (line, ran.err)
    return ran.out


def test_every_command_works(folder: Path) -> None:
    port = _free_port("127.0.0.1")
    said = {}
    for line in commands():
        if not line.startswith("broker follow"):
            said[line.split()[1]] = run(line, port)
    assert "kind: KafkaUser" in said["export"]
    assert (folder / "desk-1" / "tls" / "tls.pem").exists()
    assert (folder / "sites" / "JCF" / "tls" / "tls.pem").exists()
    plan = next(line for line in commands() if line.startswith("broker plan"))
    assert run(plan, port) == "nothing to change\n"
    follow(port)


def follow(port: int) -> None:
    """With the configuration that the guide shows, its places put where these tests have them."""
    config = GUIDE.split("Its configuration:")[1].split("Measured")[0]
    text = re.sub(r"^    ", "", config, flags=re.MULTILINE)
    for there, here in (
        ('"/var/lib/cgi-hub/broker"', '"state"'),
        ("kafka-1:9093,kafka-2:9093", f"127.0.0.1:{port}"),
        ('"operator/', '"build/kafka/pki/operator/'),
        ("127.0.0.1:9465", "127.0.0.1:0"),
    ):
        assert there in text
        text = text.replace(there, here)
    Path("broker.toml").write_text(text)
    agencies = GUIDE.split("    agencies:")[1].split("\n\n")[0]
    Path("quotas.yaml").write_text("agencies:" + re.sub(r"^    ", "", agencies, flags=re.MULTILINE))

    async def until_ready() -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_follower(load_broker(Path("broker.toml")), stop=stop))
            plan = next(line for line in commands() if line.startswith("broker plan")) + " --quotas quotas.yaml"
            async with asyncio.timeout(60):
                while await asyncio.to_thread(run, plan, port) != "nothing to change\n":
                    await asyncio.sleep(0.2)
            stop.set()

    asyncio.run(until_ready())


def test_the_guide_has_them_all() -> None:
    told = {line.split()[1] for line in commands()}
    assert told == {
        "start",
        "apply",
        "issue",
        "plan",
        "follow",
        "request",
        "renew",
        "certify-ca",
        "export",
        "issue-node",
    }
