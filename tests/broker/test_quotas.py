"""A quota on the real node: who writes or reads more is made to wait, nothing is lost, and nobody else notices."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.kafka_quotas import alter_quotas, read_quotas
from hub.cluster import QuotaKey
from hub.errors import BusNotAuthorized, BusUnavailable, ConfigError
from hub.model import AgencyId
from hub.ports import OutgoingRecord
from hub.topics import Quotas
from tests.support.broker import AGENCIES, Broker, running_broker

pytestmark = pytest.mark.broker

RATE = 200_000
"""Bytes a second, of ATF alone."""
BATCH = [OutgoingRecord("ingest.ATF", b"k", bytes(100_000)) for _ in range(5)]
BATCHES = 8
SAVED_UP = 8
"""Seconds: Kafka looks at some of the last ones, and what was saved up in them goes through at once."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node of these tests' own, with ATF held to RATE by the operator's own quotas."""
    with running_broker(tmp_path_factory.mktemp("quotas")) as started:
        own = {"agencies": {"ATF": {"producer_byte_rate": RATE, "consumer_byte_rate": RATE}}}
        declaration = started.declaration.with_quotas(Quotas.model_validate(own))
        started.admin.apply(started.admin.plan(declaration, AGENCIES))
        yield started


async def write(broker: Broker, agency: str) -> float:
    """Seconds to write 4 MB as ``agency``."""
    producer = KafkaProducer(broker.bootstrap, broker.client_files(agency))
    await producer.start()
    try:
        began = time.monotonic()
        for _ in range(BATCHES):
            await producer.send([OutgoingRecord(f"ingest.{agency}", each.key, each.value) for each in BATCH])
        return time.monotonic() - began
    finally:
        await producer.stop()


async def test_a_producer_over_its_quota_is_made_to_wait_and_another_is_not(
    broker: Broker, record_property: Callable[[str, object], None]
) -> None:
    size = BATCHES * sum(len(record.value) for record in BATCH)
    async with asyncio.TaskGroup() as group:
        held, free = group.create_task(write(broker, "ATF")), group.create_task(write(broker, "JCF"))
    seconds = {"quota": RATE, "bytes": size, "held": round(held.result(), 1), "free": round(free.result(), 1)}
    record_property("quota", seconds)
    sys.stderr.write(f"a producer at its quota: {seconds}\n")
    assert held.result() > size / RATE - SAVED_UP
    assert held.result() > 3 * free.result()


async def test_a_consumer_over_its_quota_is_made_to_wait_and_loses_nothing(broker: Broker) -> None:
    producer = KafkaProducer(broker.bootstrap, broker.client_files("HUB"))
    await producer.start()
    for _ in range(4):
        await producer.send([OutgoingRecord(f"deliver.{to}", b"k", bytes(100_000)) for to in ("ATF", "JCF")] * 5)
    await producer.stop()

    async def read(agency: str) -> float:
        consumer = KafkaConsumer(
            broker.bootstrap, broker.client_files(agency), group=f"{agency}.x", topics=[f"deliver.{agency}"]
        )
        await consumer.start()
        try:
            began, got = time.monotonic(), 0
            while got < 20:
                got += len(await consumer.poll(max_records=100, wait=0.5))
                assert time.monotonic() - began < 90
            return time.monotonic() - began
        finally:
            await consumer.stop()

    async with asyncio.TaskGroup() as group:
        held, free = group.create_task(read("ATF")), group.create_task(read("JCF"))
    assert held.result() > 20 * 100_000 / RATE - SAVED_UP
    assert held.result() > 3 * free.result()


def test_the_quotas_are_read_as_they_were_set(broker: Broker) -> None:
    quotas = read_quotas(broker.bootstrap, broker.operator)
    assert quotas[(("user", "ATF"),), "producer_byte_rate"] == RATE
    assert quotas[(("user", "JCF"),), "producer_byte_rate"] > RATE
    assert {who for ((_, who),), _ in quotas} == set(AGENCIES)


def test_a_quota_for_all_others_and_one_of_a_client_are_seen_too(broker: Broker) -> None:
    others: QuotaKey = ((("user", None),), "consumer_byte_rate")
    client: QuotaKey = ((("client-id", "x"), ("user", "ATF")), "request_percentage")
    alter_quotas(broker.bootstrap, broker.operator, [(*others, 1e9), (*client, 2.5)])
    deadline = time.monotonic() + 20
    while not {others, client} <= (quotas := read_quotas(broker.bootstrap, broker.operator)).keys():
        assert time.monotonic() < deadline
    assert quotas[client] == 2.5
    plan = broker.admin.plan(broker.declaration, AGENCIES)
    assert {str(change) for change in plan.changes if change.action == "remove"} == {
        "- quota client-id x user ATF request_percentage: 2.5  # someone else has changed this",
        "- quota user (all others) consumer_byte_rate: 1000000000  # someone else has changed this",
    }
    alter_quotas(broker.bootstrap, broker.operator, [(*others, None), (*client, None)])


def test_who_may_not_and_who_is_away(broker: Broker) -> None:
    entity = (("user", str(AgencyId("ATF"))),)
    with pytest.raises(BusNotAuthorized):
        read_quotas(broker.bootstrap, broker.client_files("ATF"))
    with pytest.raises(BusNotAuthorized):
        alter_quotas(broker.bootstrap, broker.client_files("ATF"), [(entity, "producer_byte_rate", 1e9)])
    with pytest.raises(ConfigError):
        alter_quotas(broker.bootstrap, broker.operator, [(entity, "no_such_quota", 1.0)])
    with pytest.raises(BusUnavailable):
        read_quotas("127.0.0.1:1", broker.operator)
