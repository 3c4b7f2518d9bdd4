"""A condition variable for one event loop: wait for the next change, whatever it is, and look again."""

from __future__ import annotations

import asyncio


class Changes:
    """``while not what_is_wanted: await changes.next()``. No await may stand between the look and the wait."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def next(self) -> None:
        """Returns at the first :meth:`notify` after this call."""
        await self._event.wait()

    def notify(self) -> None:
        """Wake all that wait."""
        event, self._event = self._event, asyncio.Event()
        event.set()
