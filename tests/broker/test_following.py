"""``hub broker follow`` on the real node: what the directory says is so within seconds, for open connections too."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from hub.adapters.broker_process import BrokerProcess
from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.kafka_quotas import alter_quotas
from hub.adapters.tls import TlsFiles
from hub.app.broker import run_follower
from hub.errors import BusNotAuthorized
from hub.ports import OutgoingRecord
from hub.settings import BrokerSettings, SettingsInvalid, load_broker
from hub.topics import Declaration
from tests.support.authority import World
from tests.support.broker import DEPLOY, JARS

pytestmark = pytest.mark.broker

PROMISED_SECONDS = 30.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("follow"), deploy=DEPLOY, jars=JARS) as started:
        yield started


class Operator:
    """The folder that the directory is published to, and the follower's configuration."""

    def __init__(self, node: BrokerProcess, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self.world = World.of("ATF", "JCF", now_ms=int(time.time() * 1000))
        self.repository = folder / "directory"
        self.publish()
        (folder / "root.json").write_bytes(self.world.root_bytes())
        tls = node.operator
        (folder / "broker.toml").write_text(
            f"""
state = "state"
interval = 1
[kafka]
bootstrap = "{node.bootstrap}"
ca = "{tls.ca}"
certificate = "{tls.certificate}"
key = "{tls.key}"
[directory]
root = "root.json"
path = "directory"
"""
        )

    def publish(self) -> None:
        """Timestamp last: until then readers see the version before."""
        files = self.world.publish().files
        for path in sorted(files, key=lambda path: path.endswith("timestamp.json")):
            (self.repository / path).parent.mkdir(parents=True, exist_ok=True)
            beside = self.repository / f"{path}.new"
            beside.write_bytes(files[path])
            beside.replace(self.repository / path)

    @property
    def settings(self) -> BrokerSettings:
        return load_broker(self.folder / "broker.toml")

    def files(self, agency: str) -> TlsFiles:
        return self.node.authority.issue_client(agency, self.folder / agency)

    def principals(self) -> set[str]:
        cluster = KafkaAdmin(self.node.bootstrap, self.node.operator).read()
        return {key[0].removeprefix("User:") for key in cluster.acls}

    async def until(self, agency: str, *, has_rights: bool) -> float:
        """Seconds until the cluster's ACLs name the agency, or name it no more."""
        began = time.monotonic()
        while (agency in await asyncio.to_thread(self.principals)) != has_rights:
            assert time.monotonic() - began < 60
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def page(self, name: str) -> httpx.Response:
        address = (self.folder / "state" / "metrics.address").read_text().strip()
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://{address}/{name}")


@pytest.fixture
def operator(node: BrokerProcess, tmp_path: Path) -> Operator:
    # As if nothing had been applied to this node before: every test's directory begins at version 1.
    admin = KafkaAdmin(node.bootstrap, node.operator)
    plan = admin.plan(Declaration.load(), []).forgetting_newer()
    admin.apply(plan)
    return Operator(node, tmp_path)


@asynccontextmanager
async def followed(operator: Operator) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_follower(operator.settings, stop=stop))
        try:
            yield
        finally:
            stop.set()


async def refused_after(attempt: Callable[[], Awaitable[object]]) -> float:
    """Seconds until ``attempt``, tried again and again, is refused."""
    began = time.monotonic()
    while True:
        try:
            await attempt()
        except BusNotAuthorized:
            return time.monotonic() - began
        assert time.monotonic() - began < 90
        await asyncio.sleep(0.02)


async def test_a_suspended_agency_is_refused_on_its_open_connections(
    operator: Operator, record_property: Callable[[str, object], None]
) -> None:
    async with followed(operator), AsyncExitStack() as stack:
        await operator.until("JCF", has_rights=True)
        bootstrap, jcf = operator.node.bootstrap, operator.files("JCF")
        producers = {"JCF": KafkaProducer(bootstrap, jcf), "ATF": KafkaProducer(bootstrap, operator.files("ATF"))}
        consumer = KafkaConsumer(bootstrap, jcf, group="JCF.x", topics=["deliver.JCF"])
        for producer in producers.values():
            stack.push_async_callback(producer.stop)
            await producer.start()
        stack.push_async_callback(consumer.stop)
        await consumer.start()
        for agency, producer in producers.items():
            await producer.send([OutgoingRecord(f"ingest.{agency}", b"k", b"no bundle")])
        assert await consumer.poll(max_records=10, wait=0.2) == []

        operator.world.suspend("JCF")
        operator.publish()
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(
                refused_after(lambda: producers["JCF"].send([OutgoingRecord("ingest.JCF", b"k", b"no bundle")]))
            )
            reading = group.create_task(refused_after(lambda: consumer.poll(max_records=10, wait=0.2)))
        seconds = {"producer": round(writing.result(), 2), "consumer": round(reading.result(), 2)}
        record_property("suspended_seconds", seconds)
        sys.stderr.write(f"a suspended agency is refused after {seconds} s\n")
        assert max(seconds.values()) < PROMISED_SECONDS

        # A new connection of it has no right either, its topics stay, and nobody else notices.
        fresh = KafkaProducer(bootstrap, jcf)
        stack.push_async_callback(fresh.stop)
        with pytest.raises(BusNotAuthorized):
            await fresh.start()
        await producers["ATF"].send([OutgoingRecord("ingest.ATF", b"k", b"no bundle")])
        cluster = await asyncio.to_thread(KafkaAdmin(operator.node.bootstrap, operator.node.operator).read)
        assert {"ingest.JCF", "deliver.JCF"} <= cluster.partitions.keys()

        # It returns.
        operator.world.suspend("JCF", active=True)
        operator.publish()
        await operator.until("JCF", has_rights=True)
        async with asyncio.timeout(30):
            while True:
                try:
                    await producers["JCF"].send([OutgoingRecord("ingest.JCF", b"k", b"no bundle")])
                except BusNotAuthorized:
                    continue
                break


async def test_what_someone_else_gives_is_taken_back_and_counted(operator: Operator) -> None:
    async with followed(operator):
        await operator.until("JCF", has_rights=True)
        stranger = ((("user", "stranger"),), "producer_byte_rate", 1e6)
        await asyncio.to_thread(alter_quotas, operator.node.bootstrap, operator.node.operator, [stranger])
        async with asyncio.timeout(60):
            counted = 'cgi_cluster_changes_total{cause="drift",kind="quota"} 1.0'
            while counted not in (await operator.page("metrics")).text:
                await asyncio.sleep(0.1)
        assert (await operator.page("readyz")).status_code == 200
        text = (await operator.page("metrics")).text
        assert "cgi_cluster_directory_version 1.0" in text
        assert 'role="broker"' in text
    cluster = KafkaAdmin(operator.node.bootstrap, operator.node.operator).read()
    assert "stranger" not in str(cluster.quotas)


async def test_an_older_directory_gives_nothing_back(operator: Operator) -> None:
    old = operator.world.publish().files.copy()
    operator.world.suspend("JCF")
    operator.publish()
    async with followed(operator):
        await operator.until("ATF", has_rights=True)
    assert "JCF" not in operator.principals()
    # Another machine of the operator's, which has never seen the newer one, is shown the old one.
    for path in ("metadata/timestamp.json",):
        (operator.repository / path).write_bytes(old[path])
    settings = operator.settings.model_copy(update={"state": operator.folder / "another machine"})
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_follower(settings, stop=stop))
        address = operator.folder / "another machine" / "metrics.address"
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                await asyncio.sleep(0.1)
                if not address.exists():
                    continue
                text = (await client.get(f"http://{address.read_text().strip()}/metrics")).text
                if 'code="broker.directory_older"' in text:
                    break
            ready = await client.get(f"http://{address.read_text().strip()}/readyz")
        stop.set()
    assert ready.status_code == 503
    assert "JCF" not in operator.principals()


async def test_without_a_directory_nothing_is_changed(operator: Operator) -> None:
    (operator.repository / "metadata" / "timestamp.json").unlink()
    before = operator.principals()
    async with followed(operator):
        async with asyncio.timeout(60):
            while not (operator.folder / "state" / "metrics.address").exists():
                await asyncio.sleep(0.05)
            while 'operation="cluster"' not in (await operator.page("metrics")).text:
                await asyncio.sleep(0.05)
        assert (await operator.page("readyz")).status_code == 503
        assert await asyncio.to_thread(operator.principals) == before
        operator.publish()
        await operator.until("JCF", has_rights=True)


def test_the_configuration_is_checked(operator: Operator) -> None:
    file = operator.folder / "broker.toml"
    file.write_text(file.read_text() + "[follow]\n")
    with pytest.raises(SettingsInvalid, match="unknown key"):
        load_broker(file)
