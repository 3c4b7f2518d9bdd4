"""What a Subscriber tells: metrics, log words, and the facts for health checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.client.gaps import Look
from hub.client.inbox import RejectedRecord
from hub.client.receive import Counted, Received
from hub.errors import UnavailableError
from hub.log_words import say
from hub.metrics import CounterName
from hub.model import AgencyId, OpenedEvent
from hub.ports import Clock, IncomingRecord, Observer, Position


@dataclass(frozen=True, slots=True)
class SubscriberProgress:
    """Facts for health checks. Times are milliseconds since 1970; None: not yet, or not now.

    ``step_at_ms``: when a step was last brought to its end, also one that found nothing to read.
    """

    step_at_ms: int | None
    stored_at_ms: int | None
    failing_since_ms: int | None
    failing_code: str | None
    waiting_partitions: int
    open_gaps: int
    lag_records: int | None


class SubscriberFacts:
    """Keeps the facts and passes them on. Used on the event loop alone."""

    def __init__(self, agency: AgencyId, clock: Clock, observer: Observer) -> None:
        self._agency = agency
        self._clock = clock
        self._observer = observer
        self._step_at_ms: int | None = None
        self._stored_at_ms: int | None = None
        self._failing_since_ms: int | None = None
        self._failing_code: str | None = None
        self._waiting = 0
        self._held_codes: set[str] = set()
        self._named: dict[str, int] = {}
        self._gaps = 0
        self._gap_publishers: set[AgencyId] = set()
        self._lag: int | None = None
        self._events_a_record = 1.0
        self._read_at: dict[Position, int] = {}

    def progress(self) -> SubscriberProgress:
        """As they are now."""
        return SubscriberProgress(
            self._step_at_ms,
            self._stored_at_ms,
            self._failing_since_ms,
            self._failing_code,
            self._waiting,
            self._gaps,
            self._lag,
        )

    def stepped(self, held: Counter[str]) -> None:
        """A step was brought to its end; ``held``: how many partitions are held back, by the code of the reason."""
        self._step_at_ms = self._clock.now_ms()
        self._waiting = held.total()
        self._held_codes |= held.keys()
        for code in self._held_codes:
            self._observer.gauge("cgi_held_partitions", held[code], code=code)
        if not self._waiting:
            self._failing_code = self._failing_since_ms = None
        self._observer.gauge("cgi_progress_timestamp_seconds", self._step_at_ms / 1000, worker="subscriber")

    def unavailable(self, operation: str, error: UnavailableError) -> None:
        """Something outside is away."""
        self._observer.increment("cgi_unavailable_total", operation=operation, code=error.code)
        if self._failing_code != error.code:
            say("subscriber.unavailable", agency=self._agency, code=error.code, reason=error.message)
            self._failing_since_ms = self._clock.now_ms()
        self._failing_code = error.code

    def keys(self, held: int, absent: int) -> None:
        """KEM keys at hand, and those that partners may seal to and that are not."""
        self._observer.gauge("cgi_kem_keys", held, state="held")
        self._observer.gauge("cgi_kem_keys", absent, state="absent")

    def stored(self, records: Sequence[IncomingRecord], received: Received, written: Sequence[OpenedEvent]) -> None:
        """A batch is durable."""
        self._show_versions(received.named)
        now_ms = self._stored_at_ms = self._clock.now_ms()
        for what, count in received.events.items():
            self._count("cgi_events_total", what, count)
        for what, count in received.bundles.items():
            self._count("cgi_bundles_total", what, count)
        self._written(written, now_ms)
        if received.heartbeats:
            self._observer.increment("cgi_heartbeats_total", received.heartbeats, direction="seen")
        for (publisher, code), count in received.alarms.items():
            self._observer.increment("cgi_alarms_total", count, publisher=publisher, code=code)
            if code == "sequence.equivocation":
                say("sequence.equivocation", agency=self._agency, publisher=publisher, count=count)
        for seconds in received.seconds:
            self._observer.observe("cgi_open_seconds", seconds)
        for record in records:
            self._observer.observe("cgi_bundle_bytes", len(record.value))
            self._read_at[record.topic, record.partition] = record.timestamp_ms
        self.refused(received.rejected)
        opened = sum(count for what, count in received.events.items() if what[2] == "opened")
        if records:
            self._events_a_record += (opened / len(records) - self._events_a_record) * 0.1

    def _show_versions(self, named: Mapping[str, int]) -> None:
        for publisher, version in named.items():
            if version > self._named.get(publisher, 0):
                self._named[publisher] = version
                self._observer.gauge("cgi_named_directory_version", version, publisher=publisher)

    def _written(self, events: Sequence[OpenedEvent], now_ms: int) -> None:
        counts: Counter[Counted] = Counter()  # told once for a batch: telling takes 3 us
        for event in events:
            route = event.route
            counts[event.publisher, route.event_type, "written", ""] += 1
            age = max(0, now_ms - event.published_at_ms) / 1000
            self._observer.observe(
                "cgi_end_to_end_age_seconds", age, publisher=event.publisher, priority=route.priority.value
            )
        for what, count in counts.items():
            self._count("cgi_events_total", what, count)

    def refused(self, rejected: Sequence[RejectedRecord]) -> None:
        """Refused records and events, into the log and the metrics."""
        for row in rejected:
            self._observer.increment("cgi_quarantined_total", publisher=row.publisher or "unknown", code=row.code)
            say(
                "event.rejected" if row.event_id else "bundle.quarantined",
                agency=self._agency,
                publisher=row.publisher,
                code=row.code,
                sink=row.sink,
                topic=row.topic,
                partition=row.partition,
                offset=row.offset,
            )

    def gaps(self, look: Look) -> None:
        """The gaps that stand open, and those that are to be reported."""
        counts: dict[tuple[AgencyId, str], list[int]] = {
            (publisher, explained): [0, 0] for publisher in self._gap_publishers for explained in ("yes", "no")
        }
        for gap in look.gaps:
            counted = counts.setdefault((gap.publisher, "no"), [0, 0])
            counted[0] += 1
            counted[1] += gap.last - gap.first + 1
        for explained in look.explained:
            counted = counts.setdefault((explained.publisher, "yes"), [0, 0])
            counted[0] += 1
            counted[1] += explained.count
        for (publisher, is_explained), (gaps, numbers) in counts.items():
            self._gap_publishers.add(publisher)
            self._observer.gauge("cgi_gaps", gaps, publisher=publisher, explained=is_explained)
            self._observer.gauge("cgi_missing_records", numbers, publisher=publisher, explained=is_explained)
        self._gaps = len(look.gaps)
        for due in look.due:
            self._observer.increment("cgi_alarms_total", publisher=due.publisher, code="sequence.gap")
            say(
                "sequence.gap",
                agency=self._agency,
                publisher=due.publisher,
                instance=due.instance.hex(),
                first=due.first,
                last=due.last,
                seconds=(self._clock.now_ms() - due.seen_ms) // 1000,
            )

    def lag(self, lag: Mapping[Position, int]) -> None:
        """Records that wait on each partition."""
        self._lag = sum(lag.values())
        now_ms = self._clock.now_ms()
        for topic in {topic for topic, _ in lag}:
            behind = {position: count for position, count in lag.items() if position[0] == topic}
            oldest = min((self._read_at.get(p, now_ms) for p, count in behind.items() if count), default=now_ms)
            records = sum(behind.values())
            self._observer.gauge("cgi_lag_records", records, topic=topic)
            self._observer.gauge("cgi_lag_events", records * self._events_a_record, topic=topic)
            self._observer.gauge("cgi_lag_seconds", max(0.0, (now_ms - oldest) / 1000), topic=topic)
        self._observer.gauge("cgi_partitions", len(lag))

    def sink_wrote(self, sink: str, seconds: float) -> None:
        """One durable write of a sink."""
        self._observer.observe("cgi_sink_write_seconds", seconds, sink=sink)

    def _count(self, name: CounterName, what: Counted, count: int) -> None:
        publisher, event_type, outcome, reason = what
        self._observer.increment(
            name,
            count,
            publisher=publisher,
            recipient=self._agency,
            event_type=event_type,
            outcome=outcome,
            reason=reason,
        )
