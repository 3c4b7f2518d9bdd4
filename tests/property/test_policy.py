"""An independent, slow model decides the same as hub/policy; and each consent moves decisions only in its direction.

The model reads rules as plain data and counts truth as 0, 1, 2 (no, unknown, yes): tests/support/three_consents.py. It
shares no code with what it checks. tests/property/test_who.py goes from end to end.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.model import (
    AgencyId,
    Agreement,
    Compartment,
    Event,
    EventId,
    EventRef,
    Handling,
    Priority,
    Purpose,
    Route,
    Siena,
    Tlp,
)
from hub.policy.agreement import decide_agreement
from hub.policy.decide import ReleasePolicy
from hub.policy.release import parse_release
from hub.policy.subscription import parse_subscription
from hub.trust.directory import Directory
from tests.support.authority import NOW_MS, World
from tests.support.small_catalog import SMALL_CATALOG, an_event
from tests.support.three_consents import GONE, fits, released

PUBLISHER = AgencyId("JCF")
RECIPIENTS = ("ATF", "RSS", "NCA")
ORDER = ("core", "personal", "sensitive")
NOTICE = SMALL_CATALOG.get("firearm.notice")
BASE = World.of(PUBLISHER, *RECIPIENTS)
DIRECTORY = BASE.directory()

# --- what is drawn ----------------------------------------------------------------------------------------------------

handlings = st.builds(Handling, st.sampled_from(Tlp), st.sampled_from([None, *Siena]))
compartments = st.lists(st.sampled_from(ORDER), min_size=1, unique=True)


def maybe(values: Any) -> Any:
    return st.one_of(st.just(GONE), st.none(), values)


bodies = st.fixed_dictionaries(
    {
        "kind": maybe(st.sampled_from(["LOST", "STOLEN"])),
        "count": maybe(st.integers(0, 3)),
        "ffl_theft": maybe(st.booleans()),
        "holder": maybe(st.sampled_from(RECIPIENTS)),
        "routes": maybe(st.lists(st.sampled_from(["US", "JM"]), max_size=2)),
        "owner": maybe(st.fixed_dictionaries({"nationality": maybe(st.sampled_from(["US", "NO"]))})),
        "firearms": maybe(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "serial_status": maybe(st.sampled_from(["LEGIBLE", "NONE"])),
                        "barrel_mm": maybe(st.integers(0, 3)),
                    }
                ),
                max_size=2,
            )
        ),
    }
)
item_leaves = st.one_of(
    st.builds(
        lambda v: {"field": "serial_status", "in": v}, st.lists(st.sampled_from(["LEGIBLE", "NONE"]), min_size=1)
    ),
    st.builds(lambda v: {"field": "barrel_mm", "at_most": v}, st.integers(0, 3)),
    st.builds(lambda v: {"field": "barrel_mm", "exists": v}, st.booleans()),
)
leaves = st.one_of(
    st.builds(lambda v: {"field": "kind", "equals": v}, st.sampled_from(["LOST", "STOLEN"])),
    st.builds(lambda v: {"field": "count", "at_least": v}, st.integers(0, 3)),
    st.builds(lambda v, w: {"field": "count", "at_least": v, "at_most": w}, st.integers(0, 3), st.integers(0, 3)),
    st.builds(lambda v: {"field": "ffl_theft", "equals": v}, st.booleans()),
    st.builds(lambda v: {"field": "routes", "contains": v}, st.sampled_from(["US", "JM"])),
    st.builds(lambda v: {"field": "owner.nationality", "equals": v}, st.sampled_from(["US", "NO"])),
    st.builds(
        lambda f, v: {"field": f, "exists": v}, st.sampled_from(["owner", "owner.nationality", "routes"]), st.booleans()
    ),
    st.builds(lambda v: {"label": "handling", "at_most": str(v)}, handlings),
    st.builds(lambda v: {"label": "priority", "equals": v.value}, st.sampled_from(Priority)),
    st.builds(
        lambda form, inner: {form: "firearms", "where": inner}, st.sampled_from(["any_item", "every_item"]), item_leaves
    ),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda c: {"not": c}, inner),
        st.builds(lambda w, cs: {w: cs}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)
named = st.lists(
    st.sampled_from([*RECIPIENTS, "requester", {"field": "holder"}]), min_size=1, max_size=3, unique_by=str
)
recipients = st.one_of(st.just("*"), named, st.builds(lambda n: {"other_than": n}, named))
rules = st.fixed_dictionaries(
    {"types": st.just(["firearm.notice"]), "to": recipients, "compartments": compartments},
    optional={"when": conditions},
)
releases = st.fixed_dictionaries({"allow": st.lists(rules, max_size=4), "never": st.lists(rules, max_size=3)})
agreements = st.builds(
    lambda to, kinds, which, purposes, most, begin, end: Agreement(
        "", PUBLISHER, AgencyId(to), frozenset(kinds), frozenset(which), frozenset(purposes), most, begin, end
    ),
    st.sampled_from(RECIPIENTS),
    st.lists(st.sampled_from(["firearm.notice", "case.update"]), min_size=1),
    st.lists(st.sampled_from([Compartment(c) for c in ORDER]), min_size=1),
    st.lists(st.sampled_from([Purpose.INVESTIGATION, Purpose.STATISTICS]), min_size=1),
    handlings,
    st.sampled_from([0, NOW_MS - 1, NOW_MS, NOW_MS + 1]),
    st.sampled_from([NOW_MS - 1, NOW_MS, NOW_MS + 1, NOW_MS + 10**10]),
)
books = st.lists(agreements, max_size=5).map(
    lambda found: tuple(replace(agreement, agreement_id=f"#{i}") for i, agreement in enumerate(found))
)
nested = books.map(
    # compartments that hold each other, like the schema's own order: no two agreements are each wider in its own way
    lambda found: tuple(
        replace(a, compartments=frozenset(Compartment(c) for c in ORDER[: len(a.compartments)])) for a in found
    )
)
events = st.builds(
    lambda body, handling, priority, purpose, asked: an_event(
        present(body), handling=handling, priority=priority, purpose=purpose, in_reply_to=asked
    ),
    bodies,
    handlings,
    st.sampled_from(Priority),
    st.sampled_from([Purpose.INVESTIGATION, Purpose.STATISTICS]),
    st.sampled_from([None, *(EventRef(AgencyId(agency), EventId(bytes(16))) for agency in RECIPIENTS)]),
)


def present(value: Any) -> Any:
    """Drawn data without what is GONE."""
    if isinstance(value, dict):
        return {key: present(inner) for key, inner in value.items() if inner is not GONE}
    return [present(item) for item in value] if isinstance(value, list) else value


def directory_of(book: tuple[Agreement, ...]) -> Directory:
    """The base directory with other agreements; signing each one drawn would only slow the search."""
    return replace(DIRECTORY, all_agreements=book, digest=repr(book).encode())


def yaml_of(release: dict[str, Any]) -> str:
    """JSON is YAML."""
    number = iter(range(100))
    return json.dumps(
        {part: [{"rule": f"rule {next(number)}", **rule} for rule in found] for part, found in release.items()}
    )


# --- the model --------------------------------------------------------------------------------------------------------


def labels_of(event: Event) -> dict[str, Any]:
    return {
        "handling": str(event.handling),
        "priority": event.priority.value,
        "purpose": event.purpose.value,
    }


def model_release(release: dict[str, Any], event: Event, agency: str) -> set[str]:
    requester = None if event.in_reply_to is None else event.in_reply_to.publisher
    return released(release, agency, event.body, labels_of(event), requester)


def model_covers(agreement: Agreement, event: Event, wanted: set[str]) -> bool:
    most = agreement.max_handling
    return (
        event.event_type in agreement.event_types
        and event.purpose in agreement.purposes
        and agreement.not_before_ms <= NOW_MS < agreement.not_after_ms
        and event.handling.tlp <= most.tlp
        and (event.handling.siena is None or (most.siena is not None and event.handling.siena <= most.siena))
        and wanted <= set(agreement.compartments)
    )


def model_ceiling(book: tuple[Agreement, ...], event: Event, agency: str) -> set[str]:
    widest: set[str] = set()
    for agreement in book:
        if agreement.recipient == agency and model_covers(agreement, event, set()):
            covered = {str(c) for c in agreement.compartments}
            widest = covered if len(covered) > len(widest) else widest
    return widest


def decided(release: dict[str, Any], book: tuple[Agreement, ...], event: Event) -> dict[str, set[str]]:
    policy = ReleasePolicy(parse_release(yaml_of(release), SMALL_CATALOG), PUBLISHER)
    directory = directory_of(book)
    first = policy.grants(event, NOTICE, directory, NOW_MS)
    assert policy.grants(event, NOTICE, directory, NOW_MS) == first  # remembered
    assert [list(c) for _, c in first] == [[n for n in ORDER if n in c] for _, c in first]
    assert all(c for _, c in first)
    return {agency: set(found) for agency, found in first}


SLOW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- the properties ---------------------------------------------------------------------------------------------------


@SLOW
@given(releases, books, st.lists(events, min_size=1, max_size=3))
def test_the_model_decides_the_same(release: dict[str, Any], book: tuple[Agreement, ...], several: list[Event]) -> None:
    policy = ReleasePolicy(parse_release(yaml_of(release), SMALL_CATALOG), PUBLISHER)
    directory = directory_of(book)
    for event in several:
        found = {agency: set(c) for agency, c in policy.grants(event, NOTICE, directory, NOW_MS)}
        wanted = {
            agency: both
            for agency in RECIPIENTS
            if (both := model_release(release, event, agency) & model_ceiling(book, event, agency))
        }
        assert found == wanted


@SLOW
@given(releases, books, events)
def test_what_is_granted_is_covered_by_one_agreement(
    release: dict[str, Any], book: tuple[Agreement, ...], event: Event
) -> None:
    route = Route(event.event_type, 1, event.handling, event.priority, event.purpose)
    for agency, found in decided(release, book, event).items():
        decision = decide_agreement(
            directory_of(book),
            publisher=PUBLISHER,
            recipient=AgencyId(agency),
            route=route,
            compartments=tuple(Compartment(c) for c in ORDER if c in found),
            now_ms=NOW_MS,
        )
        assert decision.allowed


@SLOW
@given(books, events, compartments, st.sampled_from(RECIPIENTS))
def test_the_model_covers_the_same(book: tuple[Agreement, ...], event: Event, wanted: list[str], agency: str) -> None:
    decision = decide_agreement(
        directory_of(book),
        publisher=PUBLISHER,
        recipient=AgencyId(agency),
        route=Route(event.event_type, 1, event.handling, event.priority, event.purpose),
        compartments=tuple(Compartment(c) for c in ORDER if c in wanted),
        now_ms=NOW_MS,
    )
    assert decision.allowed == any(model_covers(a, event, set(wanted)) for a in book if a.recipient == agency)


@SLOW
@given(releases, books, events, rules)
def test_a_never_rule_only_narrows(
    release: dict[str, Any], book: tuple[Agreement, ...], event: Event, rule: dict[str, Any]
) -> None:
    before = decided(release, book, event)
    after = decided({**release, "never": [*release["never"], rule]}, book, event)
    assert all(found <= before.get(agency, set()) for agency, found in after.items())


@SLOW
@given(releases, books, events, rules)
def test_an_allow_rule_only_widens_and_never_beyond_the_agreements(
    release: dict[str, Any], book: tuple[Agreement, ...], event: Event, rule: dict[str, Any]
) -> None:
    before = decided(release, book, event)
    after = decided({**release, "allow": [*release["allow"], rule]}, book, event)
    assert all(found <= after.get(agency, set()) for agency, found in before.items())
    assert all(found <= model_ceiling(book, event, agency) for agency, found in after.items())


@SLOW
@given(books, events, agreements, compartments, st.sampled_from(RECIPIENTS))
def test_an_agreement_only_widens_what_is_covered(
    book: tuple[Agreement, ...], event: Event, more: Agreement, wanted: list[str], agency: str
) -> None:
    def allowed(found: tuple[Agreement, ...]) -> bool:
        return decide_agreement(
            directory_of(found),
            publisher=PUBLISHER,
            recipient=AgencyId(agency),
            route=Route(event.event_type, 1, event.handling, event.priority, event.purpose),
            compartments=tuple(Compartment(c) for c in ORDER if c in wanted),
            now_ms=NOW_MS,
        ).allowed

    more = replace(more, agreement_id=f"#{len(book)}")
    assert allowed((*book, more)) >= allowed(book)


@SLOW
@given(releases, nested, nested, events)
def test_agreements_only_widen_what_is_granted(
    release: dict[str, Any], book: tuple[Agreement, ...], more: tuple[Agreement, ...], event: Event
) -> None:
    more = tuple(replace(a, agreement_id=f"more {i}") for i, a in enumerate(more))
    before, after = decided(release, book, event), decided(release, (*book, *more), event)
    assert all(found <= after.get(agency, set()) for agency, found in before.items())


@SLOW
@given(releases, nested, events, st.integers(0, 5))
def test_an_end_only_narrows(release: dict[str, Any], book: tuple[Agreement, ...], event: Event, ends: int) -> None:
    ended = tuple(replace(a, not_before_ms=0, not_after_ms=NOW_MS) for a in book[:ends]) + book[ends:]
    before, after = decided(release, book, event), decided(release, ended, event)
    assert all(found <= before.get(agency, set()) for agency, found in after.items())


@SLOW
@given(releases, books, events)
def test_an_absent_field_releases_nothing_more(
    release: dict[str, Any], book: tuple[Agreement, ...], event: Event
) -> None:
    """What a partly known event is granted, some whole event with those facts is granted too: nothing is invented."""
    blank = replace(event, body={})
    found = decided(release, book, blank)
    for agency, which in found.items():
        assert which <= model_release(release, blank, agency)
        # without any fact about the body, only rules that hold whatever the body says may have acted
        assert which <= model_release({**release, "never": []}, event, agency)


@SLOW
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "types": st.lists(st.sampled_from(["firearm.notice", "case.update"]), min_size=1),
                "from": st.one_of(st.just("*"), st.lists(st.sampled_from(["JCF", "ATF"]), min_size=1)),
            },
            optional={
                "priorities": st.lists(st.sampled_from([p.value for p in Priority]), min_size=1),
                "handling": st.builds(lambda h: {"at_most": str(h)}, handlings),
            },
        ),
        max_size=4,
    ),
    events,
)
def test_the_model_subscribes_the_same(clauses: list[dict[str, Any]], event: Event) -> None:
    text = json.dumps({"agency": "RSS", "accept": [{"name": f"c{i}", **c} for i, c in enumerate(clauses)]})
    asked = parse_subscription(text, SMALL_CATALOG)
    route = Route(event.event_type, 1, event.handling, event.priority, event.purpose)

    def model(clause: dict[str, Any]) -> bool:
        return (
            event.event_type in clause["types"]
            and (clause["from"] == "*" or "JCF" in clause["from"])
            and event.priority.value in clause.get("priorities", [event.priority.value])
            and ("handling" not in clause or fits(str(event.handling), clause["handling"]["at_most"]))
        )

    wanted = any(model(clause) for clause in clauses)
    assert asked.decide_labels(PUBLISHER, route).allowed == wanted
    assert parse_subscription(asked.hub_part(), SMALL_CATALOG).decide_labels(PUBLISHER, route).allowed == wanted
