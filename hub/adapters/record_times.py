"""When a record was written, from its offset, without reading it.

Kafka answers the other question: the first record at or after a time (ListOffsets). Times on our topics are the
broker's own (``message.timestamp.type: LogAppendTime``), so they rise with the offsets and can be searched: back from
now in steps that double, then by halves. What was found is kept until the offset asked for is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hub.ports import Position

Answer = tuple[int, int]
"""Offset and time (ms since 1970) of the first record at or after a time; offset -1: there is none."""

Ask = Callable[[Mapping[Position, int]], Mapping[Position, Answer]]
"""A time for each partition; a partition that did not answer is left out."""

_STEP_MS: Final = 1_000
_PART: Final = 50
"""A found age is too long by at most a second or a fiftieth of itself."""
_KEPT: Final = 10_000


@dataclass(slots=True)
class _Search:
    """For one offset: the record is not older than ``low`` and older than ``high``."""

    position: Position
    offset: int
    low: int
    high: int
    step: int = _STEP_MS
    low_is_known: bool = False
    done: bool = False

    def next_time(self) -> int:
        """The time to ask for next."""
        if not self.low_is_known:
            return self.low
        if self.step:
            return max(self.low, self.high - self.step)
        return (self.low + self.high) // 2

    def learn(self, asked: int, answer: Answer, now_ms: int) -> None:
        """Take what Kafka said to :meth:`next_time`."""
        offset, time = answer
        if not self.low_is_known:
            self.low_is_known = True
            if offset < 0:  # the partition is empty by now: nothing of it waits
                self.low = now_ms
                self.done = True
            else:
                self.low = time
                self.done = offset >= self.offset  # what was asked for is the first, or deleted since
            return
        if offset == self.offset:
            self.low, self.done = time, True
            return
        if 0 <= offset < self.offset:
            self.low = max(self.low, time)
            self.step = 0
        else:
            self.high = asked
            self.step = 0 if asked <= self.low else self.step * 2
        self.done = self.high - self.low <= max(_STEP_MS, (now_ms - self.low) // _PART)


class RecordTimes:
    """Remembers what it found. Not for two threads at once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Position, int], int] = {}

    def find(
        self, wanted: Mapping[Position, frozenset[int]], ask: Ask, *, now_ms: int
    ) -> dict[tuple[Position, int], int]:
        """The times (ms since 1970) of the records at the ``wanted`` offsets. A partition that does not answer is left
        out, and so is an offset for which it did not answer to the end."""
        kept: dict[tuple[Position, int], int] = {}
        searches: list[_Search] = []
        for position, offsets in wanted.items():
            for offset in sorted(offsets):
                if (position, offset) in self._found:
                    kept[position, offset] = self._found[position, offset]
                else:
                    searches.append(_Search(position, offset, low=0, high=now_ms + 1))
        while searches:
            turn: dict[Position, _Search] = {}
            for search in searches:
                turn.setdefault(search.position, search)  # Kafka takes one time for each partition at once
            asked = {position: search.next_time() for position, search in turn.items()}
            answers = ask(asked)
            silent = {id(search) for position, search in turn.items() if position not in answers}
            for position, answer in answers.items():
                turn[position].learn(asked[position], answer, now_ms)
            kept |= {(search.position, search.offset): search.low for search in searches if search.done}
            searches = [search for search in searches if not search.done and id(search) not in silent]
        self._found = dict(list(kept.items())[-_KEPT:])
        return kept
