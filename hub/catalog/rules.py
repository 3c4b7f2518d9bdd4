"""Rules between the fields of a record, said in the schema (``rules``) and compiled to one check for a type.

The forms, each with ``because``, a sentence for the person who broke it:

- ``{"require": [F, ...]}``: each is there; a dotted path reaches into a record
- ``{"when": G, "in": [...], "require": [F, ...]}``: the same, where G has one of the values
- ``{"when": G, "in": [...], "forbid": [F, ...]}``: where G has one of the values, no F is there
- ``{"when": G, "in": [...], "codes": F, "list": "tlp"}``: where G has one of the values, F is of that code list
- ``{"any_of": [F, G, ...]}``: one at least is there
- ``{"together": [F, G, ...]}``: all are there, or none
- ``{"order": [F, G]}``: where both are there, F is not later (not greater) than G
- ``{"paths": F}``: the texts in F (``list[].name``) are paths of the type's fields

"There" means not null, not an empty list. A rule is checked where all its fields are visible, so that a recipient of a
part is not asked for what it cannot see. One rule needs no line of its own: a field with ``mandatory_on: personal``
must be there wherever the event holds any personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from hub.catalog.errors import Problem
from hub.catalog.fields import Array, Node, Record, Rule, walk
from hub.model import Compartment

_LISTS: Final = ("require", "forbid", "any_of", "together", "order")
_SINGLES: Final = ("codes", "paths")
_CONDITIONAL: Final = ("require", "forbid", "codes")

Check = Callable[[Mapping[str, Any]], list[Problem]]
"""A body that passed its validator in, every broken rule out."""

CodesOf = Callable[[str], frozenset[str]]
"""The name of a code list in, its codes out."""

# --- parsing --------------------------------------------------------------------------------------------------------


def parse_rules(raw: Any, nodes: Sequence[Node], codes_of: CodesOf) -> tuple[Rule, ...]:
    """The rules of a record with the fields ``nodes``. Raises ``ValueError``."""
    if not isinstance(raw, list):
        raise ValueError("a list is wanted")  # noqa: TRY004 - one kind of error for a malformed schema
    return tuple(_parse_rule(rule, nodes, codes_of) for rule in raw)


def _parse_rule(raw: Any, nodes: Sequence[Node], codes_of: CodesOf) -> Rule:
    forms = [form for form in (*_LISTS, *_SINGLES) if isinstance(raw, dict) and form in raw]
    known = {*forms, "when", "in", "because"} | ({"list"} if forms == ["codes"] else set())
    if len(forms) != 1 or set(raw) - known or not raw.get("because"):
        raise ValueError(
            f"each has one of {', '.join((*_LISTS, *_SINGLES))}, and `because`, and perhaps `when` with `in`"
        )
    form = forms[0]
    fields = (raw[form],) if form in _SINGLES else tuple(raw[form])
    when, values = raw.get("when", ""), tuple(raw.get("in", ()))
    if bool(when) != bool(values) or (when and form not in _CONDITIONAL) or (form in ("forbid", "codes") and not when):
        raise ValueError(f"`when` stands with `in`, before {', '.join(_CONDITIONAL)}")
    if not fields or (form == "order" and len(fields) != 2):
        raise ValueError(f"`{form}` has too few fields or too many")
    for path in fields:
        find_node(nodes, path)
    if when:
        node = find_node(nodes, when)
        symbols = getattr(node.type, "symbols", ()) or getattr(node.type, "codes", None)
        if symbols and not set(values) <= set(symbols):
            raise ValueError(f"{when} has no {sorted(set(values) - set(symbols))}")
    code_list = raw.get("list", "")
    return Rule(form, fields, raw["because"], when, values, code_list, codes_of(code_list) if form == "codes" else None)


def find_node(nodes: Sequence[Node], path: str) -> Node:
    """The field at ``path`` below ``nodes``. Raises ``ValueError``."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    for node in nodes:
        if node.name == name and (head == name or isinstance(node.type, Array)):
            if not rest:
                return node
            if node.record is not None:
                return find_node(node.record.fields, rest)
    raise ValueError(f"no field {path}")


# --- compiling -----------------------------------------------------------------------------------------------------

_RecordCheck = Callable[[Mapping[str, Any], str, list[Problem]], None]
"""A record, the path before its fields (with the dot), and where problems go."""


def compile_check(root: Record, granted: frozenset[Compartment], paths: frozenset[str]) -> Check | None:
    """One check of every rule that a holder of ``granted`` can check. ``None`` where there is none.

    ``paths`` are the paths of the type's fields, for the form ``paths``.
    """
    record_check = _compile_record(root, granted, paths)
    personal_check = _compile_personal(root, granted)
    checks = [check for check in (record_check, personal_check) if check is not None]
    if not checks:
        return None

    def check(body: Mapping[str, Any]) -> list[Problem]:
        problems: list[Problem] = []
        for each in checks:
            each(body, "", problems)
        return problems

    return check


def _compile_record(record: Record, granted: frozenset[Compartment], paths: frozenset[str]) -> _RecordCheck | None:
    checks: list[_RecordCheck] = []
    for rule in record.rules:
        named = [find_node(record.fields, path) for path in (*rule.fields, rule.when) if path]
        if all(node.visible(granted) for node in named):
            checks.append(_COMPILERS[rule.form](rule, paths))
    below: list[tuple[str, bool, _RecordCheck]] = []
    for node in record.fields:
        if node.record is not None and node.visible(granted):
            inner = _compile_record(node.record, granted, paths)
            if inner is not None:
                below.append((node.name, isinstance(node.type, Array), inner))
    if not checks and not below:
        return None
    return _run(tuple(checks), tuple(below))


def _run(checks: tuple[_RecordCheck, ...], below: tuple[tuple[str, bool, _RecordCheck], ...]) -> _RecordCheck:
    def run(record: Mapping[str, Any], prefix: str, problems: list[Problem]) -> None:
        for check in checks:
            check(record, prefix, problems)
        for name, many, inner in below:
            value = record[name]
            if value is None:
                continue
            if many:
                for index, item in enumerate(value):
                    inner(item, f"{prefix}{name}[{index}].", problems)
            else:
                inner(value, f"{prefix}{name}.", problems)

    return run


def _getter(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """Reads a path below a record; ``None`` where a record on the way is null."""
    if "." not in path:
        return itemgetter(path)
    names = path.split(".")

    def get(record: Mapping[str, Any]) -> Any:
        value: Any = record
        for name in names:
            if value is None:
                return None
            value = value[name]
        return value

    return get


def _is_there(value: Any) -> bool:
    return value is not None and value != []


def _compile_presence(rule: Rule, _paths: frozenset[str]) -> _RecordCheck:
    wanted = rule.form == "require"
    getters = tuple((name, _getter(name)) for name in rule.fields)
    when, values, because = _getter(rule.when) if rule.when else None, frozenset(rule.values), rule.because

    def presence(record: Mapping[str, Any], prefix: str, problems: list[Problem]) -> None:
        if when is not None and when(record) not in values:
            return
        for name, get in getters:
            if _is_there(get(record)) is not wanted:
                problems.append(Problem("event.rule_broken", prefix + name, because))

    return presence


def _compile_codes(rule: Rule, _paths: frozenset[str]) -> _RecordCheck:
    name, codes = rule.fields[0], rule.codes or frozenset()
    get, when, values = _getter(name), _getter(rule.when), frozenset(rule.values)
    message = f"not in the code list {rule.code_list}: {rule.because}"

    def in_list(record: Mapping[str, Any], prefix: str, problems: list[Problem]) -> None:
        if when(record) in values:
            value = get(record)
            if value is not None and value not in codes:
                problems.append(Problem("event.code_unknown", prefix + name, message))

    return in_list


def _compile_any_of(rule: Rule, _paths: frozenset[str]) -> _RecordCheck:
    names, getters, because = rule.fields, tuple(map(_getter, rule.fields)), rule.because

    def any_of(record: Mapping[str, Any], prefix: str, problems: list[Problem]) -> None:
        for get in getters:
            if _is_there(get(record)):
                return
        problems.append(Problem("event.rule_broken", prefix + names[0], because))

    return any_of


def _compile_together(rule: Rule, _paths: frozenset[str]) -> _RecordCheck:
    names, getters, because = rule.fields, tuple(map(_getter, rule.fields)), rule.because

    def together(record: Mapping[str, Any], prefix: str, problems: list[Problem]) -> None:
        there = [_is_there(get(record)) for get in getters]
        if any(there) and not all(there):
            problems.append(Problem("event.rule_broken", prefix + names[there.index(False)], because))

    return together


def _compile_order(rule: Rule, _paths: frozenset[str]) -> _RecordCheck:
    (first, second), because = map(_getter, rule.fields), rule.because
    name = rule.fields[1]

    def order(record: Mapping[str, Any], prefix: str, problems: list[Problem]) -> None:
        low, high = first(record), second(record)
        if low is not None and high is not None and low > high:
            problems.append(Problem("event.rule_broken", prefix + name, because))

    return order


def _compile_paths(rule: Rule, paths: frozenset[str]) -> _RecordCheck:
    list_name, _, inner_name = rule.fields[0].partition("[].")
    because = rule.because

    def known_paths(record: Mapping[str, Any], prefix: str, problems: list[Problem]) -> None:
        for index, item in enumerate(record[list_name]):
            if item[inner_name] not in paths:
                problems.append(Problem("event.rule_broken", f"{prefix}{list_name}[{index}].{inner_name}", because))

    return known_paths


_COMPILERS: Final[Mapping[str, Callable[[Rule, frozenset[str]], _RecordCheck]]] = {
    "require": _compile_presence,
    "forbid": _compile_presence,
    "codes": _compile_codes,
    "any_of": _compile_any_of,
    "together": _compile_together,
    "order": _compile_order,
    "paths": _compile_paths,
}


# --- personal data needs a legal basis --------------------------------------------------------------------------------


def _compile_personal(root: Record, granted: frozenset[Compartment]) -> _RecordCheck | None:
    mandatory = mandatory_nodes(root, granted)
    find = compile_finder(root, granted)
    if not mandatory or find is None:
        return None
    wanted = tuple((node.path, _getter(node.path)) for node in mandatory)

    def check(body: Mapping[str, Any], _prefix: str, problems: list[Problem]) -> None:
        for path, get in wanted:
            if get(body) is None:
                found = find(body)
                if found:
                    problems.append(Problem("event.rule_broken", path, f"mandatory, because {found} is personal data"))

    return check


def mandatory_nodes(root: Record, granted: frozenset[Compartment]) -> tuple[Node, ...]:
    """The visible fields that must be there where the event holds personal data."""
    return tuple(node for node in walk(root) if node.mandatory_on == "personal" and node.visible(granted))


Finder = Callable[[Mapping[str, Any]], str]
"""A record in, the name of a field with personal data out, or ``""``."""


def compile_finder(record: Record, granted: frozenset[Compartment]) -> Finder | None:
    """Finds personal data that a holder of ``granted`` sees. ``None`` where there can be none."""
    visible = [node for node in record.fields if node.visible(granted)]
    plain = tuple(node.name for node in visible if node.personal)
    below: list[tuple[str, bool, Finder]] = []
    for node in visible:
        inner = compile_finder(node.record, granted) if node.record is not None and not node.personal else None
        if inner is not None:
            below.append((node.name, isinstance(node.type, Array), inner))
    return _finder(plain, tuple(below)) if plain or below else None


def _finder(plain: tuple[str, ...], below: tuple[tuple[str, bool, Finder], ...]) -> Finder:
    def find(value: Mapping[str, Any]) -> str:
        for name in plain:
            if _is_there(value[name]):
                return name
        for name, many, inner in below:
            held = value[name]
            for item in (held if many else (held,)) if held is not None else ():
                found = inner(item)
                if found:
                    return f"{name}.{found}"
        return ""

    return find
