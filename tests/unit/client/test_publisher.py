"""The Publisher around its outbox: what publish() promises, and what holds when things fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hub.catalog import EventInvalid, TypeUnknown
from hub.client.published import (
    EventExpired,
    EventIdRepeated,
    EventLabelInvalid,
    NobodyReleased,
    OutboxFull,
    Published,
    PublisherClosed,
)
from hub.client.store import StoreForked, StoreFull, StoreInUse, StoreUnavailable
from hub.errors import BusNotAuthorized, RejectedError
from hub.model import AgencyId, EventRef, new_event_id, parse_handling
from hub.policy.handling import HandlingLoosened
from hub.ports import OutgoingRecord
from hub.wire.bundle import parse_ingest
from hub.wire.frames import parse_flush
from tests.support.sites import ATF, CCGIU, JCF, QUICK, RSS, ListSink, Net, trace, until

REPLY = new_event_id(1, b"0123456789")


@pytest.fixture
def net() -> Net:
    return Net()


async def received(net: Net, agency: str = ATF) -> ListSink:
    """What the agency has in its sink after everything was routed."""
    sink = ListSink()
    await net.route()
    await net.receive(sink, agency=AgencyId(agency))
    return sink


async def test_an_event_reaches_whom_it_is_released_to(net: Net) -> None:
    async with net.publisher() as publisher:
        published = await publisher.publish(trace(1))
        await publisher.drain()
    assert published.recipients == (ATF, CCGIU)
    assert not published.duplicate
    assert published.amends is None
    atf, ccgiu = await received(net, ATF), await received(net, CCGIU)
    assert atf.ids == ccgiu.ids == [published.event_id]
    assert atf.events[0].body["firearm"]["serial_raw"] == "AB000001"
    assert atf.events[0].published_at_ms == published.published_at_ms
    assert ccgiu.events[0].granted == ("core",)


async def test_publish_returns_when_the_event_is_durable_not_when_it_is_sent(net: Net) -> None:
    net.broker.go_away()
    async with net.publisher(limits=replace(QUICK, drain=0.0)) as publisher:
        await publisher.publish(trace(1))
        assert publisher.progress().depth.records == 1
        await until(lambda: publisher.progress().failing_code == "bus.unavailable")
    assert not net.sent()
    net.broker.come_back()
    async with net.publisher() as publisher:
        await publisher.drain()
        assert publisher.progress().failing_code is None
    assert len(net.sent()) == 1


async def test_events_that_are_published_together_share_a_flush(net: Net) -> None:
    async with net.publisher() as publisher:
        answers = await asyncio.gather(*(publisher.publish(trace(number)) for number in range(20)))
        await publisher.drain()
    assert len({answer.event_id for answer in answers}) == 20
    assert len(net.sent()) == 1
    assert len((await received(net)).ids) == 20


async def test_a_flush_closes_at_its_number_of_events(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, linger=10.0, flush_events=4)) as publisher:
        async with asyncio.timeout(8):
            await publisher.publish_many([(trace(number), None) for number in range(8)])
        await publisher.drain()
    assert len(net.sent()) == 2


async def test_a_flush_closes_at_its_bytes(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, linger=10.0, flush_bytes=1)) as publisher, asyncio.timeout(8):
        await publisher.publish(trace(1))


async def test_a_flush_waits_for_its_linger(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, linger=0.1)) as publisher:
        began = asyncio.get_running_loop().time()
        await publisher.publish(trace(1))
        assert asyncio.get_running_loop().time() - began >= 0.09


async def test_closing_does_not_wait_for_the_linger(net: Net) -> None:
    async with asyncio.timeout(8), net.publisher(limits=replace(QUICK, linger=10.0)) as publisher:
        waiting = asyncio.ensure_future(publisher.publish(trace(1)))
        await asyncio.sleep(0.01)
    assert (await waiting).recipients == (ATF, CCGIU)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (trace(body={"crime_code": None}), EventInvalid),
        (replace(trace(), event_type="trace.requests"), TypeUnknown),
        (replace(trace(), expires_at_ms=5), EventExpired),
        (replace(trace(), event_id=b"0" * 16), EventLabelInvalid),
        (replace(trace(), event_id=b"0" * 15), EventLabelInvalid),
        (replace(trace(), correlation_id=b"0" * 15), EventLabelInvalid),
        (replace(trace(), published_at_ms=-1), EventLabelInvalid),
        (replace(trace(), in_reply_to=EventRef(ATF, b"0" * 16)), EventLabelInvalid),  # type: ignore[arg-type]
        (replace(trace(), in_reply_to=EventRef("atf", REPLY)), RejectedError),  # type: ignore[arg-type]
    ],
)
async def test_a_refused_event_is_its_own_callers_alone(net: Net, event: object, error: type[RejectedError]) -> None:
    async with net.publisher() as publisher:
        good, bad = await asyncio.gather(
            publisher.publish(trace(1)),
            publisher.publish(event),  # type: ignore[arg-type]
            return_exceptions=True,
        )
        await publisher.drain()
    assert isinstance(good, Published)
    assert isinstance(bad, error)
    assert (await received(net)).ids == [good.event_id]
    assert net.observer.total("cgi_events_total", outcome="rejected", reason=bad.code) == 1


async def test_publish_many_answers_in_order(net: Net) -> None:
    items = [(trace(1), None), (replace(trace(2), expires_at_ms=5), None), (trace(3), None)]
    async with net.publisher() as publisher:
        answers = await publisher.publish_many(items)
    assert [type(answer) for answer in answers] == [Published, EventExpired, Published]


async def test_an_event_that_nobody_may_have_is_refused_with_the_reasons(net: Net) -> None:
    net.release = "allow: []\n"
    async with net.publisher() as publisher:
        with pytest.raises(NobodyReleased) as caught:
            await publisher.publish(trace(1))
    assert f"{ATF}:" in str(caught.value.details["reasons"])
    assert not net.sent()


async def test_to_narrows_and_never_widens(net: Net) -> None:
    async with net.publisher() as publisher:
        assert (await publisher.publish(trace(1), to=[ATF, RSS])).recipients == (ATF,)
        with pytest.raises(NobodyReleased):
            await publisher.publish(trace(2), to=[RSS])


async def test_the_same_event_id_twice_in_a_flush_is_refused(net: Net) -> None:
    event = replace(trace(1), event_id=new_event_id(net.clock.now_ms(), b"0123456789"))
    async with net.publisher() as publisher:
        answers = await publisher.publish_many([(event, None), (event, None)])
        await publisher.drain()
    assert isinstance(answers[1], EventIdRepeated)
    assert (await received(net)).ids == [event.event_id]


def end_kem_keys(net: Net, agency: AgencyId, at_ms: int) -> None:
    keys = net.world.keys[agency]
    keys.kem_entries = [replace(entry, not_after_ms=at_ms) for entry in keys.kem_entries]
    keys.statement_version += 1
    net.world.version += 1
    net.update_directory()


async def test_an_agency_without_a_usable_key_is_left_out_and_named(net: Net) -> None:
    end_kem_keys(net, CCGIU, net.world.now_ms)
    async with net.publisher() as publisher:
        published = await publisher.publish(trace(1))
    assert published.recipients == (ATF,)
    assert published.left_out == ((CCGIU, "kem_key.none"),)


async def test_a_key_that_ends_before_the_flush_costs_its_agency_the_event_and_no_instance(net: Net) -> None:
    end_kem_keys(net, CCGIU, net.world.now_ms + 1_000_000)
    urgent = type(trace(0).priority)["URGENT"]
    async with net.publisher(limits=replace(QUICK, linger=0.3)) as publisher, asyncio.TaskGroup() as tasks:
        assert (await publisher.publish(trace(0))).recipients == (ATF, CCGIU)
        items = [(trace(n, priority=urgent) if n % 2 else trace(n), None) for n in range(1, 9)]
        waiting = tasks.create_task(publisher.publish_many(items))
        await asyncio.sleep(0)  # decided, and in the open flush
        net.clock.jump(1_000)
    answers = [answer for answer in waiting.result() if isinstance(answer, Published)]
    assert {(answer.recipients, answer.left_out) for answer in answers} == {((ATF,), ((CCGIU, "kem_key.none"),))}
    assert len(answers) == 8
    assert len({record.key for record in net.sent()}) == 1, "one instance, whoever's key ends"


async def test_a_storm_of_restarts_spends_no_instance_on_what_nobody_may_have(net: Net) -> None:
    beating = replace(QUICK, heartbeat=30)
    async with net.publisher(limits=beating) as publisher:
        await publisher.publish(trace(0), to=[CCGIU])
    end_kem_keys(net, CCGIU, net.world.now_ms)
    net.world.suspend(ATF)
    net.update_directory()
    for number in range(20):
        async with net.publisher(limits=beating) as publisher:
            if number % 2:
                with pytest.raises(NobodyReleased):
                    await publisher.publish(trace(number))
    assert len({record.key for record in net.sent()}) == 1, "a recipient takes 100 instances a day (spec 2.1)"


# --- source keys ------------------------------------------------------------------------------------------------------


async def test_the_same_key_and_content_is_a_duplicate(net: Net) -> None:
    async with net.publisher() as publisher:
        first = await publisher.publish(trace(1), key="register.csv:1")
        again = await publisher.publish(trace(1), key="register.csv:1")
        other = await publisher.publish(trace(1), key="register.csv:2")
    assert replace(again, duplicate=False) == first
    assert again.duplicate
    assert other.event_id != first.event_id


async def test_duplicates_within_one_flush_and_after_a_restart(net: Net) -> None:
    async with net.publisher() as publisher:
        first, second = await publisher.publish_many([(trace(1), "k"), (trace(1), "k")])
    async with net.publisher() as publisher:
        third = await publisher.publish(trace(1), key="k")
    assert isinstance(first, Published)
    assert isinstance(second, Published)
    assert (first.duplicate, second.duplicate, third.duplicate) == (False, True, True)
    assert first.event_id == second.event_id == third.event_id
    assert len((await received(net)).ids) == 1


@pytest.mark.parametrize("together", [True, False])
async def test_the_same_key_with_other_content_is_an_amendment(net: Net, together: bool) -> None:
    async with net.publisher() as publisher:
        if together:
            first, second = await publisher.publish_many([(trace(1), "k"), (trace(2), "k")])
        else:
            first, second = await publisher.publish(trace(1), key="k"), await publisher.publish(trace(2), key="k")
        third = await publisher.publish(trace(1), key="k")
        await publisher.drain()
    assert isinstance(first, Published)
    assert isinstance(second, Published)
    assert second.amends == EventRef(JCF, first.event_id)
    assert third.amends == EventRef(JCF, second.event_id)
    events = (await received(net)).events
    assert [event.in_reply_to for event in events] == [None, second.amends, third.amends]
    assert len({event.correlation_id for event in events}) == 1, "an amendment stays in its thread"


async def test_an_amendment_never_loosens_the_handling(net: Net) -> None:
    async with net.publisher() as publisher:
        await publisher.publish(trace(1, handling=parse_handling("TLP:AMBER")), key="k")
        with pytest.raises(HandlingLoosened):
            await publisher.publish(trace(2, handling=parse_handling("TLP:GREEN")), key="k")
        stricter = await publisher.publish(trace(2, handling=parse_handling("TLP:RED")), key="k")
        assert stricter.amends is not None
        with pytest.raises(HandlingLoosened):
            await publisher.publish(trace(3, handling=parse_handling("TLP:AMBER")), key="k")


async def test_what_makes_content_other_is_what_the_source_says(net: Net) -> None:
    same = trace(1)
    async with net.publisher() as publisher:
        await publisher.publish(same, key="k")
        for change in (
            replace(same, expires_at_ms=same.expires_at_ms + 1),
            replace(same, priority=next(p for p in type(same.priority) if p != same.priority)),
            replace(same, correlation_id=b"c" * 16),
            replace(same, in_reply_to=EventRef(ATF, REPLY)),
        ):
            assert (await publisher.publish(change, key="k")).amends is not None
        repeated = replace(change, published_at_ms=7, event_id=REPLY)
        assert (await publisher.publish(repeated, key="k")).duplicate


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [StoreFull("full"), StoreUnavailable("away")])
async def test_a_flush_that_is_not_stored_leaves_no_hole_in_the_numbers(net: Net, failure: StoreFull) -> None:
    outbox = net.outbox()
    async with net.publisher(outbox=outbox) as publisher:
        before = await publisher.publish(trace(1), key="1")
        outbox.fail_commits(failure)
        with pytest.raises(type(failure)):
            await publisher.publish(trace(2), key="2")
        with pytest.raises(type(failure)):  # and for a while nothing is tried
            await publisher.publish(trace(2), key="2")
        net.clock.jump(1.1)
        after = await publisher.publish(trace(2), key="2")
        assert not after.duplicate
        await publisher.drain()
    assert len({record.key for record in net.sent()}) == 2, "the instance with the lost flush is not used again"
    sink = await received(net)
    assert sink.ids == [before.event_id, after.event_id]
    assert net.observer.total("cgi_gaps") == 0


async def test_a_disk_that_fails_in_turns_does_not_use_up_the_instances(net: Net) -> None:
    """Receivers refuse more than 100 new instances of a site in a day (spec 2.1)."""
    outbox = net.outbox()
    async with net.publisher(outbox=outbox, limits=replace(QUICK, linger=0)) as publisher:
        day = 0
        for _ in range(500):
            outbox.fail_commits(StoreFull("full"))
            for _ in range(2):
                with contextlib.suppress(StoreFull):
                    await publisher.publish(trace(1))
            outbox._failures.clear()
            net.clock.jump(240)
            day += 240
            if day > 86_400:
                break
        await publisher.drain()
    assert len({record.key for record in net.sent()}) < 100


async def test_kafka_away_for_a_while_loses_and_doubles_nothing(net: Net) -> None:
    async with net.publisher() as publisher:
        answers = []
        for number in range(30):
            if number % 10 == 3:
                net.broker.go_away()
            if number % 10 == 6:
                net.broker.come_back()
            if number % 4 == 0:
                net.broker.fail_sends(1)
            answers.append(await publisher.publish(trace(number)))
        await publisher.drain()
    assert len(net.sent()) >= 30, "what was not acknowledged was sent again"
    assert (await received(net)).ids == [answer.event_id for answer in answers]


async def test_nothing_is_left_in_the_outbox_after_acknowledgement(net: Net) -> None:
    async with net.publisher() as publisher:
        await publisher.publish(trace(1))
        await publisher.drain()
        assert publisher.progress().depth.records == 0
    assert not net.outboxes[JCF].records


async def test_a_broker_that_refuses_for_good_ends_the_block(net: Net) -> None:
    class Refusing:
        async def start(self) -> None: ...

        async def send(self, records: Sequence[OutgoingRecord]) -> None:
            raise BusNotAuthorized("refused by the broker")

        async def stop(self) -> None: ...

    with pytest.raises(BusNotAuthorized):  # noqa: PT012 - the block is what ends
        async with net.publisher(producer=Refusing()) as publisher:
            await publisher.publish(trace(1))
            await asyncio.sleep(5)
    assert len(net.outboxes[JCF].records) == 1
    net.outbox().open()


async def test_an_error_of_the_caller_goes_on_by_itself(net: Net) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what ends
        async with net.publisher() as publisher:
            await publisher.publish(trace(1))
            raise ZeroDivisionError
    net.outbox().open()


async def test_a_directory_that_changes_while_an_event_waits_decides_anew(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, linger=0.4)) as publisher:
        waiting = [asyncio.ensure_future(publisher.publish(trace(n), to=to)) for n, to in ((1, None), (2, [CCGIU]))]
        await asyncio.sleep(0.02)
        net.world.suspend(CCGIU)
        net.update_directory()
        first, second = await asyncio.gather(*waiting, return_exceptions=True)
        await publisher.drain()
    assert isinstance(first, Published)
    assert first.recipients == (ATF,)
    assert isinstance(second, NobodyReleased)


async def test_the_next_flush_is_made_under_the_newer_directory(net: Net) -> None:
    async with net.publisher() as publisher:
        await publisher.publish(trace(1))
        net.world.version += 1
        newer = net.update_directory()
        await publisher.publish(trace(2))
        await publisher.drain()
    flushes = [parse_flush(parse_ingest(record.value).proof.flush) for record in net.sent()]
    assert [flush.directory_version for flush in flushes] == [newer.version - 1, newer.version]


async def test_a_cancelled_call_takes_its_event_with_it(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, linger=0.4)) as publisher:
        cancelled = asyncio.ensure_future(publisher.publish(trace(1)))
        kept = asyncio.ensure_future(publisher.publish(trace(2)))
        await asyncio.sleep(0.02)
        cancelled.cancel()
        published = await kept
        await publisher.drain()
    assert (await received(net)).ids == [published.event_id]


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_a_full_outbox_refuses_after_a_wait_and_takes_again(net: Net) -> None:
    net.broker.go_away()
    async with net.publisher(limits=replace(QUICK, outbox_bytes=1)) as publisher:
        await publisher.publish(trace(1))
        with pytest.raises(OutboxFull):
            await publisher.publish(trace(2))
        assert net.observer.total("cgi_unavailable_total", code="outbox.full") == 1
        net.broker.come_back()
        async with asyncio.timeout(30):
            while publisher.progress().depth.records:
                await asyncio.sleep(0.005)
        await publisher.publish(trace(2))


async def test_a_full_outbox_is_waited_for(net: Net) -> None:
    net.broker.go_away()
    async with net.publisher(limits=replace(QUICK, outbox_bytes=1, full_wait=30.0)) as publisher:
        await publisher.publish(trace(1))
        waiting = asyncio.ensure_future(publisher.publish(trace(2)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        net.broker.come_back()
        async with asyncio.timeout(30):
            await waiting


async def test_the_intake_is_bounded(net: Net) -> None:
    limits = replace(QUICK, linger=1.0, flush_events=4, intake_events=4)
    async with net.publisher(limits=limits) as publisher:
        busy = asyncio.ensure_future(publisher._thread.run(lambda: time.sleep(0.1)))
        calls = [asyncio.ensure_future(publisher.publish(trace(number))) for number in range(20)]
        await asyncio.sleep(0.05)
        assert len(publisher._open.events) <= 4
        await busy
        async with asyncio.timeout(60):
            await asyncio.gather(*calls)


# --- one owner --------------------------------------------------------------------------------------------------------


async def test_two_publishers_on_one_outbox_are_caught(net: Net) -> None:
    async with net.publisher():
        with pytest.raises(StoreInUse):
            async with net.publisher():
                pass


async def test_a_fork_is_refused(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    async with net.publisher() as publisher:
        real = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: real + 1)
        with pytest.raises(StoreForked):
            await publisher.publish(trace(1))
        monkeypatch.undo()


async def test_nothing_is_published_before_entering_and_after_leaving(net: Net) -> None:
    publisher = net.publisher()
    with pytest.raises(PublisherClosed):
        await publisher.publish(trace(1))
    async with publisher:
        pass
    with pytest.raises(PublisherClosed):
        await publisher.publish(trace(1))


async def test_a_publisher_can_be_entered_again(net: Net) -> None:
    publisher = net.publisher()
    for _ in range(2):
        async with publisher:
            await publisher.publish(trace(1))
    assert len(net.sent()) == 2


# --- heartbeats and the chain of instances ----------------------------------------------------------------------------


async def test_heartbeats_name_every_recipient_and_pass_the_router(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, heartbeat=0.02)) as publisher:
        await publisher.publish(trace(1))
        async with asyncio.timeout(30):
            while net.observer.total("cgi_heartbeats_total", direction="sent") < 2:
                await asyncio.sleep(0.005)
    await net.route()
    assert not net.refused
    assert not net.denials
    sink = await received(net, CCGIU)
    assert len(sink.events) == 1
    assert net.observer.total("cgi_heartbeats_total", direction="seen") >= 2


async def test_a_withheld_tail_shows_when_the_publisher_stops(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, heartbeat=60.0)) as publisher:
        await publisher.publish(trace(1))
        await publisher.publish(trace(2))
    await net.route(lose=lambda agency, number: number == 1)
    assert len((await received(net)).events) == 1
    assert net.observer.total("cgi_missing_records", publisher=JCF) == 1


async def test_a_publisher_that_sealed_nothing_says_nothing(net: Net) -> None:
    async with net.publisher(limits=replace(QUICK, heartbeat=60.0)):
        pass
    assert not net.sent()


async def test_a_withheld_tail_shows_with_the_next_instance(net: Net) -> None:
    async with net.publisher() as publisher:
        await publisher.publish(trace(1))
        await publisher.publish(trace(2))
    async with net.publisher() as publisher:
        third = await publisher.publish(trace(3))
    await net.route(lose=lambda agency, number: number == 1)
    sink = await received(net)
    assert len(sink.events) == 2
    assert sink.ids[-1] == third.event_id
    assert net.observer.total("cgi_missing_records", publisher=JCF) == 1


async def test_metrics_say_what_was_published_and_sent(net: Net) -> None:
    async with net.publisher() as publisher:
        await publisher.publish_many([(trace(number), None) for number in range(3)])
        await publisher.drain()
    for outcome in ("published", "sent"):
        assert net.observer.total("cgi_events_total", publisher=JCF, event_type="trace.request", outcome=outcome) == 3
    assert net.observer.total("cgi_bundles_total", outcome="sent") == 1
    assert net.observer.total("cgi_outbox_records") == 0


async def test_a_broker_away_at_the_start_does_not_stop_publishing(net: Net) -> None:
    net.broker.go_away()
    async with net.publisher() as publisher:
        await publisher.publish(trace(1))
        net.broker.come_back()
        async with asyncio.timeout(30):
            await publisher.drain()
    assert len(net.sent()) == 1
