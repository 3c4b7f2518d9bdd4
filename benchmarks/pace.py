"""An even pace: event numbers released at a rate, or as fast as they are taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


async def paced(events: int, rate: float) -> AsyncIterator[int]:
    """``0 .. events-1``, at ``rate`` events a second; at 0 without waiting. Late ones are not skipped."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(events):
        if rate:
            delay = start + number / rate - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
        yield number
