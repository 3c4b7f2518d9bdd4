"""hub/policy/decide.py: release and agreement together, remembered rightly."""

from __future__ import annotations

import time
import timeit

import pytest

from hub.catalog import Catalog
from hub.model import HUB, AgencyId, Event, Grants, Purpose, parse_handling
from hub.policy.decide import ReleasePolicy, hub_release, route_of
from hub.policy.handling import HandlingLoosened
from hub.policy.release import parse_release
from hub.policy.source import PolicyInvalid
from tests.support.authority import NOW_MS, World
from tests.support.samples import catalog, sample_event
from tests.support.small_catalog import SMALL_CATALOG, an_event, firearm_body

JCF, ATF, RSS, NCA = AgencyId("JCF"), AgencyId("ATF"), AgencyId("RSS"), AgencyId("NCA")
NOTICE = SMALL_CATALOG.get("firearm.notice")
RULES = """\
agency: JCF
allow:
  - rule: stolen firearms go to partners
    types: [firearm.notice]
    to: [ATF, RSS]
    compartments: all
    when: {field: kind, equals: STOLEN}
never:
  - rule: no persons to RSS
    types: "*"
    to: RSS
    compartments: [personal]
"""


@pytest.fixture
def world() -> World:
    world = World.of("JCF", "ATF", "RSS", "NCA")
    world.agree("JCF", "ATF", "firearm.notice", compartments=["core", "personal"], agreement_id="MOU #1")
    world.agree("JCF", "RSS", "firearm.notice", agreement_id="MOU #2", not_after_ms=NOW_MS + 1000)
    world.agree("JCF", "NCA", "firearm.notice", agreement_id="MOU #3")
    return world


@pytest.fixture
def policy() -> ReleasePolicy:
    return ReleasePolicy(parse_release(RULES, SMALL_CATALOG), JCF)


def grants(policy: ReleasePolicy, world: World, event: Event | None = None, now_ms: int = NOW_MS) -> Grants:
    return policy.grants(an_event() if event is None else event, NOTICE, world.directory(), now_ms)


def test_no_more_than_either_allows(policy: ReleasePolicy, world: World) -> None:
    assert grants(policy, world) == ((ATF, ("core", "personal")), (RSS, ("core", "sensitive")))


def test_the_reasons(policy: ReleasePolicy, world: World) -> None:
    found = policy.explain(an_event(), NOTICE, world.directory(), NOW_MS)
    assert [decision.code for decision in found[ATF]] == ["release.given", "agreement.covered"]
    assert found[ATF][1].clause == "MOU #1"
    assert [decision.code for decision in found[NCA]] == ["release.none"]
    event = an_event(handling=parse_handling("TLP:AMBER"), purpose=Purpose.STATISTICS)
    world.agreed[0] = world.agree("JCF", "ATF", "firearm.notice", purposes=[Purpose.FORENSICS], agreement_id="MOU #9")
    world.agreed.pop()
    found = policy.explain(event, NOTICE, world.directory(), NOW_MS)
    assert [decision.code for decision in found[ATF]] == ["release.given", "agreement.purpose"]


def test_a_never_rule_does_not_make_another_agreement_the_widest(world: World) -> None:
    world.agree("JCF", "ATF", "firearm.notice", compartments=["core", "sensitive"], agreement_id="MOU #1b")
    taken = parse_release(RULES.replace("to: RSS", "to: [RSS, ATF]"), SMALL_CATALOG)
    assert grants(ReleasePolicy(parse_release(RULES, SMALL_CATALOG), JCF), world)[0] == (ATF, ("core", "personal"))
    assert grants(ReleasePolicy(taken, JCF), world)[0] == (ATF, ("core",))


def test_an_agreement_that_covers_none_of_what_is_released(world: World) -> None:
    world.withdraw(world.agreed[0])
    world.agree("JCF", "ATF", "firearm.notice", compartments=["personal"], agreement_id="MOU #1")
    text = RULES.replace("compartments: all", "compartments: [core]")
    found = ReleasePolicy(parse_release(text, SMALL_CATALOG), JCF).explain(
        an_event(), NOTICE, world.directory(), NOW_MS
    )
    assert [decision.code for decision in found[ATF]] == ["release.given", "agreement.compartments"]
    assert found[ATF][1].clause == "MOU #1"


def test_nobody(policy: ReleasePolicy, world: World) -> None:
    assert grants(policy, world, an_event(firearm_body(kind="LOST"))) == ()
    world.suspend("JCF")
    assert grants(policy, world) == ()


def test_an_agreement_ends_while_decisions_are_remembered(policy: ReleasePolicy, world: World) -> None:
    directory = world.directory()
    ask = [policy.grants(an_event(), NOTICE, directory, NOW_MS + later) for later in (0, 999, 1000, 2000, 999)]
    assert [RSS in dict(found) for found in ask] == [True, True, False, False, True]


def test_the_directory_expires_while_decisions_are_remembered(policy: ReleasePolicy, world: World) -> None:
    directory = world.directory()
    assert policy.grants(an_event(), NOTICE, directory, world.expires_at_ms - 1)
    assert policy.grants(an_event(), NOTICE, directory, world.expires_at_ms) == ()


def test_another_directory_is_another_decision(policy: ReleasePolicy, world: World) -> None:
    assert ATF in dict(grants(policy, world))
    world.withdraw(world.agreed[0])
    assert ATF not in dict(grants(policy, world))


def test_labels_are_facts(policy: ReleasePolicy, world: World) -> None:
    world.agreed[0] = world.agree("JCF", "ATF", "firearm.notice", max_handling="TLP:AMBER", agreement_id="MOU #9")
    world.agreed.pop()
    assert ATF in dict(grants(policy, world))
    assert ATF not in dict(grants(policy, world, an_event(handling=parse_handling("TLP:RED"))))


def test_rules_of_another_originator() -> None:
    with pytest.raises(PolicyInvalid, match="JCF"):
        ReleasePolicy(parse_release(RULES, SMALL_CATALOG), ATF)


def test_a_header_stricter_than_the_label_is_refused(policy: ReleasePolicy, world: World) -> None:
    body = firearm_body(header={"handling": {"scheme": "TLP", "code": "RED"}})
    with pytest.raises(HandlingLoosened):
        grants(policy, world, an_event(body))


def test_grants_and_reasons_at_once(world: World) -> None:
    policy = ReleasePolicy(parse_release(RULES, SMALL_CATALOG), JCF)
    found, reasons = policy.decide(an_event(), NOTICE, world.directory(), NOW_MS)
    assert found[0] == (ATF, ("core", "personal"))
    assert set(reasons) == {ATF, RSS, NCA}
    assert route_of(an_event(), NOTICE).event_type == "firearm.notice"


def test_the_hubs_notices_go_to_the_agency_that_they_are_for(world: World) -> None:
    catalog = Catalog.load()
    policy = ReleasePolicy(hub_release(catalog), HUB)
    notice = an_event({"recipient": "NCA"}, event_type="hub.notice", purpose=Purpose.HUB_OPERATION)
    found = policy.grants(notice, catalog.get("hub.notice"), world.directory(), NOW_MS)
    assert found == ((NCA, ("core",)),)


def test_remembered_decisions_take_microseconds(policy: ReleasePolicy, world: World) -> None:
    directory, event = world.directory(), an_event()
    policy.grants(event, NOTICE, directory, NOW_MS)
    ask = timeit.Timer(lambda: policy.grants(event, NOTICE, directory, NOW_MS), timer=time.process_time)
    took = min(ask.repeat(number=2000, repeat=5)) / 2000
    assert took < 50e-6  # 3 us on an idle machine


def test_a_compartment_that_needs_another_goes_without_it() -> None:
    """docs/adr/0115: who may have the sensitive part and not the persons learns of no gang, and of no person."""
    world = World.of("JCF", "ATF", "RSS")
    everything = ["core", "personal", "sensitive", "affiliation"]
    for recipient in ("ATF", "RSS"):
        world.agree("JCF", recipient, "seizure.report", compartments=everything)
    rules = RULES.replace("firearm.notice", "seizure.report").replace("    when: {field: kind, equals: STOLEN}\n", "")
    policy = ReleasePolicy(parse_release(rules, catalog()), JCF)
    event, directory = sample_event("seizure.report"), world.directory()
    found = policy.grants(event, catalog().get("seizure.report"), directory, NOW_MS)
    assert found == ((ATF, tuple(everything)), (RSS, ("core", "sensitive")))
