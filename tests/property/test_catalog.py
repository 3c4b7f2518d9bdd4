"""Any valid body goes round for any set of compartments, in plain Avro, and nothing but the one encoding is taken."""

from __future__ import annotations

import copy
import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalog import EventInvalid, EventType, SectionMalformed
from hub.catalog.fields import Array, Record, Scalar
from hub.errors import RejectedError
from hub.model import Compartment
from tests.support.bodies import bodies, without_defaults
from tests.support.samples import catalog, sample_event

TYPES = [catalog().get(name) for name in catalog().names()]
few = settings(max_examples=40, deadline=None)
each_type = pytest.mark.parametrize("event_type", TYPES, ids=lambda event_type: event_type.name)


def encode(event_type: EventType, body: dict[str, Any]) -> dict[Compartment, bytes]:
    return dict(zip(event_type.compartments, event_type.encode(body), strict=True))


def part(record: Record, values: dict[str, Any], granted: frozenset[Compartment]) -> dict[str, Any]:
    """What a holder of ``granted`` sees, worked out the slow way."""
    seen: dict[str, Any] = {}
    for node in record.fields:
        value = values[node.name]
        if node.visible(granted):
            inner = node.record
            if inner is not None and isinstance(value, list):
                value = [part(inner, item, granted) for item in value]
            elif inner is not None and value is not None:
                value = part(inner, value, granted)
            seen[node.name] = value
    return seen


@each_type
@given(data=st.data())
@few
def test_any_valid_body_goes_round_for_any_compartments(event_type: EventType, data: st.DataObject) -> None:
    body = data.draw(bodies(event_type))
    valid = event_type.validate(body)
    assert valid == body
    assert event_type.validate(without_defaults(event_type.schema.root, body)) == body
    sections = encode(event_type, valid)
    for granted in event_type.subsets():
        held = {compartment: sections[compartment] for compartment in granted}
        seen = event_type.decode(held, event_type.version)
        assert seen == part(event_type.schema.root, body, frozenset(granted))
        event_type.validate_granted(seen, granted)
        assert event_type.read(held) == seen
    again = event_type.decode(sections)
    assert encode(event_type, again) == sections


def raw(avro: Any) -> Any:
    """``avro`` without logical types, which fastavro would convert."""
    if isinstance(avro, dict):
        return {key: raw(value) for key, value in avro.items() if key not in ("logicalType", "precision", "scale")}
    return [raw(item) for item in avro] if isinstance(avro, list) else avro


@each_type
@given(data=st.data())
@few
def test_a_section_is_plain_avro(event_type: EventType, data: st.DataObject) -> None:
    sections = encode(event_type, data.draw(bodies(event_type)))
    for compartment, section in sections.items():
        schema = fastavro.parse_schema(raw(event_type.avro(compartment)))
        stream = io.BytesIO(section)
        value = fastavro.schemaless_reader(stream, schema, None)
        assert stream.read() == b""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, value)
        assert out.getvalue() == section


@each_type
@given(data=st.data())
@few
def test_changed_bytes_are_refused_or_are_another_body_s_own_encoding(
    event_type: EventType, data: st.DataObject
) -> None:
    sections = encode(event_type, data.draw(bodies(event_type)))
    compartment = data.draw(st.sampled_from(event_type.compartments))
    section = bytearray(sections[compartment])
    place = data.draw(st.integers(0, len(section) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "append"])):
        case "flip":
            section[place] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del section[place]
        case "insert":
            section.insert(place, data.draw(st.integers(0, 255)))
        case _:
            section.append(data.draw(st.integers(0, 255)))
    changed = {**sections, compartment: bytes(section)}
    try:
        body = event_type.decode(changed)
        event_type.validate_granted(body, event_type.compartments)
    except EventInvalid:
        return
    assert encode(event_type, body) == changed
    assert event_type.read(changed) == body


@each_type
@given(data=st.data())
@settings(parent=few, max_examples=60)
def test_read_refuses_what_validation_refuses(event_type: EventType, data: st.DataObject) -> None:
    """The quick checks of ``read`` and ``doubt`` never pass what the validator and the rules refuse."""
    body = copy.deepcopy(sample_event(event_type.name, data.draw(st.integers(0, 3))).body)
    _break_one(data, event_type.schema.root, body)
    sections: dict[Compartment, bytes] = {}
    for compartment in event_type.compartments:
        schema = fastavro.parse_schema(raw(event_type.avro(compartment)))
        out = io.BytesIO()
        seen = _raw_values(event_type.schema.root, part(event_type.schema.root, body, frozenset((compartment,))))
        try:
            fastavro.schemaless_writer(out, schema, seen)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError):
            return  # not even Avro can say it
        sections[compartment] = out.getvalue()
    expected: RejectedError | None = None
    try:
        decoded = event_type.decode(sections)
        event_type.validate_granted(decoded, event_type.compartments)
    except EventInvalid as error:
        expected = error
    if expected is None:
        assert event_type.read(sections) == decoded
    else:
        with pytest.raises(type(expected)):
            event_type.read(sections)


def _break_one(data: st.DataObject, record: Record, values: Any) -> None:
    node = data.draw(st.sampled_from(record.fields))
    inner, value = node.record, values[node.name]
    if inner is not None and value and data.draw(st.booleans()):
        _break_one(data, inner, value[0] if isinstance(value, list) else value)
    elif isinstance(node.type, Scalar) and node.type.kind in ("string", "uuid"):
        values[node.name] = data.draw(
            st.one_of(st.none(), st.text(max_size=30), st.sampled_from(["", "ZZZ", "x" * 3_000]))
        )
    elif isinstance(node.type, Scalar) and node.type.kind in ("int", "long"):
        values[node.name] = data.draw(st.integers(-(2**31), 2**31 - 1))
    elif isinstance(node.type, Scalar) and node.type.kind == "enum":
        values[node.name] = data.draw(st.sampled_from(node.type.symbols))
    elif isinstance(node.type, Scalar) and node.type.kind == "boolean":
        values[node.name] = data.draw(st.booleans())
    elif isinstance(node.type, Array):
        values[node.name] = data.draw(st.sampled_from([[], value * 2]))
    elif node.nullable:
        values[node.name] = None


def _raw_values(record: Record, values: dict[str, Any]) -> dict[str, Any]:
    """Dates, times and decimals as Avro's own values, for fastavro without logical types."""
    from hub.catalog import primitives

    found: dict[str, Any] = {}
    for node in record.fields:
        if node.name not in values:
            continue
        value = values[node.name]
        if node.record is not None and value is not None:
            many = isinstance(value, list)
            items = [_raw_values(node.record, item) for item in (value if many else [value])]
            value = items if many else items[0]
        elif isinstance(node.type, Scalar) and value is not None:
            if node.type.kind == "date":
                value = primitives.decode_long(primitives.DATES[value], 0)[0]
            elif node.type.kind == "timestamp":
                value = primitives.decode_long(primitives.encode_timestamp(value), 0)[0]
            elif node.type.kind == "decimal":
                value = primitives.encode_decimal(value)[1:]
        found[node.name] = value
    return found


@given(junk=st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_junk_is_refused_cleanly(junk: bytes) -> None:
    event_type = catalog().get("trace.request")
    try:
        event_type.read({Compartment("core"): junk})
    except SectionMalformed:
        return
    except EventInvalid:
        return
