"""The follower: keeps a cluster in step with the directory, so that a suspended agency loses its rights at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from hub.adapters.clock import SystemClock
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.progress import ProgressObserver
from hub.adapters.standing import StandingFacts
from hub.app.keys import tls_files
from hub.app.process import following, health_served, make_observers, make_state, say_started, watch_directory
from hub.client.backoff import Backoff
from hub.client.directory_source import DirectorySource
from hub.cluster import Plan, wanted_by
from hub.errors import HubError, InvariantError
from hub.log_words import say
from hub.settings import BrokerSettings
from hub.topics import Declaration, Quotas
from hub.trust.directory import Directory

WORKER: Final = "broker"
LOOK_SECONDS: Final = 0.25
"""How often the directory in use is asked for its version, which costs nothing."""


async def run_follower(settings: BrokerSettings, *, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set. Raises ``ConfigError`` where the settings or their files are wrong at the start."""
    make_state(settings)
    clock, metrics, progress = make_observers(settings)
    say_started(metrics, settings, "broker")
    directory = watch_directory(settings.directory, settings.kafka, settings.state, clock)
    tls = tls_files(settings.kafka)
    tls.check()
    standing = StandingFacts(
        agency=settings.agency, directory=directory, tls=tls, key_ids=tuple, clock=clock, observer=metrics
    )
    progress.expect(WORKER)
    keeper = ClusterKeeper(settings, directory, progress, clock)
    async with (
        following(directory),
        health_served(metrics, progress, clock, standing.refresh, settings, "broker"),
    ):
        await keeper.run(stop)
        say("process.stopping", role="broker", agency=settings.agency)


class ClusterKeeper:
    """Brings the cluster in line with each new version of the directory, and looks again every ``interval``.

    Without a valid directory, with one that is older than what was applied, or with a cluster that does not answer,
    nothing is given or taken; it is tried again, and the process is not ready meanwhile.
    """

    def __init__(
        self, settings: BrokerSettings, directory: DirectorySource, progress: ProgressObserver, clock: SystemClock
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._progress = progress
        self._clock = clock
        self._declaration = Declaration.load(settings.topics)
        self._declared()  # so that a wrong file of quotas is told at the start
        self._failed = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set. Raises ``InvariantError`` alone."""
        backoff = Backoff(0.5, 5.0)
        while not stop.is_set():
            try:
                directory = self._directory.current()
                plan = await asyncio.to_thread(self._apply, directory)
            except InvariantError:
                raise
            except HubError as error:
                self._say_failed(error)
                await _pause(stop, backoff.next())
                continue
            backoff.reset()
            self._failed = ""
            self._say_applied(directory, plan)
            await self._until_new(directory, stop)

    def _apply(self, directory: Directory) -> Plan:
        """Blocks: for a thread. A client of its own each time: so that a renewed certificate is used."""
        admin = KafkaAdmin(self._settings.kafka.bootstrap, tls_files(self._settings.kafka))
        plan = admin.plan_for(wanted_by(directory, self._declared()))
        admin.apply(plan)
        return plan

    def _declared(self) -> Declaration:
        quotas = self._settings.quotas
        return self._declaration if quotas is None else self._declaration.with_quotas(Quotas.load(quotas))

    def _say_applied(self, directory: Directory, plan: Plan) -> None:
        drifted = [str(change) for change in plan.changes if change.drift]
        if drifted:
            say("broker.drifted", changes=drifted[:20], more=max(0, len(drifted) - 20))
        if plan.changes:
            say("broker.applied", version=directory.version, changes=len(plan.changes))
        for change in plan.changes:
            cause = "drift" if change.drift else "directory"
            self._progress.increment("cgi_cluster_changes_total", kind=change.kind, cause=cause)
        self._progress.gauge("cgi_cluster_directory_version", directory.version)
        self._progress.gauge("cgi_cluster_unchangeable", len(plan.cannot))
        self._tell_progress()

    def _say_failed(self, error: HubError) -> None:
        self._progress.increment("cgi_unavailable_total", operation="cluster", code=error.code)
        if error.code != self._failed:
            self._failed = error.code
            say("broker.unavailable", code=error.code, reason=error.message)

    async def _until_new(self, applied: Directory, stop: asyncio.Event) -> None:
        """Wait for another version, or for the time to look for what someone else has changed."""
        until = self._clock.monotonic() + self._settings.interval
        while not stop.is_set() and self._clock.monotonic() < until:
            await _pause(stop, LOOK_SECONDS)
            try:
                if self._directory.current().version != applied.version:
                    return
            except HubError:
                return  # the next pass says why
            self._tell_progress()

    def _tell_progress(self) -> None:
        self._progress.gauge("cgi_progress_timestamp_seconds", self._clock.now_ms() / 1000, worker=WORKER)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
