"""hub/policy/agreement.py: one agreement covers all of it by itself, or nothing travels."""

from __future__ import annotations

from typing import Any

import pytest

from hub.model import HUB, AgencyId, Compartment, Decision, Priority, Purpose, Route, parse_handling
from hub.policy.agreement import HUB_CLAUSE, boundaries, ceiling, decide_agreement, each_wider
from tests.support.authority import DAY_MS, NOW_MS, World

JCF, ATF, RSS = AgencyId("JCF"), AgencyId("ATF"), AgencyId("RSS")
ALL = (Compartment("core"), Compartment("personal"), Compartment("sensitive"))
CORE = ALL[:1]


def route(
    event_type: str = "trace.request", handling: str = "TLP:AMBER", purpose: Purpose = Purpose.INVESTIGATION
) -> Route:
    return Route(event_type, 1, parse_handling(handling), Priority.ROUTINE, purpose)


@pytest.fixture
def world() -> World:
    return World.of("JCF", "ATF", "RSS")


def decide(
    world: World,
    *,
    to: AgencyId = ATF,
    by: AgencyId = JCF,
    compartments: tuple[Compartment, ...] = CORE,
    now_ms: int = NOW_MS,
    **labels: Any,
) -> Decision:
    return decide_agreement(
        world.directory(),
        publisher=by,
        recipient=to,
        route=route(**labels),
        compartments=compartments,
        now_ms=now_ms,
    )


def test_covered_and_by_which(world: World) -> None:
    world.agree("JCF", "ATF", "seizure.report", agreement_id="MOU #1")
    world.agree("JCF", "ATF", "trace.request", agreement_id="MOU #2")
    found = decide(world, compartments=ALL)
    assert (found.allowed, found.code, found.clause) == (True, "agreement.covered", "MOU #2")
    assert found.compartments == ALL


@pytest.mark.parametrize(
    ("agreed", "asked", "code"),
    [
        ({}, {"event_type": "trace.result"}, "agreement.type"),
        ({}, {"compartments": ()}, "agreement.empty"),
        ({"compartments": ["core"]}, {"compartments": ALL[:2]}, "agreement.compartments"),
        ({"purposes": [Purpose.STATISTICS]}, {}, "agreement.purpose"),
        ({"max_handling": "TLP:GREEN"}, {}, "agreement.handling"),
        ({"max_handling": "TLP:RED"}, {"handling": "TLP:AMBER H1"}, "agreement.handling"),
        ({"max_handling": "TLP:RED H1"}, {"handling": "TLP:CLEAR H2"}, "agreement.handling"),
        ({"not_before_ms": NOW_MS + 1}, {}, "agreement.not_yet"),
        ({"not_after_ms": NOW_MS}, {}, "agreement.ended"),
        ({}, {"to": RSS}, "agreement.none"),
        ({}, {"to": JCF, "by": ATF}, "agreement.none"),
        ({}, {"to": JCF}, "agreement.self"),
        ({}, {"to": HUB}, "agreement.hub_recipient"),
        ({}, {"to": AgencyId("NCA")}, "agreement.recipient_unknown"),
        ({}, {"by": AgencyId("NCA")}, "agreement.originator_unknown"),
        ({}, {"now_ms": NOW_MS + 30 * DAY_MS}, "agreement.directory_expired"),
    ],
)
def test_denied(world: World, agreed: dict[str, Any], asked: dict[str, Any], code: str) -> None:
    world.agree("JCF", "ATF", "trace.request", **agreed)
    found = decide(world, **asked)
    assert (found.allowed, found.code, found.compartments) == (False, code, ())


def test_the_edges_of_its_time(world: World) -> None:
    world.agree("JCF", "ATF", "trace.request", not_before_ms=NOW_MS, not_after_ms=NOW_MS + 10)
    assert [decide(world, now_ms=NOW_MS + i).allowed for i in (-1, 0, 9, 10)] == [False, True, True, False]


@pytest.mark.parametrize(("agency", "role"), [("JCF", "originator"), ("ATF", "recipient")])
def test_suspended(world: World, agency: str, role: str) -> None:
    world.agree("JCF", "ATF", "trace.request")
    assert decide(world).allowed
    world.suspend(agency)
    assert decide(world).code == f"agreement.{role}_suspended"


def test_two_agreements_are_not_put_together(world: World) -> None:
    world.agree("JCF", "ATF", "trace.request", compartments=["core"])
    world.agree("JCF", "ATF", "trace.request", compartments=["personal"])
    assert decide(world, compartments=ALL[:1]).allowed
    assert decide(world, compartments=ALL[1:2]).allowed
    assert decide(world, compartments=ALL[:2]).code == "agreement.compartments"


def test_a_denial_tells_of_the_agreement_that_came_nearest(world: World) -> None:
    world.agree("JCF", "ATF", "trace.result", agreement_id="other type")
    world.agree("JCF", "ATF", "trace.request", agreement_id="low", max_handling="TLP:CLEAR")
    world.agree("JCF", "ATF", "trace.request", agreement_id="over", not_after_ms=NOW_MS)
    found = decide(world)
    assert (found.code, found.clause) == ("agreement.handling", "low")
    assert "TLP:AMBER" in found.reason


class TestHubClause:
    """docs/adr/0011."""

    def test_the_hub_may_send_its_notices_to_any_active_agency(self, world: World) -> None:
        found = decide(world, by=HUB, event_type="hub.notice")
        assert (found.allowed, found.code, found.clause) == (True, "agreement.hub_notice", HUB_CLAUSE)
        world.suspend("ATF")
        assert decide(world, by=HUB, event_type="hub.notice").code == "agreement.recipient_suspended"
        assert decide(world, by=HUB, to=AgencyId("NCA"), event_type="hub.notice").code == "agreement.recipient_unknown"

    def test_the_core_alone(self, world: World) -> None:
        assert decide(world, by=HUB, event_type="hub.notice", compartments=ALL[:2]).code == "agreement.hub_beyond"

    def test_nothing_else(self, world: World) -> None:
        assert decide(world, by=HUB, event_type="hub.other").code == "agreement.hub_beyond"
        assert decide(world, by=HUB).code == "agreement.none"

    def test_nobody_else_even_with_an_agreement(self, world: World) -> None:
        world.agree("JCF", "ATF", "hub.notice")
        assert decide(world, event_type="hub.notice").code == "agreement.hub_only"
        found = ceiling(
            world.directory(), publisher=JCF, recipient=ATF, route=route("hub.notice"), compartments=CORE, now_ms=NOW_MS
        )
        assert found.code == "agreement.hub_only"

    def test_not_after_the_directory_has_expired(self, world: World) -> None:
        late = world.expires_at_ms
        assert decide(world, by=HUB, event_type="hub.notice", now_ms=late).code == "agreement.directory_expired"


class TestCeiling:
    def ask(self, world: World, compartments: tuple[Compartment, ...] = ALL, **labels: Any) -> Decision:
        return ceiling(
            world.directory(),
            publisher=JCF,
            recipient=ATF,
            route=route(**labels),
            compartments=compartments,
            now_ms=NOW_MS,
        )

    def test_the_widest_of_one_agreement(self, world: World) -> None:
        world.agree("JCF", "ATF", "trace.request", compartments=["core"], agreement_id="A")
        world.agree("JCF", "ATF", "trace.request", compartments=["core", "sensitive"], agreement_id="B")
        world.agree("JCF", "ATF", "trace.request", compartments=["personal", "sensitive"], agreement_id="C")
        found = self.ask(world)
        assert (found.compartments, found.clause) == ((ALL[0], ALL[2]), "B")
        assert self.ask(world, ALL[1:2]).clause == "C"

    def test_what_it_gives_is_covered(self, world: World) -> None:
        world.agree("JCF", "ATF", "trace.request", compartments=["core", "sensitive"])
        assert decide(world, compartments=self.ask(world).compartments).allowed

    def test_denied(self, world: World) -> None:
        assert self.ask(world).code == "agreement.none"
        world.agree("JCF", "ATF", "trace.request", compartments=["core"])
        assert self.ask(world, ()).code == "agreement.empty"
        assert self.ask(world, ALL[1:]).code == "agreement.compartments"
        assert self.ask(world, event_type="trace.result").code == "agreement.type"
        world.suspend("JCF")
        assert self.ask(world).code == "agreement.originator_suspended"


def test_boundaries(world: World) -> None:
    world.agree("JCF", "ATF", "trace.request", not_before_ms=1, not_after_ms=9)
    world.agree("JCF", "RSS", "trace.request", not_before_ms=5, not_after_ms=9)
    assert boundaries(world.directory(), JCF, [ATF, RSS]) == (1, 5, 9, world.expires_at_ms)


def test_agreements_that_are_each_wider_than_the_other(world: World) -> None:
    a = world.agree("JCF", "ATF", "trace.request", compartments=["core", "personal"])
    b = world.agree("JCF", "ATF", "trace.request", "trace.result", compartments=["core", "sensitive"])
    world.agree("JCF", "ATF", "trace.request", compartments=["core"])
    world.agree("JCF", "RSS", "trace.request", compartments=["sensitive"])
    world.agree("JCF", "ATF", "seizure.report", compartments=["sensitive"])
    world.agree("JCF", "ATF", "trace.request", compartments=["sensitive"], not_after_ms=NOW_MS - 365 * DAY_MS + 1)
    later = world.agreed.pop()
    assert each_wider(world.agreed) == ((a, b),)
    assert each_wider([a, later]) == ((a, later),)
    world.agree("JCF", "ATF", "trace.request", compartments=["sensitive"], purposes=[Purpose.STATISTICS])
    statistics = world.agreed.pop()
    world.agree("JCF", "ATF", "trace.request", compartments=["core", "personal"], purposes=[Purpose.FORENSICS])
    assert each_wider([world.agreed.pop(), statistics]) == ()
    past = world.agree("JCF", "ATF", "trace.request", compartments=["sensitive"], not_before_ms=0, not_after_ms=1)
    assert each_wider([a, past]) == ()
