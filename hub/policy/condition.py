"""Conditions on an event's fields and labels: read from YAML, checked against the schema, compiled to closures.

The forms (docs/guides/policy.md has an example of each)::

    {all: [c, ...]}   {any: [c, ...]}   {not: c}
    {field: PATH, OP: VALUE, ...}       {label: handling | priority | purpose, OP: VALUE, ...}
    {any_item: LIST, where: c}          {every_item: LIST, where: c}

The logic has three values (docs/adr/0010): an absent field is unknown, ``None`` here, and stays unknown under ``not``.
``exists`` alone asks about absence, and is unknown only where this reader cannot know. Who asks decides what unknown
means; all of them take the side of not releasing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hub.model import NameInvalid, Priority, Purpose, parse_handling
from hub.policy.facts import LABELS, MISSING, Facts, FieldLike, Scope
from hub.policy.handling import at_least as handling_at_least
from hub.policy.literal import ORDERED, read_literal
from hub.policy.source import Part, did_you_mean

Verdict = bool | None
"""True, False, or ``None``: unknown."""
Test = Callable[[Facts], Verdict]

MAX_DEPTH: Final = 16
"""Conditions within conditions."""

_FORMS: Final = ("all", "any", "not", "field", "label", "any_item", "every_item")
_OPERATORS: Final = ("equals", "in", "at_least", "at_most", "contains", "starts_with", "exists")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. ``text`` says it for a person, ``place`` where it stands."""

    test: Test
    text: str
    place: str
    parts: tuple[Condition, ...] = ()
    reads: Callable[[Facts], Any] | None = None
    """What it looks at, for :func:`trace`: a fact, or for a list condition the items' facts."""
    over_items: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """How a condition came out for one event. ``found`` is what it looked at, as text."""

    verdict: Verdict
    text: str
    place: str
    found: str = ""
    parts: tuple[Trace, ...] = ()


def trace(condition: Condition, facts: Facts) -> Trace:
    """The condition's verdict with those of its parts, for an explanation."""
    verdict = condition.test(facts)
    if condition.over_items and condition.reads is not None:
        items = condition.reads(facts)
        if not isinstance(items, tuple):
            return Trace(verdict, condition.text, condition.place, _found(items))
        parts = tuple(trace(part, item) for item in items for part in condition.parts)
        count = "1 item" if len(items) == 1 else f"{len(items)} items"
        return Trace(verdict, condition.text, condition.place, count, parts)
    found = _found(condition.reads(facts)) if condition.reads is not None else ""
    return Trace(verdict, condition.text, condition.place, found, tuple(trace(p, facts) for p in condition.parts))


def _found(fact: Any) -> str:
    if fact is None:
        return "absent"
    if fact is MISSING:
        return "not known here"
    if isinstance(fact, bool):
        return "true" if fact else "false"
    if isinstance(fact, Priority | Purpose):
        return str(fact.value)
    if isinstance(fact, tuple):
        return ", ".join(_found(item) for item in fact) or "an empty list"
    return str(fact)


def compile_condition(part: Part, scope: Scope, *, depth: int = 0) -> Condition:
    """``part`` as a condition on what ``scope`` sees. Raises :class:`~hub.policy.source.PolicyInvalid`."""
    if depth > MAX_DEPTH:
        raise part.fault(f"conditions more than {MAX_DEPTH} deep")
    keys = part.keys()
    forms = [key for key in keys if key in _FORMS]
    if len(forms) != 1:
        unknown = next((key for key in keys if key not in (*_FORMS, *_OPERATORS, "where")), "")
        hint = f"unknown key {unknown!r}{did_you_mean(unknown, _FORMS)}: " if unknown else ""
        raise part.fault(f"{hint}a condition has exactly one of {', '.join(_FORMS)}")
    form = forms[0]
    if form in ("all", "any"):
        found = part.mapping(required=(form,))
        if not found[form].parts():
            raise found[form].fault(f"an empty {form!r}: nothing is meant by it, so it is refused")
        parts = tuple(compile_condition(inner, scope, depth=depth + 1) for inner in found[form].parts())
        test = _all(parts) if form == "all" else _any(parts)
        return Condition(test, f"{form} of", part.place, parts)
    if form == "not":
        inner = compile_condition(part.mapping(required=("not",))["not"], scope, depth=depth + 1)
        return Condition(_not(inner.test), "not", part.place, (inner,))
    if form == "label":
        return _label(part)
    if form == "field":
        return _field(part, scope)
    return _items(part, form, scope, depth)


# --- three-valued logic (docs/adr/0010) -------------------------------------------------------------------------------


def _fold(verdicts: Iterable[Verdict], *, decides: bool) -> Verdict:
    """``decides`` as soon as one verdict is that; else unknown if one is unknown; else, or of nothing, its opposite."""
    folded: Verdict = not decides
    for verdict in verdicts:
        if verdict is decides:
            return decides
        if verdict is None:
            folded = None
    return folded


def _all(parts: tuple[Condition, ...]) -> Test:
    return lambda facts: _fold((part.test(facts) for part in parts), decides=False)


def _any(parts: tuple[Condition, ...]) -> Test:
    return lambda facts: _fold((part.test(facts) for part in parts), decides=True)


def _not(inner: Test) -> Test:
    def test(facts: Facts) -> Verdict:
        found = inner(facts)
        return None if found is None else not found

    return test


# --- lists ------------------------------------------------------------------------------------------------------------


def _items(part: Part, form: str, scope: Scope, depth: int) -> Condition:
    found = part.mapping(required=(form, "where"))
    path = found[form].text()
    field = _known(found[form], scope, path)
    inner_path = f"{scope.prefix}{path}[]"
    if field.kind != "array" or inner_path in scope.fields:
        raise found[form].fault(f"{path!r} is not a list of records; use `field` with `contains` for a list of values")
    place, inner_scope = scope.items(path)
    where = compile_condition(found["where"], inner_scope, depth=depth + 1)

    test, word = (_any_item, "any item") if form == "any_item" else (_every_item, "every item")
    return Condition(
        test(place, where.test),
        f"{word} of {path} where",
        part.place,
        (where,),
        reads=lambda facts: facts[place],
        over_items=True,
    )


def _any_item(place: int, inner: Test) -> Test:
    def test(facts: Facts) -> Verdict:
        items = facts[place]
        return None if items is None or items is MISSING else _fold(map(inner, items), decides=True)

    return test


def _every_item(place: int, inner: Test) -> Test:
    def test(facts: Facts) -> Verdict:
        items = facts[place]
        if items is None or items is MISSING or not items:
            return None  # of an empty list nothing is said: "every" is not a yes (docs/adr/0010)
        return _fold(map(inner, items), decides=False)

    return test


# --- fields -----------------------------------------------------------------------------------------------------------


def _known(part: Part, scope: Scope, path: str) -> FieldLike:
    field = scope.find(path)
    if field is not None:
        return field
    lists = [p for p in scope.paths() if scope.fields[scope.prefix + p].kind == "array"]
    inside = next((p for p in lists if path.startswith((f"{p}.", f"{p}[]"))), None)
    if inside is not None:
        raise part.fault(f"{path!r} is inside the list {inside!r}: use any_item or every_item with where")
    where = f" of an item of {scope.prefix[:-3]}" if scope.prefix else ""
    raise part.fault(f"no field {path!r}{where}{did_you_mean(path, scope.paths())}")


def _field(part: Part, scope: Scope) -> Condition:
    found = part.mapping(required=("field",), optional=_OPERATORS)
    path = found["field"].text()
    field = _known(found["field"], scope, path)
    operators = [key for key in found if key != "field"]
    if not operators:
        raise part.fault(f"what about {path}? One of {', '.join(_OPERATORS)} is wanted")
    made = tuple(_operator(found[name], name, path, field, scope) for name in operators)
    return made[0] if len(made) == 1 else Condition(_all(made), "all of", part.place, made)


def _operator(part: Part, name: str, path: str, field: FieldLike, scope: Scope) -> Condition:
    if name == "exists":
        wanted = part.boolean()
        place = scope.presence(path)
        text = f"{path} is there" if wanted else f"{path} is absent"
        return Condition(_exists(place, wanted), text, part.place, reads=lambda facts: facts[place])
    if field.kind == "record":
        raise part.fault(f"{path} is a record: ask about a field in it, or with `exists`")
    return (_list_operator if field.kind == "array" else _scalar_operator)(part, name, path, field, scope)


def _list_operator(part: Part, name: str, path: str, field: FieldLike, scope: Scope) -> Condition:
    item = scope.fields.get(f"{field.path}[]")
    if item is None:
        raise part.fault(f"{path} is a list of records: use any_item or every_item with where")
    if name != "contains":
        raise part.fault(f"{path} is a list of values: {name!r} does not fit it, `contains` does")
    place = scope.value(path)
    value = read_literal(part, item, exact=True)
    return _leaf(_holds(place, value), f"{path} contains {_found(value)}", part, place)


def _scalar_operator(part: Part, name: str, path: str, field: FieldLike, scope: Scope) -> Condition:
    place = scope.value(path)
    if name in ("at_least", "at_most"):
        if field.kind not in ORDERED:
            raise part.fault(f"{path} ({field.kind}) knows no more and less: {name!r} does not fit it")
        value = read_literal(part, field, exact=False)
        holds = (lambda found: found >= value) if name == "at_least" else (lambda found: found <= value)
        return _leaf(_if_known(place, holds), f"{path} is {name.replace('_', ' ')} {_found(value)}", part, place)
    if name in ("contains", "starts_with"):
        if field.kind != "string" or field.codes is not None:
            raise part.fault(f"{path} is no free text: {name!r} does not fit it; use equals or in")
        folded = part.text().casefold()
        if not folded:
            raise part.fault("an empty text stands in every text: nothing is meant by it, so it is refused")
        if name == "contains":
            test = _if_known(place, lambda found: folded in found.casefold())
        else:
            test = _if_known(place, lambda found: found.casefold().startswith(folded))
        return _leaf(test, f"{path} {name.replace('_', ' ')} {part.text()}", part, place)
    parts = part.parts_or_one() if name == "in" else (part,)
    values = tuple(read_literal(each, field, exact=True) for each in parts)
    text = f"{path} is " + ("one of " if len(values) > 1 else "") + ", ".join(_found(value) for value in values)
    return _leaf(_is_in(place, values), text, part, place)


def _leaf(test: Test, text: str, part: Part, place: int) -> Condition:
    return Condition(test, text, part.place, reads=lambda facts: facts[place])


def _if_known(place: int, holds: Callable[[Any], bool]) -> Test:
    def test(facts: Facts) -> Verdict:
        found = facts[place]
        return None if found is None or found is MISSING else holds(found)

    return test


def _is_in(place: int, values: Iterable[Any]) -> Test:
    return _if_known(place, frozenset(values).__contains__)


def _holds(place: int, value: Any) -> Test:
    def test(facts: Facts) -> Verdict:
        found = facts[place]
        if found is None or found is MISSING:
            return None
        if value in found:
            return True
        return None if MISSING in found else False

    return test


def _exists(place: int, wanted: bool) -> Test:
    def test(facts: Facts) -> Verdict:
        found = facts[place]
        return None if found is MISSING else found is wanted

    return test


# --- labels -----------------------------------------------------------------------------------------------------------

_LABEL_VALUES: Final[Mapping[str, type[Priority] | type[Purpose]]] = {"priority": Priority, "purpose": Purpose}


def _label(part: Part) -> Condition:
    found = part.mapping(required=("label",), optional=("equals", "in", "at_least", "at_most"))
    name = found["label"].one_of(LABELS, "a label")
    operators = [key for key in found if key != "label"]
    if not operators:
        raise part.fault(f"what about the label {name}? One of equals, in, at_least, at_most is wanted")
    made = tuple(_label_operator(found[operator], operator, name) for operator in operators)
    return made[0] if len(made) == 1 else Condition(_all(made), "all of", part.place, made)


def _label_operator(part: Part, operator: str, name: str) -> Condition:
    place = LABELS.index(name)
    parts = part.parts_or_one() if operator == "in" else (part,)
    if name != "handling":
        if operator in ("at_least", "at_most"):
            raise part.fault(f"the label {name} knows no more and less: {operator!r} does not fit it")
        kind = _LABEL_VALUES[name]
        texts = [each.one_of([member.value for member in kind], f"a {name}") for each in parts]
        return _leaf(_is_in(place, [kind(text) for text in texts]), f"{name} is {', '.join(texts)}", part, place)
    try:
        values = [parse_handling(each.text()) for each in parts]
    except NameInvalid as error:
        raise part.fault(error.message) from error
    bound = values[0]
    text = f"handling is {operator.replace('_', ' ')} {', '.join(map(str, values))}"
    if operator == "at_least":
        return _leaf(lambda facts: handling_at_least(facts[place], bound), text, part, place)
    if operator == "at_most":
        return _leaf(lambda facts: facts[place].within(bound), text, part, place)
    text = f"handling is {', '.join(map(str, values))}"
    return _leaf(_is_in(place, values), text, part, place)
