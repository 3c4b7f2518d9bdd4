"""What a Publisher tells: metrics, log words, and the facts for health checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.client.flush import Outcome, Written
from hub.client.outbox import Depth, StoredRecord
from hub.errors import RejectedError, UnavailableError
from hub.log_words import say
from hub.metrics import CounterName
from hub.model import AgencyId
from hub.ports import Clock, Observer


@dataclass(frozen=True, slots=True)
class PublisherProgress:
    """Facts for health checks. Times are milliseconds since 1970; None: not yet, or not now.

    ``failing_code`` says why what waits is not sent now. ``looked_at_ms`` is when the sender last saw that all is sent,
    or got an acknowledgement.
    """

    depth: Depth
    stored_at_ms: int | None
    looked_at_ms: int | None
    failing_since_ms: int | None
    failing_code: str | None


class PublisherFacts:
    """Keeps the facts and passes them on."""

    def __init__(self, agency: AgencyId, clock: Clock, observer: Observer) -> None:
        self._agency = agency
        self._clock = clock
        self._observer = observer
        self.depth = Depth(0, 0, 0, None)
        self._stored_at_ms: int | None = None
        self._looked_at_ms: int | None = None
        self._failing_since_ms: int | None = None
        self._failing_code: str | None = None

    def progress(self) -> PublisherProgress:
        """As they are now."""
        return PublisherProgress(
            self.depth, self._stored_at_ms, self._looked_at_ms, self._failing_since_ms, self._failing_code
        )

    def unavailable(self, operation: str, error: UnavailableError) -> None:
        """``operation`` found something away."""
        self._observer.increment("cgi_unavailable_total", operation=operation, code=error.code)

    def sending_fails(self, error: UnavailableError) -> None:
        """What waits cannot be sent now."""
        if self._failing_code != error.code:
            say("publish.unavailable", agency=self._agency, code=error.code, reason=error.message)
        self._failing_code = error.code
        if self._failing_since_ms is None:
            self._failing_since_ms = self._clock.now_ms()

    def refused(self, refused: Iterable[tuple[str, RejectedError]]) -> None:
        """Events (by type) that were not taken."""
        for event_type, error in refused:
            self._count("cgi_events_total", 1, event_type, "rejected", error.code)
            say("publish.rejected", agency=self._agency, event_type=event_type, code=error.code)

    def flushed(self, event_types: Iterable[str], outcomes: Sequence[Outcome], written: Written, now_ms: int) -> None:
        """A flush was stored."""
        self._stored_at_ms = now_ms
        counts: Counter[tuple[str, str]] = Counter()
        refused: list[tuple[str, RejectedError]] = []
        for event_type, outcome in zip(event_types, outcomes, strict=True):
            if isinstance(outcome, RejectedError):
                refused.append((event_type, outcome))
            else:
                counts[event_type, "duplicate" if outcome.duplicate else "published"] += 1
        self.refused(refused)
        for (event_type, what), count in counts.items():
            self._count("cgi_events_total", count, event_type, what)
        if written.bundles:
            self._observer.observe("cgi_seal_seconds", written.seal_seconds)
        for events, size in written.bundles:
            self._observer.observe("cgi_bundle_events", events)
            self._observer.observe("cgi_bundle_bytes", size)
        self.show_depth(written.depth)

    def sent(self, batch: Sequence[StoredRecord]) -> None:
        """Kafka has acknowledged these."""
        events: Counter[str] = Counter()
        bundles: Counter[str] = Counter()
        for record in batch:
            if record.events:
                events[record.event_type] += record.events
                bundles[record.event_type] += 1
            else:
                self._observer.increment("cgi_heartbeats_total", direction="sent")
        for event_type, count in events.items():
            self._count("cgi_events_total", count, event_type, "sent")
            self._count("cgi_bundles_total", bundles[event_type], event_type, "sent")

    def sender_looked(self, depth: Depth) -> None:
        """The sender works: it has seen what waits."""
        self._failing_code = self._failing_since_ms = None
        self._looked_at_ms = self._clock.now_ms()
        self._observer.gauge("cgi_progress_timestamp_seconds", self._looked_at_ms / 1000, worker="publisher")
        self.show_depth(depth)

    def show_depth(self, depth: Depth) -> None:
        """What waits now."""
        self.depth = depth
        oldest = 0.0 if depth.oldest_ms is None else max(0.0, (self._clock.now_ms() - depth.oldest_ms) / 1000)
        self._observer.gauge("cgi_outbox_records", depth.records)
        self._observer.gauge("cgi_outbox_bytes", depth.bytes)
        self._observer.gauge("cgi_outbox_oldest_age_seconds", oldest)

    def _count(self, name: CounterName, count: int, event_type: str, outcome: str, reason: str = "") -> None:
        self._observer.increment(
            name,
            count,
            publisher=self._agency,
            recipient="",
            event_type=event_type,
            outcome=outcome,
            reason=reason,
        )
