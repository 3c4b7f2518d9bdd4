"""A Publisher's spans (hub/spans.py). Nothing here runs, and nothing is imported for it, where no tracer is given."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from hub.client.outbox import StoredRecord
from hub.errors import HubError, RejectedError
from hub.model import AgencyId, Event, EventId
from hub.ports import Span, Tracer
from hub.spans import bundle_context, context_of
from hub.wire.bundle import parse_ingest
from hub.wire.frames import parse_head
from hub.wire.header import parse_headers

_REMEMBERED: Final = 20_000
"""Events whose sending is still to come. One that is forgotten, or from before a restart, has no ``send`` span."""
_LINKS: Final = 128


class PublisherTrace:
    """The traces of one Publisher's events."""

    def __init__(self, tracer: Tracer, agency: AgencyId) -> None:
        self._tracer = tracer
        self._agency = agency
        self._contexts: OrderedDict[EventId, str] = OrderedDict()

    def begin(self, items: Sequence[tuple[Event, str | None]]) -> Traced:
        """Spans for the events of one call."""
        return Traced(self, [self._begin(event) for event, _ in items])

    def _begin(self, event: Event) -> Span:
        return self._tracer.start(
            "publish",
            parent=event.trace_context or context_of(event.body),
            agency=self._agency,
            event_type=event.event_type,
            priority=event.priority.value,
        )

    def sent(self, batch: Sequence[StoredRecord], *, began_ns: int) -> None:
        """Kafka has acknowledged these."""
        ended_ns = time.time_ns()
        for stored in batch:
            if stored.events:
                self._sent(stored, began_ns, ended_ns)

    def _sent(self, stored: StoredRecord, began_ns: int, ended_ns: int) -> None:
        record = parse_ingest(stored.value)
        head = parse_head(record.head)
        bundle = bundle_context(head.hash)
        headers = parse_headers(record.headers, head.core.n, len(head.ciphertexts))
        contexts = [context for event_id in headers.event_ids if (context := self._contexts.pop(event_id, None))]
        root = self._tracer.start(
            "bundle",
            root=bundle,
            links=contexts[:_LINKS],
            at_ns=began_ns,
            agency=self._agency,
            event_type=stored.event_type,
            bundle=head.hash.hex()[:16],
            events=stored.events,
            bytes=len(stored.value),
        )
        root.end(at_ns=ended_ns)
        for context in contexts:
            span = self._tracer.start("send", parent=context, links=[bundle], at_ns=began_ns, agency=self._agency)
            span.end(at_ns=ended_ns)

    def remember(self, event_id: EventId, context: str) -> None:
        """For when it is sent."""
        self._contexts[event_id] = context
        if len(self._contexts) > _REMEMBERED:
            self._contexts.popitem(last=False)

    def start(self, name: Any, span: Span, at_ns: int) -> Span:
        """A span below an event's."""
        return self._tracer.start(name, parent=span.context, at_ns=at_ns, agency=self._agency)


class Traced:
    """The spans of one publish() or publish_many(). Its end must be told: :meth:`ended` or :meth:`failed`."""

    def __init__(self, trace: PublisherTrace, spans: Sequence[Span]) -> None:
        self._trace = trace
        self._spans = spans
        self._prepared: dict[int, int] = {}

    def context(self, place: int) -> str | None:
        """What is to be sealed with the event at ``place``."""
        return self._spans[place].context

    def prepare(self, place: int) -> Span:
        """The event at ``place`` is prepared now."""
        return self._trace.start("prepare", self._spans[place], time.time_ns())

    def prepared(self, place: int, span: Span) -> None:
        """It is, and waits for its flush."""
        now_ns = self._prepared[place] = time.time_ns()
        span.end(at_ns=now_ns)

    def ended(self, outcomes: Sequence[Any]) -> None:
        """What became of each: ``Published``, or a refusal."""
        now_ns = time.time_ns()
        for place, (span, outcome) in enumerate(zip(self._spans, outcomes, strict=True)):
            code = outcome.code if isinstance(outcome, RejectedError) else ""
            if place in self._prepared:
                flush = self._trace.start("flush", span, self._prepared[place])
                flush.end(code=code, at_ns=now_ns)
            if not code and not outcome.duplicate and span.context is not None:
                self._trace.remember(outcome.event_id, span.context)
            span.end(code=code, at_ns=now_ns)

    def failed(self, error: BaseException) -> None:
        """None of them has an outcome."""
        for span in self._spans:
            span.end(code=error.code if isinstance(error, HubError) else type(error).__name__)
