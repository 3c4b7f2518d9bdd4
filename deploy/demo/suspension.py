"""How soon the broker refuses an agency that the custodians have suspended."""

from __future__ import annotations

import asyncio
import time

from deploy.demo.stack import Stack
from hub.adapters.kafka import KafkaConsumer
from hub.errors import BusNotAuthorized
from hub.model import AgencyId
from hub.topics import consumer_group, deliver_topic

PROMISED_SECONDS = 30.0


async def seconds_until_refused(stack: Stack, agency: AgencyId) -> float:
    """Suspends ``agency``, which reads its own topic meanwhile; from the publishing of the directory to its refusal."""
    consumer = KafkaConsumer(
        stack.broker.bootstrap,
        stack.tls[agency],
        topics=[deliver_topic(agency)],
        group=consumer_group(agency, "watching"),
    )
    await consumer.start()
    try:
        await consumer.poll(max_records=1, wait=1)
        await asyncio.to_thread(stack.suspend, agency)
        began = time.monotonic()
        while time.monotonic() - began < 2 * PROMISED_SECONDS:
            try:
                await consumer.poll(max_records=1, wait=0.2)
            except BusNotAuthorized:
                break
        return time.monotonic() - began
    finally:
        await consumer.stop()
