"""Vectors of the router's checks (docs/spec/checks.md, clause 9): each error code, at the step that must find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from tests.support.authority import DAY_MS, kem_key, signing_key
from tests.support.forge import (
    ZERO16,
    ZERO32,
    Forged,
    array,
    blob,
    blobs,
    derive,
    forge_bundle,
    forge_flush,
    leaf,
    long,
    tree_path,
)
from tests.vectors import scenario as s
from tests.vectors.scenario import Case, ingest_case

GRANTS: Final = tuple(s.GRANTED)


def put(index: int, value: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """A hook that replaces one field."""
    return lambda fields: [*fields[:index], value, *fields[index + 1 :]]


def record(forged: Forged, hook: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """The ingest record with a field replaced after it was signed."""
    return forged.but(hooks={"record_fields": hook}).ingest()


def cases() -> Iterator[Case]:
    yield from _accepted()
    yield from _frames()
    yield from _limits()
    yield from _lanes()
    yield from _flushes()
    yield from _moments()
    yield from _headers()
    yield from _ciphertexts()
    yield from _entries()


def _result(forged: Forged) -> dict[str, Any]:
    draft = forged.bundle.draft
    return {
        "publisher": draft.publisher,
        "instance": draft.instance.hex(),
        "bundle_seq": draft.bundle_seq,
        "head_hash": forged.bundle.head_hash.hex(),
        "event_ids": [event.event_id.hex() for event in draft.events],
        "deliveries": {grant.agency: s.text(forged.delivered(grant.agency)) for grant in draft.grants},
        "stubs": {grant.agency: s.text(forged.stub(grant.agency)) for grant in draft.grants},
    }


def _accepted() -> Iterator[Case]:
    plain = s.plain()
    yield ingest_case(
        "ok",
        "two events for three recipients, second of three bundles",
        "9.1",
        "ok",
        plain.ingest(),
        result=_result(plain),
    )
    (alone,) = forge_flush(s.flush_draft(flush_seq=1, prev_flush=ZERO32), [forge_bundle(s.bundle_draft())])
    yield ingest_case(
        "ok-first-flush",
        "the only bundle of an instance's first flush: no path",
        "7.1",
        "ok",
        alone.ingest(),
        result=_result(alone),
    )
    _, third = s.neighbours()
    beat = forge_flush(s.flush_draft(), [forge_bundle(s.bundle_draft()), third])[1]
    yield ingest_case("ok-heartbeat", "a heartbeat", "6.9", "ok", beat.ingest(), result=_result(beat))
    first = s.heartbeat_draft(bundle_seq=5, grants=tuple(s.grant(a, 0, granted=()) for a in GRANTS))
    unused = s.in_flush(forge_bundle(first))
    yield ingest_case("ok-heartbeat-unused", "a heartbeat before any number was used", "6.9", "ok", unused.ingest())
    edge = s.main(flush={"time_ms": s.NOW + 300_000})
    yield ingest_case("ok-flush-5-minutes-ahead", "a flush time exactly 5 minutes ahead", "2.1", "ok", edge.ingest())
    old = s.main(flush={"time_ms": s.NOW - 20 * 86_400_000})
    yield ingest_case("ok-flush-of-last-month", "a site that was alone for 20 days", "12.3", "ok", old.ingest())
    older = s.main(flush={"directory_version": s.VERSION - 1})
    yield ingest_case("ok-older-directory", "made under an older directory", "12.3", "ok", older.ingest())
    heir = s.main(grants=tuple(s.grant(a, 1, prev_instance=s.OTHER_INSTANCE, prev_seq=44) for a in GRANTS))
    yield ingest_case("ok-next-instance", "the first entries of an instance name the last", "11.2", "ok", heir.ingest())
    eight = tuple(f"c{number}" for number in range(8))
    event = s.event("event 8", parts={name: name.encode() for name in eight})
    grants = (s.grant("ATF", granted=eight), s.grant("RSS", granted=eight[1::2]))
    wide = s.main(compartments=eight, events=(event,), grants=grants)
    says = "a lane of 8 compartments, four of them granted to RSS"
    yield ingest_case("ok-eight-compartments", says, "2.1", "ok", wide.ingest(), result=_result(wide))
    filler = [replace(plain.bundle, head=derive("head", number)) for number in range(511)]
    last = forge_flush(s.flush_draft(), [*filler, forge_bundle(s.bundle_draft())])[511]
    says = "the last of 512 bundles: a path of 9"
    yield ingest_case("ok-512-bundles", says, "2.1", "ok", last.ingest(), result=_result(last))


def _frames() -> Iterator[Case]:
    plain = s.plain()
    value = plain.ingest()
    malformed, canonical, kind = "frame.malformed", "frame.not_canonical", "frame.kind_wrong"
    path = plain.path

    def field(name: str, says: str, clause: str, expect: str, index: int, raw: bytes) -> Case:
        return ingest_case(f"frame-{name}", says, clause, expect, record(plain, put(index, raw)))

    yield ingest_case("frame-empty", "an empty value, as a tombstone would be", "3.1", kind, b"")
    yield ingest_case("frame-delivered", "a delivered record on an ingest topic", "3.1", kind, plain.delivered("ATF"))
    yield ingest_case("frame-json", "a value that is not ours at all", "3.1", kind, b'{"type":"seizure.report"}')
    yield ingest_case("frame-kind-later", "a kind of a later version", "3.1", kind, b"ING2" + value[4:])
    yield ingest_case("frame-cut", "the last byte is missing", "3.2", malformed, value[:-1])
    yield ingest_case("frame-cut-in-head", "cut within the head", "3.2", malformed, value[:200])
    yield ingest_case("frame-kind-alone", "nothing but the kind", "3.2", malformed, b"ING1")
    yield ingest_case("frame-trailing", "one byte after the end", "3.2", malformed, value + b"\0")
    yield ingest_case("frame-twice", "two records in one value", "3.2", malformed, value + value)
    yield field("long-varint", "index in two bytes where one does", "3.2", canonical, 7, b"\x82\x00")
    yield field("varint-endless", "an integer that never ends", "3.2", malformed, 7, b"\xff" * 64)
    sized = long(-len(path)) + long(32 * len(path)) + b"".join(path) + b"\0"
    yield field("array-block-size", "a path with the byte size of its block", "3.2", canonical, 8, sized)
    split = b"".join(long(1) + node for node in path) + b"\0"
    yield field("array-two-blocks", "a path in two blocks", "3.2", canonical, 8, split)
    yield field("array-open", "a path whose array has no end", "3.2", malformed, 8, array(path)[:-1])
    yield field("signature-short", "a signature of 3372 bytes", "8.1", malformed, 6, blob(plain.signature[:-1]))
    yield field("signature-empty", "no signature", "8.1", malformed, 6, blob(b""))

    def inner(name: str, says: str, expect: str, step: str, hook: Callable[[Any], Any], **flush: Any) -> Case:
        forged = s.main(flush={"hooks": {step: hook}} | flush) if step.startswith("flush") else s.main({step: hook})
        return ingest_case(f"frame-{name}", says, "3.2", expect, forged.ingest())

    for step, name in (
        ("lane", "lane"),
        ("core", "core"),
        ("head", "head"),
        ("entry.ATF", "entry"),
        ("flush", "flush"),
    ):
        yield inner(f"{name}-trailing", f"one byte after the {name}'s end", malformed, step, lambda raw: raw + b"\0")
        yield inner(
            f"{name}-kind", f"another kind where the {name} should be", kind, step, lambda raw: b"XXX1" + raw[4:]
        )
    seq = put(2, b"\x8a\x00")
    yield inner("core-long-varint", "bundle_seq in two bytes where one does", canonical, "core_fields", seq)
    names = blobs(["core"])[:-1] + blobs(["personal", "sensitive"])
    yield inner("lane-two-blocks", "compartments in two blocks", canonical, "lane_fields", put(12, names))
    yield inner("flush-agency", "a flush that names no agency", malformed, "flush_fields", put(2, blob("jcf")))
    yield inner("entry-agency", "an entry that names no agency", malformed, "entry_fields.ATF", put(1, blob("atf")))
    yield inner("lane-not-ascii", "a policy version with an umlaut", malformed, "lane_fields", put(6, blob("ü")))
    few = put(2, array([long(10) + ZERO32]))
    yield inner("head-ciphertexts", "a head with one ciphertext for a lane of three", malformed, "head_fields", few)


def _limits() -> Iterator[Case]:
    plain = s.plain()
    code = "limit.exceeded"

    def field(name: str, says: str, index: int, raw: bytes, expect: str = code) -> Case:
        return ingest_case(f"limit-{name}", says, "2.2", expect, record(plain, put(index, raw)))

    yield ingest_case("limit-record", "a record of 900,001 bytes", "2.1", code, plain.ingest().ljust(900_001, b"\0"))
    yield field("head", "a head of 8,193 bytes", 1, blob(bytes(8193)))
    yield field("flush", "a flush of 4,097 bytes", 5, blob(bytes(4097)))
    yield field("entry", "an entry of 4,097 bytes", 4, blobs([bytes(4097)]))
    yield field("signature", "a signature of 3,374 bytes", 6, blob(plain.signature + b"\0"))
    yield field("ciphertexts-count", "134,217,728 ciphertexts in 5 bytes", 3, long(2**27))
    yield field("entries-count", "134,217,728 entries in 5 bytes", 4, long(2**27))
    yield field("entries", "257 entries", 4, blobs([b""] * 257))
    yield field("ciphertexts", "9 ciphertexts", 3, blobs([b""] * 9))
    yield field("path", "a path of 10", 8, array([ZERO32] * 10))
    yield field("path-count", "a path of 2^62 hashes", 8, long(2**62))
    yield field("ciphertext-length", "a ciphertext of 2^40 bytes", 3, long(1) + long(2**40))
    yield field("index", "the bundle of number 512 in its flush", 7, long(512))
    yield field("index-negative", "an index of -1", 7, long(-1))
    short = b"".join([b"ING1", blob(plain.bundle.head), blob(b""), blobs([]), long(256), bytes(10)])
    says = "256 entries in 10 bytes"
    yield ingest_case("limit-entries-without-bytes", says, "2.2", "frame.malformed", short)
    nine = put(12, blobs([*s.COMPARTMENTS, *(f"c{i}" for i in range(6))]))

    def inner(name: str, says: str, step: str, hook: Callable[[Any], Any]) -> Case:
        forged = s.main(flush={"hooks": {step: hook}}) if step.startswith("flush") else s.main({step: hook})
        return ingest_case(f"limit-{name}", says, "2.1", code, forged.ingest())

    yield inner("compartments", "a lane of 9 compartments", "lane_fields", nine)
    yield inner("compartments-count", "2^27 compartments", "lane_fields", put(12, long(2**27)))
    yield inner("lane", "a lane of over 4,096 bytes", "lane", lambda raw: raw.ljust(4097, b"\0"))
    yield inner("core", "a core of over 4,096 bytes", "core", lambda raw: raw.ljust(4097, b"\0"))
    yield inner("events", "513 events", "core_fields", put(3, long(513)))
    yield inner("events-negative", "-1 events", "core_fields", put(3, long(-1)))
    yield inner("bundle-seq", "bundle_seq 2^32", "core_fields", put(2, long(2**32)))
    yield inner("bundle-seq-zero", "bundle_seq 0", "core_fields", put(2, long(0)))
    yield inner("schema-version", "schema version 65,536", "lane_fields", put(8, long(65_536)))
    yield inner("policy-version", "a policy version of 129 bytes", "lane_fields", put(6, blob("p" * 129)))
    yield inner("entries-in-head", "a head that says 257 entries", "head_fields", put(3, long(257)))
    yield inner("no-entries", "a head that says 0 entries", "head_fields", put(3, long(0)))
    yield inner("recipient-seq", "recipient_seq 2^53", "entry_fields.ATF", put(4, long(2**53)))
    yield inner("prev-seq", "prev_seq 2^53", "entry_fields.ATF", put(6, long(2**53)))
    yield inner("flush-seq", "flush_seq 0", "flush_fields", put(5, long(0)))
    yield inner("flush-bundles", "a flush of 513 bundles", "flush_fields", put(8, long(513)))
    yield inner("flush-bundles-none", "a flush of no bundles", "flush_fields", put(8, long(0)))
    yield inner("directory-version", "directory version 2^53", "flush_fields", put(7, long(2**53)))
    yield inner("flush-time", "a flush in the year 10000", "flush_fields", put(10, long(253_402_300_800_000)))
    yield inner("flush-time-negative", "a flush before 1970", "flush_fields", put(10, long(-1)))


def _lanes() -> Iterator[Case]:
    def lane(name: str, says: str, index: int, raw: bytes, expect: str = "lane.malformed") -> Case:
        forged = s.main({"lane_fields": put(index, raw)})
        return ingest_case(f"lane-{name}", says, "6.1", expect, forged.ingest())

    yield lane("suite", "suite 2", 1, long(2), "lane.suite_unknown")
    yield lane("suite-none", "suite 0", 1, long(0), "lane.suite_unknown")
    yield lane("hub", "a hub with a lower-case letter", 2, blob("Hub"))
    yield lane("publisher", "a publisher of one letter", 3, blob("J"))
    yield lane("instance", "an instance of zeros, which stands for none", 4, ZERO16)
    yield lane("policy-version", "an empty policy version", 6, blob(""))
    yield lane("policy-version-space", "a policy version with a space", 6, blob("release 1"))
    yield lane("event-type", "an event type with a capital", 7, blob("Seizure.report"))
    yield lane("event-type-empty", "no event type", 7, blob(""))
    yield lane("handling", "a handling label in lower case", 9, blob("tlp:amber"))
    yield lane("handling-space", "a handling label with a space after it", 9, blob("TLP:AMBER "))
    yield lane("priority", "a priority that there is not", 10, blob("HIGH"))
    yield lane("purpose", "a purpose that there is not", 11, blob("CURIOSITY"))
    yield lane("compartment", "a compartment with a hyphen", 12, blobs(["core", "per-sonal", "sensitive"]))
    yield lane("compartment-twice", "a compartment named twice", 12, blobs(["core", "core", "sensitive"]))
    yield lane("no-compartments", "events, but no compartments", 12, blobs([]), "heartbeat.malformed")
    yield lane("heartbeat-type", "compartments in a heartbeat", 7, blob("heartbeat"), "heartbeat.malformed")
    empty = s.main({"core_fields": put(3, long(0))})
    yield ingest_case(
        "heartbeat-compartments", "no events in a lane of three", "6.9", "heartbeat.malformed", empty.ingest()
    )

    def beat(name: str, says: str, expect: str, **changes: Any) -> Case:
        forged = s.in_flush(forge_bundle(s.heartbeat_draft(bundle_seq=5, **changes)))
        return ingest_case(f"heartbeat-{name}", says, "6.9", expect, forged.ingest())

    yield beat("route", "a heartbeat for border control", "heartbeat.malformed", purpose="BORDER_CONTROL")
    yield beat("version", "a heartbeat of schema version 2", "heartbeat.malformed", schema_version=2)
    yield beat("event", "a heartbeat with an event", "heartbeat.malformed", hooks={"core_fields": put(3, long(1))})
    granting = {"entry_fields.ATF": put(3, blobs(["core"]))}
    yield beat("grant", "a heartbeat that grants", "entry.grants_invalid", hooks=granting)
    yield beat("wrap", "a heartbeat with a wrap", "entry.wrap_length", hooks={"entry_fields.ATF": put(7, blob(ZERO32))})
    headed = s.in_flush(forge_bundle(s.heartbeat_draft(bundle_seq=5))).but(
        hooks={"record_fields": put(2, blob(s.plain().bundle.headers))}
    )
    yield ingest_case("heartbeat-headers", "a heartbeat with headers", "6.9", "header.malformed", headed.ingest())
    keyed = {"entry_fields.ATF": put(2, kem_key("ATF").public.kem_id)}
    yield beat("kem-id", "a heartbeat that names a KEM key", "entry.wrap_length", hooks=keyed)


def _flushes() -> Iterator[Case]:
    plain = s.plain()
    value = plain.ingest()
    hnp = signing_key("HNP site")

    def of(name: str, says: str, clause: str, expect: str, forged: Forged, **how: Any) -> Case:
        return ingest_case(f"flush-{name}", says, clause, expect, forged.ingest(), **how)

    def flush(name: str, says: str, clause: str, expect: str, **changes: Any) -> Case:
        return of(name, says, clause, expect, s.main(flush=changes))

    yield ingest_case(
        "publisher-of-another-topic", "JCF's record on HNP's topic", "9.1", "publisher.mismatch", value, owner="HNP"
    )
    yield flush("from-future", "5 minutes and a millisecond ahead", "2.1", "flush.from_future", time_ms=s.NOW + 300_001)
    yield flush(
        "directory-ahead", "made under directory 8; this one is 7", "12.2", "directory.behind", directory_version=8
    )
    ahead = {"directory_version": 8, "key": s.UNLISTED}
    yield flush("directory-ahead-key", "a key that directory 8 may list", "12.2", "directory.behind", **ahead)
    yield flush("key-unlisted", "a signing key that JCF never listed", "12.3", "signing_key.unknown", key=s.UNLISTED)
    yield flush("key-of-another", "HNP's key under JCF's name", "12.3", "signing_key.unknown", key=hnp)
    yield flush("key-revoked", "a key revoked yesterday", "12.3", "signing_key.revoked", key=s.REVOKED)
    yield flush("key-expired", "a key that ended yesterday", "12.3", "signing_key.expired", key=s.EXPIRED)
    yield flush("key-early", "a key that begins tomorrow", "12.3", "signing_key.not_yet_valid", key=s.FUTURE)
    for name, says, agency, key, code in (
        ("unknown", "an agency that the directory does not list", "XYZ", s.UNLISTED, "publisher.unknown"),
        ("suspended", "an agency that is suspended", "NCA", signing_key("NCA site"), "publisher.suspended"),
    ):
        forged = s.main(publisher=agency, flush={"publisher": agency, "key": key})
        yield of(f"publisher-{name}", says, "12.3", code, forged, owner=agency)
    yield from _signatures(plain)
    other = {"publisher": "HNP", "key": hnp}
    yield flush("publisher", "JCF's bundle in a flush that HNP signed", "9.1", "flush.mismatch", **other)
    yield flush("hub", "a bundle for HUB in a flush for HUB2", "9.1", "flush.mismatch", hub="HUB2")
    yield flush("instance", "a bundle in another instance's flush", "9.1", "flush.mismatch", instance=s.OTHER_INSTANCE)
    yield flush("first-with-previous", "flush 1 that names one before", "7.2", "flush.mismatch", flush_seq=1)
    yield flush("later-without-previous", "flush 3 that names none before", "7.2", "flush.mismatch", prev_flush=ZERO32)
    yield of("other-hub", "a record for HUB2", "9.1", "hub.mismatch", s.main(hub="HUB2", flush={"hub": "HUB2"}))
    yield ingest_case("hub-is-another", "a record for HUB, read by HUB2", "9.1", "hub.mismatch", value, hub="HUB2")
    yield from _places(plain)


def _moments() -> Iterator[Case]:
    """spec 12.3: a signing key counts as it stood when the broker appended the record."""
    ended = s.NOW - DAY_MS  # when one of JCF's keys was revoked, and another's time was over
    far = s.NOW + 400 * DAY_MS  # JCF's own key ends in 365 days
    by_revoked = s.main(flush={"key": s.REVOKED, "time_ms": ended - s.HOUR_MS}).ingest()
    by_expired = s.main(flush={"key": s.EXPIRED, "time_ms": ended - s.HOUR_MS}).ingest()
    backdated = s.main(flush={"key": s.REVOKED, "time_ms": s.NOW - 20 * DAY_MS}).ingest()
    plain = s.plain().ingest()

    def moment(name: str, says: str, expect: str, record: bytes, appended_ms: int, **how: Any) -> Case:
        return ingest_case(name, says, "12.3", expect, record, appended_ms=appended_ms, **how)

    revoked, expired, early = "signing_key.revoked", "signing_key.expired", "signing_key.not_yet_valid"
    yield moment("ok-key-revoked-since", "appended a millisecond before the revocation", "ok", by_revoked, ended - 1)
    yield moment("ok-key-expired-since", "appended in the last millisecond of its key", "ok", by_expired, ended - 1)
    yield moment("ok-appended-ahead", "the broker's clock is months ahead: now + 5 min counts", "ok", plain, far)
    yield moment("moment-revoked", "appended at the moment of the revocation", revoked, by_revoked, ended)
    yield moment("moment-expired", "appended when its key's time was over", expired, by_expired, ended)
    yield moment("moment-backdated", "its flush says three weeks ago", revoked, backdated, s.NOW - s.HOUR_MS)
    yield moment("moment-early", "appended before its key's time began", early, plain, s.NOW - 31 * DAY_MS)
    yield moment(
        "moment-revoked-again",
        "the same flush came before, and was taken: what is remembered of it asks anew",
        revoked,
        by_revoked,
        ended + s.HOUR_MS,
        before=[by_revoked],
        before_appended_ms=[ended - 1],
    )


def _signatures(plain: Forged) -> Iterator[Case]:
    code = "signature.invalid"
    foreign = s.main(
        flush={"hooks": {"signature": lambda _: signing_key("HNP site").sign(b"cgi-hub/v1/flush", plain.flush)}}
    )
    other_flush = s.main(flush={"time_ms": s.NOW - 999})
    context = s.SITE.sign(b"cgi-hub/v1/directory", plain.flush)
    ml, ed = plain.signature[:3309], plain.signature[3309:]
    for name, says, signature in (
        ("other-context", "JCF's signature, made for another kind of thing", context),
        ("ml-dsa-half", "the ML-DSA half and zeros", ml + bytes(64)),
        ("ed25519-half", "the Ed25519 half and zeros", bytes(3309) + ed),
        ("halves-swapped", "the Ed25519 half first", ed + ml),
        ("half-of-another-flush", "halves from two flushes", ml + other_flush.signature[3309:]),
        ("zeros", "a signature of zeros", bytes(3373)),
        ("of-another-key", "HNP's signature under JCF's key id", foreign.signature),
        ("of-another-flush", "the signature of another flush", other_flush.signature),
    ):
        yield ingest_case(f"signature-{name}", says, "4.2", code, plain.but(signature=signature).ingest())
    later = plain.but(flush=other_flush.flush)
    yield ingest_case(
        "signature-flush-changed", "a flush's time was changed after signing", "7.3", code, later.ingest()
    )


def _places(plain: Forged) -> Iterator[Case]:
    code = "bundle.not_in_flush"
    first, third = s.neighbours()
    heads = [leaf(bundle.head) for bundle in (first, plain.bundle, third)]
    for name, says, changes in (
        ("index", "the right path at the next index", {"index": 2}),
        ("index-outside", "an index past the flush's bundles", {"index": 3}),
        ("path-of-another", "the path of the bundle before", {"path": tuple(tree_path(0, heads))}),
        ("path-short", "a path with its last hash left out", {"path": plain.path[:-1]}),
        ("path-long", "a path with one hash more", {"path": (*plain.path, ZERO32)}),
        ("path-none", "no path", {"path": ()}),
    ):
        yield ingest_case(f"bundle-{name}", says, "1.6", code, plain.but(**changes).ingest())
    elsewhere = forge_flush(s.flush_draft(flush_seq=4, prev_flush=derive("flush 3")), [first, third])[1]
    moved = plain.but(flush=elsewhere.flush, signature=elsewhere.signature)
    yield ingest_case("bundle-in-another-flush", "a bundle beside a flush that has it not", "9.1", code, moved.ingest())
    lane = forge_bundle(s.bundle_draft(lane_name="lane 2"))
    yield ingest_case(
        "bundle-of-another-lane",
        "the same events in a lane that was not signed",
        "9.1",
        code,
        plain.but(bundle=lane).ingest(),
    )
    fewer = s.main(flush={"hooks": {"flush_fields": put(8, long(1))}})
    yield ingest_case(
        "bundle-flush-says-one", "a flush that says one bundle, and a path of two", "9.1", code, fewer.ingest()
    )


def _headers() -> Iterator[Case]:
    code = "header.malformed"

    def first(name: str, says: str, change: Callable[[bytes], bytes], expect: str = code) -> Case:
        forged = s.main({"headers": lambda items: [change(items[0]), *items[1:]]})
        return ingest_case(f"header-{name}", says, "5.3", expect, forged.ingest())

    def at(position: int, raw: bytes) -> Callable[[bytes], bytes]:
        return lambda item: item[:position] + raw + item[position + len(raw) :]

    def reply(raw: bytes) -> Callable[[bytes], bytes]:
        return lambda item: item[:49] + raw + item[50:]

    uuid7 = s.event("question").event_id
    yield first("kind", "a header of a later version", at(0, b"\xe2"))
    yield first("uuid4", "an event_id that is a UUIDv4", at(7, b"\x4f"))
    yield first("uuid-variant", "an event_id of another variant", at(9, b"\xc0"))
    yield first("published", "published in the year 10000", at(17, (253_402_300_800_000).to_bytes(8, "big")))
    yield first("expires", "expires in the year 10000", at(41, b"\xff" * 8))
    yield first("length-odd", "a section of 65 bytes", at(50, (65).to_bytes(4, "big")))
    yield first("length-zero", "a section of no bytes", at(50, bytes(4)))
    yield first("length-large", "a section of 65,600 bytes", at(50, (65_600).to_bytes(4, "big")))
    yield first("reply-short", "in_reply_to a publisher of one letter", reply(b"\x01H" + uuid7))
    yield first("reply-long", "in_reply_to a publisher of 33 letters", reply(b"\x21" + b"H" * 33 + uuid7))
    yield first("reply-lower", "in_reply_to a publisher in lower case", reply(b"\x03hnp" + uuid7))
    yield first("reply-uuid4", "in_reply_to a UUIDv4", reply(b"\x03HNP" + uuid7[:6] + b"\x40" + uuid7[7:]))
    plain = s.plain()
    headers = plain.bundle.headers

    def after(name: str, says: str, raw: bytes, expect: str) -> Case:
        return ingest_case(f"headers-{name}", says, "5.4", expect, record(plain, put(2, blob(raw))))

    yield after("cut", "the last byte is missing", headers[:-1], code)
    yield after("trailing", "a byte after the last", headers + b"\0", code)
    yield after("one-missing", "the first of two headers alone", headers[:158], code)
    yield after("none", "no headers", b"", code)
    yield after("beat", "two headers twice", headers * 2, code)
    yield after("swapped", "the headers in another order", headers[158:] + headers[:158], "headers.mismatch")
    yield after("changed", "another expiry than was signed", at(48, b"\x5a")(headers), "headers.mismatch")
    other = forge_bundle(s.bundle_draft(events=(s.event("event 3"), s.event("event 4")))).headers
    yield after("of-another-bundle", "another bundle's headers", other, "headers.mismatch")
    twice = s.main(events=(s.event("event 1"), s.event("event 1")))
    yield ingest_case("header-twice", "one event twice", "5.5", "header.duplicate", twice.ingest())
    root = s.main({"event_root": lambda _: ZERO32})
    yield ingest_case("headers-root", "an event_root of zeros", "5.5", "headers.mismatch", root.ingest())
    more = s.main({"core_fields": put(3, long(3))})
    yield ingest_case("headers-count", "a core that says 3 events, with 2 headers", "6.3", code, more.ingest())


def _ciphertexts() -> Iterator[Case]:
    plain = s.plain()
    one, two, three = plain.bundle.ciphertexts
    code = "ciphertext.mismatch"

    def held(name: str, says: str, items: list[bytes], expect: str) -> Case:
        return ingest_case(f"ciphertext-{name}", says, "8.1", expect, record(plain, put(3, blobs(items))))

    yield held("bit", "a bit flipped", [one, two, bytes([three[0] ^ 1]) + three[1:]], code)
    yield held("cut", "a byte missing", [one, two, three[:-1]], code)
    yield held("swapped", "two in each other's place", [two, one, three], code)
    yield held("repeated", "the first in the second's place", [one, one, three], code)
    other = forge_bundle(s.bundle_draft(bundle_seq=7)).ciphertexts
    yield held("of-another-bundle", "another bundle's of the same lane", [other[0], two, three], code)
    yield held("missing", "one is missing", [one, two], "ciphertexts.not_granted")
    yield held("none", "none at all", [], "ciphertexts.not_granted")
    yield held("extra", "one too many", [one, two, three, three], "ciphertexts.not_granted")
    longer = s.main({"ciphertext.core": lambda raw: raw + bytes(64)})
    says = "64 bytes more than the headers add up to"
    yield ingest_case("ciphertext-lengths", says, "6.4", code, longer.ingest())


def _entries() -> Iterator[Case]:
    plain = s.plain()
    entries = list(plain.bundle.entries)
    code = "entries.mismatch"

    def held(name: str, says: str, items: list[bytes]) -> Case:
        return ingest_case(f"entries-{name}", says, "6.8", code, record(plain, put(4, blobs(items))))

    first, _ = s.neighbours()
    foreign = dict(zip(first.agencies, first.entries, strict=True))
    mine = dict(zip(plain.bundle.agencies, plain.bundle.entries, strict=True))
    mixed = sorted((mine | {"ATF": foreign["ATF"]}).values(), key=leaf)
    yield held("of-another-bundle", "ATF's entry of the bundle before", mixed)
    yield held("all-of-another-bundle", "all entries of the bundle before", list(first.entries))
    yield held("missing", "one is missing", entries[:-1])
    yield held("none", "none at all", [])
    yield held("repeated", "one twice", [entries[0], *entries])
    yield held("order", "not in the order of their hashes", entries[::-1])
    unsorted = s.main({"entries": lambda items: items[::-1]})
    yield ingest_case("entries-order-signed", "signed in another order", "6.8", code, unsorted.ingest())
    doubled = s.main({"entries": lambda items: [items[0], *items]})
    yield ingest_case("entries-repeated-signed", "one twice, and signed so", "6.8", code, doubled.ingest())
    counted = s.main({"head_fields": put(3, long(4))})
    yield ingest_case("entries-count", "a head that says 4, with 3", "6.8", code, counted.ingest())
    twice = s.main(grants=(*(s.grant(a) for a in GRANTS), s.grant("ATF", 13)))
    yield ingest_case("entry-twice", "two entries for ATF", "6.8", "entry.duplicate", twice.ingest())

    def entry(name: str, says: str, expect: str, *, hooks: dict[str, Any] | None = None, **changes: Any) -> Case:
        grants = tuple(replace(s.grant(a), **changes) if a == "ATF" else s.grant(a) for a in GRANTS)
        forged = s.main(hooks, grants=grants)
        return ingest_case(f"entry-{name}", says, "6.7", expect, forged.ingest())

    granted = "entry.grants_invalid"
    yield entry("grants-none", "nothing granted", granted, granted=())
    yield entry("grants-order", "granted in another order than the lane's", granted, granted=("personal", "core"))
    yield entry("grants-twice", "core granted twice", granted, granted=("core", "core"))
    yield entry("grants-outside", "a compartment that the lane has not", granted, granted=("core", "secret"))
    wrap = "entry.wrap_length"
    yield entry("wrap-none", "no wrap", wrap, hooks={"wrap.ATF": lambda _: b""})
    yield entry("wrap-short", "a wrap that is a byte short", wrap, hooks={"wrap.ATF": lambda raw: raw[:-1]})
    yield entry("wrap-deks", "two DEKs for three compartments", wrap, hooks={"deks.ATF": lambda raw: raw[:64]})
    chain = "entry.chain_invalid"
    yield entry("seq-zero", "recipient_seq 0", chain, recipient_seq=0)
    yield entry("prev-instance-alone", "a previous instance, no number", chain, prev_instance=s.OTHER_INSTANCE)
    yield entry("prev-seq-alone", "a previous number, no instance", chain, prev_seq=3)
    own = {"prev_instance": s.INSTANCE, "prev_seq": 3}
    yield entry("prev-own", "its own instance as the previous", chain, **own)
