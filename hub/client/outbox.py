"""The outbox port: the durable local queue of sealed records, the sequence numbers, and the sources' keys.

Before them, where nothing can be sealed now (no valid directory), the events that wait to be, in the clear.

These change together or not at all: a record without its numbers would be sent twice under two of them, numbers
without their record would be a hole that every recipient reports, a key without its event would lose the event.

All methods are synchronous and are called from one thread, in this order: :meth:`Outbox.open`, then any, then
:meth:`Outbox.close`. Adapters: hub/adapters/sqlite_outbox.py and memory_outbox.py. Contract:
tests/contract/test_outbox.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from hub.model import AgencyId, EventId

REFUSED_KEPT: Final = 10_000
"""Late refusals that an outbox keeps."""


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
class WaitingEvent:
    """An event that was taken and cannot be sealed yet. ``value`` is its content (hub/client/waiting.py).

    ``key`` and ``content`` as in :class:`SourceKey`; no key: None. ``position`` and ``stored_at_ms`` are the outbox's.
    """

    event_id: EventId
    published_at_ms: int
    event_type: str
    handling: str
    key: bytes | None
    content: bytes
    value: bytes = field(repr=False)
    position: int = 0
    stored_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class LateRefusal:
    """What stays of an event that was taken, and then refused when it was to be sealed: no content but its key."""

    event_id: EventId
    event_type: str
    source_key: str
    code: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits. ``oldest_ms`` is when the oldest waiting record was stored; None when nothing waits.

    ``waiting`` counts the events that are not sealed yet; ``waiting_bytes`` and ``waiting_oldest_ms`` are theirs.
    """

    records: int
    events: int
    bytes: int
    oldest_ms: int | None
    waiting: int = 0
    waiting_bytes: int = 0
    waiting_oldest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class OutboxCommit:
    """One transaction: a flush's records, each recipient's last number in ``instance``, and the keys of its events.

    ``waiting`` are events to be sealed later. ``sealed_through``: the waiting ones up to and with this position are
    sealed now, or refused (``refused``), and leave no trace of their content.
    """

    instance: bytes
    records: Sequence[NewRecord]
    sequences: Mapping[AgencyId, int]
    keys: Sequence[SourceKey]
    now_ms: int
    waiting: Sequence[WaitingEvent] = ()
    sealed_through: int = 0
    refused: Sequence[LateRefusal] = ()


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

    def read_waiting(self, *, max_events: int, max_bytes: int) -> Sequence[WaitingEvent]:
        """The oldest that wait unsealed, in the order in which they were taken; at least one, if any."""

    def find_waiting(self, keys: Collection[bytes]) -> Mapping[bytes, WaitingEvent]:
        """For each of ``keys`` the last event that waits under it, without its ``value``."""

    def refused(self, limit: int) -> Sequence[LateRefusal]:
        """The newest late refusals, newest first. Only the newest :data:`REFUSED_KEPT` are kept, each event once."""

    def depth(self) -> Depth:
        """What waits now."""

    def forget_keys(self, before_ms: int) -> int:
        """Forget the keys of events published before; says how many. Their sources' rows would be new events."""


def digest(salt: bytes, *items: bytes) -> bytes:
    """16 bytes of BLAKE2b over ``lp(items)``, keyed with the outbox's salt."""
    framed = b"".join([part for item in items for part in (len(item).to_bytes(4, "big"), item)])
    return hashlib.blake2b(framed, key=salt, digest_size=16).digest()
