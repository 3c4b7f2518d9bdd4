"""Sections of a type by fastavro: the body split by compartments before it writes, merged after it has read.

A section is plain Avro of the schema that :func:`hub.catalog.avro.compartment_schema` gives. fastavro is handed an
equal one that is cheaper to walk: without logical types (dates, times and decimals are texts in a body), and a record
that is never null is written out in its parent, which are the same bytes (Avro 1.12, "Records").

fastavro takes more than one encoding of a value, so what was decoded is encoded again and must be the same bytes. It
also takes any length of a list, but every item takes a byte at least (the schema parser refuses a record without
fields), so a section of 64 KiB bounds what can be made of it before the validator counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any, Final

import fastavro

from hub.catalog import texts
from hub.catalog.avro import compartment_schema
from hub.catalog.fields import Array, Record, Scalar
from hub.catalog.schema import TypeSchema
from hub.model import Compartment

MALFORMED: Final = (ValueError, IndexError, EOFError, OverflowError)
"""What :meth:`Codec.decode` raises on bytes that are not the one encoding of a part of the type."""

UNFIT: Final = (KeyError, TypeError, AttributeError, ValueError, OverflowError)
"""What :meth:`Codec.encode` raises on a body that did not pass the type's validator."""

_NULL: Final = ("null", None)

Part = dict[str, Any]
"""What fastavro writes and reads: the fields of a record and of the records within it that are never null."""

_Convert = Callable[[Any], Any]
_Split = Callable[[Mapping[str, Any], Part], None]
_Merge = Callable[[Sequence[dict[str, Any]]], dict[str, Any]]
_Absorb = Callable[[dict[str, Any], dict[str, Any]], None]


class Malformed(ValueError):
    """Why a section is refused. Its text shows no value."""


class Codec:
    """The codec of one version of a type. Made once; it holds no state of what it encodes."""

    def __init__(self, schema: TypeSchema) -> None:
        self._root = schema.root
        self._order = schema.compartments
        self._plain: dict[Compartment, Any] = {}
        self._flat: dict[Compartment, Any] = {}
        self._splits: dict[Compartment, _Split] = {}
        for compartment in schema.compartments:
            plain = _bare(compartment_schema(schema.name, schema.version, schema.root, compartment))
            self._plain[compartment] = fastavro.parse_schema(plain)
            flat = _flatten(plain)
            self._flat[compartment] = fastavro.parse_schema(flat)
            self._splits[compartment] = _splitter(schema.root, compartment, flat)
        self._merges: dict[tuple[Compartment, ...], _Merge] = {}

    def encode(self, body: Mapping[str, Any], order: Sequence[Compartment]) -> tuple[bytes, ...]:
        """The section of each compartment in ``order``. ``body`` is valid; else this may raise one of ``UNFIT``."""
        return tuple([self._encode(body, compartment) for compartment in order])

    def _encode(self, body: Mapping[str, Any], compartment: Compartment) -> bytes:
        part: Part = {}
        self._splits[compartment](body, part)
        stream = BytesIO()
        fastavro.schemaless_writer(stream, self._flat[compartment], part)
        return stream.getvalue()

    def decode(self, sections: Sequence[bytes], order: tuple[Compartment, ...]) -> dict[str, Any]:
        """The merged body of the ``sections`` of the compartments in ``order``. Raises one of ``MALFORMED``."""
        parts: list[Any] = [
            fastavro.schemaless_reader(BytesIO(section), self._plain[compartment], None)
            for section, compartment in zip(sections, order, strict=True)
        ]
        merge = self._merges.get(order)
        if merge is None:
            merge = self._merges[order] = _merger(self._root, order)
        body = merge(parts)
        if self.encode(body, order) != tuple(sections):
            raise Malformed("it is not the one encoding of what it says, or bytes are left over")
        return body


# --- the schema that fastavro is handed ------------------------------------------------------------------------------


def _bare(avro: Any) -> Any:
    """``avro`` without logical types and defaults: values as they are on the wire."""
    if isinstance(avro, list):
        return [_bare(branch) for branch in avro]
    if isinstance(avro, str) or avro["type"] == "enum":
        return avro
    if avro["type"] == "record":
        fields = [{"name": field["name"], "type": _bare(field["type"])} for field in avro["fields"]]
        return {"type": "record", "name": avro["name"], "fields": fields}
    return {"type": "array", "items": _bare(avro["items"])} if avro["type"] == "array" else avro["type"]


def _flatten(avro: Any) -> Any:
    """``avro`` (bare) with each record that is never null written out in its parent."""
    if isinstance(avro, list):
        return [_flatten(branch) for branch in avro]
    if isinstance(avro, str) or avro["type"] == "enum":
        return avro
    if avro["type"] == "array":
        return {**avro, "items": _flatten(avro["items"])}
    return {**avro, "fields": list(_flat_fields(avro, ""))}


def _flat_fields(avro: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    for field in avro["fields"]:
        key, kind = prefix + field["name"], field["type"]
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from _flat_fields(kind, f"{key}__")
        else:
            yield {"name": key, "type": _flatten(kind)}


# --- splitting ------------------------------------------------------------------------------------------------------

_ENCODED: Final[Mapping[str, _Convert]] = {
    "date": texts.encode_date,
    "timestamp": texts.encode_timestamp,
    "decimal": texts.encode_decimal,
}
_DECODED: Final[Mapping[str, _Convert]] = {"date": texts.decode_date, "timestamp": texts.decode_timestamp}


def _splitter(record: Record, only: Compartment, avro: Mapping[str, Any], prefix: str = "") -> _Split:
    """Puts the fields of one compartment into a part, under the names that ``avro`` (flat) has for them."""
    types = {field["name"]: field["type"] for field in avro["fields"]}
    copied: list[tuple[str, str]] = []
    nullable: list[tuple[str, str, str]] = []
    converted: list[tuple[str, str, _Convert]] = []
    within: list[tuple[str, _Split]] = []
    for node in record.fields:
        name, key = node.name, prefix + node.name
        if only not in node.compartments:
            continue
        if isinstance(node.type, Record) and not node.nullable:
            within.append((name, _splitter(node.type, only, avro, f"{key}__")))
            continue
        kind = types[key][1] if node.nullable else types[key]
        convert = _encoded(node.type, only, kind)
        if convert is not None:
            converted.append((name, key, _or_null(_branch(kind), convert) if node.nullable else convert))
        elif node.nullable:
            nullable.append((name, key, _branch(kind)))
        else:
            copied.append((name, key))
    return _split(copied, nullable, converted, within)


def _split(
    copied: Sequence[tuple[str, str]],
    nullable: Sequence[tuple[str, str, str]],
    converted: Sequence[tuple[str, str, _Convert]],
    within: Sequence[tuple[str, _Split]],
) -> _Split:
    def split(values: Mapping[str, Any], part: Part) -> None:
        for name, key in copied:
            part[key] = values[name]
        for name, key, branch in nullable:
            value = values[name]
            part[key] = _NULL if value is None else (branch, value)
        for name, key, convert in converted:
            part[key] = convert(values[name])
        for name, inner in within:
            inner(values[name], part)

    return split


def _branch(avro: Any) -> str:
    """What fastavro calls a branch of a union in its tuple notation, which spares it from trying each branch."""
    return avro if isinstance(avro, str) else str(avro.get("name", avro["type"]))


def _or_null(branch: str, convert: _Convert) -> _Convert:
    return lambda value: _NULL if value is None else (branch, convert(value))


def _encoded(kind: Scalar | Array | Record, only: Compartment, avro: Any) -> _Convert | None:
    """Makes of a body's value the one that fastavro writes; ``None`` where they are the same."""
    if isinstance(kind, Scalar):
        return _ENCODED.get(kind.kind)
    if isinstance(kind, Array):
        return _for_each(_encoded(kind.item, only, avro["items"]))
    split = _splitter(kind, only, avro)

    def split_record(values: Mapping[str, Any]) -> Part:
        part: Part = {}
        split(values, part)
        return part

    return split_record


def _for_each(convert: _Convert | None) -> _Convert | None:
    return None if convert is None else lambda items: [convert(item) for item in items]


# --- merging --------------------------------------------------------------------------------------------------------


def _merger(root: Record, order: Sequence[Compartment]) -> _Merge:
    """Makes a body of what fastavro read of each compartment in ``order``. It uses up the parts."""
    restores = [(index, restore) for index, only in enumerate(order) if (restore := _restorer(root, only)) is not None]
    absorbs = [_absorber(root, frozenset(order[:index]), order[index]) for index in range(1, len(order))]

    def merge(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        for index, restore in restores:
            restore(parts[index])
        body, *others = parts
        for part, absorb in zip(others, absorbs, strict=True):
            absorb(body, part)
        return body

    return merge


def _restorer(record: Record, only: Compartment) -> _Convert | None:
    """Puts texts in place of the numbers and bytes that stand for them; ``None`` where there are none."""
    steps = [
        (node.name, step)
        for node in record.fields
        if only in node.compartments and (step := _decoded(node.type, only)) is not None
    ]
    if not steps:
        return None

    def restore(part: dict[str, Any]) -> dict[str, Any]:
        for name, step in steps:
            value = part[name]
            if value is not None:
                part[name] = step(value)
        return part

    return restore


def _decoded(kind: Scalar | Array | Record, only: Compartment) -> _Convert | None:
    """Makes of a value that fastavro read the one of a body; ``None`` where they are the same."""
    if isinstance(kind, Record):
        return _restorer(kind, only)
    if isinstance(kind, Array):
        return _for_each(_decoded(kind.item, only))
    return partial(texts.decode_decimal, scale=kind.scale) if kind.kind == "decimal" else _DECODED.get(kind.kind)


def _absorber(record: Record, held: frozenset[Compartment], other: Compartment) -> _Absorb:
    """Adds the part of ``other`` to the merged parts of ``held``: what is in both must agree."""
    shared = [
        (node.name, isinstance(node.type, Array), _absorber(node.record, held, other))
        for node in record.fields
        if node.record is not None and other in node.compartments and node.visible(held)
    ]

    def absorb(into: dict[str, Any], part: dict[str, Any]) -> None:
        for name, many, inner in shared:
            ours, theirs = into[name], part[name]
            if ours is None or theirs is None:
                if ours is not theirs:
                    raise Malformed("the compartments do not agree whether a record is there")
                continue
            if not many:
                inner(ours, theirs)
            elif len(ours) == len(theirs):
                for mine, its in zip(ours, theirs, strict=True):
                    inner(mine, its)
            else:
                raise Malformed("the compartments do not agree on the length of a list")
            part[name] = ours
        into.update(part)

    return absorb
