"""Expressions of deploy/prometheus and deploy/grafana against what hub/metrics.py declares: names, labels, values."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from hub.metrics import METRICS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/prometheus"
RULES = sorted(FOLDER.glob("rules/*.yml"))

TARGET = frozenset({"job", "instance", "agency", "role"})
"""The labels that every target has (deploy/prometheus/prometheus.yml)."""
NOT_OURS = {
    "up": TARGET,
    "ALERTS": TARGET | {"alertname", "alertstate", "severity"},
    "process_cpu_seconds_total": TARGET,
    "process_resident_memory_bytes": TARGET,
}
"""What Prometheus and the client library say beside what hub/metrics.py declares."""

FUNCTIONS = frozenset(
    """
    abs absent and avg by count deriv group_left histogram_quantile increase label_replace max max_over_time min offset
    on or predict_linear rate round sum time timestamp topk unless
    """.split()  # noqa: SIM905  a list of many words is to be read, not to be counted
)


class Rule(NamedTuple):
    """One rule of a file."""

    name: str
    is_alert: bool
    expr: str
    parsed: dict[str, Any]


def _rules() -> Iterator[Rule]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                yield Rule(rule.get("alert") or rule["record"], "alert" in rule, rule["expr"], rule)


ALL = list(_rules())
RECORDED = {rule.name: rule for rule in ALL if not rule.is_alert}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``promtool ARGUMENTS``, run in deploy/prometheus. Skips the test where there is none."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: make setup-observability (Debian's package prometheus)")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, cwd=FOLDER)


def metrics_of(expr: str) -> set[str]:
    """The names of series in an expression. Raises ``ValueError`` for a word that is neither that nor known."""
    plain = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|ignoring|group_left)\s*\([^)]*\)|\"[^\"]*\"", " ", expr)
    words = set(re.findall(r"(?<![\w:.])[a-zA-Z_][\w:]*", plain)) - FUNCTIONS
    if strangers := {word for word in words if not re.match(r"cgi_|[a-z]+:cgi_", word) and word not in NOT_OURS}:
        raise ValueError(f"neither a series nor a known function: {sorted(strangers)}")
    return words


def base(series: str) -> str:
    """The metric that a histogram's series belongs to."""
    name = re.sub(r"_(bucket|count|sum)$", "", series)
    return name if name in METRICS and METRICS[name].kind == "histogram" else series


def labels_of(series: str) -> frozenset[str]:
    """The labels that a series can have: declared, of the target, or kept by a recording rule's ``by``."""
    if series in NOT_OURS:
        return NOT_OURS[series]
    if series in RECORDED:
        expr = RECORDED[series].expr
        kept = re.findall(r"\bby\s*\(([^)]*)\)", expr)
        made = re.findall(r'"(\w+)",\s*"[^"]*",\s*"\w+",\s*"[^"]*"\s*\)', expr) if "label_replace" in expr else []
        used = frozenset().union(*(labels_of(name) for name in metrics_of(expr) if name in RECORDED))
        return used | {name.strip() for names in kept for name in names.split(",")} | set(made)
    metric = METRICS[base(series)]
    return TARGET | set(metric.label_names) | ({"le"} if series.endswith("_bucket") else set())


def check_expression(expr: str) -> None:
    """Every series is declared, recorded or known; so is every label and, where the list is closed, every value."""
    series = metrics_of(expr)
    assert series
    unknown = {name for name in series if name not in RECORDED and name not in NOT_OURS and base(name) not in METRICS}
    assert unknown == set()
    for name, matchers in re.findall(r"([A-Za-z_:0-9]+)\{([^}]*)\}", expr):
        for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
            assert label in labels_of(name), (name, label)
            if base(name) in METRICS:
                _check_value(name, label, operator, value)
    for names in re.findall(r"\bby\s*\(([^)]*)\)", expr):
        known = frozenset().union(*(labels_of(name) for name in series))
        assert {name.strip() for name in names.split(",")} <= known, names


def _check_value(series: str, label: str, operator: str, value: str) -> None:
    metric = METRICS[base(series)]
    if label == "le":
        assert value in {str(float(bound)) for bound in metric.buckets}, (series, value)
    for declared in metric.labels:
        if declared.name == label and declared.values:
            wanted = value.split("|") if "~" in operator else [value]
            assert set(wanted) <= declared.values, (series, label, value)
