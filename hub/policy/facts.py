"""Facts: what the rules of one event type read of an event, as one tuple. Decisions depend on nothing else.

A fact is a plain value, ``None`` where the field is null (absent), or ``MISSING`` where the body has no such key at all
(withheld from this reader, or never checked against the schema) or holds a value of another type. A list's fact is a
tuple of its items' facts. Everything is hashable: a tuple of facts is the key of a memo.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol

from hub.model import Handling, Priority, Purpose


class _Missing:
    """The one value that says: this reader cannot know."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

Facts = tuple[Any, ...]
Getter = Callable[[Any], Any]
"""A record (the body, or one item of a list) in; a fact out."""

LABELS: Final = ("handling", "priority", "purpose")
"""The first three facts of an event."""
REQUESTER: Final = 3
"""The place of the agency that the event answers (``in_reply_to``), ``None`` where it answers none."""
FIRST_FIELD: Final = 4
MEMO_WEIGHT: Final = 2_048
"""The most that the facts of one event may hold and still be remembered."""


class FieldLike(Protocol):
    """What is asked of the catalog about a field (hub/catalog, ``Field``)."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def codes(self) -> frozenset[str] | None: ...
    @property
    def constraints(self) -> Mapping[str, Any]: ...
    @property
    def char_codes(self) -> tuple[frozenset[str], ...]: ...


def _same(wanted: type) -> Getter:
    def check(value: Any) -> Any:
        return value if type(value) is wanted or value is None else MISSING

    return check


def _number(value: Any) -> Any:
    if value is None:
        return None
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    return MISSING


def _decimal(value: Any) -> Any:
    if value is None:
        return None
    if type(value) is not str:
        return MISSING
    try:
        found = Decimal(value)
    except InvalidOperation:
        return MISSING
    return found if found.is_finite() else MISSING


_text = _same(str)
# No closure looks at the type again: a value of another type is MISSING, so a memo cannot mix up 1, 1.0 and true.
_CHECKS: Final[Mapping[str, Getter]] = {
    "string": _text,
    "enum": _text,
    "uuid": _text,
    "date": _text,
    "timestamp": _text,
    "int": _same(int),
    "long": _same(int),
    "boolean": _same(bool),
    "double": _number,
    "decimal": _decimal,
}


def _weight(facts: Facts) -> int:
    """Roughly the bytes that facts hold beyond their fixed part."""
    weight = 0
    for fact in facts:
        if type(fact) is str:
            weight += len(fact)
        elif type(fact) is tuple:
            weight += 8 + _weight(fact)
    return weight


def _presence(value: Any) -> Any:
    """Whether a field is there: not null and not an empty list, as the schema's own rules mean it."""
    return value if value is MISSING else value is not None and value != [] and value != ()


@dataclass
class Scope:
    """Where conditions read: an event of one type, or one item of a list of it. Grows while rules are compiled.

    ``fields`` are the type's, by path; ``prefix`` is what a path of this scope begins with: ``""``, ``firearms[].``.
    """

    fields: Mapping[str, FieldLike]
    prefix: str = ""
    first: int = 0
    heavy: bool = False
    """Whether a fact of it can be long: a list, or a text without a small limit."""
    getters: list[Getter] = field(default_factory=list)
    _places: dict[tuple[str, str], int] = field(default_factory=dict)
    _inner: dict[str, Scope] = field(default_factory=dict)

    def worth_remembering(self, facts: Facts) -> bool:
        """Whether facts are small enough to be the key of a memo. Long texts and lists rarely come again."""
        return not self.heavy or _weight(facts) <= MEMO_WEIGHT

    def paths(self) -> tuple[str, ...]:
        """The fields that may be named here, without the prefix: those that are not inside a further list."""
        inside = (path[len(self.prefix) :] for path in self.fields if path.startswith(self.prefix))
        return tuple(path for path in inside if path and "[]" not in path)

    def find(self, path: str) -> FieldLike | None:
        """The field at ``path`` of this scope, or ``None``."""
        return self.fields.get(self.prefix + path) if "[]" not in path else None

    def value(self, path: str) -> int:
        """The place in the facts of the scalar, or of the tuple of scalars, at ``path``."""
        found = self.fields[self.prefix + path]
        if found.kind != "array":
            self.heavy |= found.kind == "string" and found.constraints.get("max_length", 0) not in range(1, 257)
            return self._place("value", path, _CHECKS[found.kind])
        self.heavy = True
        check = _CHECKS[self.fields[f"{self.prefix}{path}[]"].kind]

        def items(value: Any) -> Any:
            if value is None or value is MISSING:
                return value
            return tuple([check(item) for item in value]) if isinstance(value, list | tuple) else MISSING

        return self._place("value", path, items)

    def presence(self, path: str) -> int:
        """The place of whether ``path`` is there."""
        return self._place("presence", path, _presence)

    def items(self, path: str) -> tuple[int, Scope]:
        """The place of the tuple of items' facts of the list of records at ``path``, and the scope of one item."""
        inner = self._inner.get(path)
        if inner is None:
            inner = self._inner[path] = Scope(self.fields, f"{self.prefix}{path}[].")
        self.heavy = True
        getters = inner.getters  # grows until the last rule is compiled

        def read(value: Any) -> Any:
            if value is None or value is MISSING:
                return value
            if not isinstance(value, list | tuple):
                return MISSING
            return tuple([tuple([get(item) for get in getters]) for item in value])

        return self._place("items", path, read), inner

    def _place(self, form: str, path: str, check: Getter) -> int:
        place = self._places.get((form, path))
        if place is None:
            place = self._places[form, path] = self.first + len(self.getters)
            self.getters.append(_reach(path, check))
        return place


def _reach(path: str, check: Getter) -> Getter:
    """Follows ``path`` through records. A null record on the way makes the field absent, a lacking key MISSING."""
    steps = path.split(".")
    if len(steps) == 1:
        name = steps[0]

        def one(record: Any) -> Any:
            try:
                return check(record[name])
            except (KeyError, TypeError):
                return MISSING

        return one

    def many(record: Any) -> Any:
        for step in steps:
            if record is None:
                break
            try:
                record = record[step]
            except (KeyError, TypeError):
                return MISSING
        return check(record)

    return many


def event_scope(fields: Mapping[str, FieldLike]) -> Scope:
    """A scope over a whole event: its fields' places come after the labels'."""
    return Scope(fields, first=FIRST_FIELD)


def read_facts(
    scope: Scope,
    body: Mapping[str, Any],
    *,
    handling: Handling,
    priority: Priority,
    purpose: Purpose,
    requester: str | None,
) -> Facts:
    """An event's facts for the rules that were compiled in ``scope``."""
    return (handling, priority, purpose, requester, *[get(body) for get in scope.getters])
