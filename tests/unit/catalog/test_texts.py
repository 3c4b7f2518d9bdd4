"""Dates, times and decimals: text to Avro's value and back, to the edges of the calendar."""

from __future__ import annotations

import pytest

from hub.catalog import texts


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1970-01-01", 0),
        ("1969-12-31", -1),
        ("2024-02-29", 19_782),
        ("0001-01-01", -719_162),
        ("9999-12-31", 2_932_896),
    ],
)
def test_dates(text: str, days: int) -> None:
    assert texts.encode_date(text) == days
    assert texts.decode_date(days) == text
    assert texts.canonical_date(text) == text


@pytest.mark.parametrize("text", ["2025-02-29", "20261103", "2026-W01-1", "2026-11-3", ""])
def test_what_is_not_a_date(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - Python's message or ours
        texts.canonical_date(text)


@pytest.mark.parametrize("days", [3_000_000, -800_000, 2**63 - 1])
def test_days_outside_the_calendar(days: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        texts.decode_date(days)


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
    assert texts.encode_timestamp(text) == milliseconds
    assert texts.decode_timestamp(milliseconds) == text
    assert texts.canonical_timestamp(text) == text


@pytest.mark.parametrize("milliseconds", [253_402_300_800_000, -62_135_596_800_001, 2**63 - 1])
def test_times_outside_the_calendar(milliseconds: int) -> None:
    with pytest.raises(OverflowError):
        texts.decode_timestamp(milliseconds)


@pytest.mark.parametrize(
    ("text", "scale", "encoded"),
    [
        ("0.00", 2, b"\x00"),
        ("1.27", 2, b"\x7f"),
        ("1.28", 2, b"\x00\x80"),
        ("412.50", 2, b"\x00\xa1\x22"),  # its top bit is set: a zero byte keeps it positive
        ("7", 0, b"\x07"),
    ],
)
def test_decimals(text: str, scale: int, encoded: bytes) -> None:
    assert texts.encode_decimal(text) == encoded
    assert texts.decode_decimal(encoded, scale) == text


@pytest.mark.parametrize("encoded", [b"\xff", b"\x80"])
def test_a_negative_decimal(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="negative"):
        texts.decode_decimal(encoded, 2)
