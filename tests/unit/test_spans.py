"""hub/spans.py: what is declared is what is written, and the guide says it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from hub.spans import SPANS, SpanFact
from tests.support.rendered import LOGS, render_logs

ROOT = Path(__file__).parents[2]
NOT_FACTS = {"parent", "root", "links", "at_ns"}


def _started() -> Iterator[tuple[str, set[str]]]:
    """The name of each span that the code begins, and its facts."""
    for path in [*ROOT.glob("hub/**/*.py"), *ROOT.glob("connectors/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "start":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, {keyword.arg or "**" for keyword in node.keywords} - NOT_FACTS


def test_every_span_is_declared_and_every_declared_one_is_written() -> None:
    assert {name for name, _ in _started()} == set(SPANS)


def test_every_fact_is_declared_and_every_declared_one_is_told() -> None:
    told = set().union(*(facts for _, facts in _started()))
    assert told | {"code"} == set(get_args(SpanFact))


def test_no_fact_could_hold_content() -> None:
    assert not set(get_args(SpanFact)) & {"event_id", "serial", "name", "case", "person", "correlation_id", "key"}


def test_the_guide_says_them() -> None:
    assert LOGS.read_text(encoding="utf-8") == render_logs(LOGS.read_text(encoding="utf-8"))
