"""What happens to events while keys end and directories expire, with the commands and the real broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.adapters.kafka import KafkaProducer
from hub.model import HUB, AgencyId
from hub.ports import OutgoingRecord
from hub.topics import ingest_topic
from tests.broker.test_site_processes import hub, wait_for, write_rows
from tests.support.authority import DAY_MS, World
from tests.support.broker import Broker
from tests.support.deployment import Deployment, wait_ready
from tests.support.routing import Site

pytestmark = pytest.mark.broker

P, R = AgencyId("FLOW-P"), AgencyId("FLOW-R")
"""Agencies of these tests alone: on the session's broker nobody else writes to their topics."""

RELEASE = f"""
agency: {P}
allow:
  - rule: all of it
    types: [trace.request]
    to: [{R}]
    compartments: [core, personal, sensitive]
"""
SINK = '[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n'


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def deployment(broker: Broker, tmp_path: Path) -> Iterator[Deployment]:
    world = World.of(P, R, now_ms=now_ms())
    world.agree(P, R, "trace.request")
    deployment = Deployment(tmp_path / "deployment", broker, world)
    deployment.subscribe(P, ["trace.result"])
    deployment.subscribe(R, ["trace.request"])
    try:
        yield deployment
    finally:
        deployment.stop()


def received(config: Path) -> list[str]:
    """The case numbers in the recipient's sink, in its order."""
    path = config.parent / "received.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["body"]["header"]["originator_case_ref"] for line in lines]


def cases(first: int, last: int) -> list[str]:
    return [f"KGN/2026/{number:05}" for number in range(first, last)]


def metrics(address: str) -> str:
    return httpx.get(f"http://{address}/metrics", timeout=5).text


def test_a_signing_key_is_revoked_while_the_router_and_the_recipient_are_away(deployment: Deployment) -> None:
    world = deployment.world
    sender = deployment.site_config(P, release=RELEASE)
    receiver = deployment.site_config(R, tables=SINK)
    file = deployment.folder / "register.jsonl"
    write_rows(file, 5)
    assert hub("publish", file, "--config", sender).returncode == 0, "acknowledged by Kafka; nobody has read it"
    thief = Site(world, P)  # a process with the key, and a directory from before

    time.sleep(1.1)  # keys are valid to the second; what was appended before must be before
    world.now_ms = now_ms()
    world.revoke_signing_key(P)
    world.rotate_signing_key(P)
    deployment.publish_directory()
    world.now_ms = now_ms()
    stolen = thief.seal([R])

    async def append() -> None:
        producer = KafkaProducer(deployment.broker.bootstrap, deployment.broker.client_files(P))
        await producer.start()
        await producer.send([OutgoingRecord(ingest_topic(P), stolen.key, stolen.value)])
        await producer.stop()

    asyncio.run(append())
    deployment.start("router", "run", "--config", deployment.router_config("late"))
    address = wait_ready(deployment.folder / HUB / "late.state")
    quarantined = f'cgi_quarantined_total{{code="signing_key.revoked",publisher="{P}"}} 1.0'
    wait_for(lambda: quarantined in metrics(address))
    deployment.start("site", "run", "--config", receiver)
    wait_for(lambda: len(received(receiver)) >= 5)
    assert received(receiver) == cases(0, 5), "delivered after the revocation, and appended before it"
    assert hub("site", "rejected", "--config", receiver).stdout == "nothing is refused\n"


def test_the_directory_expires_publishing_waits_and_resumes(deployment: Deployment) -> None:
    world = deployment.world
    sender = deployment.site_config(P, release=RELEASE)
    receiver = deployment.site_config(R, tables=SINK)
    file = deployment.folder / "register.jsonl"
    write_rows(file, 3)
    world.now_ms = now_ms() - DAY_MS + 15_000  # dated a day ago, for a day
    world.expires_at_ms = world.now_ms + DAY_MS
    world.version += 1
    deployment.publish_directory()
    sealed = hub("publish", file, "--config", sender)
    assert sealed.returncode == 0, sealed.stderr
    wait_for(lambda: now_ms() > world.expires_at_ms + 1_000)

    write_rows(file, 8)
    waiting = hub("publish", file, "--config", sender, "--wait", "1", "--json")
    assert waiting.returncode == 3, waiting.stderr
    assert json.loads(waiting.stdout)["waiting_events"] == 5
    assert "no valid directory" in waiting.stderr
    again = hub("publish", file, "--config", sender, "--wait", "0.2", "--json")
    assert json.loads(again.stdout)["duplicates"] == 8, "what waits is known by its key"

    world.now_ms = now_ms()
    world.expires_at_ms = now_ms() + 30 * DAY_MS
    world.version += 1
    deployment.publish_directory()
    deployment.start("router", "run", "--config", deployment.router_config("resumes"))
    deployment.start("site", "run", "--config", receiver)
    resumed = hub("publish", file, "--config", sender, "--json")
    assert resumed.returncode == 0, resumed.stderr
    wait_for(lambda: len(received(receiver)) >= 8)
    assert received(receiver)[-8:] == cases(0, 8), "in their order, each once"
    assert hub("site", "refused", "--config", sender).stdout == "nothing was refused late\n"
