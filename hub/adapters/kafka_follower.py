"""Follows one topic outside every consumer group: each time what came since; and reads one record by its place.

The operator's console watches topics so: it commits nothing, disturbs nobody, and after a failure goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka

from hub.adapters import kafka_records
from hub.adapters.tls import TlsFiles, client_context
from hub.errors import BusNotAuthorized, BusTopicUnknown, BusUnavailable
from hub.ports import IncomingRecord

kafka_records.install()

_SECONDS: Final = 20.0
"""For each answer of the broker."""


class TopicFollower:
    """``topic`` from its beginning, or from the first record at or after ``since_ms``. For one task at a time."""

    def __init__(self, bootstrap: str, tls: TlsFiles, topic: str, *, since_ms: int | None = None) -> None:
        self._bootstrap = bootstrap
        self._tls = tls
        self._topic = topic
        self._since_ms = since_ms
        self._next: dict[int, int] = {}
        self._consumer: AIOKafkaConsumer | None = None

    async def new(self) -> AsyncGenerator[IncomingRecord, None]:
        """Every record up to what is the end when the reading begins that was not given before, in order by partition.

        Raises ``BusUnavailable``, ``BusNotAuthorized``, ``BusTopicUnknown``, ``TlsFileInvalid``; the next call goes on
        after the last record that was given.
        """
        try:
            consumer = self._consumer or await self._start()
            async with asyncio.timeout(_SECONDS):
                partitions = consumer.assignment()
                ends = await consumer.end_offsets(partitions)
            while True:
                async with asyncio.timeout(_SECONDS):
                    if not [True for each in partitions if await consumer.position(each) < ends[each]]:
                        return
                    got = await consumer.getmany(timeout_ms=500, max_records=100)
                for records in got.values():
                    for record in records:
                        self._next[record.partition] = record.offset + 1
                        yield _incoming(record)
        except (kafka.KafkaError, TimeoutError, OSError) as error:
            await self.stop()
            raise _translate(error, self._topic, self._bootstrap) from error
        except GeneratorExit:
            await self.stop()  # what was fetched and not given is fetched again
            raise

    async def stop(self) -> None:
        """Let the connection go; :meth:`new` makes another one."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _start(self) -> AIOKafkaConsumer:
        consumer = _consumer(self._bootstrap, self._tls, self._topic)
        try:
            async with asyncio.timeout(_SECONDS):
                await consumer.start()
                partitions = _partitions(consumer, self._topic)
                since = (
                    {}
                    if self._since_ms is None
                    else await consumer.offsets_for_times(dict.fromkeys(partitions, self._since_ms))
                )
                ends = await consumer.end_offsets(partitions) if since else {}
                for each in partitions:
                    if each.partition in self._next:
                        consumer.seek(each, self._next[each.partition])
                    elif since:
                        found = since.get(each)
                        consumer.seek(each, ends[each] if found is None else found.offset)
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        return consumer


async def read_record(bootstrap: str, tls: TlsFiles, topic: str, partition: int, offset: int) -> IncomingRecord | None:
    """The record at a place; ``None`` where none stands there any more.

    Raises ``BusUnavailable``, ``BusNotAuthorized``, ``BusTopicUnknown``, ``TlsFileInvalid``.
    """
    consumer = _consumer(bootstrap, tls, topic)
    place = TopicPartition(topic, partition)
    try:
        async with asyncio.timeout(_SECONDS):
            await consumer.start()
            if place not in _partitions(consumer, topic):
                return None
            begins, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
            if not begins[place] <= offset < ends[place]:
                return None
            consumer.seek(place, offset)
            record = await consumer.getone(place)
            return _incoming(record) if record.offset == offset else None
    except (kafka.KafkaError, TimeoutError, OSError) as error:
        raise _translate(error, topic, bootstrap) from error
    finally:
        await consumer.stop()


def _consumer(bootstrap: str, tls: TlsFiles, topic: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        security_protocol="SSL",
        ssl_context=client_context(tls),
        group_id=None,  # every partition, and nothing is committed
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        check_crcs=True,
    )


def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    found = sorted(consumer.assignment())
    if not found:
        raise kafka.UnknownTopicOrPartitionError(topic)
    return found


def _incoming(record: Any) -> IncomingRecord:
    return IncomingRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value or b"",
        tuple(record.headers),
    )


def _translate(error: Exception, topic: str, bootstrap: str) -> Exception:
    match error:
        case kafka.UnknownTopicOrPartitionError():
            return BusTopicUnknown("no such topic, or not for us", topic=topic)
        case kafka.TopicAuthorizationFailedError() | kafka.AuthenticationFailedError():
            return BusNotAuthorized("refused by the broker", topic=topic)
        case _:
            return BusUnavailable("the broker does not answer", what=str(error), bootstrap=bootstrap)
