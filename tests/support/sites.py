"""Agencies around a hub in memory: publishers, the router's decisions, subscribers; everything but Kafka and disks.

``Net`` is the world of two publishers and three recipients that the client's tests play in. The hub is reduced to what
matters to a client: :meth:`Net.route` takes what lies on the ingest topics, decides with ``hub.routing``, and writes
the deliveries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from hub.adapters.memory import MemoryBroker
from hub.adapters.memory_inbox import InboxMemory, MemoryInbox
from hub.adapters.memory_observer import MemoryObserver
from hub.adapters.memory_outbox import MemoryOutbox, OutboxMemory
from hub.catalog import Catalog
from hub.client.inbox import Inbox
from hub.client.limits import PublisherLimits, SubscriberLimits
from hub.client.outbox import Outbox
from hub.client.prepare import GrantsPolicy
from hub.client.publisher import Publisher
from hub.client.receive import ContentFilter, UnsafeEverything
from hub.client.sink import Sink
from hub.client.subscriber import Subscriber
from hub.errors import HubError
from hub.model import HUB, AgencyId, Event, OpenedEvent
from hub.policy.decide import ReleasePolicy, hub_release
from hub.policy.release import parse_release
from hub.ports import BusConsumer, BusProducer, IncomingRecord, OutgoingRecord, Tracer
from hub.routing import Denial, route_bundle
from hub.topics import deliver_topic, ingest_topic
from hub.trust.checks import FlushCache
from hub.trust.directory import Directory
from hub.wire.appended import encode_appended
from tests.support.authority import NOW_MS, World
from tests.support.leaks import remember
from tests.support.routing import Asking
from tests.support.samples import catalog, sample_event

JCF, HNP, ATF, CCGIU, RSS = (AgencyId(name) for name in ("JCF", "HNP", "ATF", "CCGIU", "RSS"))

RELEASE = """\
allow:
  - rule: traces go to ATF whole
    types: [trace.request]
    to: ATF
    compartments: all
  - rule: CCGIU counts the traces
    types: [trace.request]
    to: CCGIU
    compartments: [core]
  - rule: RSS sees the long guns
    types: [trace.request]
    when: {field: firearm.type_ncic, in: [RI, RS]}
    to: RSS
    compartments: [core]
"""

QUICK = PublisherLimits(linger=0.002, heartbeat=0, drain=2.0, retry_first=0.005, retry_most=0.02, full_wait=0.05)
QUICK_SUBSCRIBER = SubscriberLimits(poll_wait=0.02, gap_grace=0.2, retry_first=0.005, retry_most=0.02)


class JumpingClock:
    """Runs as the real one, from the worlds' present; ``jump`` moves it on."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self._start = time.monotonic()
        self._now_ms = now_ms
        self._jumped = 0.0

    def jump(self, seconds: float) -> None:
        self._jumped += seconds

    def now_ms(self) -> int:
        return self._now_ms + int((time.monotonic() - self._start + self._jumped) * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + self._jumped


async def until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for it; on a busy machine it may take its time."""
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.005)


class GivenDirectory:
    """A directory source that gives what the test says, or raises it."""

    def __init__(self, directory: Directory) -> None:
        self.given: Directory | HubError = directory

    def current(self) -> Directory:
        if isinstance(self.given, HubError):
            raise self.given
        return self.given


class ListSink:
    """Remembers events, and goes back to a stored length as a file would. The next writes raise ``failures``."""

    def __init__(self, name: str = "list", *, refuse: Callable[[OpenedEvent], HubError | None] | None = None) -> None:
        self.name = name
        self.events: list[OpenedEvent] = []
        self.failures: list[HubError] = []
        self.opened: list[Mapping[str, Any] | None] = []
        self.is_open = False
        self._refuse = refuse

    async def open(self, state: Mapping[str, Any] | None) -> None:
        self.opened.append(state)
        self.is_open = True
        del self.events[0 if state is None else state["length"] :]

    async def write(self, events: Sequence[OpenedEvent]) -> Mapping[str, Any] | None:
        if self._refuse is not None:
            for event in events:
                if (error := self._refuse(event)) is not None:
                    raise error
        self.events.extend(events)
        if self.failures:
            raise self.failures.pop(0)  # after the write: as a crash between it and the marks would be
        return {"length": len(self.events)}

    async def close(self) -> None:
        self.is_open = False

    @property
    def ids(self) -> list[bytes]:
        return [event.event_id for event in self.events]


def trace(number: int = 0, **changes: Any) -> Event:
    """A trace request; different numbers have different contents."""
    event = sample_event("trace.request", 0)
    body = {**event.body, **changes.pop("body", {})}
    body["firearm"] = {**body["firearm"], "serial_raw": f"AB{number:06d}"}
    remember(body)
    return replace(event, body=body, **changes)


def make_world() -> World:
    world = World.of(JCF, HNP, ATF, CCGIU, RSS)
    for publisher in (JCF, HNP):
        for recipient in (ATF, CCGIU, RSS):
            world.agree(publisher, recipient, "trace.request")
    return world


@cache
def first_directory() -> Directory:
    """What :func:`make_world` signs at first: once for a test run."""
    return make_world().directory()


@dataclass
class Net:
    """One hub. ``outboxes`` and ``inboxes`` outlive the objects that open them, as files do."""

    world: World = None  # type: ignore[assignment]  # None: make_world()
    clock: JumpingClock = field(default_factory=JumpingClock)
    observer: MemoryObserver = field(default_factory=MemoryObserver)
    release: str = RELEASE
    outboxes: dict[AgencyId, OutboxMemory] = field(default_factory=dict)
    inboxes: dict[AgencyId, InboxMemory] = field(default_factory=dict)
    denials: list[Denial] = field(default_factory=list)
    refused: list[HubError] = field(default_factory=list)

    def __post_init__(self) -> None:
        directory = first_directory() if self.world is None else self.world.directory()
        self.world = self.world or make_world()
        topics = {name: 1 for agency in self.world.keys for name in (ingest_topic(agency), deliver_topic(agency))}
        self.broker = MemoryBroker(topics, now_ms=self.clock.now_ms)
        self.directory = GivenDirectory(directory)
        self._routed: dict[AgencyId, int] = {}
        self._flushes = FlushCache()

    def update_directory(self) -> Directory:
        """What was changed in ``world`` is signed and in force."""
        directory = self.world.directory()
        self.directory.given = directory
        return directory

    def outbox(self, agency: AgencyId = JCF, **settings: Any) -> MemoryOutbox:
        return MemoryOutbox(self.outboxes.setdefault(agency, OutboxMemory(agency)), agency=agency, **settings)

    def inbox(self, agency: AgencyId = ATF, **settings: Any) -> MemoryInbox:
        return MemoryInbox(self.inboxes.setdefault(agency, InboxMemory(agency)), agency=agency, **settings)

    def publisher(
        self,
        agency: AgencyId = JCF,
        *,
        outbox: Outbox | None = None,
        producer: BusProducer | None = None,
        policy: GrantsPolicy | None = None,
        limits: PublisherLimits = QUICK,
        tracer: Tracer | None = None,
    ) -> Publisher:
        if policy is None:
            rules = hub_release(catalog()) if agency == HUB else parse_release(self.release, catalog())
            policy = ReleasePolicy(rules, agency)
        return Publisher(
            agency=agency,
            hub=HUB,
            signing_key=self.world.keys[agency].signing,
            catalog=catalog(),
            policy=policy,
            directory=self.directory,
            outbox=self.outbox(agency) if outbox is None else outbox,
            producer=self.broker.producer(agency) if producer is None else producer,
            clock=self.clock,
            observer=self.observer,
            limits=limits,
            tracer=tracer,
        )

    def subscriber(
        self,
        *sinks: Sink,
        agency: AgencyId = ATF,
        inbox: Inbox | None = None,
        consumer: BusConsumer | None = None,
        content: ContentFilter | None = None,
        limits: SubscriberLimits = QUICK_SUBSCRIBER,
        using: Catalog | None = None,
        tracer: Tracer | None = None,
    ) -> Subscriber:
        return Subscriber(
            agency=agency,
            hub=HUB,
            kem_keys=lambda: self.world.keys[agency].kem_all,
            catalog=using or catalog(),
            content=content or UnsafeEverything(),
            directory=self.directory,
            inbox=self.inbox(agency) if inbox is None else inbox,
            consumer=self.broker.consumer(group=f"{agency}.main", topics=[deliver_topic(agency)])
            if consumer is None
            else consumer,
            sinks=sinks,
            clock=self.clock,
            observer=self.observer,
            limits=limits,
            tracer=tracer,
        )

    def sent(self, agency: AgencyId = JCF) -> Sequence[IncomingRecord]:
        """Everything on the ingest topic."""
        return self.broker.records(ingest_topic(agency))

    def delivered(self, agency: AgencyId = ATF) -> Sequence[IncomingRecord]:
        """Everything on the delivery topic."""
        return self.broker.records(deliver_topic(agency))

    async def route(self, *publishers: AgencyId, lose: Callable[[AgencyId, int], bool] | None = None) -> None:
        """Deliver what came since the last call. ``lose(recipient, number of the record)``: that one is withheld."""
        producer = self.broker.producer(HUB)
        await producer.start()
        directory = self.directory.current()
        for publisher in publishers or (JCF, HNP, HUB):
            records = self.sent(publisher)
            for number in range(self._routed.get(publisher, 0), len(records)):
                try:
                    routed = route_bundle(
                        records[number].value,
                        owner=publisher,
                        hub=HUB,
                        directory=directory,
                        subscriptions=Asking(*self.world.keys),
                        now_ms=self.clock.now_ms(),
                        flushes=self._flushes,
                        appended_ms=records[number].appended_ms,
                    )
                except HubError as error:
                    self.refused.append(error)
                    continue
                self.denials += routed.denials
                await producer.send(
                    [
                        OutgoingRecord(
                            deliver_topic(delivery.agency),
                            records[number].key,
                            delivery.value,
                            encode_appended(records[number]),
                        )
                        for delivery in routed.deliveries
                        if lose is None or not lose(delivery.agency, number)
                    ]
                )
            self._routed[publisher] = len(records)

    async def receive(self, *sinks: Sink, agency: AgencyId = ATF, **settings: Any) -> Subscriber:
        """A subscriber's run until it has committed all that was delivered. Gives the subscriber, left."""
        wanted = len(self.delivered(agency))
        async with (
            asyncio.timeout(60),
            self.subscriber(*sinks, agency=agency, **settings) as subscriber,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(subscriber.run())
            await until(lambda: self.committed(agency) >= wanted)
            subscriber.stop()
        return subscriber

    def committed(self, agency: AgencyId = ATF) -> int:
        """Records of the delivery topic that the agency's group has committed."""
        return self.broker.committed(f"{agency}.main").get((deliver_topic(agency), 0), 0)
