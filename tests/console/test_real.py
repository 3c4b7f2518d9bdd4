"""The whole of it: a real Kafka, router, console and, where it is installed, Prometheus, each a process of its own.

A bundle of a suspended agency is refused; the custodians let the agency return; the operator gives the bundle back in
the console; it is delivered. And what the console's own certificate may not do on the broker.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from hub.adapters.kafka import KafkaProducer
from hub.adapters.kafka_admin import admin_client
from hub.adapters.kafka_follower import TopicFollower, read_record
from hub.adapters.kafka_overview import KafkaOverview
from hub.adapters.kafka_reader import read_topic
from hub.console.audit import parse_entry
from hub.console.pages import ExchangePage, HealthPage, QuarantinePage
from hub.errors import BusNotAuthorized, BusTopicUnknown, HubError
from hub.model import HUB
from hub.ports import OutgoingRecord
from hub.topics import AUDIT, QUARANTINE, RETRY
from hub.wire.bundle import parse_delivered
from hub.wire.frames import parse_entry as parse_bundle_entry
from tests.console.people import OPERATOR, PEOPLE_TOML, PeopleAuthority
from tests.support.authority import World
from tests.support.broker import Broker, running_broker
from tests.support.deployment import HUB_COMMAND, Deployment, wait_ready
from tests.support.routing import Site

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node of these tests' own: what they refuse and retry is nobody else's."""
    with running_broker(tmp_path_factory.mktemp("console-broker")) as started:
        yield started


# --- what the console's certificate may do ----------------------------------------------------------------------------


async def write(broker: Broker, topic: str, value: bytes = b"x", principal: str = "console") -> None:
    producer = KafkaProducer(broker.bootstrap, broker.client_files(principal), metadata_seconds=2.0)
    await producer.start()
    try:
        await producer.send([OutgoingRecord(topic, b"key", value)])
    finally:
        await producer.stop()


def test_the_console_can_change_and_delete_nothing(broker: Broker) -> None:
    client = admin_client(broker.bootstrap, broker.client_files("console"))
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, AUDIT)
    resource.add_incremental_config(entry)
    for future in (
        client.incremental_alter_configs([resource])[resource],
        client.delete_topics([AUDIT])[AUDIT],
        client.delete_topics([QUARANTINE])[QUARANTINE],
    ):
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            future.result(20)


def test_the_console_sees_that_the_topics_are_there(broker: Broker) -> None:
    overview = KafkaOverview(broker.bootstrap, broker.client_files("console")).read()
    assert [node.controller for node in overview.nodes] == [True]
    seen = {partition.topic for partition in overview.partitions}
    assert {"ingest.JCF", "deliver.ATF", AUDIT, RETRY, QUARANTINE, "hub.heartbeat"} <= seen
    assert "hub.applied" not in seen
    assert all(partition.in_sync == partition.replicas for partition in overview.partitions)


async def test_a_topic_is_followed_and_a_record_read_by_its_place(broker: Broker) -> None:
    broker.create_topic("followed", partitions=2)
    producer = KafkaProducer(broker.bootstrap, broker.operator)
    await producer.start()
    follower = TopicFollower(broker.bootstrap, broker.operator, "followed")
    try:
        await producer.send([OutgoingRecord("followed", b"%d" % n, b"%d" % n) for n in range(20)])
        assert sorted([int(record.value) async for record in follower.new()]) == list(range(20))
        assert [record async for record in follower.new()] == []
        await follower.stop()  # as after a failure: it goes on where it was
        await producer.send([OutgoingRecord("followed", b"k", b"20")])
        (record,) = [record async for record in follower.new()]
        assert record.value == b"20"
        again = await read_record(broker.bootstrap, broker.operator, "followed", record.partition, record.offset)
        assert again is not None
        assert again.value == b"20"
        assert await read_record(broker.bootstrap, broker.operator, "followed", 0, 10**6) is None
        assert await read_record(broker.bootstrap, broker.operator, "followed", 9, 0) is None
        later = TopicFollower(broker.bootstrap, broker.operator, "followed", since_ms=record.timestamp_ms)
        assert b"20" in [each.value async for each in later.new()]
        await later.stop()
    finally:
        await producer.stop()
        await follower.stop()


# --- the whole --------------------------------------------------------------------------------------------------------


@dataclass
class Whole:
    """A deployment with a router, a console and what it needs; ``client`` is an operator's."""

    deployment: Deployment
    config: Path
    client: httpx.Client
    prometheus: bool

    async def status(self, page: str) -> Any:
        """What ``hub status`` says as JSON."""
        code, said = await asyncio.to_thread(run_hub, "status", page, "--config", self.config)
        assert code == 0
        return said

    async def get(self, path: str) -> Any:
        """A page's JSON twin."""
        return (await asyncio.to_thread(self.client.get, path)).json()


def run_hub(*arguments: object) -> tuple[int, Any]:
    """A command's exit code and its JSON."""
    command = [*HUB_COMMAND, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    return done.returncode, json.loads(done.stdout or "null")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def whole(broker: Broker, tmp_path: Path) -> Iterator[Whole]:
    world = World.of("JCF", "ATF", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "trace.request")
    world.version = 1  # of the first that is published
    deployment = Deployment(tmp_path / "d", broker, world)
    prometheus = shutil.which("prometheus")
    port = free_port()
    try:
        deployment.subscribe("ATF", ["trace.request"])
        deployment.start("router", "run", "--config", deployment.router_config())
        address = wait_ready(deployment.folder / HUB / "router.state")
        if prometheus:
            deployment.processes.append(start_prometheus(deployment.folder / "prometheus", port, address))
        people = PeopleAuthority(tmp_path / "people")
        config = write_config(deployment, people, f"http://127.0.0.1:{port}")
        deployment.start("console", "run", "--config", config)
        wait_ready(config.parent / "state")
        context = ssl.create_default_context(cafile=str(people.ca))
        pair = people.issue(OPERATOR)
        context.load_cert_chain(pair.certificate, pair.key)
        url = "https://" + (config.parent / "state/console.address").read_text().strip()
        with httpx.Client(verify=context, base_url=url, trust_env=False, timeout=30) as client:
            client.headers["accept"] = "application/json"
            yield Whole(deployment, config, client, bool(prometheus))
    finally:
        deployment.stop()


def write_config(deployment: Deployment, people: PeopleAuthority, prometheus: str) -> Path:
    folder = deployment.folder / "console"
    folder.mkdir()
    server = people.issue("localhost", server=True)
    (folder / "people.toml").write_text(PEOPLE_TOML)
    path = folder / "console.toml"
    path.write_text(
        'name = "console-1"\nstate = "state"\nlisten = "127.0.0.1:0"\npeople = "people.toml"\n'
        'subscriptions = "../subscriptions"\n'
        + deployment._common("console")  # type: ignore[arg-type]  # the console's files, as an agency's
        + f'[prometheus]\nurl = "{prometheus}"\n'
        f'[tls]\ncertificate = "{server.certificate}"\nkey = "{server.key}"\npeople_ca = "{people.ca}"\n'
    )
    return path


def start_prometheus(folder: Path, port: int, target: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    labels = {"instance": "router", "role": "router", "agency": HUB}
    (folder / "targets.json").write_text(json.dumps([{"targets": [target], "labels": labels}]))
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        "scrape_configs:\n  - job_name: cgi-hub\n    file_sd_configs: [{files: [targets.json]}]\n"
        "    metric_relabel_configs: [{action: labeldrop, regex: exported_(agency|role)}]\n"
    )
    (folder / "rules.yml").write_text(
        "groups:\n  - name: test\n    rules:\n      - alert: AlwaysFires\n        expr: vector(1)\n"
        '        labels: {severity: warning}\n        annotations: {summary: "a test"}\n'
    )
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )


async def until(look: Callable[[], Any], seconds: float = 90.0) -> Any:
    """What ``look`` gives, once it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := await asyncio.to_thread(look):
            return found
        await asyncio.sleep(0.3)
    raise TimeoutError("it did not happen")


async def delivered(broker: Broker) -> AsyncIterator[int]:
    """The numbers that stand on ATF's topic."""
    async for record in read_topic(broker.bootstrap, broker.client_files("ATF"), "deliver.ATF"):
        yield parse_bundle_entry(parse_delivered(record.value).entry).recipient_seq


async def test_what_was_refused_is_given_back_and_delivered(broker: Broker, whole: Whole) -> None:
    deployment, client = whole.deployment, whole.client
    world = deployment.world
    site = Site(world, "JCF")
    good, refused = site.seal(["ATF"], events=2), site.seal(["ATF"], events=3)
    producer = KafkaProducer(broker.bootstrap, broker.client_files("JCF"))
    await producer.start()
    await producer.send([OutgoingRecord("ingest.JCF", good.key, good.value)])
    await until(lambda: client.get("/health").json()["routers"])
    async with asyncio.timeout(60):
        while [number async for number in delivered(broker)] != [1]:
            await asyncio.sleep(0.3)
    world.suspend("JCF")
    deployment.publish_directory()
    await until(lambda: client.get("/directory").json()["version"] == world.directory().version)
    version = world.directory().version
    metrics = (deployment.folder / HUB / "router.state/metrics.address").read_text().strip()
    await until(lambda: f"cgi_directory_version {version}.0" in httpx.get(f"http://{metrics}/metrics").text)
    await producer.send([OutgoingRecord("ingest.JCF", refused.key, refused.value)])
    await producer.stop()

    # The console shows it, by its code, and what the directory's new version changed.
    page = await until(lambda: (p := client.get("/quarantine?publisher=JCF").json())["held"] and p)
    (held,) = QuarantinePage.model_validate_json(json.dumps(page)).held
    assert (held.code, held.clause, held.publisher) == ("publisher.suspended", "9.1, 3", "JCF")
    shown = await whole.get("/directory")
    assert [change["code"] for change in shown["versions"][0]["changes"]] == ["agency.suspended"]
    assert {signer["role"] for signer in shown["signers"]} == {"root", "targets", "snapshot", "timestamp"}
    flow = next(f for f in client.get("/exchange").json()["flows"] if f["originator"] == "JCF")
    assert (flow["state"], flow["stops"][0]["code"]) == ("stopped", "publisher.suspended")

    # The custodians let it return; the operator gives the bundle back; it is delivered.
    world.suspend("JCF", active=True)
    deployment.publish_directory()
    back = world.directory().version
    await until(lambda: f"cgi_directory_version {back}.0" in httpx.get(f"http://{metrics}/metrics").text)
    origin = {"origin": str(client.base_url)}
    place = f"/quarantine/{held.place}"
    done = client.post(f"{place}/retry", data={"seen": "0", "reason": "JCF is back"}, headers=origin)
    assert [each["what"] for each in done.json()["held"]["decisions"]] == ["retried"], done.text
    async with asyncio.timeout(60):
        while [number async for number in delivered(broker)] != [1, 2]:
            await asyncio.sleep(0.3)
    file = client.post(f"{place}/hand-back", data={"seen": "1", "reason": ""}, headers=origin)
    (deployment.folder / "returned.qua").write_bytes(file.content)

    # The terminal says the same.
    assert (await whole.status("quarantine"))["undecided"] == 0
    health = HealthPage.model_validate_json(json.dumps(await whole.status("health")))
    assert [(router.router, router.alive) for router in health.routers] == [("router", True)]
    assert (len(health.brokers), health.troubled) == (1, ())
    code, said = await asyncio.to_thread(run_hub, "console", "returned", deployment.folder / "returned.qua")
    assert code == 0
    assert (said["code"], said["labels"]["events"], said["whole"]) == ("publisher.suspended", 3, True)
    assert said["labels"]["instance"] == site.sealer.instance.hex()

    await the_audit_log(broker, whole)
    if whole.prometheus:
        await what_prometheus_adds(whole)


async def the_audit_log(broker: Broker, whole: Whole) -> None:
    """It holds, and says so by exit code; a foreign record in it is seen, and nothing more is done."""
    command = ("console", "audit", "--config", whole.config)
    code, told = await asyncio.to_thread(run_hub, *command)
    assert [entry["what"] for entry in told["entries"]] == ["quarantine.retried", "quarantine.handed_back"]
    assert (code, told["faults"]) == (0, [])
    records = [r.value async for r in read_topic(broker.bootstrap, broker.client_files("console"), AUDIT)]
    assert [parse_entry(raw).who for raw in records] == [f"{OPERATOR} (Hub operations)"] * 2
    await write(broker, AUDIT, b"not an entry")
    code, told = await asyncio.to_thread(run_hub, *command)
    assert (code, len(told["faults"])) == (1, 1)


async def what_prometheus_adds(whole: Whole) -> None:
    """Rates, processes, alerts: every query is one that a real Prometheus answers."""

    def known() -> ExchangePage | None:
        code, said = run_hub("status", "exchange", "--config", whole.config)  # it looks at everything each time
        page = ExchangePage.model_validate_json(json.dumps(said))
        assert code == 0
        flow = next(flow for flow in page.flows if flow.originator == "JCF")
        fresh = {source.state for source in page.sources}
        return page if flow.events_per_minute and fresh == {"fresh"} else None

    page = await until(known, 150)
    assert page.alerts_firing == 1
    health = HealthPage.model_validate(await whole.get("/health"), strict=False)
    assert [(each.name, each.severity) for each in health.alerts] == [("AlwaysFires", "warning")]
    assert [(each.instance, each.up, each.ready) for each in health.processes] == [("router", True, True)]
    assert health.processes[0].certificates
    code, pair = await asyncio.to_thread(run_hub, "status", "pair", "JCF", "ATF", "--config", whole.config)
    assert (code, pair["released"][0]["event_type"]) == (0, "trace.request")


async def test_the_console_appends_to_two_topics_and_to_no_other(broker: Broker) -> None:
    # Last in this module: what it writes to the audit log breaks it.
    await write(broker, AUDIT)
    await write(broker, RETRY)
    for topic in ("ingest.JCF", "ingest.HUB", "deliver.ATF", QUARANTINE, "hub.heartbeat", "hub.directory"):
        with pytest.raises(HubError) as refused:
            await write(broker, topic)
        assert isinstance(refused.value, BusNotAuthorized | BusTopicUnknown), topic


async def test_the_console_reads_nothing_that_flows(broker: Broker) -> None:
    tls = broker.client_files("console")
    for principal, topic in (("RSS", "ingest.RSS"), (HUB, "deliver.RSS"), ("console", RETRY)):
        await write(broker, topic, b"not for the console", principal)
        with pytest.raises((BusNotAuthorized, BusTopicUnknown)):
            assert [record async for record in read_topic(broker.bootstrap, tls, topic)] == []
