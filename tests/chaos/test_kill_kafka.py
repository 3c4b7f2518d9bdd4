"""The same over the real Kafka, with mutual TLS and ACLs: publisher and subscriber killed while the router routes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.errors import BusRebalanced
from hub.model import HUB
from hub.ports import OutgoingRecord
from hub.routing import route_bundle
from hub.topics import ROUTER_GROUP, deliver_topic, ingest_topic
from hub.trust.checks import FlushCache
from tests.chaos.processes import PUBLISHER, RECIPIENT, Kafka, draw_moment, make_net, present, publish, subscribe
from tests.chaos.test_kill import SIGKILL, assert_exact, run
from tests.support.broker import Broker
from tests.support.routing import Asking

TOTAL = 150
KILLS = 3
"""Of each. A subscriber that was killed is in the group until its session ends, 6 s."""


async def route(kafka: Kafka) -> None:
    """The router's part, until it is cancelled: verify, decide, deliver, commit."""
    net, flushes = make_net(now_ms=present(kafka)), FlushCache()
    consumer = KafkaConsumer(kafka[0], kafka[1][HUB], group=ROUTER_GROUP, topics=[ingest_topic(PUBLISHER)])
    producer = KafkaProducer(kafka[0], kafka[1][HUB])
    try:
        await producer.start()
        await consumer.start()
        while True:
            records = await consumer.poll(max_records=50, wait=0.2)
            for record in records:
                routed = route_bundle(
                    record.value,
                    owner=PUBLISHER,
                    hub=HUB,
                    directory=net.directory.current(),
                    subscriptions=Asking(RECIPIENT),
                    now_ms=net.clock.now_ms(),
                    flushes=flushes,
                )
                deliveries = [d for d in routed.deliveries if d.agency == RECIPIENT]
                await producer.send([OutgoingRecord(deliver_topic(RECIPIENT), record.key, d.value) for d in deliveries])
            if records:
                with suppress(BusRebalanced):
                    await consumer.commit({(r.topic, r.partition): r.offset + 1 for r in records})
    finally:
        await consumer.stop()
        await producer.stop()


async def kill_and_restart(folder: Path, kafka: Kafka, chance: random.Random) -> int:
    """Both processes side by side, killed and started again, until everything has come; how often one was killed."""
    targets: dict[str, Callable[..., None]] = {"published": publish, "received": subscribe}

    async def run_to_the_end(done: str) -> int:
        kills = 0
        while not (folder / done).exists():
            process = run(targets[done], folder, TOTAL, kafka, draw_moment(chance) if kills < KILLS else None)
            await asyncio.to_thread(process.join)
            assert process.exitcode in (0, SIGKILL)
            kills += process.exitcode == SIGKILL
        return kills

    return sum(await asyncio.gather(*(run_to_the_end(done) for done in targets)))


@pytest.mark.broker
@pytest.mark.timeout(180)
async def test_killed_over_kafka(
    broker: Broker, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = random.randrange(10**6)
    record_property("seed", seed)
    broker.add_agencies([PUBLISHER, RECIPIENT])
    kafka: Kafka = broker.bootstrap, {agency: broker.client_files(agency) for agency in (PUBLISHER, RECIPIENT, HUB)}
    async with asyncio.timeout(150):
        routing = asyncio.ensure_future(route(kafka))
        try:
            kills = await kill_and_restart(tmp_path, kafka, random.Random(seed))
        finally:
            routing.cancel()
            await asyncio.wait([routing])
    assert kills >= 2
    assert_exact(tmp_path, TOTAL)
