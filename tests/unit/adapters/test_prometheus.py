"""hub/adapters/prometheus.py and memory_observer.py: the same declarations bind both."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.adapters.memory_observer import MemoryObserver
from hub.adapters.prometheus import MetricUndeclared, PrometheusObserver
from hub.metrics import METRICS, OVERFLOW
from hub.ports import Observer

LANE = {"publisher": "JCF", "recipient": "ATF", "event_type": "trace.request", "outcome": "delivered", "reason": ""}


@pytest.fixture(params=[PrometheusObserver, MemoryObserver])
def observer(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_is_an_observer(observer: Any) -> None:
    assert isinstance(observer, Observer)


def test_a_label_more_or_less_is_refused(observer: Any) -> None:
    with pytest.raises(MetricUndeclared):
        observer.increment("cgi_events_total", publisher="JCF")
    with pytest.raises(MetricUndeclared):
        observer.gauge("cgi_ready", 1, serial="A1")


def test_an_undeclared_name_or_another_kind_is_refused(observer: Any) -> None:
    with pytest.raises(MetricUndeclared):
        observer.increment("cgi_nothing_total")
    with pytest.raises(MetricUndeclared):
        observer.gauge("cgi_rebalances_total", 1)


def test_a_value_outside_a_closed_list_is_refused(observer: Any) -> None:
    with pytest.raises(MetricUndeclared):
        observer.increment("cgi_events_total", **{**LANE, "outcome": "lost"})


def test_prometheus_renders_every_declared_metric() -> None:
    observer = PrometheusObserver()
    for metric in METRICS.values():
        labels = {label.name: min(label.values, default="x") for label in metric.labels}
        act: Any = {"counter": observer.increment, "histogram": observer.observe, "gauge": observer.gauge}[metric.kind]
        act(metric.name, 1, **labels)
    text = observer.render()[0].decode()
    families = {family.name for family in text_string_to_metric_families(text)}
    assert {name.removesuffix("_total") for name in METRICS} <= families


def test_an_open_label_stops_at_its_limit() -> None:
    observer = PrometheusObserver()
    limit = next(label.limit for label in METRICS["cgi_sink_write_seconds"].labels)
    for number in range(limit + 5):
        observer.observe("cgi_sink_write_seconds", 0.1, sink=f"sink{number}")
    text = observer.render()[0].decode()
    assert text.count("cgi_sink_write_seconds_count{") == limit + 1
    assert f'cgi_sink_write_seconds_count{{sink="{OVERFLOW}"}} 5.0' in text


def test_memory_adds_up() -> None:
    observer = MemoryObserver()
    observer.increment("cgi_events_total", 3, **LANE)
    observer.increment("cgi_events_total", 4, **{**LANE, "recipient": "RSS"})
    assert observer.total("cgi_events_total", outcome="delivered") == 7
    assert observer.total("cgi_events_total", recipient="RSS") == 4


def test_a_gauge_of_which_nothing_was_said_is_not_zero() -> None:
    metrics = PrometheusObserver()
    assert b"cgi_directory_version" not in metrics.render()[0]
    metrics.gauge("cgi_directory_version", 7)
    assert b"\ncgi_directory_version 7.0\n" in metrics.render()[0]
    metrics.clear("cgi_directory_version", "cgi_ready")
    assert b"cgi_directory_version" not in metrics.render()[0]
    metrics.gauge("cgi_directory_version", 8)
    assert b"\ncgi_directory_version 8.0\n" in metrics.render()[0]
