"""Strict Avro binary: a reader that takes one encoding of each value, and the parts to write it (docs/spec 3).

What :class:`Reader` refuses (varints longer than need be, several blocks, negative counts, trailing bytes) is exactly
what makes a frame differ from its own re-encoding, so nothing has to be encoded anew to know it (spec 3.2). Every count
and length is checked against its limit and against the bytes left before anything is built from it (spec 2.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from hub.errors import RejectedError

T = TypeVar("T")


class FrameMalformed(RejectedError):
    """Not a frame of the wanted kind: cut off, of the wrong type, or followed by something."""

    code = "frame.malformed"


class FrameKindWrong(RejectedError):
    """A frame of another kind, or no frame of ours at all."""

    code = "frame.kind_wrong"


class FrameNotCanonical(RejectedError):
    """A frame that decodes, but is not its own re-encoding."""

    code = "frame.not_canonical"


class LimitExceeded(RejectedError):
    """A count, a length or a number past its limit (docs/spec 2.1). Nothing was expanded."""

    code = "limit.exceeded"


_VARINT_BYTES: Final = 10


def encode_long(value: int) -> bytes:
    """A zig-zag varint."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    if value < 0x80:
        return value.to_bytes(1, "big")
    out = bytearray()
    while value >= 0x80:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_bytes(value: bytes) -> bytes:
    """A length and the bytes. Text is given as its UTF-8 bytes: the encoding is the same."""
    return encode_long(len(value)) + value


def encode_bytes_array(items: Iterable[bytes]) -> bytes:
    """An array of bytes or of strings: one block, or none."""
    listed = [encode_long(len(item)) + item for item in items]
    return encode_long(len(listed)) + b"".join(listed) + b"\x00" if listed else b"\x00"


def encode_fixed_array(items: Iterable[bytes]) -> bytes:
    """An array of fixed, or of records that are encoded already: one block, or none."""
    listed = list(items)
    return encode_long(len(listed)) + b"".join(listed) + b"\x00" if listed else b"\x00"


class Reader:
    """Reads the fields of one frame in order. ``end`` must be called after the last."""

    __slots__ = ("_buffer", "_position", "_size")

    def __init__(self, buffer: bytes, kind: bytes, limit: int) -> None:
        """Checks the frame's size against ``limit`` and its first bytes against ``kind`` (spec 3.1)."""
        if len(buffer) > limit:
            raise LimitExceeded("the frame is too large", kind=kind.decode(), length=len(buffer), limit=limit)
        if not buffer.startswith(kind):
            raise FrameKindWrong("not a frame of this kind", wanted=kind.decode(), found=buffer[: len(kind)].hex())
        self._buffer = buffer
        self._position = len(kind)
        self._size = len(buffer)

    def long(self, field: str, low: int, high: int) -> int:
        """An int or long from ``low`` to ``high``."""
        buffer, position = self._buffer, self._position
        try:
            byte = buffer[position]
            position += 1
            value = byte & 0x7F
            shift = 7
            while byte & 0x80:
                if shift == 7 * _VARINT_BYTES:
                    raise FrameMalformed("an integer of more than 64 bits", field=field)
                byte = buffer[position]
                position += 1
                value |= (byte & 0x7F) << shift
                shift += 7
        except IndexError:
            raise FrameMalformed("the frame is cut off", field=field) from None
        if not byte and shift > 7:
            raise FrameNotCanonical("an integer is longer than need be", field=field)
        self._position = position
        value = (value >> 1) ^ -(value & 1)
        if not low <= value <= high:
            raise LimitExceeded("a number is outside its range", field=field, value=value, low=low, high=high)
        return value

    def fixed(self, field: str, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        start = self._position
        end = start + length
        if end > self._size:
            raise FrameMalformed("the frame is cut off", field=field)
        self._position = end
        return self._buffer[start:end]

    def blob(self, field: str, limit: int) -> bytes:
        """A length of at most ``limit``, and as many bytes."""
        return self.fixed(field, self.long(field, 0, limit))

    def text(self, field: str, limit: int) -> str:
        """A string of at most ``limit`` bytes, all ASCII: every text of the protocol is (spec 1.1)."""
        try:
            return self.blob(field, limit).decode("ascii")
        except UnicodeDecodeError:
            raise FrameMalformed("text that is not ASCII", field=field) from None

    def count(self, field: str, limit: int, item_size: int) -> int:
        """The number of items of an array whose items take at least ``item_size`` bytes (never 0: spec 3.3).

        Read as many items and then call :meth:`array_end`, also where there are none.
        """
        start = self._position
        if self._buffer[start : start + 1] == b"\x00":
            return 0
        try:
            count = self.long(field, 1, limit)
        except LimitExceeded as error:
            if isinstance(value := error.details.get("value"), int) and value < 0:
                raise FrameNotCanonical("an array block with a byte size", field=field) from None
            raise
        if count * item_size > self._size - self._position:
            raise FrameMalformed("an array has more items than there are bytes for", field=field, count=count)
        return count

    def array_end(self, field: str) -> None:
        """The 0 after an array's one block."""
        position = self._position
        if position >= self._size:
            raise FrameMalformed("the frame is cut off", field=field)
        if self._buffer[position]:
            raise FrameNotCanonical("an array in more than one block", field=field)
        self._position = position + 1

    def blob_array(self, field: str, most: int, limit: int) -> list[bytes]:
        """An array of at most ``most`` byte strings of at most ``limit`` bytes each."""
        count = self.count(field, most, 1)
        items = [self.blob(field, limit) for _ in range(count)]
        self.array_end(field)
        return items

    def text_array(self, field: str, most: int, limit: int) -> tuple[str, ...]:
        """An array of at most ``most`` ASCII strings of at most ``limit`` bytes each."""
        count = self.count(field, most, 1)
        items = tuple([self.text(field, limit) for _ in range(count)])
        self.array_end(field)
        return items

    def fixed_array(self, field: str, most: int, length: int) -> tuple[bytes, ...]:
        """An array of at most ``most`` fixed values of ``length`` bytes."""
        count = self.count(field, most, length)
        items = tuple([self.fixed(field, length) for _ in range(count)])
        self.array_end(field)
        return items

    def end(self) -> None:
        """Nothing follows the last field."""
        if self._position != self._size:
            raise FrameMalformed("bytes after the frame's end", count=self._size - self._position)
