"""The sender: hands the oldest records of the outbox to Kafka, in order, and deletes what is acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from hub.client.backoff import Backoff
from hub.client.changes import Changes
from hub.client.flush import FlushWriter
from hub.client.limits import PublisherLimits
from hub.client.outbox import Depth, StoredRecord
from hub.client.publisher_facts import PublisherFacts
from hub.client.publisher_trace import PublisherTrace
from hub.client.store_thread import StoreThread
from hub.errors import UnavailableError
from hub.ports import BusProducer, Clock, OutgoingRecord

_T = TypeVar("_T")

_LOOK: Final = 5.0
"""Seconds after which an idle sender looks again: its look is the progress that /readyz asks for."""


class Sender:
    """One batch at a time, so that no record overtakes another of its instance.

    After a failure the whole batch is sent again: what was written twice is dropped by its recipients.
    """

    def __init__(
        self,
        *,
        topic: str,
        producer: BusProducer,
        writer: FlushWriter,
        thread: StoreThread,
        limits: PublisherLimits,
        facts: PublisherFacts,
        changes: Changes,
        clock: Clock,
        trace: PublisherTrace | None = None,
    ) -> None:
        self._topic = topic
        self._producer = producer
        self._writer = writer
        self._thread = thread
        self._limits = limits
        self._facts = facts
        self._changes = changes
        self._clock = clock
        self._trace = trace
        self._stored = asyncio.Event()

    def stored(self) -> None:
        """There is more in the outbox."""
        self._stored.set()

    async def run(self) -> None:
        """Until it is cancelled. Raises ``ConfigError`` where the broker refuses for good."""
        await self._until_it_works("start", self._producer.start)
        acknowledged = 0
        while True:
            self._stored.clear()  # before the look: what is stored during it is seen by the next
            batch, depth = await self._take(acknowledged)
            acknowledged = 0
            self._facts.sender_looked(depth)
            self._changes.notify()
            if not batch:
                await self._wait()
                continue
            began_ns = 0 if self._trace is None else time.time_ns()
            await self._send(batch)
            if self._trace is not None:
                self._trace.sent(batch, began_ns=began_ns)
            acknowledged = batch[-1].position
            self._facts.sent(batch)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LOOK):
                await self._stored.wait()
        except TimeoutError:
            return

    async def _take(self, acknowledged: int) -> tuple[Sequence[StoredRecord], Depth]:
        def take() -> tuple[Sequence[StoredRecord], Depth]:
            limits = self._limits
            return self._writer.take(acknowledged, max_records=limits.send_records, max_bytes=limits.send_bytes)

        return await self._until_it_works("outbox", lambda: self._thread.run(take))

    async def _send(self, batch: Sequence[StoredRecord]) -> None:
        records = [OutgoingRecord(self._topic, record.key, record.value) for record in batch]

        async def send() -> None:
            began = self._clock.monotonic()
            appended_ms = await self._producer.send(records)
            if appended_ms is not None:
                self._facts.acknowledged(appended_ms, began=began)

        await self._until_it_works("produce", send)

    async def _until_it_works(self, operation: str, step: Callable[[], Awaitable[_T]]) -> _T:
        """Try ``step`` until it raises no ``UnavailableError``: for ever, since the outbox keeps what waits."""
        backoff = Backoff(self._limits.retry_first, self._limits.retry_most)
        while True:
            try:
                return await step()
            except UnavailableError as error:
                self._facts.unavailable(operation, error)
                self._facts.sending_fails(error)
            await asyncio.sleep(backoff.next())
