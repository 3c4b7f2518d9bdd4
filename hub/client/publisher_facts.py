"""What a Publisher tells: metrics, log words, and the facts for health checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.client.clock_watch import SAID_MS, ClockWatch
from hub.client.flush import Outcome, Written
from hub.client.outbox import Depth, LateRefusal, StoredRecord
from hub.errors import RejectedError, UnavailableError
from hub.log_words import say
from hub.metrics import CounterName
from hub.model import AgencyId
from hub.ports import Clock, Observer


@dataclass(frozen=True, slots=True)
class PublisherProgress:
    """Facts for health checks. Times are milliseconds since 1970; None: not yet, or not now.

    ``failing_code`` says why what waits is not sent now, ``held_code`` why nothing is sealed now. ``looked_at_ms`` is
    when the sender last saw that all is sent, or got an acknowledgement.
    """

    depth: Depth
    stored_at_ms: int | None
    looked_at_ms: int | None
    failing_since_ms: int | None
    failing_code: str | None
    held_since_ms: int | None = None
    held_code: str | None = None


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
        self._held_since_ms: int | None = None
        self._held_code: str | None = None
        self._far_off = False
        self.watch = ClockWatch(clock)

    def progress(self) -> PublisherProgress:
        """As they are now."""
        return PublisherProgress(
            self.depth,
            self._stored_at_ms,
            self._looked_at_ms,
            self._failing_since_ms,
            self._failing_code,
            self._held_since_ms,
            self._held_code,
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

    def held(self, operation: str, error: UnavailableError) -> None:
        """Nothing can be sealed now: events are taken, and wait."""
        self.unavailable(operation, error)
        if self._held_code != error.code:
            say("publish.waiting", agency=self._agency, code=error.code, reason=error.message)
        self._held_code = error.code
        if self._held_since_ms is None:
            self._held_since_ms = self._clock.now_ms()

    def sealing(self) -> None:
        """Nothing keeps events from being sealed any more, and none waits."""
        if self._held_code is not None:
            seconds = 0 if self._held_since_ms is None else (self._clock.now_ms() - self._held_since_ms) // 1000
            say("publish.resumed", agency=self._agency, code=self._held_code, seconds=seconds)
            self._held_code = self._held_since_ms = None

    def refused_late(self, note: LateRefusal, error: RejectedError) -> None:
        """An event that was taken, and waited, is refused after all."""
        self._count("cgi_events_total", 1, note.event_type, "rejected", error.code)
        say(
            "publish.refused_late",
            agency=self._agency,
            event_type=note.event_type,
            event_id=note.event_id.hex(),
            code=error.code,
        )

    def acknowledged(self, appended_ms: int, *, began: float) -> None:
        """The broker said when it appended what was sent at ``began`` (monotonic)."""
        self.watch.acknowledged(appended_ms, began=began)
        self._show_clock()

    def _show_clock(self) -> None:
        ahead_ms = self.watch.ahead_ms()
        if ahead_ms is None:
            return
        self._observer.gauge("cgi_clock_skew_seconds", ahead_ms / 1000)
        far_off = abs(ahead_ms) >= SAID_MS
        if far_off and not self._far_off:
            say("clock.skewed", agency=self._agency, seconds_ahead=ahead_ms // 1000)
        self._far_off = far_off

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
            elif outcome.duplicate:
                counts[event_type, "duplicate"] += 1
            else:
                counts[event_type, "waiting" if outcome.waiting else "published"] += 1
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
        if self._held_code is None:  # to send what was sealed before is not all that there is to do
            self._observer.gauge("cgi_progress_timestamp_seconds", self._looked_at_ms / 1000, worker="publisher")
        self._show_clock()
        self.show_depth(depth)

    def show_depth(self, depth: Depth) -> None:
        """What waits now."""
        self.depth = depth
        oldest = 0.0 if depth.oldest_ms is None else max(0.0, (self._clock.now_ms() - depth.oldest_ms) / 1000)
        self._observer.gauge("cgi_outbox_records", depth.records)
        self._observer.gauge("cgi_outbox_bytes", depth.bytes)
        self._observer.gauge("cgi_outbox_oldest_age_seconds", oldest)
        first = depth.waiting_oldest_ms
        waited = 0.0 if first is None else max(0.0, (self._clock.now_ms() - first) / 1000)
        self._observer.gauge("cgi_outbox_waiting_events", depth.waiting)
        self._observer.gauge("cgi_outbox_waiting_bytes", depth.waiting_bytes)
        self._observer.gauge("cgi_outbox_waiting_age_seconds", waited)

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
