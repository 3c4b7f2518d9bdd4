"""hub/log_words.py: each word that is said is declared, each declared one is said."""

from __future__ import annotations

import ast
import gc
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


LOGGING = {"Logger", "getLogger", "get_logger", "basicConfig", "captureWarnings", "warn", "warn_explicit"}
LEVELS_ONLY = {"hub/cli/options.py", "hub/app/client.py", "hub/adapters/tuf_reader.py"}
"""They import ``logging`` for the numbers of its levels, or to silence a library whose errors they say themselves."""
QUIETENS = {"hub/adapters/tuf_reader.py"}
CHILDS_STDERR = {"hub/adapters/broker_process.py"}
"""``.stderr`` there is what another program wrote, and was caught."""
PRINTS_TRACES = {"hub/cli/main.py": "only where CGI_HUB_UNSAFE_TRACEBACK asks for it", "hub/stacks.py": "walks frames"}


def around_it(path: Path) -> list[str]:
    """Where a file of the code writes to a log, to standard error or a traceback by another way than ``say``."""
    where = path.relative_to(ROOT).as_posix()
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                modules = {name.name.split(".")[0] for name in names}
            case ast.ImportFrom(module=str(module)):
                modules = {module.split(".")[0]}
            case ast.Attribute(attr=("stderr" | "__stderr__")) if not where.startswith("hub/cli/"):
                modules = {"standard error"}
            case ast.Attribute(attr=str(name)) if name in LOGGING:
                modules = {name}
            case ast.Call(func=ast.Name(id="print")):
                modules = {"print"}
            case _:
                continue
        if where in LEVELS_ONLY:
            modules -= {"logging"} | ({"getLogger"} if where in QUIETENS else set())
        if where in CHILDS_STDERR:
            modules -= {"standard error"}
        if where in PRINTS_TRACES:
            modules -= {"traceback"}
        forbidden = modules & ({"logging", "structlog", "warnings", "traceback", "print", "standard error"} | LOGGING)
        found += [f"{where}:{node.lineno} {name}" for name in sorted(forbidden)]
    return found


def test_nobody_logs_around_it() -> None:
    files = [*ROOT.glob("hub/**/*.py"), *ROOT.glob("connectors/**/*.py")]
    assert [place for path in files if path.name != "log_words.py" for place in around_it(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import logging",
        "from logging import getLogger",
        "import structlog",
        "import warnings",
        "print(1)",
        "import sys\nsys.stderr.write('x')",
        "import traceback",
    ],
)
def test_who_logs_around_it_is_found(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ROOT / "hub" / "adapters" / "clock.py"
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_named: line)
    assert around_it(file)


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
    assert re.fullmatch(r"\w+/[0-9a-f]{8}", line.pop("process"))
    assert line == {"event": "bundle.quarantined", "level": "warning", "code": "signature.invalid", "offset": 7}


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_libraries_speak_under_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        logging.getLogger("aiokafka.somewhere").warning("is %s", "rebalancing")
        logging.getLogger("aiokafka.somewhere").info("nothing of note")
    [line] = lines(capsys)
    assert (line["event"], line["library"], line["text"]) == ("library.warned", "aiokafka.somewhere", "is rebalancing")


MARKER = "QX-7731-SERIAL"


def quoting(kind: type[BaseException] = ValueError) -> BaseException:
    try:
        raise kind(f"could not read {MARKER}")
    except kind as error:
        return error


@pytest.mark.parametrize(
    ("library", "text", "arguments", "shown"),
    [
        ("aiokafka.fetcher", "failed on %s: %s", (3, quoting()), "failed on 3: ValueError"),
        ("aiokafka.fetcher", "value %s", (MARKER.encode(),), "value ..."),
        ("uvicorn.error", "Invalid HTTP request received.", (), "Invalid HTTP request received."),
        ("unknown.library", "cannot take %s", (MARKER,), "cannot take %s"),
        ("unknown.library", f"cannot take {MARKER}", (), "test_log_words"),
        ("asyncio", f"Exception in callback store('{MARKER}')", (), "Exception in callback store"),
        (
            "asyncio",
            f"Task exception\nfuture: <{MARKER}>",
            (),
            "Task exception",
        ),
    ],
)
def test_libraries_quote_no_value(
    library: str, text: str, arguments: tuple[object, ...], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with configured():
        logging.getLogger(library).error(text, *arguments, exc_info=quoting())
    [line] = lines(capsys)
    assert line["text"] == shown
    assert line["error"] == "ValueError"
    assert line["at"][-1].endswith("quoting")
    assert MARKER not in json.dumps(line)


def test_what_python_would_print_comes_as_words(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError(MARKER)

    class Fails:
        def __del__(self) -> None:
            raise ValueError(MARKER)

    with configured(), warnings.catch_warnings(), log_words.nothing_printed_beside():
        warnings.simplefilter("always")
        warnings.warn(f"input_value={MARKER}", UserWarning, stacklevel=1)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        Fails()
        gc.collect()
        sys.excepthook(ValueError, quoting(), None)
    found = lines(capsys)
    assert [(line["event"], line.get("where", line.get("text"))) for line in found] == [
        ("library.warned", "UserWarning"),
        ("error.uncaught", "thread"),
        ("error.uncaught", "destructor"),
        ("error.uncaught", "main"),
    ]
    assert MARKER not in json.dumps(found)


def test_the_process_of_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        name = log_words.identify("router")
        log_words.say("process.ready")
        log_words.say("process.stopped")
    assert re.fullmatch("router/[0-9a-f]{8}", name)
    assert [line["process"] for line in lines(capsys)] == [name, name]
    assert log_words.identify("router") != name


def test_the_last_warnings_are_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        log_words.say("source.unavailable", code="a.b")
        log_words.say("process.ready")
        for number in range(100):
            log_words.say("sink.unavailable", code=f"c.{number}")
    remembered = log_words.recent_warnings()
    assert len(remembered) == 32
    assert remembered[-1] == ("sink.unavailable", {"code": "c.99"})
