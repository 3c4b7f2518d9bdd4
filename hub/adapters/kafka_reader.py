"""Reads one topic from its beginning to what is its end now, outside every consumer group: it disturbs nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka

from hub.adapters import kafka_records
from hub.adapters.tls import TlsFiles, client_context
from hub.errors import BusNotAuthorized, BusTopicUnknown, BusUnavailable
from hub.ports import IncomingRecord

kafka_records.install()

_SECONDS: Final = 20.0
"""For each answer of the broker."""


async def read_topic(bootstrap: str, tls: TlsFiles, topic: str) -> AsyncGenerator[IncomingRecord, None]:
    """Every record that stands in ``topic`` when the reading begins, partition by partition mixed, each in order.

    Raises ``BusUnavailable``, ``BusNotAuthorized``, ``BusTopicUnknown``, ``TlsFileInvalid``.
    """
    consumer = AIOKafkaConsumer(
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
    try:
        async with asyncio.timeout(_SECONDS):
            await consumer.start()
            partitions = consumer.assignment()
            ends = await consumer.end_offsets(partitions)
        while True:
            async with asyncio.timeout(_SECONDS):
                if not [True for each in partitions if await consumer.position(each) < ends[each]]:
                    return
                got = await consumer.getmany(timeout_ms=500)
            for records in got.values():
                for record in records:
                    yield IncomingRecord(
                        record.topic,
                        record.partition,
                        record.offset,
                        record.timestamp,
                        record.key,
                        record.value or b"",
                        appended_ms=kafka_records.appended_ms(record),
                    )
    except kafka.UnknownTopicOrPartitionError as error:
        raise BusTopicUnknown("no such topic", topic=topic) from error
    except (kafka.TopicAuthorizationFailedError, kafka.AuthenticationFailedError) as error:
        raise BusNotAuthorized("refused by the broker", topic=topic) from error
    except (kafka.KafkaError, TimeoutError, OSError) as error:
        raise BusUnavailable("the broker does not answer", what=str(error), bootstrap=bootstrap) from error
    finally:
        await consumer.stop()
