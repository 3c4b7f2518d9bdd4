"""This site's clock against the broker's, by the append times of its own acknowledged records. docs/adr/0097.

A flush whose time is more than 5 minutes ahead is refused by the hub (spec 2.1), and its publisher hears nothing of it.
So it looks for itself, and seals nothing while it knows that its clock is far ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hub.errors import UnavailableError
from hub.ports import Clock

SAID_MS: Final = 60_000
"""A difference that is told in the log."""
AHEAD_MS: Final = 240_000
"""So far ahead nothing is sealed (spec 12.8): a minute below what is refused, for brokers and routers differ too."""
_TRUSTED_S: Final = 3_600.0
"""How long one acknowledgement says anything: a machine that slept has lost count of the time since."""


class ClockAhead(UnavailableError):
    """This machine's clock is far ahead of the broker's: set it right. What would be sealed now would be refused."""

    code = "clock.ahead"


@dataclass(frozen=True, slots=True)
class _Seen:
    """At one acknowledgement: how far ahead we were, and what both of our clocks said."""

    ahead_ms: int
    now_ms: int
    monotonic: float


class ClockWatch:
    """Not for several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: _Seen | None = None

    def acknowledged(self, appended_ms: int, *, began: float) -> None:
        """The broker appended at ``appended_ms`` (its clock) what was sent at ``began`` (our monotonic clock) or later.

        Of all differences that the time on the way leaves possible, the least is taken.
        """
        now_ms, monotonic = self._clock.now_ms(), self._clock.monotonic()
        on_the_way = int((monotonic - began) * 1000)
        most = now_ms - appended_ms
        least = most - on_the_way
        ahead_ms = least if least > 0 else min(most, 0)
        self._seen = _Seen(ahead_ms, now_ms, monotonic)

    def ahead_ms(self) -> int | None:
        """How far ahead of the broker's this clock is now; below 0: behind. None where nothing recent says it.

        A clock that was set since shows at once: it moved by another amount than the monotonic one.
        """
        seen = self._seen
        if seen is None:
            return None
        passed = self._clock.monotonic() - seen.monotonic
        if passed > _TRUSTED_S:
            return None
        return seen.ahead_ms + (self._clock.now_ms() - seen.now_ms) - int(passed * 1000)

    def check(self) -> None:
        """Raises :class:`ClockAhead` where this clock is known to be too far ahead to seal anything."""
        ahead_ms = self.ahead_ms()
        if ahead_ms is not None and ahead_ms > AHEAD_MS:
            raise ClockAhead(
                "this machine's clock is far ahead of the broker's: what it seals would be refused",
                seconds_ahead=ahead_ms // 1000,
                at_most=AHEAD_MS // 1000,
            )
