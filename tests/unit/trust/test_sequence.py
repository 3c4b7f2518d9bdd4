"""hub/trust/sequence.py: docs/spec 11. Numbers, gaps, chains of instances, heartbeats, explanations, limits."""

from dataclasses import replace

import pytest

from hub.model import AgencyId
from hub.trust.sequence import (
    Finding,
    FindingKind,
    Gap,
    GapLimitExceeded,
    InstanceLimitExceeded,
    Outcome,
    SequenceEquivocation,
    Stamp,
    Streams,
)
from hub.wire import limits
from hub.wire.avro import FrameMalformed

JCF, ATF = AgencyId("JCF"), AgencyId("ATF")
DAY = 86_400_000
ONE, TWO, THREE = (bytes([n]) * 16 for n in (1, 2, 3))


def stamp(
    seq: int, *, instance: bytes = ONE, head: bytes | None = None, prev: tuple[bytes, int] = (bytes(16), 0)
) -> Stamp:
    head = instance[:1] + seq.to_bytes(31, "big") if head is None else head
    return Stamp(JCF, instance, seq, head, prev[0], prev[1], b"k" * 32, 20_000 * DAY)


def beat(seq: int, *, instance: bytes = ONE, prev: tuple[bytes, int] = (bytes(16), 0)) -> Stamp:
    return replace(stamp(seq, instance=instance, prev=prev, head=b"h" * 32), is_heartbeat=True)


def take(streams: Streams, *stamps: Stamp) -> list[Outcome]:
    outcomes = []
    for each in stamps:
        outcomes.append(streams.check(each))
        streams.mark(each)
    return outcomes


def opened(first: int, last: int, instance: bytes = ONE) -> Finding:
    return Finding(FindingKind.GAP_OPENED, Gap(JCF, instance, first, last))


def conflict(first: int, last: int, instance: bytes) -> Finding:
    return Finding(FindingKind.CHAIN_CONFLICT, Gap(JCF, instance, first, last))


def test_in_order_nothing_is_missing() -> None:
    streams = Streams()
    assert take(streams, *[stamp(n) for n in range(1, 6)]) == [Outcome.NEW] * 5
    assert streams.gaps() == ()
    stream = streams.stream(JCF, ONE)
    assert stream is not None
    assert (stream.high, stream.missing) == (5, [])


def test_a_gap_opens_shrinks_and_closes() -> None:
    streams = Streams()
    streams.mark(stamp(1))
    assert streams.mark(stamp(6)) == (opened(2, 5),)
    assert streams.gaps() == (Gap(JCF, ONE, 2, 5),)
    assert streams.check(stamp(4)) is Outcome.FILLS_GAP
    assert streams.mark(stamp(4)) == ()
    assert streams.gaps() == (Gap(JCF, ONE, 2, 3), Gap(JCF, ONE, 5, 5))
    stream = streams.stream(JCF, ONE)
    assert stream is not None
    assert stream.missing == [(2, 3), (5, 5)]
    assert take(streams, stamp(2), stamp(5), stamp(3)) == [Outcome.FILLS_GAP] * 3
    assert streams.gaps() == ()
    assert (stream.high, stream.missing) == (6, [])
    assert Gap(JCF, ONE, 2, 5).count == 4


def test_a_stream_that_begins_late_misses_its_beginning() -> None:
    streams = Streams()
    assert streams.mark(stamp(3)) == (opened(1, 2),)


def test_a_duplicate_is_one() -> None:
    streams = Streams()
    take(streams, stamp(1), stamp(2), stamp(4))
    assert take(streams, stamp(1), stamp(2), stamp(4)) == [Outcome.DUPLICATE] * 3
    assert streams.gaps() == (Gap(JCF, ONE, 3, 3),)


def test_the_same_number_with_another_head_is_equivocation() -> None:
    streams = Streams()
    take(streams, stamp(1), stamp(2))
    with pytest.raises(SequenceEquivocation):
        streams.check(stamp(2, head=b"x" * 32))
    assert streams.check(stamp(2)) is Outcome.DUPLICATE


def test_heads_are_remembered_for_the_last_256() -> None:
    streams = Streams()
    take(streams, *[stamp(n) for n in range(1, 300)])
    with pytest.raises(SequenceEquivocation):
        streams.check(stamp(44, head=b"x" * 32))
    assert streams.check(stamp(43, head=b"x" * 32)) is Outcome.DUPLICATE


def test_an_instance_names_one_previous() -> None:
    streams = Streams()
    take(streams, stamp(1, instance=TWO, prev=(ONE, 3)))
    for prev in ((ONE, 4), (THREE, 3), (bytes(16), 0)):
        with pytest.raises(SequenceEquivocation):
            streams.check(stamp(2, instance=TWO, prev=prev))
        with pytest.raises(SequenceEquivocation):
            streams.check(beat(2, instance=TWO, prev=prev))


def test_a_withheld_tail_shows_with_the_next_instance() -> None:
    streams = Streams()
    take(streams, stamp(1), stamp(2))
    assert streams.mark(stamp(1, instance=TWO, prev=(ONE, 5))) == (opened(3, 5),)
    assert take(streams, stamp(4)) == [Outcome.FILLS_GAP]
    assert streams.gaps() == (Gap(JCF, ONE, 3, 3), Gap(JCF, ONE, 5, 5))


def test_a_whole_instance_withheld_shows_too() -> None:
    streams = Streams()
    assert streams.mark(beat(0, instance=TWO, prev=(ONE, 2))) == (opened(1, 2),)
    assert take(streams, stamp(1), stamp(2)) == [Outcome.FILLS_GAP] * 2
    assert streams.gaps() == ()


def test_going_past_the_end_that_the_next_instance_names_is_a_conflict() -> None:
    streams = Streams()
    take(streams, *[stamp(n) for n in range(1, 6)])
    assert streams.mark(stamp(1, instance=TWO, prev=(ONE, 3))) == (conflict(4, 5, ONE),)
    assert streams.check(stamp(6)) is Outcome.NEW
    assert streams.mark(stamp(6)) == (conflict(4, 6, ONE),)


def test_two_instances_after_one_are_a_conflict() -> None:
    streams = Streams()
    take(streams, stamp(1), stamp(1, instance=TWO, prev=(ONE, 1)))
    assert streams.mark(stamp(1, instance=THREE, prev=(ONE, 1))) == (conflict(1, 1, THREE),)


def test_an_instance_that_only_beat_is_no_conflict() -> None:
    streams = Streams()
    take(streams, stamp(1), beat(0, instance=TWO, prev=(ONE, 1)))
    assert streams.mark(stamp(1, instance=THREE, prev=(ONE, 1))) == ()
    assert streams.mark(stamp(2, instance=THREE, prev=(ONE, 1))) == ()


def test_a_heartbeat_shows_a_withheld_tail() -> None:
    streams = Streams()
    take(streams, stamp(1))
    assert take(streams, beat(1)) == [Outcome.HEARTBEAT]
    assert streams.gaps() == ()
    assert streams.check(beat(4)) is Outcome.HEARTBEAT
    assert streams.mark(beat(4)) == (opened(2, 4),)
    assert streams.mark(beat(6)) == (opened(5, 6),)
    assert streams.gaps() == (Gap(JCF, ONE, 2, 6),)
    assert streams.mark(beat(3)) == ()  # late: nothing new
    assert streams.gaps() == (Gap(JCF, ONE, 2, 6),)
    assert take(streams, stamp(4)) == [Outcome.FILLS_GAP]
    assert take(streams, stamp(7)) == [Outcome.NEW]


def test_a_heartbeats_head_is_not_its_numbers() -> None:
    streams = Streams()
    assert take(streams, stamp(1), beat(1), stamp(1)) == [Outcome.NEW, Outcome.HEARTBEAT, Outcome.DUPLICATE]


def test_an_explained_gap_stays_open_to_a_later_delivery() -> None:
    streams = Streams()
    take(streams, stamp(1), stamp(10))
    streams.explain(JCF, ONE, 3, 4, "agreement.none")
    streams.explain(JCF, ONE, 6, 20, "subscription.type")
    assert streams.gaps() == (
        Gap(JCF, ONE, 2, 2),
        Gap(JCF, ONE, 3, 4, "agreement.none"),
        Gap(JCF, ONE, 5, 5),
        Gap(JCF, ONE, 6, 9, "subscription.type"),
    )
    assert take(streams, stamp(3)) == [Outcome.FILLS_GAP]
    assert Gap(JCF, ONE, 4, 4, "agreement.none") in streams.gaps()
    streams.mark(stamp(22))  # what was said before it was seen to be missing counts
    assert streams.gaps()[-2:] == (Gap(JCF, ONE, 11, 20, "subscription.type"), Gap(JCF, ONE, 21, 21))


def test_what_is_explained_anew_replaces_what_was_said() -> None:
    streams = Streams()
    streams.explain(JCF, ONE, 1, 9, "a")
    streams.explain(JCF, ONE, 4, 6, "b")
    streams.explain(JCF, ONE, 10, 12, "a")
    stream = streams.stream(JCF, ONE)
    assert stream is not None
    assert stream.explained == [(1, 3, "a"), (4, 6, "b"), (7, 12, "a")]
    streams.mark(stamp(13))
    assert [gap.reason for gap in streams.gaps()] == ["a", "b", "a"]
    streams.explain(JCF, ONE, 1, 12, "c")
    assert streams.gaps() == (Gap(JCF, ONE, 1, 12, "c"),)
    for first, last, reason in ((0, 1, "a"), (3, 2, "a"), (1, 2, ""), (1, 2, "x" * 65), (1, 2**53, "a")):
        with pytest.raises(ValueError, match="range"):
            streams.explain(JCF, ONE, first, last, reason)


def test_numbers_and_reasons_to_their_limits() -> None:
    streams = Streams()
    streams.explain(JCF, ONE, 1, limits.SEQUENCE, "x" * limits.REASON)
    streams.mark(beat(limits.SEQUENCE))
    assert streams.gaps() == (Gap(JCF, ONE, 1, limits.SEQUENCE, "x" * limits.REASON),)
    assert take(streams, stamp(1), stamp(limits.SEQUENCE)) == [Outcome.FILLS_GAP] * 2
    assert Streams.from_state(streams.changed().values()).gaps() == streams.gaps()


def test_streams_of_publishers_and_instances_are_apart() -> None:
    streams = Streams()
    take(streams, stamp(1), replace(stamp(1), publisher=ATF))
    assert len(streams) == len(list(streams)) == 2
    assert take(streams, stamp(2), replace(stamp(2), publisher=ATF)) == [Outcome.NEW] * 2


def test_gaps_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.GAP_RANGES", 3)
    streams = Streams()
    take(streams, stamp(5), stamp(7), stamp(9))
    with pytest.raises(GapLimitExceeded):
        streams.check(stamp(11))
    with pytest.raises(GapLimitExceeded):
        streams.check(beat(11))
    with pytest.raises(GapLimitExceeded):
        streams.check(stamp(3))  # in the middle of 1 to 4: one more range
    assert streams.check(stamp(4)) is Outcome.FILLS_GAP  # at its end: none more
    assert [streams.check(beat(seq)) for seq in (8, 9)] == [Outcome.HEARTBEAT] * 2  # nothing new is missing
    assert take(streams, stamp(10), stamp(1)) == [Outcome.NEW, Outcome.FILLS_GAP]
    streams.explain(JCF, ONE, 1, 1, "a")
    streams.explain(JCF, ONE, 3, 3, "a")
    with pytest.raises(GapLimitExceeded):
        streams.explain(JCF, ONE, 5, 5, "a")


def test_a_missing_tail_is_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.GAP_RANGES", 3)
    streams = Streams()
    take(streams, stamp(5), stamp(7), stamp(9))
    for first in (stamp, beat):
        with pytest.raises(GapLimitExceeded):
            streams.check(first(1, instance=TWO, prev=(ONE, 10)))
    assert take(streams, stamp(1, instance=TWO, prev=(ONE, 9))) == [Outcome.NEW]
    # the state that is stored can be read again, whatever came
    Streams.from_state(streams.changed().values())


def test_a_missing_tail_that_lengthens_the_last_gap_opens_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.GAP_RANGES", 3)
    streams = Streams()
    take(streams, stamp(5), stamp(7), beat(9), stamp(1, instance=THREE))
    assert take(streams, stamp(1, instance=TWO, prev=(ONE, 12))) == [Outcome.NEW]
    assert streams.gaps()[-1] == Gap(JCF, ONE, 8, 12)


def test_instances_of_a_site_a_day_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.INSTANCES_A_DAY", 2)
    streams = Streams()
    take(streams, stamp(1), stamp(1, instance=TWO))
    third = stamp(1, instance=THREE)
    with pytest.raises(InstanceLimitExceeded):
        streams.check(third)
    with pytest.raises(InstanceLimitExceeded):
        Streams.from_state(streams.changed().values()).check(third)
    assert take(streams, stamp(2)) == [Outcome.NEW]
    assert streams.check(replace(third, signing_key_id=b"o" * 32)) is Outcome.NEW
    assert streams.check(replace(third, publisher=ATF)) is Outcome.NEW
    assert streams.check(replace(third, flush_time_ms=third.flush_time_ms + DAY)) is Outcome.NEW


def test_the_first_day_of_all_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.INSTANCES_A_DAY", 1)
    streams = Streams()
    take(streams, replace(stamp(1), flush_time_ms=0))
    with pytest.raises(InstanceLimitExceeded):
        Streams.from_state(streams.changed().values()).check(replace(stamp(1, instance=TWO), flush_time_ms=0))


def test_streams_of_a_publisher_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.STREAMS_A_PUBLISHER", 2)
    streams = Streams()
    take(streams, stamp(1), stamp(1, instance=TWO))
    with pytest.raises(InstanceLimitExceeded):
        streams.check(stamp(1, instance=THREE))
    with pytest.raises(InstanceLimitExceeded):
        streams.explain(JCF, THREE, 1, 1, "a")
    assert streams.check(replace(stamp(1), publisher=ATF)) is Outcome.NEW


def test_an_instance_that_was_heard_of_is_no_further_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.STREAMS_A_PUBLISHER", 2)
    streams = Streams()
    take(streams, stamp(1))
    streams.explain(JCF, TWO, 1, 1, "a")
    assert take(streams, stamp(2, instance=TWO)) == [Outcome.NEW]


def test_what_changed_is_stored_and_comes_back_the_same() -> None:
    streams = Streams()
    take(streams, stamp(1, instance=TWO, prev=(ONE, 3)), stamp(5, instance=TWO, prev=(ONE, 3)))
    streams.explain(JCF, TWO, 2, 3, "agreement.none")
    rows = streams.changed()
    assert set(rows) == {(JCF, ONE), (JCF, TWO)}
    streams.settle()
    assert streams.changed() == {}
    again = Streams.from_state(rows.values())
    assert sorted(again, key=lambda s: s.key) == sorted(streams, key=lambda s: s.key)
    assert again.gaps() == streams.gaps()
    assert again.check(stamp(5, instance=TWO, prev=(ONE, 3))) is Outcome.DUPLICATE
    with pytest.raises(SequenceEquivocation):
        again.check(stamp(5, instance=TWO, prev=(ONE, 3), head=b"x" * 32))
    streams.mark(stamp(6, instance=TWO, prev=(ONE, 3)))
    assert set(streams.changed()) == {(JCF, TWO)}


def test_what_changes_a_stored_stream_is_stored_again() -> None:
    streams = Streams()
    take(streams, stamp(1))
    streams.settle()
    streams.explain(JCF, ONE, 2, 2, "a")
    assert set(streams.changed()) == {(JCF, ONE)}
    streams.settle()
    streams.mark(beat(0, instance=TWO, prev=(ONE, 1)))  # names the last number of ONE
    assert set(streams.changed()) == {(JCF, ONE), (JCF, TWO)}
    streams.settle()
    streams.mark(stamp(1, instance=TWO, prev=(ONE, 1)))  # is now what comes after ONE
    assert set(streams.changed()) == {(JCF, ONE), (JCF, TWO)}
    again = Streams.from_state(streams.changed().values())
    assert again.mark(stamp(1, instance=THREE, prev=(ONE, 1))) == (conflict(1, 1, THREE),)


def test_first_instances_come_after_none() -> None:
    streams = Streams()
    streams.explain(JCF, bytes(16), 1, 1, "a")
    for instance in (ONE, TWO):
        assert streams.mark(stamp(1, instance=instance)) == ()


def test_a_stream_goes_on_without_the_row_of_the_one_before() -> None:
    streams = Streams()
    take(streams, stamp(1, instance=TWO, prev=(ONE, 3)))
    again = Streams.from_state([streams.changed()[JCF, TWO]])
    assert take(again, stamp(2, instance=TWO, prev=(ONE, 3))) == [Outcome.NEW]


def test_a_damaged_row_is_refused() -> None:
    streams = Streams()
    take(streams, stamp(1))
    (row,) = streams.changed().values()
    for bad in (row[:-1], row + b"\0"):
        with pytest.raises(FrameMalformed):
            Streams.from_state([bad])


def test_check_changes_nothing() -> None:
    streams = Streams()
    take(streams, stamp(1))
    streams.settle()
    for each in (stamp(2), stamp(9), beat(9), stamp(1), stamp(1, instance=TWO, prev=(ONE, 1))):
        streams.check(each)
    assert (len(streams), streams.changed(), streams.gaps()) == (1, {}, ())
