"""Where code stands and where it failed, in file names, lines and functions: never a value, never an error's own text.

A traceback as Python prints it ends with the error's message, and a message may quote what was read: a cell of a row, a
name, a serial number. Ours are written by hand and quote nothing (hub/errors.py); those of others may.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import PurePath
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from hub.errors import HubError, RejectedError

MOST_PLACES: Final = 40
"""Of one stack: the innermost ones. A recursion would fill the log."""
_MOST_CAUSES: Final = 8


def place(code: CodeType, line: int | None) -> str:
    """``hub/router.py:210 step``: the last folders of the file, the line, the function."""
    return f"{_short(code.co_filename)}:{line or 0} {code.co_qualname}"


def stack_of(frame: FrameType | None) -> list[str]:
    """The places of a running thread, the outermost first."""
    places = [place(each.f_code, line) for each, line in traceback.walk_stack(frame)]
    return places[:MOST_PLACES][::-1]


def waiting_at(coroutine: Any) -> list[str]:
    """The places where a coroutine waits, the outermost first, and at the end the kind of thing that it waits for.

    ``Task.get_stack`` gives the first place alone of a coroutine that is suspended; this follows what each awaits.
    """
    places: list[str] = []
    at = coroutine
    while at is not None and len(places) < MOST_PLACES:
        frame, awaited = _inside(at)
        if frame is None:
            places.append(type(at).__qualname__)
            break
        places.append(place(frame.f_code, frame.f_lineno))
        at = awaited
    return places


def _inside(at: Any) -> tuple[FrameType | None, Any]:
    """The frame of a coroutine, generator or asynchronous generator, and what it awaits."""
    for prefix, awaited in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
        if hasattr(at, f"{prefix}_frame"):
            return getattr(at, f"{prefix}_frame"), getattr(at, awaited)
    return None, None


def failed_at(trace: TracebackType | None) -> list[str]:
    """The places that an error came through, the outermost first."""
    return [place(frame.f_code, line) for frame, line in traceback.walk_tb(trace)][-MOST_PLACES:]


def describe(error: BaseException) -> str:
    """An error for a log: our own with its code and message, anyone else's by the name of its class alone.

    The message of a ``RejectedError`` is left out too: it is about a row or an event, and may quote it.
    """
    kind = type(error)
    if isinstance(error, RejectedError):
        return f"{kind.__name__} {error.code}"
    if isinstance(error, HubError):
        return f"{kind.__name__} {error.code}: {error.message}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind.__name__} {error.errno} {os.strerror(error.errno)}"
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def bare_traceback(error: BaseException) -> str:
    """As Python prints it, causes and groups too, without a word of what the errors of others say of themselves."""
    return "\n".join(_lines(error, 0)) + "\n"


def _lines(error: BaseException, depth: int) -> Iterator[str]:
    indent = "  " * depth
    yield f"{indent}{describe(error)}"
    for each in failed_at(error.__traceback__):
        yield f"{indent}  at {each}"
    if depth >= _MOST_CAUSES:
        return
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _lines(inner, depth + 1)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield f"{indent}because of"
        yield from _lines(cause, depth + 1)


def _short(filename: str) -> str:
    """Without the folders of this machine: from the package's own folder on."""
    parts = PurePath(filename).parts
    for root in ("site-packages", f"python{sys.version_info.major}.{sys.version_info.minor}"):
        if root in parts:
            return "/".join(parts[parts.index(root) + 1 :])
    for package in ("hub", "connectors"):
        if package in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(package) :])
    return "/".join(parts[-2:])
