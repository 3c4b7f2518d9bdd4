"""hub/notices.py: ranges, keys, and a notice's way through the hub's own publisher to the one whom it is for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import pytest

from hub.adapters.memory import MemoryBroker
from hub.adapters.memory_observer import MemoryObserver
from hub.adapters.memory_outbox import MemoryOutbox, OutboxMemory
from hub.catalog import Catalog
from hub.client.limits import PublisherLimits
from hub.client.publisher import Publisher
from hub.errors import BusUnavailable
from hub.model import HUB, AgencyId, Event, Priority
from hub.notices import RANGES_A_NOTICE, HubNotices, compose_notices, notice_event
from hub.policy.decide import ReleasePolicy, hub_release
from hub.policy.subscription import Subscriptions as NoSubscriptions
from hub.routing import Routed, Subscriptions, route_bundle
from hub.trust.open import Opener
from hub.trust.verify import FlushCache
from tests.support.authority import World
from tests.support.routing import ROUTE, Asking, Site
from tests.unit.test_router import DirectoryByHand, WorldClock

ATF, RSS, JCF = AgencyId("ATF"), AgencyId("RSS"), AgencyId("JCF")


@pytest.fixture
def world() -> World:
    world = World.of("JCF", "ATF", "RSS")
    world.agree("JCF", "ATF", "trace.request")
    return world


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


def route(world: World, value: bytes, *, subscriptions: Subscriptions | None = None, owner: str = "JCF") -> Routed:
    return route_bundle(
        value,
        owner=AgencyId(owner),
        hub=HUB,
        directory=world.directory(),
        subscriptions=NoSubscriptions({}) if subscriptions is None else subscriptions,
        now_ms=world.now_ms,
        flushes=FlushCache(),
    )


def test_numbers_in_a_row_for_one_reason_are_one_range(world: World) -> None:
    site = Site(world, "JCF")
    routed = [route(world, site.seal(["ATF"]).value) for _ in range(5)]
    [notice] = compose_notices(routed)
    assert (notice.recipient, notice.publisher, notice.instance) == ("ATF", "JCF", site.sealer.instance)
    assert [(each.first, each.last, each.decision.code) for each in notice.ranges] == [(1, 5, "subscription.none")]


def test_another_reason_or_label_or_a_delivery_between_begins_a_new_range(world: World) -> None:
    site = Site(world, "JCF")
    urgent = replace(ROUTE, priority=Priority.URGENT)
    other = replace(ROUTE, event_type="seizure.report")
    routed = [
        route(world, site.seal(["ATF"]).value),
        route(world, site.seal(["ATF"]).value, subscriptions=Asking("ATF")),
        route(world, site.seal(["ATF"]).value),
        route(world, site.seal(["ATF"], route=urgent).value),
        route(world, site.seal(["ATF"], route=other).value),
    ]
    [notice] = compose_notices(routed)
    assert [(each.first, each.last, each.decision.code) for each in notice.ranges] == [
        (1, 1, "subscription.none"),
        (3, 3, "subscription.none"),
        (4, 4, "subscription.none"),
        (5, 5, "agreement.type"),
    ]


def test_each_recipient_and_each_instance_has_its_own(world: World) -> None:
    sites = [Site(world, "JCF"), Site(world, "JCF")]
    routed = [route(world, site.seal(["ATF", "RSS"]).value) for site in sites]
    assert {(n.recipient, n.instance) for n in compose_notices(routed)} == {
        (agency, site.sealer.instance) for agency in ("ATF", "RSS") for site in sites
    }


def test_nothing_is_composed_of_what_owes_none(world: World) -> None:
    site, hub = Site(world, "JCF"), Site(world, "HUB")
    delivered = route(world, site.seal(["ATF"]).value, subscriptions=Asking("ATF"))
    heartbeat = route(world, site.heartbeat(["ATF", "HUB"]).value)
    said = route(world, hub.seal(["RSS"]).value, owner="HUB")
    assert heartbeat.denials
    assert said.denials
    assert compose_notices([delivered, heartbeat, said]) == []


def test_many_ranges_are_several_notices(world: World) -> None:
    site = Site(world, "JCF")
    routes = [ROUTE, replace(ROUTE, priority=Priority.URGENT)]
    sealed = [site.seal(["ATF"], route=routes[number % 2]) for number in range(RANGES_A_NOTICE + 1)]
    routed = [route(world, record.value) for record in sealed]
    assert [len(notice.ranges) for notice in compose_notices(routed)] == [RANGES_A_NOTICE, 1]


def test_the_same_is_said_with_the_same_key_and_content(world: World) -> None:
    value = Site(world, "JCF").seal(["ATF"]).value
    first, second = compose_notices([route(world, value)]), compose_notices([route(world, value)])
    assert first[0].key == second[0].key
    events = [notice_event(notice, now_ms=now) for notice, now in ((first[0], 1), (second[0], world.now_ms + 1_000))]
    assert events[0] == events[1]


def test_a_notice_about_something_old_does_not_come_expired(world: World) -> None:
    [notice] = compose_notices([route(world, Site(world, "JCF").seal(["ATF"]).value)])
    late = world.now_ms + 364 * 86_400_000
    assert notice_event(notice, now_ms=late).expires_at_ms == late + 30 * 86_400_000


class Hub:
    """The hub's own publisher on memory adapters."""

    def __init__(self, world: World, catalog: Catalog) -> None:
        self.world = world
        self.broker = MemoryBroker({"ingest.HUB": 1}, now_ms=lambda: world.now_ms)
        self.outbox = MemoryOutbox(OutboxMemory(HUB), agency=HUB)
        self.observer = MemoryObserver()
        self.directory = DirectoryByHand(world.directory())
        self.publisher = Publisher(
            agency=HUB,
            hub=HUB,
            signing_key=world.keys[HUB].signing,
            catalog=catalog,
            policy=ReleasePolicy(hub_release(catalog), HUB),
            directory=self.directory,
            outbox=self.outbox,
            producer=self.broker.producer("HUB"),
            clock=WorldClock(world),
            observer=self.observer,
            limits=PublisherLimits(linger=0.001, heartbeat=0),
        )
        self.notices = HubNotices(self.publisher, WorldClock(world), self.observer)


async def test_a_notice_reaches_the_one_whom_it_is_for_and_nobody_else(world: World, catalog: Catalog) -> None:
    site = Site(world, "JCF")
    routed = [route(world, site.seal(["ATF", "RSS"]).value) for _ in range(3)]
    hub = Hub(world, catalog)
    async with hub.publisher as publisher:
        await hub.notices.tell(routed)
        await publisher.drain()
    told = {}
    for record in hub.broker.records("ingest.HUB"):
        for delivery in route(world, record.value, owner="HUB").deliveries:
            opener = Opener(hub=HUB, recipient=delivery.agency, kem_keys=world.keys[delivery.agency].kem_all)
            opened = opener.open(opener.verify(delivery.value, directory=world.directory(), now_ms=world.now_ms))
            told[delivery.agency] = [catalog.get("hub.notice").decode(each.sections, 1) for each in opened]
    assert set(told) == {"ATF", "RSS"}
    [body] = told["RSS"]
    assert (body["recipient"], body["publisher"], body["instance"]) == ("RSS", "JCF", site.sealer.instance.hex())
    assert [(each["first"], each["last"], each["code"]) for each in body["ranges"]] == [(1, 3, "agreement.none")]
    assert hub.observer.total("cgi_notices_total", recipient="ATF", reason="subscription.none") == 1


async def test_said_again_after_a_crash_it_is_one_event(world: World, catalog: Catalog) -> None:
    routed = [route(world, Site(world, "JCF").seal(["ATF"]).value)]
    hub = Hub(world, catalog)
    async with hub.publisher as publisher:
        await hub.notices.tell(routed)
        world.now_ms += 60_000
        await hub.notices.tell(routed)
        await publisher.drain()
    assert len(hub.broker.records("ingest.HUB")) == 1


async def test_whom_nothing_can_be_told_stops_nobody(world: World, catalog: Catalog) -> None:
    site = Site(world, "JCF")
    value = site.seal(["ATF", "RSS"]).value
    world.suspend("RSS")
    hub = Hub(world, catalog)
    async with hub.publisher as publisher:
        await hub.notices.tell([route(world, value)])
        await publisher.drain()
    assert hub.observer.total("cgi_notices_total", recipient="ATF") == 1
    assert hub.observer.total("cgi_notices_total", recipient="RSS") == 0


async def test_an_outbox_that_takes_nothing_is_told_to_the_router(world: World, catalog: Catalog) -> None:
    hub = Hub(world, catalog)
    async with hub.publisher:
        hub.outbox.fail_commits(BusUnavailable("the disk is full"))
        with pytest.raises(BusUnavailable):
            await hub.notices.tell([route(world, Site(world, "JCF").seal(["ATF"]).value)])


class Heard:
    """A publisher that only remembers for whom."""

    def __init__(self) -> None:
        self.to: list[Collection[AgencyId] | None] = []

    async def publish_many(
        self, items: Iterable[tuple[Event, str | None]], *, to: Collection[AgencyId] | None = None
    ) -> list[object]:
        self.to.append(to)
        return [None for _ in items]


async def test_each_notice_is_published_to_its_recipient_alone(world: World) -> None:
    heard = Heard()
    routed = [route(world, Site(world, "JCF").seal(["ATF", "RSS"]).value)]
    await HubNotices(heard, WorldClock(world), MemoryObserver()).tell(routed)
    assert sorted(heard.to, key=str) == [["ATF"], ["RSS"]]
