"""How long to wait before the next try: doubling, bounded, with jitter so that sites do not come back in step."""

from __future__ import annotations

import random
from typing import Final

_RANDOM: Final = random.SystemRandom()


class Backoff:
    """Seconds: from ``first``, doubled each time, at most ``most``; what is given is 50 to 100 per cent of that."""

    def __init__(self, first: float, most: float) -> None:
        if not 0 < first <= most:
            raise ValueError("0 < first <= most is wanted")
        self._first = first
        self._most = most
        self._next = first

    def next(self) -> float:
        """The next wait."""
        wait = self._next
        self._next = min(self._most, wait * 2)
        return wait * _RANDOM.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: begin anew."""
        self._next = self._first
