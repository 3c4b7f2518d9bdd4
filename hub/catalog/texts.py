"""Dates, times and decimals: their one canonical text in a body, and the plain Avro value that stands for it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MEMO: Final = 8_192
_DECIMAL: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,18})?")


@lru_cache(_MEMO)
def canonical_date(text: str) -> str:
    """A date's text, unchanged. Raises ``ValueError`` where it is none, or not written ``2026-11-03``."""
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError("a date is written 2026-11-03")
    return text


@lru_cache(_MEMO)
def encode_date(text: str) -> int:
    """``2026-11-03`` as days since 1970."""
    return date.fromisoformat(text).toordinal() - _EPOCH_DAY


@lru_cache(_MEMO)
def decode_date(days: int) -> str:
    """Days since 1970 as text. Raises ``ValueError`` or ``OverflowError`` outside the years 1 to 9999."""
    return date.fromordinal(days + _EPOCH_DAY).isoformat()


def canonical_timestamp(text: str) -> str:
    """A time with its offset as UTC to the millisecond: ``2026-11-03T14:20:00.000Z``. Raises ``ValueError``."""
    if len(text) < 17 or text[10] not in "Tt ":
        raise ValueError("a time is written 2026-11-03T14:20:00Z")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time says its offset: 2026-11-03T14:20:00Z, or +02:00")
    return decode_timestamp((moment - _EPOCH) // _MILLISECOND)


def encode_timestamp(text: str) -> int:
    """The canonical text as milliseconds since 1970."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND


def decode_timestamp(milliseconds: int) -> str:
    """Milliseconds since 1970 as the canonical text. Raises ``OverflowError`` outside the years 1 to 9999."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z" if moment.year > 999 else _early(moment)


def _early(moment: datetime) -> str:
    # strftime("%Y") does not pad a year before 1000 on every platform
    return f"{moment.year:04d}{moment:-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def canonical_decimal(value: str | int, precision: int, scale: int) -> str:
    """``412.5`` as ``412.50`` for scale 2. Raises ``ValueError``: not a plain number, or digits that do not fit."""
    text = str(value)
    if not _DECIMAL.fullmatch(text):
        raise ValueError('a decimal is written "412.50", without sign or exponent')
    whole, _, part = text.partition(".")
    whole = whole.lstrip("0") or "0"
    if len(part) > scale or len(whole) > precision - scale:
        raise ValueError(f"at most {precision - scale} digits, and {scale} after the point")
    return f"{whole}.{part.ljust(scale, '0')}" if scale else whole


def encode_decimal(text: str) -> bytes:
    """The canonical text's unscaled number in two's complement, as short as can be."""
    unscaled = int(text.replace(".", ""))
    return unscaled.to_bytes((unscaled.bit_length() + 8) >> 3, "big", signed=True)


def decode_decimal(data: bytes, scale: int) -> str:
    """The canonical text of an unscaled number. Raises ``ValueError`` where it is negative."""
    unscaled = int.from_bytes(data, "big", signed=True)
    if unscaled < 0:
        raise ValueError("a decimal that is negative")
    digits = str(unscaled).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
