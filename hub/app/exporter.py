"""The exporter of the broker's figures: looks at the cluster every few seconds and serves what it saw to Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import math
from pathlib import Path
from typing import Final

from hub.adapters.clock import SystemClock
from hub.adapters.group_lag import GroupLag
from hub.adapters.jvm_counters import read_kafka_jvm
from hub.adapters.kafka_figures import Figures, KafkaFigures, TopicFigures
from hub.adapters.progress import ProgressObserver
from hub.adapters.prometheus import PrometheusObserver
from hub.adapters.standing import show_clock_and_certificates
from hub.app.keys import tls_files
from hub.app.process import health_served, make_observers, make_state, say_started
from hub.errors import UnavailableError
from hub.log_words import say
from hub.metrics import GaugeName
from hub.settings import ExporterSettings

WORKER: Final = "exporter"

FIGURES: Final[tuple[GaugeName, ...]] = (
    "cgi_group_lag_records",
    "cgi_group_lag_seconds",
    "cgi_group_expired_records",
    "cgi_group_members",
    "cgi_topic_partitions",
    "cgi_topic_bytes",
    "cgi_topic_end_offset",
    "cgi_topic_retention_seconds",
    "cgi_brokers",
    "cgi_broker_disk_bytes",
    "cgi_controllers",
)
"""What is said anew with each look; a group or a topic that is gone is not said any more."""
JVM_FIGURES: Final[tuple[GaugeName, ...]] = (
    "cgi_broker_heap_bytes",
    "cgi_broker_collections",
    "cgi_broker_collection_seconds",
    "cgi_broker_threads",
)


async def run_exporter(settings: ExporterSettings, *, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set. Raises ``ConfigError``: the settings, the files, or the cluster refuses us."""
    make_state(settings)
    clock, metrics, progress = make_observers(settings)
    say_started(metrics, settings, "exporter")
    tls = tls_files(settings.kafka)
    figures = KafkaFigures(settings.kafka.bootstrap, tls, clock)
    progress.expect(WORKER)

    def refresh() -> None:
        show_clock_and_certificates(tls, clock, metrics)

    try:
        async with health_served(metrics, progress, clock, refresh, settings, "exporter"):
            while not stop.is_set():
                await look(figures, metrics, progress, clock)
                if settings.jvm_folder is not None:
                    await look_at_jvm(settings.jvm_folder, metrics, progress)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), settings.interval)
            say("process.stopping", role="exporter", agency=settings.agency)
    finally:
        await figures.close()


async def look(
    figures: KafkaFigures, metrics: PrometheusObserver, progress: ProgressObserver, clock: SystemClock
) -> None:
    """One look. Where nothing answers, what was seen last stays, but for the brokers: none is up."""
    try:
        seen = await figures.read()
    except UnavailableError as error:
        progress.increment("cgi_unavailable_total", operation="figures", code=error.code)
        say("exporter.unavailable", code=error.code, reason=error.message)
        metrics.gauge("cgi_brokers", 0, state="up")
        metrics.gauge("cgi_controllers", 0, state="leading")
        return
    for missed in seen.missed:
        progress.increment("cgi_unavailable_total", operation="figures", code=missed.code)
    show(seen, metrics, now_ms=clock.now_ms())
    progress.gauge("cgi_progress_timestamp_seconds", clock.now_ms() / 1000, worker=WORKER)


async def look_at_jvm(folder: Path, metrics: PrometheusObserver, progress: ProgressObserver) -> None:
    """The same for the JVM of the Kafka on this machine. Where it is not there, its figures are not said."""
    try:
        seen = await asyncio.to_thread(read_kafka_jvm, folder)
    except UnavailableError as error:
        progress.increment("cgi_unavailable_total", operation="figures", code=error.code)
        metrics.clear(*JVM_FIGURES)
        return
    metrics.gauge("cgi_broker_heap_bytes", seen.heap_used, kind="used")
    metrics.gauge("cgi_broker_heap_bytes", seen.heap_most, kind="most")
    metrics.gauge("cgi_broker_collections", seen.collections)
    metrics.gauge("cgi_broker_collection_seconds", seen.collection_seconds)
    metrics.gauge("cgi_broker_threads", seen.threads)


def show(seen: Figures, metrics: PrometheusObserver, *, now_ms: int) -> None:
    """Set the gauges to what was seen. Nothing is awaited between the first and the last: a scrape sees all or none."""
    metrics.clear(*FIGURES)
    metrics.gauge("cgi_brokers", len(seen.up), state="up")
    metrics.gauge("cgi_brokers", len(seen.away), state="away")
    if seen.controller is not None:
        metrics.gauge("cgi_controllers", float(seen.controller), state="leading")
    for lag, oldest_ms in seen.groups:
        _show_lag(lag, oldest_ms, metrics, now_ms)
    for name, topic in seen.topics.items():
        _show_topic(name, topic, metrics)
    sizes: dict[str, int] = {}
    for node, told in seen.nodes.items():
        metrics.observe("cgi_broker_answer_seconds", told.seconds, broker=str(node))
        metrics.gauge("cgi_broker_disk_bytes", told.total, broker=str(node), kind="total")
        metrics.gauge("cgi_broker_disk_bytes", told.usable, broker=str(node), kind="usable")
        for name, size in told.sizes.items():
            sizes[name] = sizes.get(name, 0) + size
    for name, size in sizes.items():
        if name in seen.topics:
            metrics.gauge("cgi_topic_bytes", size, topic=name)


def _show_lag(lag: GroupLag, oldest_ms: int | None, metrics: PrometheusObserver, now_ms: int) -> None:
    metrics.gauge("cgi_group_lag_records", lag.records, group=lag.group, topic=lag.topic)
    metrics.gauge("cgi_group_expired_records", lag.expired, group=lag.group, topic=lag.topic)
    if lag.members is not None:
        metrics.gauge("cgi_group_members", lag.members, group=lag.group, topic=lag.topic)
    if oldest_ms is not None or not lag.records:  # of what waits and did not answer no age is said
        age = 0.0 if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000
        metrics.gauge("cgi_group_lag_seconds", age, group=lag.group, topic=lag.topic)


def _show_topic(name: str, topic: TopicFigures, metrics: PrometheusObserver) -> None:
    for state, count in topic.states.items():
        metrics.gauge("cgi_topic_partitions", count, topic=name, state=state)
    if topic.end_offset is not None:
        metrics.gauge("cgi_topic_end_offset", topic.end_offset, topic=name)
    if topic.retention_ms is not None:
        kept = math.inf if topic.retention_ms < 0 else topic.retention_ms / 1000
        metrics.gauge("cgi_topic_retention_seconds", kept, topic=name)
