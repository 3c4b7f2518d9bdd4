"""hub/metrics.py: what is declared is what is used, and the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from hub.metrics import METRICS, CounterName, GaugeName, HistogramName

ROOT = Path(__file__).parents[2]
KINDS = {"increment": "counter", "observe": "histogram", "gauge": "gauge"}


def _calls() -> Iterator[tuple[str, str, str, set[str] | None]]:
    """(place, method, metric's name, label names or None where they are unpacked) of each use in the code."""
    for path in sorted([*ROOT.glob("hub/**/*.py"), *ROOT.glob("connectors/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            first = node.args[0]
            if node.func.attr in KINDS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                keywords = [keyword.arg for keyword in node.keywords]
                labels = None if None in keywords else {keyword for keyword in keywords if keyword is not None}
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.func.attr, first.value, labels


def test_literals_and_declarations_name_the_same_metrics() -> None:
    by_kind = {kind: {m.name for m in METRICS.values() if m.kind == kind} for kind in KINDS.values()}
    assert by_kind == {
        "counter": set(get_args(CounterName)),
        "histogram": set(get_args(HistogramName)),
        "gauge": set(get_args(GaugeName)),
    }


def test_every_use_is_declared() -> None:
    wrong = [
        (place, name)
        for place, method, name, labels in _calls()
        if name not in METRICS
        or METRICS[name].kind != KINDS[method]
        or (labels is not None and labels != set(METRICS[name].label_names))
    ]
    assert wrong == []


def test_every_declaration_is_used() -> None:
    used = {name for _, _, name, _ in _calls()}
    assert set(METRICS) - used == set()


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.name)
def test_conventions(metric) -> None:
    assert metric.doc.endswith(".")
    assert metric.name.startswith("cgi_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(metric.buckets)
    for label in metric.labels:
        assert label.limit <= 256
        assert label.name not in {"event_id", "serial", "name", "case", "person", "correlation_id", "instance"}
