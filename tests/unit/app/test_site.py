"""hub/app/site.py: a source counts for readiness until it has read all there is."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hub.adapters.clock import SystemClock
from hub.adapters.memory_observer import MemoryObserver
from hub.adapters.progress import ProgressObserver
from hub.app.site import watch_source
from hub.client.publisher import Publisher


class SourceByHand:
    """Ends when it is told."""

    class totals:  # noqa: N801  the port's attribute
        published = duplicates = rejected_rows = 0

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def run(self, publisher: Publisher) -> Any:
        del publisher
        await self.ended.wait()
        return self.totals


async def test_a_source_that_is_stuck_makes_the_site_unready() -> None:
    progress = ProgressObserver(MemoryObserver(), SystemClock(), stale_after=30)
    progress.expect("publisher")
    progress.gauge("cgi_progress_timestamp_seconds", 1.0, worker="publisher")
    source = SourceByHand()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch_source(progress, "inbox", source, cast("Publisher", None)))
        await asyncio.sleep(0)
        assert not progress.ready()
        progress.gauge("cgi_progress_timestamp_seconds", 1.0, worker="inbox")
        assert progress.ready()
        source.ended.set()
    assert list(progress.standing()) == ["publisher"]
