"""Opened events into every sink of a site: what each one's state is then, and what one of them refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.client.inbox import RejectedRecord
from hub.client.receive import Arrival
from hub.client.sink import Sink
from hub.errors import ConfigError, RejectedError, UnavailableError
from hub.log_words import say
from hub.model import AgencyId, EventRef
from hub.ports import Clock, Tracer

SinkStates = dict[str, Mapping[str, Any]]


@dataclass(slots=True)
class Written:
    """What the sinks made of a batch: their new states, and what one of them refused."""

    states: SinkStates = field(default_factory=dict)
    rows: list[RejectedRecord] = field(default_factory=list)
    refused: set[EventRef] = field(default_factory=set)


class SinkWriter:
    """The sinks of one site. The states that :meth:`write` gives count once they are stored: :meth:`stored`.

    ``wrote`` is told each durable write: the sink's name and its seconds. Raises ``ConfigError`` for two sinks of one
    name.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        agency: AgencyId,
        clock: Clock,
        wrote: Callable[[str, float], None],
        tracer: Tracer | None = None,
    ) -> None:
        self.names = tuple(sink.name for sink in sinks)
        if len(set(self.names)) != len(self.names):
            raise ConfigError("two sinks have the same name", names=", ".join(self.names))
        self._sinks = tuple(sinks)
        self._agency = agency
        self._clock = clock
        self._wrote = wrote
        self._tracer = tracer
        self._states: SinkStates = {}

    async def open(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Open each sink anew with the state that was stored last. Raises as ``Sink.open``."""
        self._states = dict(states)
        for sink in self._sinks:
            await sink.close()
            await sink.open(self._states.get(sink.name))
            say("sink.opened", agency=self._agency, sink=sink.name)

    async def close(self) -> None:
        for sink in self._sinks:
            await sink.close()

    def stored(self, states: SinkStates) -> None:
        """These states are durable, with the marks of what led to them."""
        self._states.update(states)

    async def write(self, arrivals: Sequence[Arrival], *, only: str = "") -> Written:
        """Into every sink, or into that of the name ``only``. Raises ``UnavailableError``."""
        written = Written()
        if not arrivals:
            return written
        events = [arrival.event for arrival in arrivals]
        for sink in self._sinks:
            if only and sink.name != only:
                continue
            began = time.perf_counter()
            began_ns = 0 if self._tracer is None else time.time_ns()
            try:
                state = await sink.write(events)
            except RejectedError:
                state = await self._write_apart(sink, arrivals, written)
            except UnavailableError as error:
                say("sink.unavailable", agency=self._agency, sink=sink.name, code=error.code)
                raise
            self._wrote(sink.name, time.perf_counter() - began)
            if self._tracer is not None:
                self._trace(self._tracer, sink, arrivals, began_ns)
            if state is not None:
                written.states[sink.name] = state
        return written

    def _trace(self, tracer: Tracer, sink: Sink, arrivals: Sequence[Arrival], began_ns: int) -> None:
        ended_ns = time.time_ns()
        for arrival in arrivals:
            if arrival.trace is not None:
                span = tracer.start("sink", parent=arrival.trace, at_ns=began_ns, agency=self._agency, sink=sink.name)
                span.end(at_ns=ended_ns)

    async def _write_apart(self, sink: Sink, arrivals: Sequence[Arrival], written: Written) -> Mapping[str, Any] | None:
        """Something of the batch is refused: from the stored state, one by one, so that only the culprit is."""
        await sink.close()
        await sink.open(self._states.get(sink.name))
        last: Mapping[str, Any] | None = None
        for arrival in arrivals:
            event, record = arrival.event, arrival.record
            try:
                last = await sink.write([event])
            except RejectedError as error:
                written.refused.add(event.ref)
                written.rows.append(
                    RejectedRecord(
                        record.topic,
                        record.partition,
                        record.offset,
                        event.publisher,
                        event.event_id.hex(),
                        sink.name,
                        error.code,
                        error.message,
                        self._clock.now_ms(),
                        record.value,
                    )
                )
        return last
