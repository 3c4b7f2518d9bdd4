"""Vectors that need more than one record (docs/spec/sequences.md 11 and checks.md 9.3), and of stubs (13.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.support.authority import DAY_MS
from tests.support.forge import ZERO32, Forged, array, blob, derive, forge_flush, leaf, long, tree_path
from tests.vectors import scenario as s
from tests.vectors.ingest_cases import put
from tests.vectors.scenario import Case, ingest_case, open_case, stub_case

FIRST: Final = s.INSTANCE.hex()
SECOND: Final = s.OTHER_INSTANCE.hex()
THIRD: Final = derive("instance", "JCF", 3, size=16).hex()


def cases() -> Iterator[Case]:
    yield from _pairs()
    yield from _stubs()
    yield from _sequences()


def _pairs() -> Iterator[Case]:
    plain = s.plain()
    resealed = s.main(lane_name="lane 2")
    code = "event_id.reused"
    changed = s.main(events=(s.event("event 1", expires_at_ms=s.NOW + DAY_MS), s.event("event 9")), bundle_seq=7)
    before = [plain.ingest()]
    says = "an event comes back with another expiry"
    yield ingest_case("event-id-reused", says, "9.3", code, changed.ingest(), before=before)
    says = "the same record again, as after a crash"
    yield ingest_case("ok-again", says, "9.3", "ok", plain.ingest(), before=before)

    code = "sequence.equivocation"
    first = [plain.delivered("ATF")]
    says = "the same number with another head"
    yield open_case("sequence-two-heads", says, "11.4", code, resealed.delivered("ATF"), before=first)
    heir = s.main(grants=tuple(s.grant(a, 13, prev_instance=s.OTHER_INSTANCE, prev_seq=44) for a in s.GRANTED))
    says = "the same instance now names one before it"
    yield open_case("sequence-two-chains", says, "11.4", code, heir.delivered("ATF"), before=first)
    again = s.in_flush(plain.bundle, time_ms=s.NOW - 500)
    for name, says, value in (
        ("duplicate", "the same record again", plain.delivered("ATF")),
        ("duplicate-signed-anew", "the same head under another signature", again.delivered("ATF")),
    ):
        outcome = {"outcome": "duplicate"}
        yield open_case(f"ok-{name}", says, "11.4", "ok", value, before=first, result=outcome)
    earlier = forge_flush(s.flush_draft(), s.neighbours())[0]
    says = "a number that was missing"
    value = earlier.delivered("ATF")
    yield open_case("ok-fills-gap", says, "11.4", "ok", value, before=first, result={"outcome": "fills_gap"})
    beat = forge_flush(s.flush_draft(), s.neighbours())[1]
    value = beat.delivered("ATF")
    yield open_case(
        "ok-heartbeat-after", "a heartbeat", "11.6", "ok", value, before=first, result={"outcome": "heartbeat"}
    )


def _stubs() -> Iterator[Case]:
    plain = s.plain()
    result = {
        "publisher": "JCF",
        "instance": FIRST,
        "recipient_seq": 12,
        "head_hash": plain.bundle.head_hash.hex(),
        "granted": list(s.COMPARTMENTS),
    }
    value = plain.stub("ATF")
    yield stub_case("ok", "what the hub did not deliver to ATF", "ok", value, result=result)
    yield stub_case("delivered", "a delivered record", "frame.kind_wrong", plain.delivered("ATF"))
    yield stub_case("cut", "the last byte is missing", "frame.malformed", value[:-1])
    yield stub_case("of-another", "RSS's stub shown to ATF", "recipient.mismatch", plain.stub("RSS"))
    hub2 = s.main(hub="HUB2", flush={"hub": "HUB2"})
    yield stub_case("other-hub", "a stub of HUB2", "hub.mismatch", hub2.stub("ATF"))
    unsigned = plain.but(signature=bytes(3373)).stub("ATF")
    yield stub_case("unsigned", "a signature of zeros", "signature.invalid", unsigned)
    yield stub_case("index", "at another place in its flush", "bundle.not_in_flush", plain.but(index=0).stub("ATF"))
    rss = plain.bundle.agencies.index("RSS")
    leaves = [leaf(entry) for entry in plain.bundle.entries]
    moved = put(4, array(tree_path(rss, leaves)))
    yield stub_case("entry-path", "the path of another entry", "entry.not_in_bundle", _stub(plain, moved))
    other = s.main(grants=(s.grant("ATF"),))
    foreign = put(2, blob(other.bundle.entries[0]))
    yield stub_case("entry-of-another-bundle", "another bundle's entry", "entry.not_in_bundle", _stub(plain, foreign))
    yield stub_case("entry-index", "an index of 256", "limit.exceeded", _stub(plain, put(3, long(256))))
    other = s.main(flush={"instance": s.OTHER_INSTANCE})
    yield stub_case("flush-instance", "in another instance's flush", "flush.mismatch", other.stub("ATF"))
    unordered = s.main(grants=(s.grant("ATF", granted=("personal", "core")), s.grant("RSS")))
    says = "granted in another order than the lane's"
    yield stub_case("entry-grants-order", says, "entry.grants_invalid", unordered.stub("ATF"))
    behind = s.main(flush={"directory_version": 8})
    yield stub_case("directory-ahead", "made under directory 8", "directory.behind", behind.stub("ATF"))


def _stub(forged: Forged, hook: Any) -> bytes:
    return forged.but(hooks={"record_fields": hook}).stub("ATF")


def _case(name: str, says: str, clause: str, expect: str, steps: list[dict[str, Any]], **result: Any) -> Case:
    defaults = {
        "publisher": "JCF",
        "instance": FIRST,
        "prev_instance": bytes(16).hex(),
        "prev_seq": 0,
        "signing_key_id": s.SITE.public.key_id.hex(),
        "flush_time_ms": s.NOW,
    }
    inputs = {"defaults": defaults, "steps": steps}
    return Case(f"sequence/{name}", says, clause, "sequence", expect, inputs, result if expect == "ok" else {})


def _step(numbers: int | list[int], outcome: str, *findings: list[Any], **facts: Any) -> dict[str, Any]:
    """``numbers`` of one stream, one after the other, each with ``outcome``; what the last of them shows."""
    step: dict[str, Any] = {"numbers": [numbers] if isinstance(numbers, int) else numbers, **facts}
    return step | {"outcome": outcome} | ({"findings": list(findings)} if findings else {})


def _gap(instance: str, first: int, last: int, reason: str = "") -> list[Any]:
    return [instance, first, last, reason]


def _sequences() -> Iterator[Case]:
    new, gap, conflict = "new", "gap_opened", "chain_conflict"
    heir = {"instance": SECOND, "prev_instance": FIRST}
    yield _case("in-order", "1, 2, 3", "11.4", "ok", [_step([1, 2, 3], new)], gaps=[])
    yield _case(
        "first-missing",
        "the first that comes is 3",
        "11.4",
        "ok",
        [_step(3, new, [gap, FIRST, 1, 2])],
        gaps=[_gap(FIRST, 1, 2)],
    )
    yield _case(
        "gap-filled",
        "a gap opens, shrinks from within, and closes",
        "11.4",
        "ok",
        [_step(1, new), _step(6, new, [gap, FIRST, 2, 5]), _step([3, 2, 5, 4], "fills_gap")],
        gaps=[],
    )
    yield _case(
        "gap-split",
        "one in the middle of a gap",
        "11.4",
        "ok",
        [_step(1, new), _step(5, new, [gap, FIRST, 2, 4]), _step(3, "fills_gap")],
        gaps=[_gap(FIRST, 2, 2), _gap(FIRST, 4, 4)],
    )
    yield _case("duplicate", "each again", "11.4", "ok", [_step([1, 2], new), _step([1, 2], "duplicate")], gaps=[])
    other = {"head_hash": derive("another head").hex()}
    code = "sequence.equivocation"
    yield _case(
        "two-heads", "2 with another head", "11.4", code, [_step([1, 2], new), _step(2, code, **other)], gaps=[]
    )
    yield _case(
        "two-heads-forgotten",
        "its head is no longer remembered: dropped, not applied twice",
        "11.3",
        "ok",
        [_step(list(range(1, 258)), new), _step(1, "duplicate", **other)],
        gaps=[],
    )
    chain = {"prev_instance": THIRD, "prev_seq": 4}
    yield _case(
        "two-chains", "one instance, two before it", "11.4", code, [_step(1, new), _step(2, code, **chain)], gaps=[]
    )
    both = [_step(1, new, **heir, prev_seq=9) | {"findings": [[gap, FIRST, 8, 9]]}]
    yield _case(
        "tail-withheld",
        "the next instance names a last number that did not come",
        "11.5",
        "ok",
        [_step(list(range(1, 8)), new), *both],
        gaps=[_gap(FIRST, 8, 9)],
    )
    yield _case(
        "tail-of-unknown",
        "the next instance names one that is not known at all",
        "11.5",
        "ok",
        [_step(1, new, [gap, FIRST, 1, 3], **heir, prev_seq=3)],
        gaps=[_gap(FIRST, 1, 3)],
    )
    yield _case(
        "outbox-restored",
        "the next instance names less than has come",
        "11.5",
        "ok",
        [_step([1, 2, 3, 4, 5], new), _step(1, new, [conflict, FIRST, 4, 5], **heir, prev_seq=3)],
        gaps=[],
    )
    yield _case(
        "past-its-end",
        "an instance goes on after another named its end",
        "11.5",
        "ok",
        [_step([1, 2], new), _step(1, new, **heir, prev_seq=2), _step(3, new, [conflict, FIRST, 3, 3])],
        gaps=[],
    )
    third = {"instance": THIRD, "prev_instance": FIRST, "prev_seq": 2}
    yield _case(
        "two-successors",
        "two instances come after the same",
        "11.5",
        "ok",
        [_step([1, 2], new), _step(1, new, **heir, prev_seq=2), _step(1, new, [conflict, THIRD, 1, 1], **third)],
        gaps=[],
    )
    beat = {"heartbeat": True}
    yield _case(
        "heartbeat-shows",
        "a heartbeat names 4; 3 and 4 did not come",
        "11.6",
        "ok",
        [_step([1, 2], new), _step(4, "heartbeat", [gap, FIRST, 3, 4], **beat), _step(4, "fills_gap")],
        gaps=[_gap(FIRST, 3, 3)],
    )
    yield _case(
        "heartbeat-old",
        "a heartbeat below the highest",
        "11.6",
        "ok",
        [_step([1, 2, 3], new), _step(2, "heartbeat", **beat)],
        gaps=[],
    )
    yield _case(
        "explained",
        "the hub explains 2 to 3; the record of 3 comes later all the same",
        "13.2",
        "ok",
        [
            _step(1, new),
            _step(5, new, [gap, FIRST, 2, 4]),
            {"explain": [FIRST, 2, 3, "agreement.none"]},
            _step(3, "fills_gap"),
        ],
        gaps=[_gap(FIRST, 2, 2, "agreement.none"), _gap(FIRST, 4, 4)],
    )
    odd = list(range(2, 2050, 2))
    code = "sequence.gap_limit"
    yield _case(
        "gap-limit", "a 1,025th gap", "11.8", code, [_step(odd, new, [gap, FIRST, 2047, 2047]), _step(2050, code)]
    )
    heir = {"instance": SECOND, "prev_instance": FIRST}
    yield _case(
        "gap-limit-tail",
        "a new instance says that the tail of the one before is missing: its 1,025th gap",
        "11.8",
        code,
        [_step(odd, new, [gap, FIRST, 2047, 2047]), _step(1, code, **heir, prev_seq=2050)],
    )
    code = "sequence.instance_limit"
    many = [_step(1, new, instance=derive("instance", i, size=16).hex()) for i in range(100)]
    yield _case("instance-limit", "a 101st instance of a site on a day", "11.8", code, [*many, _step(1, code)], gaps=[])
    yield _case(
        "instance-limit-next-day",
        "the 101st on the next day",
        "11.8",
        "ok",
        [*many, _step(1, new, flush_time_ms=s.NOW + DAY_MS)],
        gaps=[],
    )
    yield _case(
        "instance-limit-other-site",
        "the 101st of another site",
        "11.8",
        "ok",
        [*many, _step(1, new, signing_key_id=ZERO32.hex())],
        gaps=[],
    )
    yield _case(
        "publishers-apart",
        "the same instance id of two publishers",
        "11.9",
        "ok",
        [_step(1, new), _step(1, new, publisher="HNP")],
        gaps=[],
    )
