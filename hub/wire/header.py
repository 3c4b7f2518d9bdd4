"""The event header: a fixed layout, not Avro (docs/spec 5.3 to 5.5).

Decoding it as Avro would cost ten times more, and there is one for each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from hub.errors import RejectedError
from hub.model import EventId, EventRef, NameInvalid, parse_agency_id
from hub.wire.limits import COMPARTMENTS, SECTION, SECTION_BLOCK, TIME_MS

KIND: Final = 0xE1
_FIXED: Final = 50
_REPLY_LENGTH: Final = 49
_PART: Final = 36
"""length_c and commit_c."""
_EVENT_ID: Final = 16
SALT: Final = 32
TAG: Final = 16
"""What AES-256-GCM adds to a plaintext."""

_LAYOUTS: Final = tuple(Struct(">B16sQ16sQB" + "I32s" * count) for count in range(COMPARTMENTS + 1))
_START: Final = Struct(">B16sQ16sQB")
_PARTS: Final = tuple(Struct(">" + "I32s" * count) for count in range(COMPARTMENTS + 1))
_VERSION_7: Final = bytes(range(0x70, 0x80))
_VARIANT: Final = bytes(range(0x80, 0xC0))


class HeaderMalformed(RejectedError):
    """The event headers of a bundle are not what spec 5.3 to 5.5 says."""

    code = "header.malformed"


class HeaderDuplicate(RejectedError):
    """Two events of a bundle have the same event_id."""

    code = "header.duplicate"


def encode_header(
    event_id: bytes,
    published_at_ms: int,
    correlation_id: bytes,
    expires_at_ms: int,
    in_reply_to: EventRef | None,
    parts: Sequence[int | bytes],
) -> bytes:
    """The bytes of spec 5.3. ``parts`` is flat: length, commitment, length, commitment, ..."""
    if in_reply_to is None:
        layout = _LAYOUTS[len(parts) >> 1]
        return layout.pack(KIND, event_id, published_at_ms, correlation_id, expires_at_ms, 0, *parts)
    publisher = in_reply_to.publisher.encode("ascii")
    start = _START.pack(KIND, event_id, published_at_ms, correlation_id, expires_at_ms, len(publisher))
    return start + publisher + in_reply_to.event_id + _PARTS[len(parts) >> 1].pack(*parts)


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """The headers of one bundle, split and checked for form, as columns.

    ``items`` are the bytes that the tree is over; ``lengths`` and ``commitments`` have a column for each compartment of
    the lane, with one value for each event.
    """

    items: tuple[bytes, ...]
    event_ids: tuple[EventId, ...]
    published_at_ms: tuple[int, ...]
    correlation_ids: tuple[bytes, ...]
    expires_at_ms: tuple[int, ...]
    in_reply_to: tuple[EventRef | None, ...]
    lengths: tuple[tuple[int, ...], ...]
    commitments: tuple[tuple[bytes, ...], ...]

    def ciphertext_length(self, compartment: int) -> int:
        """What the ciphertext of the lane's compartment number ``compartment`` must measure (spec 6.4)."""
        return TAG + SALT * len(self.items) + sum(self.lengths[compartment])


def parse_headers(buffer: bytes, count: int, compartments: int) -> HeaderBlock:
    """Split ``buffer`` into ``count`` headers of a lane with ``compartments`` and check the form of each.

    Raises :class:`HeaderMalformed`, :class:`HeaderDuplicate`.
    """
    if not count:
        if buffer:
            raise HeaderMalformed("headers in a bundle of no events", length=len(buffer))
        return HeaderBlock((), (), (), (), (), (), ((),) * compartments, ((),) * compartments)
    size = _FIXED + _PART * compartments
    if len(buffer) == count * size and not buffer[_REPLY_LENGTH::size].strip(b"\0"):
        items = [buffer[start : start + size] for start in range(0, len(buffer), size)]
        rows: Iterable[tuple[Any, ...]] = _LAYOUTS[compartments].iter_unpack(buffer)
        replies: tuple[EventRef | None, ...] = (None,) * count
    else:  # one that answers another event is longer by the name of that event
        items = _split(buffer, count, size)
        parts, tail = _PARTS[compartments], -_PART * compartments
        rows = [_START.unpack_from(item) + parts.unpack(item[tail:]) for item in items]
        replies = tuple([_parse_reply(item) for item in items])
    # Columns at once, for there are up to 512 events.
    kinds, ids, published, correlations, expires, _, *flat = zip(*rows, strict=True)
    if kinds.count(KIND) != count:
        raise HeaderMalformed("not an event header of version 1")
    if bytes([i[6] for i in ids]).strip(_VERSION_7) or bytes([i[8] for i in ids]).strip(_VARIANT):
        raise HeaderMalformed("an event_id is no UUIDv7")
    if max(published) > TIME_MS or max(expires) > TIME_MS:
        raise HeaderMalformed("a time is past the year 9999")
    for length in set().union(*flat[::2]):
        if not SECTION_BLOCK <= length <= SECTION or length % SECTION_BLOCK:
            raise HeaderMalformed("a section's length is no multiple of 64 from 64 to 65,536", length=length)
    if len(set(ids)) != count:
        raise HeaderDuplicate("two events of the bundle have the same event_id")
    return HeaderBlock(
        tuple(items), ids, published, correlations, expires, replies, tuple(flat[::2]), tuple(flat[1::2])
    )


def _split(buffer: bytes, count: int, size: int) -> list[bytes]:
    """Headers of different lengths."""
    items = []
    position, total = 0, len(buffer)
    for _ in range(count):
        if position + size > total:
            raise HeaderMalformed("the headers are cut off")
        reply = buffer[position + _REPLY_LENGTH]
        end = position + size + (reply + _EVENT_ID if reply else 0)
        if end > total:
            raise HeaderMalformed("the headers are cut off")
        items.append(buffer[position:end])
        position = end
    if position != total:
        raise HeaderMalformed("bytes after the last header", count=total - position)
    return items


def _parse_reply(item: bytes) -> EventRef | None:
    """What a header answers, if anything."""
    if not (length := item[_REPLY_LENGTH]):
        return None
    end = _FIXED + length
    try:
        publisher = parse_agency_id(item[_FIXED:end].decode("ascii"))
    except (UnicodeDecodeError, NameInvalid) as error:
        raise HeaderMalformed("in_reply_to does not name an agency") from error
    if item[end + 6] >> 4 != 7 or item[end + 8] >> 6 != 2:
        raise HeaderMalformed("in_reply_to is no UUIDv7")
    return EventRef(publisher, EventId(item[end : end + _EVENT_ID]))
