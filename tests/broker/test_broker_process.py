"""Starting and stopping the node: what goes wrong is told with the log's path, and nothing is left running."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.adapters.broker_jars import JarMissing
from hub.adapters.broker_process import BrokerNotUp, BrokerProcess, JavaMissing, PortTaken, _cluster_id, _is_free
from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.kafka_admin import KafkaAdmin
from hub.errors import BusUnavailable, ConfigError
from hub.model import AgencyId
from hub.ports import OutgoingRecord
from hub.topics import Declaration
from tests.support.broker import DEPLOY, JARS, ROOT

pytestmark = pytest.mark.broker


def running(folder: Path) -> list[int]:
    """The processes that have ``folder`` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def node(tmp_path: Path) -> Iterator[BrokerProcess]:
    process = BrokerProcess(tmp_path / "kafka", deploy=DEPLOY, jars=JARS)
    yield process
    process.stop()
    assert running(tmp_path) == []


def test_a_taken_port_is_an_error_when_it_was_asked_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        node = BrokerProcess(tmp_path, deploy=DEPLOY, jars=JARS, client_port=port)
        with pytest.raises(PortTaken) as caught:
            node.start()
    assert caught.value.details["port"] == port
    assert running(tmp_path) == []


def test_a_missing_jar_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JarMissing):
        BrokerProcess(tmp_path, deploy=DEPLOY, jars=tmp_path / "jars").start()


def test_no_java_is_an_error_that_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JavaMissing, match="openjdk-17-jre-headless"):
        BrokerProcess(tmp_path / "kafka", deploy=DEPLOY, jars=JARS).start()
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    with pytest.raises(JavaMissing, match="too old"):
        BrokerProcess(tmp_path / "kafka", deploy=DEPLOY, jars=JARS).start()


def test_a_node_that_ends_is_an_error_with_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    node = BrokerProcess(tmp_path, deploy=DEPLOY, jars=JARS, settings=["num.network.threads=0"])
    with pytest.raises(BrokerNotUp) as caught:
        node.start()
    log = caught.value.details["log"]
    assert isinstance(log, Path)
    assert "num.network.threads" in log.read_text()
    assert running(tmp_path) == []


def test_a_node_that_does_not_answer_in_time_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    node = BrokerProcess(tmp_path, deploy=DEPLOY, jars=JARS)
    with pytest.raises(BrokerNotUp, match="did not answer") as caught:
        node.start(seconds=0.2)
    assert isinstance(caught.value.details["log"], Path)
    assert running(tmp_path) == []


def test_a_damaged_state_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "broker.json").write_text("{")
    with pytest.raises(ConfigError) as caught:
        BrokerProcess(tmp_path, deploy=DEPLOY, jars=JARS)
    assert caught.value.details["file"] == tmp_path / "broker.json"


def test_a_cluster_id_never_begins_with_a_dash() -> None:
    assert all(_cluster_id(bytes([first]) + bytes(15))[0] not in "-_" for first in range(256))


def test_the_node_ends_with_the_process_that_started_it_however_that_ends(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from hub.adapters.broker_process import BrokerProcess\n"
        f"BrokerProcess(Path({str(tmp_path)!r}), deploy=Path({str(DEPLOY)!r}), jars=Path({str(JARS)!r})).start()\n"
        "print('up', flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == b"up\n"
        assert running(tmp_path)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    deadline = time.monotonic() + 15
    while running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(tmp_path) == []


async def test_a_detached_node_is_stopped_by_another_object_and_starts_again_with_its_data(node: BrokerProcess) -> None:
    node.start(detached=True)
    address, declaration = node.bootstrap, Declaration.load()
    admin = KafkaAdmin(address, node.operator)
    admin.apply(admin.plan(declaration, [AgencyId("ATF")]))
    producer = KafkaProducer(address, node.operator, seconds=3.0)
    await producer.start()
    await producer.send([OutgoingRecord("ingest.ATF", b"k", b"one")])
    consumer = KafkaConsumer(address, node.operator, group="ATF.x", topics=["ingest.ATF"])
    await consumer.start()
    try:
        with pytest.raises(ConfigError, match="runs in this folder"):
            BrokerProcess(node.folder, deploy=DEPLOY, jars=JARS).start()
        other = BrokerProcess(node.folder, deploy=DEPLOY, jars=JARS)
        assert other.pid is not None
        os.kill(other.pid, signal.SIGKILL)  # a power cut
        while other.pid is not None:
            await asyncio.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(BusUnavailable):
            await producer.send([OutgoingRecord("ingest.ATF", b"k", b"two")])
        assert time.monotonic() - began < 10

        with other:
            assert other.bootstrap == address
            assert admin.plan(declaration, [AgencyId("ATF")]).changes == ()
            # The same producer and the same consumer go on.
            await producer.send([OutgoingRecord("ingest.ATF", b"k", b"two")])
            got: list[bytes] = []
            deadline = time.monotonic() + 30
            while b"two" not in got and time.monotonic() < deadline:
                got += [record.value for record in await consumer.poll(max_records=10, wait=0.5)]
            assert got[0] == b"one"
            assert b"two" in got
            await consumer.stop()
            await producer.stop()
        assert _is_free("127.0.0.1", other.client_port)
    finally:
        await consumer.stop()
        await producer.stop()
