"""What another version of an agreement widens, and what it narrows: in words, clause by clause. Pure.

The verdict on the whole is exact, and does not rest on how clauses are paired for the words: one version allows no more
than another where each thing it allows is allowed by one clause of the other. "Allows" is for the hub's decisions and
for what binds the recipient afterwards (onward sharing, retention) alike. tests/property/test_agreement_diff.py holds
it against a slow model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from hub.model import Purpose
from hub.policy.agreement import each_wider
from hub.policy.agreement_words import (
    ONWARD_WORDS,
    begin_words,
    clause_words,
    days_words,
    end_words,
    handling_words,
    listed,
)
from hub.trust.agreement import AgreementDocument, Clause


class Effect(str, Enum):
    """What a change does to what is allowed."""

    NONE = "none"
    WIDENS = "widens"
    NARROWS = "narrows"
    BOTH = "widens and narrows"

    @classmethod
    def of(cls, wider: bool, narrower: bool) -> Effect:
        return cls.BOTH if wider and narrower else cls.WIDENS if wider else cls.NARROWS if narrower else cls.NONE


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. ``clause`` is empty for the whole, else ``clause 2, JCF to ATF``.

    ``field`` is named as in a draft.
    """

    clause: str
    field: str
    effect: Effect
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"clause": self.clause, "field": self.field, "effect": self.effect.value, "text": self.text}


@dataclass(frozen=True, slots=True)
class AgreementDiff:
    """All changes, and what they do together. ``same``: nothing differs at all, not even a title."""

    same: bool
    effect: Effect
    changes: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "same": self.same,
            "effect": self.effect.value,
            "changes": [change.as_json() for change in self.changes],
        }


_VERDICTS: Final = {
    Effect.NONE: "In effect nothing changes.",
    Effect.WIDENS: "Taken together it only widens what may be shared.",
    Effect.NARROWS: "Taken together it only narrows what may be shared.",
    Effect.BOTH: "Taken together it widens something and narrows something.",
}


def diff_words(found: AgreementDiff) -> list[str]:
    """The changes, a line each, and the verdict on the whole."""
    if found.same:
        return ["The two are the same."]
    marks = {Effect.NONE: "", Effect.WIDENS: "WIDENS", Effect.NARROWS: "NARROWS", Effect.BOTH: "BOTH"}
    lines = []
    for change in found.changes:
        where = ", ".join(part for part in (change.clause, change.field) if part)
        lines.append(f"{marks[change.effect]:<8} {where}: {change.text}")
    return [*lines, _VERDICTS[found.effect]]


def diff_agreements(before: AgreementDocument | None, after: AgreementDocument) -> AgreementDiff:
    """What ``after`` changes. Without a ``before`` all of it is new: nothing was allowed."""
    if before is None:
        new = [Change(_name(c, i), "", Effect.WIDENS, _whole(c)) for i, c in enumerate(after.clauses, 1)]
        return AgreementDiff(False, Effect.WIDENS, tuple(new))
    wider, narrower = not allows_all(before, after), not allows_all(after, before)
    changes = [*_document_changes(before, after), *_clause_changes(before, after)]
    doubt = _doubt(before, after)
    if doubt is not None:
        changes.append(doubt)
        wider = narrower = True
    whole = Effect.of(wider, narrower)
    return AgreementDiff(before == after, whole, tuple(_settle(change, whole) for change in changes))


def allows_all(outer: AgreementDocument, inner: AgreementDocument) -> bool:
    """Whether ``outer`` allows everything that ``inner`` does, whenever it does."""
    return (
        outer.hub == inner.hub
        and outer.not_before_ms <= inner.not_before_ms
        and inner.not_after_ms <= outer.not_after_ms
        and clauses_allow_all(outer.clauses, inner.clauses)
    )


def clauses_allow_all(outer: Iterable[Clause], inner: Iterable[Clause]) -> bool:
    """Whether for everything that ``inner`` allow there is one clause of ``outer`` that allows it too."""
    # The most that a clause allows for one type and one purpose is one thing; what covers that covers all below it.
    outer = tuple(outer)
    return all(
        any(_covers(wide, clause, event_type, purpose) for wide in outer)
        for clause in inner
        for event_type in clause.event_types
        for purpose in clause.purposes
    )


def _covers(wide: Clause, clause: Clause, event_type: str, purpose: Purpose) -> bool:
    return (
        (wide.originator, wide.recipient) == (clause.originator, clause.recipient)
        and event_type in wide.event_types
        and purpose in wide.purposes
        and clause.compartments <= wide.compartments
        and clause.max_handling.within(wide.max_handling)
        and clause.onward <= wide.onward
        and clause.retention_days <= wide.retention_days
    )


def _doubt(before: AgreementDocument, after: AgreementDocument) -> Change | None:
    """Of two clauses that are each wider than the other only one is used (docs/adr/0012): its change can bring in the
    other, and of equally wide ones their order decides. So where there are such, no change of the clauses is called a
    narrowing, or a widening, alone."""
    if before.clauses == after.clauses:
        return None
    pairs = [*each_wider(after.agreements()), *each_wider(before.agreements())]
    if not pairs:
        return None
    a, b = pairs[0]
    return Change(
        "",
        "clauses",
        Effect.BOTH,
        f"{a.agreement_id} and {b.agreement_id} are each wider than the other in some compartment: for an event that "
        "both cover one of them is used, and which one may change",
    )


def _settle(change: Change, whole: Effect) -> Change:
    """A line never says more than the whole: what another clause has covered anyway changes nothing."""
    if change.effect is Effect.NONE or whole is Effect.BOTH or change.effect is whole:
        return change
    other = "covers" if change.effect is Effect.NARROWS else "covered"
    if change.effect is Effect.BOTH:
        return replace(change, effect=whole, text=f"{change.text} (another clause {other} the rest)")
    return replace(change, effect=Effect.NONE, text=f"{change.text} (another clause {other} it: nothing changes)")


# --- the whole --------------------------------------------------------------------------------------------------------


def _document_changes(before: AgreementDocument, after: AgreementDocument) -> Iterator[Change]:
    for field, old, new in (
        ("agreement", before.slug, after.slug),
        ("version", str(before.version), str(after.version)),
        ("title", before.title, after.title),
        ("mou", before.reference, after.reference),
    ):
        if old != new:
            yield Change("", field, Effect.NONE, f"{new} instead of {old}")
    for field, old, new in (
        ("hub", before.hub, after.hub),
        ("parties", " and ".join(before.parties), " and ".join(after.parties)),
    ):
        if old != new:
            yield Change("", field, Effect.BOTH, f"{new} instead of {old}: it is another agreement")
    if before.not_before_ms != after.not_before_ms:
        earlier = after.not_before_ms < before.not_before_ms
        yield Change(
            "",
            "first_day",
            Effect.of(earlier, not earlier),
            f"{'earlier' if earlier else 'later'}: {begin_words(after.not_before_ms)} instead of "
            f"{begin_words(before.not_before_ms)}",
        )
    if before.not_after_ms != after.not_after_ms:
        later = after.not_after_ms > before.not_after_ms
        yield Change(
            "",
            "last_day",
            Effect.of(later, not later),
            f"{'later' if later else 'earlier'}: {end_words(after.not_after_ms)} instead of "
            f"{end_words(before.not_after_ms)}",
        )


# --- the clauses ------------------------------------------------------------------------------------------------------


def _clause_changes(before: AgreementDocument, after: AgreementDocument) -> Iterator[Change]:
    pairs = _pairs(before.clauses, after.clauses)
    for j, new in enumerate(after.clauses):
        if j in pairs:
            if pairs[j] != j:
                yield Change(_name(new, j + 1), "", Effect.NONE, f"it was clause {pairs[j] + 1}")
            yield from _pair_changes(before.clauses[pairs[j]], new, _name(new, j + 1))
        else:
            yield Change(_name(new, j + 1), "", Effect.WIDENS, f"new: {_whole(new)}")
    for i, old in enumerate(before.clauses):
        if i not in pairs.values():
            yield Change(f"{_name(old, i + 1)}, before", "", Effect.NARROWS, f"gone: {_whole(old)}")


def _pairs(before: tuple[Clause, ...], after: tuple[Clause, ...]) -> dict[int, int]:
    """For a new clause's index the old one's that it most likely came from: the nearest first, each once."""
    ranked = sorted(
        (
            (_likeness(old, new), -abs(i - j), -j, -i)
            for i, old in enumerate(before)
            for j, new in enumerate(after)
            if (old.originator, old.recipient) == (new.originator, new.recipient) and old.event_types & new.event_types
        ),
        reverse=True,
    )
    pairs: dict[int, int] = {}
    for _, _, minus_j, minus_i in ranked:
        if -minus_j not in pairs and -minus_i not in pairs.values():
            pairs[-minus_j] = -minus_i
    return pairs


def _likeness(old: Clause, new: Clause) -> tuple[bool, int, int, int]:
    return (
        old == new,
        len(old.event_types & new.event_types) - len(old.event_types ^ new.event_types),
        len(old.compartments & new.compartments) - len(old.compartments ^ new.compartments),
        len(old.purposes & new.purposes) - len(old.purposes ^ new.purposes),
    )


_SETS: Final[tuple[tuple[str, Callable[[Clause], frozenset[Any]]], ...]] = (
    ("types", lambda clause: clause.event_types),
    ("compartments", lambda clause: clause.compartments),
    ("purposes", lambda clause: clause.purposes),
)


def _pair_changes(old: Clause, new: Clause, name: str) -> Iterator[Change]:
    for field, read in _SETS:
        more, less = read(new) - read(old), read(old) - read(new)
        if more:
            yield Change(name, field, Effect.WIDENS, f"also {listed(more)}")
        if less:
            yield Change(name, field, Effect.NARROWS, f"no longer {listed(less)}")
    if old.max_handling != new.max_handling:
        effect = Effect.of(not new.max_handling.within(old.max_handling), not old.max_handling.within(new.max_handling))
        text = f"{handling_words(new.max_handling)}, instead of {handling_words(old.max_handling)}"
        yield Change(name, "max_handling", effect, text)
    if old.onward != new.onward:
        text = f"{ONWARD_WORDS[new.onward]}; instead of {ONWARD_WORDS[old.onward]}"
        yield Change(name, "onward_sharing", Effect.of(new.onward > old.onward, new.onward < old.onward), text)
    if old.retention_days != new.retention_days:
        longer = new.retention_days > old.retention_days
        text = f"{days_words(new.retention_days)} instead of {days_words(old.retention_days)}"
        yield Change(name, "retention_days", Effect.of(longer, not longer), text)


def _name(clause: Clause, number: int) -> str:
    return f"clause {number}, {clause.originator} to {clause.recipient}"


def _whole(clause: Clause) -> str:
    return "; ".join(text for _, text in clause_words(clause))
