"""What `hub agreement diff` calls a widening is one, and a narrowing one, judged by a slow model that looks at each
single thing that an agreement can allow. The model shares no code with what it checks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.model import HUB, AgencyId, Compartment, Handling, Onward, Purpose, Siena, Tlp
from hub.policy.agreement_diff import AgreementDiff, Effect, diff_agreements
from hub.trust.agreement import AgreementDocument, Clause

PARTIES = (AgencyId("ATF"), AgencyId("JCF"))
DIRECTIONS = (PARTIES, PARTIES[::-1])
TYPES = ("trace.ack", "trace.request")
SETS = (frozenset({"core"}), frozenset({"personal"}), frozenset({"core", "personal"}))
PURPOSES = (Purpose.INVESTIGATION, Purpose.STATISTICS)
HANDLINGS = tuple(Handling(t, s) for t in (Tlp.GREEN, Tlp.AMBER, Tlp.RED) for s in (None, Siena.H1, Siena.H2))
DAYS = (1, 2)
TIMES = (0, 1, 2, 3)


def some(values: Any) -> Any:
    return st.frozensets(st.sampled_from(values), min_size=1)


clauses = st.builds(
    lambda way, types, which, purposes, most, onward, days: Clause(
        way[0], way[1], types, frozenset(Compartment(c) for c in which), purposes, most, onward, days
    ),
    st.sampled_from(DIRECTIONS),
    some(TYPES),
    st.sampled_from(SETS),
    some(PURPOSES),
    st.sampled_from(HANDLINGS),
    st.sampled_from(Onward),
    st.sampled_from(DAYS),
)
documents = st.builds(
    lambda found, begin, length: AgreementDocument(
        "MOU", HUB, 1, "title", "reference", PARTIES, begin, begin + length, tuple(found)
    ),
    st.lists(clauses, min_size=1, max_size=3),
    st.sampled_from(TIMES[:3]),
    st.integers(1, 2),
)
edits = st.one_of(
    st.builds(lambda part: ("clause", part), clauses),
    st.builds(lambda i, other: ("field", i, other), st.integers(0, 2), clauses),
    st.builds(lambda i: ("drop", i), st.integers(0, 2)),
    st.builds(lambda i: ("split", i), st.integers(0, 2)),
    st.just(("turn", 0)),
    st.builds(lambda begin, length: ("dates", begin, length), st.sampled_from(TIMES[:3]), st.integers(1, 2)),
)
FIELDS = ("event_types", "compartments", "purposes", "max_handling", "onward", "retention_days")


def edited(document: AgreementDocument, several: list[Any], field: str) -> AgreementDocument:
    """The document after some small edits: what a new version looks like more often than two random ones."""
    found = list(document.clauses)
    begin, end = document.not_before_ms, document.not_after_ms
    for edit in several:
        i = edit[1] % len(found) if edit[0] in ("field", "drop", "split") else 0
        if edit[0] == "clause":
            found.append(edit[1])
        elif edit[0] == "field":
            found[i] = replace(found[i], **{field: getattr(edit[2], field)})
        elif edit[0] == "drop" and len(found) > 1:
            del found[i]
        elif edit[0] == "split" and len(found[i].event_types) > 1:
            one, *rest = sorted(found[i].event_types)
            found[i : i + 1] = [
                replace(found[i], event_types=frozenset({one})),
                replace(found[i], event_types=frozenset(rest)),
            ]
        elif edit[0] == "turn":
            found = [*found[1:], found[0]]
        elif edit[0] == "dates":
            begin, end = edit[1], edit[1] + edit[2]
    return replace(document, clauses=tuple(found), not_before_ms=begin, not_after_ms=end)


pairs = st.one_of(
    st.tuples(documents, documents),
    st.builds(
        lambda document, several, field: (document, edited(document, several, field)),
        documents,
        st.lists(edits, min_size=1, max_size=2),
        st.sampled_from(FIELDS),
    ),
)

# --- the model --------------------------------------------------------------------------------------------------------


def fits(label: Handling, most: Handling) -> bool:
    return label.tlp <= most.tlp and (label.siena is None or (most.siena is not None and label.siena <= most.siena))


def allowed(document: AgreementDocument) -> set[Any]:
    """Each single thing: an event's route and compartments, the moment, a use of it afterwards, a day to keep it."""
    things = set()
    for clause in document.clauses:
        things |= set(
            product(
                [(clause.originator, clause.recipient)],
                clause.event_types,
                [which for which in SETS if all(c in clause.compartments for c in which)],
                clause.purposes,
                [label for label in HANDLINGS if fits(label, clause.max_handling)],
                [moment for moment in TIMES if document.not_before_ms <= moment < document.not_after_ms],
                [use for use in Onward if use.value <= clause.onward.value],
                [day for day in DAYS if day <= clause.retention_days],
            )
        )
    return things


def granted(document: AgreementDocument) -> dict[Any, frozenset[str]]:
    """What a publisher that releases everything seals: the widest clause's compartments, of two the first by name."""
    found: dict[Any, frozenset[str]] = {}
    for way, name, purpose, label, moment in product(DIRECTIONS, TYPES, PURPOSES, HANDLINGS, TIMES):
        widest: tuple[int, frozenset[str]] = (0, frozenset())
        for clause in document.clauses:
            holds = document.not_before_ms <= moment < document.not_after_ms
            if not holds or (clause.originator, clause.recipient) != way or not fits(label, clause.max_handling):
                continue
            if name in clause.event_types and purpose in clause.purposes and len(clause.compartments) > widest[0]:
                widest = (len(clause.compartments), frozenset(clause.compartments))
        found[way, name, purpose, label, moment] = widest[1]
    return found


def crossing(document: AgreementDocument) -> bool:
    """Whether two clauses can hold for one event, each with a compartment that the other lacks."""
    return any(
        (a.originator, a.recipient) == (b.originator, b.recipient)
        and a.event_types & b.event_types
        and a.purposes & b.purposes
        and a.compartments - b.compartments
        and b.compartments - a.compartments
        for a, b in product(document.clauses, repeat=2)
    )


def widens(diff: AgreementDiff) -> bool:
    return diff.effect in (Effect.WIDENS, Effect.BOTH)


def narrows(diff: AgreementDiff) -> bool:
    return diff.effect in (Effect.NARROWS, Effect.BOTH)


SLOW = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(pairs)
def test_the_verdict_is_the_models(pair: tuple[AgreementDocument, AgreementDocument]) -> None:
    before, after = pair
    diff = diff_agreements(before, after)
    was, is_now = allowed(before), allowed(after)
    if crossing(before) or crossing(after):
        # which of two crossing clauses is used may change: then it is never called one of the two alone
        assert (widens(diff), narrows(diff)) in {(bool(is_now - was), bool(was - is_now)), (True, True)}
    else:
        assert (widens(diff), narrows(diff)) == (bool(is_now - was), bool(was - is_now))


@SLOW
@given(pairs)
def test_what_only_narrows_lets_nothing_more_through(pair: tuple[AgreementDocument, AgreementDocument]) -> None:
    before, after = pair
    diff = diff_agreements(before, after)
    was, is_now = granted(before), granted(after)
    if not widens(diff):
        assert all(is_now[thing] <= was[thing] for thing in was)
    if not narrows(diff):
        assert all(was[thing] <= is_now[thing] for thing in was)


@SLOW
@given(pairs)
def test_the_lines_say_what_the_verdict_says(pair: tuple[AgreementDocument, AgreementDocument]) -> None:
    before, after = pair
    diff = diff_agreements(before, after)
    assert diff.same == (before == after)
    assert diff.same or diff.changes
    lines = {change.effect for change in diff.changes}
    assert not ({Effect.WIDENS, Effect.BOTH} & lines and not widens(diff))
    assert not ({Effect.NARROWS, Effect.BOTH} & lines and not narrows(diff))
    assert bool({Effect.WIDENS, Effect.BOTH} & lines) >= widens(diff)
    assert bool({Effect.NARROWS, Effect.BOTH} & lines) >= narrows(diff)


@SLOW
@given(pairs)
def test_the_way_back_is_the_other_way(pair: tuple[AgreementDocument, AgreementDocument]) -> None:
    there, back = diff_agreements(*pair), diff_agreements(*reversed(pair))
    assert (widens(there), narrows(there)) == (narrows(back), widens(back))
