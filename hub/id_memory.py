"""Sees an event id come back with another header: two events under one name, which a faithful publisher never makes.

Bounded, in memory, of one router: it raises an alarm and decides nothing. What it forgets is the recipients' to see.
"""

from __future__ import annotations

from collections.abc import Iterable

from hub.model import AgencyId

_Ids = dict[tuple[AgencyId, bytes], bytes]


class IdMemory:
    """The last ``limit`` to ``limit`` / 2 event ids, each with the hash of its header (32 bytes). 0: none."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._now: _Ids = {}
        self._before: _Ids = {}

    def count_reused(self, publisher: AgencyId, ids: Iterable[bytes], hashes: Iterable[bytes]) -> int:
        """How many of ``ids`` are known with another hash; remembers those that are new."""
        if not self._half:
            return 0
        reused = 0
        now, before = self._now, self._before
        for event_id, digest in zip(ids, hashes, strict=True):
            name = (publisher, event_id)
            known = now.get(name) or before.get(name)
            if known is None:
                now[name] = digest
            elif known != digest:
                reused += 1
        if len(now) >= self._half:
            self._now, self._before = {}, now
        return reused

    def __len__(self) -> int:
        return len(self._now) + len(self._before)
