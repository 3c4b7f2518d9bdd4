"""The version before and this one side by side on a real broker: router, recipient, publisher, forward and back.

docs/guides/upgrade.md promises what is asserted here. The version before is a commit of this repository, run from its
own files with today's libraries; without the history (a shallow clone) the test is skipped.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Final

import httpx
import pytest

from hub.model import HUB
from tests.broker.test_backup_restore import SINK, SOURCE, drop, received
from tests.broker.test_site_processes import RELEASE, hub, wait_for
from tests.support.authority import World
from tests.support.broker import Broker, running_broker
from tests.support.deployment import HUB_COMMAND, Deployment, wait_ready

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
BEFORE: Final = "c90e1d305b7caf3cb55d18beabd35df3f0142389"
"""The first version whose directory is a repository: no older one works beside this. At a release: its tag."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the version before."""
    archive = subprocess.run(
        ["git", "archive", BEFORE, "hub", "connectors", "schemas"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip("this clone does not have the version before")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="tar")
    found = subprocess.run(
        [sys.executable, "-P", "-c", "import hub, connectors; print(hub.__file__, connectors.__file__)"],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.count(str(folder)) == 2  # it is really the one that runs
    return folder


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


class Stage:
    """The processes of one deployment, each of the version before or of this one."""

    def __init__(self, deployment: Deployment, before: Path) -> None:
        self.deployment = deployment
        self.before = before
        self.jcf = deployment.site_config("JCF", release=RELEASE, tables=SOURCE)
        self.atf = deployment.site_config("ATF", tables=SINK)
        (self.jcf.parent / "register").mkdir()
        self.rows = 0
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *, old: bool) -> None:
        """``JCF``, ``ATF`` or a router's name. Returns when it is ready."""
        sites = {"JCF": self.jcf, "ATF": self.atf}
        config = sites.get(name) or self.deployment.router_config(name)
        words = ["site" if name in sites else "router", "run", "--config", str(config)]
        environment = os.environ | ({"PYTHONPATH": str(self.before)} if old else {})
        command = [sys.executable, "-P", "-c", HUB_COMMAND[-1], *words] if old else [*HUB_COMMAND, *words]
        with (self.deployment.folder / f"{len(self.deployment.processes)}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.deployment.processes.append(self.running[name])
        wait_ready(config.parent / ("state" if name in sites else f"{name}.state"), 60)

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        assert process.wait(40) == 0, self.deployment.logs()

    def publish(self, count: int = 10) -> None:
        drop(self.jcf.parent / "register", f"{self.rows:05}.jsonl", range(self.rows, self.rows + count))
        self.rows += count

    def arrived(self) -> None:
        """All that was published is in ATF's file, each once."""
        wait_for(lambda: len(received(self.atf)) >= self.rows, 90)
        refs = Counter(event["body"]["header"]["originator_case_ref"] for event in received(self.atf))  # type: ignore[index]
        assert refs == {f"KGN/2026/{number:05}": 1 for number in range(self.rows)}

    def metrics(self, name: str) -> str:
        folder = self.atf.parent / "state" if name == "ATF" else self.deployment.folder / HUB / f"{name}.state"
        return httpx.get(f"http://{(folder / 'metrics.address').read_text().strip()}/metrics").text


def outbox_version(stage: Stage) -> str:
    with closing(sqlite3.connect(stage.jcf.parent / "state/outbox.sqlite")) as db:
        (found,) = db.execute("SELECT value FROM identity WHERE name = 'version'").fetchone()
    return str(found)


def test_forward_and_back_and_nothing_is_lost(deployment: Deployment, before: Path, tmp_path: Path) -> None:
    stage = Stage(deployment, before)
    for name in ("router-old", "ATF", "JCF"):
        stage.start(name, old=True)
    stage.publish()
    stage.arrived()

    # --- routers: a new one beside the old one, under load, then the old one goes
    stage.publish()
    stage.start("router-new", old=False)
    stage.publish()
    stage.stop("router-old")
    stage.publish()
    stage.arrived()

    # --- the recipient, then the publisher, each on its state
    stage.publish()
    stage.stop("ATF")
    stage.publish()
    stage.start("ATF", old=False)
    stage.arrived()
    stage.stop("JCF")
    assert outbox_version(stage) == "1"
    assert hub("site", "backup", tmp_path / "JCF.backup", "--config", stage.jcf).returncode == 0  # of the older file
    stage.start("JCF", old=False)
    stage.publish()
    stage.arrived()
    assert outbox_version(stage) == "2"

    # --- and back: the publisher first. The older program does not touch what it does not know
    stage.stop("JCF")
    command = [sys.executable, "-P", "-c", HUB_COMMAND[-1], "site", "run", "--config", str(stage.jcf)]
    refused = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(before)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (refused.returncode, "store.foreign" in refused.stderr) == (2, True), refused.stderr
    assert "found=2 wanted=1" in refused.stderr.replace(",", "")
    back = hub("site", "downgrade", "outbox", "--config", stage.jcf, "--yes", "--json")
    assert (back.returncode, back.stdout) == (0, '{"store": "outbox", "from": 2, "to": 1}\n')
    stage.start("JCF", old=True)
    stage.publish()
    stage.arrived()
    stage.stop("ATF")
    stage.publish()
    stage.start("ATF", old=True)
    stage.start("router-old", old=True)
    stage.stop("router-new")
    stage.publish()
    stage.arrived()
    metrics = stage.metrics("ATF")
    assert "cgi_alarms_total{" not in metrics  # no chain is broken by any of it
    missing = [line for line in metrics.splitlines() if line.startswith('cgi_missing_records{explained="no"')]
    assert all(line.endswith(" 0.0") for line in missing), missing


def test_a_publisher_that_goes_first_is_read_later(deployment: Deployment, before: Path) -> None:
    """A new version of an event type is not known to an older recipient: it keeps what it refuses (docs/adr/0115)."""
    stage = Stage(deployment, before)
    stage.start("router-old", old=True)
    stage.start("ATF", old=True)
    stage.start("JCF", old=False)
    stage.publish()
    wait_for(lambda: 'reason="event.version_unknown"' in stage.metrics("ATF") or len(received(stage.atf)) >= 10, 90)
    stage.stop("ATF")
    refused = hub("site", "rejected", "--config", stage.atf, "--json").stdout.splitlines()
    if not refused:
        pytest.skip("no event type of this kind has changed since")
    retried = hub("site", "retry", "--config", stage.atf, "--json")
    assert retried.returncode == 0, retried.stderr
    assert {json.loads(line)["outcome"] for line in retried.stdout.splitlines()} == {"written"}
    stage.start("ATF", old=False)
    stage.publish()
    stage.arrived()
