"""Who may do what on the real broker: everything that schemas/topics allows works, and everything else is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

from hub.adapters.clock import SystemClock
from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.kafka_figures import KafkaFigures
from hub.adapters.tls import TlsFiles
from hub.errors import BusNotAuthorized
from hub.ports import IncomingRecord, OutgoingRecord
from hub.topics import DIRECTORY, EXPORTER, INGEST_PATTERN, ROUTER_GROUP
from tests.support.broker import Broker, running_broker

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node of these tests' own: they write to the topics of agencies what is no bundle."""
    with running_broker(tmp_path_factory.mktemp("acls")) as started:
        yield started


OTHERS = ("ATF", "JCF-X", "CCGIU")


@asynccontextmanager
async def clients(broker: Broker, principal: str) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(broker, principal, stack)


class Clients:
    """Producers and consumers of one principal."""

    def __init__(self, broker: Broker, principal: str, stack: AsyncExitStack) -> None:
        self._bootstrap = broker.bootstrap
        self._files = broker.client_files(principal)
        self._stack = stack

    async def write(self, topic: str, value: bytes = b"x") -> None:
        producer = KafkaProducer(self._bootstrap, self._files, metadata_seconds=2.0)
        self._stack.push_async_callback(producer.stop)
        await producer.start()
        await producer.send([OutgoingRecord(topic, b"key", value)])

    async def consumer(self, group: str, *topics: str, pattern: str | None = None) -> KafkaConsumer:
        consumer = KafkaConsumer(
            self._bootstrap, self._files, group=group, topics=topics, pattern=pattern, join_seconds=6.0
        )
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        return consumer


async def read_until(consumer: KafkaConsumer, value: bytes) -> IncomingRecord:
    async with asyncio.timeout(20):
        while True:
            for record in await consumer.poll(max_records=100, wait=0.5):
                if record.value == value:
                    return record


# --- allowed ----------------------------------------------------------------------------------------------------------


async def test_the_whole_way_of_a_record(broker: Broker) -> None:
    async with clients(broker, "JCF") as jcf, clients(broker, "HUB") as hub, clients(broker, "ATF") as atf:
        await jcf.write("ingest.JCF", b"from JCF")
        router = await hub.consumer(ROUTER_GROUP, pattern=INGEST_PATTERN)
        record = await read_until(router, b"from JCF")
        assert record.topic == "ingest.JCF"
        await hub.write("deliver.ATF", b"for ATF")
        await router.commit({(record.topic, record.partition): record.offset + 1})
        desk = await atf.consumer("ATF.desk", "deliver.ATF")
        delivered = await read_until(desk, b"for ATF")
        await desk.commit({(delivered.topic, delivered.partition): delivered.offset + 1})
        assert set((await desk.lag()).values()) == {0}


async def test_the_router_sees_every_ingest_topic(broker: Broker) -> None:
    async with clients(broker, "HUB") as hub:
        router = await hub.consumer(ROUTER_GROUP, pattern=INGEST_PATTERN)
        topics = {topic for topic, _ in router.assignment()}
        assert {f"ingest.{agency}" for agency in ("HUB", "JCF", "JCF-X", "ATF")} <= topics


@pytest.mark.parametrize("topic", ["ingest.HUB", "deliver.JCF", "hub.quarantine", "hub.heartbeat"])
async def test_the_hub_writes(broker: Broker, topic: str) -> None:
    async with clients(broker, "HUB") as hub:
        await hub.write(topic)


# --- refused: topics and groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "topic"),
    [
        *(("JCF", f"ingest.{other}") for other in (*OTHERS, "HUB")),
        *(("JCF", f"deliver.{other}") for other in ("JCF", "ATF")),
        ("JCF", "hub.quarantine"),
        ("JCF", "hub.heartbeat"),
        ("JCF-X", "ingest.JCF"),
        ("HUB", "ingest.JCF"),
        ("NOBODY", "ingest.JCF"),
        ("exporter", "ingest.JCF"),
        ("exporter", "hub.directory"),
    ],
)
async def test_nobody_else_writes(broker: Broker, principal: str, topic: str) -> None:
    async with clients(broker, principal) as client:
        with pytest.raises(BusNotAuthorized):
            await client.write(topic)


@pytest.mark.parametrize(
    ("principal", "topic", "group"),
    [
        *(("JCF", f"deliver.{other}", "JCF.desk") for other in OTHERS),
        *(("JCF", f"ingest.{other}", "JCF.desk") for other in ("JCF", "ATF")),
        ("JCF", "hub.quarantine", "JCF.desk"),
        ("JCF", "hub.heartbeat", "JCF.desk"),
        ("JCF", "__consumer_offsets", "JCF.desk"),
        ("JCF-X", "deliver.JCF", "JCF-X.desk"),
        *(("exporter", topic, "ATF.desk") for topic in ("deliver.ATF", "ingest.JCF", "hub.quarantine")),
        ("HUB", "deliver.JCF", ROUTER_GROUP),
        ("HUB", "hub.quarantine", ROUTER_GROUP),
        # its own topic, but as a member of a group that is not its own
        *(("JCF", "deliver.JCF", group) for group in ("ATF.desk", "JCF-X.desk", "JCF", "JCFX.desk", ROUTER_GROUP)),
        ("JCF-X", "deliver.JCF-X", "JCF.desk"),
        ("HUB", "ingest.JCF", "JCF.desk"),
        ("HUB", "ingest.JCF", "hub.router2"),
    ],
)
async def test_nobody_else_reads(broker: Broker, principal: str, topic: str, group: str) -> None:
    async with clients(broker, principal) as client:
        with pytest.raises(BusNotAuthorized):
            await read_until(await client.consumer(group, topic), b"nothing that is there")


# --- refused: administration ------------------------------------------------------------------------------------------


def configuration(broker: Broker, principal: str) -> dict[str, Any]:
    files = broker.client_files(principal)
    return {"bootstrap.servers": broker.bootstrap, **tls_settings(files), "log_level": 0}


def tls_settings(files: TlsFiles) -> dict[str, str]:
    return {
        "security.protocol": "SSL",
        "ssl.ca.location": str(files.ca),
        "ssl.certificate.location": str(files.certificate),
        "ssl.key.location": str(files.key),
    }


_ANYTHING: Any = None
EVERY_ACL = AclBindingFilter(
    ResourceType.ANY,
    _ANYTHING,
    ResourcePatternType.ANY,
    _ANYTHING,
    _ANYTHING,
    AclOperation.ANY,
    AclPermissionType.ANY,
)


def administrate(admin: AdminClient, what: str) -> dict[Any, Any]:
    """One act of administration that no agency may do; gives librdkafka's futures."""
    own, other = "ingest.JCF", "ingest.ATF"
    binding = AclBinding(
        ResourceType.TOPIC,
        other,
        ResourcePatternType.LITERAL,
        "User:JCF",
        "*",
        AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    acts: dict[str, Callable[[], dict[Any, Any]]] = {
        "create a topic": lambda: admin.create_topics([NewTopic("ingest.NEW", 1)]),
        "delete its own topic": lambda: admin.delete_topics([own]),
        "delete another's topic": lambda: admin.delete_topics([other]),
        "delete records of its own": lambda: admin.delete_records([TopicPartition(own, 0, 1)]),
        "add partitions": lambda: admin.create_partitions([NewPartitions(own, 9)]),
        "change its own topic": lambda: admin.incremental_alter_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, own, incremental_configs=[entry])]
        ),
        "read a topic's settings": lambda: admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, other)]),
        "read the broker's settings": lambda: admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "1")]),
        "give itself a right": lambda: admin.create_acls([binding]),
        "take all rights away": lambda: admin.delete_acls([EVERY_ACL]),
        "describe another's group": lambda: admin.describe_consumer_groups(["ATF.desk"]),
        "delete another's group": lambda: admin.delete_consumer_groups(["ATF.desk"]),
        "read another's offsets": lambda: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("ATF.desk")]),
    }
    return acts[what]()


ACTS = (
    "create a topic",
    "delete its own topic",
    "delete another's topic",
    "delete records of its own",
    "add partitions",
    "change its own topic",
    "read a topic's settings",
    "read the broker's settings",
    "give itself a right",
    "take all rights away",
    "describe another's group",
    "delete another's group",
    "read another's offsets",
)
REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


@pytest.mark.parametrize("act", ACTS)
def test_no_agency_administrates(broker: Broker, act: str) -> None:
    admin = AdminClient(configuration(broker, "JCF"))
    futures = administrate(admin, act)
    assert futures
    for future in futures.values():
        with pytest.raises(KafkaException) as caught:
            future.result(10)
        assert caught.value.args[0].code() in REFUSED


MAY_LOOK = frozenset({"read a topic's settings", "describe another's group", "read another's offsets"})


async def test_the_exporter_sees_all_that_the_operator_sees(broker: Broker) -> None:
    async with clients(broker, "ATF") as atf:
        desk = await atf.consumer("ATF.desk", "deliver.ATF")
        await desk.commit(dict.fromkeys(desk.assignment(), 0))
    seen = []
    for files in (broker.client_files(EXPORTER), broker.operator):
        figures = KafkaFigures(broker.bootstrap, files, SystemClock())
        try:
            seen.append(await figures.read())
        finally:
            await figures.close()
    mine, operators = seen
    assert (mine.missed, mine.up, mine.away, mine.controller) == ([], operators.up, operators.away, True)
    assert mine.topics == operators.topics
    assert mine.topics["ingest.JCF"].retention_ms == 2_592_000_000
    assert [lag.group for lag, _ in mine.groups] == [lag.group for lag, _ in operators.groups] != []
    assert {node: told.sizes for node, told in mine.nodes.items()} == {
        node: told.sizes for node, told in operators.nodes.items()
    }


@pytest.mark.parametrize("act", sorted(set(ACTS) - MAY_LOOK))
def test_the_exporter_changes_nothing(broker: Broker, act: str) -> None:
    admin = AdminClient(configuration(broker, EXPORTER))
    futures = administrate(admin, act)
    assert futures
    for future in futures.values():
        with pytest.raises(KafkaException) as caught:
            future.result(10)
        assert caught.value.args[0].code() in REFUSED


def test_an_agency_sees_no_acl_and_no_end_of_anothers_topic(broker: Broker) -> None:
    """librdkafka shows a refusal of these two as emptiness and as a topic that is not there."""
    admin = AdminClient(configuration(broker, "JCF"))
    assert admin.describe_acls(EVERY_ACL).result(10) == []
    (future,) = admin.list_offsets({TopicPartition("ingest.ATF", 0): OffsetSpec.latest()}).values()
    with pytest.raises(KafkaException):
        future.result(10)
    operator = AdminClient({"bootstrap.servers": broker.bootstrap, **tls_settings(broker.operator), "log_level": 0})
    assert len(operator.describe_acls(EVERY_ACL).result(10)) > 20


def test_an_agency_sees_its_own_topics_and_groups_alone(broker: Broker) -> None:
    admin = AdminClient(configuration(broker, "JCF"))
    assert set(admin.list_topics(timeout=10).topics) == {"ingest.JCF", "deliver.JCF", DIRECTORY}
    groups = admin.list_consumer_groups().result(10)
    assert [group.group_id for group in groups.valid if not group.group_id.startswith("JCF.")] == []


def test_nobody_creates_a_topic_by_writing_to_it(broker: Broker) -> None:
    producer = Producer({**configuration(broker, "HUB"), "message.timeout.ms": 3000})
    outcome: list[KafkaError | None] = []
    producer.produce("deliver.NEW", b"x", on_delivery=lambda error, _message: outcome.append(error))
    producer.flush(10)
    assert outcome[0] is not None
    assert "deliver.NEW" not in broker.admin.read().partitions


def test_an_agency_cannot_use_transactions(broker: Broker) -> None:
    producer = Producer({**configuration(broker, "JCF"), "transactional.id": "ATF"})
    with pytest.raises(KafkaException) as caught:
        producer.init_transactions(10)
    assert caught.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
