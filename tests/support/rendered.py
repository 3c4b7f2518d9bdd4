"""What is rendered from the code: `python -m tests.support.rendered` writes it, tests hold it.

docs/spec/errors.md is whole; in docs/guides/operate.md the parts between the markers are. deploy/kubernetes has the
rules of deploy/prometheus once more, as one resource of the Prometheus operator.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

import connectors
import hub
from hub import log_words, metrics, spans
from hub.errors import ConfigError, HubError, InvariantError, RejectedError, UnavailableError
from tests.support.settings_table import render_settings

ROOT = Path(__file__).parents[2]
ERRORS = ROOT / "docs/spec/errors.md"
OPERATE = ROOT / "docs/guides/operate.md"
LOGS = ROOT / "docs/guides/logs.md"
RULES = ROOT / "deploy/prometheus/rules"
KUBERNETES_RULES = ROOT / "deploy/kubernetes/base/prometheus-rules.yaml"

BRANCHES: dict[type[HubError], str] = {
    RejectedError: "the message's fault: it is quarantined, or its row is reported, and the next goes on",
    UnavailableError: "the world's fault: it is tried again, and nothing is committed meanwhile; exit code 3",
    ConfigError: "the operator's fault: nothing starts, one line says what to mend; exit code 2",
    InvariantError: "our own bug: the process stops; exit code 4",
}

PARTS: dict[str, Callable[[], str]] = {
    "settings": render_settings,
    "metrics": metrics.render_table,
    "labels": metrics.render_labels,
    "log words": log_words.render_table,
}


def import_everything() -> None:
    """Import every module of hub and connectors, so that every error class exists."""
    for package in (hub, connectors):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def error_classes() -> list[type[HubError]]:
    """Every class of the tree, leaves and branches, ordered by code."""
    import_everything()

    def below(kind: type[HubError]) -> Iterator[type[HubError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    ours = [kind for kind in set(below(HubError)) if kind.__module__.split(".")[0] in {"hub", "connectors"}]
    return sorted(ours, key=lambda kind: (kind.code, kind.__module__, kind.__qualname__))


def render_errors() -> str:
    """docs/spec/errors.md."""
    lines = [
        "# Error codes",
        "",
        "Rendered from the code by `python -m tests.support.rendered`; a test holds the two together. A code is",
        "never reused and never changes its meaning. It is the metric's label, the quarantine's reason and the log's",
        "word; what a sealed record can be refused with is specified in [checks.md](checks.md), clause 14, and has",
        "vectors.",
    ]
    for branch, reaction in BRANCHES.items():
        lines += ["", f"## {branch.__name__}", "", f"{reaction[0].upper()}{reaction[1:]}.", ""]
        lines += ["| code | meaning | raised in |", "| --- | --- | --- |"]
        for kind in error_classes():
            if issubclass(kind, branch) and kind is not branch:
                where = kind.__module__.replace(".", "/") + ".py"
                lines.append(f"| `{kind.code}` | {_meaning(kind)} | {where} |")
    return "\n".join(lines) + "\n"


def _meaning(kind: type[HubError]) -> str:
    own = kind.__dict__.get("__doc__") or ""
    text = " ".join(own.split("\n\n")[0].split()).rstrip(".")
    if not text:
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()
        text = words[0].upper() + words[1:]
    text = re.sub(r":(?:class|meth|func|attr|mod):`~?([^`]*)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")
    return f"{text}."


def render_operate(text: str) -> str:
    """docs/guides/operate.md with its rendered parts made anew."""
    return _render_parts(text, PARTS)


def render_logs(text: str) -> str:
    """docs/guides/logs.md with its rendered part made anew."""
    return _render_parts(text, {"spans": spans.render_table})


def _render_parts(text: str, parts: dict[str, Callable[[], str]]) -> str:
    for name, render in parts.items():
        before, begin, rest = text.partition(f"<!-- rendered: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not begin or not end:
            raise ValueError(f"the guide has no part {name!r}")
        text = before + begin + render() + end + after
    return text


def render_kubernetes_rules() -> str:
    """deploy/kubernetes/base/prometheus-rules.yaml: every group of deploy/prometheus/rules, file by file."""
    groups = [
        group
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "cgi-hub"},
        "spec": {"groups": groups},
    }
    head = "# Rendered from deploy/prometheus/rules by `python -m tests.support.rendered`; a test holds both.\n"
    return head + yaml.safe_dump(resource, sort_keys=False, width=200, allow_unicode=True)


def main() -> None:
    """Write all of it."""
    ERRORS.write_text(render_errors(), encoding="utf-8")
    OPERATE.write_text(render_operate(OPERATE.read_text(encoding="utf-8")), encoding="utf-8")
    LOGS.write_text(render_logs(LOGS.read_text(encoding="utf-8")), encoding="utf-8")
    KUBERNETES_RULES.write_text(render_kubernetes_rules(), encoding="utf-8")


if __name__ == "__main__":
    main()
