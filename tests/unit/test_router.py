"""hub/router.py on the memory bus: order, quarantine, nothing committed before its time, waiting, going back."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hub.adapters.memory import MemoryBroker
from hub.adapters.memory_observer import MemoryObserver
from hub.errors import BusNotAuthorized, BusUnavailable, UnavailableError
from hub.model import HUB
from hub.ports import OutgoingRecord
from hub.router import DeliveryTopicMissing, LagWatch, Router, RouterLimits
from hub.routing import Routed, Subscriptions
from hub.topics import HEARTBEAT, QUARANTINE, RETRY, ROUTER_GROUP, ROUTER_PATTERN
from hub.trust.directory import Directory
from hub.wire.appended import first_appended_ms
from hub.wire.bundle import parse_delivered
from hub.wire.frames import parse_entry
from hub.wire.quarantine import Quarantined, encode_quarantined, parse_quarantined
from tests.support.authority import DAY_MS, World
from tests.support.routing import Asking, Site, draft

LIMITS = RouterLimits(poll_wait=0.01, retry_first=0.01, retry_most=0.05, heartbeat=0.05)


class WorldClock:
    """The world's present; monotonic is the real one."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        return self._world.now_ms

    def monotonic(self) -> float:
        return time.monotonic()


class DirectoryByHand:
    """The directory that a test gives out, or its failure."""

    def __init__(self, directory: Directory) -> None:
        self.now: Directory | UnavailableError = directory

    def current(self) -> Directory:
        if isinstance(self.now, UnavailableError):
            raise self.now
        return self.now


class NoticesByHand:
    """Remembers what was to be said; fails as often as a test says."""

    def __init__(self) -> None:
        self.told: list[Routed] = []
        self.failures = 0

    async def tell(self, routed: Sequence[Routed]) -> None:
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("the outbox is full")
        self.told += routed


class Bench:
    """A world, a bus, and a router on it."""

    def __init__(self, world: World, *, partitions: int = 1) -> None:
        self.world = world
        agencies = [agency for agency in world.keys if agency != HUB]
        topics = {f"ingest.{agency}": partitions for agency in [*agencies, HUB]}
        topics |= {f"deliver.{agency}": 1 for agency in agencies}
        self.broker = MemoryBroker(topics | {QUARANTINE: 1, HEARTBEAT: 1, RETRY: 1}, now_ms=lambda: world.now_ms)
        self.directory = DirectoryByHand(world.directory())
        self.notices = NoticesByHand()
        self.observer = MemoryObserver()
        self.subscriptions: Subscriptions = Asking(*agencies)

    async def start(self, name: str = "router-1", limits: RouterLimits = LIMITS) -> Router:
        router = self.router(name, limits)
        await router._start()
        return router

    def router(self, name: str = "router-1", limits: RouterLimits = LIMITS) -> Router:
        return Router(
            name=name,
            hub=HUB,
            consumer=self.broker.consumer(group=ROUTER_GROUP, pattern=ROUTER_PATTERN),
            producer=self.broker.producer("HUB"),
            directory=self.directory,
            subscriptions=self.subscriptions,
            notices=self.notices,
            clock=WorldClock(self.world),
            observer=self.observer,
            limits=limits,
        )

    async def publish(self, publisher: str, *records: object, topic: str | None = None) -> None:
        producer = self.broker.producer(publisher)
        await producer.start()
        for record in records:
            value, key = (record, b"?") if isinstance(record, bytes) else (record.value, record.key)  # type: ignore[attr-defined]
            await producer.send([OutgoingRecord(topic or f"ingest.{publisher}", key, value)])

    def committed(self, publisher: str = "JCF") -> int:
        return self.broker.committed(ROUTER_GROUP).get((f"ingest.{publisher}", 0), 0)

    def numbers(self, agency: str) -> list[int]:
        """The recipient_seq of each delivered record, in order."""
        records = self.broker.records(f"deliver.{agency}")
        return [parse_entry(parse_delivered(record.value).entry).recipient_seq for record in records]


@pytest.fixture
def world() -> World:
    world = World.of("JCF", "ATF", "RSS")
    world.agree("JCF", "ATF", "trace.request")
    world.agree("JCF", "RSS", "trace.request")
    return world


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


async def test_delivers_in_order_and_commits(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", *(site.seal(["ATF", "RSS"], events=2) for _ in range(5)))
    router = await bench.start()
    assert await router.step() == 5
    assert bench.numbers("ATF") == bench.numbers("RSS") == [1, 2, 3, 4, 5]
    assert {record.key for record in bench.broker.records("deliver.ATF")} == {site.sealer.instance}
    assert bench.committed() == 5
    assert bench.observer.total("cgi_events_total", outcome="delivered", recipient="ATF") == 10
    assert bench.observer.total("cgi_bundles_total", outcome="routed", publisher="JCF") == 5


async def test_when_an_agency_was_last_heard(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", site.seal(["ATF"]))
    router = await bench.start()
    await router.step()
    heard = world.now_ms / 1000
    world.now_ms += 60_000
    await bench.publish("JCF", site.heartbeat(["ATF"]))
    await router.step()
    assert bench.observer.total("cgi_last_event_timestamp_seconds", publisher="JCF") == heard  # a heartbeat is no event


def test_a_topic_that_went_to_another_router_has_no_lag_here(world: World) -> None:
    observer = MemoryObserver()
    watch = LagWatch(WorldClock(world), observer)
    watch.measure({("ingest.JCF", 0): 3, ("ingest.ATF", 1): 2})
    watch.measure({("ingest.ATF", 1): 2})
    assert observer.total("cgi_lag_records", topic="ingest.JCF") == 0
    assert observer.total("cgi_lag_records", topic="ingest.ATF") == 2
    watch.measure({("ingest.JCF", 0): 1})
    assert observer.total("cgi_lag_records", topic="ingest.JCF") == 1


async def test_a_refused_record_goes_to_quarantine_and_the_next_goes_on(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    good = site.seal(["ATF"])
    stolen = Site(world, "RSS").seal(["ATF"])
    await bench.publish("JCF", b"garbage", stolen, good)
    await (await bench.start()).step()
    kept = [parse_quarantined(record.value) for record in bench.broker.records(QUARANTINE)]
    assert [(q.code, q.topic, q.partition, q.offset) for q in kept] == [
        ("frame.kind_wrong", "ingest.JCF", 0, 0),
        ("publisher.mismatch", "ingest.JCF", 0, 1),
    ]
    assert [q.value for q in kept] == [b"garbage", stolen.value]
    assert bench.numbers("ATF") == [1]
    assert bench.committed() == 3
    assert bench.observer.total("cgi_quarantined_total", publisher="JCF") == 2


async def test_a_key_revoked_while_the_router_was_down_counts_as_it_stood(bench: Bench, world: World) -> None:
    site, appended_ms = Site(world, "JCF"), world.now_ms
    await bench.publish("JCF", site.seal(["ATF"]), site.seal(["ATF"]))
    world.now_ms += DAY_MS
    world.revoke_signing_key("JCF")
    await bench.publish("JCF", site.seal(["ATF"]))  # a thief, or a site that has not heard of it
    world.now_ms += 6 * DAY_MS
    bench.directory.now = world.directory()
    router = await bench.start()
    await router.step()
    await router._stop()
    assert bench.numbers("ATF") == [1, 2]
    (record,) = bench.broker.records(QUARANTINE)
    assert parse_quarantined(record.value).code == "signing_key.revoked"
    for delivered in bench.broker.records("deliver.ATF"):
        assert delivered.appended_ms == world.now_ms
        assert first_appended_ms(delivered) == appended_ms, "ATF needs it, or would refuse what was delivered late"


async def test_nothing_is_committed_before_the_deliveries_are_acknowledged(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", *(site.seal(["ATF", "RSS"]) for _ in range(3)))
    router = await bench.start()
    bench.broker.fail_sends(1)
    with pytest.raises(UnavailableError):
        await router.step()
    assert bench.committed() == 0


async def test_nothing_is_committed_before_the_quarantine_has_it(bench: Bench) -> None:
    await bench.publish("JCF", b"garbage", b"garbage")
    router = await bench.start()
    bench.broker.fail_sends(1)
    with pytest.raises(UnavailableError):
        await router.step()
    assert bench.committed() == 0


async def test_nothing_is_committed_before_the_notice_is_durable(bench: Bench, world: World) -> None:
    bench.subscriptions = Asking()
    await bench.publish("JCF", Site(world, "JCF").seal(["ATF"]))
    router = await bench.start()
    bench.notices.failures = 1
    with pytest.raises(UnavailableError):
        await router.step()
    assert bench.committed() == 0
    assert bench.broker.records("deliver.ATF") == ()


async def test_what_is_large_is_delivered_and_committed_in_portions(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    records = [site.seal(["ATF", "RSS"], events=2) for _ in range(10)]
    await bench.publish("JCF", *records)
    portion = 4 * len(records[0].value)
    router = await bench.start(limits=RouterLimits(batch_bytes=portion, poll_wait=0.01))
    sent: list[int] = []
    send = router._producer.send

    async def counted(outgoing: Sequence[OutgoingRecord]) -> None:
        sent.append(sum(len(record.value) for record in outgoing))
        await send(outgoing)

    router._producer.send = counted  # type: ignore[method-assign]
    assert await router.step() == 10
    assert bench.numbers("ATF") == bench.numbers("RSS") == list(range(1, 11))
    assert bench.committed() == 10
    assert len(sent) > 2
    assert max(sent) <= portion + 2 * len(records[0].value)


async def test_a_partition_that_waits_does_so_over_all_portions(bench: Bench, world: World) -> None:
    world.agree("RSS", "ATF", "trace.request")
    directory = world.directory()
    old, other = Site(world, "JCF"), Site(world, "RSS")
    world.version += 1
    await bench.publish("JCF", Site(world, "JCF").seal(["ATF"]), old.seal(["ATF"]))
    await bench.publish("RSS", other.seal(["ATF"]), other.seal(["ATF"]))
    (waits, behind), (first, second) = bench.broker.records("ingest.JCF"), bench.broker.records("ingest.RSS")
    router = bench.router(limits=RouterLimits(batch_bytes=1))
    batch = router._route_all([waits, first, behind, second], directory, ())
    assert (batch.taken, list(batch.waiting)) == (2, [("ingest.JCF", 0)])
    batch = router._route_all([behind, second], directory, batch.waiting.keys())
    assert (batch.taken, batch.done) == (2, {("ingest.RSS", 0): 2})


async def test_denials_are_told_and_counted(bench: Bench, world: World) -> None:
    bench.subscriptions = Asking("RSS")
    site = Site(world, "JCF")
    await bench.publish("JCF", site.seal(["ATF", "RSS"], events=7), site.seal(["RSS"]))
    await (await bench.start()).step()
    assert [routed.denials[0].agency for routed in bench.notices.told] == ["ATF"]
    assert bench.numbers("RSS") == [1, 2]
    assert bench.numbers("ATF") == []
    assert (
        bench.observer.total("cgi_events_total", outcome="denied", recipient="ATF", reason="subscription.labels") == 7
    )


async def run_until(router: Router, done: object, seconds: float = 5.0) -> None:
    """Run the router until ``done()`` says so, then stop it."""
    stop = asyncio.Event()
    async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
        group.create_task(router.run(stop))
        while not done():  # type: ignore[operator]
            await asyncio.sleep(0.005)
        stop.set()


async def test_kafka_goes_away_and_comes_back(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", *(site.seal(["ATF"]) for _ in range(3)))
    router = bench.router()
    bench.broker.go_away()  # from the beginning: even starting is tried again
    stop = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(router.run(stop))
        await asyncio.sleep(0.05)
        bench.broker.come_back()
        while bench.committed() < 3:
            await asyncio.sleep(0.005)
        stop.set()
    assert bench.numbers("ATF") == [1, 2, 3]
    assert bench.observer.total("cgi_unavailable_total") > 0


async def test_a_failed_send_is_done_again_from_what_was_committed(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", *(site.seal(["ATF"]) for _ in range(4)))
    router = await bench.start(limits=RouterLimits(poll_wait=0.01, retry_first=0.01, heartbeat=60))
    await router.step()  # the first four
    await bench.publish("JCF", *(site.seal(["ATF"]) for _ in range(4)))
    bench.broker.fail_sends(2)  # the heartbeat's, and a delivery's
    await run_until(router, lambda: bench.committed() == 8)
    assert list(dict.fromkeys(bench.numbers("ATF"))) == [1, 2, 3, 4, 5, 6, 7, 8]  # some twice: receivers drop them


async def test_nothing_is_read_before_it_has_gone_back_to_what_was_committed(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", *(site.seal(["ATF"]) for _ in range(4)))
    router = bench.router(limits=RouterLimits(max_records=2, poll_wait=0.01, retry_first=0.01, heartbeat=60))
    go_back, tries = router._consumer.seek_to_committed, [0]

    async def is_too_slow_twice() -> None:
        tries[0] += 1
        if tries[0] <= 2:
            raise BusUnavailable("no answer in time")
        await go_back()

    monkeypatch.setattr(router._consumer, "seek_to_committed", is_too_slow_twice)
    monkeypatch.setattr(router, "_settle", fail_once(router._settle))
    await run_until(router, lambda: bench.committed() == 4)
    assert bench.numbers("ATF") == [1, 2, 3, 4]
    assert tries == [3]


def fail_once(settle: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """What a step read is not delivered the first time."""
    failed: list[object] = []

    async def settled(batch: Any) -> None:
        if not failed:
            failed.append(batch)
            raise BusUnavailable("no answer")
        await settle(batch)

    return settled


async def test_no_directory_nothing_moves(bench: Bench, world: World) -> None:
    await bench.publish("JCF", Site(world, "JCF").seal(["ATF"]))
    router = await bench.start()
    directory = bench.directory.now
    bench.directory.now = UnavailableError("expired")
    with pytest.raises(UnavailableError):
        await router.step()
    assert bench.committed() == 0
    bench.directory.now = directory
    await router.step()
    assert bench.committed() == 1


async def test_a_directory_that_expires_in_the_middle_of_a_step_denies_nothing(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", *(site.seal(["ATF"]) for _ in range(2)))
    router = await bench.start()
    short = bench.directory.now
    assert isinstance(short, Directory)
    bench.directory.now = replace(short, expires_at_ms=world.now_ms)  # it was valid when the step asked for it
    await router.step()
    assert (bench.committed(), bench.numbers("ATF"), bench.notices.told) == (0, [], [])
    assert bench.observer.total("cgi_held_partitions", code="directory.expired") == 1
    bench.directory.now = short
    while bench.committed() < 2:
        await router.step()
    assert bench.numbers("ATF") == [1, 2]


async def test_a_bundle_under_a_newer_directory_holds_its_partition_alone(bench: Bench, world: World) -> None:
    world.agree("RSS", "ATF", "trace.request")
    bench.directory.now = world.directory()
    old, other = Site(world, "JCF"), Site(world, "RSS")
    before = old.seal(["ATF"])
    world.version += 1
    new = Site(world, "JCF")
    await bench.publish("JCF", before, new.seal(["ATF"]), old.seal(["ATF"]))
    await bench.publish("RSS", other.seal(["ATF"]))
    router = await bench.start()
    await run_until(router, lambda: bench.committed("RSS") == 1)
    assert bench.committed() == 1  # the one before it, and nothing after
    await bench.publish("RSS", *(other.seal(["ATF"]) for _ in range(3)))
    await run_until(router, lambda: bench.committed("RSS") == 4)
    assert bench.committed() == 1
    bench.directory.now = world.directory()
    await run_until(router, lambda: bench.committed() == 3)
    assert sorted(bench.numbers("ATF")) == [1, 1, 1, 2, 2, 3, 4]
    assert bench.observer.total("cgi_unavailable_total", operation="directory", code="directory.behind") >= 1


async def test_versions_and_what_waits_for_them_are_shown(bench: Bench, world: World) -> None:
    """What the publishers' flushes name, and what is held for want of it; nothing that nobody has signed."""
    world.agree("RSS", "ATF", "trace.request")
    bench.directory.now = old = world.directory()
    await bench.publish("RSS", Site(world, "RSS").seal(["ATF"]))
    world.version += 4
    ahead = Site(world, "JCF").seal(["ATF"])
    world.rotate_signing_key("RSS")
    unproven = Site(world, "RSS").seal(["ATF"])  # by a key that the router's directory does not list
    await bench.publish("JCF", ahead)
    await bench.publish("RSS", unproven)
    router = await bench.start()
    await router.step()
    total = bench.observer.total
    assert total("cgi_named_directory_version", publisher="RSS") == old.version
    assert total("cgi_named_directory_version", publisher="JCF") == old.version + 4
    assert total("cgi_held_partitions", code="directory.behind") == 2
    bench.directory.now = world.directory()
    async with asyncio.timeout(30):
        while bench.committed("JCF") < 1 or bench.committed("RSS") < 2:
            await router.step()
    assert total("cgi_held_partitions", code="directory.behind") == 0
    assert total("cgi_named_directory_version", publisher="RSS") == world.version
    await router._stop()


async def test_a_newer_directory_is_not_waited_for_for_ever(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.router._GIVE_UP", 0.2)
    site = Site(world, "JCF")
    world.version += 1
    claims = Site(world, "JCF")
    world.version -= 1
    await bench.publish("JCF", claims.seal(["ATF"]), site.seal(["ATF"]))
    router = await bench.start()
    began = time.monotonic()
    bench.notices.failures = 1  # going back to what was committed does not begin the wait anew
    await run_until(router, lambda: bench.committed() == 2)
    assert time.monotonic() - began >= 0.2
    assert bench.numbers("ATF") == [1]
    [refused] = bench.broker.records(QUARANTINE)
    assert parse_quarantined(refused.value).code == "directory.behind"
    assert bench.observer.total("cgi_quarantined_total", publisher="JCF", code="directory.behind") == 1


async def test_a_topic_that_is_not_made_yet_is_waited_for(bench: Bench, world: World) -> None:
    world.add_agency("NCA")
    world.agree("JCF", "NCA", "trace.request")
    bench.directory.now = world.directory()
    bench.subscriptions = Asking("NCA")
    await bench.publish("JCF", Site(world, "JCF").seal(["NCA"]))
    router = await bench.start()
    with pytest.raises(DeliveryTopicMissing):
        await router.step()
    assert bench.committed() == 0
    bench.broker.create_topic("deliver.NCA")
    await run_until(router, lambda: bench.committed() == 1)
    assert bench.numbers("NCA") == [1]


async def test_what_the_broker_refuses_for_good_ends_it(bench: Bench) -> None:
    router = await bench.start()
    bench.broker._authorizer = lambda *_: False
    with pytest.raises(ExceptionGroup) as caught:
        await run_until(router, lambda: False)
    assert caught.group_contains(BusNotAuthorized)


async def test_two_routers_share_the_work_and_lose_nothing_when_one_leaves(world: World) -> None:
    bench = Bench(world, partitions=3)
    sites = [Site(world, "JCF") for _ in range(6)]
    first, second = await bench.start("router-1"), await bench.start("router-2")
    stops = [asyncio.Event(), asyncio.Event()]
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(first.run(stops[0]))
        leaving = group.create_task(second.run(stops[1]))
        for number in range(30):
            await bench.publish("JCF", sites[number % 6].seal(["ATF"]))
            if number == 10:
                leaving.cancel()
        while sum(bench.broker.committed(ROUTER_GROUP).values()) < 30:
            await asyncio.sleep(0.005)
        stops[0].set()
    got = {
        (record.key, parse_entry(parse_delivered(record.value).entry).recipient_seq)
        for record in bench.broker.records("deliver.ATF")
    }
    assert got == {(site.sealer.instance, seq) for site in sites for seq in range(1, 6)}


async def test_an_event_id_that_comes_back_with_another_header_raises_an_alarm(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    event = draft(world.now_ms)
    first = site.seal(["ATF"], drafts=[event])
    again = site.seal(["ATF"], drafts=[draft(world.now_ms, event_id=event.event_id)])
    await bench.publish("JCF", first, first, again)  # the same record twice is no alarm: it was sent twice
    await (await bench.start()).step()
    assert bench.observer.total("cgi_alarms_total", publisher="JCF", code="event_id.reused") == 1
    assert bench.numbers("ATF") == [1, 1]
    assert [parse_quarantined(r.value).code for r in bench.broker.records(QUARANTINE)] == ["event_id.reused"]


async def test_a_router_shows_its_own_clock_against_the_brokers(bench: Bench, world: World) -> None:
    bench.broker._now_ms = lambda: world.now_ms - 90_000
    router = await bench.start()
    beating = asyncio.create_task(router._beat())
    async with asyncio.timeout(30):
        while not bench.observer.total("cgi_clock_skew_seconds"):
            await asyncio.sleep(0.005)
    beating.cancel()
    assert 80 < bench.observer.total("cgi_clock_skew_seconds") <= 90
    await router._stop()


async def test_only_an_acknowledged_heartbeat_is_progress(bench: Bench, world: World) -> None:
    router = await bench.start(limits=RouterLimits(poll_wait=0.01, heartbeat=0.01))
    bench.broker.fail_sends(10**6)
    beat = asyncio.create_task(router._beat())
    while not bench.observer.total("cgi_unavailable_total"):
        await router.step()  # its polls find nothing, and say nothing of the broker
    assert bench.observer.total("cgi_progress_timestamp_seconds", worker="heartbeat") == 0
    bench.broker.fail_sends(0)
    while not bench.broker.records(HEARTBEAT):
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    beat.cancel()
    assert bench.observer.total("cgi_progress_timestamp_seconds", worker="heartbeat") == world.now_ms / 1000


async def test_heartbeat_and_lag(bench: Bench, world: World) -> None:
    site = Site(world, "JCF")
    await bench.publish("JCF", *(site.seal(["ATF"], events=4) for _ in range(4)), site.heartbeat(["ATF"]))
    router = await bench.start(limits=RouterLimits(max_records=2, poll_wait=0.01, heartbeat=0.01))
    await router.step()
    world.now_ms += 5_000
    beat = asyncio.create_task(router._beat())
    while not bench.broker.records(HEARTBEAT) or not bench.observer.gauges:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.03)
    beat.cancel()
    assert bench.observer.total("cgi_lag_records", topic="ingest.JCF") == 3
    assert bench.observer.total("cgi_lag_events", topic="ingest.JCF") == 12
    assert bench.observer.total("cgi_lag_seconds", topic="ingest.JCF") == 5
    assert b'"router":"router-1"' in bench.broker.records(HEARTBEAT)[0].value
    await run_until(router, lambda: bench.committed() == 5)
    assert bench.observer.total("cgi_heartbeats_total", direction="seen") == 1


# --- what an operator gives back --------------------------------------------------------------------------------------


def kept(bench: Bench) -> list[Quarantined]:
    return [parse_quarantined(record.value) for record in bench.broker.records(QUARANTINE)]


async def test_what_is_given_back_is_routed_as_what_came_to_its_first_topic(bench: Bench, world: World) -> None:
    sealed = Site(world, "JCF").seal(["ATF"])
    world.suspend("JCF")
    bench.directory.now = world.directory()
    await bench.publish("JCF", sealed)
    router = await bench.start()
    await router.step()
    (refused,) = kept(bench)
    assert refused.code == "publisher.suspended"
    world.suspend("JCF", active=True)
    bench.directory.now = world.directory()
    await bench.publish("console", encode_quarantined(refused), topic=RETRY)
    await router.step()
    assert bench.numbers("ATF") == [1]
    assert len(kept(bench)) == 1
    assert bench.observer.total("cgi_events_total", outcome="delivered", publisher="JCF") == 1


async def test_what_is_given_back_and_refused_again_stands_in_quarantine_from_its_first_place(
    bench: Bench, world: World
) -> None:
    await bench.publish("JCF", b"garbage")
    router = await bench.start()
    await router.step()
    (refused,) = kept(bench)
    await bench.publish("console", encode_quarantined(refused), topic=RETRY)
    await router.step()
    first, second = kept(bench)
    assert (second.topic, second.partition, second.offset, second.value) == ("ingest.JCF", 0, 0, b"garbage")
    assert second.digest == first.digest
    assert bench.observer.total("cgi_quarantined_total", publisher="JCF") == 2


async def test_who_gives_back_can_forge_nothing(bench: Bench, world: World) -> None:
    """Another's topic on the envelope, another topic at all, no envelope: all of it is refused, nothing delivered."""
    await bench.publish("JCF", b"garbage")
    router = await bench.start()
    await router.step()
    (refused,) = kept(bench)
    signed = Site(world, "JCF").seal(["ATF"])
    digest = hashlib.sha256(signed.value).digest()
    forged = replace(refused, value=signed.value, length=len(signed.value), digest=digest)
    for topic in ("ingest.RSS", "deliver.ATF", "hub.retry"):
        await bench.publish("console", encode_quarantined(replace(forged, topic=topic)), topic=RETRY)
    await bench.publish("console", b"no envelope", topic=RETRY)
    assert await router.step() == 4
    assert bench.numbers("ATF") == []
    assert [each.code for each in kept(bench)[1:]] == [
        "publisher.mismatch",
        "name.invalid",
        "name.invalid",
        "frame.kind_wrong",
    ]
