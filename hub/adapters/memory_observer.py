"""The Observer that remembers, for tests: it holds to the same declarations as the one that renders."""

from __future__ import annotations

from collections import defaultdict

from hub.adapters.prometheus import LabelBounds, declared
from hub.metrics import METRICS, CounterName, GaugeName, HistogramName, MetricName

Series = tuple[str, tuple[str, ...]]
"""A metric's name and the values of its labels in the declared order."""


class MemoryObserver:
    """Implements ``hub.ports.Observer``."""

    def __init__(self) -> None:
        self._bounds = LabelBounds()
        self.counters: dict[Series, float] = defaultdict(float)
        self.gauges: dict[Series, float] = {}
        self.observations: dict[Series, list[float]] = defaultdict(list)

    def increment(self, name: CounterName, amount: float = 1, /, **labels: str) -> None:
        """Add ``amount`` to a counter."""
        self.counters[name, self._bounds.values(declared(name, "counter"), labels)] += amount

    def observe(self, name: HistogramName, value: float, /, **labels: str) -> None:
        """Remember ``value``."""
        self.observations[name, self._bounds.values(declared(name, "histogram"), labels)].append(value)

    def gauge(self, name: GaugeName, value: float, /, **labels: str) -> None:
        """Set a gauge to ``value``."""
        self.gauges[name, self._bounds.values(declared(name, "gauge"), labels)] = value

    def total(self, name: MetricName, **labels: str) -> float:
        """The sum of a counter's (or a gauge's) series that have these labels."""
        metric = declared(name, METRICS[name].kind)
        series = self.counters if metric.kind == "counter" else self.gauges
        places = {metric.label_names.index(label): value for label, value in labels.items()}
        return sum(
            number
            for (metric_name, values), number in series.items()
            if metric_name == name and all(values[place] == value for place, value in places.items())
        )
