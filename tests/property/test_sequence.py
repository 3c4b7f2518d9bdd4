"""Streams against a plain set: what is missing is what did not come, whatever the order (docs/spec 11)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.model import AgencyId
from hub.trust.sequence import Outcome, Stamp, Streams

JCF, ONE = AgencyId("JCF"), b"1" * 16

arrivals = st.lists(
    st.tuples(st.sampled_from(["record", "record", "record", "heartbeat", "explain", "restart"]), st.integers(1, 40)),
    max_size=60,
)


def stamp(seq: int, *, is_heartbeat: bool) -> Stamp:
    return Stamp(JCF, ONE, seq, seq.to_bytes(32, "big"), bytes(16), 0, b"k" * 32, 0, is_heartbeat)


@settings(max_examples=300)
@given(arrivals)
def test_what_is_missing_is_what_did_not_come(arrivals: list[tuple[str, int]]) -> None:
    streams, come, high, explained = Streams(), set[int](), 0, set[int]()
    stored: dict[object, bytes] = {}
    for what, seq in arrivals:
        if what == "restart":
            stored |= streams.changed()
            streams = Streams.from_state(stored.values())
            continue
        if what == "explain":
            streams.explain(JCF, ONE, seq, seq + 2, "agreement.none")
            explained |= {seq, seq + 1, seq + 2}
            continue
        outcome = streams.check(stamp(seq, is_heartbeat=what == "heartbeat"))
        if what == "heartbeat":
            assert outcome is Outcome.HEARTBEAT
        elif seq in come:
            assert outcome is Outcome.DUPLICATE
        else:
            assert outcome is (Outcome.NEW if seq > high else Outcome.FILLS_GAP)
        streams.mark(stamp(seq, is_heartbeat=what == "heartbeat"))
        high = max(high, seq)
        if what == "record":
            come.add(seq)
        missing = set(range(1, high + 1)) - come
        gaps = streams.gaps()
        assert [n for gap in gaps for n in range(gap.first, gap.last + 1)] == sorted(missing)
        assert {n for gap in gaps if gap.reason for n in range(gap.first, gap.last + 1)} == missing & explained
        stream = streams.stream(JCF, ONE)
        assert stream is not None
        assert stream.high == high
