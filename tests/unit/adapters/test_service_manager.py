"""hub/adapters/service_manager.py: what the service manager hears, on a real socket, and when it hears nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.adapters.progress import ProgressObserver
from hub.adapters.prometheus import PrometheusObserver
from hub.adapters.service_manager import ServiceManager


class HandClock:
    """A clock that a test moves."""

    seconds = 1_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        self.seconds += 0.001  # no two moments are the same
        return self.seconds


class Heard:
    """The manager's end of a notification socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def lines(self) -> list[str]:
        """What has come since the last call."""
        found: list[str] = []
        while True:
            try:
                found += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path if request.param == "path" else f"@{path}")
    heard = Heard(path if request.param == "path" else f"\0{path}")
    yield heard
    heard.socket.close()


@pytest.fixture
def progress() -> ProgressObserver:
    return ProgressObserver(PrometheusObserver(), HandClock(), stale_after=30)


def step(progress: ProgressObserver, worker: str) -> None:
    progress.gauge("cgi_progress_timestamp_seconds", 1.0, worker=worker)


def away(progress: ProgressObserver) -> None:
    progress.increment("cgi_unavailable_total", operation="produce", code="bus.unavailable")


def test_each_message_is_one_datagram(heard: Heard) -> None:
    ServiceManager().notify("READY=1", "WATCHDOG=1")
    assert heard.lines() == ["READY=1", "WATCHDOG=1"]


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative/path", "/nowhere/notify"])
def test_where_nobody_listens_nothing_happens(name: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": name} if name else {}).notify("READY=1")


async def until(heard: Heard, word: str) -> list[str]:
    """What came until ``word`` did."""
    lines: list[str] = []
    async with asyncio.timeout(30):
        while word not in lines:
            await asyncio.sleep(0.01)
            lines += heard.lines()
    return lines


async def test_ready_when_every_worker_got_further(
    heard: Heard, progress: ProgressObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.adapters.service_manager._LOOK_SECONDS", 0.01)
    progress.expect("publisher")
    progress.expect("subscriber")
    async with asyncio.TaskGroup() as group:
        reporting = group.create_task(ServiceManager().report(progress, HandClock()))
        step(progress, "publisher")
        assert await until(heard, "STATUS=not ready: waits for subscriber") == [
            "STATUS=not ready: waits for subscriber"
        ]
        step(progress, "subscriber")
        assert "READY=1" in await until(heard, "STATUS=ready")
        reporting.cancel()


def test_moved_means_every_worker_or_something_away(progress: ProgressObserver) -> None:
    clock = progress._clock
    assert not progress.moved_since(0)  # nobody is expected yet
    progress.expect("publisher")
    progress.expect("subscriber")
    began = clock.monotonic()
    step(progress, "publisher")
    assert not progress.moved_since(began)
    step(progress, "subscriber")
    assert progress.moved_since(began)
    began = clock.monotonic()
    assert not progress.moved_since(began)
    away(progress)
    assert progress.moved_since(began)
    assert not progress.moved_since(clock.monotonic())
    progress.retire("subscriber")
    began = clock.monotonic()
    step(progress, "publisher")
    assert progress.moved_since(began)


async def test_the_watchdog_is_fed_by_progress_alone(
    heard: Heard, progress: ProgressObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.adapters.service_manager._LOOK_SECONDS", 0.01)
    progress.expect("publisher")
    async with asyncio.TaskGroup() as group:
        reporting = group.create_task(ServiceManager().report(progress, progress._clock))
        away(progress)
        first = await until(heard, "WATCHDOG=1")
        assert first[0] == "READY=1"  # started, and it is known what it waits for
        for _ in range(3):
            heard.lines()
            await asyncio.sleep(0.2)  # the loop turns, and nothing gets further
            assert "WATCHDOG=1" not in heard.lines()
            step(progress, "publisher")
            assert (await until(heard, "WATCHDOG=1")).count("WATCHDOG=1") == 1
        reporting.cancel()


def test_what_is_away_is_in_the_status_as_long_as_it_is_news(progress: ProgressObserver) -> None:
    progress.expect("publisher")
    away(progress)
    assert (progress.behind(), progress.away()) == (["publisher"], "bus.unavailable")
    progress._clock.seconds += 31  # type: ignore[attr-defined]  # the test's own clock
    assert progress.away() == ""
