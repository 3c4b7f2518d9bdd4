"""The signed and hashed frames: lane, core, entry, head, flush (docs/spec 6 and 7). Bytes <-> values; no keys.

Each ``parse_`` takes exactly what ``encode_`` gives, and no other bytes (spec 3.2). The Avro schemas in schemas/wire/
say the same layouts; tests hold the two equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hub.errors import RejectedError
from hub.model import (
    AgencyId,
    Compartment,
    Handling,
    NameInvalid,
    Priority,
    Purpose,
    Route,
    Tlp,
    parse_agency_id,
    parse_compartment,
    parse_handling,
)
from hub.wire import labels, limits
from hub.wire.avro import (
    FrameMalformed,
    Reader,
    encode_bytes,
    encode_bytes_array,
    encode_fixed_array,
    encode_long,
)
from hub.wire.labels import labelled_hash

SUITE: Final = 1
"""HPKE 0x647A / HKDF-SHA256 / ChaCha20-Poly1305, AES-256-GCM, SHA-256, id-MLDSA65-Ed25519-SHA512."""

LANE_KIND: Final = b"LAN1"
CORE_KIND: Final = b"COR1"
ENTRY_KIND: Final = b"ENT1"
HEAD_KIND: Final = b"HED1"
FLUSH_KIND: Final = b"FLU1"

HASH: Final = 32
INSTANCE: Final = 16
NO_INSTANCE: Final = bytes(INSTANCE)
NO_HASH: Final = bytes(HASH)

HEARTBEAT: Final = Route("heartbeat", 1, Handling(Tlp.CLEAR), Priority.ROUTINE, Purpose.HUB_OPERATION)
"""The route of every heartbeat, and of nothing else (spec 6.9)."""

_EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9]{0,31}(\.[a-z][a-z0-9_]{0,31}){0,2}", re.ASCII)
_POLICY_VERSION: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)


class SuiteUnknown(RejectedError):
    """The lane names a suite of algorithms that is not 1."""

    code = "lane.suite_unknown"


class LaneMalformed(RejectedError):
    """A lane names its route or its compartments in a form that there is not."""

    code = "lane.malformed"


class HeartbeatMalformed(RejectedError):
    """A bundle is a heartbeat in one respect and not in another."""

    code = "heartbeat.malformed"


@dataclass(frozen=True, slots=True)
class Lane:
    """What the bundles of one lane share (spec 6.1). ``hash`` binds the wraps to it."""

    hub: AgencyId
    publisher: AgencyId
    instance: bytes
    lane_id: bytes
    policy_version: str
    route: Route
    compartments: tuple[Compartment, ...]
    hash: bytes

    @property
    def is_heartbeat(self) -> bool:
        return not self.compartments


def encode_lane(
    *,
    hub: AgencyId,
    publisher: AgencyId,
    instance: bytes,
    lane_id: bytes,
    policy_version: str,
    route: Route,
    compartments: tuple[Compartment, ...],
) -> bytes:
    """The lane's frame."""
    return b"".join(
        (
            LANE_KIND,
            encode_long(SUITE),
            encode_bytes(hub.encode()),
            encode_bytes(publisher.encode()),
            instance,
            lane_id,
            encode_bytes(policy_version.encode()),
            encode_bytes(route.event_type.encode()),
            encode_long(route.schema_version),
            encode_bytes(str(route.handling).encode()),
            encode_bytes(route.priority.value.encode()),
            encode_bytes(route.purpose.value.encode()),
            encode_bytes_array([name.encode() for name in compartments]),
        )
    )


@lru_cache(maxsize=1024)  # a pure function of bytes: the bundles of a lane all carry the same
def parse_lane(buffer: bytes) -> Lane:
    """Raises :class:`LaneMalformed`, :class:`SuiteUnknown`, :class:`HeartbeatMalformed`, and what a reader raises."""
    reader = Reader(buffer, LANE_KIND, limits.LANE)
    suite = reader.long("suite", -(2**31), 2**31 - 1)
    if suite != SUITE:
        raise SuiteUnknown("the lane's suite is unknown", suite=suite)
    try:
        hub = parse_agency_id(reader.text("hub", limits.AGENCY))
        publisher = parse_agency_id(reader.text("publisher", limits.AGENCY))
        instance = reader.fixed("instance", INSTANCE)
        lane_id = reader.fixed("lane_id", INSTANCE)
        policy_version = reader.text("policy_version", limits.POLICY_VERSION)
        event_type = reader.text("event_type", limits.EVENT_TYPE)
        schema_version = reader.long("schema_version", 1, limits.SCHEMA_VERSION)
        route = Route(
            event_type,
            schema_version,
            parse_handling(reader.text("handling", limits.LABEL)),
            Priority(reader.text("priority", limits.LABEL)),
            Purpose(reader.text("purpose", limits.LABEL)),
        )
        names = reader.text_array("compartments", limits.COMPARTMENTS, limits.COMPARTMENT)
        compartments = tuple([parse_compartment(name) for name in names])
    except (NameInvalid, ValueError) as error:
        raise LaneMalformed("the lane has a name or a label of no known form", reason=str(error)) from error
    reader.end()
    if not _POLICY_VERSION.fullmatch(policy_version) or not _EVENT_TYPE.fullmatch(event_type):
        raise LaneMalformed("the lane's policy version or event type is not of its form")
    if len(set(compartments)) != len(compartments):
        raise LaneMalformed("the lane names a compartment twice")
    if instance == NO_INSTANCE:
        raise LaneMalformed("the lane's instance is all zeros")  # it stands for none (spec 6.7)
    if (event_type == HEARTBEAT.event_type) != (not compartments) or (not compartments and route != HEARTBEAT):
        raise HeartbeatMalformed("a lane without compartments is a heartbeat's, and has a heartbeat's route")
    lane_hash = labelled_hash(labels.LANE, buffer)
    return Lane(hub, publisher, instance, lane_id, policy_version, route, compartments, lane_hash)


@dataclass(frozen=True, slots=True)
class Core:
    """What a bundle's ciphertexts are bound to (spec 6.3)."""

    lane: Lane
    bundle_seq: int
    n: int
    event_root: bytes


def encode_core(*, lane: bytes, bundle_seq: int, n: int, event_root: bytes) -> bytes:
    """The core's frame. ``lane`` is a lane's frame."""
    return b"".join((CORE_KIND, encode_bytes(lane), encode_long(bundle_seq), encode_long(n), event_root))


def parse_core(buffer: bytes) -> Core:
    """Raises what :func:`parse_lane` and :class:`Reader` raise, and :class:`HeartbeatMalformed`."""
    reader = Reader(buffer, CORE_KIND, limits.CORE)
    lane = parse_lane(reader.blob("lane", limits.LANE))
    bundle_seq = reader.long("bundle_seq", 1, limits.BUNDLE_SEQ)
    n = reader.long("n", 0, limits.EVENTS_A_BUNDLE)
    event_root = reader.fixed("event_root", HASH)
    reader.end()
    if (n == 0) != lane.is_heartbeat:
        raise HeartbeatMalformed("a heartbeat has no events, and any other bundle has some", n=n)
    return Core(lane, bundle_seq, n, event_root)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a bundle says to one recipient (spec 6.7). ``prev_*``: the last number before this instance."""

    agency: AgencyId
    kem_id: bytes
    compartments: tuple[Compartment, ...]
    recipient_seq: int
    prev_instance: bytes
    prev_seq: int
    wrap: bytes


def encode_entry_start(agency: AgencyId, kem_id: bytes, granted: tuple[Compartment, ...]) -> bytes:
    """The part of an entry that is the same in all bundles of a lane, up to recipient_seq."""
    names = encode_bytes_array([name.encode() for name in granted])
    return ENTRY_KIND + encode_bytes(agency.encode()) + kem_id + names


def encode_entry_end(prev_instance: bytes, prev_seq: int, wrap: bytes) -> bytes:
    """The part of an entry that is the same in all bundles of a lane, after recipient_seq."""
    return prev_instance + encode_long(prev_seq) + encode_bytes(wrap)


def encode_entry(entry: Entry) -> bytes:
    """The entry's frame."""
    start = encode_entry_start(entry.agency, entry.kem_id, entry.compartments)
    end = encode_entry_end(entry.prev_instance, entry.prev_seq, entry.wrap)
    return start + encode_long(entry.recipient_seq) + end


def parse_entry(buffer: bytes) -> Entry:
    """The form alone: whether it fits its lane is for spec 9 and 10. Raises what :class:`Reader` raises."""
    reader = Reader(buffer, ENTRY_KIND, limits.ENTRY)
    try:
        agency = parse_agency_id(reader.text("agency", limits.AGENCY))
        kem_id = reader.fixed("kem_id", HASH)
        names = reader.text_array("granted", limits.COMPARTMENTS, limits.COMPARTMENT)
        granted = tuple([parse_compartment(name) for name in names])
    except NameInvalid as error:
        raise FrameMalformed("an entry names an agency or a compartment in no known form") from error
    recipient_seq = reader.long("recipient_seq", 0, limits.SEQUENCE)
    prev_instance = reader.fixed("prev_instance", INSTANCE)
    prev_seq = reader.long("prev_seq", 0, limits.SEQUENCE)
    wrap = reader.blob("wrap", limits.ENTRY)
    reader.end()
    return Entry(agency, kem_id, granted, recipient_seq, prev_instance, prev_seq, wrap)


@dataclass(frozen=True, slots=True)
class Head:
    """What a flush signs of one bundle (spec 6.8). ``hash`` is the bundle's identity; ``core_bytes`` bind it."""

    core: Core
    core_bytes: bytes
    ciphertexts: tuple[tuple[int, bytes], ...]
    entries: int
    entries_root: bytes
    hash: bytes


def encode_head(*, core: bytes, ciphertexts: list[tuple[int, bytes]], entries: int, entries_root: bytes) -> bytes:
    """The head's frame. ``ciphertexts`` has (length, hash) for each compartment of the lane."""
    listed = encode_fixed_array([encode_long(length) + digest for length, digest in ciphertexts])
    return b"".join((HEAD_KIND, encode_bytes(core), listed, encode_long(entries), entries_root))


def parse_head(buffer: bytes) -> Head:
    """Raises what :func:`parse_core` and :class:`Reader` raise."""
    reader = Reader(buffer, HEAD_KIND, limits.HEAD)
    core_bytes = reader.blob("core", limits.CORE)
    core = parse_core(core_bytes)
    count = reader.count("ciphertexts", limits.COMPARTMENTS, HASH + 1)
    ciphertexts = tuple(
        [
            (reader.long("ciphertexts.length", 0, limits.CIPHERTEXT), reader.fixed("ciphertexts.hash", HASH))
            for _ in range(count)
        ]
    )
    reader.array_end("ciphertexts")
    entries = reader.long("entries", 1, limits.ENTRIES)
    entries_root = reader.fixed("entries_root", HASH)
    reader.end()
    if count != len(core.lane.compartments):
        raise FrameMalformed("the head has not one ciphertext for each compartment of its lane", count=count)
    return Head(core, core_bytes, ciphertexts, entries, entries_root, labelled_hash(labels.HEAD, buffer))


@dataclass(frozen=True, slots=True)
class Flush:
    """What is signed (spec 7.1). ``hash`` is what the instance's next flush names as the one before."""

    hub: AgencyId
    publisher: AgencyId
    signing_key_id: bytes
    instance: bytes
    flush_seq: int
    prev_flush: bytes
    directory_version: int
    bundles: int
    bundle_root: bytes
    time_ms: int
    hash: bytes


def encode_flush(
    *,
    hub: AgencyId,
    publisher: AgencyId,
    signing_key_id: bytes,
    instance: bytes,
    flush_seq: int,
    prev_flush: bytes,
    directory_version: int,
    bundles: int,
    bundle_root: bytes,
    time_ms: int,
) -> bytes:
    """The flush's frame."""
    return b"".join(
        (
            FLUSH_KIND,
            encode_bytes(hub.encode()),
            encode_bytes(publisher.encode()),
            signing_key_id,
            instance,
            encode_long(flush_seq),
            prev_flush,
            encode_long(directory_version),
            encode_long(bundles),
            bundle_root,
            encode_long(time_ms),
        )
    )


def parse_flush(buffer: bytes) -> Flush:
    """Raises what :class:`Reader` raises."""
    reader = Reader(buffer, FLUSH_KIND, limits.FLUSH)
    try:
        hub = parse_agency_id(reader.text("hub", limits.AGENCY))
        publisher = parse_agency_id(reader.text("publisher", limits.AGENCY))
    except NameInvalid as error:
        raise FrameMalformed("a flush names an agency in no known form") from error
    flush = Flush(
        hub=hub,
        publisher=publisher,
        signing_key_id=reader.fixed("signing_key_id", HASH),
        instance=reader.fixed("instance", INSTANCE),
        flush_seq=reader.long("flush_seq", 1, limits.SEQUENCE),
        prev_flush=reader.fixed("prev_flush", HASH),
        directory_version=reader.long("directory_version", 0, limits.SEQUENCE),
        bundles=reader.long("bundles", 1, limits.BUNDLES_A_FLUSH),
        bundle_root=reader.fixed("bundle_root", HASH),
        time_ms=reader.long("time", 0, limits.TIME_MS),
        hash=labelled_hash(labels.FLUSH, buffer),
    )
    reader.end()
    return flush
