"""The one thread that a store's file is used from: SQLite connections stay on their thread, and the loop stays free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


class StoreThread:
    """Runs steps one after the other, off the loop."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, step: Callable[[], _T]) -> _T:
        """The result of ``step``. One that has begun is brought to its end, also when its waiter is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, step)

    def stop(self) -> None:
        """After the steps that were given; the thread ends."""
        self._pool.shutdown()
