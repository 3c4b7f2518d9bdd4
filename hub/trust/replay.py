"""A router's bounded memory of event ids: one that comes back with another header is an alarm (docs/spec 9.3). Pure.

It is a memory of what this process saw lately, not a proof: a recipient's own store is the last word on what it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.errors import RejectedError
from hub.model import AgencyId, EventId
from hub.wire.limits import EVENT_IDS_KEPT


class EventIdReused(RejectedError):
    """A publisher used an event_id again for another event. Redelivery of the same event is not this."""

    code = "event_id.reused"


class EventIds:
    """Remembers at least the last ``limit`` ids over all publishers, and fewer than three times as many.

    Two generations: when the younger is full, the elder is forgotten. About 0.2 us and 180 bytes an id.
    """

    __slots__ = ("_count", "_elder", "_limit", "_younger")

    def __init__(self, limit: int = EVENT_IDS_KEPT) -> None:
        if limit < 1:
            raise ValueError("a memory of at least one id is wanted")
        self._limit = limit
        self._count = 0
        self._younger: dict[AgencyId, dict[EventId, bytes]] = {}
        self._elder: dict[AgencyId, dict[EventId, bytes]] = {}

    def check(self, publisher: AgencyId, event_ids: Sequence[EventId], header_hashes: Sequence[bytes]) -> None:
        """Remember a verified bundle's events. Raises :class:`EventIdReused`; then nothing of it is remembered."""
        younger = self._younger.setdefault(publisher, {})
        for seen in (younger, self._elder.get(publisher, {})):
            if not seen.keys().isdisjoint(event_ids):
                _compare(publisher, seen, event_ids, header_hashes)
        before = len(younger)
        younger.update(zip(event_ids, header_hashes, strict=True))
        self._count += len(younger) - before
        if self._count >= self._limit:
            self._younger, self._elder, self._count = {}, self._younger, 0

    def __len__(self) -> int:
        return sum(len(ids) for generation in (self._younger, self._elder) for ids in generation.values())


def _compare(
    publisher: AgencyId, seen: Mapping[EventId, bytes], event_ids: Sequence[EventId], header_hashes: Sequence[bytes]
) -> None:
    for event_id, header_hash in zip(event_ids, header_hashes, strict=True):
        if seen.get(event_id, header_hash) != header_hash:
            raise EventIdReused(
                "an event_id came back with another header", publisher=publisher, event_id=event_id.hex()
            )
