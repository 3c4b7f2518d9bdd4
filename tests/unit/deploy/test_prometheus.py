"""deploy/prometheus and deploy/runbooks: every alert fires, stays silent, is of declared metrics, and has its page."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from click import Command, Group

from hub.cli.main import root as hub_command
from hub.metrics import METRICS
from hub.topics import Declaration

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/prometheus"
RUNBOOKS = ROOT / "deploy/runbooks"
RULES = sorted(FOLDER.glob("rules/*.yml"))
TESTS = sorted(FOLDER.glob("tests/*.yml"))
SECTIONS = ["What it means", "Confirm", "Do", "Escalate"]

TARGET = frozenset({"job", "instance", "agency", "role"})
"""The labels that every target has (deploy/prometheus/prometheus.yml)."""
NOT_OURS = {"up": TARGET}
FUNCTIONS = frozenset(
    """
    abs absent and by deriv group_left increase label_replace max max_over_time min offset on or predict_linear rate sum
    time timestamp unless
    """.split()  # noqa: SIM905  a list of 22 words is to be read, not to be counted
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
ALERTS = [rule for rule in ALL if rule.is_alert]
NAMES = sorted({alert.name for alert in ALERTS})
RECORDED = {rule.name: rule for rule in ALL if not rule.is_alert}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: make setup-observability (Debian's package prometheus)")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, cwd=FOLDER)


# --- what promtool says -----------------------------------------------------------------------------------------------


def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", *map(str, RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_of_alertmanager_is_valid() -> None:
    tool = shutil.which("amtool")
    if tool is None:
        pytest.skip("amtool is not installed: make setup-observability (Debian's package prometheus-alertmanager)")
    done = subprocess.run([tool, "check-config", "alertmanager.yml"], capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_stay_silent(path: Path) -> None:
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_shown_to_fire_and_to_stay_silent() -> None:
    fired: set[tuple[str, str]] = set()
    silent: set[str] = set()
    for path in TESTS:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in group["alert_rule_test"]:
                if not case["exp_alerts"]:
                    silent.add(case["alertname"])
                fired |= {(case["alertname"], _variant(expected["exp_labels"])) for expected in case["exp_alerts"]}
    assert fired == {(alert.name, _variant(alert.parsed["labels"])) for alert in ALERTS}
    assert silent == set(NAMES)


def _variant(labels: dict[str, str]) -> str:
    return " ".join(labels.get(name, "") for name in ("severity", "burn", "by"))


# --- what they are made of --------------------------------------------------------------------------------------------


def metrics_of(expr: str) -> set[str]:
    """The names of series in an expression. Raises ``ValueError`` for a word that is neither that nor known."""
    plain = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|ignoring|group_left)\s*\([^)]*\)|\"[^\"]*\"", " ", expr)
    words = set(re.findall(r"(?<![\w:.])[a-zA-Z_][\w:]*", plain)) - FUNCTIONS
    if strangers := {word for word in words if not re.match(r"cgi_|[a-z]+:cgi_|up$", word)}:
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


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_only_declared_metrics_labels_and_values(rule: Rule) -> None:
    series = metrics_of(rule.expr)
    assert series
    unknown = {name for name in series if name not in RECORDED and name not in NOT_OURS and base(name) not in METRICS}
    assert unknown == set()
    for name, matchers in re.findall(r"([a-z_:0-9]+)\{([^}]*)\}", rule.expr):
        for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
            assert label in labels_of(name), (name, label)
            if name in METRICS or base(name) in METRICS:
                _check_value(name, label, operator, value)
    for names in re.findall(r"\bby\s*\(([^)]*)\)", rule.expr):
        known = frozenset().union(*(labels_of(name) for name in series))
        assert {name.strip() for name in names.split(",")} <= known


def _check_value(series: str, label: str, operator: str, value: str) -> None:
    metric = METRICS[base(series)]
    if label == "le":
        assert value in {str(float(bound)) for bound in metric.buckets}, (series, value)
    for declared in metric.labels:
        if declared.name == label and declared.values:
            wanted = value.split("|") if "~" in operator else [value]
            assert set(wanted) <= declared.values, (series, label, value)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule.name)
def test_labels_and_annotations(alert: Rule) -> None:
    assert alert.parsed["labels"]["severity"] in {"critical", "warning"}
    annotations = alert.parsed["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook"}
    assert annotations["runbook"] == f"deploy/runbooks/{alert.name}.md"
    known = frozenset().union(*(labels_of(name) for name in metrics_of(alert.expr)))
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(annotations.values())))
    grouped = re.search(r"^\s*(?:time\(\) - )?(?:sum|max|min) by \(([^)]*)\)", alert.expr)
    assert used <= ({name.strip() for name in grouped[1].split(",")} if grouped else known)


@pytest.mark.parametrize(
    ("expr", "series"),
    [
        ('sum by (publisher) (rate(cgi_events_total{outcome="routed"}[5m])) > 3', {"cgi_events_total"}),
        ("agency:cgi_x:sum offset 1w >= 5 and up", {"agency:cgi_x:sum", "up"}),
    ],
)
def test_reading_an_expression(expr: str, series: set[str]) -> None:
    assert metrics_of(expr) == series


def test_a_word_that_nobody_knows_in_an_expression() -> None:
    with pytest.raises(ValueError, match="cig_events_total"):
        metrics_of("rate(cig_events_total[5m])")


def test_retention_near_is_of_the_declared_retention() -> None:
    kept = {
        dict(topic.configs)["retention.ms"]
        for topic in Declaration.load().topics(["ATF"])
        if topic.name.startswith(("ingest.", "deliver."))
    }
    assert kept == {str(30 * 86_400_000)}
    assert str(30 * 86_400) in RECORDED["group:cgi_retention_used:ratio"].expr  # where no exporter says what it is


# --- runbooks ---------------------------------------------------------------------------------------------------------


def test_alerts_and_runbooks_are_one_to_one() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_has_its_sections(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS


def _commands(group: Group, *before: str) -> Iterator[tuple[str, Command]]:
    from click import Context

    context = Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, Group):
            yield from _commands(command, *before, name)
        yield " ".join([*before, name]), command


@functools.cache
def _said() -> frozenset[str]:
    """Every dotted word that is a literal in the code: codes, log words, topics, event types."""
    texts = (path.read_text(encoding="utf-8") for path in ROOT.glob("hub/**/*.py"))
    sources = (path.read_text(encoding="utf-8") for path in ROOT.glob("connectors/**/*.py"))
    return frozenset(word for text in (*texts, *sources) for word in re.findall(r'"([a-z_]+\.[a-z_]+)"', text))


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_names_what_there_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    commands = dict(_commands(hub_command))
    for line in re.findall(r"^ {4}.*\bhub (.+)$", text, re.MULTILINE):
        words = line.split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in commands else words[0]
        assert name in commands, line
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line
    for word in re.findall(r"`([a-z_]+\.[a-z_]+)`", text):
        assert word in _said() or word.endswith((".json", ".log", ".pem", ".yml")), word
    for word in re.findall(r"\bcgi_\w+", text):
        assert word in METRICS or base(word) in METRICS or any(word in name for name in RECORDED), word
    for word in re.findall(r"`make ([a-z-]+)", text):
        assert re.search(rf"^{word}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), word
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (path.parent / link).exists(), link
