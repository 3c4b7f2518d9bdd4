"""The sources: Prometheus' answers, heartbeats, the directory's history; a source that fails keeps what it said."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.adapters.memory import MemoryBroker
from hub.console.facts import Metrics
from hub.console.prometheus import Prometheus, PrometheusUnavailable
from hub.console.queries import COURSES, QUICK, SLOW
from hub.console.sources import (
    DirectoryHistory,
    HeartbeatSource,
    HistoryInvalid,
    HistorySource,
    MetricsSource,
    QuarantineSource,
    parse_beat,
    read_subscriptions,
)
from hub.console.watch import Watch, Watched
from hub.errors import BusUnavailable, InvariantError
from hub.ports import OutgoingRecord
from hub.topics import HEARTBEAT, QUARANTINE
from tests.console.stage import Clock, MemoryFollower, make_world, quarantine_records
from tests.support.authority import NOW_MS
from tests.support.samples import catalog


def prometheus(answer: Callable[[httpx.Request], httpx.Response]) -> Prometheus:
    return Prometheus("http://user:secret@p.example/", client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))


def good(result: Any) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": result})


async def test_answers_are_read_by_name() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/query"
        result = [
            {"metric": {"__name__": "up", "agency": "JCF"}, "value": [1796000000, "1"]},
            {"metric": {"agency": "ATF"}, "value": [1796000000, "NaN"]},
        ]
        return good({"resultType": "vector", "result": result})

    metrics = await prometheus(answer).query({"up": "up"}, NOW_MS)
    (sample,) = metrics.get("up")
    assert (sample.labels, sample.value) == ({"agency": "JCF"}, 1.0)
    assert metrics.value("up", agency="JCF") == 1.0
    assert metrics.value("up", agency="ATF") is None


async def test_courses_and_alerts() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("query_range"):
            values = [[1796000000.5, "2"], [1796000060, "NaN"], [1796000120, "4"]]
            return good({"result": [{"metric": {"publisher": "JCF"}, "values": values}]})
        alert = {
            "labels": {"alertname": "Late", "severity": "critical"},
            "annotations": {"summary": "s"},
            "state": "firing",
            "activeAt": "2026-11-24T11:00:00.123456789Z",
            "value": "1",
        }
        return good({"alerts": [alert, {**alert, "activeAt": "2026-11-24T11:00:00Z"}]})

    source = prometheus(answer)
    courses = await source.courses({"sent": "x"}, NOW_MS)
    assert Metrics(courses=courses).course("sent", publisher="JCF") == ((1796000000500, 2.0), (1796000120000, 4.0))
    first, second = await source.alerts()
    assert (first.name, first.severity, first.since_ms) == ("Late", "critical", 1795518000123)
    assert second.since_ms == 1795518000000


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("query", httpx.Response(503, text="no")),
        ("query", httpx.Response(200, json={"status": "error", "error": "bad query"})),
        ("query", httpx.Response(200, json=[])),
        ("query", httpx.Response(200, json={"status": "success", "data": {"result": [{}]}})),
        ("query", httpx.Response(200, json={"status": "success", "data": {"result": [{"metric": {}, "value": [1]}]}})),
        ("alerts", httpx.Response(200, json={"status": "success", "data": {"alerts": [{"labels": {}}]}})),
        ("alerts", httpx.Response(200, json={"status": "success", "data": {}})),
    ],
)
async def test_what_is_no_answer_is_unavailable_and_tells_no_secret(asked: str, reply: httpx.Response) -> None:
    source = prometheus(lambda _request: reply)
    with pytest.raises(PrometheusUnavailable) as refused:
        await (source.alerts() if asked == "alerts" else source.query({"up": "up"}, NOW_MS))
    assert "secret" not in refused.value.diagnostics()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"status": "success", "data": {"result": [{"metric": null, "value": [0, "1"], "values": []}]}}',
        b'{"status": "success", "data": {"result": [{"metric": [], "value": [0, "1"], "values": []}]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}, "value": ["1"], "values": [["inf", "1"]]}]}}',
        b'{"status": "success", "data": {"result": 5}}',
    ],
    ids=["deep", "no labels", "a list of labels", "no value and the end of time", "a number"],
)
async def test_an_answer_that_is_none_of_prometheus_does_not_end_the_console(body: bytes) -> None:
    asked = prometheus(lambda _request: httpx.Response(200, content=body))
    for source in (MetricsSource(asked), HistorySource(asked)):
        with pytest.raises(PrometheusUnavailable):
            await source.read(NOW_MS)
    with pytest.raises(PrometheusUnavailable):
        await asked.courses(COURSES, NOW_MS)


async def test_no_prometheus_is_unavailable() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(PrometheusUnavailable):
        await MetricsSource(prometheus(answer)).read(NOW_MS)


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: make setup-observability")
    queries = {**QUICK, **SLOW, **{f"course_{name}": text for name, text in COURSES.items()}}
    rules = [{"record": f"console:{name}", "expr": text} for name, text in queries.items()]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "console", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_course_goes_down_to_zero_and_the_last_answer_stays(tmp_path: Path) -> None:
    """A rate that is left out where nothing flows would make the line end at the last thing that flowed."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: make setup-observability")
    rules = {"groups": [{"name": "q", "rules": [{"record": "q:all", "expr": COURSES["all"]}]}]}
    (tmp_path / "rules.yml").write_text(json.dumps(rules))
    events = 'cgi_events_total{role="router", outcome="delivered", publisher="JCF", recipient="ATF"}'
    case = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": events, "values": "0+60x10 600x20"},
                    {"series": 'up{job="cgi-hub", role="router", instance="r"}', "values": "1x10 0x20"},
                ],
                "promql_expr_test": [
                    {"expr": "q:all", "eval_time": "9m", "exp_samples": [{"labels": "q:all", "value": 60}]},
                    {"expr": "q:all", "eval_time": "29m", "exp_samples": [{"labels": "q:all", "value": 0}]},
                    {
                        "expr": QUICK["answered"],
                        "eval_time": "29m",
                        "exp_samples": [
                            {"labels": '{job="cgi-hub", role="router", instance="r"}', "value": 600}  # 10 min
                        ],
                    },
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(case))
    command = ["promtool", "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- topics -----------------------------------------------------------------------------------------------------------


async def test_each_router_is_known_by_its_last_heartbeat() -> None:
    broker = MemoryBroker({HEARTBEAT: 1}, now_ms=lambda: NOW_MS)
    source = HeartbeatSource(MemoryFollower(broker, HEARTBEAT))  # type: ignore[arg-type]
    producer = broker.producer("HUB")
    await producer.start()
    beats = [
        {"router": "a", "at_ms": 1, "partitions": ["ingest.JCF/0"], "bundles": 1, "quarantined": 0},
        {"router": "b", "at_ms": 10**15, "partitions": [], "bundles": 0, "quarantined": 0},
        {"router": "a", "at_ms": 2, "partitions": [], "bundles": 5, "quarantined": 1},
    ]
    raw = [*(json.dumps(beat).encode() for beat in beats), b"garbage", b"[]", b'{"router": "c"}']
    await producer.send([OutgoingRecord(HEARTBEAT, b"k", value) for value in raw])
    found = {beat.router: beat for beat in await source.read(NOW_MS)}
    assert set(found) == {"a", "b"}
    assert (found["a"].bundles, found["a"].at_ms) == (5, NOW_MS)  # the broker's time, not the router's word
    assert parse_beat(b"\xff", 0) is None
    for text in (b"[" * 5000, b'{"router":"a","partitions":[],"bundles":Infinity,"quarantined":0}'):
        assert parse_beat(text, 0) is None


async def test_a_record_that_was_quarantined_twice_is_one() -> None:
    broker = MemoryBroker({QUARANTINE: 1}, now_ms=lambda: NOW_MS)
    source = QuarantineSource(MemoryFollower(broker, QUARANTINE))  # type: ignore[arg-type]
    producer = broker.producer("HUB")
    await producer.start()
    records = quarantine_records()
    await producer.send([OutgoingRecord(QUARANTINE, b"k", value) for value in [*records, records[0]]])
    assert [held.offset for held in await source.read(NOW_MS)] == [0, 1, 2, 3]
    assert len(await source.read(NOW_MS)) == 4


# --- the directory's history ------------------------------------------------------------------------------------------


def test_versions_are_remembered_over_a_new_start(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    world = make_world()
    history = DirectoryHistory(file)
    (first,) = history.note(world.directory(), NOW_MS)
    assert history.note(world.directory(), NOW_MS + 1) == (first,)
    world.suspend("HNP")
    again = DirectoryHistory(file)
    newest, oldest = again.note(world.directory(), NOW_MS + 2)
    assert oldest == first
    assert [(change.code, change.names) for change in newest.changes] == [("agency.suspended", {"agency": "HNP"})]
    assert newest.seen_ms == NOW_MS + 2


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"versions": [{}]}'])
def test_a_damaged_history_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "history.json"
    file.write_text(text)
    with pytest.raises(HistoryInvalid):
        DirectoryHistory(file)


def test_a_wrong_subscription_file_is_its_agencys_fault_alone(tmp_path: Path) -> None:
    good_text = 'agency: ATF\naccept:\n  - name: all\n    types: [trace.request]\n    from: "*"\n'
    (tmp_path / "ATF.yaml").write_text(good_text)
    (tmp_path / "JCF.yaml").write_text("agency: ATF\n")
    found = read_subscriptions(tmp_path, catalog(), make_world().directory())
    assert set(found) == {"ATF"}


# --- the watch --------------------------------------------------------------------------------------------------------


class Saying:
    """A source that says one thing after the other, or raises it."""

    def __init__(self, *said: Any) -> None:
        self._said = list(said)
        self.closed = False

    async def read(self, now_ms: int) -> Any:
        said = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        if isinstance(said, Exception):
            raise said
        return said

    async def close(self) -> None:
        self.closed = True


async def test_what_fails_keeps_what_it_said_with_its_time() -> None:
    clock = Clock()
    source = Saying((), BusUnavailable("gone"), ())
    watch = Watch({"alerts": Watched(source)}, clock)
    await watch.look()
    assert (watch.facts.alerts.value, watch.facts.alerts.at_ms) == ((), NOW_MS)
    clock.ms += 5_000
    await watch.look("alerts")
    reading = watch.facts.alerts
    assert (reading.value, reading.at_ms, reading.code, reading.message) == ((), NOW_MS, "bus.unavailable", "gone")
    await watch.look("alerts", "cluster")  # a source that it does not have is left out
    assert (watch.facts.alerts.code, watch.facts.alerts.at_ms) == ("", NOW_MS + 5_000)
    await watch.close()
    assert source.closed


async def test_our_own_bug_is_not_a_source_that_does_not_answer() -> None:
    watch = Watch({"alerts": Watched(Saying(InvariantError("a bug")), 0.01)}, Clock())
    with pytest.raises(ExceptionGroup):
        await watch.run()


async def test_who_waits_is_woken_by_a_reading_or_by_time() -> None:
    watch = Watch({"alerts": Watched(Saying(()), 0.01)}, Clock())
    assert await watch.changed(0, most=0.01) == 0
    async with asyncio.timeout(10):
        running = asyncio.create_task(watch.run())
        assert await watch.changed(0, most=10) >= 1
        running.cancel()
