"""The pages' functions on made facts: what stops a flow, what is old, whose key ends, what a version changed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hub.console.audit import AuditTrail
from hub.console.changes import sum_up, tell_changes
from hub.console.facts import DirectoryFacts, Facts, Metrics, Reading, Sample
from hub.console.flows import all_flows, make_flow
from hub.console.pages import PAGES, Flow
from hub.console.platform_views import directory_page, health_page
from hub.console.quarantine import CLAUSES, clause_of, held_page, quarantine_page, read_held, undecided
from hub.console.standing import NoDirectory
from hub.console.views import (
    PageUnknown,
    agencies_page,
    agency_page,
    agreements_page,
    exchange_page,
    pair_page,
)
from hub.metrics import METRICS
from hub.model import AgencyId
from hub.trust.directory import DirectoryFault
from tests.console.stage import make_directory, make_facts, make_world, quarantine_records
from tests.support.authority import DAY_MS, NOW_MS, World

CHECKS = Path(__file__).parents[2] / "docs/spec/checks.md"


@pytest.fixture(scope="module")
def facts() -> Facts:
    return make_facts()


def flow_of(facts: Facts, originator: str, recipient: str) -> Flow:
    return make_flow(facts, AgencyId(originator), AgencyId(recipient), NOW_MS)


def codes(flow: Flow) -> list[str]:
    return [stop.code for stop in flow.stops]


def in_world(facts: Facts, world: World) -> Facts:
    return replace(facts, directory=Reading(DirectoryFacts(world.directory()), NOW_MS))


def only(facts: Facts, **answers: tuple[Sample, ...]) -> Facts:
    return replace(facts, metrics=Reading(Metrics(answers), NOW_MS))


# --- flows ------------------------------------------------------------------------------------------------------------


def test_a_flow_that_runs(facts: Facts) -> None:
    flow = flow_of(facts, "JCF", "ATF")
    assert (flow.state, flow.events_per_minute, flow.age_p95_seconds, flow.stops) == ("flowing", 14.2, 1.4, ())
    assert flow.last_delivered_ms == NOW_MS - 4_000
    assert flow.event_types == ("seizure.report", "trace.request")


def test_each_direction_of_each_agreement_is_a_flow(facts: Facts) -> None:
    pairs = [(flow.originator, flow.recipient) for flow in all_flows(facts, NOW_MS)]
    assert len(pairs) == len(set(pairs)) == 11
    assert ("ATF", "HNP") not in pairs


@pytest.mark.parametrize(
    ("originator", "recipient", "state", "stops"),
    [
        ("HNP", "CCGIU", "stopped", ["agreement.ended", "site.origin_down", "site.behind"]),
        ("CCGIU", "HNP", "stopped", ["agreement.not_yet", "site.down"]),
        ("TTPS", "CCGIU", "waiting", ["site.behind", "subscription.labels"]),
        ("HNP", "ATF", "waiting", ["site.origin_down", "agreement.purpose"]),
        ("CCGIU", "INTERPOL", "quiet", []),
    ],
)
def test_what_stops_a_flow(facts: Facts, originator: str, recipient: str, state: str, stops: list[str]) -> None:
    flow = flow_of(facts, originator, recipient)
    assert (flow.state, codes(flow)) == (state, stops)


def test_what_is_only_denied_is_denied(facts: Facts) -> None:
    denied = Sample({"publisher": "JCF", "recipient": "ATF", "reason": "agreement.handling"}, 4.0)
    flow = flow_of(only(facts, denied=(denied,)), "JCF", "ATF")
    assert (flow.state, codes(flow), flow.stops[0].events) == ("denied", ["agreement.handling"], 4.0)


def test_a_suspended_agency_stops_what_it_sends_and_gets(facts: Facts) -> None:
    world = make_world()
    world.suspend("JCF")
    facts = in_world(facts, world)
    assert codes(flow_of(facts, "JCF", "ATF")) == ["publisher.suspended"]
    assert codes(flow_of(facts, "ATF", "JCF")) == ["recipient.suspended"]
    assert flow_of(facts, "ATF", "JCF").state == "stopped"


def test_an_agency_without_a_valid_key_sends_nothing(facts: Facts) -> None:
    world = make_world()
    world.revoke_signing_key("JCF")
    flow = flow_of(in_world(facts, world), "JCF", "ATF")
    assert (flow.state, codes(flow)) == ("stopped", ["signing_key.none"])


def test_without_a_router_nothing_flows(facts: Facts) -> None:
    beats = tuple(replace(beat, at_ms=NOW_MS - 31_000) for beat in facts.heartbeats.value or ())
    flow = flow_of(replace(facts, heartbeats=Reading(beats, NOW_MS)), "JCF", "ATF")
    assert (flow.state, codes(flow)) == ("stopped", ["routers.none"])


def test_what_is_not_known_is_not_shown_as_nothing(facts: Facts) -> None:
    unknown = replace(facts, metrics=Reading(code="prometheus.unavailable"), history=Reading(), heartbeats=Reading())
    flow = flow_of(unknown, "JCF", "ATF")
    assert (flow.state, flow.events_per_minute, flow.last_delivered_ms) == ("unknown", None, None)
    page = exchange_page(unknown, NOW_MS)
    assert page.routers_alive is None
    assert {node.sends_per_minute for node in page.agencies} == {None}
    states = {source.source: (source.state, source.code) for source in page.sources}
    assert states["metrics"] == ("missing", "prometheus.unavailable")
    assert states["directory"] == ("fresh", "")


def test_what_does_not_answer_any_more_is_old_with_its_time(facts: Facts) -> None:
    old = replace(facts, metrics=replace(facts.metrics, code="prometheus.unavailable", message="it does not answer"))
    (source,) = [each for each in exchange_page(old, NOW_MS + 1_000).sources if each.source == "metrics"]
    assert (source.state, source.at_ms, source.message) == ("old", NOW_MS, "it does not answer")
    (source,) = [each for each in exchange_page(facts, NOW_MS + 31_000).sources if each.source == "metrics"]
    assert source.state == "old"  # nobody said that it failed: it was just not read


# --- the other pages --------------------------------------------------------------------------------------------------


def test_an_agency_with_its_keys_processes_gaps_and_quota(facts: Facts) -> None:
    page = agency_page(facts, "JCF", NOW_MS)
    assert [(key.use, key.state) for key in page.keys] == [("signing", "valid"), ("kem", "valid"), ("kem", "valid")]
    assert [(gap.publisher, gap.gaps, gap.missing_records, gap.explained) for gap in page.gaps] == [
        ("ATF", 1, 2, False)
    ]
    assert [process.instance for process in page.processes] == ["jcf-1"]
    assert page.quota is not None
    assert page.quota.producer_byte_rate == 2e6
    assert [flow.recipient for flow in page.sends] == ["ATF", "INTERPOL"]
    assert page.faults == ()


def test_the_states_of_a_key(facts: Facts) -> None:
    world = make_world()
    world.revoke_signing_key("TTPS")
    world.rotate_signing_key("TTPS")
    world.rotate_kem_key("TTPS", from_ms=NOW_MS + DAY_MS)
    page = agency_page(in_world(facts, world), "TTPS", NOW_MS)
    assert [key.state for key in page.keys] == ["revoked", "valid", "valid", "not_yet"]
    later = agency_page(in_world(facts, world), "TTPS", NOW_MS + 366 * DAY_MS)
    assert [key.state for key in later.keys] == ["revoked", "expired", "expired", "expired"]


@pytest.mark.parametrize("agency", ["XYZ", "jcf", "", "<b>"])
def test_no_page_for_who_is_not_listed(facts: Facts, agency: str) -> None:
    with pytest.raises(PageUnknown):
        agency_page(facts, agency, NOW_MS)
    with pytest.raises(PageUnknown):
        pair_page(facts, "JCF", agency, NOW_MS)


def test_a_part_of_the_directory_that_does_not_verify_is_said(facts: Facts) -> None:
    fault = DirectoryFault("agency.JCF", "role.unsigned", "not signed by its identity key")
    known = facts.directory.value
    assert known is not None
    facts = replace(
        facts, directory=Reading(replace(known, directory=replace(known.directory, faults=(fault,))), NOW_MS)
    )
    assert [stop.code for stop in agency_page(facts, "JCF", NOW_MS).faults] == ["role.unsigned"]
    assert [(stop.code, stop.clause) for stop in directory_page(facts, NOW_MS).faults] == [
        ("role.unsigned", "agency.JCF")
    ]


def test_all_agencies_with_what_ends_first(facts: Facts) -> None:
    lines = {line.agency: line for line in agencies_page(facts, NOW_MS).agencies}
    assert set(lines) == {"HUB", "CCGIU", "ATF", "INTERPOL", "HNP", "JCF", "TTPS"}
    assert lines["JCF"].keys_valid == 3
    assert lines["JCF"].next_end_ms == NOW_MS + 365 * DAY_MS
    assert (lines["HNP"].site_up, lines["HUB"].site_up) == (False, None)


def test_the_matrix(facts: Facts) -> None:
    cells = {(cell.originator, cell.recipient): cell for cell in agreements_page(facts, NOW_MS).cells}
    assert cells["JCF", "ATF"].state == "in_force"
    assert cells["HNP", "CCGIU"].state == "ended"
    assert (cells["CCGIU", "HNP"].state, cells["CCGIU", "HNP"].from_ms) == ("not_yet", NOW_MS + 20 * DAY_MS)
    assert ("ATF", "CCGIU") not in cells


def test_the_three_consents_of_a_pair(facts: Facts) -> None:
    page = pair_page(facts, "JCF", "ATF", NOW_MS)
    assert [clause.state for clause in page.clauses] == ["in_force"]
    assert page.released is not None
    released = {each.event_type: (each.delivered, each.denied, each.denied_codes) for each in page.released}
    assert released == {
        "trace.request": (412, 0, ()),
        "seizure.report": (0, 2, ("agreement.handling",)),
    }
    assert page.asked is not None
    assert [(each.event_type, each.answer) for each in page.asked] == [
        ("seizure.report", "always"),
        ("trace.request", "always"),
    ]
    other = pair_page(facts, "TTPS", "CCGIU", NOW_MS)
    assert other.asked is not None
    assert [(each.event_type, each.answer, each.code) for each in other.asked] == [
        ("ballistic.link", "never", "subscription.labels"),
        ("seizure.report", "always", "subscription.asked"),
    ]
    nobody = pair_page(facts, "ATF", "CCGIU", NOW_MS)
    assert (nobody.clauses, nobody.flow, nobody.asked) == ((), None, ())


def test_the_health_of_the_platform(facts: Facts) -> None:
    page = health_page(facts, NOW_MS)
    assert [alert.name for alert in page.alerts] == ["UnexplainedGap", "ProcessDown"]
    assert [(router.router, router.alive) for router in page.routers] == [
        ("router-1", True),
        ("router-2", True),
        ("router-old", False),
    ]
    assert [(each.topic, each.leader) for each in page.troubled] == [("deliver.HNP", -1)]
    assert (page.topics, page.partitions) == (12, 37)
    assert health_page(Facts(), NOW_MS).brokers == ()  # it needs nothing to be shown


def test_without_a_directory_there_is_nothing_to_show_by() -> None:
    with pytest.raises(NoDirectory):
        exchange_page(Facts(), NOW_MS)


def test_who_works_by_an_older_directory(facts: Facts) -> None:
    page = directory_page(facts, NOW_MS)
    assert [(each.agency, each.directory_version) for each in page.behind] == [("TTPS", page.version - 1)]
    assert [signer.name for signer in page.signers][:2] == ["Custodian of Barbados", "Custodian of Jamaica"]


# --- what a version changed -------------------------------------------------------------------------------------------


def test_what_a_version_changed_is_told_by_codes_and_names() -> None:
    world = make_world()
    before = sum_up(world.directory())
    world.add_agency("NCA")
    world.suspend("HNP")
    ended = world.agreed[0]
    world.withdraw(ended)
    world.agree("NCA", "ATF", "trace.request", agreement_id="MOU NCA-ATF")
    world.revoke_signing_key("TTPS")
    told = {
        (change.code, change.names.get("agency") or change.names.get("agreement", ""))
        for change in tell_changes(before, sum_up(world.directory()))
    }
    assert told == {
        ("agency.joined", "NCA"),
        ("agency.suspended", "HNP"),
        ("agreement.gone", ended.agreement_id),
        ("agreement.new", "MOU NCA-ATF"),
        ("key.revoked.signing", "TTPS"),
    }


def test_a_wider_agreement_is_told_as_wider() -> None:
    world = World.of("JCF", "ATF")
    world.agree("JCF", "ATF", "trace.request", agreement_id="A", compartments=["core"])
    before = sum_up(world.directory())
    after = {
        **before,
        "agreements": {
            "A": {**before["agreements"]["A"], "types": ["seizure.report"], "compartments": ["core", "personal"]}
        },
    }
    assert [(change.code, change.names["what"]) for change in tell_changes(before, after)] == [
        ("agreement.wider", "seizure.report"),
        ("agreement.narrower", "trace.request"),
        ("agreement.wider", "personal"),
    ]


def test_a_version_that_only_lasts_longer_says_so() -> None:
    before = sum_up(make_directory())
    assert [change.code for change in tell_changes(before, {**before, "expires": before["expires"] + DAY_MS})] == [
        "prolonged"
    ]
    assert [change.code for change in tell_changes(before, before)] == ["nothing"]
    assert [change.code for change in tell_changes(None, before)] == ["first"]


# --- quarantine -------------------------------------------------------------------------------------------------------


def with_quarantine(facts: Facts) -> Facts:
    held = tuple(read_held(0, number, NOW_MS - 1, raw) for number, raw in enumerate(quarantine_records()))
    return replace(facts, quarantine=Reading(held, NOW_MS), audit=Reading(AuditTrail(), NOW_MS))


def test_what_is_held_with_its_clause_and_labels(facts: Facts) -> None:
    facts = with_quarantine(facts)
    page = quarantine_page(facts, NOW_MS)
    assert [(held.code, held.clause, held.publisher) for held in page.held] == [
        ("frame.kind_wrong", "", "unknown"),
        ("flush.from_future", "9.1, 3", "TTPS"),
        ("frame.malformed", "9.1, 1", "HNP"),
        ("limit.exceeded", "9.1, 1", "JCF"),
    ]
    assert undecided(facts) == page.undecided == 4
    held = {each.offset: each for each in facts.quarantine.value or ()}
    good, garbage, cut, none = (held_page(facts, held[number], NOW_MS) for number in range(4))
    assert good.labels is not None
    assert (good.labels.publisher, good.labels.event_type, good.labels.events) == ("TTPS", "trace.request", 3)
    assert [(page.may_retry, page.why_not) for page in (good, garbage, cut, none)] == [
        (True, ""),
        (True, ""),
        (False, "cut"),
        (False, "unreadable"),
    ]
    assert garbage.labels is None


def test_a_filter_shows_less(facts: Facts) -> None:
    facts = with_quarantine(facts)
    assert [held.publisher for held in quarantine_page(facts, NOW_MS, code="frame.malformed").held] == ["HNP"]
    assert [held.code for held in quarantine_page(facts, NOW_MS, publisher="JCF").held] == ["limit.exceeded"]


def test_every_code_of_the_routers_checks_has_its_clause() -> None:
    """docs/spec/checks.md, 9.1 and 9.3: the console's table says the same steps."""
    text = CHECKS.read_text("utf-8").split("## 10 ")[0]
    said: dict[str, str] = {}
    for step, _, cell in re.findall(r"^\| (\d) \| (.*) \| (.*) \|$", text, re.MULTILINE):
        for code in re.findall(r"`([a-z_.*]+)`", cell):
            said[code.removesuffix("*")] = f"9.1, {step}"
    said |= dict.fromkeys(re.findall(r"refuses the bundle \(`([a-z_.]+)`\)", text), "9.3")
    assert said == CLAUSES
    assert clause_of("frame.not_canonical") == "9.1, 1"
    assert clause_of("signing_key.expired") == "9.1, 3"
    assert clause_of("nobody.knows") == ""


# --- the queries, and the twins ---------------------------------------------------------------------------------------


def test_the_queries_ask_for_metrics_that_are_declared() -> None:
    from hub.console.queries import COURSES, QUICK, SLOW

    names = set(re.findall(r"\bcgi_[a-z_]+", " ".join([*QUICK.values(), *SLOW.values(), *COURSES.values()])))
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in names} - METRICS.keys() == set()


def test_every_page_is_the_same_after_json(facts: Facts) -> None:
    facts = with_quarantine(facts)
    held = (facts.quarantine.value or ())[0]
    pages = {
        "exchange": exchange_page(facts, NOW_MS),
        "agencies": agencies_page(facts, NOW_MS),
        "agency": agency_page(facts, "JCF", NOW_MS),
        "agreements": agreements_page(facts, NOW_MS),
        "pair": pair_page(facts, "JCF", "ATF", NOW_MS),
        "quarantine": quarantine_page(facts, NOW_MS),
        "held": held_page(facts, held, NOW_MS),
        "directory": directory_page(facts, NOW_MS),
        "health": health_page(facts, NOW_MS),
    }
    for name, page in pages.items():
        assert PAGES[name].model_validate_json(page.model_dump_json()) == page
