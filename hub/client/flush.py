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

from hub.client.outbox import Depth, NewRecord, Outbox, OutboxCommit, SourceKey, StoredRecord
from hub.client.prepare import Prepared
from hub.client.published import EventIdRepeated, Published
from hub.client.store import StoreFull, StoreUnavailable
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

    def write(self, events: Sequence[Prepared], *, directory: Directory, now_ms: int) -> Written:
        """Seal and store. On return every ``Published`` is durable.

        Raises ``UnavailableError``: none of it is stored, and the next call begins a new instance.
        """
        self._check_pause()
        try:
            plan = self._plan(events)
            if not plan.lanes:
                return Written(tuple(plan.outcomes), (), 0.0, self._outbox.depth())
            began = time.perf_counter()
            sealed = self._seal(plan, directory, now_ms)
            seconds = time.perf_counter() - began
            records = self._store(sealed, plan, now_ms)
        except RejectedError as error:
            return self._write_apart(events, error, directory, now_ms)
        sizes = tuple((record.events, len(record.value)) for record in records)
        return Written(tuple(plan.outcomes), sizes, seconds, self._outbox.depth())

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
                plan.outcomes.append(
                    Published(earlier.event_id, earlier.published_at_ms, earlier.recipients, duplicate=True)
                )
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

    def _store(self, sealed: SealedFlush, plan: _Plan, now_ms: int) -> Sequence[NewRecord]:
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
            self._outbox.commit(OutboxCommit(records[0].key, records, changed, tuple(plan.keys.values()), now_ms))
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
        self, events: Sequence[Prepared], error: RejectedError, directory: Directory, now_ms: int
    ) -> Written:
        """The Sealer refused something in the flush: each event on its own, so that only the culprit is refused."""
        if len(events) == 1:
            return Written((error,), (), 0.0, self._outbox.depth())
        parts = [self.write([prepared], directory=directory, now_ms=now_ms) for prepared in events]
        return Written(
            tuple(outcome for part in parts for outcome in part.outcomes),
            tuple(bundle for part in parts for bundle in part.bundles),
            sum(part.seal_seconds for part in parts),
            parts[-1].depth,
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
