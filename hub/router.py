"""The router's loop around hub/routing.py: read, route off the loop, deliver, tell, commit. In this order, always.

One step takes up to ``max_records`` records of all the partitions that this router reads, in order for each partition:

1. verify and decide each of them, in a thread (one step is many milliseconds of arithmetic);
2. write deliveries and quarantine records, and wait until all of them are acknowledged; beside that, hand the notices
   of what is not delivered to the hub's own publisher, and wait until they are durable in its outbox;
3. commit.

Nothing is committed before everything that it caused is durable elsewhere, so a kill between any two steps repeats
them: recipients drop what they have seen, a notice says the same again. A record that is refused goes to quarantine and
the next one goes on. What is not there now (a newer directory, Kafka) commits nothing and is tried again; a partition
whose next bundle waits for a newer directory is held by itself, so one publisher's claim does not stop the others.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from hub.client.clock_watch import SAID_MS, ClockWatch
from hub.errors import BusRebalanced, BusTopicUnknown, HubError, RejectedError, UnavailableError
from hub.log_words import say
from hub.model import AgencyId
from hub.ports import BusConsumer, BusProducer, Clock, IncomingRecord, Observer, OutgoingRecord, Position, Tracer
from hub.routing import Routed, Subscriptions, route_bundle
from hub.spans import bundle_context
from hub.topics import HEARTBEAT, QUARANTINE, RETRY, deliver_topic, ingest_owner
from hub.trust.checks import DirectoryBehind
from hub.trust.directory import Directory, check_times
from hub.trust.replay import EventIdReused, EventIds
from hub.trust.verify import FlushCache
from hub.wire.appended import encode_appended
from hub.wire.quarantine import encode_quarantined, original_of, quarantine

WORKER: Final = "router"
HEARTBEAT_WORKER: Final = "heartbeat"
"""The way to the broker: it gets further with each heartbeat that the broker acknowledges."""

_NS_A_MS: Final = 1_000_000
_GIVE_UP: Final = 600.0
"""Seconds that one publisher's claim of a newer directory is waited for (spec 12.2)."""


class DeliveryTopicMissing(UnavailableError):
    """A topic that the router must write to does not exist yet: make it (``hub broker apply``); nothing is lost."""

    code = "delivery.topic_missing"


class DirectorySource(Protocol):
    """Where the directory in force comes from: ``hub.client.directory_source.DirectorySource`` is one."""

    def current(self) -> Directory:
        """The newest verified directory. Raises ``UnavailableError`` where there is none or it has expired."""


class Notices(Protocol):
    """Says to recipients what was not delivered: hub/notices.py."""

    async def tell(self, routed: Sequence[Routed]) -> None:
        """Durable on return. Raises ``UnavailableError``: tell the same again."""


@dataclass(frozen=True, slots=True)
class RouterLimits:
    """How much a router takes at once, and how long it waits (seconds)."""

    max_records: int = 200
    batch_bytes: int = 32_000_000
    """Deliveries are made and acknowledged in portions of about so many bytes: a bundle of 900 kB may have 256."""
    poll_wait: float = 0.5
    retry_first: float = 0.2
    retry_most: float = 10.0
    heartbeat: float = 5.0
    remembered_events: int = 200_000


@dataclass(slots=True)
class _Batch:
    """What one step made of the records that were read."""

    routed: list[tuple[IncomingRecord, Routed]] = field(default_factory=list)
    refused: list[tuple[IncomingRecord, RejectedError | UnavailableError]] = field(default_factory=list)
    waiting: dict[Position, tuple[int, UnavailableError]] = field(default_factory=dict)
    """For a partition that must wait: the offset to go on from, and what it waits for."""
    done: dict[Position, int] = field(default_factory=dict)
    """For each partition, the offset after the last record that was dealt with."""
    seconds: list[float] = field(default_factory=list)
    began_ms: list[int] = field(default_factory=list)
    """When each of ``routed`` was begun; 0 where no traces are written."""
    taken: int = 0
    """How many of the records that were given it has looked at."""


@dataclass(slots=True)
class _Hold:
    """A partition that waits: until when, and how long the next time."""

    until: float
    delay: float
    code: str


class Router:
    """One of the hub's routers. :meth:`run` starts consumer and producer, also again after a failure, and stops them.

    ``name`` is the router's own, for the heartbeat and the quarantine: ASCII, at most 64.
    """

    def __init__(
        self,
        *,
        name: str,
        hub: AgencyId,
        consumer: BusConsumer,
        producer: BusProducer,
        directory: DirectorySource,
        subscriptions: Subscriptions,
        notices: Notices,
        clock: Clock,
        observer: Observer,
        limits: RouterLimits,
        tracer: Tracer | None = None,
    ) -> None:
        self._name = name
        self._hub = hub
        self._consumer = consumer
        self._producer = producer
        self._directory = directory
        self._subscriptions = subscriptions
        self._notices = notices
        self._clock = clock
        self._observer = observer
        self._limits = limits
        self._tracer = tracer
        self._flushes = FlushCache()
        self._event_ids = EventIds(limits.remembered_events)
        self._holds: dict[Position, _Hold] = {}
        self._positions: dict[Position, int] = {}
        """Committed last, by partition."""
        self._claims: dict[Position, tuple[int, float]] = {}
        """For a partition that waits for a newer directory: the offset, and since when. It outlasts going back."""
        self._named: dict[str, int] = {}
        """For each publisher, the highest version of the directory that it has named."""
        self._held_codes: set[str] = set()
        self._watch = ClockWatch(clock)
        self._far_off = False
        self._generation = -1
        self._started = False
        self._ahead = False
        """Records may have been read that were not committed, and the consumer has not gone back to them yet."""
        self._lag = LagWatch(clock, observer)
        self._bundles = 0
        self._refused = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Route until ``stop`` is set; what is begun is brought to its commit. Cancelling is safe too.

        Raises ``ConfigError`` (the broker refuses for good) and ``InvariantError``.
        """
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beat(), name="router-heartbeat")
            try:
                await self._route_until(stop)
            finally:
                beating.cancel()
                await self._stop()

    def state(self) -> dict[str, object]:
        """What it is doing, for an operator's question; to be called from any thread."""
        return {
            "name": self._name,
            "started": self._started,
            "assignment": sorted(f"{topic}/{number}" for topic, number in self._consumer.assignment())
            if self._started
            else [],
            "next_offsets": {f"{topic}/{number}": offset for (topic, number), offset in list(self._positions.items())},
            "held_partitions": sorted(f"{topic}/{number}" for topic, number in list(self._holds)),
            "generation": self._generation,
            "bundles_routed": self._bundles,
            "records_quarantined": self._refused,
            "remembered_events": len(self._event_ids),
        }

    async def _route_until(self, stop: asyncio.Event) -> None:
        delay = self._limits.retry_first
        while not stop.is_set():
            try:
                if not self._started:
                    await self._start()
                if self._ahead:
                    await self._seek()
                await self.step()
                delay = self._limits.retry_first
            except BusRebalanced as error:
                # What is held was read under another generation: drop it; whoever has the partitions reads it again.
                self._count_unavailable("commit", error)
                await self._go_back()
            except UnavailableError as error:
                self._count_unavailable("route", error)
                say("router.unavailable", code=error.code, reason=error.message, seconds=delay)
                await _wait(stop, delay)
                delay = min(delay * 2, self._limits.retry_most)
                await self._go_back()

    async def _start(self) -> None:
        """Connect and join. Raises ``UnavailableError``: start again."""
        await self._producer.start()
        await self._consumer.start()
        self._started = True

    async def _stop(self) -> None:
        """Leave the group at once, so that the other routers take over without waiting for a session to end."""
        if self._started:
            self._started = False
            try:
                await self._consumer.stop()
                await self._producer.stop()
            except UnavailableError as error:
                self._count_unavailable("commit", error)

    async def step(self) -> int:
        """One step; says how many records it dealt with. Raises ``UnavailableError``: nothing was committed."""
        directory = self._directory.current()
        await self._release_due()
        records = await self._consumer.poll(max_records=self._limits.max_records, wait=self._limits.poll_wait)
        self._see_generation()
        waiting: set[Position] = set()
        rest = records
        while rest:
            batch = await asyncio.to_thread(self._route_all, rest, directory, waiting)
            routed_ms = self._clock.now_ms()
            await self._settle(batch)
            if self._tracer is not None:
                self._trace(self._tracer, batch, routed_ms)
            if batch.done:
                await self._consumer.commit(batch.done)
                self._positions.update(batch.done)
            self._count(batch)
            self._lag.read(rest[: batch.taken], batch.routed)
            await self._hold(batch)
            waiting |= batch.waiting.keys()
            rest = rest[batch.taken :]
        self._observer.gauge("cgi_progress_timestamp_seconds", self._clock.now_ms() / 1000, worker=WORKER)
        return len(records)

    # --- 1: verify and decide, in a thread ---------------------------------------------------------------------------

    def _route_all(
        self, records: Sequence[IncomingRecord], directory: Directory, waiting: Collection[Position]
    ) -> _Batch:
        """Records in order, as many as make ``batch_bytes`` of deliveries; behind one that must wait, the rest of its
        partition is left out. ``waiting`` are partitions in which one waits already.
        """
        batch = _Batch()
        size = 0
        for record in records:
            if size >= self._limits.batch_bytes:
                break
            batch.taken += 1
            position = (record.topic, record.partition)
            if position in batch.waiting or position in waiting:
                continue
            began = self._clock.monotonic()
            began_ms = self._clock.now_ms() if self._tracer is not None else 0
            try:
                routed = self._route(record, directory)
                batch.routed.append((record, routed))
                batch.began_ms.append(began_ms)
                size += sum(len(delivery.value) for delivery in routed.deliveries)
            except RejectedError as error:
                batch.refused.append((record, error))
                size += len(record.value)
            except UnavailableError as error:
                if not self._gives_up(position, record.offset, error):
                    batch.waiting[position] = (record.offset, error)
                    continue
                batch.refused.append((record, error))
                size += len(record.value)
            batch.seconds.append(self._clock.monotonic() - began)
            batch.done[position] = record.offset + 1
        return batch

    def _gives_up(self, position: Position, offset: int, error: UnavailableError) -> bool:
        """Whether a newer directory was waited for long enough: then the bundle is refused like any other (12.2)."""
        if not isinstance(error, DirectoryBehind):
            return False
        now = self._clock.monotonic()
        claimed, since = self._claims.get(position, (-1, now))
        if claimed != offset:
            since = now
        self._claims[position] = offset, since
        return now - since >= _GIVE_UP

    def _route(self, record: IncomingRecord, directory: Directory) -> Routed:
        origin = original_of(record) if record.topic == RETRY else record
        now_ms = self._clock.now_ms()
        # It may have expired since the step began: then this record waits. To decide by it would deny it for good.
        check_times(directory.issued_at_ms, directory.expires_at_ms, version=directory.version, now_ms=now_ms)
        routed = route_bundle(
            origin.value,
            owner=ingest_owner(origin.topic),
            hub=self._hub,
            directory=directory,
            subscriptions=self._subscriptions,
            now_ms=now_ms,
            flushes=self._flushes,
            appended_ms=record.appended_ms,
        )
        bundle = routed.bundle
        self._event_ids.check(bundle.publisher, bundle.event_ids, bundle.header_hashes)  # spec 9.3
        return routed

    # --- 2: what is written ------------------------------------------------------------------------------------------

    def _outgoing(self, batch: _Batch) -> list[OutgoingRecord]:
        deliveries = [
            OutgoingRecord(
                deliver_topic(delivery.agency), routed.bundle.instance, delivery.value, encode_appended(record)
            )
            for record, routed in batch.routed
            for delivery in routed.deliveries
        ]
        return deliveries + [self._quarantined(record, error) for record, error in batch.refused]

    def _quarantined(self, record: IncomingRecord, error: RejectedError | UnavailableError) -> OutgoingRecord:
        record = _origin(record)
        place = f"{record.topic}/{record.partition}/{record.offset}"
        say("bundle.quarantined", code=error.code, reason=error.message, place=place)
        value = encode_quarantined(
            quarantine(
                code=error.code,
                reason=error.diagnostics(),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp_ms,
                router=self._name,
                refused_at_ms=self._clock.now_ms(),
                key=record.key,
                value=record.value,
            )
        )
        # The key is the place: a record that is quarantined twice, after a crash, is seen to be the same one.
        headers = (("code", error.code.encode()), ("place", place.encode()))
        return OutgoingRecord(QUARANTINE, place.encode(), value, headers)

    async def _settle(self, batch: _Batch) -> None:
        """Tell and deliver, side by side; both are durable on return."""
        outgoing = self._outgoing(batch)
        owed = [routed for _, routed in batch.routed if routed.owes_notice]
        results = await asyncio.gather(self._notices.tell(owed), self._send(outgoing), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _send(self, outgoing: Sequence[OutgoingRecord]) -> None:
        if not outgoing:
            return
        try:
            await self._producer.send(outgoing)
        except BusTopicUnknown as error:
            # An agency that the directory lists before its topic was made. To stop would not help anyone more.
            raise DeliveryTopicMissing(error.message, **error.details) from error

    # --- waiting, and going back -------------------------------------------------------------------------------------

    async def _hold(self, batch: _Batch) -> None:
        """Hold the partitions that must wait, each for itself; forget the waits of those that got on."""
        for position in batch.done.keys() - batch.waiting.keys():
            self._holds.pop(position, None)
        now = self._clock.monotonic()
        for position, (offset, error) in batch.waiting.items():
            self._count_unavailable("directory", error)
            before = self._holds.get(position)
            delay = self._limits.retry_first if before is None else min(before.delay * 2, self._limits.retry_most)
            self._holds[position] = _Hold(now + delay, delay, error.code)
            say("router.unavailable", code=error.code, reason=error.message, topic=position[0], seconds=delay)
            await self._consumer.hold({position: offset})
            if isinstance(error, DirectoryBehind) and error.details["proven"]:
                self._name_version(str(error.details["publisher"]), int(str(error.details["wanted"])))
        self._show_held()

    def _show_held(self) -> None:
        held = Counter(hold.code for hold in self._holds.values())
        self._held_codes |= held.keys()
        for code in self._held_codes:
            self._observer.gauge("cgi_held_partitions", held[code], code=code)

    def _name_version(self, publisher: str, version: int) -> None:
        if version > self._named.get(publisher, 0):
            self._named[publisher] = version
            self._observer.gauge("cgi_named_directory_version", version, publisher=publisher)

    async def _release_due(self) -> None:
        now = self._clock.monotonic()
        if due := [position for position, hold in self._holds.items() if hold.until <= now]:
            await self._consumer.release(due)

    def _see_generation(self) -> None:
        generation = self._consumer.generation()
        if generation != self._generation:
            self._holds.clear()  # the new assignment holds nothing
            self._positions.clear()
            self._observer.increment("cgi_rebalances_total")
            self._observer.gauge("cgi_partitions", len(self._consumer.assignment()))
            say("router.rebalanced", router=self._name, partitions=len(self._consumer.assignment()))
            self._generation = generation

    async def _go_back(self) -> None:
        """To what was committed; where that is not possible now, nothing is read until it was."""
        self._holds.clear()
        if not self._started:
            return
        self._ahead = True
        try:
            await self._seek()
        except UnavailableError as error:
            self._count_unavailable("poll", error)

    async def _seek(self) -> None:
        await self._consumer.seek_to_committed()
        self._ahead = False

    # --- traces ------------------------------------------------------------------------------------------------------

    def _trace(self, tracer: Tracer, batch: _Batch, routed_ms: int) -> None:
        """Spans in each bundle's own trace: the events' are sealed with them (docs/adr/0116)."""
        settled_ms = self._clock.now_ms()
        for (_, routed), began_ms in zip(batch.routed, batch.began_ms, strict=True):
            bundle = routed.bundle
            if bundle.is_heartbeat:
                continue
            parent = bundle_context(bundle.head_hash)
            route = tracer.start(
                "route",
                parent=parent,
                at_ns=began_ms * _NS_A_MS,
                publisher=bundle.publisher,
                event_type=bundle.route.event_type,
                bundle=bundle.head_hash.hex()[:16],
                events=bundle.n,
                recipients=len(routed.deliveries),
                denied=len(routed.denials),
            )
            route.end(at_ns=routed_ms * _NS_A_MS)
            tracer.start("deliver", parent=parent, at_ns=routed_ms * _NS_A_MS).end(at_ns=settled_ms * _NS_A_MS)
        for record, error in batch.refused:
            refused = tracer.start("route", at_ns=routed_ms * _NS_A_MS, publisher=_owner(record))
            refused.end(code=error.code, at_ns=settled_ms * _NS_A_MS)

    # --- what is told to the observer --------------------------------------------------------------------------------

    def _count(self, batch: _Batch) -> None:
        for seconds in batch.seconds:
            self._observer.observe("cgi_route_seconds", seconds)
        for record, routed in batch.routed:
            self._count_routed(record, routed)
        for record, error in batch.refused:
            publisher = _owner(record)
            self._observer.increment("cgi_quarantined_total", publisher=publisher, code=error.code)
            self._count_lane(publisher, "", "", "quarantined", error.code, 0)
            if isinstance(error, EventIdReused):
                self._observer.increment("cgi_alarms_total", publisher=publisher, code=error.code)
                say("event.id_reused", publisher=publisher, topic=record.topic, offset=record.offset)
        self._bundles += len(batch.routed)
        self._refused += len(batch.refused)

    def _count_routed(self, record: IncomingRecord, routed: Routed) -> None:
        bundle = routed.bundle
        publisher, event_type, n = bundle.publisher, bundle.route.event_type, bundle.n
        self._name_version(publisher, bundle.directory_version)
        self._observer.observe("cgi_bundle_events", n)
        self._observer.observe("cgi_bundle_bytes", len(record.value))
        if bundle.is_heartbeat:
            self._observer.increment("cgi_heartbeats_total", direction="seen")
        else:
            self._observer.gauge("cgi_last_event_timestamp_seconds", self._clock.now_ms() / 1000, publisher=publisher)
        self._count_lane(publisher, "", event_type, "routed", "", n)
        for delivery in routed.deliveries:
            self._count_lane(publisher, delivery.agency, event_type, "delivered", "", n)
        for denial in routed.denials:
            self._count_lane(publisher, denial.agency, event_type, "denied", denial.decision.code, n)
        if routed.deliveries and not bundle.is_heartbeat:
            age = max(0, self._clock.now_ms() - bundle.flush_time_ms) / 1000
            self._observer.observe("cgi_hub_age_seconds", age, priority=bundle.route.priority.value)

    def _count_lane(self, publisher: str, recipient: str, event_type: str, outcome: str, reason: str, n: int) -> None:
        labels = {
            "publisher": publisher,
            "recipient": recipient,
            "event_type": event_type,
            "outcome": outcome,
            "reason": reason,
        }
        self._observer.increment("cgi_bundles_total", 1, **labels)
        if n:
            self._observer.increment("cgi_events_total", n, **labels)

    def _count_unavailable(self, operation: str, error: HubError) -> None:
        self._observer.increment("cgi_unavailable_total", operation=operation, code=error.code)

    # --- the heartbeat -----------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Every few seconds: a record that the way to the broker works, and a look at the lag. Ends by cancelling.

        A poll without records does not tell a quiet broker from one that is gone; an acknowledged heartbeat does.
        """
        while True:
            if self._started:
                try:
                    began = self._clock.monotonic()
                    beat = OutgoingRecord(HEARTBEAT, self._name.encode(), self._heartbeat())
                    self._compare_clocks(await self._producer.send([beat]), began)
                    self._observer.gauge(
                        "cgi_progress_timestamp_seconds", self._clock.now_ms() / 1000, worker=HEARTBEAT_WORKER
                    )
                    self._lag.measure(await self._consumer.lag())
                except UnavailableError as error:
                    self._count_unavailable("produce", error)
            await asyncio.sleep(self._limits.heartbeat if self._started else self._limits.retry_first)

    def _compare_clocks(self, appended_ms: int | None, began: float) -> None:
        if appended_ms is None:
            return
        self._watch.acknowledged(appended_ms, began=began)
        ahead_ms = self._watch.ahead_ms() or 0
        self._observer.gauge("cgi_clock_skew_seconds", ahead_ms / 1000)
        if abs(ahead_ms) >= SAID_MS and not self._far_off:
            say("clock.skewed", router=self._name, seconds_ahead=ahead_ms // 1000)
        self._far_off = abs(ahead_ms) >= SAID_MS

    def _heartbeat(self) -> bytes:
        facts = {
            "router": self._name,
            "at_ms": self._clock.now_ms(),
            "partitions": sorted(f"{topic}/{partition}" for topic, partition in self._consumer.assignment()),
            "bundles": self._bundles,
            "quarantined": self._refused,
        }
        return json.dumps(facts, separators=(",", ":")).encode()


class LagWatch:
    """Lag by topic: in records as the broker counts them, in events by what was read lately, in seconds by its time."""

    _KEEP: Final = 0.9
    """Of the running mean of events a record, for each record that was read."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self._mean: dict[str, float] = {}
        self._last: dict[Position, int] = {}
        self._shown: set[str] = set()

    def read(self, records: Sequence[IncomingRecord], routed: Sequence[tuple[IncomingRecord, Routed]]) -> None:
        """Take note of what was read."""
        for record, result in routed:
            mean = self._mean.get(record.topic, float(result.bundle.n))
            self._mean[record.topic] = self._KEEP * mean + (1 - self._KEEP) * result.bundle.n
        for record in records:
            self._last[record.topic, record.partition] = record.timestamp_ms

    def measure(self, lag: Mapping[Position, int]) -> None:
        """Set the gauges from the records that wait in each partition that is this router's now."""
        waiting: dict[str, int] = dict.fromkeys(self._shown, 0)  # a topic that went to another router: none here
        oldest: dict[str, float] = dict.fromkeys(self._shown, 0.0)
        for (topic, partition), records in lag.items():
            waiting[topic] = waiting.get(topic, 0) + records
            read_last = self._last.get((topic, partition))
            age = 0.0 if not records or read_last is None else max(0, self._clock.now_ms() - read_last) / 1000
            oldest[topic] = max(oldest.get(topic, 0.0), age)
        self._shown = {topic for topic, _ in lag}
        for topic, records in waiting.items():
            self._observer.gauge("cgi_lag_records", records, topic=topic)
            self._observer.gauge("cgi_lag_events", records * self._mean.get(topic, 1.0), topic=topic)
            self._observer.gauge("cgi_lag_seconds", oldest[topic], topic=topic)


def _origin(record: IncomingRecord) -> IncomingRecord:
    """What came to an ingest topic first, where an operator gave it back (docs/adr/0103); else the record itself."""
    try:
        return original_of(record) if record.topic == RETRY else record
    except RejectedError:
        return record  # no envelope: it is refused as what it is


def _owner(record: IncomingRecord) -> str:
    """Whose record it is, for the metrics."""
    try:
        return ingest_owner(_origin(record).topic)
    except RejectedError:
        return "unknown"


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """``seconds``, or less where the router is stopped."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
