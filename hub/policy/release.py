"""The second consent: the originator's own rules, on content: ``release.yaml`` (docs/guides/policy.md).

``allow`` rules say which agency gets which compartments, and add up; ``never`` rules take away, and always win. What is
unknown releases nothing: an ``allow`` rule whose condition is unknown gives nothing, a ``never`` rule whose condition
is unknown takes away. Release narrows what agreements allow and never widens it (hub/policy/decide.py joins them).

Rules are compiled for each event type against its schema when the file is loaded. A decision depends only on the facts
that the type's rules read (hub/policy/facts.py), and is remembered by them. Pure, except for :func:`load_release`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

from hub.errors import RejectedError
from hub.model import AgencyId, Compartment, Decision, Event, NameInvalid, parse_agency_id
from hub.policy.condition import Condition, Verdict, compile_condition
from hub.policy.facts import Facts, FieldLike, Scope, event_scope, read_facts
from hub.policy.recipients import Recipients, read_recipients
from hub.policy.source import Part, PolicyInvalid, did_you_mean, read_policy

MEMO_SIZE: Final = 8_192
"""Decisions remembered for one release."""
MAX_RULES: Final = 20_000
EVERYTHING: Final = "all"
ANY_TYPE: Final = "*"


class TypeLike(Protocol):
    """What is asked of the catalog about an event type (hub/catalog, ``EventType``)."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def compartments(self) -> tuple[Compartment, ...]: ...
    @property
    def needs(self) -> Mapping[Compartment, tuple[Compartment, ...]]: ...
    @property
    def fields(self) -> Mapping[str, FieldLike]: ...


class CatalogLike(Protocol):
    """What is asked of the catalog (hub/catalog, ``Catalog``)."""

    def names(self) -> tuple[str, ...]: ...
    def get(self, name: str) -> Any: ...


class ReleaseTypeUnknown(RejectedError):
    """An event of a type that the release's catalog does not have."""

    code = "release.type_unknown"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled for one event type. ``never`` takes away, otherwise it gives."""

    never: bool
    name: str
    place: str
    recipients: Recipients
    compartments: tuple[Compartment, ...]
    condition: Condition | None

    @property
    def clause(self) -> str:
        """``release.yaml:14 rule "..."``."""
        return f'{self.place} {"never" if self.never else "rule"} "{self.name}"'

    def verdict(self, agency: AgencyId, facts: Facts) -> Verdict:
        """Whether it means ``agency`` and its condition holds: False beats unknown beats True."""
        means = self.recipients.means(agency, facts)
        if means is False or self.condition is None:
            return means
        holds = self.condition.test(facts)
        if means is None and holds is True:
            return None
        return holds

    def strikes(self, agency: AgencyId, facts: Facts) -> bool:
        """Whether it acts: an ``allow`` where it is true, a ``never`` where it is not known to be false."""
        verdict = self.verdict(agency, facts)
        return verdict is not False if self.never else verdict is True


@dataclass(frozen=True, slots=True)
class TypeRules:
    """The rules that may touch one event type, in the file's order, and what they read of it."""

    event_type: TypeLike
    scope: Scope
    allow: tuple[Rule, ...]
    never: tuple[Rule, ...]


class Release:
    """A loaded ``release.yaml``. ``version`` is a hash of its text, ``agency`` the originator that it names, if any."""

    def __init__(self, *, version: str, file: str, agency: AgencyId | None, types: Mapping[str, TypeRules]) -> None:
        self.version = version
        self.file = file
        self.agency = agency
        self._types = types
        self._remembered = lru_cache(MEMO_SIZE)(self.compute)
        # Which rules can mean an agency at all does not depend on the event.
        self._rules_for = lru_cache(MEMO_SIZE)(self._select)

    def rules(self, event_type: str) -> TypeRules:
        """The rules of a type. Raises :class:`ReleaseTypeUnknown`."""
        found = self._types.get(event_type)
        if found is None:
            raise ReleaseTypeUnknown("the release rules know no such event type", type=event_type[:98])
        return found

    def facts(self, event: Event) -> Facts:
        """What the rules read of ``event``, whose body was validated. Raises :class:`ReleaseTypeUnknown`."""
        requester = event.in_reply_to.publisher if event.in_reply_to is not None else None
        return read_facts(
            self.rules(event.event_type).scope,
            event.body,
            handling=event.handling,
            priority=event.priority,
            purpose=event.purpose,
            requester=requester,
        )

    def decide(self, event: Event, recipient: AgencyId) -> Decision:
        """Which compartments the originator lets ``recipient`` open, and by which rules. Never an agreement's business.

        Raises :class:`ReleaseTypeUnknown`.
        """
        return self.decide_facts(event.event_type, self.facts(event), recipient)

    def decide_facts(self, event_type: str, facts: Facts, recipient: AgencyId) -> Decision:
        """:meth:`decide` for an event whose facts are at hand; remembered by them."""
        if self.rules(event_type).scope.worth_remembering(facts):
            return self._remembered(event_type, facts, recipient)
        return self.compute(event_type, facts, recipient)

    def _select(self, event_type: str, recipient: AgencyId) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
        rules = self.rules(event_type)
        allow, never = (
            tuple(rule for rule in group if not rule.recipients.never_means(recipient))
            for group in (rules.allow, rules.never)
        )
        return allow, never

    def compute(self, event_type: str, facts: Facts, recipient: AgencyId) -> Decision:
        """:meth:`decide_facts`, not remembered."""
        allow, never = self._rules_for(event_type, recipient)
        giving = [rule for rule in allow if rule.strikes(recipient, facts)]
        if not giving:
            return _nothing_given(self.file, allow, recipient, facts)
        taking = [rule for rule in never if rule.strikes(recipient, facts)]
        given = {compartment for rule in giving for compartment in rule.compartments}
        taken = {compartment for rule in taking for compartment in rule.compartments} & given
        left = tuple(c for c in self.rules(event_type).event_type.compartments if c in given and c not in taken)
        clause = "; ".join(rule.clause for rule in giving)
        if taken:
            clause += "; but " + "; ".join(rule.clause for rule in taking if taken.intersection(rule.compartments))
        if not left:
            return Decision(False, "release.taken", f"never rules take all of it from {recipient}", clause)
        reason = f"{recipient} may open {', '.join(left)}"
        if taken:
            reason += f"; never rules take {', '.join(sorted(taken))}"
        return Decision(True, "release.given", reason, clause, left)


def _nothing_given(file: str, allow: Iterable[Rule], recipient: AgencyId, facts: Facts) -> Decision:
    unknown = [rule for rule in allow if rule.verdict(recipient, facts) is None]
    if unknown:
        return Decision(
            False,
            "release.unknown",
            f"whether {recipient} may have it cannot be told: a field that the rule asks about is absent",
            "; ".join(rule.clause for rule in unknown),
        )
    return Decision(False, "release.none", f"no rule gives {recipient} anything of it", file)


# --- reading ----------------------------------------------------------------------------------------------------------


def load_release(path: Path, catalog: CatalogLike, *, agencies: Collection[str] | None = None) -> Release:
    """The release rules in the file at ``path``. Raises ``PolicyInvalid`` (a ``ConfigError``) with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyInvalid(f"{path}: cannot be read: {error}", file=str(path)) from error
    return parse_release(text, catalog, file=path.name, agencies=agencies)


def parse_release(
    text: str, catalog: CatalogLike, *, file: str = "release.yaml", agencies: Collection[str] | None = None
) -> Release:
    """Release rules from YAML text. ``agencies`` are those of the directory, where it is at hand: a typo then shows.

    Raises ``PolicyInvalid`` (a ``ConfigError``) with ``file`` and the line.
    """
    root = read_policy(text, file).mapping(required=("allow",), optional=("agency", "never"))
    agency = read_agency(root["agency"], agencies) if "agency" in root else None
    types: dict[str, TypeLike] = {name: catalog.get(name) for name in catalog.names()}
    scopes = {name: event_scope(found.fields) for name, found in types.items()}
    rules: dict[str, tuple[list[Rule], list[Rule]]] = {name: ([], []) for name in types}
    places: dict[str, str] = {}
    for key in ("allow", "never"):
        parts = root[key].parts() if key in root else ()
        if len(parts) > MAX_RULES:
            raise root[key].fault(f"over {MAX_RULES} rules")
        for part in parts:
            for name, rule in _read_rule(part, types, scopes, never=key == "never", agencies=agencies).items():
                if places.setdefault(rule.name, rule.place) != rule.place:
                    raise part.fault(f"the rule {rule.name!r} stands at {places[rule.name]} already")
                rules[name][key == "never"].append(rule)
    version = "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()
    compiled = {
        name: TypeRules(types[name], scopes[name], tuple(allow), tuple(never)) for name, (allow, never) in rules.items()
    }
    return Release(version=version, file=file, agency=agency, types=compiled)


def read_agency(part: Part, agencies: Collection[str] | None) -> AgencyId:
    """An agency's code in a policy file, known where ``agencies`` are."""
    text = part.text()
    try:
        agency = parse_agency_id(text)
    except NameInvalid as error:
        raise part.fault(f"{error.message}: {text!r}") from error
    if agencies is not None and agency not in agencies:
        raise part.fault(f"the directory lists no agency {text!r}{did_you_mean(text, agencies)}")
    return agency


def read_types(part: Part, known: Collection[str]) -> tuple[str, ...]:
    """``types``: one name, a list of names, or ``"*"`` for all that ``known`` has."""
    parts = part.parts_or_one()
    if len(parts) == 1 and not parts[0].is_list and parts[0].text() == ANY_TYPE:
        return tuple(known)
    return tuple(dict.fromkeys(each.one_of(known, "an event type") for each in parts))


def _read_rule(
    part: Part,
    types: Mapping[str, TypeLike],
    scopes: Mapping[str, Scope],
    *,
    never: bool,
    agencies: Collection[str] | None,
) -> dict[str, Rule]:
    """One rule, compiled for each of its types."""
    found = part.mapping(required=("rule", "types", "to", "compartments"), optional=("when",))
    name = found["rule"].text()
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise found["rule"].fault("a rule's name is 1 to 200 printable characters")
    every_type = not found["types"].is_list and found["types"].text() == ANY_TYPE
    names = read_types(found["types"], types)
    _check_compartments(found["compartments"], [types[name] for name in names], each=not (every_type and never))
    # A field of some types only is a fault in a rule for all: it would silently do nothing for the others.
    compiled: dict[str, Rule] = {}
    for type_name in names:
        scope = scopes[type_name]
        compartments = _pick_compartments(found["compartments"], types[type_name])
        try:
            recipients = read_recipients(found["to"], scope, agencies)
            condition = compile_condition(found["when"], scope) if "when" in found else None
        except PolicyInvalid as error:
            if len(names) == 1:
                raise
            raise PolicyInvalid(f"{error.message} (for {type_name})", **error.details) from error
        if compartments:
            compiled[type_name] = Rule(never, name, part.place, recipients, compartments, condition)
    return compiled


def _check_compartments(part: Part, types: Collection[TypeLike], *, each: bool) -> None:
    """Every name is a compartment of ``each`` type, or else of one at least."""
    if not part.is_list and part.text() == EVERYTHING:
        return
    for name in part.parts_or_one():
        text = name.text()
        lacking = [found for found in types if text not in found.compartments]
        if lacking and (each or len(lacking) == len(types)):
            known = sorted({str(c) for found in types for c in found.compartments})
            hint = did_you_mean(text, known)
            raise name.fault(f"{lacking[0].name} has no compartment {text!r}{hint}; known: all, {', '.join(known)}")


def _pick_compartments(part: Part, event_type: TypeLike) -> tuple[Compartment, ...]:
    """``compartments``, names or ``all``: those that the type has, in its order."""
    if not part.is_list and part.text() == EVERYTHING:
        return event_type.compartments
    names = {name.text() for name in part.parts_or_one()}
    return tuple(c for c in event_type.compartments if c in names)
