"""What is doubtful in an agreement that is well formed: it would hold, but hardly says what was meant. Pure.

A finding is an error where signing it would be a slip for certain, and a warning where the parties have to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from hub.model import Onward, Purpose, Siena, Tlp
from hub.policy.agreement_diff import clauses_allow_all
from hub.policy.agreement_draft import DAY_MS
from hub.policy.agreement_words import days_words, end_words, listed
from hub.policy.release import CatalogLike
from hub.trust.agreement import AgreementDocument, Clause

LONG_RETENTION_DAYS: Final = 5 * 366
"""Five years: the usual most for personal data (INTERPOL's rules, 28 CFR part 23)."""
LONG_TERM_MS: Final = 5 * 366 * DAY_MS


@dataclass(frozen=True, slots=True)
class Finding:
    """``field`` is as in a draft's ``lines``: ``last_day``, ``1.types``, ``2`` for the second clause as a whole."""

    error: bool
    field: str
    message: str


def check_agreement(document: AgreementDocument, catalog: CatalogLike, now_ms: int) -> tuple[Finding, ...]:
    """Every finding, the document's first, then clause by clause. Never raises."""
    return tuple(_findings(document, catalog, now_ms))


def _findings(document: AgreementDocument, catalog: CatalogLike, now_ms: int) -> Iterator[Finding]:
    if document.not_after_ms <= now_ms:
        yield Finding(True, "last_day", f"it ended at {end_words(document.not_after_ms)}: nothing passes under it")
    elif document.not_after_ms - max(now_ms, document.not_before_ms) > LONG_TERM_MS:
        yield Finding(False, "last_day", "it holds for more than five years: a shorter one is looked at again in time")
    for number, clause in enumerate(document.clauses, 1):
        yield from _clause_findings(clause, number, catalog)
    yield from _clauses_findings(document.clauses)


def _clause_findings(clause: Clause, number: int, catalog: CatalogLike) -> Iterator[Finding]:
    for name in sorted(clause.event_types):
        if name not in catalog.names():
            yield Finding(True, f"{number}.types", f"this catalog has no event type {name!r}")
            continue
        missing = clause.compartments.difference(catalog.get(name).compartments)
        if missing:
            yield Finding(
                False,
                f"{number}.compartments",
                f"{name} has no {listed(missing)}; a later version may, and this would cover it: "
                "a clause of its own covers no more than is needed",
            )
    yield from _unmet(clause, number, catalog)
    if Purpose.HUB_OPERATION in clause.purposes:
        yield Finding(
            False, f"{number}.purposes", "HUB_OPERATION is for the hub's own notices, which need no agreement"
        )
    if len(clause.purposes) >= len(Purpose) - 1:
        yield Finding(False, f"{number}.purposes", "every purpose is listed: that binds the recipient to none")
    if clause.max_handling.tlp is Tlp.RED:
        yield Finding(
            False, f"{number}.max_handling", "TLP:RED is for named persons alone; no system can hold an agency to that"
        )
    yield from _limits(clause, number)


def _unmet(clause: Clause, number: int, catalog: CatalogLike) -> Iterator[Finding]:
    """A compartment that is granted only together with others which the clause does not cover (docs/adr/0115)."""
    for name in sorted(clause.event_types.intersection(catalog.names())):
        for compartment, needed in catalog.get(name).needs.items():
            missing = set(needed) - clause.compartments
            if compartment in clause.compartments and missing:
                yield Finding(
                    False,
                    f"{number}.compartments",
                    f"of {name}, {compartment} is given only together with {listed(needed)}: without "
                    f"{listed(missing)} this clause never gives it",
                )


def _limits(clause: Clause, number: int) -> Iterator[Finding]:
    strict = clause.max_handling.tlp >= Tlp.AMBER_STRICT or (clause.max_handling.siena or Siena.H0) >= Siena.H2
    if strict and clause.onward is Onward.RECIPIENT_AGENCIES:
        yield Finding(
            False,
            f"{number}.onward_sharing",
            f"events up to {clause.max_handling} may come, and TLP:AMBER+STRICT and H2 forbid what this allows: "
            "the event's own handling is the stricter, and holds",
        )
    if clause.retention_days > LONG_RETENTION_DAYS and clause.compartments != {"core"}:
        yield Finding(
            False,
            f"{number}.retention_days",
            f"{days_words(clause.retention_days)} are over five years, the usual most for personal data",
        )


def _clauses_findings(clauses: tuple[Clause, ...]) -> Iterator[Finding]:
    left = dict(enumerate(clauses, 1))
    for number, clause in reversed(list(left.items())):
        others = [other for i, other in left.items() if i != number]
        if clauses_allow_all(others, [clause]):
            del left[number]
            yield Finding(False, str(number), f"clause {number} adds nothing: the others cover all of it")
    for (i, a), (j, b) in combinations(left.items(), 2):
        yield from _overlap(a, i, b, j)


def _overlap(a: Clause, i: int, b: Clause, j: int) -> Iterator[Finding]:
    if (a.originator, a.recipient) != (b.originator, b.recipient):
        return
    if not (a.event_types & b.event_types and a.purposes & b.purposes):
        return
    if not (a.compartments <= b.compartments or b.compartments <= a.compartments):
        yield Finding(
            False,
            str(j),
            f"clauses {i} and {j} are each wider than the other in some compartment: for an event that both cover "
            "only one of them is used. Write them as one, or split their types or purposes",
        )
    if (a.onward, a.retention_days) != (b.onward, b.retention_days):
        yield Finding(
            False,
            str(j),
            f"clauses {i} and {j} cover the same events ({listed(a.event_types & b.event_types)}) with other rules of "
            "onward sharing or retention: the recipient may go by either",
        )
