"""The Subscriber: each event once in each sink, whatever fails; what is refused is kept, what is missing reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hub.adapters.memory_inbox import MemoryInbox
from hub.client.published import Published
from hub.client.receive import KemKeyAbsent
from hub.client.store import StoreFull, StoreInUse
from hub.client.subscriber import Subscriber
from hub.errors import BusUnavailable, ConfigError, HubError, RejectedError, UnavailableError
from hub.model import HUB, AgencyId, Decision, OpenedEvent
from hub.ports import OutgoingRecord
from hub.topics import deliver_topic, ingest_topic
from hub.trust.directory import DirectoryExpired
from hub.trust.verify import FlushCache, verify_ingest
from hub.wire.bundle import parse_delivered
from hub.wire.frames import parse_head
from tests.support.samples import sample_event
from tests.support.sites import ATF, CCGIU, HNP, JCF, QUICK_SUBSCRIBER, ListSink, Net, trace, until


class SinkAway(UnavailableError):
    code = "test.sink_away"


class SinkRefusal(RejectedError):
    code = "test.sink_refuses"


@pytest.fixture
def net() -> Net:
    return Net()


class Forging:
    """A policy that lets ATF have the core of everything: what a publisher that lies would use."""

    version = "forged"

    def grants(self, *_: object) -> object:
        return ((ATF, ("core",)),)

    def explain(self, *_: object) -> dict[object, object]:
        return {}


async def publish(net: Net, *numbers: int, agency: str = JCF) -> list[bytes]:
    """One bundle an event, so that each has a number of its own; gives the event ids."""
    async with net.publisher(AgencyId(agency)) as publisher:
        ids: list[bytes] = [(await publisher.publish(trace(number))).event_id for number in numbers]
        await publisher.drain()
    return ids


async def run_until(subscriber: Subscriber, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(subscriber.run())
        while not done():
            await asyncio.sleep(0.005)
        subscriber.stop()


async def deliver(net: Net, value: bytes, key: bytes = b"k", agency: str = ATF) -> None:
    producer = net.broker.producer()
    await producer.start()
    await producer.send([OutgoingRecord(deliver_topic(agency), key, value)])  # type: ignore[arg-type]


# --- each event once --------------------------------------------------------------------------------------------------


async def test_everything_reaches_every_sink_in_order(net: Net) -> None:
    ids = await publish(net, *range(5))
    await net.route()
    one, two = ListSink("one"), ListSink("two")
    await net.receive(one, two)
    assert one.ids == two.ids == ids
    assert not one.is_open
    assert net.observer.total("cgi_events_total", recipient=ATF, outcome="written") == 5


async def test_what_comes_twice_is_dropped(net: Net) -> None:
    ids = await publish(net, 1, 2)
    await net.route()
    for record in net.delivered():
        await deliver(net, record.value)
    sink = ListSink()
    await net.receive(sink)
    assert sink.ids == ids
    assert net.observer.total("cgi_bundles_total", recipient=ATF, outcome="duplicate") == 2


async def test_a_restart_goes_on_where_it_was(net: Net) -> None:
    first = await publish(net, 1, 2)
    await net.route()
    sink = ListSink()
    await net.receive(sink)
    second = await publish(net, 3)
    await net.route()
    await net.receive(sink)
    assert sink.ids == first + second
    assert sink.opened == [None, {"length": 2}]


async def test_marks_hold_where_the_group_begins_anew(net: Net) -> None:
    """Offsets can be lost; the marks decide."""
    ids = await publish(net, 1, 2)
    await net.route()
    sink = ListSink()
    await net.receive(sink)
    net.broker._group("ATF.main").committed.clear()
    await net.receive(sink)
    assert sink.ids == ids


@pytest.mark.parametrize("failing", ["sink", "second sink", "inbox", "offsets"])
async def test_a_failure_between_any_two_steps_doubles_nothing(net: Net, failing: str) -> None:
    ids = await publish(net, *range(6))
    await net.route()
    inbox = net.inbox()
    one, two = ListSink("one"), ListSink("two")
    consumer = net.broker.consumer(group="ATF.main", topics=[deliver_topic(ATF)])
    if failing == "sink":
        one.failures = [SinkAway("away"), SinkAway("away")]
    elif failing == "second sink":
        two.failures = [SinkAway("away"), SinkAway("away")]
    elif failing == "inbox":
        inbox.fail_commits(StoreFull("full"), StoreFull("full"))
    else:
        commit, failures = consumer.commit, [BusUnavailable("away")]

        async def failing_commit(positions: object) -> None:
            if failures:
                raise failures.pop()
            await commit(positions)  # type: ignore[arg-type]

        consumer.commit = failing_commit  # type: ignore[assignment]
    await net.receive(one, two, inbox=inbox, consumer=consumer, limits=replace(QUICK_SUBSCRIBER, batch_records=2))
    assert one.ids == two.ids == ids
    assert net.observer.total("cgi_unavailable_total") >= 1


async def test_a_rebalance_in_the_middle_of_a_batch_doubles_nothing(net: Net) -> None:
    ids = await publish(net, *range(6))
    await net.route()

    class Disturbing(ListSink):
        async def write(self, events: Sequence[OpenedEvent]) -> Mapping[str, Any] | None:
            if len(self.events) == 2:
                other = net.broker.consumer(group="ATF.main", topics=[deliver_topic(ATF)])
                await other.start()
                await other.stop()
            return await super().write(events)

    sink = Disturbing()
    await net.receive(sink, limits=replace(QUICK_SUBSCRIBER, batch_records=2))
    assert sink.ids == ids
    assert net.observer.total("cgi_bundles_total", recipient=ATF, outcome="duplicate") == 2


async def test_nothing_is_committed_while_a_sink_is_away(net: Net) -> None:
    await publish(net, 1)
    await net.route()
    sink = ListSink()
    sink.failures = [SinkAway("away")] * 1000
    async with net.subscriber(sink) as subscriber:
        await run_until(subscriber, lambda: len(sink.failures) < 997)
        assert subscriber.progress().failing_code == "test.sink_away"
        assert subscriber.progress().stored_at_ms is None
    assert net.committed() == 0
    assert not net.inboxes[ATF].streams


async def test_kafka_and_directory_away_are_waited_for(net: Net) -> None:
    ids = await publish(net, 1)
    await net.route()
    sink = ListSink()
    good = net.directory.given
    net.directory.given = DirectoryExpired("expired")
    net.broker.go_away()
    async with net.subscriber(sink) as subscriber:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(subscriber.run())
            await until(lambda: subscriber.progress().failing_code == "bus.unavailable")
            net.broker.come_back()
            await until(lambda: subscriber.progress().failing_code == "directory.expired")
            assert not sink.events
            net.directory.given = good
            while not net.committed():
                await asyncio.sleep(0.005)
            subscriber.stop()
        assert subscriber.progress().failing_code is None
    assert sink.ids == ids


async def test_a_cancelled_run_is_made_good_by_the_next(net: Net) -> None:
    ids = await publish(net, *range(10))
    await net.route()
    sink = ListSink()
    limits = replace(QUICK_SUBSCRIBER, batch_records=1)
    while net.committed() < 10:
        async with net.subscriber(sink, limits=limits) as subscriber:
            task = asyncio.ensure_future(subscriber.run())
            await asyncio.sleep(0.006)
            task.cancel()
            await asyncio.wait([task])
    assert sink.ids == ids


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_a_refused_record_is_kept_and_the_next_goes_on(net: Net) -> None:
    ids = await publish(net, 1, 2)
    await deliver(net, b"not a record")
    await net.route()
    record = net.delivered()[1]
    await deliver(net, record.value[:-1] + bytes([record.value[-1] ^ 1]))
    sink = ListSink()
    await net.receive(sink)
    assert sink.ids == ids
    rows = net.inboxes[ATF].rejected
    assert [row.offset for row in rows] == [0, 3]
    assert rows[0].code.startswith("frame.")
    assert rows[0].raw == b"not a record"
    assert net.observer.total("cgi_quarantined_total") == 2


async def test_a_record_for_another_agency_is_refused(net: Net) -> None:
    await publish(net, 1)
    await net.route()
    await deliver(net, net.delivered(CCGIU)[0].value)
    sink = ListSink()
    await net.receive(sink)
    assert [row.code for row in net.inboxes[ATF].rejected] == ["recipient.mismatch"]


async def test_an_event_that_the_catalog_refuses_does_not_take_the_others_with_it(net: Net) -> None:
    """The publisher's software is faulty, or lies: one event of three breaks a constraint."""

    class Careless:
        def __init__(self) -> None:
            self._catalog = net.publisher().catalog

        def names(self) -> tuple[str, ...]:
            return self._catalog.names()

        def get(self, name: str) -> object:
            kind = self._catalog.get(name)

            class Type:
                name, version, compartments, fields = kind.name, kind.version, kind.compartments, kind.fields
                encode = staticmethod(kind.encode)

                @staticmethod
                def validate(body: dict[str, object]) -> dict[str, object]:
                    valid = kind.validate({**body, "ori": "MD0172100"} if body["ori"] == "?" else body)
                    return {**valid, "ori": "?"} if body["ori"] == "?" else valid

            return Type

    publisher = net.publisher()
    publisher.catalog = Careless()  # type: ignore[assignment]
    bad = replace(trace(2), body={**trace(2).body, "ori": "?"})
    async with publisher:
        answers = await publisher.publish_many([(trace(1), None), (bad, None), (trace(3), None)])
        await publisher.drain()
    await net.route()
    sink = ListSink()
    await net.receive(sink)
    good = [answer for answer in answers if isinstance(answer, Published)]
    assert sink.ids == [good[0].event_id, good[2].event_id]
    [row] = net.inboxes[ATF].rejected
    assert row.event_id == good[1].event_id.hex()
    assert row.code.startswith("event.")
    assert row.publisher == JCF
    assert net.observer.total("cgi_gaps") == 0, "it came: no gap"


async def test_a_type_that_the_catalog_does_not_have_is_refused_and_is_no_gap(net: Net) -> None:
    await publish(net, 1, 2)
    await net.route()

    class Older:
        def get(self, name: str) -> object:
            return net.publisher().catalog.get(name.replace("trace", "older"))

    sink = ListSink()
    await net.receive(sink, using=Older())  # type: ignore[arg-type]
    assert not sink.events
    assert [row.code for row in net.inboxes[ATF].rejected] == ["event.type_unknown"] * 2
    assert net.observer.total("cgi_gaps") == 0


async def test_a_sink_that_refuses_one_event_gets_the_others(net: Net) -> None:
    ids = await publish(net, *range(4))
    await net.route()
    other = ListSink("other")
    sink = ListSink(
        "picky",
        refuse=lambda event: SinkRefusal("not this") if event.event_id == ids[2] else None,
    )
    await net.receive(other, sink)
    assert other.ids == ids
    assert sink.ids == [ids[0], ids[1], ids[3]]
    [row] = net.inboxes[ATF].rejected
    assert (row.sink, row.event_id, row.code) == ("picky", ids[2].hex(), "test.sink_refuses")


async def test_an_expired_event_reaches_no_sink(net: Net) -> None:
    await publish(net, 1)
    await net.route()
    net.world.expires_at_ms += 10**12
    net.update_directory()
    net.clock.jump(20 * 86_400)
    event = trace(2)
    assert event.expires_at_ms > net.clock.now_ms()
    async with net.publisher() as publisher:
        await publisher.publish(replace(event, expires_at_ms=net.clock.now_ms() + 1000))
    await net.route()
    net.clock.jump(2)
    sink = ListSink()
    await net.receive(sink)
    assert len(sink.events) == 1
    assert net.observer.total("cgi_events_total", outcome="filtered", reason="event.expired") == 1


async def test_content_is_filtered_and_no_gap(net: Net) -> None:
    class OnlyOdd:
        def matches(self, event: OpenedEvent) -> Decision:
            odd = int(event.body["firearm"]["serial_raw"][2:]) % 2 == 1
            return Decision(odd, "subscription.content", "odd numbers")

    ids = await publish(net, 1, 2, 3)
    await net.route()
    sink = ListSink()
    await net.receive(sink, content=OnlyOdd())
    assert sink.ids == [ids[0], ids[2]]
    assert net.observer.total("cgi_events_total", outcome="filtered", reason="subscription.content") == 1


# --- what is missing --------------------------------------------------------------------------------------------------


async def test_a_lost_record_is_reported_after_its_grace_and_once(net: Net) -> None:
    await publish(net, 1, 2, 3)
    await net.route(lose=lambda agency, number: number == 1)
    sink = ListSink()
    async with net.subscriber(sink) as subscriber:
        await run_until(subscriber, lambda: net.committed() == 2)
        assert subscriber.progress().open_gaps == 1
    assert net.observer.total("cgi_alarms_total", code="sequence.gap") == 0
    net.clock.jump(1)
    for _ in range(2):  # and not again after a restart
        async with net.subscriber(sink) as subscriber:
            await run_until(subscriber, lambda: subscriber.progress().step_at_ms is not None)
    assert net.observer.total("cgi_alarms_total", publisher=JCF, code="sequence.gap") == 1
    assert net.observer.total("cgi_gaps", publisher=JCF, explained="no") == 1


async def test_a_late_record_fills_its_gap(net: Net) -> None:
    ids = await publish(net, 1, 2, 3)
    await net.route()
    records = [record.value for record in net.delivered()]
    net.broker._logs[deliver_topic(ATF)] = [[]]
    for value in (records[0], records[2]):
        await deliver(net, value)
    sink = ListSink()
    await net.receive(sink)
    await deliver(net, records[1])
    await net.receive(sink)
    assert sink.ids == [ids[0], ids[2], ids[1]]
    assert net.observer.total("cgi_gaps") == 0
    assert not net.inboxes[ATF].gaps


async def test_a_notice_of_the_hub_explains_a_gap(net: Net) -> None:
    await publish(net, 1, 2, 3)
    await net.route(lose=lambda agency, number: number == 1)
    sink = ListSink()
    await net.receive(sink)
    assert net.observer.total("cgi_gaps", explained="no") == 1
    [instance] = {record.key for record in net.sent()}
    notice = sample_event("hub.notice", 0)
    part = {**notice.body["ranges"][0], "first": 2, "last": 2, "code": "agreement.none"}
    body = {**notice.body, "recipient": ATF, "publisher": JCF, "instance": instance.hex(), "ranges": [part]}
    async with net.publisher(HUB) as hub:
        published = await hub.publish(replace(notice, body=body), to=[ATF])
        assert published.recipients == (ATF,)
    await net.route()
    await net.receive(sink)
    assert net.observer.total("cgi_gaps", publisher=JCF, explained="no") == 0
    assert net.observer.total("cgi_gaps", publisher=JCF, explained="yes") == 1
    assert net.observer.total("cgi_alarms_total") == 0
    assert sink.events[-1].publisher == HUB


async def test_a_notice_that_is_for_another_agency_explains_nothing(net: Net) -> None:
    await publish(net, 1, 2, 3)
    await net.route(lose=lambda agency, number: number == 1)
    [instance] = {record.key for record in net.sent()}
    notice = sample_event("hub.notice", 0)
    part = {**notice.body["ranges"][0], "first": 2, "last": 2, "code": "agreement.none"}
    body = {**notice.body, "recipient": CCGIU, "publisher": JCF, "instance": instance.hex(), "ranges": [part]}
    async with net.publisher(HUB, policy=Forging()) as hub:  # type: ignore[arg-type]
        await hub.publish(replace(notice, body=body))
    await net.route()
    sink = ListSink()
    await net.receive(sink)
    assert len(sink.events) == 3
    assert net.observer.total("cgi_gaps", publisher=JCF, explained="no") == 1


async def test_nobody_but_the_hub_can_explain_a_gap(net: Net) -> None:
    """Policy and router refuse an agency that publishes a hub.notice; the receiver does not rely on it."""
    net.world.agree(HNP, ATF, "hub.notice")
    net.update_directory()
    await publish(net, 1, 2, 3)
    await net.route(lose=lambda agency, number: number == 1)
    sink = ListSink()
    await net.receive(sink)
    [instance] = {record.key for record in net.sent()}
    notice = sample_event("hub.notice", 0)
    part = {**notice.body["ranges"][0], "first": 2, "last": 2}
    body = {**notice.body, "recipient": ATF, "publisher": JCF, "instance": instance.hex(), "ranges": [part]}

    async with net.publisher(HNP, policy=Forging()) as publisher:  # type: ignore[arg-type]
        await publisher.publish(replace(notice, body=body))
    bundle = verify_ingest(
        net.broker.records(ingest_topic(HNP))[0].value,
        owner=HNP,
        hub=HUB,
        directory=net.directory.current(),
        now_ms=net.clock.now_ms(),
        flushes=FlushCache(),
    )
    await deliver(net, bundle.delivery(ATF))
    await net.receive(sink)
    assert net.observer.total("cgi_gaps", publisher=JCF, explained="no") == 1


# --- what must wait ---------------------------------------------------------------------------------------------------


async def test_a_bundle_under_a_newer_directory_holds_its_partition_alone(net: Net) -> None:
    net.broker._logs[deliver_topic(ATF)] = [[], []]
    old = net.directory.given
    net.world.version += 1
    new = net.update_directory()
    [late] = await publish(net, 1)
    await net.route()
    net.directory.given = old
    [early] = await publish(net, 2, agency=HNP)
    await net.route()
    values = [record.value for record in net.delivered()]
    by_partition = {net.broker._partition(key, 2): key for key in (bytes([n]) for n in range(9))}
    net.broker._logs[deliver_topic(ATF)] = [[], []]
    for value in values:
        publisher = parse_head(parse_delivered(value).head).core.lane.publisher
        await deliver(net, value, by_partition[0 if publisher == JCF else 1])
    sink = ListSink()
    async with net.subscriber(sink) as subscriber, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(subscriber.run())
        while not sink.events:
            await asyncio.sleep(0.005)
        await until(lambda: subscriber.progress().waiting_partitions == 1)
        assert sink.ids == [early]
        assert subscriber.progress().failing_code == "directory.behind"
        net.directory.given = new
        while len(sink.events) < 2:
            await asyncio.sleep(0.005)
        subscriber.stop()
    assert sink.ids == [early, late]


async def test_a_newer_directory_is_not_waited_for_for_ever(net: Net) -> None:
    """Spec 12.2: after 10 minutes the record is refused under directory.behind."""
    old = net.directory.given
    net.world.version += 1
    net.update_directory()
    await publish(net, 1)
    await net.route()
    net.directory.given = old
    async with net.subscriber(ListSink()) as subscriber, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(subscriber.run())
        while subscriber.progress().waiting_partitions == 0:
            await asyncio.sleep(0.005)
        net.clock.jump(601)
        while not net.committed():
            await asyncio.sleep(0.005)
        subscriber.stop()
    assert [row.code for row in net.inboxes[ATF].rejected] == ["directory.behind"]


async def test_versions_that_flushes_name_and_what_waits_for_them_are_shown(net: Net) -> None:
    await publish(net, 1)
    first = net.world.version
    net.world.version += 3
    new = net.world.directory()
    old, net.directory.given = net.directory.given, new
    await publish(net, 2)
    await net.route()
    net.directory.given = old
    async with net.subscriber(ListSink()) as subscriber, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(subscriber.run())
        await until(lambda: net.observer.total("cgi_held_partitions", code="directory.behind"))
        assert net.observer.total("cgi_named_directory_version", publisher=JCF) == first + 3
        net.directory.given = new
        await until(lambda: net.committed() == 2)
        await until(lambda: not net.observer.total("cgi_held_partitions", code="directory.behind"))
        subscriber.stop()


async def test_a_site_that_was_away_while_its_publishers_key_was_revoked(net: Net) -> None:
    """What the broker appended before counts, also where the router was late; what came after is refused."""
    first = await publish(net, 1)
    await net.route()
    second = await publish(net, 2)
    net.clock.jump(5 * 86_400)
    net.world.revoke_signing_key(JCF, at_ms=net.clock.now_ms() - 1_000)
    net.update_directory()
    await net.route()  # the router was away, and reads the second now
    await deliver(net, net.delivered()[0].value)  # appended now, whatever its flush says
    net.clock.jump(9 * 86_400)
    sink = ListSink()
    await net.receive(sink)
    assert sink.ids == first + second
    assert [row.code for row in net.inboxes[ATF].rejected] == ["signing_key.revoked"]


async def test_a_destroyed_kem_key_stops_opening_without_a_restart(net: Net) -> None:
    sink, keys = ListSink(), net.world.keys[ATF]
    async with (
        net.subscriber(sink) as subscriber,
        net.publisher() as publisher,
        asyncio.timeout(60),
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(subscriber.run())
        first = await publisher.publish(trace(1))
        await publisher.drain()
        await net.route()
        await until(lambda: sink.events)
        await publisher.publish(trace(2))  # in the same lane: its DEKs were opened already
        await publisher.drain()
        key = net.world.rotate_kem_key(ATF)
        keys.kem_entries, keys.kem_all = keys.kem_entries[1:], [key]
        net.update_directory()
        net.clock.jump(2)
        await net.route()
        await until(lambda: net.inboxes[ATF].rejected)
        third = await publisher.publish(trace(3))  # to the new one, which is used at once
        await publisher.drain()
        await net.route()
        await until(lambda: len(sink.events) == 2)
        subscriber.stop()
    assert sink.ids == [first.event_id, third.event_id]
    assert [row.code for row in net.inboxes[ATF].rejected] == ["wrap.key_missing"]
    assert net.observer.total("cgi_kem_keys", state="held") == 1


async def test_a_kem_key_that_partners_seal_to_and_that_is_not_here_is_counted(net: Net) -> None:
    key = net.world.rotate_kem_key(ATF)
    net.update_directory()
    net.world.keys[ATF].kem_all.remove(key)
    async with net.subscriber(ListSink()) as subscriber:
        await run_until(subscriber, lambda: net.observer.total("cgi_kem_keys", state="absent") == 1)
    assert net.observer.total("cgi_kem_keys", state="held") == 1


async def test_a_listed_kem_key_that_is_not_at_hand_is_waited_for(net: Net) -> None:
    key = net.world.rotate_kem_key(ATF)
    net.update_directory()
    net.world.keys[ATF].kem_all.remove(key)
    [wanted] = await publish(net, 1)
    await net.route()
    sink = ListSink()
    async with net.subscriber(sink) as subscriber, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(subscriber.run())
        while subscriber.progress().waiting_partitions == 0:
            await asyncio.sleep(0.005)
        assert subscriber.progress().failing_code == KemKeyAbsent.code
        net.world.keys[ATF].kem_all.append(key)
        while not net.committed():
            await asyncio.sleep(0.005)
        subscriber.stop()
    assert sink.ids == [wanted]


async def test_a_kem_key_that_is_not_listed_any_more_is_a_refusal(net: Net) -> None:
    await publish(net, 1)
    await net.route()
    keys = net.world.keys[ATF]
    key = net.world.rotate_kem_key(ATF)
    keys.kem_entries, keys.kem_all = keys.kem_entries[1:], [key]
    net.update_directory()
    await net.receive(ListSink())
    assert [row.code for row in net.inboxes[ATF].rejected] == ["wrap.key_missing"]


# --- owners and endings -----------------------------------------------------------------------------------------------


async def test_two_subscribers_on_one_inbox_are_caught(net: Net) -> None:
    async with net.subscriber(ListSink()):
        with pytest.raises(StoreInUse):
            async with net.subscriber(ListSink()):
                pass


def test_two_sinks_of_one_name_are_refused(net: Net) -> None:
    with pytest.raises(ConfigError):
        net.subscriber(ListSink(), ListSink())


async def test_a_broker_that_refuses_for_good_ends_the_run(net: Net) -> None:
    consumer = net.broker.consumer(group="ATF.main", topics=["deliver.NOBODY"])
    async with net.subscriber(ListSink(), consumer=consumer) as subscriber:
        with pytest.raises(ConfigError):
            await subscriber.run()


async def test_a_sink_that_cannot_work_ends_the_run(net: Net) -> None:
    class Broken(ListSink):
        async def open(self, state: object) -> None:
            raise ConfigError("the file is another's")

    async with net.subscriber(Broken()) as subscriber:
        with pytest.raises(ConfigError):
            await subscriber.run()


async def test_stopping_is_prompt_also_while_something_is_away(net: Net) -> None:
    net.broker.go_away()
    async with (
        net.subscriber(ListSink(), limits=replace(QUICK_SUBSCRIBER, retry_first=30, retry_most=60)) as subscriber,
        asyncio.timeout(20),
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(subscriber.run())
        await asyncio.sleep(0.05)
        subscriber.stop()


async def test_what_is_kept_of_refused_records_is_bounded(net: Net) -> None:
    inbox = MemoryInbox(net.inbox()._memory, agency=ATF, rejected_rows=3)
    for number in range(5):
        await deliver(net, b"not a record %d" % number)
    await net.receive(ListSink(), inbox=inbox)
    assert [row.raw[-1:] for row in net.inboxes[ATF].rejected] == [b"2", b"3", b"4"]


async def test_a_damaged_state_is_an_error_not_a_fresh_start(net: Net) -> None:
    await publish(net, 1)
    await net.route()
    await net.receive(ListSink())
    memory = net.inboxes[ATF]
    memory.streams = {key: value[:-1] for key, value in memory.streams.items()}
    async with net.subscriber(ListSink()) as subscriber:
        with pytest.raises(HubError):
            await subscriber.run()
