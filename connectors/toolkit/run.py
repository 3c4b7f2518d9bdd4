"""Runs a source: gathers what it takes, publishes it, reports what is refused, stores the position. In this order:

1. up to ``BATCH`` events are published; the call returns when they are durable in the outbox;
2. what the source or the Publisher refused is written to the report, durable on return;
3. the position of the last mark is stored together with the report's length.

A crash between any two steps repeats the steps: the Publisher knows the keys, and the report is cut back to what
belongs to the stored position. So each row is published once and reported once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from connectors.toolkit.errors import as_row_errors, first_of
from connectors.toolkit.progress import ProgressFile
from connectors.toolkit.report import ErrorReport
from connectors.toolkit.source import Begin, Idle, Mark, Origin, Refused, Source, Taken
from hub.errors import RejectedError, UnavailableError
from hub.log_words import say
from hub.model import Event
from hub.ports import Observer, Span, Tracer

BATCH = 256
"""Events that are published in one outbox transaction at most."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0


class Receipt(Protocol):
    """What the Publisher answers for an event that is durable."""

    @property
    def duplicate(self) -> bool:
        """Whether the key had been taken before, with the same content."""


class EventPublisher(Protocol):
    """The part of ``hub.client.publisher.Publisher`` that a source needs."""

    async def publish_many(self, items: Sequence[tuple[Event, str | None]]) -> Sequence[Receipt | RejectedError]:
        """For each (event, source key) a receipt or the refusal, in order; durable on return.

        Raises ``UnavailableError``: nothing of it may have been taken; the same again is right.
        """


@dataclass(slots=True)
class Totals:
    """What a run did so far, in events and rows."""

    published: int = 0
    duplicates: int = 0
    rejected_rows: int = 0


class SourceRun:
    """One source on its way into one Publisher."""

    def __init__(
        self, source: Source, progress: ProgressFile, observer: Observer, *, tracer: Tracer | None = None
    ) -> None:
        self.source = source
        self.totals = Totals()
        self._progress = progress
        self._observer = observer
        self._report = ErrorReport()
        self._taken: list[Taken] = []
        self._refused: list[tuple[Origin, RejectedError]] = []
        self._mark: Mark | None = None
        self._tracer = tracer
        self._spans: list[Span] = []
        """One for each of ``_taken``, where traces are written."""

    @property
    def name(self) -> str:
        return self.source.name

    async def run(self, publisher: EventPublisher) -> Totals:
        """Until the source ends; cancelling is safe at any time. Waits and goes on where something is away.

        Raises ``ConfigError`` and ``InvariantError`` of the source or the Publisher.
        """
        wait = FIRST_WAIT_SECONDS
        while True:
            settled = self.totals.published + self.totals.duplicates
            try:
                await self._run_once(publisher)
                return self.totals
            except UnavailableError as error:
                self._observer.increment("cgi_unavailable_total", operation="poll", code=error.code)
                say("source.unavailable", source=self.name, code=error.code, reason=error.diagnostics())
                moved = self.totals.published + self.totals.duplicates > settled
                wait = FIRST_WAIT_SECONDS if moved else min(wait * 2, LONGEST_WAIT_SECONDS)
                await asyncio.sleep(wait)

    async def _run_once(self, publisher: EventPublisher) -> None:
        self._taken.clear()
        self._spans.clear()
        self._refused.clear()
        self._mark = None
        state = await asyncio.to_thread(self._progress.load)
        await asyncio.to_thread(self._report.resume, state.get("report"))
        async with contextlib.aclosing(self.source.steps(state.get("position"))) as steps:
            async for step in steps:
                if isinstance(step, Mark):
                    self._mark = step
                    if step.flush or len(self._taken) + len(self._refused) >= BATCH:
                        await self._settle(publisher)
                elif isinstance(step, Begin):
                    await self._settle(publisher)
                    await asyncio.to_thread(self._report.begin, step.report)
                elif isinstance(step, Idle):
                    self._tell_progress()
                else:
                    self._gather(step)
        await self._settle(publisher)

    def _gather(self, step: Taken | Refused) -> None:
        self._mark = None  # the position that is stored must not be older than the report's length beside it
        if self._tracer is not None:
            step = self._trace(self._tracer, step)
        if isinstance(step, Taken):
            self._taken.append(step)
        else:
            self._refused.append((step.origin, step.error))

    def _trace(self, tracer: Tracer, step: Taken | Refused) -> Taken | Refused:
        """A span for what was read; a row that is refused at once has an end already."""
        rows = len(step.origins) if isinstance(step, Taken) else 1
        span = tracer.start("source.row", source=self.name, rows=rows)
        if isinstance(step, Refused):
            span.end(code=step.error.code)
            return step
        self._spans.append(span)
        return replace(step, event=replace(step.event, trace_context=span.context))

    async def _settle(self, publisher: EventPublisher) -> None:
        """Steps 1 to 3 of the module's docstring for what was gathered."""
        taken, refused, mark = self._taken, self._refused, self._mark
        for start in range(0, len(taken), BATCH):
            part = taken[start : start + BATCH]
            answers = await publisher.publish_many([(item.event, item.key) for item in part])
            for item, answer in zip(part, answers, strict=True):
                if isinstance(answer, RejectedError):
                    refused.extend((origin, _as_row_error(answer)) for origin in item.origins)
                else:
                    self._count_taken(duplicate=answer.duplicate)
        if refused:
            await asyncio.to_thread(self._report.write, refused)
            self._count_refused(refused)
        if mark is not None:
            state: dict[str, Any] = {"position": mark.position, "report": self._report.state()}
            await asyncio.to_thread(self._progress.store, state)
        for span in self._spans:
            span.end()
        self._spans = []
        self._taken, self._refused, self._mark = [], [], None
        self._tell_progress()

    def _tell_progress(self) -> None:
        self._observer.gauge("cgi_progress_timestamp_seconds", time.time(), worker=self.name)

    def _count_taken(self, *, duplicate: bool) -> None:
        outcome = "duplicate" if duplicate else "published"
        self._observer.increment("cgi_rows_total", source=self.name, outcome=outcome, reason="")
        if duplicate:
            self.totals.duplicates += 1
        else:
            self.totals.published += 1

    def _count_refused(self, refused: Sequence[tuple[Origin, RejectedError]]) -> None:
        self.totals.rejected_rows += len(refused)
        for _, error in refused:
            self._observer.increment("cgi_rows_total", source=self.name, outcome="rejected", reason=error.code)


def _as_row_error(error: RejectedError) -> RejectedError:
    """A refusal by the schema becomes a refusal of the row, with the schema's code beside; others stay."""
    return first_of(as_row_errors(error)) if error.code.startswith("event.") else error
