"""What the exporter says of one look, and of the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.adapters.clock import SystemClock
from hub.adapters.group_lag import GroupLag
from hub.adapters.kafka_figures import Figures, NodeFigures, TopicFigures
from hub.adapters.progress import ProgressObserver
from hub.adapters.prometheus import PrometheusObserver
from hub.app.exporter import WORKER, look, look_at_jvm, show
from hub.errors import BusUnavailable, UnavailableError
from tests.unit.adapters.test_jvm_counters import KAFKA, encode

NOW = 1_790_000_000_000
WAITS = (("deliver.ATF", 0), 5)
SEEN = Figures(
    up=frozenset({1, 2}),
    away=frozenset({3}),
    controller=True,
    topics={
        "deliver.ATF": TopicFigures({"healthy": 2, "offline": 1}, 86_400_000, 40),
        "hub.directory": TopicFigures({"healthy": 1}, -1, None),
    },
    groups=[
        (GroupLag("ATF.site", "deliver.ATF", 0, 5, 2, (WAITS,)), NOW - 90_000),
        (GroupLag("ATF.lab", "deliver.ATF", None, 1, 0, (WAITS,)), None),
        (GroupLag("ATF.desk", "deliver.ATF", 1, 0, 0, ()), None),
    ],
    nodes={
        1: NodeFigures(0.02, 1000, 400, {"deliver.ATF": 30}),
        2: NodeFigures(0.03, 1000, 300, {"deliver.ATF": 30, "gone": 5}),
    },
    missed=[],
)


def said(metrics: PrometheusObserver) -> dict[str, float]:
    lines = metrics.render()[0].decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_one_look() -> None:
    metrics = PrometheusObserver()
    show(SEEN, metrics, now_ms=NOW)
    now = said(metrics)
    of_site = 'group="ATF.site",topic="deliver.ATF"'
    assert now[f"cgi_group_lag_records{{{of_site}}}"] == 5
    assert now[f"cgi_group_lag_seconds{{{of_site}}}"] == 90
    assert now[f"cgi_group_expired_records{{{of_site}}}"] == 2
    assert now[f"cgi_group_members{{{of_site}}}"] == 0
    assert now['cgi_group_lag_seconds{group="ATF.desk",topic="deliver.ATF"}'] == 0
    assert 'cgi_group_lag_seconds{group="ATF.lab",topic="deliver.ATF"}' not in now  # nobody knows since when
    assert 'cgi_group_members{group="ATF.lab",topic="deliver.ATF"}' not in now
    assert now['cgi_topic_partitions{state="offline",topic="deliver.ATF"}'] == 1
    assert now['cgi_topic_retention_seconds{topic="deliver.ATF"}'] == 86_400
    assert now['cgi_topic_retention_seconds{topic="hub.directory"}'] == float("inf")
    assert now['cgi_topic_bytes{topic="deliver.ATF"}'] == 60
    assert 'cgi_topic_bytes{topic="gone"}' not in now
    assert (now['cgi_brokers{state="up"}'], now['cgi_brokers{state="away"}']) == (2, 1)
    assert now['cgi_broker_disk_bytes{broker="2",kind="usable"}'] == 300
    assert now['cgi_controllers{state="leading"}'] == 1


def test_what_is_gone_is_not_said_any_more() -> None:
    metrics = PrometheusObserver()
    show(SEEN, metrics, now_ms=NOW)
    show(replace(SEEN, groups=SEEN.groups[:1], topics={}, controller=None), metrics, now_ms=NOW)
    now = said(metrics)
    assert [name for name in now if name.startswith("cgi_group_members")] == [
        'cgi_group_members{group="ATF.site",topic="deliver.ATF"}'
    ]
    assert not any(name.startswith(("cgi_topic_", "cgi_controllers")) for name in now)


def test_topics_that_are_gone_leave_room_for_others() -> None:
    metrics = PrometheusObserver()
    for turn in range(3):
        topics = {f"deliver.A{turn}-{number}": TopicFigures({"healthy": 1}, None, 1) for number in range(200)}
        show(replace(SEEN, groups=[], topics=topics), metrics, now_ms=NOW)
    assert 'cgi_topic_end_offset{topic="deliver.A2-199"}' in said(metrics)


class Looking:
    """Figures that answer as told."""

    def __init__(self, *answers: Figures | UnavailableError) -> None:
        self.answers = list(answers)

    async def read(self) -> Figures:
        answer = self.answers.pop(0)
        if isinstance(answer, UnavailableError):
            raise answer
        return answer


async def test_while_nothing_answers_what_was_seen_stays_and_no_broker_is_up() -> None:
    metrics, clock = PrometheusObserver(), SystemClock()
    progress = ProgressObserver(metrics, clock, stale_after=60)
    progress.expect(WORKER)
    partly = replace(SEEN, missed=[BusUnavailable("one of two")])
    figures: Any = Looking(BusUnavailable("away"), partly, BusUnavailable("away"))
    await look(figures, metrics, progress, clock)
    assert said(metrics)['cgi_brokers{state="up"}'] == 0
    assert not progress.ready()
    await look(figures, metrics, progress, clock)
    assert said(metrics)['cgi_brokers{state="up"}'] == 2
    assert progress.ready()
    await look(figures, metrics, progress, clock)
    now = said(metrics)
    assert (now['cgi_brokers{state="up"}'], now['cgi_controllers{state="leading"}']) == (0, 0)
    assert now['cgi_group_lag_records{group="ATF.site",topic="deliver.ATF"}'] == 5
    assert now['cgi_unavailable_total{code="bus.unavailable",operation="figures"}'] == 3


async def test_the_jvm_of_a_kafka_on_this_machine(tmp_path: Path) -> None:
    metrics = PrometheusObserver()
    progress = ProgressObserver(metrics, SystemClock(), stale_after=60)
    (tmp_path / "7").write_bytes(encode(KAFKA))
    await look_at_jvm(tmp_path, metrics, progress)
    now = said(metrics)
    assert (now['cgi_broker_heap_bytes{kind="used"}'], now['cgi_broker_heap_bytes{kind="most"}']) == (123, 1_000)
    assert (now["cgi_broker_collections"], now["cgi_broker_collection_seconds"], now["cgi_broker_threads"]) == (
        5,
        2,
        94,
    )
    (tmp_path / "7").unlink()
    await look_at_jvm(tmp_path, metrics, progress)
    now = said(metrics)
    assert not [name for name in now if name.startswith(("cgi_broker_heap", "cgi_broker_coll", "cgi_broker_threads"))]
    assert now['cgi_unavailable_total{code="jvm.counters_missing",operation="figures"}'] == 1
