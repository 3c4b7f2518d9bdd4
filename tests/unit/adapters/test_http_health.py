"""hub/adapters/http_health.py and progress.py: what is served, and that ready means progress."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from hub.adapters.http_health import MetricsAddressTaken, health_app, serve_health
from hub.adapters.progress import ProgressObserver
from hub.adapters.prometheus import PrometheusObserver
from hub.client.store import StoreInUse


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def progress(clock: HandClock) -> ProgressObserver:
    return ProgressObserver(PrometheusObserver(), clock, stale_after=30)


def step(progress: ProgressObserver, worker: str = "router") -> None:
    progress.gauge("cgi_progress_timestamp_seconds", 1.0, worker=worker)


def test_ready_means_progress(progress: ProgressObserver, clock: HandClock) -> None:
    assert not progress.ready()  # nothing is expected: nothing is known to work
    progress.expect("router")
    assert not progress.ready()
    step(progress)
    assert progress.ready()
    clock.seconds += 31
    assert not progress.ready()
    step(progress)
    assert progress.ready()


def test_every_expected_worker_counts_and_no_other(progress: ProgressObserver) -> None:
    progress.expect("publisher")
    progress.expect("subscriber")
    step(progress, "publisher")
    step(progress, "source")
    assert not progress.ready()
    progress.retire("subscriber")
    assert progress.ready()


async def test_pages(tmp_path: Path, clock: HandClock) -> None:
    metrics = PrometheusObserver()
    progress = ProgressObserver(metrics, clock, stale_after=30)
    progress.expect("router")
    refreshed = []
    app = health_app(metrics, progress, lambda: refreshed.append(1))
    file = tmp_path / "state" / "metrics.address"
    async with serve_health(app, listen="127.0.0.1:0", address_file=file) as address:
        assert file.read_text() == f"{address}\n"
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            step(progress)
            clock.seconds += 2
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()) == (
                200,
                {"ready": True, "seconds_since_progress": {"router": 2.0}},
            )
            page = await client.get("/metrics")
            assert page.headers["content-type"].startswith("text/plain")
            assert "\ncgi_ready 1.0\n" in page.text
            assert refreshed == [1]
            assert (await client.get("/")).status_code == 404
    assert not file.exists()


async def test_a_second_process_on_the_folder_leaves_the_address_of_the_first(tmp_path: Path, clock: HandClock) -> None:
    metrics = PrometheusObserver()
    app = health_app(metrics, ProgressObserver(metrics, clock, stale_after=1), lambda: None)
    file = tmp_path / "metrics.address"
    async with serve_health(app, listen="127.0.0.1:0", address_file=file) as address:
        with pytest.raises(StoreInUse):
            async with serve_health(app, listen="127.0.0.1:0", address_file=file):
                pass
        assert file.read_text() == f"{address}\n"
    async with serve_health(app, listen="127.0.0.1:0", address_file=file):
        assert file.exists()


async def test_a_taken_address_is_one_clear_error(tmp_path: Path, clock: HandClock) -> None:
    metrics = PrometheusObserver()
    app = health_app(metrics, ProgressObserver(metrics, clock, stale_after=1), lambda: None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(MetricsAddressTaken):
            async with serve_health(app, listen=taken, address_file=tmp_path / "a"):
                pass
    with pytest.raises(MetricsAddressTaken):
        async with serve_health(app, listen="no.such.host.invalid:1", address_file=tmp_path / "a"):
            pass


async def test_a_failure_inside_gets_out(tmp_path: Path, clock: HandClock) -> None:
    metrics = PrometheusObserver()
    app = health_app(metrics, ProgressObserver(metrics, clock, stale_after=1), lambda: None)
    with pytest.raises(ExceptionGroup) as caught:
        async with serve_health(app, listen="127.0.0.1:0", address_file=tmp_path / "a"):
            raise ValueError("inside")
    assert caught.group_contains(ValueError, match="inside")
    assert not (tmp_path / "a").exists()
