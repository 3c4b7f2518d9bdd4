"""Whether a flush is sealed now or waits, and the sealing of what waited. docs/adr/0096.

Events wait, in the clear and in their order, where there is no valid directory, or where this clock is known to be so
far ahead that the hub would refuse what it dates. Nothing is decided about them meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from hub.client.directory_source import DirectorySource
from hub.client.flush import FlushWriter, Outcome, Written
from hub.client.limits import PublisherLimits
from hub.client.outbox import LateRefusal, WaitingEvent
from hub.client.prepare import Prepared, Preparer
from hub.client.publisher_facts import PublisherFacts
from hub.client.store_thread import StoreThread
from hub.client.waiting import decode_waiting, late_refusal
from hub.errors import RejectedError, UnavailableError
from hub.ports import Clock
from hub.trust.directory import Directory

_EVENTS_A_TURN: Final = 32
"""Events that are decided before others run: about 2 ms."""
_HELD_BY: Final = {"clock.ahead": "clock", "store.full": "outbox", "store.unavailable": "outbox"}
"""What keeps events from being sealed, by the error's code; others are the directory's."""


class Sealing:
    """Used on the event loop, by one task."""

    def __init__(
        self,
        *,
        directory: DirectorySource,
        writer: FlushWriter,
        thread: StoreThread,
        preparer: Preparer,
        limits: PublisherLimits,
        facts: PublisherFacts,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._writer = writer
        self._thread = thread
        self._preparer = preparer
        self._limits = limits
        self._facts = facts
        self._clock = clock
        self._look_at = 0.0

    def is_due(self) -> bool:
        """Whether events wait, and it is time to look whether they can be sealed."""
        return bool(self._facts.depth.waiting) and self._clock.monotonic() >= self._look_at

    def until_next_look(self) -> float | None:
        """Seconds; None where nothing waits."""
        return max(0.0, self._look_at - self._clock.monotonic()) if self._facts.depth.waiting else None

    def directory(self) -> Directory | None:
        """The directory to seal a new flush by; None where it must wait: nothing can be sealed, or others are first."""
        if self._facts.depth.waiting:
            return None
        try:
            return self._may_seal()
        except UnavailableError as error:
            self._hold(error)
            return None

    async def store(self, prepared: Sequence[Prepared], directory: Directory | None, now_ms: int) -> Written:
        """Seal a flush and store it; without a ``directory`` store it unsealed. Raises ``UnavailableError``."""
        if directory is not None:
            return await self._thread.run(lambda: self._writer.write(prepared, directory=directory, now_ms=now_ms))
        published_ms = now_ms - max(0, self._facts.watch.ahead_ms() or 0)  # by the right time, as far as it is known
        return await self._thread.run(lambda: self._writer.hold(prepared, now_ms=now_ms, published_ms=published_ms))

    def resumed(self, written: Written) -> None:
        """A flush was stored: where it was sealed and nothing waits, whatever kept events from it is over."""
        if written.bundles and not written.depth.waiting:
            self._facts.sealing()

    async def seal_waiting(self) -> bool:
        """Decide and seal the oldest events that wait, as many as one flush takes. False: not now."""
        now_ms = self._clock.now_ms()  # before the directory is asked for: it is valid at this moment
        try:
            directory = self._may_seal()
            limits = self._limits
            waiting = await self._thread.run(
                lambda: self._writer.waiting(max_events=limits.flush_events, max_bytes=limits.flush_bytes)
            )
            prepared, refused = await self._decide(waiting, directory, now_ms)
            written = await self._thread.run(
                lambda: self._writer.write(
                    prepared,
                    directory=directory,
                    now_ms=now_ms,
                    through=waiting[-1].position,
                    refused=[note for note, _ in refused],
                )
            )
        except UnavailableError as error:
            self._hold(error)
            return False
        for note, why in refused:
            self._facts.refused_late(note, why)
        self._tell(prepared, written, now_ms)
        return True

    async def _decide(
        self, waiting: Sequence[WaitingEvent], directory: Directory, now_ms: int
    ) -> tuple[list[Prepared], list[tuple[LateRefusal, RejectedError]]]:
        prepared: list[Prepared] = []
        refused: list[tuple[LateRefusal, RejectedError]] = []
        for place, one in enumerate(waiting):
            if place % _EVENTS_A_TURN == _EVENTS_A_TURN - 1:
                await asyncio.sleep(0)
            try:
                prepared.append(self._preparer.prepare_waiting(one, directory=directory, now_ms=now_ms))
            except RejectedError as error:
                _, _, source_key = decode_waiting(one)
                refused.append((late_refusal(one, source_key, error, now_ms=now_ms), error))
        return prepared, refused

    def _tell(self, prepared: Sequence[Prepared], written: Written, now_ms: int) -> None:
        types: list[str] = []
        outcomes: list[Outcome] = []
        for one, outcome in zip(prepared, written.outcomes, strict=True):
            if isinstance(outcome, RejectedError) and one.waiting is not None:
                note = late_refusal(one.waiting, one.source_key, outcome, now_ms=now_ms)
                self._facts.refused_late(note, outcome)
            else:
                types.append(one.event.event_type)
                outcomes.append(outcome)
        self._facts.flushed(types, outcomes, written, now_ms)
        if not written.depth.waiting:
            self._facts.sealing()

    def _may_seal(self) -> Directory:
        """Raises ``UnavailableError`` where nothing is to be sealed now."""
        directory = self._directory.current()
        self._facts.watch.check()
        return directory

    def _hold(self, error: UnavailableError) -> None:
        self._look_at = self._clock.monotonic() + self._limits.held_look
        self._facts.held(_HELD_BY.get(error.code, "directory"), error)
