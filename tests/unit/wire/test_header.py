"""hub/wire/header.py: the fixed layout of docs/spec 5.3 to 5.5."""

import os
from collections.abc import Callable

import pytest

from hub.model import AgencyId, EventId, EventRef, new_event_id
from hub.wire.header import HeaderDuplicate, HeaderMalformed, encode_header, parse_headers

NOW = 1_796_000_000_000
REPLY = EventRef(AgencyId("CCGIU"), new_event_id(NOW, bytes(10)))


def one(reply: EventRef | None = None, event_id: bytes | None = None, lengths: tuple[int, ...] = (64, 128)) -> bytes:
    parts: list[int | bytes] = []
    for length in lengths:
        parts += (length, os.urandom(32))
    return encode_header(event_id or new_event_id(NOW, os.urandom(10)), NOW, os.urandom(16), NOW + 1, reply, parts)


def test_layout() -> None:
    event_id, correlation = new_event_id(NOW, os.urandom(10)), os.urandom(16)
    raw = encode_header(event_id, NOW, correlation, NOW + 1, REPLY, (64, b"c" * 32))
    assert raw == (
        b"\xe1"
        + event_id
        + NOW.to_bytes(8, "big")
        + correlation
        + (NOW + 1).to_bytes(8, "big")
        + b"\x05CCGIU"
        + REPLY.event_id
        + (64).to_bytes(4, "big")
        + b"c" * 32
    )


@pytest.mark.parametrize("replies", [(), (0,), (1,), (0, 1, 2)])
def test_what_is_encoded_is_parsed(replies: tuple[int, ...]) -> None:
    items = [one(REPLY if n in replies else None) for n in range(3)]
    block = parse_headers(b"".join(items), 3, 2)
    assert list(block.items) == items
    assert block.in_reply_to == tuple(REPLY if n in replies else None for n in range(3))
    assert block.event_ids == tuple(item[1:17] for item in items)
    assert block.published_at_ms == (NOW,) * 3
    assert block.expires_at_ms == (NOW + 1,) * 3
    assert block.correlation_ids == tuple(item[25:41] for item in items)
    assert block.lengths == ((64,) * 3, (128,) * 3)
    assert block.commitments == (tuple(i[-68:-36] for i in items), tuple(i[-32:] for i in items))
    assert block.ciphertext_length(1) == 16 + 3 * (32 + 128)


def test_no_headers() -> None:
    assert parse_headers(b"", 0, 0).items == ()
    with pytest.raises(HeaderMalformed, match="no events"):
        parse_headers(b"x", 0, 0)


def changed(at: int, to: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:at] + bytes([to]) + raw[at + 1 :]


@pytest.mark.parametrize("reply", [None, REPLY], ids=["plain", "reply"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed(0, 0xE2), "version 1"),
        (changed(7, 0x40), "UUIDv7"),
        (changed(9, 0x00), "UUIDv7"),
        (changed(17, 0x01), "9999"),
        (changed(41, 0x01), "9999"),
        (lambda raw: raw[:-72] + (63).to_bytes(4, "big") + raw[-68:], "multiple of 64"),
        (lambda raw: raw[:-72] + (0).to_bytes(4, "big") + raw[-68:], "multiple of 64"),
        (lambda raw: raw[:-36] + (65_600).to_bytes(4, "big") + raw[-32:], "multiple of 64"),
        (lambda raw: raw[:-1], "cut off"),
        (lambda raw: raw[:10], "cut off"),
        (lambda raw: raw + b"\0", "after the last"),
    ],
)
def test_refuses_what_is_not_of_the_form(change: Callable[[bytes], bytes], says: str, reply: EventRef | None) -> None:
    with pytest.raises(HeaderMalformed, match=says):
        parse_headers(one() + change(one(reply)), 2, 2)


def test_refuses_what_is_no_reply() -> None:
    raw = one(REPLY)
    for bad in (
        changed(49, 1)(raw)[:51] + raw[55:],  # a code of one letter
        changed(50, ord("c"))(raw),
        changed(50, 0xFF)(raw),
        changed(55 + 6, 0x40)(raw),  # no UUIDv7
        changed(55 + 8, 0x00)(raw),
    ):
        with pytest.raises(HeaderMalformed, match="in_reply_to"):
            parse_headers(bad, 1, 2)
    with pytest.raises(HeaderMalformed, match="cut off"):
        parse_headers(changed(49, 200)(one()), 1, 2)


def test_no_event_twice_in_a_bundle() -> None:
    event_id = EventId(new_event_id(NOW, os.urandom(10)))
    with pytest.raises(HeaderDuplicate):
        parse_headers(one(event_id=event_id) + one(event_id=event_id), 2, 2)
