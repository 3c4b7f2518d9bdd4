"""hub/log_words.py: each word that is said is declared, each declared one is said."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from hub import log_words

ROOT = Path(__file__).parents[2]


def _said() -> set[str]:
    words = set()
    for path in [*ROOT.glob("hub/**/*.py"), *ROOT.glob("connectors/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                first = node.args[0]
                choices = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                for choice in choices:
                    assert isinstance(choice, ast.Constant), f"{path}:{node.lineno} says a word that is not a literal"
                    words.add(choice.value)
    return words


def test_said_is_declared() -> None:
    assert _said() - set(log_words.WORDS) == set()


def test_declared_is_said() -> None:
    assert set(log_words.WORDS) - _said() == set()


def test_nobody_logs_around_it() -> None:
    for path in [*ROOT.glob("hub/**/*.py"), *ROOT.glob("connectors/**/*.py")]:
        if path.name != "log_words.py":
            assert "get_logger(" not in path.read_text(encoding="utf-8"), path


@contextmanager
def configured() -> Iterator[None]:
    before = logging.root.handlers[:]
    log_words.configure(json=True)
    try:
        yield
    finally:
        structlog.reset_defaults()
        logging.root.handlers = before


def test_a_line_is_json_with_word_level_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        log_words.say("bundle.quarantined", code="signature.invalid", offset=7)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "bundle.quarantined", "level": "warning", "code": "signature.invalid", "offset": 7}


def test_libraries_speak_under_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        logging.getLogger("aiokafka.somewhere").warning("is %s", "rebalancing")
        logging.getLogger("aiokafka.somewhere").info("nothing of note")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["library"], line["text"]) == ("library.warned", "aiokafka.somewhere", "is rebalancing")
