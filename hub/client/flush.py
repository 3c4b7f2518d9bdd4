"""One flush: look up the sources' keys, seal, store in one transaction. Synchronous, for the outbox's own thread.

Order of calls: :meth:`FlushWriter.open`, then any number of the others from the same thread, then :meth:`close`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.client.outbox import (
    Depth,
    LateRefusal,
    NewRecord,
    Outbox,
    OutboxCommit,
    SourceKey,
    StoredRecord,
    WaitingEvent,
)
from hub.client.prepare import Prepared
from hub.client.published import EventIdRepeated, Published
from hub.client.store import StoreFull, StoreUnavailable
from hub.client.waiting import encode_waiting, late_refusal
from hub.errors import RejectedError, UnavailableError
from hub.model import AgencyId, Compartment, EventId, EventRef, Grants, Route, new_event_id, parse_handling
from hub.policy.handling import check_not_loosened
from hub.ports import Clock
from hub.trust.directory import Directory
from hub.trust.seal import Draft, Group, SealedFlush, Sealer, check_draft

HEARTBEAT_TYPE: Final = "heartbeat"
_LARGE: Final = 100_000
_MANY: Final = 64
"""Only an event with more bytes or more recipients than these may not fit into a record."""
_DAY: Final = 86_400.0
_PAUSE_FIRST: Final = 1.0
_PAUSE_MOST: Final = 1_200.0

MakeSealer = Callable[[Directory, Mapping[AgencyId, tuple[bytes, int]]], Sealer]
"""(directory, each recipient's last instance and number) -> a new instance."""

Outcome = Published | RejectedError


@dataclass(frozen=True, slots=True)
class Written:
    """What a flush came to: an outcome for each event in the order given, and facts for the metrics."""

    outcomes: tuple[Outcome, ...]
    bundles: tuple[tuple[int, int], ...]
    """Events and bytes of each record."""
    seal_seconds: float
    depth: Depth


@dataclass(slots=True)
class _Plan:
    """A flush before it is sealed."""

    outcomes: list[Outcome]
    lanes: dict[tuple[Route, tuple[Compartment, ...], Grants], list[Draft]]
    keys: dict[bytes, SourceKey]


def _duplicate(earlier: SourceKey | WaitingEvent) -> Published:
    waits = isinstance(earlier, WaitingEvent)
    recipients = () if isinstance(earlier, WaitingEvent) else earlier.recipients
    return Published(earlier.event_id, earlier.published_at_ms, recipients, duplicate=True, waiting=waits)


def _waiting(prepared: Prepared, published_ms: int) -> WaitingEvent:
    event = prepared.event
    published_at_ms = published_ms if event.published_at_ms is None else event.published_at_ms
    return WaitingEvent(
        event.event_id or new_event_id(published_at_ms, os.urandom(10)),
        published_at_ms,
        event.event_type,
        str(event.handling),
        prepared.key,
        prepared.content,
        encode_waiting(event, only=prepared.only, source_key=prepared.source_key),
    )


def _late_refusals(events: Sequence[Prepared], outcomes: Sequence[Outcome], now_ms: int) -> list[LateRefusal]:
    """Notes about those of ``events`` that waited and are refused now."""
    return [
        late_refusal(prepared.waiting, prepared.source_key, outcome, now_ms=now_ms)
        for prepared, outcome in zip(events, outcomes, strict=True)
        if prepared.waiting is not None and isinstance(outcome, RejectedError)
    ]


class FlushWriter:
    """Owns the outbox and the Sealer. A Sealer whose flush was not stored is thrown away: its numbers never existed."""

    def __init__(self, *, agency: AgencyId, outbox: Outbox, make_sealer: MakeSealer, clock: Clock) -> None:
        self._agency = agency
        self._outbox = outbox
        self._make_sealer = make_sealer
        self._clock = clock
        self._sealer: Sealer | None = None
        self._sealer_used = False
        self._stored_numbers: Mapping[AgencyId, int] = {}
        self._directory: Directory | None = None
        self._instances_lost: deque[float] = deque()
        self._refused_until = 0.0
        self._refusal: UnavailableError | None = None

    def open(self, *, forget_keys_before_ms: int | None = None) -> tuple[bytes, Depth]:
        """Open the outbox; its salt, and what waits in it. Raises as ``Outbox.open``."""
        self._outbox.open()
        if forget_keys_before_ms is not None:
            self._outbox.forget_keys(forget_keys_before_ms)
        return self._outbox.salt(), self._outbox.depth()

    def close(self) -> None:
        """Close the outbox."""
        self._sealer = None
        self._outbox.close()

    @property
    def instance(self) -> bytes | None:
        """The instance that seals now; None before the first flush and after a failed one."""
        return None if self._sealer is None else self._sealer.instance

    def sealer_state(self) -> dict[str, object]:
        """The instance, its lanes and numbers, for an operator's question."""
        sealer = self._sealer
        if sealer is None:
            return {"instance": None, "refusal": None if self._refusal is None else self._refusal.code}
        return {
            "instance": sealer.instance.hex(),
            "lanes_open": sealer.lanes,
            "sealing_under_directory": sealer.directory_version,
            "last_numbers": dict(self._stored_numbers),
        }

    def write(
        self,
        events: Sequence[Prepared],
        *,
        directory: Directory,
        now_ms: int,
        through: int = 0,
        refused: Sequence[LateRefusal] = (),
    ) -> Written:
        """Seal and store. On return every ``Published`` is durable.

        ``through``: the position of the last of these events that waited in the outbox: all up to it leave the queue in
        the same transaction, those that were ``refused`` among them.

        Raises ``UnavailableError``: none of it is stored, and the next call begins a new instance.
        """
        self._check_pause()
        try:
            plan = self._plan(events)
            late = (*refused, *_late_refusals(events, plan.outcomes, now_ms))
            if not plan.lanes:
                if through:
                    self._outbox.commit(OutboxCommit(b"", (), {}, (), now_ms, sealed_through=through, refused=late))
                return Written(tuple(plan.outcomes), (), 0.0, self._outbox.depth())
            began = time.perf_counter()
            sealed = self._seal(plan, directory, now_ms)
            seconds = time.perf_counter() - began
            records = self._store(sealed, plan, now_ms, through=through, refused=late)
        except RejectedError as error:
            return self._write_apart(events, error, directory, now_ms, through=through, refused=refused)
        sizes = tuple((record.events, len(record.value)) for record in records)
        return Written(tuple(plan.outcomes), sizes, seconds, self._outbox.depth())

    def hold(self, events: Sequence[Prepared], *, now_ms: int, published_ms: int) -> Written:
        """Store events in the clear, in their order, to be sealed later. On return every ``Published`` is durable.

        ``published_ms`` becomes the time of publication of those that have none. Raises ``UnavailableError``: none of
        it is stored.
        """
        keys = {prepared.key for prepared in events if prepared.key is not None}
        earlier: dict[bytes, SourceKey | WaitingEvent] = {**self._outbox.find_keys(keys)} if keys else {}
        if keys:
            earlier.update(self._outbox.find_waiting(keys))  # they came after what is sealed
        outcomes: list[Outcome] = []
        new: list[WaitingEvent] = []
        for prepared in events:
            before = None if prepared.key is None else earlier.get(prepared.key)
            if before is not None and before.content == prepared.content:
                outcomes.append(_duplicate(before))
                continue
            amends = None
            if before is not None:
                try:
                    check_not_loosened(prepared.route.handling, parse_handling(before.handling))
                except RejectedError as error:
                    outcomes.append(error)
                    continue
                amends = EventRef(self._agency, before.event_id)
            waiting = _waiting(prepared, published_ms)
            new.append(waiting)
            if prepared.key is not None:
                earlier[prepared.key] = waiting
            outcomes.append(Published(waiting.event_id, waiting.published_at_ms, (), amends=amends, waiting=True))
        if new:
            self._outbox.commit(OutboxCommit(b"", (), {}, (), now_ms, waiting=new))
        return Written(tuple(outcomes), (), 0.0, self._outbox.depth())

    def waiting(self, *, max_events: int, max_bytes: int) -> Sequence[WaitingEvent]:
        """The oldest events that are not sealed yet."""
        return self._outbox.read_waiting(max_events=max_events, max_bytes=max_bytes)

    def heartbeat(self, *, directory: Directory, now_ms: int) -> Depth:
        """Store a heartbeat for every active agency that was ever written to. Raises ``UnavailableError``."""
        self._check_pause()
        entries = ((agency, directory.agency(agency)) for agency in sorted(self._outbox.sequences()))
        recipients = [agency for agency, entry in entries if entry is not None and entry.active]
        if recipients:
            try:
                sealed = self._current_sealer(directory, now_ms).heartbeat(recipients, now_ms=now_ms)
            except BaseException:
                self._throw_away()
                raise
            self._store(sealed, _Plan([], {}, {}), now_ms)
        return self._outbox.depth()

    def take(self, acknowledged: int, *, max_records: int, max_bytes: int) -> tuple[Sequence[StoredRecord], Depth]:
        """Delete up to and with the position ``acknowledged`` (0: nothing), then the oldest that wait."""
        if acknowledged:
            self._outbox.acknowledge(acknowledged)
        return self._outbox.read(max_records=max_records, max_bytes=max_bytes), self._outbox.depth()

    # --- the steps of a flush -----------------------------------------------------------------------------------------

    def _plan(self, events: Sequence[Prepared]) -> _Plan:
        wanted = {prepared.key for prepared in events if prepared.key is not None}
        known = dict(self._outbox.find_keys(wanted)) if wanted else {}
        randomness = os.urandom(26 * len(events))
        plan = _Plan([], {}, {})
        ids: set[EventId] = set()
        for place, prepared in enumerate(events):
            earlier = known.get(prepared.key) if prepared.key is not None else None
            if earlier is not None and earlier.content == prepared.content:
                plan.outcomes.append(_duplicate(earlier))
                continue
            if earlier is not None:
                try:
                    check_not_loosened(prepared.route.handling, parse_handling(earlier.handling))
                except RejectedError as error:
                    plan.outcomes.append(error)
                    continue
            draft, published = self._draft(prepared, earlier, randomness[26 * place : 26 * place + 26])
            if draft.event_id in ids:
                # spec 5.5: no two headers of a bundle have the same event_id
                plan.outcomes.append(EventIdRepeated("another event of this moment has the same event id"))
                continue
            if prepared.size > _LARGE or len(prepared.grants) > _MANY:
                try:
                    check_draft(draft, prepared.compartments, prepared.grants)
                except RejectedError as error:
                    plan.outcomes.append(error)
                    continue
            ids.add(draft.event_id)
            plan.outcomes.append(published)
            plan.lanes.setdefault((prepared.route, prepared.compartments, prepared.grants), []).append(draft)
            if prepared.key is not None:
                known[prepared.key] = plan.keys[prepared.key] = SourceKey(
                    prepared.key,
                    prepared.content,
                    draft.event_id,
                    draft.published_at_ms,
                    draft.correlation_id,
                    str(prepared.route.handling),
                    published.recipients,
                )
        return plan

    def _draft(self, prepared: Prepared, earlier: SourceKey | None, randomness: bytes) -> tuple[Draft, Published]:
        event = prepared.event
        published_at_ms = event.published_at_ms
        if published_at_ms is None:
            published_at_ms = self._clock.now_ms()
        event_id = event.event_id or new_event_id(published_at_ms, randomness[:10])
        # An amendment answers the event that it amends and stays in its thread (domain.md 10, Workflow).
        amends = None if earlier is None else EventRef(self._agency, earlier.event_id)
        correlation_id = event.correlation_id
        if correlation_id is None:
            correlation_id = randomness[10:] if earlier is None else earlier.correlation_id
        draft = Draft(
            event_id=event_id,
            published_at_ms=published_at_ms,
            correlation_id=correlation_id,
            in_reply_to=amends or event.in_reply_to,
            expires_at_ms=event.expires_at_ms,
            sections=prepared.sections,
        )
        recipients = tuple(agency for agency, _ in prepared.grants)
        return draft, Published(event_id, published_at_ms, recipients, amends=amends, left_out=prepared.left_out)

    def _seal(self, plan: _Plan, directory: Directory, now_ms: int) -> SealedFlush:
        groups = [Group(*lane, drafts) for lane, drafts in plan.lanes.items()]
        try:
            return self._current_sealer(directory, now_ms).seal(groups, now_ms=now_ms)
        except BaseException:
            self._throw_away()
            raise

    def _store(
        self,
        sealed: SealedFlush,
        plan: _Plan,
        now_ms: int,
        *,
        through: int = 0,
        refused: Sequence[LateRefusal] = (),
    ) -> Sequence[NewRecord]:
        types = {draft.event_id: lane[0].event_type for lane, drafts in plan.lanes.items() for draft in drafts}
        records = [
            NewRecord(
                record.key,
                record.value,
                len(record.events),
                types[record.events[0]] if record.events else HEARTBEAT_TYPE,
            )
            for record in sealed.records
        ]
        changed = {
            agency: number for agency, number in sealed.sequences.items() if self._stored_numbers.get(agency) != number
        }
        try:
            keys = tuple(plan.keys.values())
            self._outbox.commit(
                OutboxCommit(
                    records[0].key, records, changed, keys, now_ms, sealed_through=through, refused=tuple(refused)
                )
            )
        except BaseException as error:
            used = self._sealer_used
            self._throw_away()
            if isinstance(error, StoreFull | StoreUnavailable):
                self._pause(error, used=used)
            raise
        self._sealer_used = True
        self._stored_numbers = sealed.sequences
        return records

    def _write_apart(
        self,
        events: Sequence[Prepared],
        error: RejectedError,
        directory: Directory,
        now_ms: int,
        *,
        through: int,
        refused: Sequence[LateRefusal],
    ) -> Written:
        """The Sealer refused something in the flush: each event on its own, so that only the culprit is refused."""
        if len(events) == 1:
            if through:
                late = (*refused, *_late_refusals(events, [error], now_ms))
                self._outbox.commit(OutboxCommit(b"", (), {}, (), now_ms, sealed_through=through, refused=late))
            return Written((error,), (), 0.0, self._outbox.depth())
        parts = []
        for prepared in events:
            place = 0 if prepared.waiting is None else prepared.waiting.position
            parts.append(
                self.write(
                    [prepared], directory=directory, now_ms=now_ms, through=place, refused=refused if place else ()
                )
            )
        if through:  # those behind the last of them that were refused before
            self._outbox.commit(OutboxCommit(b"", (), {}, (), now_ms, sealed_through=through))
        return Written(
            tuple(outcome for part in parts for outcome in part.outcomes),
            tuple(bundle for part in parts for bundle in part.bundles),
            sum(part.seal_seconds for part in parts),
            self._outbox.depth(),
        )

    # --- the Sealer, and what it must not do too often ----------------------------------------------------------------

    def _current_sealer(self, directory: Directory, now_ms: int) -> Sealer:
        if self._sealer is None:
            self._sealer = self._make_sealer(directory, self._outbox.sequences())
        elif directory is not self._directory:
            self._sealer.update_directory(directory, now_ms)
        self._directory = directory
        return self._sealer

    def _throw_away(self) -> None:
        self._sealer = None
        self._sealer_used = False
        self._stored_numbers = {}

    def _pause(self, error: UnavailableError, *, used: bool) -> None:
        """Refuse flushes for a while.

        Each instance that reached the wire counts against the receivers' limit of 100 new ones a day (spec 2.1): a disk
        that fails and works in turns must not use them up.
        """
        now = self._clock.monotonic()
        pause = _PAUSE_FIRST
        if used:
            self._instances_lost.append(now)
            while self._instances_lost[0] < now - _DAY:
                self._instances_lost.popleft()
            pause = min(_PAUSE_MOST, _PAUSE_FIRST * 2.0 ** min(20, len(self._instances_lost) - 1))
        self._refused_until = now + pause
        self._refusal = error

    def _check_pause(self) -> None:
        if self._refusal is not None and self._clock.monotonic() < self._refused_until:
            raise type(self._refusal)(self._refusal.message, **self._refusal.details)
