"""Ours: a site's Publisher with its real outbox, policy and sealing; the router; Subscribers with real inboxes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from benchmarks.pace import paced
from benchmarks.result import StageResult, measured
from benchmarks.world import World
from hub.adapters.clock import SystemClock
from hub.adapters.directory_files import open_files
from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.sqlite_inbox import SqliteInbox
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.adapters.tuf_reader import TufDirectory, load_root_bytes
from hub.client.limits import PublisherLimits, SubscriberLimits
from hub.client.published import Published
from hub.client.publisher import Publisher
from hub.client.receive import UnsafeEverything
from hub.client.subscriber import Subscriber
from hub.model import HUB, AgencyId, Decision, Event, OpenedEvent, Route
from hub.policy.decide import ReleasePolicy
from hub.policy.release import load_release
from hub.ports import IncomingRecord
from hub.router import Router, RouterLimits
from hub.routing import Routed
from hub.topics import consumer_group, deliver_topic

_CHUNK = 512


class _Counter:
    """An Observer that counts events by outcome: says when a worker has begun, and when enough are there."""

    def __init__(self, outcome: str, wanted: int, enough: asyncio.Event) -> None:
        self._outcome, self._wanted, self._enough = outcome, wanted, enough
        self._loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()
        self.count = 0.0
        self.bytes = 0.0

    def increment(self, name: str, amount: float = 1, /, **labels: str) -> None:
        if name == "cgi_events_total" and labels["outcome"] == self._outcome:
            self.count += amount
            if self.count >= self._wanted:
                self._loop.call_soon_threadsafe(self._enough.set)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        if name == "cgi_bundle_bytes":
            self.bytes += value

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        if name == "cgi_progress_timestamp_seconds":
            self._loop.call_soon_threadsafe(self.begun.set)


class _Arrivals:
    """A sink that counts what arrives, and how old it is."""

    name = "arrivals"

    def __init__(self, wanted: int, result: StageResult) -> None:
        self._wanted, self._result = wanted, result
        self.enough = asyncio.Event()
        self._count = 0

    async def open(self, state: Mapping[str, Any] | None) -> None:
        """It keeps nothing."""

    async def write(self, events: Sequence[OpenedEvent]) -> None:
        now = time.time() * 1000
        self._result.latencies_ms += [now - event.published_at_ms for event in events]
        self._count += len(events)
        if self._count >= self._wanted:
            self.enough.set()

    async def close(self) -> None:
        """It holds nothing."""


class AllAsked:
    """Subscriptions of recipients that asked for everything."""

    def decide_labels(self, recipient: AgencyId, publisher: AgencyId, route: Route) -> Decision:
        return Decision(True, "subscription.matched", "benchmark")


class _NoNotices:
    """Here everything is delivered; a denial is a fault of the benchmark."""

    async def tell(self, routed: Sequence[Routed]) -> None:
        if any(one.denials for one in routed):
            raise RuntimeError("the benchmark's world denies something")


class _Gated(KafkaConsumer):
    """A consumer that has joined its group and gives nothing until ``gate`` is set: nothing is done unmeasured."""

    gate: asyncio.Event

    async def poll(self, *, max_records: int, wait: float) -> Sequence[IncomingRecord]:
        if not self.gate.is_set():
            await asyncio.sleep(wait)
            return ()
        return await super().poll(max_records=max_records, wait=wait)


def _directory(world: World, who: str) -> TufDirectory:
    directory = TufDirectory(
        open_files(world.folder / "directory.json"),
        root=load_root_bytes(world.folder / "root.json"),
        folder=world.folder / f"directory-{world.run}-{who}",
        clock=SystemClock(),
    )
    directory.refresh()
    return directory


def _publisher(world: World, observer: _Counter) -> Publisher:
    release = load_release(world.folder / "release.yaml", world.catalog)
    return Publisher(
        agency=world.publisher,
        hub=HUB,
        signing_key=world.authority().keys[world.publisher].signing,
        catalog=world.catalog,
        policy=ReleasePolicy(release, world.publisher),
        directory=_directory(world, "publisher"),
        outbox=SqliteOutbox(world.folder / f"outbox-{world.run}.db", agency=world.publisher),
        producer=KafkaProducer(world.bootstrap, world.tls[world.publisher]),
        clock=SystemClock(),
        observer=observer,
        limits=PublisherLimits(flush_events=world.flush_events),
    )


async def publish(world: World, events: int, rate: float) -> AsyncIterator[StageResult | None]:
    """At a rate: each event by itself. Without: as a source connector does, in chunks, with keys."""
    observer = _Counter("published", events, asyncio.Event())
    async with _publisher(world, observer) as publisher:
        yield None
        with measured("publish", events) as result:
            if rate:
                await _one_by_one(world, publisher, events, rate)
            else:
                await _in_chunks(world, publisher, events)
            await publisher.drain()
            result.bytes = int(observer.bytes)
        yield result


async def _one_by_one(world: World, publisher: Publisher, events: int, rate: float) -> None:
    async with asyncio.TaskGroup() as group:
        async for number in paced(events, rate):
            group.create_task(publisher.publish(world.event(number), key=f"{world.run}:{number}"))


async def _in_chunks(world: World, publisher: Publisher, events: int) -> None:
    gate = asyncio.Semaphore(3)

    async def publish_chunk(start: int) -> None:
        chunk: list[tuple[Event, str | None]] = [
            (world.event(number), f"{world.run}:{number}") for number in range(start, min(start + _CHUNK, events))
        ]
        try:
            outcomes = await publisher.publish_many(chunk)
        finally:
            gate.release()
        for outcome in outcomes:
            if not isinstance(outcome, Published):
                raise outcome

    async with asyncio.TaskGroup() as group:
        for start in range(0, events, _CHUNK):
            await gate.acquire()
            group.create_task(publish_chunk(start))


async def route(world: World, events: int, rate: float) -> AsyncIterator[StageResult | None]:
    """The router, until everything is routed and committed."""
    stop = asyncio.Event()
    observer = _Counter("routed", events, stop)
    consumer = _Gated(world.bootstrap, world.tls[HUB], pattern=r"ingest\..*", group="hub.router")
    consumer.gate = asyncio.Event()
    router = Router(
        name="bench",
        hub=HUB,
        consumer=consumer,
        producer=KafkaProducer(world.bootstrap, world.tls[HUB]),
        directory=_directory(world, "router"),
        subscriptions=AllAsked(),
        notices=_NoNotices(),
        clock=SystemClock(),
        observer=observer,
        limits=RouterLimits(poll_wait=0.05),
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(router.run(stop))
        await observer.begun.wait()
        yield None
        with measured("route", events) as result:
            consumer.gate.set()
            await running
            result.bytes = int(observer.bytes)
        yield result


async def receive(world: World, events: int, rate: float, agency: str) -> AsyncIterator[StageResult | None]:
    """A Subscriber with its inbox on disk."""
    name = AgencyId(agency)
    result = StageResult("receive", events)
    sink = _Arrivals(events, result)
    observer = _Counter("written", events, asyncio.Event())
    consumer = _Gated(
        world.bootstrap,
        world.tls[name],
        topics=[deliver_topic(name)],
        group=consumer_group(name, "bench"),
    )
    consumer.gate = asyncio.Event()
    keys = world.authority().keys[name]
    subscriber = Subscriber(
        agency=name,
        hub=HUB,
        kem_keys=lambda: tuple(keys.kem_all),
        catalog=world.catalog,
        content=UnsafeEverything(),
        directory=_directory(world, agency),
        inbox=SqliteInbox(world.folder / f"inbox-{world.run}-{agency}.db", agency=name),
        consumer=consumer,
        sinks=[sink],
        clock=SystemClock(),
        observer=observer,
        limits=SubscriberLimits(poll_wait=0.05),
    )
    async with subscriber, asyncio.TaskGroup() as group:
        running = group.create_task(subscriber.run())
        await observer.begun.wait()
        yield None
        with measured("receive", events) as timing:
            consumer.gate.set()
            await sink.enough.wait()
            subscriber.stop()
            await running
        timing.bytes = int(observer.bytes)
        timing.latencies_ms = result.latencies_ms
        yield timing
