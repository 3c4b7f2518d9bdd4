"""Real routers on a real Kafka: one is killed in mid-stream, and nothing is lost; what is refused stops nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from hub.adapters.kafka import KafkaProducer
from hub.adapters.kafka_reader import read_topic
from hub.model import HUB, AgencyId
from hub.ports import OutgoingRecord
from hub.stubs import Wanted, make_stub
from hub.topics import QUARANTINE
from hub.trust.stub import verify_stub
from hub.wire.bundle import parse_delivered
from hub.wire.frames import parse_entry, parse_head
from hub.wire.quarantine import parse_quarantined
from tests.support.authority import World
from tests.support.broker import Broker
from tests.support.deployment import Deployment, wait_ready
from tests.support.routing import Site

pytestmark = pytest.mark.broker

SITES, BUNDLES = 6, 40


@pytest.fixture
def deployment(broker: Broker, tmp_path: Path) -> Iterator[Deployment]:
    world = World.of("JCF", "ATF", "RSS", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "trace.request")
    world.agree("JCF", "RSS", "trace.request")
    deployment = Deployment(tmp_path / "deployment", broker, world)
    deployment.subscribe("ATF", ["trace.request"])
    try:
        yield deployment
    finally:
        deployment.stop()


async def delivered(broker: Broker, agency: str) -> dict[bytes, list[int]]:
    """For each instance, the numbers that stand on the agency's topic, in order."""
    found: dict[bytes, list[int]] = {}
    async for record in read_topic(broker.bootstrap, broker.client_files(agency), f"deliver.{agency}"):
        value = parse_delivered(record.value)
        instance = parse_head(value.head).core.lane.instance
        found.setdefault(instance, []).append(parse_entry(value.entry).recipient_seq)
    return found


async def test_one_of_two_routers_is_killed_and_nothing_is_lost(broker: Broker, deployment: Deployment) -> None:
    world = deployment.world
    configs = [deployment.router_config(name) for name in ("router-a", "router-b")]
    routers = [deployment.start("router", "run", "--config", config) for config in configs]
    states = [deployment.folder / HUB / f"{name}.state" for name in ("router-a", "router-b")]
    for state in states:
        wait_ready(state)
    sites = [Site(world, "JCF") for _ in range(SITES)]
    producer = KafkaProducer(broker.bootstrap, broker.client_files("JCF"))
    await producer.start()
    for number in range(BUNDLES):
        records = [site.seal(["ATF", "RSS"], events=3) for site in sites]
        outgoing = [OutgoingRecord("ingest.JCF", record.key, record.value) for record in records]
        outgoing.append(OutgoingRecord("ingest.JCF", sites[0].sealer.instance, b"garbage %d" % number))
        await producer.send(outgoing)
        if number == BUNDLES // 2:
            routers[0].kill()
    await producer.stop()

    wanted = {site.sealer.instance: list(range(1, BUNDLES + 1)) for site in sites}
    got: dict[bytes, list[int]] = {}
    async with asyncio.timeout(60):
        while any(set(got.get(instance, ())) != set(numbers) for instance, numbers in wanted.items()):
            await asyncio.sleep(0.5)
            got = await delivered(broker, "ATF")
    for instance, numbers in wanted.items():
        first_seen = list(dict.fromkeys(got[instance]))
        assert first_seen == numbers  # some may stand twice, after the kill; in order all the same

    tls = broker.client_files("HUB")
    kept = [parse_quarantined(r.value) async for r in read_topic(broker.bootstrap, broker.operator, QUARANTINE)]
    garbage = {q.value for q in kept if q.topic == "ingest.JCF" and q.value.startswith(b"garbage")}
    assert garbage == {b"garbage %d" % number for number in range(BUNDLES)}
    assert {q.code for q in kept if q.value in garbage} == {"frame.kind_wrong"}

    # RSS has no subscription: it is told so by the hub, whose notices need neither agreement nor subscription.
    async with asyncio.timeout(30):
        while not [i for i in await delivered(broker, "RSS") if i not in wanted]:
            await asyncio.sleep(0.5)
    assert not set(await delivered(broker, "RSS")) & set(wanted)

    address = (states[1] / "metrics.address").read_text().strip()
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://{address}/metrics")).text
    assert 'cgi_quarantined_total{code="frame.kind_wrong",publisher="JCF"}' in metrics
    assert 'outcome="delivered"' in metrics
    assert "cgi_directory_version" in metrics
    assert 'cgi_certificate_expiry_timestamp_seconds{certificate="client"}' in metrics

    # The stub that is owed for one of them.
    about = Wanted(AgencyId("JCF"), sites[2].sealer.instance, AgencyId("RSS"), 7)
    now_ms = int(time.time() * 1000)
    async with aclosing(read_topic(broker.bootstrap, tls, "ingest.JCF")) as records:
        value = await make_stub(records, about, hub=HUB, directory=world.directory(), now_ms=now_ms)
    stub = verify_stub(value, hub=HUB, recipient=AgencyId("RSS"), directory=world.directory(), now_ms=now_ms)
    assert (stub.publisher, stub.recipient_seq, stub.n) == ("JCF", 7, 3)

    routers[1].terminate()
    assert routers[1].wait(20) == 0, deployment.logs()
    assert not (states[1] / "metrics.address").exists()
