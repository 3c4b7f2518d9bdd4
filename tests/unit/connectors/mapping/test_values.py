"""One cell's text as a value: what is declared is read, what would be a guess is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from connectors.mapping.values import (
    check_text,
    parse_boolean,
    parse_date,
    parse_integer,
    parse_number,
    parse_timestamp,
)
from connectors.toolkit.errors import (
    BooleanRefused,
    BytesUndecodable,
    ControlCharacter,
    DateRefused,
    NumberRefused,
)

JAMAICA, HAITI = ZoneInfo("America/Jamaica"), ZoneInfo("America/Port-au-Prince")


def test_the_declared_order_of_day_and_month_decides() -> None:
    assert parse_date("03/04/2025", ["%d/%m/%Y"]) == date(2025, 4, 3)
    assert parse_date("03/04/2025", ["%m/%d/%Y"]) == date(2025, 3, 4)
    assert parse_date("2025-04-03", ["%d/%m/%Y", "%Y-%m-%d"]) == date(2025, 4, 3)


@pytest.mark.parametrize(
    "text", ["31/02/2025", "29/02/2025", "3/4/25", "2025-04-03", "13/13/2025", "03/04/1025", "", "45000"]
)
def test_a_date_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(DateRefused):
        parse_date(text, ["%d/%m/%Y"])


def test_two_digit_years_fall_in_the_declared_century() -> None:
    assert parse_date("03/04/69", ["%d/%m/%y"], century_from=1970) == date(2069, 4, 3)
    assert parse_date("03/04/70", ["%d/%m/%y"], century_from=1970) == date(1970, 4, 3)
    assert parse_date("29/02/24", ["%d/%m/%y"], century_from=1970) == date(2024, 2, 29)
    with pytest.raises(DateRefused):
        parse_date("29/02/00", ["%d/%m/%y"], century_from=1900)


def test_excel_day_numbers_need_their_calendar() -> None:
    assert parse_date("45385", [], excel="1900") == date(2024, 4, 3)
    assert parse_date("45385.75", [], excel="1900") == date(2024, 4, 3)
    assert parse_date("43923", [], excel="1904") == date(2024, 4, 3)
    for text in ("60", "0", "999999", "-1"):
        with pytest.raises(DateRefused):
            parse_date(text, [], excel="1900")


def test_a_local_time_becomes_utc() -> None:
    assert parse_timestamp("03/04/2025 22:15", ["%d/%m/%Y %H:%M"], JAMAICA) == datetime(2025, 4, 4, 3, 15, tzinfo=UTC)
    assert parse_timestamp("2025-04-03T22:15+0200", ["%Y-%m-%dT%H:%M%z"], None) == datetime(
        2025, 4, 3, 20, 15, tzinfo=UTC
    )


def test_a_local_time_that_the_clocks_leave_out_is_refused() -> None:
    with pytest.raises(DateRefused, match="clocks"):
        parse_timestamp("09/03/2025 02:30", ["%d/%m/%Y %H:%M"], HAITI)


def test_a_local_time_that_comes_twice_is_the_earlier() -> None:
    assert parse_timestamp("02/11/2025 01:30", ["%d/%m/%Y %H:%M"], HAITI) == datetime(2025, 11, 2, 5, 30, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(DateRefused, match="time zone"):
        parse_timestamp("03/04/2025 22:15", ["%d/%m/%Y %H:%M"], None)


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "number"),
    [
        ("1234.50", ".", "", "1234.50"),
        ("1.234,50", ",", ".", "1234.50"),
        ("1,234,567", ".", ",", "1234567"),
        ("1 234,5", ",", " ", "1234.5"),
        ("1\u00a0234", ".", " ", "1234"),
        ("-3", ".", "", "-3"),
        ("+3", ".", "", "3"),
    ],
)
def test_numbers_in_their_declared_form(text: str, decimal: str, thousands: str, number: str) -> None:
    assert parse_number(text, decimal=decimal, thousands=thousands) == number


@pytest.mark.parametrize(
    ("text", "decimal", "thousands"),
    [
        ("1.234,50", ".", ","),
        ("1,234.50", ",", "."),
        ("1.5", ",", "."),
        ("12,34", ".", ","),
        ("1,23,456", ".", ","),
        ("1e5", ".", ""),
        ("0x1F", ".", ""),
        ("NaN", ".", ""),
        ("٣", ".", ""),
        ("1 000", ".", ""),
        ("=1+1", ".", ""),
    ],
)
def test_numbers_in_another_form_are_refused(text: str, decimal: str, thousands: str) -> None:
    with pytest.raises(NumberRefused):
        parse_number(text, decimal=decimal, thousands=thousands)


def test_a_whole_number_is_whole() -> None:
    assert parse_integer("12.0", decimal=".", thousands="") == 12
    with pytest.raises(NumberRefused):
        parse_integer("12.5", decimal=".", thousands="")


def test_yes_and_no_are_the_declared_words() -> None:
    assert parse_boolean("si", yes=["SI"], no=["NO"]) is True
    assert parse_boolean("No", yes=["SI"], no=["NO"]) is False
    with pytest.raises(BooleanRefused):
        parse_boolean("1", yes=["SI"], no=["NO"])


def test_damage_is_refused_and_formulas_are_data() -> None:
    check_text('=HYPERLINK("http://x","y")\twith a tab\nand a line')
    with pytest.raises(ControlCharacter):
        check_text("a\x00b")
    with pytest.raises(BytesUndecodable):
        check_text(b"Boul\xe9a".decode("utf-8", "surrogateescape"))
