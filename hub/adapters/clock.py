"""The machine's own clock."""

from __future__ import annotations

import time


class SystemClock:
    """Implements ``hub.ports.Clock``."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()
