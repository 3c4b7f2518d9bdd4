"""The inbox port: what a subscriber remembers: numbers and gaps, its sinks' states, and what it refused.

They change together or not at all: marks without the sink's state would lose what a crash cut off, a state without the
marks would write events twice. Synchronous, from one thread: :meth:`Inbox.open`, then any, then :meth:`Inbox.close`.
Adapters: hub/adapters/sqlite_inbox.py and memory_inbox.py. Contract: tests/contract/test_inbox.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hub.model import AgencyId
from hub.trust.sequence import StreamKey


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record, one event of it, or one event at one sink, that was refused. ``raw`` is the record's value, sealed.

    Of several events of one record the first has its bytes. ``publisher`` is empty where the record does not prove one,
    ``event_id`` (hex) where it is about the whole record, ``sink`` where no sink refused it.
    """

    topic: str
    partition: int
    offset: int
    publisher: str
    event_id: str
    sink: str
    code: str
    reason: str
    at_ms: int
    raw: bytes
    appended_ms: int | None = None
    """When the broker appended it first, as far as that is known: reading it again asks by this time (spec 12.3)."""

    @property
    def place(self) -> str:
        """Where it came from: ``deliver.ATF/0/17``."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def id(self) -> str:
        """A short name that a person can type: of the place, the event and the sink, so it never changes."""
        return hashlib.sha256(f"{self.place} {self.event_id} {self.sink}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class OpenGap:
    """An unexplained gap, with the time when it was first seen, and whether it was reported."""

    publisher: AgencyId
    instance: bytes
    first: int
    last: int
    seen_ms: int
    reported: bool


@dataclass(frozen=True, slots=True)
class InboxState:
    """Everything that a start needs. ``streams`` are rows for ``Streams.from_state``."""

    streams: Sequence[bytes]
    sinks: Mapping[str, Mapping[str, Any]]
    gaps: Sequence[OpenGap]


@dataclass(frozen=True, slots=True)
class InboxCommit:
    """One transaction. ``gaps`` replaces all that were stored; None leaves them. ``settled`` are rejected no longer."""

    streams: Mapping[StreamKey, bytes]
    sinks: Mapping[str, Mapping[str, Any]]
    rejected: Sequence[RejectedRecord] = ()
    gaps: Sequence[OpenGap] | None = None
    settled: Sequence[RejectedRecord] = ()


class Inbox(Protocol):
    """See the module. Every method may raise ``StoreUnavailable``; after it, what was stored before still is."""

    def open(self) -> None:
        """Take it for this process. Raises ``StoreInUse``, ``StoreForeign``, ``StoreCorrupt``."""

    def close(self) -> None:
        """Give it back. Closing twice is no error."""

    def load(self) -> InboxState:
        """What was stored last."""

    def commit(self, transaction: InboxCommit) -> None:
        """Store all of it, durable on return (fsync). Raises ``StoreFull``, ``StoreUnavailable``: none of it is.

        A rejected record that is there already (same place, event and sink) is left as it is. Of rejected records only
        the newest are kept, as far as the bounds that the inbox was made with go: first the bytes of the oldest are
        let go, then their rows.

        What is ``settled`` goes first. Where it had the bytes of its record and others of that record have none, the
        oldest of them gets the bytes.
        """

    def rejected(self, limit: int, *, with_bytes: bool = True) -> Sequence[RejectedRecord]:
        """The newest, newest first. ``raw`` is empty where another of the record has the bytes, or they were let go."""

    def kept_bytes(self, record: RejectedRecord) -> bytes:
        """The record's value, whichever of its entries has it; empty where it was let go."""
