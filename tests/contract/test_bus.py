"""The contract of hub.ports.BusProducer and BusConsumer, run against the memory broker and against the real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from hub.errors import BusNotAuthorized, BusRebalanced, BusRecordTooLarge, BusTopicUnknown, ConfigError
from hub.ports import BusConsumer, IncomingRecord, OutgoingRecord
from tests.support.bus import Bus, KafkaBus, MemoryBus

LONGEST_WAIT = 15.0


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.broker)])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryBus(stack)
        else:
            yield KafkaBus(stack, request.getfixturevalue("broker"))


async def read(consumer: BusConsumer, wanted: int) -> list[IncomingRecord]:
    """Poll until ``wanted`` records came."""
    got: list[IncomingRecord] = []
    async with asyncio.timeout(LONGEST_WAIT):
        while len(got) < wanted:
            got += await consumer.poll(max_records=100, wait=0.5)
    return got


def records(topic: str, values: Sequence[bytes], key: bytes | None = b"k") -> list[OutgoingRecord]:
    return [OutgoingRecord(topic, key, value) for value in values]


def next_offsets(got: Sequence[IncomingRecord]) -> dict[tuple[str, int], int]:
    return {(record.topic, record.partition): record.offset + 1 for record in got}


async def test_a_record_arrives_as_it_was_sent(bus: Bus) -> None:
    topic = await bus.topic()
    producer = await bus.producer()
    await producer.send([OutgoingRecord(topic, b"key", b"value", (("h", b"1"), ("h", b"2")))])
    (got,) = await read(await bus.consumer(topics=[topic]), 1)
    assert (got.topic, got.partition, got.offset) == (topic, 0, 0)
    assert (got.key, got.value, got.headers) == (b"key", b"value", (("h", b"1"), ("h", b"2")))
    assert got.timestamp_ms > 1_600_000_000_000


async def test_a_producer_that_is_stopped_as_soon_as_it_has_started(bus: Bus) -> None:
    topic = await bus.topic()
    producer = await bus.producer()
    await producer.stop()
    await producer.start()
    await producer.send(records(topic, [b"value"]))


async def test_the_broker_says_when_it_appended_a_record(bus: Bus) -> None:
    topic = await bus.topic()
    said = await (await bus.producer()).send(records(topic, [b"1", b"2"]))
    got = await read(await bus.consumer(topics=[topic]), 2)
    assert said == max(record.timestamp_ms for record in got)
    assert [record.appended_ms for record in got] == [record.timestamp_ms for record in got]


async def test_a_writers_own_time_is_not_taken_for_the_brokers(bus: Bus) -> None:
    topic = await bus.topic(append_time=False)
    assert await (await bus.producer()).send(records(topic, [b"1"])) is None
    (got,) = await read(await bus.consumer(topics=[topic]), 1)
    assert got.appended_ms is None
    assert got.timestamp_ms > 1_600_000_000_000


async def test_a_record_without_key_and_an_empty_value_arrive(bus: Bus) -> None:
    topic = await bus.topic()
    await (await bus.producer()).send([OutgoingRecord(topic, None, b"")])
    (got,) = await read(await bus.consumer(topics=[topic]), 1)
    assert (got.key, got.value) == (None, b"")


async def test_sending_nothing_is_right(bus: Bus) -> None:
    await (await bus.producer()).send([])


async def test_the_order_of_one_key_is_kept_within_and_between_calls(bus: Bus) -> None:
    topic = await bus.topic(partitions=3)
    producer = await bus.producer()
    values = [b"%d" % n for n in range(300)]
    for start in (0, 100, 200):
        await producer.send([r for v in values[start : start + 100] for r in records(topic, [v], key=b"one instance")])
    got = await read(await bus.consumer(topics=[topic]), 300)
    assert [record.value for record in got] == values
    assert len({record.partition for record in got}) == 1


async def test_records_of_900_kilobytes_pass_and_larger_ones_are_refused(bus: Bus) -> None:
    topic = await bus.topic()
    producer = await bus.producer()
    big = bytes(900_000)
    await producer.send(records(topic, [big, big]))
    with pytest.raises(BusRecordTooLarge):
        await producer.send(records(topic, [bytes(1_100_000)]))
    await producer.send(records(topic, [b"after"]))
    got = await read(await bus.consumer(topics=[topic]), 3)
    assert [record.value for record in got] == [big, big, b"after"]


async def test_many_large_records_to_many_partitions_pass_in_one_call(bus: Bus) -> None:
    topic = await bus.topic(partitions=16)
    values = [b"%d" % number + bytes(800_000) for number in range(30)]
    await (await bus.producer()).send([r for n, v in enumerate(values) for r in records(topic, [v], key=b"%d" % n)])
    got = await read(await bus.consumer(topics=[topic]), 30)
    assert {record.value for record in got} == set(values)


async def test_poll_gives_no_more_than_asked_and_nothing_when_there_is_nothing(bus: Bus) -> None:
    topic = await bus.topic()
    await (await bus.producer()).send(records(topic, [b"%d" % n for n in range(10)]))
    consumer = await bus.consumer(topics=[topic])
    await read_one(consumer)
    assert len(await consumer.poll(max_records=4, wait=5)) == 4
    await read(consumer, 5)
    assert list(await consumer.poll(max_records=4, wait=0.1)) == []


async def read_one(consumer: BusConsumer) -> IncomingRecord:
    async with asyncio.timeout(LONGEST_WAIT):
        while True:
            for record in await consumer.poll(max_records=1, wait=0.5):
                return record


async def test_poll_wakes_when_a_record_comes(bus: Bus) -> None:
    topic = await bus.topic()
    producer, consumer = await bus.producer(), await bus.consumer(topics=[topic])
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(consumer.poll(max_records=10, wait=LONGEST_WAIT))
        await asyncio.sleep(0.05)
        await producer.send(records(topic, [b"x"]))
    assert [record.value for record in waiting.result()] == [b"x"]


async def test_nothing_is_committed_unless_asked(bus: Bus) -> None:
    topic, group = await bus.topic(), bus.group()
    await (await bus.producer()).send(records(topic, [b"a", b"b", b"c"]))
    first = await bus.consumer(topics=[topic], group=group)
    got = await read(first, 3)
    await first.stop()
    second = await bus.consumer(topics=[topic], group=group)
    again = await read(second, 3)
    assert again == got
    await second.commit({(topic, 0): 2})
    await second.stop()
    third = await bus.consumer(topics=[topic], group=group)
    assert [record.value for record in await read(third, 1)] == [b"c"]


@pytest.mark.parametrize("committed", [None, 0, 2])
async def test_seek_to_committed_reads_everything_later_again(bus: Bus, committed: int | None) -> None:
    topic = await bus.topic()
    await (await bus.producer()).send(records(topic, [b"a", b"b", b"c"]))
    consumer = await bus.consumer(topics=[topic])
    await read(consumer, 3)
    if committed is not None:
        await consumer.commit({(topic, 0): committed})
    await consumer.seek_to_committed()
    again = await read(consumer, 3 - (committed or 0))
    assert [record.offset for record in again] == [0, 1, 2][committed or 0 :]


async def test_seek_to_committed_of_many_partitions_where_nothing_was_committed(bus: Bus) -> None:
    topic = await bus.topic(partitions=90)  # as a router of 30 quiet agencies has
    await (await bus.producer()).send(records(topic, [b"a"]))
    consumer = await bus.consumer(topics=[topic])
    assert [record.value for record in await read(consumer, 1)] == [b"a"]
    await consumer.seek_to_committed()
    assert [record.value for record in await read(consumer, 1)] == [b"a"]


async def test_members_of_a_group_share_the_partitions(bus: Bus) -> None:
    topic, group = await bus.topic(partitions=2), bus.group()
    first = await bus.consumer(topics=[topic], group=group)
    assert first.assignment() == {(topic, 0), (topic, 1)}
    before = first.generation()
    second = await bus.consumer(topics=[topic], group=group)
    async with asyncio.timeout(LONGEST_WAIT):
        while len(first.assignment()) != 1 or len(second.assignment()) != 1:
            await first.poll(max_records=1, wait=0.1)
            await second.poll(max_records=1, wait=0.1)
    assert first.assignment() | second.assignment() == {(topic, 0), (topic, 1)}
    assert first.generation() != before


async def test_what_was_polled_before_a_rebalance_cannot_be_committed_and_comes_again(bus: Bus) -> None:
    topic, group = await bus.topic(partitions=2), bus.group()
    await (await bus.producer()).send([r for n in range(20) for r in records(topic, [b"%d" % n], key=b"%d" % n)])
    first = await bus.consumer(topics=[topic], group=group)
    held = await read(first, 20)
    before = first.generation()
    second = await bus.consumer(topics=[topic], group=group)
    async with asyncio.timeout(LONGEST_WAIT):
        while first.generation() == before:  # a port has no event for it
            await asyncio.sleep(0.05)
    with pytest.raises(BusRebalanced):
        await first.commit(next_offsets(held))
    seen: set[bytes] = set()
    async with asyncio.timeout(LONGEST_WAIT):
        while len(seen) < 20:
            for consumer in (first, second):
                seen |= {record.value for record in await consumer.poll(max_records=100, wait=0.1)}
    assert seen == {record.value for record in held}


async def test_what_was_polled_before_a_rebalance_cannot_be_committed_even_by_who_kept_its_partition(bus: Bus) -> None:
    topic, group = await bus.topic(), bus.group()
    await (await bus.producer()).send(records(topic, [b"a"]))
    first = await bus.consumer(topics=[topic], group=group)
    held = await read(first, 1)
    before = first.generation()
    second = await bus.consumer(topics=[topic], group=group)
    async with asyncio.timeout(LONGEST_WAIT):
        while first.generation() == before or not first.assignment() | second.assignment():
            await asyncio.sleep(0.05)
    with pytest.raises(BusRebalanced):
        await first.commit(next_offsets(held))


async def test_a_partition_of_another_member_cannot_be_committed(bus: Bus) -> None:
    topic = await bus.topic()
    await (await bus.producer()).send(records(topic, [b"a"]))
    consumer = await bus.consumer(topics=[topic])
    await read(consumer, 1)
    with pytest.raises(BusRebalanced):
        await consumer.commit({(topic, 7): 1})


async def test_lag_counts_what_was_not_polled(bus: Bus) -> None:
    topic = await bus.topic()
    await (await bus.producer()).send(records(topic, [b"%d" % n for n in range(10)]))
    consumer = await bus.consumer(topics=[topic])
    assert await consumer.lag() == {(topic, 0): 10}
    await read(consumer, 10)
    assert await consumer.lag() == {(topic, 0): 0}


async def test_a_pattern_follows_topics_that_come_later(bus: Bus) -> None:
    early = await bus.topic(name="ingest")
    producer = await bus.producer()
    consumer = await bus.consumer(pattern=early.rsplit(".", 1)[0] + r"\..+")
    await producer.send(records(early, [b"early"]))
    assert [record.value for record in await read(consumer, 1)] == [b"early"]
    late = await bus.topic(name="late", beside=early)
    await producer.send(records(late, [b"late"]))
    got: list[IncomingRecord] = []
    async with asyncio.timeout(LONGEST_WAIT):
        while b"late" not in {record.value for record in got}:
            got += await consumer.poll(max_records=100, wait=0.2)


async def test_an_unknown_topic_is_an_error_of_configuration(bus: Bus) -> None:
    producer = await bus.producer()
    with pytest.raises(BusTopicUnknown):
        await producer.send(records("no.such.topic", [b"x"]))
    with pytest.raises(BusTopicUnknown):
        await bus.consumer(topics=["no.such.topic"])


async def test_who_may_not_write_or_read_is_refused(bus: Bus) -> None:
    topic = await bus.topic()
    with pytest.raises(BusNotAuthorized):
        await (await bus.producer(principal="STRANGER")).send(records(topic, [b"x"]))
    with pytest.raises(BusNotAuthorized):
        await bus.consumer(topics=[topic], principal="STRANGER")


async def test_a_consumer_reads_topics_or_a_pattern_and_not_both(bus: Bus) -> None:
    for topics, pattern in (([], None), (["a"], "b")):
        with pytest.raises(ConfigError):
            await bus.consumer(topics=topics, pattern=pattern)


# --- holding a partition ---------------------------------------------------------------------------------------------


async def two_partitions(bus: Bus) -> tuple[str, BusConsumer, list[IncomingRecord]]:
    """A topic with records in both of its partitions, a consumer that has read them all, and what it read."""
    topic = await bus.topic(partitions=2)
    await (await bus.producer()).send(
        [OutgoingRecord(topic, b"key %d" % (number % 16), b"%d" % number) for number in range(32)]
    )
    consumer = await bus.consumer(topics=[topic])
    got = await read(consumer, 32)
    assert {record.partition for record in got} == {0, 1}
    return topic, consumer, got


async def test_a_held_partition_waits_and_goes_on_from_its_offset_while_the_other_flows(bus: Bus) -> None:
    topic, consumer, got = await two_partitions(bus)
    ours = [record for record in got if record.partition == 0]
    await consumer.hold({(topic, 0): ours[1].offset})
    await (await bus.producer()).send([OutgoingRecord(topic, record.key, b"again") for record in got])
    later = await read(consumer, len(got) - len(ours))
    assert {record.partition for record in later} == {1}
    assert not await consumer.poll(max_records=100, wait=0.3)
    await consumer.release([(topic, 0)])
    back = await read(consumer, len(ours) - 1 + len(ours))
    assert [record.offset for record in back] == list(range(ours[1].offset, ours[1].offset + 2 * len(ours) - 1))
    assert {record.partition for record in back} == {0}


async def test_what_was_read_ahead_of_a_hold_is_not_given(bus: Bus) -> None:
    topic = await bus.topic()
    await (await bus.producer()).send(records(topic, [b"%d" % number for number in range(20)]))
    consumer = await bus.consumer(topics=[topic])
    async with asyncio.timeout(LONGEST_WAIT):
        while not (got := await consumer.poll(max_records=5, wait=0.5)):
            pass
    await consumer.hold({(topic, 0): got[0].offset})
    assert not await consumer.poll(max_records=100, wait=0.3)
    await consumer.release([(topic, 0)])
    assert [record.value for record in await read(consumer, 20)] == [b"%d" % number for number in range(20)]


async def test_going_back_ends_every_hold(bus: Bus) -> None:
    topic, consumer, _ = await two_partitions(bus)
    await consumer.hold({(topic, 0): 0, (topic, 1): 0})
    await consumer.seek_to_committed()
    assert len(await read(consumer, 32)) == 32


async def test_a_hold_of_what_is_not_assigned_is_left_out(bus: Bus) -> None:
    topic, consumer, _ = await two_partitions(bus)
    await consumer.hold({(topic, 7): 0})
    await consumer.release([(topic, 7), (topic, 0)])
    assert not await consumer.poll(max_records=10, wait=0.2)
