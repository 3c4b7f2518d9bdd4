"""Certificates are renewed while records flow: nothing is lost, refused or restarted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.tls import load_certificate
from hub.ports import OutgoingRecord
from tests.support.broker import Broker, running_broker

pytestmark = pytest.mark.broker

TOPIC = "ingest.ATF"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node of these tests' own: what they write is no bundle."""
    with running_broker(tmp_path_factory.mktemp("renewal")) as started:
        yield started


class Flow:
    """A producer of ATF and a consumer of the hub that go on all the time."""

    def __init__(self, broker: Broker) -> None:
        self.producer = KafkaProducer(broker.bootstrap, broker.client_files("ATF"))
        self.consumer = KafkaConsumer(broker.bootstrap, broker.client_files("HUB"), group="hub.router", topics=[TOPIC])
        self.sent = 0
        self.ends = False
        self.got: list[int] = []

    async def write(self) -> None:
        while not self.ends:
            await self.producer.send([OutgoingRecord(TOPIC, b"k", str(self.sent).encode())])
            self.sent += 1

    async def read(self) -> None:
        while not self.ends or not self.got or self.got[-1] < self.sent - 1:
            self.got += [int(record.value) for record in await self.consumer.poll(max_records=500, wait=0.2)]

    async def more(self) -> None:
        """Until records written from now on have come."""
        until = self.sent + 20
        async with asyncio.timeout(60):
            while not self.got or self.got[-1] < until:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def flowing(broker: Broker) -> AsyncIterator[Flow]:
    flow = Flow(broker)
    await flow.producer.start()
    await flow.consumer.start()
    try:
        async with asyncio.TaskGroup() as group:  # a failure of either ends the test
            group.create_task(flow.write())
            group.create_task(flow.read())
            await flow.more()
            yield flow
            flow.ends = True
    finally:
        await flow.consumer.stop()
        await flow.producer.stop()


async def test_node_and_clients_are_renewed_under_load(broker: Broker, tmp_path: Path) -> None:
    node = broker.process.folder / "pki" / "node-1" / "tls.pem"
    before = load_certificate(node).serial_number
    async with flowing(broker) as flow:
        for _ in range(2):  # the second time the setting has its value already
            await asyncio.to_thread(broker.process.renew_certificate)
            await flow.more()
        for agency in ("ATF", "HUB"):
            broker.authority.issue_client(agency, broker.client_files(agency).key.parent)
        await flow.more()
        # New connections, by a client that began before the renewal and by one that begins now.
        fresh = KafkaConsumer(broker.bootstrap, broker.client_files("ATF"), group="ATF.x", topics=["deliver.ATF"])
        await fresh.start()
        await fresh.stop()
        broker.authority.issue_client("operator", broker.operator.key.parent)
        assert await asyncio.to_thread(KafkaAdmin(broker.bootstrap, broker.operator).read)
    assert load_certificate(node).serial_number != before
    assert flow.got == list(range(flow.sent))  # none lost, none twice, all in order
    assert broker.process.pid is not None


async def test_a_client_reconnects_with_its_renewed_certificate(broker: Broker) -> None:
    """Its context is older than the certificate, and the broker takes the old one no more: it has expired."""
    folder = broker.client_files("ATF").key.parent
    now = datetime.now(UTC)
    files = broker.authority.issue_client(
        "ATF", folder, now=now - timedelta(days=1), lifetime=timedelta(days=1, seconds=8)
    )
    producer = KafkaProducer(broker.bootstrap, files, seconds=5.0)
    await producer.start()
    try:
        await producer.send([OutgoingRecord(TOPIC, b"k", b"0")])
        inner = producer._producer
        assert inner is not None
        broker.authority.issue_client("ATF", folder)
        while datetime.now(UTC) < now + timedelta(seconds=9):
            await asyncio.sleep(0.1)
        for connection in list(inner.client._conns.values()):
            connection.close()
        async with asyncio.timeout(30):
            await producer.send([OutgoingRecord(TOPIC, b"k", b"1")])
        assert producer._producer is inner  # the same client, with the context that it began with
    finally:
        await producer.stop()
