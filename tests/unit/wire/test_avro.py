"""hub/wire/avro.py: equal to fastavro on what is canonical, and refusing all else."""

import io

import fastavro
import pytest

from hub.wire.avro import (
    FrameKindWrong,
    FrameMalformed,
    FrameNotCanonical,
    LimitExceeded,
    Reader,
    encode_bytes,
    encode_bytes_array,
    encode_fixed_array,
    encode_long,
)


def fast(schema: object, value: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def reader(rest: bytes, limit: int = 1000) -> Reader:
    return Reader(b"KIND" + rest, b"KIND", limit)


@pytest.mark.parametrize("value", [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2**31, -(2**31), 2**53, 2**63 - 1, -(2**63)])
def test_long_is_fastavros(value: int) -> None:
    raw = encode_long(value)
    assert raw == fast("long", value)
    got = reader(raw)
    assert got.long("x", value, value) == value
    got.end()


def test_arrays_and_bytes_are_fastavros() -> None:
    items = [b"", b"a", b"b" * 200]
    assert encode_bytes(items[2]) == fast("bytes", items[2])
    assert encode_bytes_array(items) == fast({"type": "array", "items": "bytes"}, items)
    assert encode_bytes_array([]) == fast({"type": "array", "items": "bytes"}, []) == b"\0"
    fixed = {"type": "fixed", "name": "F", "size": 4}
    assert encode_fixed_array([b"abcd", b"efgh"]) == fast({"type": "array", "items": fixed}, [b"abcd", b"efgh"])
    assert encode_fixed_array([]) == b"\0"


def test_kind_and_size_come_first() -> None:
    with pytest.raises(FrameKindWrong):
        Reader(b"KINE", b"KIND", 10)
    with pytest.raises(FrameKindWrong):
        Reader(b"KI", b"KIND", 10)
    with pytest.raises(LimitExceeded):
        Reader(b"KIND" + bytes(7), b"KIND", 10)


def test_an_integer_has_one_encoding() -> None:
    with pytest.raises(FrameNotCanonical):
        reader(b"\x80\x00").long("x", 0, 9)
    with pytest.raises(FrameNotCanonical):
        reader(b"\x82\x80\x00").long("x", 0, 9)
    with pytest.raises(FrameMalformed, match="64 bits"):
        reader(b"\xff" * 10 + b"\x01").long("x", -(2**80), 2**80)
    for cut in (b"", b"\x80", b"\xff\xff"):
        with pytest.raises(FrameMalformed, match="cut off"):
            reader(cut).long("x", 0, 9)
    for outside in (encode_long(-1), encode_long(10)):
        with pytest.raises(LimitExceeded):
            reader(outside).long("x", 0, 9)


def test_a_length_is_checked_before_it_is_used() -> None:
    with pytest.raises(LimitExceeded):
        reader(encode_long(5) + b"abcde").blob("x", 4)
    with pytest.raises(LimitExceeded):
        reader(encode_long(-1)).blob("x", 4)
    with pytest.raises(FrameMalformed):
        reader(encode_long(5) + b"abcd").blob("x", 9)
    with pytest.raises(FrameMalformed, match="ASCII"):
        reader(encode_bytes("é".encode())).text("x", 9)


def test_an_array_has_one_block() -> None:
    assert reader(encode_bytes_array([b"a", b"b"])).blob_array("x", 2, 9) == [b"a", b"b"]
    assert reader(b"\0").blob_array("x", 2, 9) == []
    two = encode_long(1) + encode_bytes(b"a") + encode_long(1) + encode_bytes(b"b") + b"\0"
    with pytest.raises(FrameNotCanonical, match="more than one block"):
        reader(two).blob_array("x", 2, 9)
    sized = encode_long(-1) + encode_long(2) + encode_bytes(b"a") + b"\0"
    with pytest.raises(FrameNotCanonical, match="byte size"):
        reader(sized).blob_array("x", 2, 9)
    with pytest.raises(FrameMalformed, match="cut off"):
        reader(encode_long(1) + encode_bytes(b"a")).blob_array("x", 2, 9)
    with pytest.raises(FrameMalformed, match="cut off"):
        reader(b"").blob_array("x", 2, 9)
    with pytest.raises(FrameNotCanonical):
        reader(b"\x80\x00").blob_array("x", 2, 9)


def test_a_count_is_checked_before_anything_is_expanded() -> None:
    with pytest.raises(LimitExceeded):
        reader(encode_long(2**40)).blob_array("x", 512, 9)
    with pytest.raises(FrameMalformed, match="more items"):
        reader(encode_long(500) + bytes(499)).blob_array("x", 512, 9)
    with pytest.raises(FrameMalformed, match="more items"):
        reader(encode_long(2) + bytes(63)).fixed_array("x", 9, 32)


def test_nothing_follows_the_last_field() -> None:
    got = reader(b"\0")
    with pytest.raises(FrameMalformed, match="after the frame's end"):
        got.end()
    assert reader(encode_fixed_array([bytes(4)])).fixed_array("x", 1, 4) == (bytes(4),)
    assert reader(encode_bytes_array([b"ab"])).text_array("x", 1, 4) == ("ab",)
