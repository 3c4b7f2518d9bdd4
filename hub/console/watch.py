"""Keeps the facts fresh: each source is read again and again by itself, and what fails keeps what it said before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from hub.console.facts import Facts, Reading, SourceName
from hub.errors import HubError, InvariantError
from hub.log_words import say
from hub.ports import Clock

LOOK_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 60.0


class Source(Protocol):
    """Where one part of the facts comes from."""

    async def read(self, now_ms: int) -> Any:
        """The part as it is now, of the type that ``Facts`` has for it. Raises ``HubError``."""

    async def close(self) -> None:
        """Let go of what it holds."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A source, and how many seconds pass between two looks at it."""

    source: Source
    every: float = LOOK_SECONDS


class Watch:
    """The facts, kept fresh while :meth:`run` runs. ``version`` rises with each reading."""

    def __init__(self, sources: Mapping[SourceName, Watched], clock: Clock) -> None:
        self._sources = dict(sources)
        self._clock = clock
        self._turn = asyncio.Condition()
        self.facts = Facts()
        self.version = 0

    async def run(self) -> None:
        """Read until cancelled. Raises ``InvariantError`` alone."""
        async with asyncio.TaskGroup() as group:
            for name in self._sources:
                group.create_task(self._follow(name), name=f"watch-{name}")

    async def look(self, *names: SourceName) -> None:
        """Read these sources once, all of them without any."""
        await asyncio.gather(*(self._look(name) for name in names or tuple(self._sources) if name in self._sources))

    async def changed(self, since: int, *, most: float) -> int:
        """Wait until something was read after version ``since``, at most ``most`` seconds; gives the version."""
        async with self._turn:
            try:
                async with asyncio.timeout(most):
                    await self._turn.wait_for(lambda: self.version > since)
            except TimeoutError:
                pass  # nothing new: the pages show that time has passed
            return self.version

    async def close(self) -> None:
        """Close every source."""
        for watched in self._sources.values():
            await watched.source.close()

    async def _follow(self, name: SourceName) -> None:
        while True:
            await self._look(name)
            await asyncio.sleep(self._sources[name].every)

    async def _look(self, name: SourceName) -> None:
        before: Reading[Any] = getattr(self.facts, name)
        now_ms = self._clock.now_ms()
        try:
            reading = Reading(await self._sources[name].source.read(now_ms), now_ms)
        except InvariantError:
            raise
        except HubError as error:
            if error.code != before.code:
                say("console.source_unavailable", source=name, code=error.code, reason=error.message)
            reading = replace(before, code=error.code, message=error.message)
        async with self._turn:
            self.facts = replace(self.facts, **{name: reading})
            self.version += 1
            self._turn.notify_all()
