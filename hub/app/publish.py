"""One file through a site's Publisher, once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from hub.adapters.found_connectors import RunningSource, SourceTotals, build_source
from hub.app.process import LOOK_SECONDS, served, start_process
from hub.app.site import load_publisher_key, make_publisher, run_source, source_context
from hub.client.publisher import Publisher
from hub.errors import UnavailableError
from hub.settings import ConnectorTable, SiteSettings


@dataclass(frozen=True, slots=True)
class FilePublished:
    """What became of a file: counts of the source, and what still waits in the outbox.

    ``waiting_records`` are sealed and not acknowledged; ``waiting_events`` are not sealed, for want of a directory.
    """

    published: int
    duplicates: int
    rejected_rows: int
    waiting_records: int
    waiting_events: int


async def publish_file(
    settings: SiteSettings,
    source: ConnectorTable,
    *,
    stop: asyncio.Event,
    watch: Callable[[SourceTotals], None],
    drain_seconds: float,
) -> FilePublished:
    """Publish what ``source`` reads, and wait up to ``drain_seconds`` until Kafka has acknowledged all of it.

    ``watch`` is called now and then with the counts so far. What waits in the end is durable, and sent by the next
    start of the site. ``stop`` ends the reading early. Raises as :func:`run_site` does.
    """
    signing = load_publisher_key(settings)
    process = start_process(settings, "publish")
    with suppress(UnavailableError):  # the newest directory decides, where it can be had now
        await process.directory.fetch()
    # Without a position from before: the whole file is looked at, and what was published before is counted as such.
    context = replace(source_context(process, settings, source), state=settings.state / "publish")
    shutil.rmtree(context.state, ignore_errors=True)
    reading = build_source(source, context)
    process.progress.expect("publisher")
    async with (
        served(process, settings, "publish", signing=signing),
        make_publisher(process, settings, signing, drain=0) as publisher,
    ):
        process.state.tell("publisher", publisher.state)
        await _read_all(reading, publisher, stop, watch, source.label)
        with suppress(TimeoutError):  # what waits is counted below
            async with asyncio.timeout(drain_seconds):
                await publisher.drain()
        totals, depth = reading.totals, publisher.progress().depth
    return FilePublished(totals.published, totals.duplicates, totals.rejected_rows, depth.records, depth.waiting)


async def _read_all(
    reading: RunningSource,
    publisher: Publisher,
    stop: asyncio.Event,
    watch: Callable[[SourceTotals], None],
    label: str,
) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run_source(label, reading, publisher))
        while not running.done() and not stop.is_set():
            await asyncio.wait([running], timeout=LOOK_SECONDS)
            watch(reading.totals)
        running.cancel()
