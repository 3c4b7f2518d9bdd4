"""deploy/prometheus and deploy/runbooks: every alert fires, stays silent, is of declared metrics, and has its page."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click import Command, Group

from hub.cli.main import root as hub_command
from hub.metrics import METRICS
from hub.topics import Declaration
from tests.support.promql import (
    ALL,
    FOLDER,
    RECORDED,
    ROOT,
    RULES,
    Rule,
    base,
    check_expression,
    labels_of,
    metrics_of,
    promtool,
)

RUNBOOKS = ROOT / "deploy/runbooks"
TESTS = sorted(FOLDER.glob("tests/*.yml"))
SECTIONS = ["What it means", "Confirm", "Do", "Escalate"]

ALERTS = [rule for rule in ALL if rule.is_alert]
NAMES = sorted({alert.name for alert in ALERTS})


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


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_only_declared_metrics_labels_and_values(rule: Rule) -> None:
    check_expression(rule.expr)


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
