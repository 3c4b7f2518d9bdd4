"""hub/wire/frames.py: every frame is what its Avro schema says, and is refused where it is not of its form."""

import dataclasses
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pytest

from hub.errors import RejectedError
from hub.model import HUB, AgencyId, Compartment, Priority, Purpose, Route, parse_handling
from hub.wire import labels
from hub.wire.avro import FrameMalformed, LimitExceeded
from hub.wire.frames import (
    HEARTBEAT,
    Entry,
    HeartbeatMalformed,
    LaneMalformed,
    SuiteUnknown,
    encode_core,
    encode_entry,
    encode_flush,
    encode_head,
    encode_lane,
    parse_core,
    parse_entry,
    parse_flush,
    parse_head,
    parse_lane,
)
from hub.wire.labels import labelled_hash

SCHEMAS = Path(__file__).parents[3] / "schemas" / "wire"
ATF, JCF = AgencyId("ATF"), AgencyId("JCF")
NAMES = (Compartment("core"), Compartment("personal"))
ROUTE = Route("trace.request", 2, parse_handling("TLP:AMBER+STRICT H2"), Priority.URGENT, Purpose.FORENSICS)
I16, H32 = os.urandom(16), os.urandom(32)

LANE: dict[str, Any] = {
    "hub": HUB,
    "publisher": JCF,
    "instance": I16,
    "lane_id": I16[::-1],
    "policy_version": "sha256:abc",
    "route": ROUTE,
    "compartments": NAMES,
}


def lane(**changes: Any) -> bytes:
    return encode_lane(**(LANE | changes))


def core(frame: bytes, **changes: Any) -> bytes:
    return encode_core(**({"lane": frame, "bundle_seq": 7, "n": 3, "event_root": H32} | changes))


def head(frame: bytes, count: int = 2, **changes: Any) -> bytes:
    return encode_head(
        **({"core": frame, "ciphertexts": [(900, H32)] * count, "entries": 3, "entries_root": H32} | changes)
    )


FLUSH: dict[str, Any] = {
    "hub": HUB,
    "publisher": JCF,
    "signing_key_id": H32,
    "instance": I16,
    "flush_seq": 2,
    "prev_flush": H32[::-1],
    "directory_version": 300,
    "bundles": 512,
    "bundle_root": H32,
    "time_ms": 1_796_000_000_000,
}
ENTRY = Entry(ATF, H32, NAMES[:1], 2**40, I16, 9, os.urandom(1168))


def fast(name: str, value: dict[str, Any]) -> bytes:
    """What fastavro makes of ``value`` with the schema of that frame."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.schema.load_schema(SCHEMAS / f"{name}.avsc"), value, strict=True)
    return out.getvalue()


def test_lane_is_its_schemas() -> None:
    raw = lane()
    assert raw == fast(
        "lane",
        {
            "kind": b"LAN1",
            "suite": 1,
            "hub": "HUB",
            "publisher": "JCF",
            "instance": I16,
            "lane_id": I16[::-1],
            "policy_version": "sha256:abc",
            "event_type": "trace.request",
            "schema_version": 2,
            "handling": "TLP:AMBER+STRICT H2",
            "priority": "URGENT",
            "purpose": "FORENSICS",
            "compartments": ["core", "personal"],
        },
    )
    parsed = parse_lane(raw)
    assert (parsed.route, parsed.compartments, parsed.publisher, parsed.hub) == (ROUTE, NAMES, JCF, HUB)
    assert (parsed.instance, parsed.lane_id, parsed.policy_version) == (I16, I16[::-1], "sha256:abc")
    assert parsed.hash == labelled_hash(labels.LANE, raw)


def test_core_is_its_schemas() -> None:
    raw = core(lane())
    assert raw == fast("core", {"kind": b"COR1", "lane": lane(), "bundle_seq": 7, "n": 3, "event_root": H32})
    parsed = parse_core(raw)
    assert (parsed.bundle_seq, parsed.n, parsed.event_root, parsed.lane.route) == (7, 3, H32, ROUTE)


def test_entry_is_its_schemas() -> None:
    raw = encode_entry(ENTRY)
    assert raw == fast(
        "entry",
        {
            "kind": b"ENT1",
            "agency": "ATF",
            "kem_id": H32,
            "granted": ["core"],
            "recipient_seq": 2**40,
            "prev_instance": I16,
            "prev_seq": 9,
            "wrap": ENTRY.wrap,
        },
    )
    assert parse_entry(raw) == ENTRY


def test_head_is_its_schemas() -> None:
    raw = head(core(lane()))
    assert raw == fast(
        "head",
        {
            "kind": b"HED1",
            "core": core(lane()),
            "ciphertexts": [{"length": 900, "hash": H32}] * 2,
            "entries": 3,
            "entries_root": H32,
        },
    )
    parsed = parse_head(raw)
    assert (parsed.ciphertexts, parsed.entries, parsed.entries_root) == (((900, H32),) * 2, 3, H32)
    assert parsed.core_bytes == core(lane())
    assert parsed.hash == labelled_hash(labels.HEAD, raw)


def test_flush_is_its_schemas() -> None:
    raw = encode_flush(**FLUSH)
    fields = dict(FLUSH)
    assert raw == fast("flush", {"kind": b"FLU1", "time": fields.pop("time_ms"), **fields})
    assert dataclasses.asdict(parse_flush(raw)) == FLUSH | {"hash": labelled_hash(labels.FLUSH, raw)}


@pytest.mark.parametrize(
    "changes",
    [
        {"hub": "hub"},
        {"publisher": "J"},
        {"policy_version": ""},
        {"policy_version": "two words"},
        {"instance": bytes(16)},
        {"compartments": ("core", "core")},
        {"compartments": ("Core",)},
        {"compartments": ("",)},
        {"route": dataclasses.replace(ROUTE, event_type="Trace")},
        {"route": dataclasses.replace(ROUTE, event_type="trace..request")},
        {"route": dataclasses.replace(ROUTE, event_type="a.b.c.d")},
    ],
)
def test_lane_of_no_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LaneMalformed):
        parse_lane(lane(**changes))


@pytest.mark.parametrize(
    ("good", "bad"),
    [(b"URGENT", b"URGENS"), (b"FORENSICS", b"FORENSIC5"), (b"STRICT H2", b"STRICT H4"), (b"TLP:AMBER", b"TLP:AMBUR")],
)
def test_labels_of_no_form_are_refused(good: bytes, bad: bytes) -> None:
    with pytest.raises(LaneMalformed):
        parse_lane(lane().replace(good, bad))


def test_lane_past_a_limit_is_refused() -> None:
    for changes in (
        {"policy_version": "x" * 129},
        {"compartments": tuple(f"c{n}" for n in range(9))},
        {"compartments": ("c" * 17,)},
        {"publisher": "J" * 33},
        {"route": dataclasses.replace(ROUTE, schema_version=0)},
        {"route": dataclasses.replace(ROUTE, schema_version=65_536)},
    ):
        with pytest.raises(LimitExceeded):
            parse_lane(lane(**changes))


def test_unknown_suite_is_refused() -> None:
    with pytest.raises(SuiteUnknown):
        parse_lane(lane().replace(b"LAN1\x02", b"LAN1\x04"))


def test_a_heartbeat_is_one_in_all_respects() -> None:
    beat = lane(route=HEARTBEAT, compartments=())
    assert parse_core(core(beat, n=0)).lane.is_heartbeat
    assert parse_head(head(core(beat, n=0), count=0)).ciphertexts == ()
    for bad in (
        lane(route=HEARTBEAT),
        lane(compartments=()),
        lane(route=dataclasses.replace(HEARTBEAT, priority=Priority.URGENT), compartments=()),
    ):
        with pytest.raises(HeartbeatMalformed):
            parse_lane(bad)
    with pytest.raises(HeartbeatMalformed):
        parse_core(core(beat, n=1))
    with pytest.raises(HeartbeatMalformed):
        parse_core(core(lane(), n=0))


def test_core_and_head_past_a_limit_are_refused() -> None:
    for bad in (
        lambda: parse_core(core(lane(), n=513)),
        lambda: parse_core(core(lane(), n=-1)),
        lambda: parse_core(core(lane(), bundle_seq=0)),
        lambda: parse_core(core(lane(), bundle_seq=2**32)),
        lambda: parse_head(head(core(lane()), entries=257)),
        lambda: parse_head(head(core(lane()), entries=0)),
        lambda: parse_head(head(core(lane()), count=9)),
        lambda: parse_head(head(core(lane()), ciphertexts=[(900_001, H32)] * 2)),
    ):
        with pytest.raises(LimitExceeded):
            bad()


def test_head_has_one_ciphertext_a_compartment() -> None:
    for count in (1, 3):
        with pytest.raises(FrameMalformed, match="one ciphertext for each"):
            parse_head(head(core(lane()), count))


@pytest.mark.parametrize(
    "change",
    [
        {"bundles": 0},
        {"bundles": 513},
        {"flush_seq": 0},
        {"flush_seq": 2**53},
        {"directory_version": -1},
        {"time_ms": 253_402_300_800_000},
    ],
)
def test_flush_past_a_limit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LimitExceeded):
        parse_flush(encode_flush(**(FLUSH | change)))


def test_names_of_no_form_are_refused() -> None:
    for bad in ({"hub": "Hub"}, {"publisher": "X"}):
        with pytest.raises(FrameMalformed):
            parse_flush(encode_flush(**(FLUSH | bad)))
    for entry in (
        dataclasses.replace(ENTRY, agency=AgencyId("atf")),
        dataclasses.replace(ENTRY, compartments=(Compartment("CORE"),)),
    ):
        with pytest.raises(FrameMalformed):
            parse_entry(encode_entry(entry))
    for entry in (
        dataclasses.replace(ENTRY, recipient_seq=-1),
        dataclasses.replace(ENTRY, recipient_seq=2**53),
        dataclasses.replace(ENTRY, prev_seq=2**53),
        dataclasses.replace(ENTRY, compartments=(Compartment("core"),) * 9),
    ):
        with pytest.raises(LimitExceeded):
            parse_entry(encode_entry(entry))


@pytest.mark.parametrize(
    ("parse", "raw"),
    [
        (parse_lane, lane()),
        (parse_core, core(lane())),
        (parse_entry, encode_entry(ENTRY)),
        (parse_head, head(core(lane()))),
        (parse_flush, encode_flush(**FLUSH)),
    ],
    ids=["lane", "core", "entry", "head", "flush"],
)
def test_every_cut_and_every_addition_is_refused(parse: Callable[[bytes], object], raw: bytes) -> None:
    for cut in range(len(raw)):
        with pytest.raises(RejectedError):
            parse(raw[:cut])
    with pytest.raises(FrameMalformed):
        parse(raw + b"\0")
