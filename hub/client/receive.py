"""Delivered records into opened events: verify, number, open, decode, check, filter (docs/spec 10). Synchronous.

What is refused is set aside with its reason and does not stop what follows; what must wait (a newer directory, a key
that is not here yet) stops its partition alone. Nothing here is durable: the Subscriber stores what comes out, or
throws this object away and makes a new one from what was stored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from hub.catalog import Catalog
from hub.client.inbox import RejectedRecord
from hub.client.published import EventExpired
from hub.errors import RejectedError, UnavailableError
from hub.model import AgencyId, Decision, EventId, OpenedEvent
from hub.policy.agreement import HUB_NOTICE
from hub.ports import IncomingRecord, Position, Tracer
from hub.spans import bundle_context, context_of
from hub.trust.checks import DirectoryBehind, FlushCache
from hub.trust.directory import Directory
from hub.trust.kem import KemPrivateKey
from hub.trust.open import Delivered, KemKeyMissing, OpenedSections, Opener
from hub.trust.replay import EventIdReused, EventIds
from hub.trust.sequence import (
    Finding,
    FindingKind,
    GapLimitExceeded,
    InstanceLimitExceeded,
    Outcome,
    SequenceEquivocation,
    Streams,
)
from hub.wire.appended import first_appended_ms

_REASON_BYTES: Final = 64
"""Of an explanation's code (hub/trust/sequence.py)."""

_ALARMS: Final = (SequenceEquivocation, EventIdReused)
_NUMBER_REFUSED: Final = (SequenceEquivocation, GapLimitExceeded, InstanceLimitExceeded)

Counted = tuple[str, str, str, str]
"""Publisher, event type, outcome, reason."""


class ContentFilter(Protocol):
    """The recipient's own filter: ``hub.policy.subscription.Subscription`` is one."""

    def matches(self, event: OpenedEvent) -> Decision:
        """Whether an opened event is wanted."""


class UnsafeEverything:
    """Wants everything that is delivered, whatever the content."""

    def matches(self, event: OpenedEvent) -> Decision:
        return Decision(True, "subscription.everything", "no filter on content")


class KemKeyAbsent(UnavailableError):
    """The directory lists a KEM key for this agency whose private half is not among this site's keys (yet)."""

    code = "kem_key.absent"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event for the sinks, and the record that it came in."""

    event: OpenedEvent
    record: IncomingRecord
    trace: str | None = None
    """The context of its ``open`` span, where traces are written."""


@dataclass(slots=True)
class Received:
    """What a batch of records came to. ``next_offsets``: where each partition goes on when all this is stored."""

    arrivals: list[Arrival] = field(default_factory=list)
    rejected: list[RejectedRecord] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    next_offsets: dict[Position, int] = field(default_factory=dict)
    waiting: dict[Position, tuple[int, UnavailableError]] = field(default_factory=dict)
    events: Counter[Counted] = field(default_factory=Counter)
    bundles: Counter[Counted] = field(default_factory=Counter)
    alarms: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Publisher, code."""
    named: dict[str, int] = field(default_factory=dict)
    """For each publisher, the highest version of the directory that a flush of it has named."""
    heartbeats: int = 0
    seconds: list[float] = field(default_factory=list)
    """To verify, open and check each bundle."""
    sequences_touched: bool = False
    """A gap was opened, filled or explained."""

    def name(self, publisher: str, version: int) -> None:
        """A flush of ``publisher`` names ``version`` of the directory."""
        self.named[publisher] = max(version, self.named.get(publisher, 0))


class Receiver:
    """Owns the Opener and the Streams. ``kem_keys`` is asked again when a listed key is not at hand."""

    def __init__(
        self,
        *,
        hub: AgencyId,
        agency: AgencyId,
        kem_keys: Callable[[], Sequence[KemPrivateKey]],
        catalog: Catalog,
        content: ContentFilter,
        streams: Streams,
        event_ids: EventIds,
        tracer: Tracer | None = None,
    ) -> None:
        self._hub = hub
        self._agency = agency
        self._kem_keys = kem_keys
        self._catalog = catalog
        self._content = content
        self.streams = streams
        self._event_ids = event_ids
        self._tracer = tracer
        self._flushes = FlushCache()
        self._held: frozenset[bytes] | None = None
        self.reload_keys()

    def reload_keys(self) -> None:
        """Take the keys that there are now. What was opened with one that is gone is forgotten."""
        keys = self._kem_keys()
        held = frozenset(key.public.kem_id for key in keys)
        if held != self._held:
            self._held = held
            self._opener = Opener(hub=self._hub, recipient=self._agency, kem_keys=keys, flushes=self._flushes)

    def count_keys(self, directory: Directory, now_ms: int) -> tuple[int, int]:
        """How many KEM keys are at hand, and how many that partners may seal to now are not."""
        held = self._held or frozenset()
        entry = directory.agency(self._agency)
        listed = () if entry is None else entry.statement.kem_keys
        return len(held), sum(key.usable(now_ms) and key.key.kem_id not in held for key in listed)

    def read(
        self,
        records: Sequence[IncomingRecord],
        *,
        directory: Directory,
        now_ms: int,
        given_up: Collection[Position] = (),
    ) -> Received:
        """Every record in its order. Raises nothing about a record; ``given_up``: for these, behind is refused."""
        out = Received()
        for record in records:
            position = record.topic, record.partition
            if position in out.waiting:
                continue
            began = time.perf_counter()
            try:
                self._receive(record, directory, now_ms, out)
            except DirectoryBehind as error:
                if error.details["proven"]:
                    out.name(str(error.details["publisher"]), int(str(error.details["wanted"])))
                if position not in given_up:
                    out.waiting[position] = record.offset, error
                    continue
                self._refuse(out, record, error, now_ms)  # spec 12.2: not for ever
            except KemKeyAbsent as error:
                out.waiting[position] = record.offset, error
                continue
            except RejectedError as error:
                self._refuse(out, record, error, now_ms)
            out.next_offsets[position] = record.offset + 1
            out.seconds.append(time.perf_counter() - began)
        return out

    def read_again(
        self,
        record: IncomingRecord,
        *,
        directory: Directory,
        now_ms: int,
        was_marked: bool,
        only: EventId | None = None,
    ) -> Received:
        """One record that was refused before, or one event of it, as it is to be read now.

        ``was_marked``: it was refused after its number was marked, so that nothing of it (of ``only``) was applied
        although the number has come. Else a number that has come since means that all of it is applied.
        Raises ``RejectedError``, ``UnavailableError``: nothing has changed.
        """
        out = Received()
        delivered = self._verify(record, directory, now_ms)
        if self.streams.check(delivered.stamp) is Outcome.DUPLICATE and was_marked:
            self._open(record, delivered, directory, now_ms, out)
        else:
            self._take(record, delivered, directory, now_ms, out)
        if only is not None:
            out.arrivals = [arrival for arrival in out.arrivals if arrival.event.event_id == only]
            out.rejected = [row for row in out.rejected if row.event_id in ("", only.hex())]
        return out

    # --- one record ---------------------------------------------------------------------------------------------------

    def _receive(self, record: IncomingRecord, directory: Directory, now_ms: int, out: Received) -> None:
        # 1 to 5 (spec 10.1)
        delivered = self._verify(record, directory, now_ms)
        out.name(delivered.publisher, delivered.directory_version)
        self._take(record, delivered, directory, now_ms, out)

    def _verify(self, record: IncomingRecord, directory: Directory, now_ms: int) -> Delivered:
        appended_ms = first_appended_ms(record)
        return self._opener.verify(record.value, directory=directory, now_ms=now_ms, appended_ms=appended_ms)

    def _take(
        self, record: IncomingRecord, delivered: Delivered, directory: Directory, now_ms: int, out: Received
    ) -> None:
        stamp = delivered.stamp
        publisher, event_type = delivered.publisher, delivered.route.event_type
        try:
            # 6: seen before?
            what = self.streams.check(stamp)
            if what is Outcome.DUPLICATE:
                out.bundles[publisher, event_type, "duplicate", ""] += 1
                out.events[publisher, event_type, "duplicate", ""] += delivered.n
                return
            if what is Outcome.HEARTBEAT:
                out.heartbeats += 1
            else:
                # 7 and 8
                self._open(record, delivered, directory, now_ms, out)
        except RejectedError as error:
            self._refuse(out, record, error, now_ms, delivered)
            if isinstance(error, _NUMBER_REFUSED):
                return  # the number stays as it was (spec 11.4, 11.8)
        # What was refused after step 6 did come, as its publisher signed it: no gap, and its bytes are kept.
        findings = self.streams.mark(stamp)
        out.findings += findings
        out.sequences_touched |= bool(findings) or what is Outcome.FILLS_GAP
        for finding in findings:
            if finding.kind is FindingKind.CHAIN_CONFLICT:
                out.alarms[publisher, "sequence.chain_conflict"] += 1

    def _open(
        self, record: IncomingRecord, delivered: Delivered, directory: Directory, now_ms: int, out: Received
    ) -> None:
        publisher, event_type = delivered.publisher, delivered.route.event_type
        began_ns = 0 if self._tracer is None else time.time_ns()
        self._event_ids.check(publisher, delivered.event_ids, delivered.header_hashes)
        try:
            opened = self._opener.open(delivered)
        except KemKeyMissing as error:
            if self._is_listed(delivered.kem_id, directory):
                raise KemKeyAbsent(
                    "the private half of a KEM key that the directory lists is not in this site's folder of KEM keys",
                    **error.details,
                ) from error
            raise
        kind = self._catalog.get(event_type)
        out.bundles[publisher, event_type, "opened", ""] += 1
        out.events[publisher, event_type, "opened", ""] += len(opened)
        for sections in opened:
            # 9: Avro, schema, constraints; one bad event does not take the others with it
            try:
                body = kind.read(sections.sections, delivered.route.schema_version)
            except RejectedError as error:
                self._refuse(out, record, error, now_ms, delivered, sections)
                continue
            trace = None if self._tracer is None else self._trace(self._tracer, delivered, body, began_ns)
            self._accept(record, delivered, sections, body, now_ms, out, trace)
        if self._tracer is not None:
            self._trace_bundle(self._tracer, delivered, began_ns)

    def _trace(self, tracer: Tracer, delivered: Delivered, body: Mapping[str, Any], began_ns: int) -> str | None:
        """An ``open`` span in the event's trace, where its publisher sealed one with it and it may be seen."""
        span = tracer.start(
            "open",
            parent=context_of(body),
            links=[bundle_context(delivered.head_hash)],
            at_ns=began_ns,
            agency=self._agency,
            publisher=delivered.publisher,
            event_type=delivered.route.event_type,
        )
        span.end()
        return span.context

    def _trace_bundle(self, tracer: Tracer, delivered: Delivered, began_ns: int) -> None:
        span = tracer.start(
            "receive",
            parent=bundle_context(delivered.head_hash),
            at_ns=began_ns,
            agency=self._agency,
            publisher=delivered.publisher,
            event_type=delivered.route.event_type,
            bundle=delivered.head_hash.hex()[:16],
            events=delivered.n,
        )
        span.end()

    def _accept(
        self,
        record: IncomingRecord,
        delivered: Delivered,
        sections: OpenedSections,
        body: Mapping[str, Any],
        now_ms: int,
        out: Received,
        trace: str | None,
    ) -> None:
        publisher, route = delivered.publisher, delivered.route
        event = OpenedEvent(
            publisher=publisher,
            event_id=sections.event_id,
            route=route,
            published_at_ms=sections.published_at_ms,
            expires_at_ms=sections.expires_at_ms,
            correlation_id=sections.correlation_id,
            in_reply_to=sections.in_reply_to,
            body=body,
            granted=delivered.granted,
            withheld=delivered.withheld,
        )
        if route.event_type == HUB_NOTICE and publisher == self._hub:
            self._explain(body, out)
        if sections.expires_at_ms <= now_ms:
            # Its originator lets nobody keep it any longer: it reaches no sink.
            out.events[publisher, route.event_type, "filtered", EventExpired.code] += 1
            return
        decision = self._content.matches(event)
        if decision.allowed:
            out.arrivals.append(Arrival(event, record, trace))
        else:
            out.events[publisher, route.event_type, "filtered", decision.code] += 1

    def _explain(self, body: Mapping[str, Any], out: Received) -> None:
        """The hub's reasons for numbers that it did not deliver (spec 13.2)."""
        if body["recipient"] != self._agency:
            return
        publisher, instance = AgencyId(body["publisher"]), bytes.fromhex(body["instance"])
        for part in body["ranges"]:
            try:
                self.streams.explain(publisher, instance, part["first"], part["last"], part["code"][:_REASON_BYTES])
            except RejectedError as error:  # more than a receiver keeps: the gap stays unexplained
                out.alarms[publisher, error.code] += 1
                return
        out.sequences_touched = True

    def _is_listed(self, kem_id: bytes, directory: Directory) -> bool:
        entry = directory.agency(self._agency)
        return entry is not None and any(key.key.kem_id == kem_id for key in entry.statement.kem_keys)

    def _refuse(
        self,
        out: Received,
        record: IncomingRecord,
        error: RejectedError | UnavailableError,
        now_ms: int,
        delivered: Delivered | None = None,
        sections: OpenedSections | None = None,
    ) -> None:
        publisher = "" if delivered is None else delivered.publisher
        event_type = "" if delivered is None else delivered.route.event_type
        what = publisher or "unknown", event_type, "quarantined", error.code
        if sections is not None:
            out.events[what] += 1
        else:
            out.bundles[what] += 1
        if isinstance(error, _ALARMS):
            out.alarms[publisher, error.code] += 1
        last = out.rejected[-1] if out.rejected else None
        is_next_of_one_record = last is not None and (last.topic, last.partition, last.offset) == (
            record.topic,
            record.partition,
            record.offset,
        )
        out.rejected.append(
            RejectedRecord(
                record.topic,
                record.partition,
                record.offset,
                publisher,
                "" if sections is None else sections.event_id.hex(),
                "",
                error.code,
                error.message,
                now_ms,
                b"" if is_next_of_one_record else record.value,  # the bytes are kept once
                first_appended_ms(record),
            )
        )
