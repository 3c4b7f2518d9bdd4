"""Vectors of the receiver's checks (docs/spec/checks.md, clause 10): each error code, at the step that must find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.support.authority import DAY_MS, kem_key, signing_key
from tests.support.forge import (
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
    lp,
    tree_path,
)
from tests.vectors import scenario as s
from tests.vectors.ingest_cases import put
from tests.vectors.scenario import Case, open_case

GRANTS: Final = tuple(s.GRANTED)


def record(forged: Forged, hook: Callable[[list[bytes]], list[bytes]], agency: str = "ATF") -> bytes:
    """The delivered record with a field replaced after it was signed."""
    return forged.but(hooks={"record_fields": hook}).delivered(agency)


def _result(forged: Forged, agency: str) -> dict[str, Any]:
    draft = forged.bundle.draft
    grant = next(one for one in draft.grants if one.agency == agency)
    return {
        "publisher": draft.publisher,
        "instance": draft.instance.hex(),
        "recipient_seq": grant.recipient_seq,
        "head_hash": forged.bundle.head_hash.hex(),
        "granted": list(grant.granted),
        "withheld": [name for name in draft.compartments if name not in grant.granted],
        "events": s.sealed_parts(forged, agency),
    }


def cases() -> Iterator[Case]:
    yield from _accepted()
    yield from _frames()
    yield from _flushes()
    yield from _moments()
    yield from _skew()
    yield from _contents()
    yield from _entries()
    yield from _persons()
    yield from _secrets()


def _accepted() -> Iterator[Case]:
    plain = s.plain()
    for agency in GRANTS:
        says = f"what {agency} is granted, and nothing else"
        value = plain.delivered(agency)
        yield open_case(
            f"ok-{agency.lower()}", says, "10.1", "ok", value, recipient=agency, result=_result(plain, agency)
        )
    _, third = s.neighbours()
    beat = forge_flush(s.flush_draft(), [forge_bundle(s.bundle_draft()), third])[1]
    yield open_case("ok-heartbeat", "a heartbeat", "6.9", "ok", beat.delivered("ATF"), result=_result(beat, "ATF"))
    keys = [kem_key("RSS"), kem_key("ATF")]
    value = plain.delivered("ATF")
    yield open_case("ok-second-key", "wrapped to the second of two keys", "10.1", "ok", value, keys=keys)
    old = s.main(flush={"time_ms": s.NOW - 20 * 86_400_000})
    yield open_case("ok-flush-of-last-month", "a replay of last month", "12.3", "ok", old.delivered("ATF"))
    whole = s.main(events=(s.event("large", parts={c: bytes([65]) * 65_532 for c in s.COMPARTMENTS}),))
    says = "a section of 65,536 bytes, the largest"
    yield open_case("ok-largest-section", says, "2.1", "ok", whole.delivered("RSS"), recipient="RSS")


def _frames() -> Iterator[Case]:
    plain = s.plain()
    value = plain.delivered("ATF")
    malformed, canonical, kind, limit = (
        "frame.malformed",
        "frame.not_canonical",
        "frame.kind_wrong",
        "limit.exceeded",
    )
    for name, says, expect, raw in (
        ("empty", "an empty value", kind, b""),
        ("ingest", "an ingest record on a delivery topic", kind, plain.ingest()),
        ("stub", "a stub on a delivery topic", kind, plain.stub("ATF")),
        ("cut", "the last byte is missing", malformed, value[:-1]),
        ("trailing", "one byte after the end", malformed, value + b"\0"),
        ("large", "a record of 900,001 bytes", limit, value.ljust(900_001, b"\0")),
    ):
        yield open_case(f"frame-{name}", says, "3.1", expect, raw)
    for name, says, expect, index, raw in (
        ("long-varint", "entry_index in two bytes where one does", canonical, 5, b"\x80\x00"),
        ("entry-index", "an entry_index of 256", limit, 5, long(256)),
        ("entry-path", "an entry path of 10", limit, 6, array([ZERO32] * 10)),
        ("path-count", "2^27 hashes in 5 bytes", limit, 6, long(2**27)),
        ("ciphertexts-count", "2^27 ciphertexts in 5 bytes", limit, 3, long(2**27)),
        ("signature", "no signature", malformed, 8, blob(b"")),
    ):
        yield open_case(f"frame-{name}", says, "2.2", expect, record(plain, put(index, raw)))


def _flushes() -> Iterator[Case]:
    plain = s.plain()

    def flush(name: str, says: str, clause: str, expect: str, **changes: Any) -> Case:
        return open_case(f"flush-{name}", says, clause, expect, s.main(flush=changes).delivered("ATF"))

    yield flush("from-future", "5 minutes and a millisecond ahead", "2.1", "flush.from_future", time_ms=s.NOW + 300_001)
    yield flush("directory-ahead", "made under directory 8", "12.2", "directory.behind", directory_version=8)
    yield flush("key-unlisted", "a signing key that JCF never listed", "12.3", "signing_key.unknown", key=s.UNLISTED)
    yield flush("key-revoked", "a key revoked yesterday", "12.3", "signing_key.revoked", key=s.REVOKED)
    yield flush("key-expired", "a key that ended yesterday", "12.3", "signing_key.expired", key=s.EXPIRED)
    yield flush("key-early", "a key that begins tomorrow", "12.3", "signing_key.not_yet_valid", key=s.FUTURE)
    for name, says, agency, key, code in (
        ("unknown", "an agency that the directory does not list", "XYZ", s.UNLISTED, "publisher.unknown"),
        ("suspended", "an agency that is suspended", "NCA", signing_key("NCA site"), "publisher.suspended"),
    ):
        forged = s.main(publisher=agency, flush={"publisher": agency, "key": key})
        yield open_case(f"publisher-{name}", says, "12.3", code, forged.delivered("ATF"))
    zeros = plain.but(signature=bytes(3373)).delivered("ATF")
    yield open_case("signature-zeros", "a signature of zeros", "4.2", "signature.invalid", zeros)
    half = plain.but(signature=plain.signature[:3309] + bytes(64)).delivered("ATF")
    yield open_case("signature-half", "the ML-DSA half alone", "4.2", "signature.invalid", half)
    hnp = {"publisher": "HNP", "key": signing_key("HNP site")}
    yield flush("publisher", "JCF's bundle in a flush that HNP signed", "10.1", "flush.mismatch", **hnp)
    yield flush("instance", "a bundle in another instance's flush", "10.1", "flush.mismatch", instance=s.OTHER_INSTANCE)
    yield flush("hub", "a bundle for HUB in a flush for HUB2", "10.1", "flush.mismatch", hub="HUB2")
    first, third = s.neighbours()
    elsewhere = forge_flush(s.flush_draft(flush_seq=4, prev_flush=derive("flush 3")), [first, third])[1]
    moved = plain.but(flush=elsewhere.flush, signature=elsewhere.signature).delivered("ATF")
    yield open_case("bundle-in-another-flush", "beside a flush that has it not", "10.1", "bundle.not_in_flush", moved)
    shown = plain.but(index=0).delivered("ATF")
    yield open_case("bundle-index", "the right path at another index", "1.6", "bundle.not_in_flush", shown)


def _moments() -> Iterator[Case]:
    """spec 12.3: a signing key counts as it stood when the broker first appended the bundle."""
    ended = s.NOW - DAY_MS
    by_revoked = s.main(flush={"key": s.REVOKED, "time_ms": ended - s.HOUR_MS})
    by_expired = s.main(flush={"key": s.EXPIRED, "time_ms": ended - s.HOUR_MS})

    def moment(name: str, says: str, expect: str, forged: Forged, appended_ms: int) -> Case:
        result = _result(forged, "ATF") if expect == "ok" else None
        value = forged.delivered("ATF")
        return open_case(name, says, "12.3", expect, value, appended_ms=appended_ms, result=result)

    revoked, expired = "signing_key.revoked", "signing_key.expired"
    yield moment(
        "ok-key-revoked-since", "a recipient that was away while the key was revoked", "ok", by_revoked, ended - 1
    )
    yield moment("ok-key-expired-since", "a recipient that was away while the key ended", "ok", by_expired, ended - 1)
    yield moment("moment-revoked", "appended at the moment of the revocation", revoked, by_revoked, ended)
    yield moment("moment-expired", "appended when its key's time was over", expired, by_expired, ended)


def _skew() -> Iterator[Case]:
    """A recipient with directory 8 and records that were made, and delivered, under 7 (12.5)."""
    before, after = s.NOW - 2 * s.HOUR_MS, s.NOW - 1_000
    plain = s.plain()

    def skew(name: str, says: str, expect: str, forged: Forged, appended_ms: int, **how: Any) -> Case:
        value = forged.delivered(how.get("recipient", "ATF"))
        how |= {"directory": "directory-8.json", "appended_ms": appended_ms}
        return open_case(f"skew-{name}", says, "12.5", expect, value, **how)

    yield skew("ok-earlier", "before the key was revoked in 8", "ok", plain, before, result=_result(plain, "ATF"))
    yield skew("revoked", "after it: a router with 7 has delivered it", "signing_key.revoked", plain, after)
    yield skew(
        "ok-old-kem-key",
        "sealed to the KEM key of 7, which INTERPOL keeps",
        "ok",
        plain,
        before,
        recipient="INTERPOL",
        keys=[kem_key("INTERPOL 2"), kem_key("INTERPOL")],
        result=_result(plain, "INTERPOL"),
    )
    yield skew(
        "old-kem-key-destroyed",
        "sealed to the KEM key of 7, which INTERPOL has destroyed",
        "wrap.key_missing",
        plain,
        before,
        recipient="INTERPOL",
        keys=[kem_key("INTERPOL 2")],
    )
    ended = s.main(flush={"key": s.NEXT, "directory_version": 8})
    yield skew(
        "ok-agreement-ended",
        "RSS's agreement is not in 8: to deny it was the router's",
        "ok",
        ended,
        after,
        recipient="RSS",
        result=_result(ended, "RSS"),
    )
    hnp = s.main(publisher="HNP", flush={"publisher": "HNP", "key": signing_key("HNP site")})
    yield skew("suspended", "HNP was active in 7 and is suspended in 8", "publisher.suspended", hnp, before)
    newer = s.main(flush={"key": s.NEXT, "directory_version": 9})
    yield skew("ahead", "made under directory 9", "directory.behind", newer, after)


def _contents() -> Iterator[Case]:
    plain = s.plain()
    headers = plain.bundle.headers
    one, two, three = plain.bundle.ciphertexts
    for name, says, expect, raw in (
        ("swapped", "the headers in another order", "headers.mismatch", headers[158:] + headers[:158]),
        ("one-missing", "one of two headers", "header.malformed", headers[:158]),
        ("uuid4", "an event_id that is a UUIDv4", "header.malformed", headers[:7] + b"\x4f" + headers[8:]),
    ):
        yield open_case(f"headers-{name}", says, "5.3", expect, record(plain, put(2, blob(raw))))
    twice = s.main(events=(s.event("event 1"), s.event("event 1"))).delivered("ATF")
    yield open_case("header-twice", "one event twice", "5.5", "header.duplicate", twice)
    other = forge_bundle(s.bundle_draft(lane_name="lane 2")).ciphertexts
    missing, mismatch = "ciphertexts.not_granted", "ciphertext.mismatch"
    for name, says, expect, agency, items in (
        ("bit", "a bit flipped", mismatch, "ATF", [one, two, bytes([three[0] ^ 1]) + three[1:]]),
        ("swapped", "two in each other's place", mismatch, "ATF", [two, one, three]),
        ("of-another-lane", "the same events' in another lane", mismatch, "ATF", [other[0], two, three]),
        ("missing", "one that is granted is missing", missing, "ATF", [one, two]),
        ("beyond", "one that RSS is not granted", missing, "RSS", [one, two]),
        ("in-place", "another in the place of the one granted", mismatch, "RSS", [two]),
        ("none", "none at all", missing, "RSS", []),
    ):
        value = record(plain, put(3, blobs(items)), agency)
        yield open_case(f"ciphertext-{name}", says, "8.2", expect, value, recipient=agency)


def _entries() -> Iterator[Case]:
    plain = s.plain()
    code = "entry.not_in_bundle"
    index = plain.bundle.agencies.index("ATF")
    first, _ = s.neighbours()
    leaves = [leaf(entry) for entry in plain.bundle.entries]
    foreign = dict(zip(first.agencies, first.entries, strict=True))["ATF"]
    for name, says, position, raw in (
        ("of-another-bundle", "ATF's entry of the bundle before", 4, blob(foreign)),
        ("index", "the right path at another index", 5, long((index + 1) % 3)),
        ("index-outside", "an index past the entries", 5, long(3)),
        ("path", "the path of another entry", 6, array(tree_path((index + 1) % 3, leaves))),
        ("path-none", "no path", 6, array([])),
        ("path-long", "a path with one hash more", 6, array([*tree_path(index, leaves), ZERO32])),
    ):
        yield open_case(f"entry-{name}", says, "6.8", code, record(plain, put(position, raw)))
    rss = plain.bundle.entries[plain.bundle.agencies.index("RSS")]
    widened = rss.replace(blobs(["core"]), blobs(["core", "personal"]))
    value = record(plain, put(4, blob(widened)), "RSS")
    yield open_case("entry-widened", "the hub grants RSS one more compartment", "6.8", code, value, recipient="RSS")

    def entry(name: str, says: str, expect: str, *, hooks: dict[str, Any] | None = None, **changes: Any) -> Case:
        grants = tuple(s.grant(a, **(changes if a == "ATF" else {})) for a in GRANTS)
        return open_case(f"entry-{name}", says, "6.7", expect, s.main(hooks, grants=grants).delivered("ATF"))

    yield entry("grants-none", "nothing granted", "entry.grants_invalid", granted=())
    yield entry("grants-order", "not in the lane's order", "entry.grants_invalid", granted=("personal", "core"))
    yield entry("wrap-short", "a wrap a byte short", "entry.wrap_length", hooks={"wrap.ATF": lambda raw: raw[:-1]})
    yield entry("seq-zero", "recipient_seq 0", "entry.chain_invalid", recipient_seq=0)


def _persons() -> Iterator[Case]:
    plain = s.plain()
    hub2 = s.main(hub="HUB2", flush={"hub": "HUB2"}).delivered("ATF")
    yield open_case("other-hub", "a record that went through HUB2", "10.1", "hub.mismatch", hub2)
    value = plain.delivered("RSS")
    says = "RSS's record on ATF's topic"
    yield open_case("other-recipient", says, "10.1", "recipient.mismatch", value, recipient="ATF")
    says = "RSS's record on ATF's topic, where ATF has RSS's key too"
    keys = [kem_key("ATF"), kem_key("RSS")]
    yield open_case("other-recipient-key", says, "10.1", "recipient.mismatch", value, recipient="ATF", keys=keys)


def _secrets() -> Iterator[Case]:
    plain = s.plain()
    value = plain.delivered("ATF")
    destroyed = kem_key("ATF of last year")
    yield open_case(
        "wrap-key-missing", "the KEM key is not at hand", "10.1", "wrap.key_missing", value, keys=[destroyed]
    )
    yield open_case("wrap-no-keys", "no KEM key at all", "10.1", "wrap.key_missing", value, keys=[])

    def sealed(name: str, says: str, clause: str, expect: str, **hooks: Callable[[Any], Any]) -> Case:
        named = {key.replace("__", "."): hook for key, hook in hooks.items()}
        return open_case(name, says, clause, expect, s.main(named).delivered("ATF"))

    code = "wrap.unopenable"
    yield sealed("wrap-garbage", "a wrap of noise", "6.6", code, wrap__ATF=lambda raw: derive("noise", size=len(raw)))
    yield sealed(
        "wrap-bit", "a wrap with a bit flipped", "6.6", code, wrap__ATF=lambda raw: bytes([raw[0] ^ 1]) + raw[1:]
    )
    yield sealed("wrap-bare", "a wrap bound to nothing", "6.6", code, wrap_info__ATF=lambda _: b"")
    key, granted = kem_key("ATF").public, s.COMPARTMENTS
    lane2 = derive("some other lane's hash")
    for name, says, info in (
        (
            "wrap-of-another-lane",
            "a wrap made for another lane",
            lp("cgi-hub/v1/wrap", lane2, "ATF", key.kem_id, *granted),
        ),
        ("wrap-of-another-agency", "a wrap made for another agency", None),
        ("wrap-of-other-grants", "a wrap made for other grants", None),
    ):
        if info is None:
            old, new = (b"ATF", b"NCA") if "agency" in name else (b"sensitive", b"sensitiv2")
            yield sealed(name, says, "6.6", code, wrap_info__ATF=lambda raw, old=old, new=new: raw.replace(old, new))
        else:
            yield sealed(name, says, "6.6", code, wrap_info__ATF=lambda _, info=info: info)
    code = "ciphertext.unopenable"
    yield sealed(
        "dek-wrong", "a wrap that holds other DEKs", "6.4", code, deks__ATF=lambda raw: derive("deks", size=len(raw))
    )
    yield sealed("dek-order", "the DEKs in another order", "6.6", code, deks__ATF=lambda raw: raw[32:] + raw[:32])
    yield sealed(
        "ciphertext-nonce", "a nonce from the counter alone", "6.4", code, nonce__core=lambda raw: raw[:4] + bytes(8)
    )
    yield sealed(
        "ciphertext-aad",
        "an AAD that leaves the core out",
        "6.4",
        code,
        aad__core=lambda _: lp("cgi-hub/v1/aad", "core"),
    )
    yield sealed(
        "ciphertext-noise",
        "a ciphertext of noise",
        "6.4",
        code,
        ciphertext__core=lambda raw: derive("c", size=len(raw)),
    )
    moved = s.bundle_draft(bundle_seq=9)
    seq9 = forge_bundle(moved).ciphertexts[0]
    yield sealed(
        "ciphertext-of-another-bundle",
        "another bundle's, signed into this one",
        "6.4",
        code,
        ciphertext__core=lambda _: seq9,
    )
    code = "commitment.mismatch"
    yield sealed(
        "commitment-section", "another section than is committed to", "5.2", code, plaintext__core=_other_section
    )
    yield sealed(
        "commitment-salt",
        "another salt than is committed to",
        "5.2",
        code,
        plaintext__core=lambda raw: bytes(32) + raw[32:],
    )
    yield sealed(
        "commitment-order",
        "two events' sections in each other's place",
        "5.2",
        code,
        plaintext__core=lambda raw: raw[96:] + raw[:96],
    )
    code = "section.padding"
    for name, says, section in (
        ("not-zero", "a byte of the padding is 1", one_block(b"x", tail=b"\x01")),
        ("too-long", "64 zeros more than need be", one_block(b"x") + bytes(64)),
        ("length-large", "a length past the section's end", b"\xff" * 4 + bytes(60)),
        ("length-in-padding", "a length that ends one past the section", (61).to_bytes(4, "big") + bytes(60)),
    ):
        yield sealed(
            f"padding-{name}",
            says,
            "5.1",
            code,
            sections=lambda held, section=section: held | {"core": [section, *held["core"][1:]]},
        )


def _other_section(raw: bytes) -> bytes:
    return raw[:36] + b"C" + raw[37:]


def one_block(part: bytes, *, tail: bytes = b"") -> bytes:
    """One block: the part's length, the part, zeros, ``tail``."""
    start = len(part).to_bytes(4, "big") + part
    return start + bytes(64 - len(start) - len(tail)) + tail
