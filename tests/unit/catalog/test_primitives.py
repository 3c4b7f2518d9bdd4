"""Avro's scalars, byte by byte (Avro 1.12, Binary Encoding), and only in their shortest form."""

from __future__ import annotations

import pytest

from hub.catalog import primitives as p
from hub.catalog.decoder import _double


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, b"\x00"),
        (-1, b"\x01"),
        (1, b"\x02"),
        (-64, b"\x7f"),
        (64, b"\x80\x01"),
        (8_192, b"\x80\x80\x01"),
        (2**31 - 1, b"\xfe\xff\xff\xff\x0f"),
        (2**63 - 1, b"\xfe" + b"\xff" * 8 + b"\x01"),
        (-(2**63), b"\xff" * 9 + b"\x01"),
    ],
)
def test_longs(number: int, encoded: bytes) -> None:
    assert p.encode_long(number) == encoded
    assert p.LONGS[number] == encoded
    assert p.NULLABLE_LONGS[number] == b"\2" + encoded
    assert p.decode_long(b"x" + encoded + b"y", 1) == (number, 1 + len(encoded))


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        (b"\x80\x00", "too long"),
        (b"\xff\x80\x00", "too long"),
        (b"\x80" * 10 + b"\x01", "too long"),
        (b"\xff" * 9 + b"\x02", "past 64 bits"),
        (b"\xff" * 9 + b"\x7f", "past 64 bits"),
    ],
)
def test_longs_that_are_not_the_shortest_or_do_not_fit(encoded: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        p.decode_long(encoded, 0)


def test_a_long_that_ends_too_early() -> None:
    with pytest.raises(IndexError):
        p.decode_long(b"\x80", 0)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_an_int_has_32_bits(number: int) -> None:
    assert p.decode_int(p.encode_long(2**31 - 1), 0)[0] == 2**31 - 1
    assert p.decode_int(p.encode_long(-(2**31)), 0)[0] == -(2**31)
    with pytest.raises(ValueError, match="32 bits"):
        p.decode_int(p.encode_long(number), 0)


def test_a_length_is_not_negative() -> None:
    assert p.decode_length(p.encode_long(300), 0) == (300, 2)
    with pytest.raises(ValueError, match="negative"):
        p.decode_length(p.encode_long(-300), 0)


def test_the_table_of_lengths_agrees_with_the_decoder() -> None:
    for byte, length in enumerate(p.LENGTHS):
        if length >= 0:
            assert p.decode_length(bytes([byte]), 0) == (length, 1)
        else:
            assert byte & 0x80 or p.decode_long(bytes([byte]), 0)[0] < 0


@pytest.mark.parametrize("text", ["1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31", "1992-11-08", "2024-02-29"])
def test_dates(text: str) -> None:
    encoded = p.DATES[text]
    assert p.NULLABLE_DATES[text] == b"\2" + encoded
    assert p.DATE_TEXTS[p.decode_long(encoded, 0)[0]] == text
    assert p.DATES_BY_BYTES[encoded[:3]] in ((text,) if len(encoded) == 3 else ("",))


@pytest.mark.parametrize("days", [3_000_000, -800_000])
def test_days_outside_the_calendar(days: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        p.DATE_TEXTS[days]


@pytest.mark.parametrize("three", [b"", b"\x00", b"\x80\x80", b"\x00\x80\x01", b"\x80\x01\x00", b"\x80\x80\x80"])
def test_three_bytes_that_are_not_one_date_of_three(three: bytes) -> None:
    assert p.DATES_BY_BYTES[three] == ""


def test_three_bytes_that_are_too_long() -> None:
    with pytest.raises(ValueError, match="too long"):
        p.DATES_BY_BYTES[b"\x80\x80\x00"]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-11-24T08:00:00.250Z", 1_795_507_200_250),
        ("0001-01-01T00:00:00.000Z", -62_135_596_800_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_timestamps(text: str, milliseconds: int) -> None:
    assert p.decode_long(p.encode_timestamp(text), 0)[0] == milliseconds
    assert p.decode_timestamp(milliseconds) == text
    assert p.canonical_timestamp(text) == text


@pytest.mark.parametrize("milliseconds", [253_402_300_800_000, -62_135_596_800_001, 2**63 - 1])
def test_times_outside_the_calendar(milliseconds: int) -> None:
    with pytest.raises(OverflowError):
        p.decode_timestamp(milliseconds)


@pytest.mark.parametrize(
    ("text", "scale", "encoded"),
    [
        ("0.00", 2, b"\x02\x00"),
        ("1.27", 2, b"\x02\x7f"),
        ("1.28", 2, b"\x04\x00\x80"),
        ("412.50", 2, b"\x06\x00\xa1\x22"),  # its top bit is set: a zero byte keeps it positive
        ("7", 0, b"\x02\x07"),
    ],
)
def test_decimals(text: str, scale: int, encoded: bytes) -> None:
    assert p.encode_decimal(text) == encoded
    assert p.decode_decimal(encoded[1:], scale) == text


@pytest.mark.parametrize("encoded", [b"", b"\xff", b"\x00\x01", b"\x80"])
def test_decimals_that_are_negative_or_not_the_shortest(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="negative or not the shortest"):
        p.decode_decimal(encoded, 2)


def test_a_double_that_ends_too_early() -> None:
    assert _double(b"x" + p.pack_double(17.5), 1) == 17.5
    with pytest.raises(ValueError, match="within a double"):
        _double(p.pack_double(17.5), 1)
