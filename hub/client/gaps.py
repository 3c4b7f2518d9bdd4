"""How long gaps have stood open, and which are due to be reported. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.client.inbox import OpenGap
from hub.trust.sequence import Gap, StreamKey


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. ``changed``: ``gaps`` is not what is stored. ``due``: to be reported now, once."""

    gaps: tuple[OpenGap, ...]
    changed: bool
    due: tuple[OpenGap, ...]
    explained: tuple[Gap, ...]


class GapWatch:
    """Remembers since when each unexplained number is missing. ``known`` is what was stored at the last stop."""

    def __init__(self, known: Sequence[OpenGap], *, grace_ms: int) -> None:
        self._known = tuple(known)
        self._grace_ms = grace_ms

    @property
    def open(self) -> bool:
        """Whether any unexplained gap is open."""
        return bool(self._known)

    def look(self, gaps: Iterable[Gap], now_ms: int) -> Look:
        """``gaps`` are all that are open now, explained or not.

        A part of a known gap (one that was filled in the middle) is as old as that gap, and reported if it was.
        """
        before: dict[StreamKey, list[OpenGap]] = defaultdict(list)
        for known in self._known:
            before[known.publisher, known.instance].append(known)
        open_now: list[OpenGap] = []
        due: list[OpenGap] = []
        explained: list[Gap] = []
        for gap in gaps:
            if gap.reason:
                explained.append(gap)
                continue
            older = [
                known
                for known in before[gap.publisher, gap.instance]
                if known.first <= gap.last and gap.first <= known.last
            ]
            seen_ms = min((known.seen_ms for known in older), default=now_ms)
            reported = any(known.reported for known in older)
            report = not reported and now_ms - seen_ms >= self._grace_ms
            entry = OpenGap(gap.publisher, gap.instance, gap.first, gap.last, seen_ms, reported or report)
            open_now.append(entry)
            if report:
                due.append(entry)
        found = tuple(sorted(open_now, key=lambda gap: (gap.publisher, gap.instance, gap.first)))
        changed = found != self._known
        self._known = found
        return Look(found, changed, tuple(due), tuple(explained))
