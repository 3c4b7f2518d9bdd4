"""Any valid body of a type, drawn from its schema: for Hypothesis, and for whoever wants many different bodies.

A body is made from a seed by :func:`random_body`, not by thousands of Hypothesis draws, which take seconds a body. So a
failure is told by its seed. Rules between fields are met by putting right what was drawn.
"""

from __future__ import annotations

import re._parser as sre
import string
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final

from hypothesis import strategies as st

from hub.catalog import EventType
from hub.catalog.fields import NO_DEFAULT, Array, Node, Record, Rule, Scalar
from hub.catalog.rules import find_node
from tests.support.leaks import remember

_LETTERS: Final = string.ascii_letters + string.digits + " -./#"
_ODD: Final = "ÀéñßŁ日本Ωж🔫\u200b\n"
_TEXT_MAX: Final = 40
_MANY: Final = 12
_EDGES: Final = 0.1


def bodies(event_type: EventType) -> st.SearchStrategy[dict[str, Any]]:
    """Any valid body of the type, complete and canonical: what ``EventType.validate`` gives back unchanged."""
    return st.integers(0, 2**32 - 1).map(lambda seed: random_body(event_type, seed))


def random_body(event_type: EventType, seed: int) -> dict[str, Any]:
    """The body of this seed: the same for the same schema, on every machine."""
    maker = _Maker(Random(seed), sorted(event_type.fields))
    root = event_type.schema.root
    body = maker.record(root)
    if "header" in body:
        for name in ("legal_basis_id", "purge_by"):
            body["header"][name] = maker.value(find_node(root.fields, f"header.{name}"))
    remember(body)
    return body


def without_defaults(record: Record, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` without what equals its field's default: what an author may leave out."""
    kept: dict[str, Any] = {}
    for node in record.fields:
        value = values[node.name]
        if isinstance(node.type, Record) and value is not None:
            value = without_defaults(node.type, value)
            if value == {} and node.default == {}:
                continue
        elif node.default is not NO_DEFAULT and value == node.default:
            continue
        kept[node.name] = value
    return kept


class _Maker:
    def __init__(self, random: Random, paths: list[str]) -> None:
        self._random = random
        self._paths = paths

    def record(self, record: Record) -> dict[str, Any]:
        values = {node.name: self._maybe(node) for node in record.fields}
        for _ in range(3):  # putting one rule right may break one that came before
            for rule in record.rules:
                if not rule.when or _get(values, rule.when) in rule.values:
                    _PUT_RIGHT[rule.form](self, rule, record, values)
        return values

    def _maybe(self, node: Node) -> Any:
        return None if node.nullable and self._random.random() < 0.5 else self.value(node)

    def value(self, node: Node, least: int = 0) -> Any:
        if not isinstance(node.type, Array):
            return self._item(node.type)
        low = max(least, node.type.min_items)
        high = node.type.max_items if self._random.random() < 0.02 else 3
        count = self._random.randint(low, max(low, min(high, node.type.max_items, _MANY)))
        return [self._item(node.type.item) for _ in range(count)]

    def _item(self, inner: Scalar | Record) -> Any:
        return self.record(inner) if isinstance(inner, Record) else self.scalar(inner)

    def scalar(self, scalar: Scalar) -> Any:
        random = self._random
        if scalar.const is not None:
            return scalar.const
        if scalar.char_codes:
            count = random.randint(1, len(scalar.char_codes))
            return "".join(random.choice(sorted(codes)) for codes in scalar.char_codes[:count])
        if scalar.codes is not None:
            return random.choice(sorted(scalar.codes))
        if scalar.pattern is not None:
            return _from_pattern(random, sre.parse(scalar.pattern))
        return _BY_KIND[scalar.kind](random, scalar)

    # --- rules --------------------------------------------------------------------------------------------------------

    def require(self, rule: Rule, record: Record, values: dict[str, Any]) -> None:
        for name in rule.fields:
            if not _there(_get(values, name)):
                _set(values, name, self.value(find_node(record.fields, name), least=1))

    def any_of(self, rule: Rule, record: Record, values: dict[str, Any]) -> None:
        if not any(_there(_get(values, name)) for name in rule.fields):
            name = self._random.choice(rule.fields)
            _set(values, name, self.value(find_node(record.fields, name), least=1))

    def forbid(self, rule: Rule, record: Record, values: dict[str, Any]) -> None:
        for name in rule.fields:
            _set(values, name, [] if isinstance(find_node(record.fields, name).type, Array) else None)

    def together(self, rule: Rule, record: Record, values: dict[str, Any]) -> None:
        if not all(_there(_get(values, name)) for name in rule.fields):
            for name in rule.fields:
                _set(values, name, None)

    def order(self, rule: Rule, record: Record, values: dict[str, Any]) -> None:
        first, second = rule.fields
        low, high = _get(values, first), _get(values, second)
        if low is not None and high is not None and low > high:
            _set(values, first, high)
            _set(values, second, low)

    def codes(self, rule: Rule, record: Record, values: dict[str, Any]) -> None:
        name = rule.fields[0]
        if rule.codes is not None and _get(values, name) not in (None, *rule.codes):
            _set(values, name, self._random.choice(sorted(rule.codes)))

    def paths(self, rule: Rule, record: Record, values: dict[str, Any]) -> None:
        list_name, _, inner = rule.fields[0].partition("[].")
        for item in values[list_name]:
            item[inner] = self._random.choice(self._paths)


_PUT_RIGHT: Final[Mapping[str, Callable[[_Maker, Rule, Record, dict[str, Any]], None]]] = {
    "require": _Maker.require,
    "any_of": _Maker.any_of,
    "forbid": _Maker.forbid,
    "together": _Maker.together,
    "order": _Maker.order,
    "codes": _Maker.codes,
    "paths": _Maker.paths,
}


def _texts(random: Random, scalar: Scalar) -> str:
    edge = random.random()
    length = random.randint(max(1, scalar.min_length), min(scalar.max_length, _TEXT_MAX))
    if edge < _EDGES:
        length = scalar.max_length if edge < _EDGES / 4 else max(1, scalar.min_length)
    letters = _LETTERS + _ODD if random.random() < _EDGES else _LETTERS
    return "".join(random.choices(letters, k=length))


def _numbers(random: Random, scalar: Scalar) -> int:
    low, high = int(scalar.minimum or 0), int(scalar.maximum or 0)
    return random.choice((low, high)) if random.random() < _EDGES else random.randint(low, min(high, low + 10_000))


def _doubles(random: Random, scalar: Scalar) -> float:
    low, high = float(scalar.minimum or 0), float(scalar.maximum or 0)
    return random.choice((low, high, 0.0, -0.0)) if random.random() < _EDGES else random.uniform(low, high)


def _dates(random: Random, _scalar: Scalar) -> str:
    if random.random() < _EDGES:
        return random.choice(("0001-01-01", "1969-12-31", "1970-01-01", "2024-02-29", "9999-12-31"))
    return (date(1920, 1, 1) + timedelta(days=random.randint(0, 50_000))).isoformat()


def _timestamps(random: Random, _scalar: Scalar) -> str:
    if random.random() < _EDGES:
        return random.choice(("0001-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"))
    moment = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(milliseconds=random.randint(0, 2 * 10**12))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _decimals(random: Random, scalar: Scalar) -> str:
    digits = str(random.randint(0, 10 ** random.randint(1, scalar.precision) - 1)).rjust(scalar.scale + 1, "0")
    return f"{digits[: -scalar.scale]}.{digits[-scalar.scale :]}" if scalar.scale else digits


_BY_KIND: Final[Mapping[str, Callable[[Random, Scalar], Any]]] = {
    "string": _texts,
    "enum": lambda random, scalar: random.choice(scalar.symbols),
    "int": _numbers,
    "long": _numbers,
    "double": _doubles,
    "boolean": lambda random, _scalar: random.random() < 0.5,
    "uuid": lambda random, _scalar: str(uuid.UUID(int=random.getrandbits(128))),
    "date": _dates,
    "timestamp": _timestamps,
    "decimal": _decimals,
}


def _from_pattern(random: Random, parsed: Any) -> str:
    """A text that matches: literals, classes, repeats and groups, which is all that the schemas use."""
    made = []
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL":
            made.append(chr(argument))
        elif name == "IN":
            made.append(random.choice(_class(argument)))
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, inner = argument
            times = random.randint(low, min(int(high), low + 8))
            made += [_from_pattern(random, inner) for _ in range(times)]
        elif name == "SUBPATTERN":
            made.append(_from_pattern(random, argument[-1]))
        elif name != "AT":
            raise NotImplementedError(name)
    return "".join(made)


def _class(items: Any) -> str:
    inside = set()
    negated = False
    for operation, argument in items:
        name = str(operation)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            inside.add(chr(argument))
        elif name == "RANGE":
            inside |= {chr(code) for code in range(argument[0], argument[1] + 1)}
        elif name == "CATEGORY":
            inside |= set(string.whitespace)
        else:
            raise NotImplementedError(name)
    letters = set(string.printable) - inside if negated else inside
    return "".join(sorted(letters))


def _there(value: Any) -> bool:
    return value is not None and value != []


def _get(values: Mapping[str, Any], path: str) -> Any:
    value: Any = values
    for name in path.split("."):
        value = value[name] if value is not None else None
    return value


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        values = values[name]
    values[last] = value
