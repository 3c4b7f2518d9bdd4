"""The two buses that the contract suite runs on: how a test gets topics, producers and consumers of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Protocol

from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.memory import MemoryBroker, Operation
from hub.adapters.tls import TlsFiles
from hub.ports import BusConsumer, BusProducer
from tests.support.broker import Broker

_serial = count(1)
OPERATOR = "OPERATOR"


class Bus(Protocol):
    """What a test of the contract needs. Producers and consumers are started, and stopped after the test."""

    async def topic(
        self, *, partitions: int = 1, name: str = "topic", beside: str | None = None, append_time: bool = True
    ) -> str: ...

    def group(self) -> str: ...

    async def producer(self, *, principal: str = OPERATOR) -> BusProducer: ...

    async def consumer(
        self,
        *,
        topics: Sequence[str] = (),
        pattern: str | None = None,
        group: str | None = None,
        principal: str = OPERATOR,
    ) -> BusConsumer: ...


def topic_name(name: str, beside: str | None) -> str:
    """A name that no other test has; ``beside`` another topic it differs in the last part only."""
    folder = f"test{next(_serial)}" if beside is None else beside.rsplit(".", 1)[0]
    return f"{folder}.{name}"


def operator_only(principal: str, _operation: Operation, _resource: str) -> bool:
    return principal == OPERATOR


class MemoryBus:
    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._broker = MemoryBroker(authorizer=operator_only)

    async def topic(
        self, *, partitions: int = 1, name: str = "topic", beside: str | None = None, append_time: bool = True
    ) -> str:
        full = topic_name(name, beside)
        self._broker.create_topic(full, partitions, append_time=append_time)
        return full

    def group(self) -> str:
        return f"group{next(_serial)}"

    async def producer(self, *, principal: str = OPERATOR) -> BusProducer:
        producer = self._broker.producer(principal)
        self._stack.push_async_callback(producer.stop)
        await producer.start()
        return producer

    async def consumer(
        self,
        *,
        topics: Sequence[str] = (),
        pattern: str | None = None,
        group: str | None = None,
        principal: str = OPERATOR,
    ) -> BusConsumer:
        consumer = self._broker.consumer(
            group=group or self.group(), topics=topics, pattern=pattern, principal=principal
        )
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        return consumer


class KafkaBus:
    """Its topics are made by the operator; nobody else has any ACL on them."""

    def __init__(self, stack: AsyncExitStack, broker: Broker) -> None:
        self._stack = stack
        self._broker = broker

    async def topic(
        self, *, partitions: int = 1, name: str = "topic", beside: str | None = None, append_time: bool = True
    ) -> str:
        full = topic_name(name, beside)
        await asyncio.to_thread(self._broker.create_topic, full, partitions, append_time=append_time)
        return full

    def group(self) -> str:
        return f"group{next(_serial)}"

    async def producer(self, *, principal: str = OPERATOR) -> BusProducer:
        producer = KafkaProducer(self._broker.bootstrap, self._files(principal), metadata_seconds=1.0)
        self._stack.push_async_callback(producer.stop)
        await producer.start()
        return producer

    async def consumer(
        self,
        *,
        topics: Sequence[str] = (),
        pattern: str | None = None,
        group: str | None = None,
        principal: str = OPERATOR,
    ) -> BusConsumer:
        consumer = KafkaConsumer(
            self._broker.bootstrap,
            self._files(principal),
            group=group or self.group(),
            topics=topics,
            pattern=pattern,
            refresh_seconds=0.5,
            session_seconds=6.0,
            join_seconds=6.0,
        )
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        return consumer

    def _files(self, principal: str) -> TlsFiles:
        return self._broker.operator if principal == OPERATOR else self._broker.client_files(principal)
