"""hub/routing.py: the table of decisions. One bundle in, each entry whole or not at all out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.errors import RejectedError
from hub.model import HUB, AgencyId, Compartment, Priority, Purpose, parse_handling
from hub.policy.agreement import HUB_NOTICE
from hub.policy.subscription import Subscriptions as NoSubscriptions
from hub.routing import Routed, Subscriptions, route_bundle
from hub.trust.checks import DirectoryBehind
from hub.trust.open import Opener
from hub.trust.verify import FlushCache, PublisherMismatch
from hub.wire.bundle import parse_stub
from tests.support.authority import World
from tests.support.routing import ROUTE, Asking, Site

ATF = AgencyId("ATF")


@pytest.fixture
def world() -> World:
    world = World.of("JCF", "ATF", "RSS")
    world.agree("JCF", "ATF", "trace.request")
    world.agree("JCF", "RSS", "trace.request")
    return world


def route(
    world: World, value: bytes, *, owner: str = "JCF", subscriptions: Subscriptions | None = None, now_ms: int = 0
) -> Routed:
    return route_bundle(
        value,
        owner=AgencyId(owner),
        hub=HUB,
        directory=world.directory(),
        subscriptions=Asking("ATF", "RSS") if subscriptions is None else subscriptions,
        now_ms=now_ms or world.now_ms,
        flushes=FlushCache(),
    )


def outcome(routed: Routed) -> dict[str, str]:
    """Agency -> the code of the decision that settled its entry."""
    delivered = {delivery.agency: delivery.decisions[-1].code for delivery in routed.deliveries}
    return {**delivered, **{denial.agency: denial.decision.code for denial in routed.denials}}


def test_delivered_to_each_who_may_and_asked(world: World) -> None:
    routed = route(world, Site(world, "JCF").seal(["ATF", "RSS"], events=3).value)
    assert outcome(routed) == {"ATF": "subscription.asked", "RSS": "subscription.asked"}
    assert [decision.code for decision in routed.deliveries[0].decisions] == [
        "agreement.covered",
        "subscription.asked",
    ]
    assert not routed.denials
    assert not routed.owes_notice


def test_what_is_delivered_opens_and_only_for_its_recipient(world: World) -> None:
    routed = route(world, Site(world, "JCF").seal(["ATF", "RSS"], events=3).value)
    for delivery in routed.deliveries:
        opener = Opener(hub=HUB, recipient=delivery.agency, kem_keys=world.keys[delivery.agency].kem_all)
        delivered = opener.verify(delivery.value, directory=world.directory(), now_ms=world.now_ms)
        assert len(opener.open(delivered)) == 3


AGREEMENTS = {
    "another type": ({"event_types": ("seizure.report",)}, "agreement.type"),
    "another purpose": ({"purposes": (Purpose.STATISTICS,)}, "agreement.purpose"),
    "a lower handling": ({"max_handling": "TLP:GREEN"}, "agreement.handling"),
    "fewer compartments": ({"compartments": ("core", "personal")}, "agreement.compartments"),
    "ended": ({"not_after_ms": -1}, "agreement.ended"),
    "not begun": ({"not_before_ms": 1}, "agreement.not_yet"),
}


@pytest.mark.parametrize(("change", "code"), AGREEMENTS.values(), ids=AGREEMENTS)
def test_a_grant_beyond_the_agreement_denies_all_of_the_entry(change: dict, code: str) -> None:
    world = World.of("JCF", "ATF", "RSS")
    world.agree("JCF", "RSS", "trace.request")
    change = {name: world.now_ms + value if name.endswith("_ms") else value for name, value in change.items()}
    types = change.pop("event_types", ("trace.request",))
    world.agree("JCF", "ATF", *types, **change)
    routed = route(world, Site(world, "JCF").seal(["ATF", "RSS"]).value)
    assert outcome(routed) == {"ATF": code, "RSS": "subscription.asked"}
    assert routed.denials[0].recipient_seq == 1
    assert routed.owes_notice


def test_two_agreements_are_not_put_together() -> None:
    world = World.of("JCF", "ATF")
    world.agree("JCF", "ATF", "trace.request", compartments=("core", "personal"))
    world.agree("JCF", "ATF", "trace.request", compartments=("core", "sensitive"))
    assert outcome(route(world, Site(world, "JCF").seal(["ATF"]).value)) == {"ATF": "agreement.compartments"}


def test_the_other_direction_is_another_agreement() -> None:
    world = World.of("JCF", "ATF")
    world.agree("ATF", "JCF", "trace.request")
    assert outcome(route(world, Site(world, "JCF").seal(["ATF"]).value)) == {"ATF": "agreement.none"}


def test_a_suspended_recipient_gets_nothing(world: World) -> None:
    sealed = Site(world, "JCF").seal(["ATF", "RSS"])
    world.suspend("ATF")
    assert outcome(route(world, sealed.value))["ATF"] == "agreement.recipient_suspended"


def test_the_subscription_decides_last(world: World) -> None:
    value = Site(world, "JCF").seal(["ATF", "RSS"]).value
    assert outcome(route(world, value, subscriptions=Asking("RSS"))) == {
        "ATF": "subscription.labels",
        "RSS": "subscription.asked",
    }
    assert outcome(route(world, value, subscriptions=NoSubscriptions({}))) == {
        "ATF": "subscription.none",
        "RSS": "subscription.none",
    }


def test_a_subscription_does_not_widen_an_agreement() -> None:
    world = World.of("JCF", "ATF")
    assert outcome(route(world, Site(world, "JCF").seal(["ATF"]).value)) == {"ATF": "agreement.none"}


def test_the_hub_receives_nothing() -> None:
    world = World.of("JCF")
    world.agree("JCF", "HUB", "trace.request")
    site = Site(world, "JCF")
    routed = route(world, site.seal(["HUB"]).value, subscriptions=Asking("HUB"))
    assert outcome(routed) == {"HUB": "agreement.hub_recipient"}
    assert outcome(route(world, site.heartbeat(["HUB"]).value)) == {"HUB": "agreement.hub_recipient"}


# --- what the hub says ------------------------------------------------------------------------------------------------

NOTICE = replace(ROUTE, event_type=HUB_NOTICE, purpose=Purpose.HUB_OPERATION)
CORE = (Compartment("core"),)


def test_a_notice_needs_neither_agreement_nor_subscription(world: World) -> None:
    value = Site(world, "HUB").seal(["ATF"], route=NOTICE, compartments=CORE).value
    assert outcome(route(world, value, owner="HUB", subscriptions=NoSubscriptions({}))) == {
        "ATF": "subscription.hub_notice"
    }


def test_there_is_never_a_notice_about_a_notice(world: World) -> None:
    value = Site(world, "HUB").seal(["ATF"], route=NOTICE, compartments=CORE).value
    world.suspend("ATF")
    routed = route(world, value, owner="HUB")
    assert outcome(routed) == {"ATF": "agreement.recipient_suspended"}
    assert not routed.owes_notice


def test_nobody_else_says_notices(world: World) -> None:
    world.agree("JCF", "ATF", HUB_NOTICE)
    value = Site(world, "JCF").seal(["ATF"], route=NOTICE, compartments=CORE).value
    assert outcome(route(world, value)) == {"ATF": "agreement.hub_only"}


def test_the_hub_says_nothing_else(world: World) -> None:
    value = Site(world, "HUB").seal(["ATF"], compartments=CORE).value
    routed = route(world, value, owner="HUB")
    assert outcome(routed) == {"ATF": "agreement.none"}
    assert not routed.owes_notice


# --- heartbeats -------------------------------------------------------------------------------------------------------


def test_a_heartbeat_goes_to_everyone_who_is_listed_and_active() -> None:
    world = World.of("JCF", "ATF", "RSS", "NCA")
    world.add_agency("GONE")
    value = Site(world, "JCF").heartbeat(["ATF", "RSS", "NCA", "GONE"]).value
    del world.keys[AgencyId("GONE")]
    world.suspend("NCA")
    routed = route(world, value, subscriptions=NoSubscriptions({}))
    assert outcome(routed) == {
        "ATF": "heartbeat.covered",
        "RSS": "heartbeat.covered",
        "NCA": "heartbeat.recipient_suspended",
        "GONE": "heartbeat.recipient_unknown",
    }
    assert not routed.owes_notice  # a heartbeat uses no number: nobody misses it


def test_the_hubs_heartbeat_goes_to_everyone(world: World) -> None:
    routed = route(
        world, Site(world, "HUB").heartbeat(["ATF", "RSS"]).value, owner="HUB", subscriptions=NoSubscriptions({})
    )
    assert outcome(routed) == {"ATF": "heartbeat.covered", "RSS": "heartbeat.covered"}


# --- what is refused, and what must wait ------------------------------------------------------------------------------


def test_the_topic_of_another(world: World) -> None:
    with pytest.raises(PublisherMismatch):
        route(world, Site(world, "JCF").seal(["ATF"]).value, owner="ATF")


def test_garbage(world: World) -> None:
    with pytest.raises(RejectedError):
        route(world, b"garbage")


def test_a_newer_directory_is_waited_for(world: World) -> None:
    newer = World.of("JCF", "ATF", "RSS")
    newer.version = world.version + 1
    with pytest.raises(DirectoryBehind):
        route(world, Site(newer, "JCF").seal(["ATF"]).value)


def test_priority_and_handling_come_from_the_signed_lane(world: World) -> None:
    urgent = replace(ROUTE, priority=Priority.URGENT, handling=parse_handling("TLP:RED H3"))
    routed = route(world, Site(world, "JCF").seal(["ATF"], route=urgent).value)
    assert routed.bundle.route == urgent


def test_same_in_same_out(world: World) -> None:
    value = Site(world, "JCF").seal(["ATF", "RSS"]).value
    assert route(world, value).deliveries == route(world, value).deliveries


def test_the_stub_of_a_denied_entry(world: World) -> None:
    routed = route(world, Site(world, "JCF").seal(["ATF"]).value, subscriptions=NoSubscriptions({}))
    assert parse_stub(routed.bundle.stub(ATF)).entry
