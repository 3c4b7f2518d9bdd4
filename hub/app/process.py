"""What every process has: clock, observer, catalog, directory, metrics and health, signals."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

from hub.adapters.clock import SystemClock
from hub.adapters.directory_files import Mirror, directory_files
from hub.adapters.files import FileUnreadable
from hub.adapters.http_health import health_app, serve_health
from hub.adapters.progress import ProgressObserver
from hub.adapters.prometheus import PrometheusObserver
from hub.adapters.service_manager import ServiceManager
from hub.adapters.standing import KeyKind, StandingFacts
from hub.adapters.state_answer import StateFacts, answering
from hub.adapters.tuf_reader import TufDirectory, load_root_bytes
from hub.adapters.watched_directory import WatchedDirectory
from hub.app.keys import tls_files
from hub.catalog import Catalog
from hub.errors import ConfigError, HubError
from hub.log_words import identify, say
from hub.model import AgencyId
from hub.ports import Tracer
from hub.settings import (
    BrokerSettings,
    ConsoleSettings,
    DirectorySettings,
    ExporterSettings,
    KafkaSettings,
    RouterSettings,
    SiteSettings,
)
from hub.trust.composite import SigningKey
from hub.trust.kem import KemPrivateKey

ADDRESS_FILE: Final = "metrics.address"
LOOK_SECONDS: Final = 0.1

Role = Literal["router", "site", "publish", "exporter", "console", "broker"]


class SettingMissing(ConfigError):
    """What was asked for needs a setting that the configuration does not have."""

    code = "settings.needed"


@dataclass(frozen=True, slots=True)
class Process:
    """Clock, observer and catalog of one process."""

    clock: SystemClock
    metrics: PrometheusObserver
    progress: ProgressObserver
    catalog: Catalog
    directory: WatchedDirectory
    state: StateFacts = field(default_factory=StateFacts)
    """What it answers to SIGUSR1: each part that runs adds its own."""
    tracer: Tracer | None = None
    """Where its spans go, if anywhere."""


AnySettings = SiteSettings | RouterSettings | ExporterSettings | ConsoleSettings | BrokerSettings


def make_state(settings: AnySettings) -> None:
    """The state folder. Raises ``FileUnreadable``."""
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnreadable(f"cannot make the state folder: {error.strerror}", file=settings.state) from error


def make_observers(settings: AnySettings) -> tuple[SystemClock, PrometheusObserver, ProgressObserver]:
    """The clock, the metrics, and the progress that readiness rests on."""
    clock, metrics = SystemClock(), PrometheusObserver()
    return clock, metrics, ProgressObserver(metrics, clock, stale_after=settings.metrics.stale_after)


def say_started(metrics: PrometheusObserver, settings: AnySettings, role: Role) -> str:
    """Say in log and metrics what has started; gives the name by which it stands in each line of the log."""
    named = identify(role)
    facts = {"role": role, "agency": settings.agency, "version": version("cgi-hub")}
    metrics.gauge("cgi_build_info", 1, python=platform.python_version(), **facts)
    say("process.started", **facts, pid=os.getpid())
    return named


def start_process(settings: SiteSettings | RouterSettings, role: Role) -> Process:
    """What the process of ``settings`` works with; makes its ``state`` folder. Raises ``ConfigError``."""
    make_state(settings)
    clock, metrics, progress = make_observers(settings)
    directory = watch_directory(settings.directory, settings.kafka, settings.state, clock)
    named = say_started(metrics, settings, role)
    directory.refresh()
    tracer = make_tracer(settings, role, named)
    process = Process(clock, metrics, progress, Catalog.load(), directory, tracer=tracer)
    # What stays to the end need not be searched for garbage again and again: that stops everything for about 25 ms.
    gc.freeze()
    return process


def make_tracer(settings: SiteSettings | RouterSettings, role: Role, named: str) -> Tracer | None:
    """Where the spans go of the process ``named`` so in its log. Raises ``TracesNotInstalled``."""
    if not settings.traces.on:
        return None
    from hub.adapters.otel import open_tracer  # optional, and 150 ms

    return open_tracer(role=role, agency=settings.agency, process=named)


def watch_directory(
    settings: DirectorySettings, kafka: KafkaSettings, state: Path, clock: SystemClock
) -> WatchedDirectory:
    """The directory as ``settings`` say where it is; nothing is read yet. Raises ``ConfigError``."""
    files = directory_files(settings, state)
    topic = (kafka.bootstrap, tls_files(kafka), files) if isinstance(files, Mirror) else None
    root = load_root_bytes(settings.root)
    return WatchedDirectory(TufDirectory(files, root=root, folder=state / "directory", clock=clock), topic=topic)


@asynccontextmanager
async def following(directory: WatchedDirectory) -> AsyncIterator[None]:
    """The directory is kept new while the context is open."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(directory.follow())
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def served(
    process: Process,
    settings: SiteSettings | RouterSettings,
    role: Role,
    *,
    signing: SigningKey | None,
    kem: Callable[[], Sequence[KemPrivateKey]] = tuple,
) -> AsyncIterator[None]:
    """Metrics and health of a router or a site while the context is open, with its standing facts."""

    def key_ids() -> list[tuple[KeyKind, bytes]]:
        own: list[tuple[KeyKind, bytes]] = [] if signing is None else [("signing", signing.public.key_id)]
        return own + [("kem", key.public.kem_id) for key in kem()]

    standing = StandingFacts(
        agency=settings.agency,
        directory=process.directory,
        tls=tls_files(settings.kafka),
        key_ids=key_ids,
        clock=process.clock,
        observer=process.metrics,  # what a scrape finds away is no worker's try: it must not feed the watchdog
    )
    process.state.tell("directory", lambda: _directory_facts(process))
    try:
        async with (
            following(process.directory),
            health_served(
                process.metrics, process.progress, process.clock, standing.refresh, settings, role, state=process.state
            ),
        ):
            yield
    finally:
        if process.tracer is not None:
            process.tracer.close()


@asynccontextmanager
async def health_served(
    metrics: PrometheusObserver,
    progress: ProgressObserver,
    clock: SystemClock,
    refresh: Callable[[], None],
    settings: AnySettings,
    role: Role,
    *,
    state: StateFacts | None = None,
) -> AsyncIterator[None]:
    """Metrics and health while the context is open; says when the process is first ready, and when it has stopped.

    ``refresh`` is called before each scrape. A service manager is told the same (hub/adapters/service_manager.py).
    SIGUSR1 is answered with ``state`` and what every process has to say (hub/adapters/state_answer.py).
    """
    app = health_app(metrics, progress, refresh)
    file = settings.metrics.address_file or settings.state / ADDRESS_FILE
    began = clock.monotonic()
    facts = StateFacts() if state is None else state
    facts.tell("ready", progress.ready)
    facts.tell("seconds_since_progress", progress.standing)
    with answering(settings.state, role=role, agency=settings.agency, facts=facts):
        async with serve_health(app, listen=settings.metrics.listen, address_file=file), asyncio.TaskGroup() as group:
            telling = [
                group.create_task(_say_ready(progress, role, settings.agency), name="say-ready"),
                group.create_task(ServiceManager().report(progress, clock), name="service-manager"),
            ]
            try:
                yield
            finally:
                for task in telling:
                    task.cancel()
    say("process.stopped", role=role, agency=settings.agency, seconds=round(clock.monotonic() - began, 1))


def _directory_facts(process: Process) -> dict[str, object]:
    try:
        directory = process.directory.current()
    except HubError as error:
        return {"version": None, "code": error.code}
    return {
        "version": directory.version,
        "issued_at_ms": directory.issued_at_ms,
        "expires_at_ms": directory.expires_at_ms,
        "agencies": len(directory.entries),
    }


async def _say_ready(progress: ProgressObserver, role: Role, agency: AgencyId) -> None:
    while not progress.ready():  # noqa: ASYNC110  readiness is an observation, nobody announces it
        await asyncio.sleep(LOOK_SECONDS)
    say("process.ready", role=role, agency=agency)


@asynccontextmanager
async def stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets, which the service manager is told.

    A second signal ends the process at once, as if nobody listened.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def begin_to_stop() -> None:
        stop.set()
        ServiceManager().notify("STOPPING=1", "STATUS=stopping")
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, begin_to_stop)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
