"""SIGUSR1: what a process is doing, as ``state.json`` in its state folder and one line in its log. docs/guides/logs.md.

The signal is taken by a thread of its own and not by the loop, so that a process whose loop is stuck answers too; it
stops nothing and locks nothing that the work uses. SIGUSR2 is for a process in which even that thread gets no turn (a
call into C that never comes back): ``faulthandler`` writes every thread's stack to ``stacks.txt`` by itself.

What is written are places in code, counts, positions, codes and names of agencies: never a value of a variable.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from hub.log_words import recent_warnings, say
from hub.stacks import stack_of, waiting_at

STATE_FILE: Final = "state.json"
STACKS_FILE: Final = "stacks.txt"
KIND: Final = "cgi-hub/v1/state"
_LOOP_SECONDS: Final = 1.0
"""How long the loop is given to answer."""
_STACKS_BYTES: Final = 4_000_000

Facts = Callable[[], object]
"""Gives what can be written as JSON. Called in another thread than the loop's: it reads, and changes nothing."""


class StateFacts:
    """What a process has to say of itself, by name. Parts are added as they come up, and taken away as they go."""

    def __init__(self) -> None:
        self._facts: dict[str, Facts] = {}

    def tell(self, name: str, facts: Facts) -> None:
        """From now on ``name`` is part of the answer."""
        self._facts[name] = facts

    @contextmanager
    def told(self, name: str, facts: Facts) -> Iterator[None]:
        """The same while the context is open."""
        self.tell(name, facts)
        try:
            yield
        finally:
            self._facts.pop(name, None)

    def gather(self) -> dict[str, object]:
        """All of them now. One that fails says so, by the kind of its error, and stops no other."""
        found: dict[str, object] = {}
        for name, facts in list(self._facts.items()):
            try:
                found[name] = facts()
            except Exception as error:  # noqa: BLE001  it is asked while the work goes on: it may look between two steps
                found[name] = {"failed": type(error).__name__}
        return found


def hold_back() -> None:
    """From here on SIGUSR1 waits until :func:`answering` is entered, in this thread and in all that it starts.

    To be called first of all: else a signal that comes while a process starts ends it, and a thread that does not hold
    the signal back may be the one that gets it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


@contextmanager
def answering(folder: Path, *, role: str, agency: str, facts: StateFacts) -> Iterator[None]:
    """While it is open, SIGUSR1 and SIGUSR2 are answered in ``folder``; ``facts`` are what ``gather`` gives then.

    Signals belong to the main thread: in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop: asyncio.AbstractEventLoop | None = None
    with contextlib.suppress(RuntimeError):
        loop = asyncio.get_running_loop()
    answer = _Answer(folder, role, agency, facts, loop)
    with _stacks_on_signal(folder / STACKS_FILE), answer.listening():
        yield


class _Answer:
    def __init__(
        self, folder: Path, role: str, agency: str, facts: StateFacts, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._folder = folder
        self._role = role
        self._agency = agency
        self._facts = facts
        self._loop = loop
        self._began = time.monotonic()
        self._wanted = threading.Event()
        self._ending = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        # Where a thread that some library started before does not hold the signal back, Python's own handler gets it,
        # in the main thread, and wakes ours.
        before = signal.signal(signal.SIGUSR1, lambda *_: signal.pthread_kill(thread.ident or 0, signal.SIGUSR1))
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        thread = threading.Thread(target=self._listen, name="state-answer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ending = True
            signal.pthread_kill(thread.ident or 0, signal.SIGUSR1)
            thread.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            signal.signal(signal.SIGUSR1, before)

    def _listen(self) -> None:
        while True:
            signal.sigwait({signal.SIGUSR1})
            if self._ending:
                return
            try:
                self._write()
            except Exception as error:  # noqa: BLE001  an answer that fails must not end the process that is asked
                say("state.written", file="", failed=type(error).__name__)

    def _write(self) -> None:
        began = time.monotonic()
        found = self._gather()
        path = self._folder / STATE_FILE
        partial = path.with_name(f"{path.name}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1, default=str)
            file.write("\n")
        partial.replace(path)
        say(
            "state.written",
            file=str(path),
            role=self._role,
            agency=self._agency,
            seconds_up=found["seconds_up"],
            tasks=len(found["tasks"]),
            loop_answers=found["loop"]["answers"],
            memory_bytes=found["memory"]["resident_bytes"],
            seconds=round(time.monotonic() - began, 3),
        )

    def _gather(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "role": self._role,
            "agency": self._agency,
            "version": version("cgi-hub"),
            "pid": os.getpid(),
            "seconds_up": round(time.monotonic() - self._began, 1),
            "loop": self._ask_loop(),
            "memory": _memory(),
            **self._facts.gather(),
            "last_warnings": [{"word": word, **facts} for word, facts in recent_warnings()],
            "tasks": self._tasks(),
            "threads": _threads(),
        }

    def _ask_loop(self) -> Mapping[str, object]:
        """Whether the loop takes a turn within a second: one that does not is stuck where its thread's stack says."""
        if self._loop is None or self._loop.is_closed():
            return {"answers": None}
        turned = threading.Event()
        began = time.monotonic()
        self._loop.call_soon_threadsafe(turned.set)
        answers = turned.wait(_LOOP_SECONDS)
        return {"answers": answers, "seconds": round(time.monotonic() - began, 4)}

    def _tasks(self) -> list[Mapping[str, object]]:
        if self._loop is None:
            return []
        tasks = sorted(asyncio.all_tasks(self._loop), key=lambda task: task.get_name())
        return [{"name": task.get_name(), "at": waiting_at(task.get_coro())} for task in tasks]


def _threads() -> list[Mapping[str, object]]:
    frames = sys._current_frames()
    return [
        {"name": thread.name, "at": stack_of(frames.get(thread.ident or 0))}
        for thread in threading.enumerate()
        if thread is not threading.current_thread()
    ]


def _memory() -> Mapping[str, object]:
    resident = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "resident_bytes": resident,
        "most_resident_bytes": usage.ru_maxrss * 1024,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "garbage_waiting": list(gc.get_count()),
    }


@contextmanager
def _stacks_on_signal(path: Path) -> Iterator[None]:
    """SIGUSR2 adds every thread's stack to ``path``, written by ``faulthandler`` without running any Python code."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > _STACKS_BYTES:
            path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        faulthandler.register(signal.SIGUSR2, file=file, all_threads=True, chain=False)
        try:
            yield
        finally:
            faulthandler.unregister(signal.SIGUSR2)
