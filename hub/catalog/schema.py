"""Reads ``schemas/avro``: an ``.avsc`` of a type, with shared records by name, into the tree of its fields.

The Avro that is taken is a strict part of Avro 1.12: records, arrays, enums, ``["null", X]`` and the scalars below.
Every field says its ``compartment`` and its ``doc``; constraints are attributes of the field (ATTRIBUTES). In an array
of scalars they are those of the items.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hub.catalog import limits
from hub.catalog.codes import CodeList
from hub.catalog.errors import SchemaInvalid
from hub.catalog.fields import NO_DEFAULT, Array, Node, Record, Rule, Scalar
from hub.catalog.rules import parse_rules
from hub.model import Compartment, NameInvalid, parse_compartment

_EVENT = re.compile(r"[a-z]{2,16}\.[a-z]{2,16}", re.ASCII)
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]{1,47}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z][A-Z0-9_]{0,47}", re.ASCII)
_EVENT_KEYS: Final = frozenset(
    {
        *("type", "name", "namespace", "event", "version", "title", "doc", "source"),
        *("compartments", "needs", "rules", "fields"),
    }
)
_RECORD_KEYS: Final = frozenset({"type", "name", "namespace", "doc", "source", "rules", "fields"})

_ATTRIBUTE_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "name": (str,),
    "type": (str, dict, list),
    "doc": (str,),
    "default": (object,),
    "compartment": (str,),
    "personal": (bool,),
    "mandatory_on": (str,),
    "const": (bool,),
    "unit": (str,),
    "min": (int, float),
    "max": (int, float),
    "pattern": (str,),
    "min_length": (int,),
    "max_length": (int,),
    "min_items": (int,),
    "max_items": (int,),
    "codes": (str,),
    "char_codes": (list,),
}
ATTRIBUTES: Final = frozenset(_ATTRIBUTE_TYPES)
"""What a field may say."""
_TEXT_ONLY: Final = frozenset({"pattern", "min_length", "max_length", "codes", "char_codes"})
_KINDS: Final[Mapping[tuple[str, str], str]] = {
    ("string", ""): "string",
    ("string", "uuid"): "uuid",
    ("int", ""): "int",
    ("int", "date"): "date",
    ("long", ""): "long",
    ("long", "timestamp-millis"): "timestamp",
    ("double", ""): "double",
    ("boolean", ""): "boolean",
    ("bytes", "decimal"): "decimal",
}
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


@dataclass(frozen=True, slots=True)
class TypeSchema:
    """One version of an event type as the schema says it.

    ``order`` is the schema's ``compartments``, from open to closed; ``compartments`` those that a field falls in.
    ``needs``: a compartment that is granted with all of these, or not at all.
    """

    name: str
    version: int
    title: str
    doc: str
    source: str
    order: tuple[Compartment, ...]
    compartments: tuple[Compartment, ...]
    root: Record
    needs: Mapping[Compartment, tuple[Compartment, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the parser stands: for messages, and for what a field takes from the fields above it."""

    path: str
    compartment: Compartment
    personal: bool
    depth: int


class SchemaParser:
    """Parses types against shared records (by ``namespace.name``) and code lists. Raises :class:`SchemaInvalid`."""

    def __init__(self, shared: Mapping[str, Mapping[str, Any]], code_lists: Mapping[str, CodeList]) -> None:
        self._shared = shared
        self._code_lists = code_lists
        self.used_records: set[str] = set()
        self.used_code_lists: set[str] = set()
        self._file = ""
        self._order: tuple[Compartment, ...] = ()

    def parse(self, raw: Any, file: str) -> TypeSchema:
        """``raw`` is the JSON of the file named ``file``."""
        self._file = file
        self._keys(raw, _EVENT_KEYS, "")
        name, version = raw.get("event"), raw.get("version")
        if not isinstance(name, str) or not _EVENT.fullmatch(name):
            raise self._refuse("event", "the event type's name, like `trace.request`, is missing or malformed")
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= 9999:
            raise self._refuse("version", "a whole number from 1 is wanted")
        for key in ("title", "doc", "source"):
            if not isinstance(raw.get(key), str) or not raw[key].strip():
                raise self._refuse(key, "is missing")
        self._order = self._compartments(raw.get("compartments"))
        root = self._record(raw, _Place("", self._order[0], False, 0))
        used = {compartment for node in root.fields for compartment in node.compartments}
        # where a shared record's compartment gives way to its parent's, one may be idle
        compartments = tuple(compartment for compartment in self._order if compartment in used)
        needs = self._needs(raw.get("needs", {}), compartments)
        return TypeSchema(
            name, version, raw["title"], raw["doc"], raw["source"], self._order, compartments, root, needs
        )

    def _needs(self, raw: Any, compartments: tuple[Compartment, ...]) -> dict[Compartment, tuple[Compartment, ...]]:
        self._keys(raw, frozenset(compartments), "needs")
        needs: dict[Compartment, tuple[Compartment, ...]] = {}
        for name, others in raw.items():
            compartment = Compartment(name)
            earlier = compartments[: compartments.index(compartment)]
            if not isinstance(others, list) or not others or not set(others) <= set(earlier):
                raise self._refuse("needs", f"`{name}` needs one or more of {', '.join(earlier) or 'none'}")
            needs[compartment] = tuple(each for each in earlier if each in others)
        return needs

    def _compartments(self, raw: Any) -> tuple[Compartment, ...]:
        if (
            not isinstance(raw, list)
            or not 1 <= len(raw) <= limits.COMPARTMENTS_MAX
            or len(set(map(str, raw))) != len(raw)
        ):
            raise self._refuse("compartments", f"1 to {limits.COMPARTMENTS_MAX} names, each once, from open to closed")
        try:
            return tuple(parse_compartment(str(name)) for name in raw)
        except NameInvalid as error:
            raise self._refuse("compartments", error.message) from error

    def _record(self, raw: Mapping[str, Any], place: _Place) -> Record:
        name = raw.get("name")
        if not isinstance(name, str) or not _TYPE_NAME.fullmatch(name):
            raise self._refuse(place.path, "a record has a `name` like `TraceRequest`")
        if place.depth > limits.DEPTH_MAX:
            raise self._refuse(
                place.path, f"more than {limits.DEPTH_MAX} records within each other, or one within itself"
            )
        fields = raw.get("fields")
        if not isinstance(fields, list) or not fields:
            raise self._refuse(place.path, f"{name}: `fields` is missing or empty: it would encode to zero bytes")
        nodes = tuple(self._field(field, place) for field in fields)
        names = [node.name for node in nodes]
        if len(set(names)) != len(names):
            raise self._refuse(place.path, f"{name}: a field stands twice")
        try:
            rules: tuple[Rule, ...] = parse_rules(raw.get("rules", []), nodes, self._codes_of)
        except ValueError as error:
            raise self._refuse(place.path, f"{name}: rules: {error}") from error
        return Record(name, nodes, rules)

    def _field(self, raw: Any, parent: _Place) -> Node:
        name = raw.get("name") if isinstance(raw, dict) else None
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            raise self._refuse(parent.path, "a field has a `name` of [a-z][a-z0-9_]*")
        path = f"{parent.path}.{name}" if parent.path else name
        self._keys(raw, ATTRIBUTES, path)
        for attribute, value in raw.items():
            wanted = _ATTRIBUTE_TYPES[attribute]
            if not isinstance(value, wanted) or (isinstance(value, bool) and not {bool, object} & set(wanted)):
                raise self._refuse(path, f"`{attribute}` is a {' or '.join(each.__name__ for each in wanted)}")
        if not isinstance(raw.get("doc"), str) or not raw["doc"].strip():
            raise self._refuse(path, "`doc` is missing")
        own = raw.get("compartment")
        if own not in self._order:
            raise self._refuse(path, f"`compartment` is missing or is not one of {', '.join(self._order)}")
        later = self._order[max(self._order.index(own), self._order.index(parent.compartment))]
        personal = bool(raw.get("personal")) or own == "personal" or parent.personal
        avro, nullable = self._unwrap_null(raw.get("type"), path)
        place = _Place(path, later, personal, parent.depth + 1)
        kind = self._type(avro, raw, place)
        inner = kind.item if isinstance(kind, Array) else kind
        below = {c for node in inner.fields for c in node.compartments} if isinstance(inner, Record) else {later}
        compartments = tuple(compartment for compartment in self._order if compartment in below)
        mandatory_on = raw.get("mandatory_on", "")
        if mandatory_on not in ("", "personal") or (mandatory_on and not nullable):
            raise self._refuse(path, '`mandatory_on` is "personal", on a nullable field')
        default = self._default(raw, kind, nullable, path)
        return Node(
            name,
            path,
            kind,
            nullable,
            default,
            Compartment(own),
            later,
            compartments,
            personal,
            mandatory_on,
            raw["doc"],
        )

    def _unwrap_null(self, avro: Any, path: str) -> tuple[Any, bool]:
        if not isinstance(avro, list):
            return avro, False
        if len(avro) != 2 or avro[0] != "null" or avro[1] == "null":
            raise self._refuse(path, 'a union is ["null", X], nothing else')
        return avro[1], True

    def _type(self, avro: Any, raw: Mapping[str, Any], place: _Place) -> Scalar | Array | Record:
        if isinstance(avro, dict) and avro.get("type") == "array":
            return self._array(avro, raw, place)
        if "min_items" in raw or "max_items" in raw:
            raise self._refuse(place.path, "`min_items` and `max_items` are for arrays")
        return self._item(avro, raw, place)

    def _array(self, avro: Mapping[str, Any], raw: Mapping[str, Any], place: _Place) -> Array:
        self._keys(avro, frozenset({"type", "items"}), place.path)
        least, most = raw.get("min_items", 0), raw.get("max_items")
        if not isinstance(most, int) or not 1 <= most <= limits.ARRAY_ITEMS_MAX:
            raise self._refuse(place.path, f"an array has `max_items` from 1 to {limits.ARRAY_ITEMS_MAX}")
        if not isinstance(least, int) or not 0 <= least <= most:
            raise self._refuse(place.path, "`min_items` is out of range")
        item = self._item(avro.get("items"), raw, replace(place, path=place.path + "[]"))
        return Array(item, least, most)

    def _item(self, avro: Any, raw: Mapping[str, Any], place: _Place) -> Scalar | Record:
        if isinstance(avro, str) and "." in avro:
            if avro not in self._shared:
                raise self._refuse(place.path, f"no shared record {avro}{_meant(avro, self._shared)}")
            self.used_records.add(avro)
            avro = self._shared[avro]
        if isinstance(avro, dict) and avro.get("type") == "record":
            self._keys(avro, _RECORD_KEYS, place.path)
            idle = ATTRIBUTES - {"name", "type", "doc", "default", "compartment", "personal", "min_items", "max_items"}
            if idle & set(raw):
                raise self._refuse(place.path, f"a record has no {', '.join(sorted(idle & set(raw)))}")
            return self._record(avro, place)
        return self._scalar(avro, raw, place.path)

    def _scalar(self, avro: Any, raw: Mapping[str, Any], path: str) -> Scalar:
        if isinstance(avro, dict) and avro.get("type") == "enum":
            return self._enum(avro, raw, path)
        base, logical = (avro.get("type"), avro.get("logicalType", "")) if isinstance(avro, dict) else (avro, "")
        kind = _KINDS.get((str(base), str(logical)))
        if kind is None:
            raise self._refuse(path, f"type {avro!r} is not taken here; these are: {sorted(_KINDS)}")
        self._applicable(kind, raw, path)
        unit = raw.get("unit", "")
        if kind in ("int", "long", "double"):
            low, high = _BOUNDS.get(kind, (None, None))
            return Scalar(kind, minimum=raw.get("min", low), maximum=raw.get("max", high), unit=unit)
        if kind == "boolean":
            return Scalar(kind, const=raw.get("const"))
        if kind == "decimal":
            return self._decimal(avro, raw, path)
        if kind in ("date", "timestamp", "uuid"):
            return Scalar(kind)
        return self._text(raw, path)

    def _text(self, raw: Mapping[str, Any], path: str) -> Scalar:
        least, most = raw.get("min_length", 1), raw.get("max_length", limits.TEXT_CHARACTERS)
        if not 0 <= least <= most <= limits.TEXT_CHARACTERS_MAX:
            raise self._refuse(path, f"`min_length` to `max_length` is not within 0 to {limits.TEXT_CHARACTERS_MAX}")
        pattern = raw.get("pattern")
        if pattern is not None:
            if not (pattern.startswith("^") and pattern.endswith("$")):
                raise self._refuse(path, "`pattern` begins with ^ and ends with $")
            try:
                re.compile(pattern)
            except re.error as error:
                raise self._refuse(path, f"`pattern`: {error}") from error
        name, chars = raw.get("codes"), tuple(raw.get("char_codes", ()))
        codes = frozenset(self._code_list(name, path).codes) if name is not None else None
        return Scalar(
            "string",
            code_list=name,
            codes=codes,
            char_lists=chars,
            char_codes=tuple(frozenset(self._code_list(each, path).codes) for each in chars),
            pattern=pattern,
            min_length=least,
            max_length=most,
        )

    def _decimal(self, avro: Mapping[str, Any], raw: Mapping[str, Any], path: str) -> Scalar:
        precision, scale = avro.get("precision"), avro.get("scale", 0)
        if not (isinstance(precision, int) and isinstance(scale, int) and 0 <= scale <= precision <= 18 and precision):
            raise self._refuse(path, "a decimal has `precision` up to 18 and `scale` within it")
        low, high = str(raw.get("min", 0)), raw.get("max")
        if low.startswith("-"):
            raise self._refuse(path, "a decimal is not negative here")
        return Scalar("decimal", minimum=low, maximum=high, precision=precision, scale=scale, unit=raw.get("unit", ""))

    def _enum(self, avro: Mapping[str, Any], raw: Mapping[str, Any], path: str) -> Scalar:
        self._keys(avro, frozenset({"type", "name", "symbols", "default"}), path)
        self._applicable("enum", raw, path)
        symbols = avro.get("symbols")
        if not isinstance(symbols, list) or not 1 <= len(symbols) <= limits.ENUM_SYMBOLS_MAX:
            raise self._refuse(path, f"an enum has 1 to {limits.ENUM_SYMBOLS_MAX} symbols")
        if len(set(symbols)) != len(symbols) or not all(_SYMBOL.fullmatch(symbol) for symbol in symbols):
            raise self._refuse(path, "an enum's symbols are [A-Z][A-Z0-9_]*, each once")
        default = avro.get("default")
        if default is not None and default not in symbols:
            raise self._refuse(path, "an enum's `default` is one of its symbols")
        return Scalar("enum", symbols=tuple(symbols), symbol_default=default)

    def _applicable(self, kind: str, raw: Mapping[str, Any], path: str) -> None:
        present = set(raw)
        wrong = present & _TEXT_ONLY if kind != "string" else set()
        if kind not in ("int", "long", "double", "decimal"):
            wrong |= present & {"min", "max", "unit"}
        if kind != "boolean":
            wrong |= present & {"const"}
        if wrong:
            raise self._refuse(path, f"a {kind} has no {', '.join(sorted(wrong))}")

    def _default(self, raw: Mapping[str, Any], kind: Scalar | Array | Record, nullable: bool, path: str) -> Any:
        if "default" not in raw:
            if nullable:
                raise self._refuse(path, "a nullable field has `default` null")
            return NO_DEFAULT
        default = raw["default"]
        if nullable and default is not None:
            raise self._refuse(path, "a nullable field has `default` null")
        if isinstance(kind, Array) and not nullable and (default != [] or kind.min_items):
            raise self._refuse(path, "an array's `default` is [] and then it has no `min_items`")
        if isinstance(kind, Record) and not nullable:
            lacking = [node.name for node in kind.fields if node.default is NO_DEFAULT]
            if default != {} or lacking:
                raise self._refuse(
                    path, f"a record's `default` is {{}} and all its fields have one ({lacking} have not)"
                )
        if isinstance(kind, Scalar) and default is not None:
            fits = default in kind.symbols if kind.kind == "enum" else isinstance(default, bool)
            if kind.kind not in ("enum", "boolean") or not fits:
                raise self._refuse(path, "a scalar's `default` is null, a symbol of its enum, or true or false")
        return default

    def _code_list(self, name: Any, path: str) -> CodeList:
        if name not in self._code_lists:
            raise self._refuse(path, f"no code list {name!r}{_meant(str(name), self._code_lists)}")
        self.used_code_lists.add(name)
        return self._code_lists[name]

    def _codes_of(self, name: str) -> frozenset[str]:
        return frozenset(self._code_list(name, "rules").codes)

    def _keys(self, raw: Any, known: frozenset[str], path: str) -> None:
        if not isinstance(raw, dict):
            raise self._refuse(path, "a JSON object is wanted")
        for key in raw:
            if key not in known:
                raise self._refuse(path, f"unknown attribute `{key}`{_meant(key, known)}")

    def _refuse(self, field: str, why: str) -> SchemaInvalid:
        return SchemaInvalid(f"{self._file}: {field or 'the schema'}: {why}", file=self._file, field=field)


def _meant(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean `{close[0]}`?)" if close else ""
