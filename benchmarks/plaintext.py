"""The peer: what a user would write with aiokafka, pydantic and fastavro, one plaintext event a record.

It is tuned as a careful user would: acknowledgements by all replicas, idempotence, a linger, batches, offsets committed
after what they caused was acknowledged. It decodes at the router to route by content, since nothing hides it there.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import fastavro
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.pace import paced
from benchmarks.result import StageResult, measured
from benchmarks.world import World


def _context(world: World) -> ssl.SSLContext:
    tls = world.tls["operator"]
    context = ssl.create_default_context(cafile=tls.ca)
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def _producer(world: World) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=world.bootstrap,
        security_protocol="SSL",
        ssl_context=_context(world),
        acks="all",
        enable_idempotence=True,
        linger_ms=world.linger_ms,
        max_batch_size=512 * 1024,
        max_request_size=1024 * 1024,
    )


def _consumer(world: World, topic: str, group: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=world.bootstrap,
        security_protocol="SSL",
        ssl_context=_context(world),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )


async def _batches(consumer: AIOKafkaConsumer, wanted: int) -> AsyncIterator[list[Any]]:
    done = 0
    while done < wanted:
        fetched = await consumer.getmany(timeout_ms=200, max_records=2000)
        for records in fetched.values():
            done += len(records)
            yield records


async def publish(world: World, events: int, rate: float) -> AsyncIterator[StageResult | None]:
    """Validate with pydantic, encode with fastavro, send: one record an event."""
    kind = world.event_type
    schema = fastavro.parse_schema(world.plaintext_schema())
    async with _producer(world) as producer:
        yield None
        with measured("publish", events) as result:
            futures = []
            async for number in paced(events, rate):
                body = world.body(number)
                kind.model.model_validate(body)
                buffer = io.BytesIO()
                fastavro.schemaless_writer(buffer, schema, body)
                value = buffer.getvalue()
                result.bytes += len(value)
                futures.append(
                    await producer.send(
                        world.plaintext_ingest, value, key=b"instance", timestamp_ms=int(time.time() * 1000)
                    )
                )
                if len(futures) >= 5000:
                    await asyncio.gather(*futures)
                    futures.clear()
            await asyncio.gather(*futures)
        yield result


async def route(world: World, events: int, rate: float) -> AsyncIterator[StageResult | None]:
    """Decode, decide by content, send the record to each recipient that may have it, commit."""
    schema = fastavro.parse_schema(world.plaintext_schema())
    consumer = _consumer(world, world.plaintext_ingest, f"hub.router-plain-{world.run}")
    async with consumer, _producer(world) as producer:
        yield None
        with measured("route", events) as result:
            async for records in _batches(consumer, events):
                futures = []
                for record in records:
                    body: Any = fastavro.schemaless_reader(io.BytesIO(record.value), schema, None)
                    for topic in world.plaintext_recipients(body):
                        result.bytes += len(record.value)
                        futures.append(
                            await producer.send(topic, record.value, key=record.key, timestamp_ms=record.timestamp)
                        )
                await asyncio.gather(*futures)
                await consumer.commit()
        yield result


async def receive(world: World, events: int, rate: float, agency: str) -> AsyncIterator[StageResult | None]:
    """Decode and validate each record, commit."""
    kind = world.event_type
    schema = fastavro.parse_schema(world.plaintext_schema())
    consumer = _consumer(world, world.plaintext_delivery(agency), f"{agency}.plain-{world.run}")
    async with consumer:
        yield None
        with measured("receive", events) as result:
            async for records in _batches(consumer, events):
                for record in records:
                    body: Any = fastavro.schemaless_reader(io.BytesIO(record.value), schema, None)
                    kind.model.model_validate(body)
                    result.bytes += len(record.value)
                    result.latencies_ms.append(time.time() * 1000 - record.timestamp)
                await consumer.commit()
        yield result
