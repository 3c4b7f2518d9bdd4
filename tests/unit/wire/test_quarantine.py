"""hub/wire/quarantine.py: the envelope keeps the bytes as they came, and always fits its topic."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import fastavro
import pytest

from hub.wire import limits
from hub.wire.avro import FrameMalformed, FrameNotCanonical, LimitExceeded
from hub.wire.quarantine import LIMIT, Quarantined, encode_quarantined, parse_quarantined, quarantine

SCHEMA = fastavro.parse_schema(json.loads(Path("schemas/wire/quarantine.avsc").read_text()))


def make(value: bytes = b"\x00garbage", key: bytes | None = b"k", timestamp_ms: int = 1_795_000_000_000) -> Quarantined:
    return quarantine(
        code="frame.malformed",
        reason="frame.malformed: cut off (é)",
        topic="ingest.JCF",
        partition=3,
        offset=2**40,
        timestamp_ms=timestamp_ms,
        router="router-1",
        refused_at_ms=1_795_000_000_001,
        key=key,
        value=value,
    )


def test_there_and_back() -> None:
    assert parse_quarantined(encode_quarantined(make())) == make()


@pytest.mark.parametrize("timestamp_ms", [2**63 - 1, -(2**63)])
def test_a_timestamp_that_a_publisher_made_up_is_still_readable(timestamp_ms: int) -> None:
    parse_quarantined(encode_quarantined(make(timestamp_ms=timestamp_ms)))


def test_it_is_the_avro_of_its_schema() -> None:
    record = fastavro.schemaless_reader(io.BytesIO(encode_quarantined(make())), SCHEMA, None)
    assert record["kind"] == b"QUA1"
    assert record["value"] == make().value
    assert record["reason"] == make().reason
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, record)
    assert out.getvalue() == encode_quarantined(make())


def test_the_largest_record_of_the_broker_fits() -> None:
    kept = make(b"x" * 1_048_576, key=b"k" * 100_000)
    kept = replace(kept, reason="é" * 1_000, topic="i" * 249, router="r" * 64, code="c" * 128)
    frame = encode_quarantined(kept)
    assert len(frame) <= LIMIT < 1_000_000
    parsed = parse_quarantined(frame)
    assert (parsed.whole, parsed.length, len(parsed.value)) == (False, 1_048_576, limits.RECORD)


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(FrameMalformed):
        parse_quarantined(encode_quarantined(replace(make(), digest=bytes(32))))
    with pytest.raises(FrameMalformed):
        parse_quarantined(encode_quarantined(replace(make(), length=1)))


@pytest.mark.parametrize("extra", [b"\x00", b"x"])
def test_bytes_after_the_end_are_refused(extra: bytes) -> None:
    with pytest.raises((FrameMalformed, FrameNotCanonical)):
        parse_quarantined(encode_quarantined(make()) + extra)


def test_a_frame_past_the_limit_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        parse_quarantined(b"QUA1" + bytes(LIMIT))
