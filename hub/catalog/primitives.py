"""Avro's scalars as bytes, canonical only: what the compiled codecs look up and call (Avro 1.12, Binary Encoding).

Tables are dicts that compute what they lack, so that the hot path is one C-level look-up.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, date, datetime, timedelta
from typing import Final

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MEMO: Final = 8_192
_DECIMAL: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,18})?")

pack_double: Final = struct.Struct("<d").pack
unpack_double: Final = struct.Struct("<d").unpack_from


def encode_long(number: int) -> bytes:
    """Zigzag and variable length, as short as can be."""
    value = (number << 1) ^ (number >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_long(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at`` and the place after it. Raises ``ValueError`` unless it is as short as can be."""
    byte = data[at]
    at += 1
    value, shift = byte & 0x7F, 7
    while byte & 0x80:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70 or byte == 0:
            raise ValueError("a number that is too long")
    if value >> 64:
        raise ValueError("a number past 64 bits")
    return (value >> 1) ^ -(value & 1), at


def decode_int(data: bytes, at: int) -> tuple[int, int]:
    """As :func:`decode_long`, within 32 bits."""
    number, at = decode_long(data, at)
    if not -0x80000000 <= number <= 0x7FFFFFFF:
        raise ValueError("an int past 32 bits")
    return number, at


def decode_length(data: bytes, at: int) -> tuple[int, int]:
    """As :func:`decode_long`, not negative."""
    number, at = decode_long(data, at)
    if number < 0:
        raise ValueError("a negative length")
    return number, at


class _Longs(dict[int | None, bytes]):
    """Numbers to their bytes, with ``prefix`` before them (the branch of a union)."""

    def __init__(self, prefix: bytes) -> None:
        super().__init__({number: prefix + encode_long(number) for number in range(-64, 2_048)})
        self._prefix = prefix
        if prefix:
            self[None] = b"\0"

    def __missing__(self, number: int) -> bytes:
        return self._prefix + encode_long(number)


LONGS: Final = _Longs(b"")
NULLABLE_LONGS: Final = _Longs(b"\2")

LENGTHS: Final = tuple(-1 if byte & 0x81 else byte >> 1 for byte in range(256))
"""A first byte to the length it says, -1 where it takes :func:`decode_length`."""


class _DateBytes(dict[str | None, bytes]):
    """``2026-11-03`` to the bytes of its days since 1970."""

    def __init__(self, prefix: bytes) -> None:
        super().__init__()
        self._prefix = prefix
        if prefix:
            self[None] = b"\0"

    def __missing__(self, text: str) -> bytes:
        encoded = self._prefix + encode_long(date.fromisoformat(text).toordinal() - _EPOCH_DAY)
        if len(self) < _MEMO:
            self[text] = encoded
        return encoded


DATES: Final = _DateBytes(b"")
NULLABLE_DATES: Final = _DateBytes(b"\2")


class _DateTexts(dict[int, str]):
    """Days since 1970 to ``2026-11-03``. Raises ``ValueError`` or ``OverflowError`` outside the years 1 to 9999."""

    def __missing__(self, days: int) -> str:
        text = date.fromordinal(days + _EPOCH_DAY).isoformat()
        if len(self) < _MEMO:
            self[days] = text
        return text


DATE_TEXTS: Final = _DateTexts()


class _DatesByBytes(dict[bytes, str]):
    """Three bytes of a date, which is what every day from late 1992 to 2114 takes, to its text; others to ``""``."""

    def __missing__(self, three: bytes) -> str:
        days, end = decode_int(three, 0) if len(three) == 3 and three[0] & three[1] & ~three[2] & 0x80 else (0, 0)
        text = DATE_TEXTS[days] if end == 3 else ""
        if text and len(self) < _MEMO:
            self[three] = text
        return text


DATES_BY_BYTES: Final = _DatesByBytes()


class _CanonicalDates(dict[str, str]):
    """A date's text to itself. Raises ``ValueError`` where it is none."""

    def __missing__(self, text: str) -> str:
        if len(text) != 10 or date.fromisoformat(text).isoformat() != text:
            raise ValueError("a date is written 2026-11-03")
        if len(self) < _MEMO:
            self[text] = text
        return text


CANONICAL_DATES: Final = _CanonicalDates()


def canonical_timestamp(text: str) -> str:
    """A time with its offset as UTC to the millisecond: ``2026-11-03T14:20:00.000Z``. Raises ``ValueError``."""
    if len(text) < 17 or text[10] not in "Tt ":
        raise ValueError("a time is written 2026-11-03T14:20:00Z")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time says its offset: 2026-11-03T14:20:00Z, or +02:00")
    return decode_timestamp((moment - _EPOCH) // _MILLISECOND)


def encode_timestamp(text: str) -> bytes:
    """The canonical text as the bytes of milliseconds since 1970."""
    return encode_long((datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND)


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
    """The canonical text as bytes: the unscaled number in two's complement, as short as can be."""
    unscaled = int(text.replace(".", ""))
    length = (unscaled.bit_length() + 8) >> 3
    return encode_long(length) + unscaled.to_bytes(length, "big", signed=True)


def decode_decimal(data: bytes, scale: int) -> str:
    """The canonical text of an unscaled number. Raises ``ValueError`` where it is negative or not the shortest."""
    unscaled = int.from_bytes(data, "big", signed=True)
    if unscaled < 0 or len(data) != (unscaled.bit_length() + 8) >> 3:
        raise ValueError("a decimal that is negative or not the shortest")
    return _decimal_text(unscaled, scale)


def _decimal_text(unscaled: int, scale: int) -> str:
    digits = str(unscaled).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
