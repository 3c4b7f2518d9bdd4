"""What every inbox holds to: memory and SQLite alike (hub/client/inbox.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.adapters.memory_inbox import InboxMemory, MemoryInbox
from hub.adapters.sqlite_inbox import SqliteInbox
from hub.client.inbox import Inbox, InboxCommit, InboxState, OpenGap, RejectedRecord
from hub.client.store import StoreForeign, StoreInUse
from hub.errors import InvariantError
from hub.model import AgencyId

ATF, JCF, RSS = AgencyId("ATF"), AgencyId("JCF"), AgencyId("RSS")
ONE, TWO = b"\x01" * 16, b"\x02" * 16

Make = Callable[..., Inbox]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes inboxes that all lie in one place, and closes them."""
    memory = InboxMemory(ATF)
    made: list[Inbox] = []

    def build(agency: AgencyId = ATF, **bounds: int) -> Inbox:
        inbox: Inbox
        if request.param == "memory":
            inbox = MemoryInbox(memory, agency=agency, **bounds)
        else:
            inbox = SqliteInbox(tmp_path / "inbox.sqlite", agency=agency, **bounds)
        made.append(inbox)
        return inbox

    yield build
    for inbox in made:
        inbox.close()


@pytest.fixture
def inbox(make: Make) -> Inbox:
    opened = make()
    opened.open()
    return opened


def refused(offset: int, *, event_id: str = "", sink: str = "", code: str = "frame.malformed") -> RejectedRecord:
    return RejectedRecord("deliver.ATF", 0, offset, "JCF", event_id, sink, code, "cut off", 5, b"raw" * 10)


def test_a_new_one_is_empty(inbox: Inbox) -> None:
    assert inbox.load() == InboxState([], {}, []) or inbox.load() == InboxState((), {}, ())
    assert list(inbox.rejected(10)) == []


def test_everything_is_there_after_closing(make: Make, inbox: Inbox) -> None:
    gap = OpenGap(JCF, ONE, 3, 4, 99, reported=True)
    inbox.commit(InboxCommit({(JCF, ONE): b"a"}, {"file": {"bytes": 7, "file": None}}, [refused(1)], [gap]))
    inbox.commit(InboxCommit({(JCF, ONE): b"b", (RSS, ONE): b"c"}, {"table": {"x": [1]}}))
    inbox.close()
    inbox.close()
    again = make()
    again.open()
    state = again.load()
    assert sorted(state.streams) == [b"b", b"c"]
    assert state.sinks == {"file": {"bytes": 7, "file": None}, "table": {"x": [1]}}
    assert list(state.gaps) == [gap]
    assert list(again.rejected(10)) == [refused(1)]


def test_streams_of_one_instance_of_two_publishers_are_two(inbox: Inbox) -> None:
    inbox.commit(InboxCommit({(JCF, ONE): b"a", (RSS, ONE): b"b", (JCF, TWO): b"c"}, {}))
    assert sorted(inbox.load().streams) == [b"a", b"b", b"c"]


def test_gaps_are_replaced_or_left(inbox: Inbox) -> None:
    first = OpenGap(JCF, ONE, 3, 4, 99, reported=False)
    second = OpenGap(JCF, ONE, 3, 3, 99, reported=True)
    inbox.commit(InboxCommit({}, {}, gaps=[first]))
    inbox.commit(InboxCommit({}, {}))
    assert list(inbox.load().gaps) == [first]
    inbox.commit(InboxCommit({}, {}, gaps=[second]))
    assert list(inbox.load().gaps) == [second]
    inbox.commit(InboxCommit({}, {}, gaps=[]))
    assert list(inbox.load().gaps) == []


def test_a_rejected_record_is_kept_once(inbox: Inbox) -> None:
    inbox.commit(InboxCommit({}, {}, [refused(1)]))
    inbox.commit(InboxCommit({}, {}, [refused(1, code="frame.other")]))
    assert list(inbox.rejected(10)) == [refused(1)]


def test_events_and_sinks_of_one_record_are_kept_apart(inbox: Inbox) -> None:
    rows = [refused(1), refused(1, event_id="aa"), refused(1, event_id="aa", sink="file"), refused(2)]
    inbox.commit(InboxCommit({}, {}, rows))
    assert list(inbox.rejected(10)) == rows[::-1]
    assert list(inbox.rejected(2)) == rows[:1:-1]
    assert list(inbox.rejected(2, with_bytes=False)) == [replace(row, raw=b"") for row in rows[:1:-1]]


def test_rows_of_rejected_records_are_bounded(make: Make) -> None:
    inbox = make(rejected_rows=3)
    inbox.open()
    for offset in range(5):
        inbox.commit(InboxCommit({}, {}, [refused(offset)]))
    assert [record.offset for record in inbox.rejected(10)] == [4, 3, 2]


def test_bytes_of_rejected_records_are_bounded(make: Make) -> None:
    inbox = make(rejected_bytes=65)
    inbox.open()
    inbox.commit(InboxCommit({}, {}, [refused(offset) for offset in range(4)]))
    assert [len(record.raw) for record in inbox.rejected(10)] == [30, 30, 0, 0]


def test_what_is_settled_is_rejected_no_longer(inbox: Inbox) -> None:
    rows = [refused(1), refused(1, event_id="aa"), refused(2)]
    inbox.commit(InboxCommit({}, {}, rows))
    inbox.commit(InboxCommit({}, {}, [refused(3)], settled=[rows[1], rows[2], refused(9)]))
    assert list(inbox.rejected(10)) == [refused(3), rows[0]]


def test_one_that_is_settled_may_be_rejected_anew(inbox: Inbox) -> None:
    inbox.commit(InboxCommit({}, {}, [refused(1)]))
    inbox.commit(InboxCommit({}, {}, [refused(1, code="frame.other")], settled=[refused(1)]))
    assert [record.code for record in inbox.rejected(10)] == ["frame.other"]


def test_the_bytes_of_a_record_stay_as_long_as_one_of_its_entries(inbox: Inbox) -> None:
    first, *others = rows = [
        refused(1, event_id="aa"),
        *(replace(refused(1, event_id=e), raw=b"") for e in ("bb", "cc")),
    ]
    inbox.commit(InboxCommit({}, {}, [*rows, replace(refused(2), raw=b"")]))
    assert [inbox.kept_bytes(row) for row in rows] == [first.raw] * 3
    inbox.commit(InboxCommit({}, {}, settled=[others[0]]))
    assert [record.raw for record in inbox.rejected(10)] == [b"", b"", first.raw]
    inbox.commit(InboxCommit({}, {}, settled=[first]))
    assert inbox.kept_bytes(others[1]) == first.raw
    assert [record.raw for record in inbox.rejected(10)] == [b"", first.raw]
    inbox.commit(InboxCommit({}, {}, settled=[others[1]]))
    assert inbox.kept_bytes(first) == b""


def test_the_bytes_are_not_kept_twice(inbox: Inbox) -> None:
    rows = [refused(1, event_id=event_id, sink="file") for event_id in ("aa", "bb")]
    inbox.commit(InboxCommit({}, {}, [*rows, replace(refused(1), raw=b"")]))
    inbox.commit(InboxCommit({}, {}, settled=[rows[0]]))
    assert [record.raw for record in inbox.rejected(10)] == [b"", rows[1].raw]


def test_ids_tell_place_event_and_sink_apart() -> None:
    rows = [
        refused(1),
        refused(2),
        refused(1, event_id="aa"),
        refused(1, event_id="aa", sink="x"),
        refused(1, sink="x"),
    ]
    assert len({row.id for row in rows}) == 5
    assert refused(1, code="other").id == refused(1).id


def test_two_owners_are_caught(make: Make, inbox: Inbox) -> None:
    with pytest.raises(StoreInUse):
        make().open()
    inbox.close()
    make().open()


def test_the_inbox_of_another_agency_is_refused(make: Make, inbox: Inbox) -> None:
    inbox.close()
    with pytest.raises(StoreForeign):
        make(RSS).open()


def test_nothing_works_before_opening(make: Make) -> None:
    with pytest.raises(InvariantError):
        make().load()
