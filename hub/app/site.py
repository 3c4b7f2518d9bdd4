"""A site from its settings: sources into a Publisher, a Subscriber into sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hub.adapters.found_connectors import (
    RunningSource,
    SourceTotals,
    build_sink,
    build_source,
    connector_context,
)
from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.key_files import load_signing_key
from hub.adapters.progress import ProgressObserver
from hub.adapters.sqlite_inbox import SqliteInbox
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.adapters.state_backup import restored_group
from hub.adapters.watched_keys import WatchedKemKeys
from hub.app.keys import key_access, tls_files
from hub.app.process import Process, SettingMissing, served, start_process
from hub.client.connector import ConnectorContext
from hub.client.limits import PublisherLimits, SubscriberLimits
from hub.client.publisher import Publisher
from hub.client.sink import Sink
from hub.client.subscriber import Subscriber
from hub.log_words import say
from hub.policy.decide import ReleasePolicy
from hub.policy.release import load_release
from hub.policy.subscription import load_subscription
from hub.settings import ConnectorTable, SiteSettings
from hub.topics import consumer_group, deliver_topic
from hub.trust.composite import SigningKey
from hub.trust.kem import KemPrivateKey


def load_publisher_key(settings: SiteSettings) -> SigningKey:
    """The key that the site signs with. Raises ``ConfigError``: none is set, or it cannot be read."""
    if settings.keys.signing is None:
        raise SettingMissing('to publish, the site needs signing = "..." in [keys]')
    return load_signing_key(settings.keys.signing, access=key_access(settings.keys))


def make_publisher(process: Process, settings: SiteSettings, signing: SigningKey, *, drain: float = 10.0) -> Publisher:
    """The site's Publisher, not open yet. ``drain``: seconds that its close waits for Kafka. Raises ``ConfigError``."""
    if settings.release is None:
        raise SettingMissing('to publish, the site needs release = "..."')
    release = load_release(settings.release, process.catalog)
    return Publisher(
        agency=settings.agency,
        hub=settings.hub,
        signing_key=signing,
        catalog=process.catalog,
        policy=ReleasePolicy(release, settings.agency),
        directory=process.directory,
        outbox=SqliteOutbox(settings.state / "outbox.sqlite", agency=settings.agency),
        producer=KafkaProducer(
            settings.kafka.bootstrap, tls_files(settings.kafka), client_id=f"{settings.agency}-site"
        ),
        clock=process.clock,
        observer=process.progress,
        limits=PublisherLimits(linger=settings.publisher.linger, heartbeat=settings.publisher.heartbeat, drain=drain),
        tracer=process.tracer,
    )


def make_subscriber(
    process: Process, settings: SiteSettings, kem_keys: Callable[[], Sequence[KemPrivateKey]], sinks: Sequence[Sink]
) -> Subscriber:
    """The site's Subscriber into ``sinks``, not open yet, with the KEM keys that there are. Raises ``ConfigError``."""
    if settings.subscription is None:
        raise SettingMissing('to receive, the site needs subscription = "..."')
    return Subscriber(
        agency=settings.agency,
        hub=settings.hub,
        kem_keys=kem_keys,
        catalog=process.catalog,
        content=load_subscription(settings.subscription, process.catalog),
        directory=process.directory,
        inbox=SqliteInbox(settings.state / "inbox.sqlite", agency=settings.agency),
        consumer=KafkaConsumer(
            settings.kafka.bootstrap,
            tls_files(settings.kafka),
            group=consumer_group(settings.agency, restored_group(settings.subscriber.group, settings.state)),
            topics=[deliver_topic(settings.agency)],
            client_id=f"{settings.agency}-site",
        ),
        sinks=sinks,
        clock=process.clock,
        observer=process.progress,
        limits=SubscriberLimits(batch_records=settings.subscriber.batch, gap_grace=settings.subscriber.gap_grace),
        tracer=process.tracer,
    )


async def run_site(settings: SiteSettings, *, stop: asyncio.Event) -> None:
    """Run a site's sources and sinks until ``stop`` is set. Raises ``ConfigError``, ``InvariantError``, or a group."""
    if not settings.source and not settings.sink:
        raise SettingMissing("the site has neither a [[source]] nor a [[sink]]: there is nothing to run")
    process = start_process(settings, "site")
    signing = load_publisher_key(settings) if settings.source and settings.keys.signing else None
    kem = None
    if settings.sink and settings.keys.kem is not None:
        kem = WatchedKemKeys(settings.keys.kem, key_access(settings.keys))
    async with served(process, settings, "site", signing=signing, kem=kem or tuple), asyncio.TaskGroup() as group:
        if signing is not None:
            group.create_task(_publish_until(stop, process, settings, signing))
        if kem is not None:
            group.create_task(_receive_until(stop, process, settings, kem))
        await stop.wait()
        say("process.stopping", role="site", agency=settings.agency)


async def _publish_until(stop: asyncio.Event, process: Process, settings: SiteSettings, signing: SigningKey) -> None:
    sources = [
        (source.label, build_source(source, source_context(process, settings, source))) for source in settings.source
    ]
    process.progress.expect("publisher")
    async with make_publisher(process, settings, signing) as publisher, asyncio.TaskGroup() as group:
        process.state.tell("publisher", publisher.state)
        process.state.tell("sources", lambda: {label: _totals(source) for label, source in sources})
        running = [
            group.create_task(watch_source(process.progress, label, source, publisher), name=f"source-{label}")
            for label, source in sources
        ]
        await stop.wait()
        for task in running:
            task.cancel()


def _totals(source: RunningSource) -> dict[str, int]:
    totals = source.totals
    return {
        "published": totals.published,
        "duplicates": totals.duplicates,
        "rejected_rows": totals.rejected_rows,
    }


def source_context(process: Process, settings: SiteSettings, source: ConnectorTable) -> ConnectorContext:
    """What the connector of one ``[[source]]`` gets."""
    return connector_context(
        settings, source, "source", catalog=process.catalog, observer=process.progress, tracer=process.tracer
    )


async def watch_source(progress: ProgressObserver, label: str, source: RunningSource, publisher: Publisher) -> None:
    """Run ``source``; until it ends, the process is ready only while it gets further or has nothing to do."""
    progress.expect(label)
    await run_source(label, source, publisher)
    progress.retire(label)


async def run_source(label: str, source: RunningSource, publisher: Publisher) -> SourceTotals:
    """Run ``source`` to its end and say so in the log. Raises what it raises."""
    say("source.started", source=label)
    totals = await source.run(publisher)
    say(
        "source.finished",
        source=label,
        published=totals.published,
        duplicates=totals.duplicates,
        rejected_rows=totals.rejected_rows,
    )
    return totals


async def _receive_until(
    stop: asyncio.Event, process: Process, settings: SiteSettings, kem: Callable[[], Sequence[KemPrivateKey]]
) -> None:
    process.progress.expect("subscriber")
    sinks = [
        build_sink(sink, connector_context(settings, sink, "sink", catalog=process.catalog, observer=process.progress))
        for sink in settings.sink
    ]
    async with make_subscriber(process, settings, kem, sinks) as subscriber, asyncio.TaskGroup() as group:
        process.state.tell("subscriber", subscriber.state)
        group.create_task(subscriber.run(), name="subscriber")
        await stop.wait()
        subscriber.stop()
