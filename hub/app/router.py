"""A router from its settings, and the stub that the hub owes."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from contextlib import aclosing
from pathlib import Path
from typing import Final

from hub.adapters.files import write_file
from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.kafka_reader import read_topic
from hub.adapters.key_files import load_signing_key
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.adapters.watched_subscriptions import WatchedSubscriptions
from hub.app.keys import key_access, tls_files
from hub.app.process import served, start_process
from hub.client.limits import PublisherLimits
from hub.client.publisher import Publisher
from hub.log_words import say
from hub.notices import HubNotices
from hub.policy.decide import ReleasePolicy, hub_release
from hub.router import HEARTBEAT_WORKER, WORKER, Router, RouterLimits
from hub.settings import RouterSettings
from hub.stubs import Wanted, make_stub
from hub.topics import ROUTER_GROUP, ROUTER_PATTERN, ingest_topic

_NOTICE_LINGER: Final = 0.002
"""Seconds. A router waits for its notices, and hands over those of one step at once."""


async def run_router(settings: RouterSettings, *, stop: asyncio.Event) -> None:
    """Run one router until ``stop`` is set. Raises ``ConfigError``, ``InvariantError``, or a group of them."""
    process = start_process(settings, "router")
    signing = load_signing_key(settings.keys.signing, access=key_access(settings.keys))
    subscriptions = WatchedSubscriptions(
        settings.subscriptions,
        process.catalog,
        directory=process.directory,
        clock=process.clock,
        observer=process.progress,
    )
    tls = tls_files(settings.kafka)
    bootstrap = settings.kafka.bootstrap
    name = settings.router.name or re.sub(r"[^A-Za-z0-9._-]", "-", f"{socket.gethostname()}-{os.getpid()}")[-64:]
    publisher = Publisher(
        agency=settings.agency,
        hub=settings.agency,
        signing_key=signing,
        catalog=process.catalog,
        policy=ReleasePolicy(hub_release(process.catalog), settings.agency),
        directory=process.directory,
        outbox=SqliteOutbox(settings.state / "outbox.sqlite", agency=settings.agency),
        producer=KafkaProducer(bootstrap, tls, client_id=f"{name}-notices"),
        clock=process.clock,
        observer=process.progress,
        limits=PublisherLimits(linger=_NOTICE_LINGER),
    )
    router = Router(
        name=name,
        hub=settings.agency,
        consumer=KafkaConsumer(
            bootstrap,
            tls,
            group=ROUTER_GROUP,
            pattern=ROUTER_PATTERN,
            client_id=name,
            session_seconds=settings.router.session,
        ),
        producer=KafkaProducer(bootstrap, tls, client_id=name),
        directory=process.directory,
        subscriptions=subscriptions,
        notices=HubNotices(publisher, process.clock, process.progress),
        clock=process.clock,
        observer=process.progress,
        limits=RouterLimits(
            max_records=settings.router.max_records,
            poll_wait=settings.router.poll_wait,
            retry_first=settings.router.retry_first,
            retry_most=settings.router.retry_most,
            heartbeat=settings.router.heartbeat,
            remembered_events=settings.router.remembered_events,
        ),
        tracer=process.tracer,
    )
    for worker in (WORKER, HEARTBEAT_WORKER):
        process.progress.expect(worker)
    process.state.tell("router", router.state)
    process.state.tell("notices", publisher.state)
    async with served(process, settings, "router", signing=signing), publisher:
        await router.run(stop)
        say("process.stopping", role="router", agency=settings.agency)


async def write_stub(settings: RouterSettings, wanted: Wanted, out: Path) -> None:
    """Write the stub of ``wanted`` from its ingest topic to ``out``. Raises as ``hub.stubs.make_stub`` does."""
    process = start_process(settings, "router")
    records = read_topic(settings.kafka.bootstrap, tls_files(settings.kafka), ingest_topic(wanted.publisher))
    async with aclosing(records):
        value = await make_stub(
            records,
            wanted,
            hub=settings.agency,
            directory=process.directory.current(),
            now_ms=process.clock.now_ms(),
        )
    write_file(out, value)
