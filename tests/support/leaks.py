"""No content and no key in any log: what the whole test run logs is searched for what its inputs hold.

Searched is what this process says through ``hub.log_words``, what pytest captures of its standard error and its
loggers, and the standard error of every Python process that a test starts (tests/support/tee). Searched for are the
serial numbers, persons, firms and addresses of examples/, of schemas/examples and of what the tests draw, and every
private key that is made. One find fails the run. The hooks below are pytest's; tests/conftest.py imports them.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from hub.trust.composite import SigningKey
from hub.trust.kem import KemPrivateKey

ROOT: Final = Path(__file__).resolve().parents[2]
TEE: Final = Path(__file__).parent / "tee"
STDERR_FOLDER: Final = "CGI_TESTS_STDERR"

_KEYS: Final = frozenset(
    [
        "serial_raw",
        "serial_pattern",
        "other_numbers",
        "names",
        "aliases",
        "number",
        "address",
        "name",
        "badge",
        "email",
        "phone",
        "narrative",
        "concealment",
        "warrant_ref",
        "operation_name",
    ]
)
"""Fields of bodies whose values are nobody's but the recipients'."""
_COLUMNS: Final = re.compile(
    r"serial|s.rie|other numbers|possessor$|possessor (alias|address)|d.tenteur|^dit$|person|owner|associate|officer"
    r"|enqu|address|domicile|phone|(usppi|consignee) name",
    re.IGNORECASE,
)
_LEAST: Final = 6
_MOST_REMEMBERED: Final = 200_000
_TOKEN: Final = re.compile(r"[^\W_]+")
_KEY_BYTES: Final = 16

_drawn: set[str] = set()
_keys: set[bytes] = set()
_said: list[tuple[str, str]] = []
"""(test, text) of what this process logged."""


# --- what must not be found -------------------------------------------------------------------------------------------


def is_telling(value: object) -> bool:
    """Whether a value is so much its own that it stands in a log for no other reason."""
    if not isinstance(value, str) or len(value) < _LEAST:
        return False
    if value.isdigit():
        return len(value) > 9  # shorter ones are ports, offsets, bytes
    return any(c.isdigit() for c in value) or bool(re.search(r"\w[ ,]+\w", value))


def values_of(body: Any, under: str = "") -> Iterator[str]:
    """The telling values of an event's body (or any JSON) under the names that hold them."""
    if isinstance(body, Mapping):
        for name, value in body.items():
            yield from values_of(value, str(name))
    elif isinstance(body, list | tuple):
        for value in body:
            yield from values_of(value, under)
    elif under in _KEYS and is_telling(body):
        yield body


def remember(*values: Any) -> None:
    """Drawn by a test: a text, or a body."""
    if len(_drawn) < _MOST_REMEMBERED:
        for value in values:
            _drawn.update([value] if isinstance(value, str) and is_telling(value) else values_of(value))


@cache
def _of_files() -> frozenset[str]:
    found: set[str] = set()
    for path in [*ROOT.glob("examples/*/*.jsonl"), *ROOT.glob("schemas/examples/*/valid/*.json")]:
        text = path.read_text("utf-8")
        for line in text.split("\n") if path.suffix == ".jsonl" else [text]:
            with suppress(ValueError):  # some lines are broken on purpose
                found.update(values_of(json.loads(line)))
    for path in ROOT.glob("examples/*/*.csv"):
        raw = path.read_bytes()
        french = path.parent.name == "HNP"  # the others are UTF-8, but for bytes that are broken on purpose
        text = raw.decode("cp1252" if french else "utf-8-sig", errors="replace")
        delimiter = ";" if text.partition("\n")[0].count(";") > 3 else ","
        for row in csv.DictReader(text.splitlines(), delimiter=delimiter):
            found.update(
                value
                for column, value in row.items()
                if column and _COLUMNS.search(column) and is_telling(value) and "\ufffd" not in value
            )
    return frozenset(found)


def _of_keys(seeds: Iterable[bytes]) -> Iterator[str]:
    for seed in seeds:
        for start in range(0, len(seed) - _KEY_BYTES + 1, 32):
            part = seed[start : start + _KEY_BYTES]
            yield part.hex()
            if start == 0:
                yield base64.b64encode(part)[:20].decode()
                yield base64.urlsafe_b64encode(part)[:20].decode()


class Searched:
    """Finds any of many texts in a text: looked for are only those whose longest word stands in it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._by_word: dict[str, list[str]] = {}
        for secret in secrets:
            words = _TOKEN.findall(secret)
            if words:
                self._by_word.setdefault(max(words, key=len), []).append(secret)

    def find(self, text: str) -> set[str]:
        words = set(_TOKEN.findall(text))
        # a key's beginning is a part of a longer word
        words |= {word[:length] for word in words if len(word) > 18 for length in (32, *range(12, 21))}
        hits = self._by_word.keys() & words
        return {secret for word in hits for secret in self._by_word[word] if secret in text}


def searched() -> Searched:
    """For all that is known of by now."""
    return Searched([*_of_files(), *_drawn, *_of_keys(_keys)])


def leaks(texts: Iterable[tuple[str, str]]) -> list[str]:
    """One line for each find: which test, which text."""
    by = searched()
    found = []
    for test, text in texts:
        for secret in sorted(by.find(text)):
            line = next((line for line in text.splitlines() if secret in line), text)
            found.append(f"{test or 'unknown test'}: {secret!r} in: {line[:240]}")
    return found


# --- what is searched -------------------------------------------------------------------------------------------------


def _test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "")


class _Heard:
    """A logger around another one that remembers what it was given, and hands it on."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def log(self, level: int, word: str, **facts: object) -> object:
        _said.append((_test(), f"{word} {facts!r}"))
        return self._inner.log(level, word, **facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _overhear() -> None:
    inner = structlog.get_logger
    structlog.get_logger = lambda *args, **initial: _Heard(inner(*args, **initial))


def _note_keys() -> None:
    for kind in (SigningKey, KemPrivateKey):
        _note_key(kind)


def _note_key(kind: Any) -> None:
    make = kind.__init__

    def noted(self: Any, seed: bytes) -> None:
        _keys.add(bytes(seed))
        make(self, seed)

    kind.__init__ = noted


# --- pytest's hooks ---------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    folder = tempfile.mkdtemp(prefix="cgi-tests-stderr-")
    config.stash[_FOLDER] = Path(folder)
    os.environ[STDERR_FOLDER] = folder
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TEE), os.environ.get("PYTHONPATH", "")]))
    _overhear()
    _note_keys()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, text in report.sections:
        if "stderr" in name or "log" in name:
            _said.append((report.nodeid, text))


def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = session.config.stash[_FOLDER]
    found = leaks(_all_texts(folder))
    shutil.rmtree(folder, ignore_errors=True)
    session.config.stash[_FOUND] = found
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found: Sequence[str] = config.stash.get(_FOUND, [])
    if found:
        terminalreporter.section("content or keys in the log", red=True, bold=True)
        for line in found[:40]:
            terminalreporter.line(line)


def _all_texts(folder: Path) -> Iterator[tuple[str, str]]:
    yield from _said
    for path in sorted(folder.glob("*.stderr")):
        test, _, text = path.read_text("utf-8", errors="replace").partition("\n")
        yield test, text


_FOLDER: Final = pytest.StashKey[Path]()
_FOUND: Final = pytest.StashKey[list[str]]()
