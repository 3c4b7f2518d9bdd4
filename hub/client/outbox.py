"""The outbox port: the durable local queue of sealed records, the sequence numbers, and the sources' keys.

The three change together or not at all: a record without its numbers would be sent twice under two of them, numbers
without their record would be a hole that every recipient reports, a key without its event would lose the event.

All methods are synchronous and are called from one thread, in this order: :meth:`Outbox.open`, then any, then
:meth:`Outbox.close`. Adapters: hub/adapters/sqlite_outbox.py and memory_outbox.py. Contract:
tests/contract/test_outbox.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.model import AgencyId, EventId


@dataclass(frozen=True, slots=True)
class SourceKey:
    """What is remembered of an event that its source named with a key of its own.

    ``key`` and ``content`` are 16-byte digests (:func:`digest`), so that no case number stands in the file.
    """

    key: bytes
    content: bytes
    event_id: EventId
    published_at_ms: int
    correlation_id: bytes
    handling: str
    """The label's text: an amendment may be stricter, never looser."""
    recipients: tuple[AgencyId, ...]


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A sealed record on its way into the outbox. ``events`` is how many events it holds (0: a heartbeat)."""

    key: bytes
    value: bytes
    events: int
    event_type: str


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record that waits. ``position`` grows with every record that was ever stored, and is never used again."""

    position: int
    key: bytes
    value: bytes
    events: int
    event_type: str
    stored_at_ms: int


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits. ``oldest_ms`` is when the oldest waiting record was stored; None when nothing waits."""

    records: int
    events: int
    bytes: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class OutboxCommit:
    """One transaction: a flush's records, each recipient's last number in ``instance``, and the keys of its events."""

    instance: bytes
    records: Sequence[NewRecord]
    sequences: Mapping[AgencyId, int]
    keys: Sequence[SourceKey]
    now_ms: int


class Outbox(Protocol):
    """See the module. Every method may raise ``StoreUnavailable``; after it, what was stored before still is."""

    def open(self) -> None:
        """Take it for this process. Raises ``StoreInUse``, ``StoreForeign``, ``StoreCorrupt``."""

    def close(self) -> None:
        """Give it back. What waits stays. Closing twice is no error."""

    def salt(self) -> bytes:
        """16 random bytes, made with the outbox: they go into every :func:`digest`."""

    def sequences(self) -> Mapping[AgencyId, tuple[bytes, int]]:
        """For each recipient that was ever written to, the last instance and the last number in it."""

    def find_keys(self, keys: Collection[bytes]) -> Mapping[bytes, SourceKey]:
        """Those of ``keys`` that are known."""

    def commit(self, transaction: OutboxCommit) -> None:
        """Store all of it, durable on return (fsync). Raises ``StoreFull``, ``StoreUnavailable``: none of it is."""

    def read(self, *, max_records: int, max_bytes: int) -> Sequence[StoredRecord]:
        """The oldest that wait, in the order in which they were stored; at least one, if any, whatever its size."""

    def acknowledge(self, through: int) -> None:
        """Delete up to and with this position. Need not be durable: what comes back is sent twice, and dropped."""

    def depth(self) -> Depth:
        """What waits now."""

    def forget_keys(self, before_ms: int) -> int:
        """Forget the keys of events published before; says how many. Their sources' rows would be new events."""


def digest(salt: bytes, *items: bytes) -> bytes:
    """16 bytes of BLAKE2b over ``lp(items)``, keyed with the outbox's salt."""
    framed = b"".join([part for item in items for part in (len(item).to_bytes(4, "big"), item)])
    return hashlib.blake2b(framed, key=salt, digest_size=16).digest()
