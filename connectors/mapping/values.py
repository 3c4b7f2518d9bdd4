"""One cell's text as a value of an event, in the JSON form of documents. Pure; nothing is guessed.

A date is read in the forms that the profile declares and no others: 03/04/2025 is the third of April or the fourth
of March, and only the agency knows. Refusals are leaves of ``RowRejected`` without the column: the caller names it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

from connectors.toolkit.errors import (
    BooleanRefused,
    BytesUndecodable,
    ControlCharacter,
    DateRefused,
    NumberRefused,
)

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\udc80-\udcff]")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_EXCEL_SERIAL = re.compile(r"\d{1,7}(\.\d+)?", re.ASCII)

EXCEL_EPOCHS = {"1900": date(1899, 12, 30), "1904": date(1904, 1, 1)}
"""Day 0 of Excel's two calendars. The one of 1900 has a 29 February 1900 that was none: it is used from day 61 on."""

EARLIEST_YEAR = 1900


def check_text(text: str) -> None:
    """Raises ``BytesUndecodable`` or ``ControlCharacter``. Anything else is data: ``=HYPERLINK(...)`` too."""
    if _SURROGATE.search(text):
        raise BytesUndecodable("has bytes that are not of the file's declared encoding: save it as declared")
    found = _CONTROL.search(text)
    if found:
        raise ControlCharacter(f"has the control character U+{ord(found.group()):04X}")


def show(text: str) -> str:
    """A cell in a message: quoted, cut to 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def parse_number(text: str, *, decimal: str, thousands: str) -> str:
    """A number as plain digits with a point: ``1.234,50`` -> ``1234.50`` under ``decimal=","``, ``thousands="."``.

    A thousands separator is taken only where it groups by three, so that ``1.5`` under a decimal comma is refused
    instead of read as fifteen. Raises ``NumberRefused``.
    """
    plain = text.replace("\u00a0", " ").replace("\u202f", " ").strip()
    if thousands:
        group = re.escape(thousands)
        grouped = re.fullmatch(rf"([+-]?\d{{1,3}}(?:{group}\d{{3}})+)({re.escape(decimal)}\d+)?", plain, re.ASCII)
        if grouped:
            plain = grouped.group(1).replace(thousands, "") + (grouped.group(2) or "")
    if decimal != "." and "." in plain:
        raise NumberRefused(f"{show(text)}: a point where the decimal sign is {decimal!r}")
    plain = plain.replace(decimal, ".") if decimal != "." else plain
    if not _PLAIN_NUMBER.fullmatch(plain):
        raise NumberRefused(f"{show(text)} is not a number with the decimal sign {decimal!r}")
    return plain.lstrip("+")


def parse_integer(text: str, *, decimal: str, thousands: str) -> int:
    """A whole number; ``12.0`` is one, ``12.5`` is not. Raises ``NumberRefused``."""
    try:
        number = Decimal(parse_number(text, decimal=decimal, thousands=thousands))
        whole = int(number)
    except (InvalidOperation, ValueError) as error:
        raise NumberRefused(f"{show(text)} is not a whole number") from error
    if whole != number:
        raise NumberRefused(f"{show(text)} is not a whole number")
    return whole


def parse_boolean(text: str, *, yes: Sequence[str], no: Sequence[str]) -> bool:
    """Raises ``BooleanRefused`` for what is in neither list (letter case does not count)."""
    word = text.casefold()
    if word in {item.casefold() for item in yes}:
        return True
    if word in {item.casefold() for item in no}:
        return False
    raise BooleanRefused(f"{show(text)} is neither one of {list(yes)} nor one of {list(no)}")


def parse_date(text: str, formats: Sequence[str], *, century_from: int | None = None, excel: str | None = None) -> date:
    """A day in one of the declared formats (``strptime``), or an Excel day number where one is declared.

    ``century_from``: 1970 reads two digits as 1970 to 2069. Raises ``DateRefused``.
    """
    if excel and _EXCEL_SERIAL.fullmatch(text):
        return _excel_date(text, excel)
    for form in formats:
        parsed = _parse_form(text, form, century_from)
        if parsed is not None:
            return parsed.date()
    wanted = " or ".join(formats) + (f" or an Excel day number ({excel})" if excel else "")
    raise DateRefused(f"{show(text)} is not a date of the form {wanted}")


def parse_timestamp(
    text: str, formats: Sequence[str], zone: ZoneInfo | None, *, century_from: int | None = None
) -> datetime:
    """A moment, in UTC. ``zone`` is used where the format has no ``%z``. Raises ``DateRefused``.

    A local time that a change of clocks leaves out is refused; one that it gives twice is the earlier.
    """
    for form in formats:
        parsed = _parse_form(text, form, century_from)
        if parsed is None:
            continue
        if parsed.tzinfo is None:
            if zone is None:
                raise DateRefused(f"{show(text)} has no time zone and the profile names none")
            local = parsed.replace(tzinfo=zone)
            moment = local.astimezone(UTC)
            if moment.astimezone(zone).replace(tzinfo=None) != parsed:
                raise DateRefused(f"{show(text)} does not exist in {zone.key}: the clocks were changed")
            return moment
        return parsed.astimezone(UTC)
    raise DateRefused(f"{show(text)} is not a time of the form {' or '.join(formats)}")


@lru_cache(maxsize=4096)
def _parse_form(text: str, form: str, century_from: int | None) -> datetime | None:
    try:
        parsed = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is added by the caller
    except ValueError:
        return None
    if "%y" in form and century_from is not None:
        year = century_from + (parsed.year - century_from) % 100
        try:
            parsed = parsed.replace(year=year)
        except ValueError:  # 29 February of another century
            return None
    return parsed if parsed.year >= EARLIEST_YEAR else None


def _excel_date(text: str, calendar: str) -> date:
    days = int(text.partition(".")[0])
    if (calendar == "1900" and days < 61) or days > 109_000:  # 109,000 days are some 298 years
        raise DateRefused(f"{show(text)} is not an Excel day number of our time")
    return EXCEL_EPOCHS[calendar] + timedelta(days=days)
