"""Without a valid directory events are taken and wait; with one they are decided, sealed and sent, in their order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hub.adapters.sqlite_outbox import SqliteOutbox, read_refused
from hub.client.limits import PublisherLimits
from hub.client.outbox import OutboxCommit
from hub.client.published import EventExpired, OutboxFull, Published
from hub.client.store import StoreFull
from hub.errors import InvariantError, RejectedError
from hub.model import AgencyId, EventRef, parse_handling
from hub.policy.handling import HandlingLoosened
from hub.trust.directory import Directory, DirectoryExpired
from hub.trust.seal import Group, SealedFlush, Sealer
from hub.wire.avro import LimitExceeded
from tests.support.sites import ATF, CCGIU, JCF, QUICK, ListSink, Net, trace, until

LIMITS = replace(QUICK, held_look=0.02, drain=0.0)
SERIAL = b"AB000001"
"""What trace(1) says in its body."""


@pytest.fixture
def net() -> Net:
    return Net()


def expire(net: Net) -> Directory:
    """No valid directory from now on; gives the one that there was."""
    good = net.directory.given
    assert isinstance(good, Directory)
    net.directory.given = DirectoryExpired("nobody signed a newer one")
    return good


def body_bytes(number: int) -> bytes:
    return str(trace(number).body["firearm"]["serial_raw"]).encode()


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir() if file.is_file()]


async def received(net: Net, agency: AgencyId = ATF) -> ListSink:
    sink = ListSink()
    await net.route()
    await net.receive(sink, agency=agency)
    return sink


async def publish_waiting(net: Net, *numbers: int, **settings: Any) -> list[Published]:
    """Published, and still waiting when the publisher has stopped."""
    good = expire(net)
    async with net.publisher(limits=LIMITS, **settings) as publisher:
        answers = [await publisher.publish(trace(number), key=f"row {number}") for number in numbers]
    net.directory.given = good
    return answers


async def seal_all(net: Net, **settings: Any) -> None:
    async with asyncio.timeout(30), net.publisher(limits=LIMITS, **settings) as publisher:
        await publisher.drain()


async def test_publishing_waits_and_resumes_in_order(net: Net) -> None:
    good = expire(net)
    async with net.publisher(limits=LIMITS) as publisher:
        with capture_logs() as logs:
            answers = [await publisher.publish(trace(number)) for number in range(5)]
            assert all(answer.waiting and answer.recipients == () for answer in answers)
            assert publisher.progress().held_code == "directory.expired"
            assert publisher.progress().depth.waiting == 5
            assert net.observer.gauges["cgi_outbox_waiting_events", ()] == 5
            assert not net.sent()
            net.directory.given = good
            answers += [await publisher.publish(trace(number)) for number in range(5, 8)]
            await publisher.drain()
        assert publisher.progress().held_code is None
    words = [log["event"] for log in logs]
    assert words.count("publish.waiting") == 1
    assert words.count("publish.resumed") == 1
    assert (await received(net)).ids == [answer.event_id for answer in answers], "the oldest first, with their ids"
    assert net.observer.total("cgi_events_total", outcome="published") == 8
    assert net.observer.gauges["cgi_outbox_waiting_events", ()] == 0


async def test_what_was_sealed_before_goes_on_being_sent(net: Net) -> None:
    net.broker.go_away()
    async with net.publisher(limits=LIMITS) as publisher:
        await publisher.publish(trace(1))
        expire(net)
        assert (await publisher.publish(trace(2))).waiting
        net.broker.come_back()
        await until(lambda: net.sent())
        assert publisher.progress().depth.records == 0
        assert publisher.progress().depth.waiting == 1


class ExpiresOnceAsked:
    """Gives a directory that is valid when it is asked for, and expires before it is used."""

    def __init__(self, net: Net, directory: Directory) -> None:
        self._net = net
        self._directory = replace(directory, expires_at_ms=net.clock.now_ms() + 60_000)

    def current(self) -> Directory:
        if self._net.clock.now_ms() >= self._directory.expires_at_ms:
            raise DirectoryExpired("nobody signed a newer one")
        self._net.clock.jump(61)
        return self._directory


async def test_a_directory_that_expires_while_an_event_is_prepared_refuses_nothing(net: Net) -> None:
    good = expire(net)
    async with net.publisher(limits=LIMITS) as publisher:
        publisher._directory = ExpiresOnceAsked(net, good)
        assert (await publisher.publish(trace(1))).waiting


async def test_a_directory_that_expires_while_what_waited_is_decided_refuses_nothing(net: Net) -> None:
    await publish_waiting(net, 1)
    good = expire(net)
    async with net.publisher(limits=LIMITS) as publisher:
        publisher._sealing._directory = ExpiresOnceAsked(net, good)
        await until(lambda: net.sent())
        assert publisher.progress().depth.waiting == 0
    assert net.observer.total("cgi_events_total", outcome="published") == 1


async def test_a_directory_that_expires_under_an_open_flush(net: Net) -> None:
    async with net.publisher(limits=replace(LIMITS, linger=0.2)) as publisher:
        answer = asyncio.ensure_future(publisher.publish(trace(1)))
        await asyncio.sleep(0)
        good = expire(net)
        assert (await answer).waiting
        net.directory.given = good
        await publisher.drain()
    assert len((await received(net)).ids) == 1


async def test_what_came_later_never_overtakes_what_waits(net: Net) -> None:
    await publish_waiting(net, *range(20))
    limits = replace(LIMITS, flush_events=3)
    async with net.publisher(limits=limits) as publisher:
        later = await asyncio.gather(*(publisher.publish(trace(number)) for number in range(20, 30)))
        await publisher.drain()
    events = (await received(net)).events
    serials = [event.body["firearm"]["serial_raw"].encode() for event in events]
    assert serials == [body_bytes(number) for number in range(30)]
    assert len({answer.event_id for answer in later}) == 10


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_the_same_row_again_is_a_duplicate_while_it_waits_and_after(net: Net) -> None:
    [first] = await publish_waiting(net, 1)
    [again] = await publish_waiting(net, 1)
    assert (again.duplicate, again.waiting, again.event_id) == (True, True, first.event_id)
    async with net.publisher(limits=LIMITS) as publisher:
        await publisher.drain()
        after = await publisher.publish(trace(1), key="row 1")
    assert (after.duplicate, after.waiting, after.event_id) == (True, False, first.event_id)
    assert after.recipients == (ATF, CCGIU)
    assert len((await received(net)).ids) == 1


async def test_an_amendment_of_what_waits_and_of_what_is_sealed(net: Net) -> None:
    async with net.publisher(limits=LIMITS) as publisher:
        sealed = await publisher.publish(trace(1), key="k")
        good = expire(net)
        second = await publisher.publish(trace(2), key="k")
        third = await publisher.publish(trace(3), key="k")
        with pytest.raises(HandlingLoosened):
            await publisher.publish(replace(trace(4), handling=parse_handling("TLP:CLEAR")), key="k")
        net.directory.given = good
        await publisher.drain()
        last = await publisher.publish(trace(3), key="k")
    assert second.amends == EventRef(JCF, sealed.event_id)
    assert third.amends == EventRef(JCF, second.event_id)
    assert last.duplicate
    events = (await received(net)).events
    assert [event.in_reply_to and event.in_reply_to.event_id for event in events] == [
        None,
        sealed.event_id,
        second.event_id,
    ]
    assert len({event.correlation_id for event in events}) == 1


async def test_duplicates_within_one_call(net: Net) -> None:
    expire(net)
    async with net.publisher(limits=LIMITS) as publisher:
        first, second = await publisher.publish_many([(trace(1), "k"), (trace(1), "k")])
        assert isinstance(first, Published)
        assert isinstance(second, Published)
        assert (first.duplicate, second.duplicate) == (False, True)
        assert publisher.progress().depth.waiting == 1


# --- decided when it is sealed ----------------------------------------------------------------------------------------


async def test_it_is_decided_by_the_directory_that_is_in_force_when_it_is_sealed(net: Net) -> None:
    await publish_waiting(net, 1)
    net.world.suspend(CCGIU)
    net.update_directory()
    await seal_all(net)
    assert len((await received(net, ATF)).ids) == 1
    assert not net.delivered(CCGIU)


async def test_what_nobody_may_have_any_more_is_refused_late_and_noted(net: Net) -> None:
    first, second = await publish_waiting(net, 1, 2)
    for agreement in list(net.world.agreed):
        net.world.withdraw(agreement)
    net.update_directory()
    with capture_logs() as logs:
        await seal_all(net)
    assert not net.sent()
    assert [log["event_id"] for log in logs if log["event"] == "publish.refused_late"] == [
        first.event_id.hex(),
        second.event_id.hex(),
    ]
    assert net.observer.total("cgi_events_total", outcome="rejected", reason="release.nobody") == 2
    notes = list(net.outboxes[JCF].refused.values())
    assert [(note.source_key, note.code, note.event_id) for note in notes] == [
        ("row 1", "release.nobody", first.event_id),
        ("row 2", "release.nobody", second.event_id),
    ]
    assert not net.outboxes[JCF].keys, "its source may publish the row again"


async def test_one_that_is_refused_late_takes_no_other_with_it(net: Net) -> None:
    good = expire(net)
    soon = net.clock.now_ms() + 1_000
    async with net.publisher(limits=LIMITS) as publisher:
        await publisher.publish(trace(1))
        await publisher.publish(replace(trace(2), expires_at_ms=soon))
        await publisher.publish(trace(3))
        net.clock.jump(2)
        net.directory.given = good
        await publisher.drain()
    assert len((await received(net)).ids) == 2
    assert [note.code for note in net.outboxes[JCF].refused.values()] == [EventExpired.code]


async def test_to_still_narrows(net: Net) -> None:
    good = expire(net)
    async with net.publisher(limits=LIMITS) as publisher:
        await publisher.publish(trace(1), to=[CCGIU])
        net.directory.given = good
        await publisher.drain()
    assert len((await received(net, CCGIU)).ids) == 1
    assert not net.delivered(ATF)


async def test_what_can_never_be_published_is_refused_at_once(net: Net) -> None:
    expire(net)
    async with net.publisher(limits=LIMITS) as publisher:
        with pytest.raises(RejectedError):
            await publisher.publish(trace(body={"crime_code": None}))
        assert publisher.progress().depth.waiting == 0


async def test_what_the_sealer_refuses_leaves_the_queue_alone(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = await publish_waiting(net, 1, 2, 3)
    good = expire(net)
    async with net.publisher(limits=LIMITS) as publisher:
        await publisher.publish(replace(trace(4), expires_at_ms=net.clock.now_ms() + 1_000))
    net.clock.jump(2)
    net.directory.given = good
    real = Sealer.seal

    def picky(self: Sealer, groups: Sequence[Group], *, now_ms: int) -> SealedFlush:
        if any(draft.event_id == answers[1].event_id for group in groups for draft in group.drafts):
            raise LimitExceeded("too large after all")
        return real(self, groups, now_ms=now_ms)

    monkeypatch.setattr(Sealer, "seal", picky)
    await seal_all(net)
    assert (await received(net)).ids == [answers[0].event_id, answers[2].event_id]
    notes = list(net.outboxes[JCF].refused.values())
    assert {note.code for note in notes} == {"limit.exceeded", "event.expired"}
    assert net.observer.total("cgi_events_total", outcome="rejected") == 2, "each is told once"
    assert [note.event_id for note in notes if note.code == "limit.exceeded"] == [answers[1].event_id]
    assert not net.outboxes[JCF].waiting


# --- room, and the file -----------------------------------------------------------------------------------------------


async def test_more_than_may_wait_is_refused_with_a_clear_error(net: Net) -> None:
    expire(net)
    async with net.publisher(limits=replace(LIMITS, outbox_bytes=2_000)) as publisher:
        with pytest.raises(OutboxFull) as full:  # noqa: PT012 - the bound is checked where a call begins
            for number in range(20):
                await publisher.publish(trace(number))
        assert "directory" in full.value.message
        assert full.value.details["waiting_events"] == publisher.progress().depth.waiting > 0


async def test_a_full_disk_is_the_callers_to_know(net: Net, tmp_path: Path) -> None:
    expire(net)
    outbox = SqliteOutbox(tmp_path / "outbox.sqlite", agency=JCF, max_file_bytes=200_000)
    async with net.publisher(outbox=outbox, limits=LIMITS) as publisher:
        with pytest.raises(StoreFull):  # noqa: PT012 - which of them is the file's affair
            for number in range(500):
                await publisher.publish(trace(number))
        assert 0 < publisher.progress().depth.waiting < 500


async def test_a_full_queue_is_sealed_in_the_room_that_it_gives_up(net: Net, tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "outbox.sqlite", agency=JCF, max_file_bytes=200_000)
    good = expire(net)
    async with net.publisher(outbox=outbox, limits=replace(LIMITS, flush_events=4)) as publisher:
        with pytest.raises(StoreFull):  # noqa: PT012
            for number in range(500):
                await publisher.publish(trace(number))
        net.directory.given = good
        async with asyncio.timeout(60):
            await publisher.drain()
        assert publisher.progress().depth.waiting == 0


async def test_nothing_of_it_stays_in_the_file(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    await publish_waiting(net, *range(40), outbox=SqliteOutbox(path, agency=JCF))
    assert any(body_bytes(1) in raw for raw in contents(tmp_path)), "or this test says nothing"
    assert path.stat().st_mode & 0o077 == 0
    async with net.publisher(outbox=SqliteOutbox(path, agency=JCF), limits=LIMITS) as publisher:
        await publisher.drain()
        assert not [number for number in range(40) for raw in contents(tmp_path) if body_bytes(number) in raw]


async def test_a_killed_sealing_leaves_nothing_in_the_log_after_the_next_start(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    await publish_waiting(net, 1, outbox=SqliteOutbox(path, agency=JCF))
    outbox = SqliteOutbox(path, agency=JCF)
    outbox._scrub = lambda: None  # type: ignore[method-assign]
    outbox.open()
    outbox.commit(OutboxCommit(b"", (), {}, (), 1, sealed_through=10))
    files = {name: (tmp_path / name).read_bytes() for name in ("outbox.sqlite", "outbox.sqlite-wal")}
    outbox.close()
    killed = tmp_path / "killed"
    killed.mkdir()
    for name, raw in files.items():  # as a kill -9 leaves them
        (killed / name).write_bytes(raw)
        os.chmod(killed / name, 0o600)
    assert any(body_bytes(1) in raw for raw in files.values())
    again = SqliteOutbox(killed / "outbox.sqlite", agency=JCF)
    again.open()
    try:
        assert not any(body_bytes(1) in raw for raw in contents(killed))
    finally:
        again.close()


async def test_late_refusals_can_be_read_beside_the_owner(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    assert read_refused(path, agency=JCF) == []
    await publish_waiting(net, 1, outbox=SqliteOutbox(path, agency=JCF))
    net.world.suspend(CCGIU)
    net.world.suspend(ATF)
    net.update_directory()
    async with net.publisher(outbox=SqliteOutbox(path, agency=JCF), limits=LIMITS) as publisher:
        await publisher.drain()
        [note] = read_refused(path, agency=JCF)
    assert (note.source_key, note.event_type, note.code) == ("row 1", "trace.request", "release.nobody")


# --- what the process says of itself ----------------------------------------------------------------------------------


async def test_the_publisher_is_not_further_while_events_wait(net: Net) -> None:
    good = expire(net)
    quick = replace(LIMITS, held_look=0.005)
    async with net.publisher(limits=quick) as publisher:
        await publisher.publish(trace(1))
        publisher._facts.sender_looked(publisher.progress().depth)
        before = net.observer.gauges["cgi_progress_timestamp_seconds", ("publisher",)]
        net.clock.jump(5)
        publisher._facts.sender_looked(publisher.progress().depth)
        held = net.observer.gauges["cgi_progress_timestamp_seconds", ("publisher",)]
        assert held == before
        assert net.observer.total("cgi_unavailable_total", operation="directory", code="directory.expired") >= 1
        net.directory.given = good
        await publisher.drain()
        publisher._facts.sender_looked(publisher.progress().depth)
        assert net.observer.gauges["cgi_progress_timestamp_seconds", ("publisher",)] > held


def test_the_look_is_a_setting() -> None:
    assert PublisherLimits().held_look == 1.0


async def test_bytes_that_are_not_ours_end_it(net: Net) -> None:
    await publish_waiting(net, 1)
    net.outboxes[JCF].waiting = [replace(one, value=b"{}") for one in net.outboxes[JCF].waiting]
    with pytest.raises(InvariantError):
        async with net.publisher(limits=LIMITS) as publisher:
            await publisher.drain()
