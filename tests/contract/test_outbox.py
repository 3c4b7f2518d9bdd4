"""What every outbox holds to: memory and SQLite alike (hub/client/outbox.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hub.adapters.memory_outbox import MemoryOutbox, OutboxMemory
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.client.outbox import Depth, NewRecord, Outbox, OutboxCommit, SourceKey, digest
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
