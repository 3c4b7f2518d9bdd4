"""The record of the quarantine topic: the refused bytes as they came, where they came from, and why they were refused.

An Avro record (schemas/wire/quarantine.avsc), kind ``QUA1``, strict as every frame (spec 3.2). It is unsigned: an
operator's note of what stands on the ingest topic, where the original is kept too, and no check rests on it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from hub.ports import IncomingRecord
from hub.wire import limits
from hub.wire.avro import FrameMalformed, Reader, encode_bytes, encode_long

KIND: Final = b"QUA1"
KEPT: Final = limits.RECORD
"""Bytes of a refused record that are kept. A longer one was refused for its length: its start, its length and its hash
are kept, so that a record of the broker's largest size cannot become one that the quarantine topic does not take."""

REASON: Final = 1_000
KEY: Final = 256
TOPIC: Final = 249
_ENVELOPE: Final = 8_192
LIMIT: Final = KEPT + _ENVELOPE


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A refused record. Times are milliseconds since 1970; ``timestamp_ms`` is the broker's, of the original.

    ``value`` is the whole original unless ``length`` says more; ``digest`` is the SHA-256 of the whole.
    ``key`` is empty where the original has none, and cut to 256 bytes.
    """

    code: str
    reason: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    router: str
    refused_at_ms: int
    key: bytes
    length: int
    digest: bytes
    value: bytes

    @property
    def whole(self) -> bool:
        """Whether ``value`` is all of the original."""
        return self.length == len(self.value)


def quarantine(
    *,
    code: str,
    reason: str,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    router: str,
    refused_at_ms: int,
    key: bytes | None,
    value: bytes,
) -> Quarantined:
    """The quarantine record's value for a record that was read and refused; what is too long is cut."""
    return Quarantined(
        code=code,
        reason=reason[:REASON],
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=min(max(timestamp_ms, -1), limits.TIME_MS),  # a publisher may have set it to anything
        router=router,
        refused_at_ms=refused_at_ms,
        key=(key or b"")[:KEY],
        length=len(value),
        digest=hashlib.sha256(value).digest(),
        value=value[:KEPT],
    )


def encode_quarantined(record: Quarantined) -> bytes:
    """The frame's bytes."""
    return b"".join(
        (
            KIND,
            encode_bytes(record.code.encode("ascii")),
            encode_bytes(record.reason.encode("utf-8")),
            encode_bytes(record.topic.encode("ascii")),
            encode_long(record.partition),
            encode_long(record.offset),
            encode_long(record.timestamp_ms),
            encode_bytes(record.router.encode("ascii")),
            encode_long(record.refused_at_ms),
            encode_bytes(record.key),
            encode_long(record.length),
            record.digest,
            encode_bytes(record.value),
        )
    )


def parse_quarantined(value: bytes) -> Quarantined:
    """A frame's bytes as a value. Raises ``FrameMalformed`` and the other refusals of hub/wire/avro.py."""
    reader = Reader(value, KIND, LIMIT)
    record = Quarantined(
        code=reader.text("code", 128),
        reason=_utf8(reader.blob("reason", 4 * REASON)),
        topic=reader.text("topic", TOPIC),
        partition=reader.long("partition", 0, 2**31 - 1),
        offset=reader.long("offset", 0, 2**63 - 1),
        timestamp_ms=reader.long("timestamp", -1, limits.TIME_MS),
        router=reader.text("router", 64),
        refused_at_ms=reader.long("refused_at", 0, limits.TIME_MS),
        key=reader.blob("key", KEY),
        length=reader.long("length", 0, 2**31 - 1),
        digest=reader.fixed("digest", 32),
        value=reader.blob("value", KEPT),
    )
    reader.end()
    if record.length < len(record.value):
        raise FrameMalformed("a quarantined record is longer than it says", length=record.length)
    if record.whole and hashlib.sha256(record.value).digest() != record.digest:
        raise FrameMalformed("a quarantined record has another hash than it says")
    return record


def original_of(record: IncomingRecord) -> IncomingRecord:
    """The refused record inside a record of the topic ``hub.retry``: its first place, key and bytes.

    Nobody vouches for the envelope: what is inside must be verified as if it came now. ``appended_ms`` is the
    envelope's own, so a key that has ended since then is refused. Raises what :func:`parse_quarantined` does.
    """
    inside = parse_quarantined(record.value)
    return replace(
        record,
        topic=inside.topic,
        partition=inside.partition,
        offset=inside.offset,
        key=inside.key or None,
        value=inside.value,
        headers=(),
    )


def _utf8(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FrameMalformed("text that is not UTF-8", field="reason") from error
