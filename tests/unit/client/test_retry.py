"""What was refused, read again: written once when it is right now, and left as it is when it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hub.catalog import Catalog
from hub.client.inbox import Inbox, RejectedRecord
from hub.client.receive import ContentFilter, UnsafeEverything
from hub.client.retry import Retried, Retry
from hub.client.sink import Sink
from hub.client.store import StoreInUse, StoreUnavailable
from hub.errors import RejectedError
from hub.model import HUB, AgencyId, Decision, EventId, OpenedEvent
from hub.ports import OutgoingRecord
from hub.topics import deliver_topic
from tests.support.samples import catalog
from tests.support.sites import ATF, JCF, ListSink, Net, trace


class Refusal(RejectedError):
    code = "test.sink_refuses"


class Older:
    """A catalog that does not know the type yet."""

    def get(self, name: str) -> object:
        return catalog().get(name.replace("trace", "older"))


@pytest.fixture
def net() -> Net:
    return Net()


async def publish(net: Net, *numbers: int) -> list[EventId]:
    """One record a number, delivered."""
    async with net.publisher() as publisher:
        ids = [(await publisher.publish(trace(number))).event_id for number in numbers]
        await publisher.drain()
    await net.route()
    return ids


async def deliver_again(net: Net) -> None:
    """The router writes everything once more, as it may after a crash."""
    producer = net.broker.producer(HUB)
    await producer.start()
    await producer.send([OutgoingRecord(deliver_topic(ATF), b"", record.value) for record in net.delivered()])


async def publish_together(net: Net, *numbers: int) -> list[EventId]:
    async with net.publisher() as publisher:
        answers = await publisher.publish_many([(trace(number), None) for number in numbers])
        await publisher.drain()
    await net.route()
    return [answer.event_id for answer in answers if not isinstance(answer, RejectedError)]


async def retry(
    net: Net,
    *sinks: Sink,
    inbox: Inbox | None = None,
    content: ContentFilter | None = None,
    using: Catalog | None = None,
    choose: Callable[[Sequence[RejectedRecord]], Sequence[RejectedRecord]] = lambda entries: entries,
) -> list[Retried]:
    results: list[Retried] = []
    async with Retry(
        agency=ATF,
        hub=HUB,
        kem_keys=lambda: net.world.keys[ATF].kem_all,
        catalog=using or catalog(),
        content=content or UnsafeEverything(),
        directory=net.directory,
        inbox=inbox or net.inbox(),
        sinks=sinks,
        clock=net.clock,
        observer=net.observer,
    ) as again:
        await again.run(choose, results.append)
    return results


def rejected(net: Net) -> list[RejectedRecord]:
    return net.inboxes[ATF].rejected


async def refuse_type(net: Net, sink: Sink) -> None:
    """The subscriber's catalog is too old for everything that was delivered."""
    await net.receive(sink, using=Older())  # type: ignore[arg-type]


async def test_a_key_that_was_revoked_since_does_not_stop_it(net: Net) -> None:
    """What counts is when the broker appended it (spec 12.3), and the inbox has kept that."""
    ids = await publish(net, 1)
    sink = ListSink()
    await refuse_type(net, sink)
    net.clock.jump(86_400)
    net.world.revoke_signing_key(JCF, at_ms=net.clock.now_ms() - 1_000)
    net.update_directory()
    assert [result.outcome for result in await retry(net, sink)] == ["written"]
    assert sink.ids == ids


async def test_what_a_newer_catalog_can_read_is_written_once_in_order(net: Net) -> None:
    ids = await publish(net, 1, 2, 3)
    sink = ListSink()
    await refuse_type(net, sink)
    assert [row.code for row in rejected(net)] == ["event.type_unknown"] * 3
    assert [(result.outcome, result.events) for result in await retry(net, sink)] == [("written", 1)] * 3
    assert sink.ids == ids
    assert not rejected(net)
    assert await retry(net, sink) == []
    await net.receive(sink)
    assert sink.ids == ids


async def test_what_is_still_refused_stays_as_it_is(net: Net) -> None:
    await publish(net, 1)
    sink = ListSink()
    await refuse_type(net, sink)
    before = list(rejected(net))
    [result] = await retry(net, sink, using=Older())  # type: ignore[arg-type]
    assert (result.outcome, result.code, result.events) == ("refused", "event.type_unknown", 0)
    assert rejected(net) == before
    assert not sink.ids


async def test_one_that_today_does_not_verify_is_written_when_it_does_again(net: Net) -> None:
    """A refusal at an earlier step must not make the site forget that the number was marked and nothing applied."""
    ids = await publish(net, 1)
    sink = ListSink()
    await refuse_type(net, sink)
    net.world.suspend(JCF)
    net.update_directory()
    assert [result.code for result in await retry(net, sink)] == ["publisher.suspended"]
    net.world.suspend(JCF, active=True)
    net.update_directory()
    assert [result.outcome for result in await retry(net, sink)] == ["written"]
    assert sink.ids == ids


async def test_a_record_that_did_not_verify_fills_its_gap(net: Net) -> None:
    ids = await publish(net, 1, 2)
    good = net.directory.given
    net.world.suspend(JCF)
    net.update_directory()
    sink = ListSink()
    await net.receive(sink)
    assert [(row.code, row.publisher) for row in rejected(net)] == [("publisher.suspended", "")] * 2
    net.directory.given = good
    [last, _] = [entry.id for entry in rejected(net)][::-1]
    done = await retry(net, sink, choose=lambda entries: [entry for entry in entries if entry.id == last])
    assert [result.outcome for result in done] == ["written"]
    [gap] = net.inboxes[ATF].gaps
    assert (gap.first, gap.last, gap.reported) == (1, 1, False), (
        "the first is missing, which the Subscriber will report"
    )
    assert [result.outcome for result in await retry(net, sink)] == ["written"]
    assert sink.ids == ids[::-1]
    assert not net.inboxes[ATF].gaps
    assert not rejected(net)
    await deliver_again(net)
    await net.receive(sink)
    assert sink.ids == ids[::-1], "their numbers are marked"


async def test_a_record_that_has_come_since_is_not_written_again(net: Net) -> None:
    ids = await publish(net, 1)
    good = net.directory.given
    net.world.suspend(JCF)
    net.update_directory()
    sink = ListSink()
    await net.receive(sink)
    net.directory.given = good
    await deliver_again(net)
    await net.receive(sink)
    assert [result.outcome for result in await retry(net, sink)] == ["had_it"]
    assert sink.ids == ids
    assert not rejected(net)


async def test_a_record_that_is_refused_later_on_its_way_is_not_lost(net: Net) -> None:
    """Verified at the second try, with a catalog that is too old: its number is marked then, and nothing is lost."""
    ids = await publish(net, 1)
    good = net.directory.given
    net.world.suspend(JCF)
    net.update_directory()
    sink = ListSink()
    await net.receive(sink)
    net.directory.given = good
    assert [r.outcome for r in await retry(net, sink, using=Older())] == ["refused"]  # type: ignore[arg-type]
    [row] = rejected(net)
    assert (row.code, row.publisher) == ("event.type_unknown", JCF)
    assert row.raw
    assert [result.outcome for result in await retry(net, sink)] == ["written"]
    assert sink.ids == ids


async def test_an_event_that_one_sink_refused_goes_to_that_sink_alone(net: Net) -> None:
    ids = await publish_together(net, 1, 2, 3)
    refuses = {ids[1], ids[2]}
    other = ListSink("other")
    picky = ListSink("picky", refuse=lambda event: Refusal("no") if event.event_id in refuses else None)
    await net.receive(other, picky)
    refuses.remove(ids[1])
    assert [result.outcome for result in await retry(net, other, picky)] == ["written", "refused"]
    assert other.ids == ids
    assert picky.ids == [ids[0], ids[1]]
    [row] = rejected(net)
    assert (row.event_id, row.sink, bool(row.raw)) == (ids[2].hex(), "picky", True)
    refuses.clear()
    assert [result.outcome for result in await retry(net, other, picky)] == ["written"]
    assert other.ids == picky.ids == ids


async def test_an_event_whose_sink_is_gone_stays(net: Net) -> None:
    await publish(net, 1)
    await net.receive(ListSink("picky", refuse=lambda event: Refusal("no")))
    [result] = await retry(net, ListSink("other"))
    assert (result.outcome, result.code) == ("refused", "rejected.sink_unknown")
    assert len(rejected(net)) == 1


async def test_a_sink_that_refuses_what_can_be_read_now_has_an_entry_of_its_own(net: Net) -> None:
    ids = await publish(net, 1)
    await refuse_type(net, ListSink("picky"))
    picky, other = ListSink("picky", refuse=lambda event: Refusal("no")), ListSink("other")
    [result] = await retry(net, picky, other)
    assert (result.outcome, result.code) == ("refused", "test.sink_refuses")
    assert other.ids == ids
    [row] = rejected(net)
    assert (row.sink, row.event_id, bool(row.raw)) == ("picky", ids[0].hex(), True)


@pytest.mark.parametrize("failing", ["sink", "inbox"])
async def test_after_a_failure_each_event_is_there_once(net: Net, failing: str) -> None:
    ids = await publish(net, 1, 2)
    sink, inbox = ListSink(), net.inbox()
    await refuse_type(net, sink)
    if failing == "sink":
        sink.failures = [StoreUnavailable("away")]
    else:
        inbox.fail_commits(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await retry(net, sink, inbox=inbox)
    assert len(rejected(net)) == 2
    assert [result.outcome for result in await retry(net, sink)] == ["written"] * 2
    assert sink.ids == ids


async def test_a_site_that_runs_keeps_its_inbox(net: Net) -> None:
    async with net.subscriber(ListSink()):
        with pytest.raises(StoreInUse):
            await retry(net, ListSink())


@pytest.mark.parametrize("code", ["sequence.equivocation", "event_id.reused"])
async def test_an_alarm_is_not_undone(net: Net, code: str) -> None:
    await publish(net, 1)
    sink = ListSink()
    await refuse_type(net, sink)
    rejected(net)[:] = [replace(row, code=code) for row in rejected(net)]
    assert [result.code for result in await retry(net, sink)] == ["rejected.alarm"]
    assert not sink.ids
    assert len(rejected(net)) == 1


async def test_a_record_whose_number_was_refused_is_no_marked_one(net: Net) -> None:
    """What came since under its number came properly: the refused one must not be written beside it."""
    await publish(net, 1)
    sink = ListSink()
    await net.receive(sink)
    [value] = [record.value for record in net.delivered()]
    row = RejectedRecord(deliver_topic(ATF), 0, 9, JCF, "", "", "sequence.gap_limit", "too many", 1, value)
    rejected(net).append(row)
    assert [result.outcome for result in await retry(net, sink)] == ["had_it"]
    assert len(sink.ids) == 1


async def test_bytes_that_were_let_go_cannot_be_read_again(net: Net) -> None:
    await publish(net, 1)
    sink = ListSink()
    await refuse_type(net, sink)
    rejected(net)[:] = [replace(row, raw=b"") for row in rejected(net)]
    assert [result.code for result in await retry(net, sink)] == ["rejected.bytes_gone"]


async def test_what_is_not_wanted_today_is_settled_and_written_nowhere(net: Net) -> None:
    class Nothing:
        def matches(self, event: OpenedEvent) -> Decision:
            return Decision(False, "subscription.content", "nothing")

    await publish(net, 1)
    sink = ListSink()
    await refuse_type(net, sink)
    [result] = await retry(net, sink, content=Nothing())
    assert (result.outcome, result.code) == ("not_wanted", "subscription.content")
    assert not rejected(net)
    assert not sink.ids


async def test_sinks_go_on_from_their_stored_state(net: Net) -> None:
    opened: list[Mapping[str, Any] | None] = []
    ids = await publish(net, 1)
    sink = ListSink()
    await net.receive(sink)
    ids += await publish(net, 2)
    await refuse_type(net, sink)
    sink.opened = opened
    await retry(net, sink)
    assert opened == [{"length": 1}]
    assert sink.ids == ids
    assert net.inboxes[AgencyId(ATF)].sinks == {"list": {"length": 2}}
