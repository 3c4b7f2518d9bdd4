"""What the chaos tests kill: a publisher and a subscriber as processes of their own, forked from one warm server.

A process kills itself (SIGKILL): by a ``Death`` at the n-th time that it comes to a certain step, so that every gap
between two steps is tried; by a ``Moment`` some time after it has got so far, anywhere. Both count what the process
itself has done, not the clock of the test, so it dies on a quick machine as often as on a loaded one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import structlog

from connectors.jsonl_sink import JsonlSink
from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.sqlite_inbox import SqliteInbox
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.adapters.tls import TlsFiles
from hub.client.limits import PublisherLimits, SubscriberLimits
from hub.model import AgencyId, Event
from hub.ports import BusConsumer, BusProducer
from hub.topics import deliver_topic
from hub.trust.directory import DirectoryExpired
from tests.support.authority import NOW_MS, World
from tests.support.file_bus import FileConsumer, FileProducer
from tests.support.samples import catalog
from tests.support.sites import RELEASE, JumpingClock, Net, trace

BATCH = 7
AGAIN = 20
"""A source that starts again goes back so far: what it publishes twice has the same keys."""

Kafka = tuple[str, dict[str, TlsFiles]]
"""Bootstrap address, and each principal's files."""

PUBLISHER, RECIPIENT = AgencyId("KILL-P"), AgencyId("KILL-R")
"""Agencies of these tests alone: on the session's broker nobody else writes to their topics."""


def present(kafka: Kafka | None) -> int:
    """What a process's clock says at its start."""
    return NOW_MS if kafka is None else int(time.time() * 1000)


def make_net(*, now_ms: int = NOW_MS) -> Net:
    """``now_ms``: the present; over Kafka the real one, since a publisher compares its clock with the broker's."""
    world = World.of(PUBLISHER, RECIPIENT, now_ms=now_ms)
    world.agree(PUBLISHER, RECIPIENT, "trace.request")
    return Net(
        world=world,
        clock=JumpingClock(now_ms),
        release=RELEASE.replace("ATF", RECIPIENT).replace("CCGIU", RECIPIENT).replace("RSS", RECIPIENT),
    )


catalog()  # in the server, once


def server() -> ForkServerContext:
    """Children of it start in some milliseconds: everything is imported and loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def event(number: int) -> Event:
    return trace(number)


def arrange_death(target: type, method: str, *, at: int, after: bool) -> None:
    """At its ``at``-th call of ``target.method`` the process is killed: before the call, or when it has returned."""
    real: Callable[..., Any] = getattr(target, method)
    calls = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def count() -> bool:
        nonlocal calls
        calls += 1
        return calls == at

    async def deadly_coroutine(*args: Any, **kwargs: Any) -> Any:
        last = count()
        if last and not after:
            die()
        result = await real(*args, **kwargs)
        if last:
            die()
        return result

    def deadly(*args: Any, **kwargs: Any) -> Any:
        last = count()
        if last and not after:
            die()
        result = real(*args, **kwargs)
        if last:
            die()
        return result

    setattr(target, method, deadly_coroutine if asyncio.iscoroutinefunction(real) else deadly)


Death = tuple[type, str, int, bool]
Moment = tuple[int, float]
"""So many events beyond those of the processes before, and so many seconds more."""


def draw_moment(chance: random.Random) -> Moment:
    """One in four dies while it starts, or soon after."""
    return (0, chance.uniform(0, 0.2)) if chance.random() < 0.25 else (chance.randrange(1, 50), chance.uniform(0, 0.01))


def _prepare(end: Death | Moment | None, reached: Callable[[], int]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    match end:
        case (type() as target, method, at, after):
            arrange_death(target, method, at=at, after=after)
        case (events, seconds):
            threading.Thread(target=_die_at, args=(reached, reached() + events, seconds), daemon=True).start()


def _die_at(reached: Callable[[], int], goal: int, seconds: float) -> None:
    while reached() < goal:
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def publish(folder: Path, total: int, kafka: Kafka | None = None, end: Death | Moment | None = None) -> None:
    """Publishes events 0 to ``total``, from where the last process had got to, and drains."""
    _prepare(end, lambda: _published(folder))
    asyncio.run(_publish(folder, total, kafka))


def publish_without_directory(
    folder: Path, total: int, kafka: Kafka | None = None, end: Death | Moment | None = None
) -> None:
    """The same while no directory is valid: the events wait in the outbox, and nothing is drained."""
    _prepare(end, lambda: _published(folder))
    asyncio.run(_publish(folder, total, kafka, with_directory=False))


def _published(folder: Path) -> int:
    progress = folder / "source.progress"
    return int(progress.read_text()) if progress.exists() else 0


async def _publish(folder: Path, total: int, kafka: Kafka | None, *, with_directory: bool = True) -> None:
    progress = folder / "source.progress"
    begin = max(0, _published(folder) - AGAIN)
    producer: BusProducer = FileProducer(folder)
    if kafka is not None:
        producer = KafkaProducer(kafka[0], kafka[1][PUBLISHER])
    limits = PublisherLimits(
        linger=0.001,
        heartbeat=0.05,
        retry_first=0.01,
        send_records=3,
        held_look=0.01,
        flush_events=2 * BATCH,
        intake_events=4 * BATCH,
        drain=10.0 if with_directory else 0.0,
    )
    outbox = SqliteOutbox(folder / "outbox.sqlite", agency=PUBLISHER)
    net = make_net(now_ms=present(kafka))
    if not with_directory:
        net.directory.given = DirectoryExpired("nobody signed a newer one")
    async with net.publisher(PUBLISHER, outbox=outbox, producer=producer, limits=limits) as publisher:
        for first in range(begin, total, BATCH):
            numbers = range(first, min(total, first + BATCH))
            answers = await publisher.publish_many([(event(number), f"row {number}") for number in numbers])
            if any(isinstance(answer, Exception) or answer.amends for answer in answers):
                raise AssertionError("refused or amended")
            if not with_directory and not all(answer.waiting for answer in answers if not answer.duplicate):
                raise AssertionError("sealed without a directory")
            new = progress.with_suffix(".new")
            new.write_text(str(first + len(numbers)))
            os.replace(new, progress)
        if with_directory:
            await publisher.drain()
    (folder / ("published" if with_directory else "taken")).write_text("all")


def subscribe(folder: Path, total: int, kafka: Kafka | None = None, end: Death | Moment | None = None) -> None:
    """Receives until ``total`` events are in the sink's file and everything is committed."""
    _prepare(end, lambda: count_lines(folder))
    asyncio.run(_subscribe(folder, total, kafka))


async def _subscribe(folder: Path, total: int, kafka: Kafka | None) -> None:
    topic = deliver_topic(RECIPIENT)
    consumer: BusConsumer = FileConsumer(folder, topic)
    if kafka is not None:
        consumer = KafkaConsumer(
            kafka[0], kafka[1][RECIPIENT], group=f"{RECIPIENT}.main", topics=[topic], session_seconds=6.0
        )
    sink = JsonlSink("file", folder / "received.jsonl", None, catalog())
    limits = SubscriberLimits(poll_wait=0.05, batch_records=3, retry_first=0.01)
    inbox = SqliteInbox(folder / "inbox.sqlite", agency=RECIPIENT)
    async with (
        make_net(now_ms=present(kafka)).subscriber(
            sink, agency=RECIPIENT, inbox=inbox, consumer=consumer, limits=limits
        ) as subscriber,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(subscriber.run())
        while count_lines(folder) < total:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        subscriber.stop()
    (folder / "received").write_text("all")


def count_lines(folder: Path) -> int:
    path = folder / "received.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def received_serials(folder: Path) -> list[str]:
    """The serial numbers in the sink's file, in its order."""
    lines = (folder / "received.jsonl").read_text().splitlines()
    return [json.loads(line)["body"]["firearm"]["serial_raw"] for line in lines]


def wanted_serials(total: int) -> list[str]:
    return [event(number).body["firearm"]["serial_raw"] for number in range(total)]
