"""The console from its settings: for ``hub console run`` the whole, for ``hub status`` the facts alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from hub.adapters.clock import SystemClock
from hub.adapters.kafka import KafkaProducer
from hub.adapters.kafka_follower import TopicFollower, read_record
from hub.adapters.kafka_overview import KafkaOverview
from hub.adapters.progress import ProgressObserver
from hub.adapters.standing import show_clock_and_certificates
from hub.adapters.tls import TlsFiles
from hub.adapters.tuf_signers import read_signatures
from hub.adapters.watched_directory import WatchedDirectory
from hub.app.keys import tls_files
from hub.app.process import following, health_served, make_observers, make_state, say_started, watch_directory
from hub.catalog import Catalog
from hub.console.actions import Actions
from hub.console.audit import AuditTrail
from hub.console.audit_log import AuditLog, load_tip
from hub.console.facts import Held, SourceName
from hub.console.people import People
from hub.console.prometheus import Prometheus
from hub.console.server import ServerTls, serve_console
from hub.console.sources import (
    AlertsSource,
    AuditSource,
    ClusterSource,
    DirectoryFactsSource,
    DirectoryHistory,
    HeartbeatSource,
    HistorySource,
    MetricsSource,
    QuarantineSource,
)
from hub.console.watch import SLOW_SECONDS, Watch, Watched
from hub.console.web import Console
from hub.errors import UnavailableError
from hub.log_words import say
from hub.ports import Clock
from hub.settings import ConsoleSettings
from hub.topics import AUDIT, HEARTBEAT, QUARANTINE, Declaration, Quotas

WORKER: Final = "console"
ADDRESS_FILE: Final = "console.address"
_HEARTBEATS_MS: Final = 3_600_000
"""Routers that beat within the last hour are shown."""
_DIRECTORY_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Parts:
    """What the facts come from."""

    watch: Watch
    directory: WatchedDirectory
    audit: AuditSource
    tls: TlsFiles


def build_parts(settings: ConsoleSettings, clock: SystemClock, tip: Callable[[], Any]) -> Parts:
    """The sources by the settings; nothing is read yet. ``tip`` is what is remembered of the audit log.

    Raises ``ConfigError``.
    """
    tls, bootstrap = tls_files(settings.kafka), settings.kafka.bootstrap
    directory = watch_directory(settings.directory, settings.kafka, settings.state, clock)
    prometheus = Prometheus(settings.prometheus.url)
    declaration = Declaration.load()
    if settings.quotas is not None:
        declaration = declaration.with_quotas(Quotas.load(settings.quotas))
    audit = AuditSource(TopicFollower(bootstrap, tls, AUDIT), writer=settings.name, tip=tip)
    since_ms = clock.now_ms() - _HEARTBEATS_MS
    sources: dict[SourceName, Watched] = {
        "directory": Watched(
            DirectoryFactsSource(
                directory.current,
                lambda: read_signatures(settings.state / "directory"),
                DirectoryHistory(settings.state / "directory.history.json"),
                subscriptions=settings.subscriptions,
                catalog=Catalog.load(),
            )
        ),
        "metrics": Watched(MetricsSource(prometheus)),
        "history": Watched(HistorySource(prometheus), SLOW_SECONDS),
        "alerts": Watched(AlertsSource(prometheus)),
        "cluster": Watched(ClusterSource(KafkaOverview(bootstrap, tls), declaration), 10.0),
        "quarantine": Watched(QuarantineSource(TopicFollower(bootstrap, tls, QUARANTINE))),
        "heartbeats": Watched(HeartbeatSource(TopicFollower(bootstrap, tls, HEARTBEAT, since_ms=since_ms))),
        "audit": Watched(audit),
    }
    return Parts(Watch(sources, clock), directory, audit, tls)


@asynccontextmanager
async def looked_once(settings: ConsoleSettings) -> AsyncIterator[Watch]:
    """The facts, read once, for a command. Whatever does not answer stands in its reading. Raises ``ConfigError``."""
    make_state(settings)
    clock = SystemClock()
    tip = load_tip(settings.state / "audit.json")
    parts = build_parts(settings, clock, lambda: tip)
    try:
        await asyncio.to_thread(parts.directory.refresh)
        async with following(parts.directory):
            await _directory_there(parts.directory)
            await parts.watch.look()
            yield parts.watch
    finally:
        await parts.watch.close()


async def _directory_there(directory: WatchedDirectory) -> None:
    """Wait until there is one, for a while: from the topic it takes a moment."""
    try:
        async with asyncio.timeout(_DIRECTORY_SECONDS):
            while not _is_there(directory):  # noqa: ASYNC110  nobody announces it
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        pass  # the reading will say why


async def run_console(settings: ConsoleSettings, *, stop: asyncio.Event) -> None:
    """Serve the console until ``stop`` is set. Raises ``ConfigError``, ``InvariantError``, or a group of them."""
    make_state(settings)
    clock, metrics, progress = make_observers(settings)
    say_started(metrics, settings, "console")
    people = People(settings.people)
    tls = ServerTls(settings.tls.certificate, settings.tls.key, settings.tls.people_ca)
    async with AsyncExitStack() as stack:
        log_holder: list[AuditLog] = []
        parts = build_parts(settings, clock, lambda: log_holder[0].tip if log_holder else None)
        stack.push_async_callback(parts.watch.close)
        producer = KafkaProducer(settings.kafka.bootstrap, parts.tls, client_id=settings.name)
        stack.push_async_callback(producer.stop)
        with contextlib.suppress(UnavailableError):  # a console is wanted most when the broker is away; it tries again
            await producer.start()
        log = AuditLog(
            producer, parts.audit.read, writer=settings.name, memory=settings.state / "audit.json", clock=clock
        )
        log_holder.append(log)
        actions = Actions(log, producer, _fetcher(settings, parts.tls))
        await stack.enter_async_context(
            health_served(
                metrics,
                progress,
                clock,
                lambda: show_clock_and_certificates(parts.tls, clock, metrics),
                settings,
                "console",
            )
        )
        progress.expect(WORKER)
        await asyncio.to_thread(parts.directory.refresh)
        await stack.enter_async_context(following(parts.directory))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(parts.watch.run(), name="console-watch"),
                group.create_task(_tell_progress(parts.watch, progress, clock), name="console-progress"),
            ]
            await _serve(settings, parts, people, actions, tls, clock, stop)
            for task in tasks:
                task.cancel()
        say("process.stopping", role="console", agency=settings.agency)


async def _serve(
    settings: ConsoleSettings,
    parts: Parts,
    people: People,
    actions: Actions,
    tls: ServerTls,
    clock: Clock,
    stop: asyncio.Event,
) -> None:
    file = settings.state / ADDRESS_FILE
    origins: set[str] = set(settings.origins)
    console = Console(parts.watch, people, clock, actions=actions, origins=origins)
    async with serve_console(console.app(), listen=settings.listen, tls=tls) as address:
        if not settings.origins:
            origins.add(f"https://{address}")
        file.write_text(f"{address}\n", encoding="ascii")
        try:
            await stop.wait()
        finally:
            file.unlink(missing_ok=True)


def _fetcher(settings: ConsoleSettings, tls: TlsFiles) -> Callable[[Held], Any]:
    async def fetch(held: Held) -> bytes | None:
        record = await read_record(settings.kafka.bootstrap, tls, QUARANTINE, held.partition, held.offset)
        return None if record is None else record.value

    return fetch


async def _tell_progress(watch: Watch, progress: ProgressObserver, clock: Clock) -> None:
    """The console gets further as long as it looks at its sources, whether they answer or not."""
    seen = -1
    while True:
        now = await watch.changed(seen, most=10.0)
        if now != seen:
            progress.gauge("cgi_progress_timestamp_seconds", clock.now_ms() / 1000, worker=WORKER)
        seen = now


async def read_trail_once(settings: ConsoleSettings) -> AuditTrail:
    """The audit log, read once. Raises ``UnavailableError``, ``ConfigError``."""
    tip = load_tip(settings.state / "audit.json")
    follower = TopicFollower(settings.kafka.bootstrap, tls_files(settings.kafka), AUDIT)
    source = AuditSource(follower, writer=settings.name, tip=lambda: tip)
    try:
        return await source.read()
    finally:
        await source.close()


def _is_there(directory: WatchedDirectory) -> bool:
    try:
        directory.current()
    except UnavailableError:
        return False
    return True
