"""A real router and a real site as a service manager sees them: ready, fed, stuck, without a broker, stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.adapters.kafka import KafkaProducer
from hub.ports import OutgoingRecord
from tests.support.authority import World
from tests.support.broker import running_broker
from tests.support.deployment import Deployment
from tests.support.routing import Site

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]


class Manager:
    """The notification socket of one service."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.heard: list[tuple[float, str]] = []

    def listen(self, seconds: float, until: Callable[[str], bool] = lambda _line: False) -> bool:
        """For so long, or until a line is heard that ``until`` wants; says whether it was."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                lines = self._socket.recv(4096).decode().splitlines()
            except TimeoutError:
                break
            self.heard += [(time.monotonic(), line) for line in lines]
            if any(map(until, lines)):
                return True
        return False

    def hears(self, line: str, seconds: float = 60.0) -> bool:
        return self.listen(seconds, lambda heard: heard == line)

    def fed(self, since: float) -> int:
        """How often the watchdog was fed from then on."""
        return sum(line == "WATCHDOG=1" for at, line in self.heard if at >= since)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """On a node of its own, which the test stops."""
    world = World.of("JCF", "ATF", now_ms=int(time.time() * 1000))
    with running_broker(tmp_path / "node") as broker:
        deployment = Deployment(tmp_path / "deployment", broker, world)
        world.agree("JCF", "ATF", "trace.request")
        deployment.publish_directory()
        deployment.subscribe("ATF", ["trace.request"])
        try:
            yield deployment
        finally:
            deployment.stop()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield manager
    manager.close()


async def test_a_router_is_ready_fed_stuck_and_stopped(deployment: Deployment, manager: Manager) -> None:
    router = deployment.start("router", "run", "--config", deployment.router_config())
    assert await asyncio.to_thread(manager.hears, "READY=1"), deployment.logs()
    assert await asyncio.to_thread(manager.hears, "STATUS=ready")
    ready = time.monotonic()
    await asyncio.to_thread(manager.listen, 8)
    assert manager.fed(ready) >= 2

    # It hangs in mid-work: a file of subscriptions that never comes to its end. The loop turns, heartbeats go on.
    subscription = deployment.folder / "subscriptions/ATF.yaml"
    pipe = subscription.with_name("pipe")
    os.mkfifo(pipe)
    os.replace(pipe, subscription)
    async with publishing(deployment):
        stuck = await asyncio.to_thread(manager.listen, 90, lambda line: line == "STATUS=not ready: waits for router")
    assert stuck, deployment.logs()[-3000:]
    since = time.monotonic()
    await asyncio.to_thread(manager.listen, 8)
    assert manager.fed(since) == 0
    assert router.poll() is None

    # It gets further again, and is fed again.
    with subscription.open("w") as end:
        end.write("agency: ATF\naccept: []\n")
    subscription.unlink()
    assert await asyncio.to_thread(manager.hears, "WATCHDOG=1"), deployment.logs()
    router.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(manager.hears, "STOPPING=1")
    assert await asyncio.to_thread(router.wait, 60) == 0, deployment.logs()


@asynccontextmanager
async def publishing(deployment: Deployment) -> AsyncIterator[None]:
    """A bundle now and then, for the router to decide about."""
    site = Site(deployment.world, "JCF")
    producer = KafkaProducer(deployment.broker.bootstrap, deployment.broker.client_files("JCF"))
    await producer.start()

    async def publish() -> None:
        while True:
            record = site.seal(["ATF"], events=1)
            await producer.send([OutgoingRecord("ingest.JCF", record.key, record.value)])
            await asyncio.sleep(0.3)

    task = asyncio.ensure_future(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await producer.stop()


def test_a_site_without_a_broker_has_started_and_is_fed(deployment: Deployment, manager: Manager) -> None:
    config = deployment.site_config("ATF", tables='[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n')
    deployment.broker.process.stop()
    site = deployment.start("site", "run", "--config", config)
    # It has all that is its own, and knows what it waits for: a restart would bring nothing.
    assert manager.hears("READY=1"), deployment.logs()
    assert manager.listen(60, lambda line: "waits for subscriber (bus.unavailable)" in line), manager.heard
    began = time.monotonic()
    manager.listen(20)
    assert manager.fed(began) >= 1
    deployment.broker.process.start()
    assert manager.hears("STATUS=ready"), deployment.logs()
    site.terminate()
    assert manager.hears("STOPPING=1")
    assert site.wait(60) == 0, deployment.logs()
