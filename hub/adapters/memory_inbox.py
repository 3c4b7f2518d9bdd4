"""The inbox in memory, for tests and one-process trials. Port and meaning: hub/client/inbox.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hub.client.inbox import InboxCommit, InboxState, OpenGap, RejectedRecord
from hub.client.store import StoreForeign, StoreInUse
from hub.errors import HubError, InvariantError
from hub.model import AgencyId
from hub.trust.sequence import StreamKey


class InboxMemory:
    """What stays when a :class:`MemoryInbox` is closed: the "file" that the next one opens."""

    def __init__(self, agency: AgencyId) -> None:
        self.agency = agency
        self.streams: dict[StreamKey, bytes] = {}
        self.sinks: dict[str, Mapping[str, Any]] = {}
        self.gaps: tuple[OpenGap, ...] = ()
        self.rejected: list[RejectedRecord] = []
        self.owner: object | None = None


class MemoryInbox:
    """``hub.client.inbox.Inbox`` on an :class:`InboxMemory`."""

    def __init__(
        self, memory: InboxMemory, *, agency: AgencyId, rejected_rows: int = 10_000, rejected_bytes: int = 256 * 1024**2
    ) -> None:
        self._memory = memory
        self._agency = agency
        self._rows = rejected_rows
        self._bytes = rejected_bytes
        self._failures: list[HubError] = []

    def fail_commits(self, *errors: HubError) -> None:
        """The next commits raise these, one each, and store nothing."""
        self._failures.extend(errors)

    def open(self) -> None:
        if self._memory.owner is not None:
            raise StoreInUse("another object has this inbox open")
        if self._memory.agency != self._agency:
            raise StoreForeign("the inbox belongs to another agency", found=self._memory.agency, wanted=self._agency)
        self._memory.owner = self

    def close(self) -> None:
        if self._memory.owner is self:
            self._memory.owner = None

    def load(self) -> InboxState:
        memory = self._opened()
        return InboxState(tuple(memory.streams.values()), dict(memory.sinks), memory.gaps)

    def commit(self, transaction: InboxCommit) -> None:
        memory = self._opened()
        if self._failures:
            raise self._failures.pop(0)
        memory.streams.update(transaction.streams)
        # As a file would: what comes back has gone through JSON.
        memory.sinks.update((name, json.loads(json.dumps(dict(state)))) for name, state in transaction.sinks.items())
        if transaction.gaps is not None:
            memory.gaps = tuple(transaction.gaps)
        for settled in transaction.settled:
            self._settle(memory, settled)
        known = {_place(record) for record in memory.rejected}
        memory.rejected += [record for record in transaction.rejected if _place(record) not in known]
        memory.rejected = memory.rejected[-self._rows :]
        size = sum(len(record.raw) for record in memory.rejected)
        for number, record in enumerate(memory.rejected):
            if size <= self._bytes:
                break
            size -= len(record.raw)
            memory.rejected[number] = replace(record, raw=b"")

    def rejected(self, limit: int, *, with_bytes: bool = True) -> Sequence[RejectedRecord]:
        found = self._opened().rejected[: -limit - 1 : -1]
        return found if with_bytes else [replace(record, raw=b"") for record in found]

    def kept_bytes(self, record: RejectedRecord) -> bytes:
        return next((each.raw for each in self._opened().rejected if each.place == record.place and each.raw), b"")

    def _settle(self, memory: InboxMemory, settled: RejectedRecord) -> None:
        raw = self.kept_bytes(settled)
        memory.rejected = [record for record in memory.rejected if _place(record) != _place(settled)]
        if raw and not self.kept_bytes(settled):
            for number, record in enumerate(memory.rejected):
                if record.place == settled.place:
                    memory.rejected[number] = replace(record, raw=raw)
                    break

    def _opened(self) -> InboxMemory:
        if self._memory.owner is not self:
            raise InvariantError("the inbox is not open")
        return self._memory


def _place(record: RejectedRecord) -> tuple[str, int, int, str, str]:
    return record.topic, record.partition, record.offset, record.event_id, record.sink
