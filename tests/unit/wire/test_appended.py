"""hub/wire/appended.py: the moment that the router hands on, and what of it counts."""

from __future__ import annotations

import pytest

from hub.ports import IncomingRecord
from hub.wire.appended import encode_appended, first_appended_ms


def record(appended_ms: int | None, *headers: tuple[str, bytes]) -> IncomingRecord:
    return IncomingRecord("deliver.ATF", 0, 0, 9_000, b"key", b"value", headers, appended_ms)


def test_the_earlier_moment_goes_with_the_delivered_record() -> None:
    ingest = record(5_000)
    assert first_appended_ms(record(9_000, *encode_appended(ingest))) == 5_000


def test_a_record_without_a_moment_hands_on_none() -> None:
    assert encode_appended(record(None)) == ()
    assert first_appended_ms(record(9_000)) == 9_000


def test_where_the_broker_says_nothing_a_header_is_worth_nothing() -> None:
    assert first_appended_ms(record(None, ("appended", b"5000"))) is None


@pytest.mark.parametrize(
    "headers",
    [
        [("appended", b"9001")],  # later than the delivery
        [("appended", b"")],
        [("appended", b"-1")],
        [("appended", b"05000")],
        [("appended", b"5e3")],
        [("appended", b"5000 ")],
        [("appended", b"9" * 16)],
        [("appended", b"5000"), ("appended", b"5000")],
        [("Appended", b"5000")],
    ],
)
def test_what_is_no_earlier_moment_counts_for_nothing(headers: list[tuple[str, bytes]]) -> None:
    assert first_appended_ms(record(9_000, *headers)) == 9_000
