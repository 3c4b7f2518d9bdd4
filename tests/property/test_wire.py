"""Frames: what is encoded is parsed, and whatever is parsed is its own re-encoding (docs/spec 3.2)."""

import contextlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import RejectedError
from hub.model import AgencyId, Compartment
from hub.wire import limits
from hub.wire.avro import Reader, encode_long
from hub.wire.frames import Entry, Flush, encode_entry, encode_flush, parse_entry, parse_flush
from hub.wire.merkle import build_levels, hash_leaves, inclusion_path, verify_inclusion

agencies = st.from_regex(r"[A-Z][A-Z0-9-]{1,31}", fullmatch=True).map(AgencyId)
compartments = st.from_regex(r"[a-z][a-z0-9]{0,15}", fullmatch=True).map(Compartment)
numbers = st.integers(0, limits.SEQUENCE)


def fixed(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


entries = st.builds(
    Entry,
    agency=agencies,
    kem_id=fixed(32),
    compartments=st.lists(compartments, max_size=8).map(tuple),
    recipient_seq=numbers,
    prev_instance=fixed(16),
    prev_seq=numbers,
    wrap=st.binary(max_size=300),
)
flushes = st.builds(
    Flush,
    hub=agencies,
    publisher=agencies,
    signing_key_id=fixed(32),
    instance=fixed(16),
    flush_seq=st.integers(1, limits.SEQUENCE),
    prev_flush=fixed(32),
    directory_version=numbers,
    bundles=st.integers(1, 512),
    bundle_root=fixed(32),
    time_ms=st.integers(0, limits.TIME_MS),
    hash=st.just(b""),
)


def encode(flush: Flush) -> bytes:
    return encode_flush(**{name: getattr(flush, name) for name in Flush.__slots__ if name != "hash"})


@given(st.integers(-(2**63), 2**63 - 1))
def test_long(value: int) -> None:
    reader = Reader(b"KIND" + encode_long(value), b"KIND", 100)
    assert reader.long("x", value, value) == value
    reader.end()


@given(entries)
def test_entry(entry: Entry) -> None:
    assert parse_entry(encode_entry(entry)) == entry


@given(flushes)
def test_flush(flush: Flush) -> None:
    assert replace(parse_flush(encode(flush)), hash=b"") == flush


@settings(max_examples=400)
@given(entries, st.data())
def test_whatever_is_parsed_is_its_own_encoding(entry: Entry, data: st.DataObject) -> None:
    """Bytes are put in place of others anywhere: either they are refused, or they are canonical."""
    raw = encode_entry(entry)
    at = data.draw(st.integers(0, len(raw)))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(st.binary(max_size=3))
    changed = raw[:at] + put + raw[at + cut :]
    with contextlib.suppress(RejectedError):
        assert encode_entry(parse_entry(changed)) == changed


@given(st.binary(max_size=200))
def test_anything_is_parsed_or_refused(raw: bytes) -> None:
    for kind, parse in ((b"ENT1", parse_entry), (b"FLU1", parse_flush)):
        with contextlib.suppress(RejectedError):
            parse(kind + raw)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70), st.data())
def test_inclusion(items: list[bytes], data: st.DataObject) -> None:
    leaves = hash_leaves(items)
    levels = build_levels(leaves)
    index = data.draw(st.integers(0, len(items) - 1))
    verify_inclusion(leaves[index], index, len(items), inclusion_path(levels, index), levels[-1][0])
