"""``Streams`` of two instances in any order, and the hub's reasons, against models that remember everything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.model import AgencyId
from hub.trust.sequence import FindingKind, Stamp, Streams

JCF = AgencyId("JCF")
FIRST, SECOND = bytes([1]) * 16, bytes([2]) * 16
KEY = bytes([9]) * 32


def stamp(instance: bytes, number: int, *, last_of_first: int = 0) -> Stamp:
    """A record of ``instance``; ``last_of_first`` is what SECOND names as the last number before it."""
    return Stamp(
        publisher=JCF,
        instance=instance,
        seq=number,
        head_hash=instance + number.to_bytes(16, "big"),
        prev_instance=FIRST if last_of_first else bytes(16),
        prev_seq=last_of_first,
        signing_key_id=KEY,
        flush_time_ms=1_796_000_000_000,
    )


def missing(streams: Streams, instance: bytes) -> set[int]:
    return {n for gap in streams.gaps() if gap.instance == instance for n in range(gap.first, gap.last + 1)}


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(1, 12)), st.integers(1, 12), st.permutations(range(14)), st.integers(0, 5))
def test_a_withheld_tail_shows_in_whatever_order(taken: set[int], last: int, order: list[int], more: int) -> None:
    """An honest publisher's records, some withheld, of two instances in any order: what misses is what was withheld."""
    of_first = [stamp(FIRST, n) for n in sorted(taken) if n <= last]
    of_second = [stamp(SECOND, n, last_of_first=last) for n in range(1, more + 2)]
    records = [*of_first, *of_second]
    streams = Streams()
    for place in [p for p in order if p < len(records)] + list(range(14, len(records))):
        streams.check(records[place])
        findings = streams.mark(records[place])
        assert all(f.kind is FindingKind.GAP_OPENED for f in findings)
    assert missing(streams, FIRST) == set(range(1, last + 1)) - taken
    assert missing(streams, SECOND) == set()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 8), st.sampled_from(["agreement.none", "filter"])), max_size=20
    )
)
def test_explanations_never_close_a_gap(ranges: list[tuple[int, int, str]]) -> None:
    """The latest reason of a number is the one that stands; every missing number is still reported once."""
    streams, why = Streams(), dict[int, str]()
    streams.mark(stamp(FIRST, 25))
    for first, length, reason in ranges:
        streams.explain(JCF, FIRST, first, first + length, reason)
        why |= dict.fromkeys(range(first, first + length + 1), reason)
    told = [(n, gap.reason) for gap in streams.gaps() for n in range(gap.first, gap.last + 1)]
    assert told == [(n, why.get(n, "")) for n in range(1, 25)]
    again = Streams.from_state(streams.changed().values())
    assert again.gaps() == streams.gaps()
