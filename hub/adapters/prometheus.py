"""The Observer that renders to Prometheus: one registry a process, every metric made from its declaration."""

from __future__ import annotations

from collections import defaultdict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from hub.errors import InvariantError
from hub.metrics import METRICS, OVERFLOW, CounterName, GaugeName, HistogramName, Label, Metric


class MetricUndeclared(InvariantError):
    """A metric, a label or a label's value that hub/metrics.py does not declare."""

    code = "metric.undeclared"


class LabelBounds:
    """Holds labels to their declaration: closed lists are exact, open ones stop at their limit."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], set[str]] = defaultdict(set)

    def values(self, metric: Metric, labels: dict[str, str]) -> tuple[str, ...]:
        """The values in the declared order. Raises :class:`MetricUndeclared`."""
        if labels.keys() != set(metric.label_names):
            raise MetricUndeclared(
                "a metric was used with other labels than hub/metrics.py declares",
                metric=metric.name,
                used=sorted(labels),
                declared=metric.label_names,
            )
        return tuple(self._bounded(metric, label, labels[label.name]) for label in metric.labels)

    def forget(self, metric: Metric) -> None:
        """Its labels' values do not count any more."""
        for label in metric.labels:
            self._seen.pop((metric.name, label.name), None)

    def _bounded(self, metric: Metric, label: Label, value: str) -> str:
        if label.values:
            if value not in label.values:
                raise MetricUndeclared(
                    "a label's value is not in its declared list", metric=metric.name, label=label.name, value=value
                )
            return value
        seen = self._seen[metric.name, label.name]
        if value not in seen:
            if len(seen) >= label.limit:
                return OVERFLOW
            seen.add(value)
        return value


def declared(name: str, kind: str) -> Metric:
    """The declaration of ``name``. Raises :class:`MetricUndeclared` where there is none of that kind."""
    metric = METRICS.get(name)
    if metric is None or metric.kind != kind:
        raise MetricUndeclared("hub/metrics.py declares no such metric", metric=name, kind=kind)
    return metric


class PrometheusObserver:
    """Implements ``hub.ports.Observer``. ``registry`` is its own, never the process-wide default."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._bounds = LabelBounds()
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Gauge] = {}
        self._told: set[str] = set()
        for metric in METRICS.values():
            if metric.kind == "counter":
                self._counters[metric.name] = Counter(
                    metric.name, metric.doc, metric.label_names, registry=self.registry
                )
            elif metric.kind == "histogram":
                self._histograms[metric.name] = Histogram(
                    metric.name, metric.doc, metric.label_names, registry=self.registry, buckets=metric.buckets
                )
            else:
                self._gauges[metric.name] = Gauge(metric.name, metric.doc, metric.label_names, registry=None)

    def increment(self, name: CounterName, amount: float = 1, /, **labels: str) -> None:
        """Add ``amount`` to a counter."""
        values = self._bounds.values(declared(name, "counter"), labels)
        counter = self._counters[name]
        (counter.labels(*values) if values else counter).inc(amount)

    def observe(self, name: HistogramName, value: float, /, **labels: str) -> None:
        """Put ``value`` into a histogram."""
        values = self._bounds.values(declared(name, "histogram"), labels)
        histogram = self._histograms[name]
        (histogram.labels(*values) if values else histogram).observe(value)

    def gauge(self, name: GaugeName, value: float, /, **labels: str) -> None:
        """Set a gauge to ``value``."""
        values = self._bounds.values(declared(name, "gauge"), labels)
        gauge = self._gauges[name]
        if name not in self._told:  # one that nothing was said of is not 0: it is not this process's
            self._told.add(name)
            self.registry.register(gauge)
        (gauge.labels(*values) if values else gauge).set(value)

    def clear(self, *names: GaugeName) -> None:
        """Forget all that these gauges said: what is not said again is gone."""
        for name in self._told.intersection(names):
            self.registry.unregister(self._gauges[name])
            self._told.discard(name)
        for name in names:
            self._gauges[name].clear()
            self._bounds.forget(declared(name, "gauge"))

    def render(self) -> tuple[bytes, str]:
        """The text exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
