"""What every outbox holds to: memory and SQLite alike (hub/client/outbox.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hub.adapters.memory_outbox import MemoryOutbox, OutboxMemory
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.client.outbox import (
    Depth,
    LateRefusal,
    NewRecord,
    Outbox,
    OutboxCommit,
    SourceKey,
    WaitingEvent,
    digest,
)
from hub.client.store import StoreForeign, StoreFull, StoreInUse
from hub.errors import InvariantError
from hub.model import AgencyId, EventId

JCF, ATF, RSS = AgencyId("JCF"), AgencyId("ATF"), AgencyId("RSS")
ONE, TWO = b"\x01" * 16, b"\x02" * 16
ROOM = 400_000

Make = Callable[..., Outbox]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes outboxes that all lie in one place, and closes them."""
    memory = OutboxMemory(JCF)
    made: list[Outbox] = []

    def build(agency: AgencyId = JCF, *, room: int | None = None) -> Outbox:
        outbox: Outbox
        if request.param == "memory":
            outbox = MemoryOutbox(memory, agency=agency, max_bytes=room)
        else:
            outbox = SqliteOutbox(tmp_path / "state" / "outbox.sqlite", agency=agency, max_file_bytes=room)
        made.append(outbox)
        return outbox

    yield build
    for outbox in made:
        outbox.close()


@pytest.fixture
def outbox(make: Make) -> Outbox:
    opened = make()
    opened.open()
    return opened


def record(text: str, *, events: int = 1) -> NewRecord:
    return NewRecord(ONE, text.encode(), events, "trace.request")


def key(text: str, content: str = "a", *, at: int = 5) -> SourceKey:
    return SourceKey(
        digest(b"s" * 16, text.encode()),
        content.encode() * 16,
        EventId(text.encode() * 16),
        at,
        b"c" * 16,
        "TLP:AMBER H1",
        (ATF, RSS),
    )


def flush(
    *records: NewRecord,
    sequences: dict[AgencyId, int] | None = None,
    keys: Sequence[SourceKey] = (),
    instance: bytes = ONE,
    at: int = 7,
) -> OutboxCommit:
    return OutboxCommit(instance, records, sequences or {}, keys, at)


def values(outbox: Outbox, *, max_records: int = 100, max_bytes: int = 10**6) -> list[bytes]:
    return [stored.value for stored in outbox.read(max_records=max_records, max_bytes=max_bytes)]


def test_a_new_one_is_empty(outbox: Outbox) -> None:
    assert outbox.depth() == Depth(0, 0, 0, None)
    assert values(outbox) == []
    assert outbox.sequences() == {}
    assert len(outbox.salt()) == 16


def test_records_come_back_in_the_order_of_storing(outbox: Outbox) -> None:
    outbox.commit(flush(record("a"), record("b")))
    outbox.commit(flush(record("c", events=0), at=9))
    stored = outbox.read(max_records=10, max_bytes=1000)
    assert [(s.key, s.value, s.events, s.event_type, s.stored_at_ms) for s in stored] == [
        (ONE, b"a", 1, "trace.request", 7),
        (ONE, b"b", 1, "trace.request", 7),
        (ONE, b"c", 0, "trace.request", 9),
    ]
    assert outbox.depth() == Depth(3, 2, 3, 7)


def test_reading_takes_nothing_away(outbox: Outbox) -> None:
    outbox.commit(flush(record("a")))
    assert values(outbox) == values(outbox) == [b"a"]


@pytest.mark.parametrize(
    ("max_records", "max_bytes", "wanted"),
    [(2, 100, [b"aaa", b"bbb"]), (9, 6, [b"aaa", b"bbb"]), (9, 5, [b"aaa"]), (9, 1, [b"aaa"])],
)
def test_reading_is_bounded_but_never_stuck(
    outbox: Outbox, max_records: int, max_bytes: int, wanted: list[bytes]
) -> None:
    outbox.commit(flush(record("aaa"), record("bbb"), record("ccc")))
    assert values(outbox, max_records=max_records, max_bytes=max_bytes) == wanted


def test_an_acknowledgement_deletes_up_to_its_position(outbox: Outbox) -> None:
    outbox.commit(flush(record("a"), record("b"), record("c")))
    second = outbox.read(max_records=2, max_bytes=100)[-1]
    outbox.acknowledge(second.position)
    assert values(outbox) == [b"c"]
    assert outbox.depth() == Depth(1, 1, 1, 7)


def test_a_late_acknowledgement_never_deletes_a_newer_record(make: Make, outbox: Outbox) -> None:
    outbox.commit(flush(record("a")))
    late = outbox.read(max_records=1, max_bytes=100)[0].position
    outbox.acknowledge(late)
    outbox.close()
    again = make()
    again.open()
    again.commit(flush(record("b")))
    again.acknowledge(late)
    assert values(again) == [b"b"]


def test_sequences_keep_the_last_instance_of_each_recipient(outbox: Outbox) -> None:
    outbox.commit(flush(record("a"), sequences={ATF: 1, RSS: 1}))
    outbox.commit(flush(record("b"), sequences={ATF: 4}, instance=TWO))
    assert outbox.sequences() == {ATF: (TWO, 4), RSS: (ONE, 1)}


def test_keys_are_found_and_replaced(outbox: Outbox) -> None:
    first, second = key("k"), key("k", "b")
    outbox.commit(flush(record("a"), keys=[first, key("other")]))
    assert outbox.find_keys([first.key, b"unknown" * 2]) == {first.key: first}
    outbox.commit(flush(record("b"), keys=[second]))
    assert outbox.find_keys([first.key]) == {first.key: second}


def test_more_keys_than_one_statement_takes_are_found(outbox: Outbox) -> None:
    keys = [key(str(number)) for number in range(1200)]
    outbox.commit(flush(record("a"), keys=keys))
    assert len(outbox.find_keys([entry.key for entry in keys])) == 1200


def test_old_keys_are_forgotten(outbox: Outbox) -> None:
    old, new = key("old", at=5), key("new", at=6)
    outbox.commit(flush(record("a"), keys=[old, new]))
    assert outbox.forget_keys(6) == 1
    assert list(outbox.find_keys([old.key, new.key])) == [new.key]


def waiting(text: str, key: bytes | None = None, *, content: str = "a") -> WaitingEvent:
    event_id = EventId(text.encode().ljust(16, b"."))
    return WaitingEvent(event_id, 5, "trace.request", "TLP:AMBER", key, content.encode() * 16, text.encode())


def waits(outbox: Outbox, **bounds: int) -> list[bytes]:
    return [one.value for one in outbox.read_waiting(**({"max_events": 100, "max_bytes": 10**6} | bounds))]


def test_events_that_wait_keep_their_order_and_leave_with_what_is_sealed(make: Make, outbox: Outbox) -> None:
    outbox.commit(replace(flush(), waiting=[waiting("one"), waiting("two")]))
    outbox.commit(replace(flush(at=9), waiting=[waiting("three")]))
    assert waits(outbox) == [b"one", b"two", b"three"]
    assert waits(outbox, max_events=2) == waits(outbox, max_bytes=6) == [b"one", b"two"]
    assert waits(outbox, max_bytes=1) == [b"one"], "bounded, but never stuck"
    assert outbox.depth() == Depth(0, 0, 0, None, 3, 11, 7)
    second = outbox.read_waiting(max_events=2, max_bytes=100)[-1].position
    outbox.commit(replace(flush(record("sealed")), sealed_through=second))
    assert (waits(outbox), values(outbox)) == ([b"three"], [b"sealed"])
    outbox.close()
    again = make()
    again.open()
    assert waits(again) == [b"three"]
    assert again.depth() == Depth(1, 1, 6, 7, 1, 5, 9)


def test_of_the_events_that_wait_under_a_key_the_last_is_found(outbox: Outbox) -> None:
    one = key("k").key
    events = [waiting("first", one), waiting("second", one, content="b"), waiting("bare")]
    outbox.commit(replace(flush(), waiting=events))
    found = outbox.find_waiting([one, key("other").key])
    assert {k: (w.event_id, w.content, w.value) for k, w in found.items()} == {
        one: (events[1].event_id, b"b" * 16, b"")
    }


def test_what_is_not_stored_takes_nothing_out_of_the_queue(make: Make) -> None:
    outbox = make(room=ROOM)
    outbox.open()
    outbox.commit(replace(flush(), waiting=[waiting("one")]))
    with pytest.raises(StoreFull):
        outbox.commit(replace(flush(record("x" * (ROOM + 1))), sealed_through=99, refused=[refusal("one")]))
    assert waits(outbox) == [b"one"]
    assert not outbox.refused(10)


def refusal(text: str) -> LateRefusal:
    return LateRefusal(EventId(text.encode() * 4), "trace.request", f"row {text}", "release.nobody", "why", 5)


def test_late_refusals_are_kept_once_each_newest_first(outbox: Outbox) -> None:
    outbox.commit(replace(flush(), refused=[refusal("1"), refusal("2")]))
    outbox.commit(replace(flush(), refused=[refusal("2"), refusal("3")]))
    assert list(outbox.refused(2)) == [refusal("3"), refusal("2")]


def test_everything_is_there_after_closing(make: Make, outbox: Outbox) -> None:
    outbox.commit(flush(record("a"), sequences={ATF: 1}, keys=[key("k")]))
    salt = outbox.salt()
    outbox.close()
    outbox.close()
    again = make()
    again.open()
    assert values(again) == [b"a"]
    assert again.depth() == Depth(1, 1, 1, 7)
    assert again.sequences() == {ATF: (ONE, 1)}
    assert again.find_keys([key("k").key]) == {key("k").key: key("k")}
    assert again.salt() == salt


def test_a_full_one_stores_nothing_of_the_flush_and_recovers(make: Make) -> None:
    outbox = make(room=ROOM)
    outbox.open()
    outbox.commit(flush(record("a"), sequences={ATF: 1}))
    big = NewRecord(ONE, b"x" * ROOM, 1, "trace.request")
    with pytest.raises(StoreFull):
        outbox.commit(flush(record("b"), big, sequences={ATF: 3}, keys=[key("k")]))
    assert values(outbox) == [b"a"]
    assert outbox.depth() == Depth(1, 1, 1, 7)
    assert outbox.sequences() == {ATF: (ONE, 1)}
    assert outbox.find_keys([key("k").key]) == {}
    outbox.commit(flush(record("c"), sequences={ATF: 2}))
    assert values(outbox) == [b"a", b"c"]


def test_two_owners_are_caught(make: Make, outbox: Outbox) -> None:
    with pytest.raises(StoreInUse):
        make().open()
    outbox.commit(flush(record("a")))
    outbox.close()
    make().open()


def test_the_outbox_of_another_agency_is_refused(make: Make, outbox: Outbox) -> None:
    outbox.close()
    with pytest.raises(StoreForeign) as caught:
        make(RSS).open()
    assert caught.value.details["wanted"] == RSS
    make().open()


def test_nothing_works_before_opening(make: Make) -> None:
    with pytest.raises(InvariantError):
        make().depth()
