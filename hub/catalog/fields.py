"""The tree of a type's fields: what the schema says, with names resolved and compartments worked out. No behaviour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from hub.model import Compartment

UUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""The one way in which a UUID is written here."""

NO_DEFAULT: Any = object()
"""The default of a field that has none."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf. ``kind`` is string, int, long, double, boolean, enum, date, timestamp, decimal or uuid."""

    kind: str
    symbols: tuple[str, ...] = ()
    symbol_default: str | None = None
    code_list: str | None = None
    codes: frozenset[str] | None = None
    char_lists: tuple[str, ...] = ()
    char_codes: tuple[frozenset[str], ...] = ()
    pattern: str | None = None
    minimum: float | int | str | None = None
    maximum: float | int | str | None = None
    min_length: int = 0
    max_length: int = 0
    const: Any = None
    precision: int = 0
    scale: int = 0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Array:
    """A list. Items are of one type and never null."""

    item: Scalar | Record
    min_items: int
    max_items: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds between the fields of one record. See :mod:`hub.catalog.rules` for the forms."""

    form: str
    fields: tuple[str, ...]
    because: str
    when: str = ""
    values: tuple[Any, ...] = ()
    code_list: str = ""
    codes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record at one place of the type: a shared record is expanded wherever it is used."""

    name: str
    fields: tuple[Node, ...]
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A field at one place of the type.

    ``own`` is the compartment that the schema writes; ``compartment`` the later of the parent's and its own;
    ``compartments`` all that its leaves fall in, in the type's order.
    """

    name: str
    path: str
    type: Scalar | Array | Record
    nullable: bool
    default: Any
    own: Compartment
    compartment: Compartment
    compartments: tuple[Compartment, ...]
    personal: bool
    mandatory_on: str
    doc: str

    @property
    def record(self) -> Record | None:
        """The record that this field holds, itself or as the items of its list."""
        inner = self.type.item if isinstance(self.type, Array) else self.type
        return inner if isinstance(inner, Record) else None

    def visible(self, granted: frozenset[Compartment]) -> bool:
        """Whether a holder of ``granted`` sees any part of it."""
        return not granted.isdisjoint(self.compartments)


@dataclass(frozen=True, slots=True)
class Field:
    """What others may ask about a field. ``path`` is dotted, a list's level is ``[]``: ``firearms[].serial_raw``.

    ``kind`` is a scalar's (string, int, long, double, boolean, enum, date, timestamp, decimal, uuid), ``array`` or
    ``record``. ``compartments`` are those in which it has a part, one for a leaf. Values in a body are JSON's own: a
    date is ``"2026-11-03"``, a timestamp ``"2026-11-03T14:20:00.000Z"`` (both sort as text), a decimal ``"412.50"``.
    """

    path: str
    kind: str
    nullable: bool
    compartments: tuple[Compartment, ...]
    codes: frozenset[str] | None
    code_list: str | None
    constraints: Mapping[str, Any]
    personal: bool
    doc: str
    char_codes: tuple[frozenset[str], ...] = ()
    """For a text that is coded by its characters: the codes that each of them, in its place, may have."""


def walk(record: Record) -> Iterator[Node]:
    """Every field below ``record``, parents first, in the schema's order."""
    for node in record.fields:
        yield node
        inner = node.record
        if inner is not None:
            yield from walk(inner)


def flatten(record: Record) -> dict[str, Field]:
    """Every field by its path; the items of a list of scalars stand under ``path[]``."""
    fields: dict[str, Field] = {}
    for node in walk(record):
        if isinstance(node.type, Array):
            limits = {"min_items": node.type.min_items, "max_items": node.type.max_items}
            fields[node.path] = _field(node, node.path, "array", None, limits)
            if isinstance(node.type.item, Scalar):
                item = node.type.item
                fields[node.path + "[]"] = _field(node, node.path + "[]", item.kind, item, _constraints(item))
        elif isinstance(node.type, Record):
            fields[node.path] = _field(node, node.path, "record", None, {})
        else:
            fields[node.path] = _field(node, node.path, node.type.kind, node.type, _constraints(node.type))
    return fields


def _field(node: Node, path: str, kind: str, scalar: Scalar | None, constraints: dict[str, Any]) -> Field:
    codes = None
    if scalar is not None:
        codes = frozenset(scalar.symbols) if scalar.kind == "enum" else scalar.codes
    return Field(
        path=path,
        kind=kind,
        nullable=node.nullable and path == node.path,
        compartments=node.compartments,
        codes=codes,
        code_list=scalar.code_list if scalar is not None else None,
        constraints=MappingProxyType(constraints),
        personal=node.personal,
        doc=node.doc,
        char_codes=scalar.char_codes if scalar is not None else (),
    )


def _constraints(scalar: Scalar) -> dict[str, Any]:
    found = {
        "pattern": scalar.pattern,
        "min": scalar.minimum,
        "max": scalar.maximum,
        "min_length": scalar.min_length or None,
        "max_length": scalar.max_length or None,
        "const": scalar.const,
        "unit": scalar.unit or None,
        "precision": scalar.precision or None,
        "scale": scalar.scale if scalar.kind == "decimal" else None,
        "codes": scalar.code_list,
        "char_codes": scalar.char_lists or None,
    }
    return {name: value for name, value in found.items() if value is not None}
