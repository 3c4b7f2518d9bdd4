"""hub/stacks.py: places, and never a value."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

from pydantic import TypeAdapter, ValidationError

from hub.errors import ConfigError, RejectedError
from hub.stacks import MOST_PLACES, bare_traceback, describe, stack_of, waiting_at

MARKER = "QX-7731-SERIAL"


def test_a_traceback_without_what_errors_say() -> None:
    def parse(serial: str) -> None:
        TypeAdapter(int).validate_python(serial)

    def read(serial: str) -> None:
        try:
            parse(serial)
        except ValidationError as error:
            raise RuntimeError(f"row {serial}") from error

    try:
        try:
            read(MARKER)
        except RuntimeError as error:
            raise ExceptionGroup(f"group of {MARKER}", [error, KeyError(MARKER)]) from None
    except ExceptionGroup as error:
        text = bare_traceback(error)
    assert MARKER not in text
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "ExceptionGroup"
    assert {"RuntimeError", "KeyError", "because of"} <= set(lines)
    assert any(line.startswith("pydantic_core") for line in lines)
    assert any(line.endswith("test_a_traceback_without_what_errors_say.<locals>.parse") for line in lines)


def test_ours_say_what_they_say_but_of_rows() -> None:
    assert describe(ConfigError("no such file", file=MARKER)) == "ConfigError config.invalid: no such file"
    assert describe(RejectedError(f"row {MARKER}")) == "RejectedError rejected"
    assert describe(FileNotFoundError(2, "No such file or directory", MARKER)).startswith("FileNotFoundError 2")
    assert MARKER not in describe(FileNotFoundError(2, "No such file or directory", MARKER))


async def test_where_a_task_waits() -> None:
    async def steps() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    async def read() -> None:
        async for _ in steps():
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    places = waiting_at(task.get_coro())
    assert places[0].endswith("read")
    assert places[-1] == "FutureIter" or "Event.wait" in places[-1] or len(places) >= 2
    task.cancel()


def test_a_recursion_is_cut() -> None:
    def deeper(left: int) -> list[str]:
        return deeper(left - 1) if left else stack_of(sys._getframe())

    assert len(deeper(200)) == MOST_PLACES


def test_what_is_no_coroutine_has_its_kind() -> None:
    def generator() -> Iterator[int]:
        yield 1

    assert waiting_at(object()) == ["object"]
    assert waiting_at(generator())[0].endswith("generator")
