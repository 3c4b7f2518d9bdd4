"""The programs of docs/guides/client.md, run as they stand, between two sites with a router on the real Kafka."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.model import HUB
from tests.support.authority import World
from tests.support.broker import Broker
from tests.support.deployment import Deployment, wait_ready
from tests.support.samples import sample_document

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/guides/client.md"
RELEASE = """
agency: GUIDE-P
allow:
  - rule: they trace for us
    types: [trace.request]
    to: GUIDE-R
    compartments: [core]
"""


@pytest.fixture
def deployment(broker: Broker, tmp_path: Path) -> Iterator[Deployment]:
    world = World.of("GUIDE-P", "GUIDE-R", now_ms=int(time.time() * 1000))
    world.agree("GUIDE-P", "GUIDE-R", "trace.request")
    deployment = Deployment(tmp_path / "deployment", broker, world)
    deployment.subscribe("GUIDE-R", ["trace.request"])
    deployment.subscribe("GUIDE-P", ["trace.result"])
    try:
        yield deployment
    finally:
        deployment.stop()


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def start(program: str, folder: Path) -> subprocess.Popen[str]:
    path = folder / "program.py"
    path.write_text(program)
    return subprocess.Popen(
        [sys.executable, "-u", path],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_programs_of_the_guide(deployment: Deployment) -> None:
    publish, receive = programs()
    publisher = deployment.site_config("GUIDE-P", release=RELEASE).parent
    recipient = deployment.site_config("GUIDE-R").parent
    deployment.start("router", "run", "--config", deployment.router_config("guide-router"))
    wait_ready(deployment.folder / HUB / "guide-router.state")

    cases = [("case 1", sample_document("trace.request")), ("case 2", sample_document("trace.ack"))]
    lines = [json.dumps({"case": case, "document": document}) for case, document in cases]
    (publisher / "documents.jsonl").write_text("\n".join(lines) + "\n")
    for _ in range(2):  # the second time it is a duplicate
        said, errors = start(publish, publisher).communicate(timeout=60)
        assert said.splitlines()[0] == "case 1 goes to GUIDE-R", errors
        assert said.splitlines()[1].startswith("case 2 refused: release.nobody"), errors

    receiving = start(receive, recipient)
    try:
        if receiving.stdout is None:
            raise AssertionError("its output is read here")
        words = next(line for line in receiving.stdout if line.startswith("GUIDE-P")).split()
        assert words[:2] == ["GUIDE-P", "trace.request"]
        assert words[3] == sample_document("trace.request")["body"]["ori"]
    finally:
        receiving.send_signal(signal.SIGKILL)
        receiving.communicate(timeout=20)
