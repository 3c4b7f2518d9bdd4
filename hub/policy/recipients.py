"""Whom a release rule means: agencies by code, everyone, the agency that is answered, or the one that a field names.

Three-valued like conditions: whether it means an agency is unknown where the event does not say whom it answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hub.model import AgencyId, NameInvalid, parse_agency_id
from hub.policy.condition import Verdict
from hub.policy.facts import MISSING, REQUESTER, Facts, Scope
from hub.policy.source import Part, did_you_mean

ANYONE: Final = "*"
ANSWERED: Final = "requester"


@dataclass(frozen=True, slots=True)
class Recipients:
    """``named`` are codes, ``anyone`` is ``"*"``, ``places`` are facts that hold a code; ``other`` turns it round."""

    named: frozenset[AgencyId]
    anyone: bool
    places: tuple[int, ...]
    other: bool
    text: str

    def means(self, agency: AgencyId, facts: Facts) -> Verdict:
        """Whether the rule means ``agency`` for this event."""
        found = self._plain(agency, facts)
        if not self.other:
            return found
        return None if found is None else not found

    def _plain(self, agency: AgencyId, facts: Facts) -> Verdict:
        if self.anyone or agency in self.named:
            return True
        verdict: Verdict = False
        for place in self.places:
            fact = facts[place]
            if fact is None or fact is MISSING:
                verdict = None
            elif fact == agency:
                return True
        return verdict

    def never_means(self, agency: AgencyId) -> bool:
        """Whether the rule cannot mean ``agency``, whatever the event says: it need not be looked at."""
        if self.other:
            return self.anyone or agency in self.named
        return not (self.anyone or self.places or agency in self.named)


def read_recipients(part: Part, scope: Scope, agencies: Iterable[str] | None) -> Recipients:
    """The value of ``to``. ``agencies`` are those that there are, where they are known, so that a typo shows.

    Raises :class:`~hub.policy.source.PolicyInvalid`.
    """
    other = part.is_mapping and "field" not in part.keys()  # noqa: SIM118 - keys() reads and checks the mapping
    if other:
        part = part.mapping(required=("other_than",))["other_than"]
    named: set[AgencyId] = set()
    places: list[int] = []
    words: list[str] = []
    anyone = False
    for each in part.parts_or_one():
        if each.is_mapping:
            place, word = _named_by_field(each, scope)
            places.append(place)
            words.append(word)
            continue
        text = each.text()
        words.append("everyone" if text == ANYONE else text)
        if text == ANYONE:
            anyone = True
        elif text == ANSWERED:
            places.append(REQUESTER)
        else:
            named.add(_agency(each, text, agencies))
    if anyone and (other or len(words) > 1):
        raise part.fault('"*" is everyone: it stands alone, and nobody is other than everyone')
    text = ("other than " if other else "") + ", ".join(words)
    return Recipients(frozenset(named), anyone, tuple(places), other, text)


def _agency(part: Part, text: str, agencies: Iterable[str] | None) -> AgencyId:
    try:
        agency = parse_agency_id(text)
    except NameInvalid as error:
        hint = did_you_mean(text, (ANSWERED, *(agencies or ())))
        raise part.fault(f'{text!r} is not an agency code, "*", or {ANSWERED!r}{hint}') from error
    if agencies is not None and agency not in agencies:
        raise part.fault(f"the directory lists no agency {text!r}{did_you_mean(text, agencies)}")
    return agency


def _named_by_field(part: Part, scope: Scope) -> tuple[int, str]:
    named = part.mapping(required=("field",))["field"]
    path = named.text()
    field = scope.find(path)
    if field is None:
        raise named.fault(f"no field {path!r}{did_you_mean(path, scope.paths())}")
    if field.kind != "string":
        raise named.fault(f"{path} ({field.kind}) cannot hold an agency's code")
    return scope.value(path), f"the agency in {path}"
