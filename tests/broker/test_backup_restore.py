"""Two sites lose their disks and go on from old backups: nothing is lost, and what comes twice is what was said.

docs/guides/backup.md promises what is asserted here, word by word.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.model import HUB
from tests.broker.test_site_processes import EXAMPLE, RELEASE, hub, wait_for
from tests.support.authority import World
from tests.support.broker import Broker, running_broker
from tests.support.deployment import Deployment, wait_ready

pytestmark = [pytest.mark.broker, pytest.mark.timeout(420)]

SOURCE = """
[[source]]
kind = "folder"
path = "register"
settle_seconds = 0.1
poll_seconds = 0.1
files = [{ match = "*.jsonl", key = ["body.header.originator_case_ref"] }]
"""
SINK = '[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n'


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker(tmp_path / "node") as broker:
        yield broker


@pytest.fixture
def deployment(broker: Broker, tmp_path: Path) -> Iterator[Deployment]:
    world = World.of("JCF", "ATF", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "trace.request")
    deployment = Deployment(tmp_path / "deployment", broker, world)
    deployment.subscribe("ATF", ["trace.request"])
    deployment.subscribe("JCF", ["trace.result"])
    try:
        yield deployment
    finally:
        deployment.stop()


def drop(register: Path, name: str, rows: range) -> None:
    """A file of rows into the watched folder, whole at once."""
    document = json.loads(EXAMPLE.read_text())
    lines = []
    for number in rows:
        document["body"]["header"]["originator_case_ref"] = f"KGN/2026/{number:05}"
        lines.append(json.dumps(document))
    (register / f"{name}.tmp").write_text("\n".join(lines) + "\n")
    (register / f"{name}.tmp").rename(register / name)


def received(atf: Path) -> list[dict[str, object]]:
    file = atf.parent / "received.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines() if line] if file.exists() else []


def backup(config: Path, to: Path) -> None:
    done = hub("site", "backup", to, "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    assert "outbox.sqlite" in json.loads(done.stdout)["files"] or "inbox.sqlite" in json.loads(done.stdout)["files"]


def lose_and_restore(config: Path, source: Path) -> None:
    state = config.parent / "state"
    shutil.rmtree(state)
    refused = hub("site", "restore", source, "--config", config)
    assert (refused.returncode, "give --yes" in refused.stderr) == (2, True)  # nobody was there to ask
    done = hub("site", "restore", source, "--config", config, "--yes")
    assert done.returncode == 0, done.stderr
    again = hub("site", "restore", source, "--config", config, "--yes")
    assert (again.returncode, "backup.state_exists" in again.stderr) == (2, True)


def test_old_backups_of_both_ends(deployment: Deployment, tmp_path: Path) -> None:
    jcf = deployment.site_config("JCF", release=RELEASE, tables=SOURCE)
    atf = deployment.site_config("ATF", tables=SINK)
    register = jcf.parent / "register"
    register.mkdir()
    router = deployment.start("router", "run", "--config", deployment.router_config())
    wait_ready(deployment.folder / HUB / "router.state")

    def start(config: Path) -> subprocess.Popen[bytes]:
        site = deployment.start("site", "run", "--config", config)
        wait_ready(config.parent / "state")
        return site

    sites = [start(atf), start(jcf)]
    drop(register, "first.jsonl", range(40))
    wait_for(lambda: len(received(atf)) >= 40, 60)
    backup(atf, tmp_path / "ATF.backup")
    backup(jcf, tmp_path / "JCF.backup")
    drop(register, "second.jsonl", range(40, 80))
    wait_for(lambda: len(received(atf)) >= 80, 60)
    for site in sites:
        site.terminate()
    assert [site.wait(30) for site in sites] == [0, 0], deployment.logs()

    # --- both lose their state; the agency's own files (the register, what the sink wrote) are elsewhere and stay
    before = received(atf)
    lose_and_restore(jcf, tmp_path / "JCF.backup")
    lose_and_restore(atf, tmp_path / "ATF.backup")
    sites = [start(atf), start(jcf)]

    # --- whoever is not sure gives everything to the source again
    drop(register, "again-1.jsonl", range(40))
    drop(register, "again-2.jsonl", range(40, 80))
    drop(register, "third.jsonl", range(80, 100))
    wait_for(lambda: len(received(atf)) >= 140, 90)
    after = received(atf)

    # Nothing that ATF had is lost, though its inbox forgot the second half, and no event came twice.
    ids = [event["event_id"] for event in after]
    assert len(ids) == len(set(ids)) == 140
    assert {event["event_id"] for event in before} <= set(ids)
    # What JCF's outbox remembers is not published again; what it forgot is, as a new event; nothing else is.
    times = Counter(event["body"]["header"]["originator_case_ref"] for event in after)  # type: ignore[index]
    assert times == {f"KGN/2026/{n:05}": 2 if 40 <= n < 80 else 1 for n in range(100)}

    # ATF is told that an older outbox goes on; no number is used twice, so nothing is refused for it.
    address = (atf.parent / "state/metrics.address").read_text().strip()
    metrics = httpx.get(f"http://{address}/metrics").text
    assert 'cgi_alarms_total{code="sequence.chain_conflict",publisher="JCF"}' in metrics
    assert "sequence.equivocation" not in metrics
    assert hub("site", "rejected", "--config", atf).stdout == "nothing is refused\n"
    for process in (router, *sites):
        process.terminate()
    assert [process.wait(30) for process in (router, *sites)] == [0, 0, 0], deployment.logs()
