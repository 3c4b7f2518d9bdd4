"""The outbox in memory, for tests and one-process trials. Port and meaning: hub/client/outbox.py."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from hub.client.outbox import (
    REFUSED_KEPT,
    Depth,
    LateRefusal,
    OutboxCommit,
    SourceKey,
    StoredRecord,
    WaitingEvent,
)
from hub.client.store import StoreForeign, StoreFull, StoreInUse
from hub.errors import HubError, InvariantError
from hub.model import AgencyId, EventId


class OutboxMemory:
    """What stays when a :class:`MemoryOutbox` is closed: the "file" that the next one opens."""

    def __init__(self, agency: AgencyId) -> None:
        self.agency = agency
        self.salt = os.urandom(16)
        self.records: list[StoredRecord] = []
        self.sequences: dict[AgencyId, tuple[bytes, int]] = {}
        self.keys: dict[bytes, SourceKey] = {}
        self.waiting: list[WaitingEvent] = []
        self.refused: dict[EventId, LateRefusal] = {}
        self.position = 0
        self.owner: object | None = None


class MemoryOutbox:
    """``hub.client.outbox.Outbox`` on an :class:`OutboxMemory`; ``StoreFull`` beyond ``max_bytes`` of records."""

    def __init__(self, memory: OutboxMemory, *, agency: AgencyId, max_bytes: int | None = None) -> None:
        self._memory = memory
        self._agency = agency
        self._max_bytes = max_bytes
        self._failures: list[HubError] = []

    def fail_commits(self, *errors: HubError) -> None:
        """The next commits raise these, one each, and store nothing."""
        self._failures.extend(errors)

    def open(self) -> None:
        if self._memory.owner is not None:
            raise StoreInUse("another object has this outbox open")
        if self._memory.agency != self._agency:
            raise StoreForeign("the outbox belongs to another agency", found=self._memory.agency, wanted=self._agency)
        self._memory.owner = self

    def close(self) -> None:
        if self._memory.owner is self:
            self._memory.owner = None

    def salt(self) -> bytes:
        return self._opened().salt

    def sequences(self) -> Mapping[AgencyId, tuple[bytes, int]]:
        return dict(self._opened().sequences)

    def find_keys(self, keys: Collection[bytes]) -> Mapping[bytes, SourceKey]:
        known = self._opened().keys
        return {key: known[key] for key in keys if key in known}

    def commit(self, transaction: OutboxCommit) -> None:
        memory = self._opened()
        if self._failures:
            raise self._failures.pop(0)
        kept = [waiting for waiting in memory.waiting if waiting.position > transaction.sealed_through]
        values = [record.value for record in transaction.records]
        values += [waiting.value for waiting in (*kept, *transaction.waiting)]
        size = sum(map(len, values)) + self.depth().bytes
        if self._max_bytes is not None and size > self._max_bytes:
            raise StoreFull("no space left for the outbox")
        memory.waiting = kept
        for waiting in transaction.waiting:
            memory.position += 1
            memory.waiting.append(replace(waiting, position=memory.position, stored_at_ms=transaction.now_ms))
        for refusal in transaction.refused:
            memory.refused.setdefault(refusal.event_id, refusal)
        while len(memory.refused) > REFUSED_KEPT:
            del memory.refused[next(iter(memory.refused))]
        for new in transaction.records:
            memory.position += 1
            memory.records.append(
                StoredRecord(memory.position, new.key, new.value, new.events, new.event_type, transaction.now_ms)
            )
        memory.sequences.update(
            (recipient, (transaction.instance, number)) for recipient, number in transaction.sequences.items()
        )
        memory.keys.update((key.key, key) for key in transaction.keys)

    def read(self, *, max_records: int, max_bytes: int) -> Sequence[StoredRecord]:
        taken: list[StoredRecord] = []
        size = 0
        for record in self._opened().records[:max_records]:
            size += len(record.value)
            if taken and size > max_bytes:
                break
            taken.append(record)
        return taken

    def acknowledge(self, through: int) -> None:
        memory = self._opened()
        memory.records = [record for record in memory.records if record.position > through]

    def read_waiting(self, *, max_events: int, max_bytes: int) -> Sequence[WaitingEvent]:
        taken: list[WaitingEvent] = []
        size = 0
        for waiting in self._opened().waiting[:max_events]:
            size += len(waiting.value)
            if taken and size > max_bytes:
                break
            taken.append(waiting)
        return taken

    def find_waiting(self, keys: Collection[bytes]) -> Mapping[bytes, WaitingEvent]:
        wanted = set(keys)
        return {w.key: replace(w, value=b"") for w in self._opened().waiting if w.key is not None and w.key in wanted}

    def refused(self, limit: int) -> Sequence[LateRefusal]:
        return list(reversed(self._opened().refused.values()))[:limit]

    def depth(self) -> Depth:
        records, waiting = self._opened().records, self._opened().waiting
        return Depth(
            len(records),
            sum(record.events for record in records),
            sum(len(record.value) for record in records),
            records[0].stored_at_ms if records else None,
            len(waiting),
            sum(len(one.value) for one in waiting),
            waiting[0].stored_at_ms if waiting else None,
        )

    def forget_keys(self, before_ms: int) -> int:
        memory = self._opened()
        old = [key for key, entry in memory.keys.items() if entry.published_at_ms < before_ms]
        for key in old:
            del memory.keys[key]
        return len(old)

    def _opened(self) -> OutboxMemory:
        if self._memory.owner is not self:
            raise InvariantError("the outbox is not open")
        return self._memory
