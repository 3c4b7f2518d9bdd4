"""The sources of the facts: the directory, Prometheus, the cluster, and three topics that are followed."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from hub.adapters.files import read_file, write_file
from hub.adapters.kafka_overview import KafkaOverview
from hub.adapters.tuf_signers import Signatures
from hub.console.audit import AuditTrail, Tip, read_trail
from hub.console.changes import sum_up, tell_changes
from hub.console.facts import (
    Alert,
    Beat,
    Change,
    Cluster,
    DirectoryFacts,
    Held,
    Metrics,
    VersionSeen,
)
from hub.console.prometheus import Prometheus
from hub.console.quarantine import read_held
from hub.console.queries import COURSES, QUICK, SLOW
from hub.errors import ConfigError
from hub.model import AgencyId
from hub.policy.release import CatalogLike
from hub.policy.source import PolicyInvalid
from hub.policy.subscription import Subscription, Subscriptions, load_hub_part
from hub.ports import IncomingRecord
from hub.topics import Declaration, flow_topic
from hub.trust.directory import Directory

MOST_HELD: Final = 5_000
"""Records of the quarantine that are kept in mind, the newest; about 1 kB each."""
MOST_VERSIONS: Final = 200
MAX_HISTORY: Final = 32 * 1024 * 1024
MAX_ROUTERS: Final = 200


class HistoryInvalid(ConfigError):
    """What the console remembered of the directory's versions is damaged: remove the file, it begins anew."""

    code = "console.history_invalid"


class Follower(Protocol):
    """``hub.adapters.kafka_follower.TopicFollower`` is one."""

    def new(self) -> AsyncGenerator[IncomingRecord, None]: ...

    async def stop(self) -> None: ...


class _Kept:
    """What has nothing to close."""

    async def close(self) -> None:
        """Nothing to let go of."""


# --- the directory ----------------------------------------------------------------------------------------------------


class DirectoryHistory:
    """The versions that this console saw, and what each changed, in a file of its state folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sum: Mapping[str, Any] | None = None
        self._last: tuple[int, str] | None = None
        self._versions: deque[VersionSeen] = deque(maxlen=MOST_VERSIONS)
        if path.exists():
            self._load()

    def note(self, directory: Directory, now_ms: int) -> tuple[VersionSeen, ...]:
        """Take note of the directory in force; gives all versions seen, newest first. Raises ``FileUnreadable``."""
        seen = (directory.version, directory.digest.hex())
        if seen != self._last:
            after = sum_up(directory)
            self._versions.appendleft(
                VersionSeen(*seen[:1], now_ms, directory.issued_at_ms, seen[1], tell_changes(self._sum, after))
            )
            self._sum, self._last = after, seen
            self._save()
        return tuple(self._versions)

    def _save(self) -> None:
        form = {
            "kind": "cgi-hub/v1/console-history",
            "sum": self._sum,
            "versions": [
                {
                    "version": each.version,
                    "seen_ms": each.seen_ms,
                    "issued_at_ms": each.issued_at_ms,
                    "digest": each.digest,
                    "changes": [{"code": change.code, "names": dict(change.names)} for change in each.changes],
                }
                for each in self._versions
            ],
        }
        write_file(self._path, json.dumps(form, ensure_ascii=True).encode("ascii") + b"\n")

    def _load(self) -> None:
        try:
            form = json.loads(read_file(self._path, MAX_HISTORY))
            for each in form["versions"]:
                changes = tuple(Change(change["code"], change["names"]) for change in each["changes"])
                self._versions.append(
                    VersionSeen(each["version"], each["seen_ms"], each["issued_at_ms"], each["digest"], changes)
                )
            self._sum = form["sum"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HistoryInvalid("not what was remembered of the directory's versions", file=self._path) from error
        if self._versions:
            self._last = (self._versions[0].version, self._versions[0].digest)


class DirectoryFactsSource(_Kept):
    """The directory in force. ``look`` fetches what is new and gives it; it blocks, and runs in a thread."""

    def __init__(
        self,
        look: Callable[[], Directory],
        signed: Callable[[], Signatures],
        history: DirectoryHistory,
        *,
        subscriptions: Path | None,
        catalog: CatalogLike,
    ) -> None:
        self._look = look
        self._signed = signed
        self._history = history
        self._subscriptions = subscriptions
        self._catalog = catalog

    async def read(self, now_ms: int) -> DirectoryFacts:
        """The directory, its signers, its versions, and the hub's parts of the subscriptions."""
        return await asyncio.to_thread(self._read, now_ms)

    def _read(self, now_ms: int) -> DirectoryFacts:
        directory = self._look()
        signed = self._signed()
        return DirectoryFacts(
            directory,
            signed.signers,
            signed.threshold,
            self._history.note(directory, now_ms),
            None if self._subscriptions is None else read_subscriptions(self._subscriptions, self._catalog, directory),
        )


def read_subscriptions(folder: Path, catalog: CatalogLike, directory: Directory) -> Subscriptions:
    """Every file of the folder; a wrong one stands among the refused, as a router takes it (docs/adr/0046)."""
    found: dict[AgencyId, Subscription] = {}
    refused: list[AgencyId] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found[AgencyId(path.stem)] = load_hub_part(path, catalog, hub=directory.hub)
        except PolicyInvalid:
            refused.append(AgencyId(path.stem))
    return Subscriptions(found, directory.hub, refused=refused)


# --- Prometheus -------------------------------------------------------------------------------------------------------


class MetricsSource(_Kept):
    """The quick queries."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    async def read(self, now_ms: int) -> Metrics:
        """Their answers."""
        return await self._prometheus.query(QUICK, now_ms)

    async def close(self) -> None:
        """The others share the connections."""
        await self._prometheus.close()


class HistorySource(_Kept):
    """The slow queries and the courses."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    async def read(self, now_ms: int) -> Metrics:
        """Their answers."""
        answers, courses = await asyncio.gather(
            self._prometheus.query(SLOW, now_ms), self._prometheus.courses(COURSES, now_ms)
        )
        return Metrics(answers.answers, courses)


class AlertsSource(_Kept):
    """The alerts."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    async def read(self, now_ms: int) -> tuple[Alert, ...]:
        """What fires or is about to."""
        return await self._prometheus.alerts()


# --- the cluster ------------------------------------------------------------------------------------------------------


class ClusterSource(_Kept):
    """Brokers and partitions, as the console's principal may see them; quotas as they are declared."""

    def __init__(self, overview: KafkaOverview, declaration: Declaration) -> None:
        self._overview = overview
        self._declaration = declaration

    async def read(self, now_ms: int) -> Cluster:
        """The cluster now."""
        overview = await asyncio.to_thread(self._overview.read)
        flows = [flow_topic(topic) for topic in {each.topic for each in overview.partitions}]
        agencies = {flow[1] for flow in flows if flow is not None}
        quotas: dict[str, dict[str, float]] = {}
        for quota in self._declaration.quotas(agencies):
            quotas.setdefault(quota.principal, {})[quota.name] = quota.rate
        return Cluster(overview.nodes, overview.partitions, quotas)


# --- the topics -------------------------------------------------------------------------------------------------------


class QuarantineSource:
    """What stands in quarantine, the newest :data:`MOST_HELD`, without the refused bytes."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._held: dict[str, Held] = {}

    async def read(self, now_ms: int) -> tuple[Held, ...]:
        """Everything that came until now."""
        async for record in self._follower.new():
            # A record that a router quarantined twice, after a crash, is one: its key is its first place.
            held = read_held(record.partition, record.offset, record.timestamp_ms, record.value)
            self._held.setdefault(f"{held.topic}/{held.origin}/{held.at_ms}" if held.readable else held.place, held)
            while len(self._held) > MOST_HELD:
                del self._held[next(iter(self._held))]
        return tuple(self._held.values())

    async def close(self) -> None:
        """Stop following."""
        await self._follower.stop()


class HeartbeatSource:
    """The last heartbeat of each router."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._beats: dict[str, Beat] = {}

    async def read(self, now_ms: int) -> tuple[Beat, ...]:
        """Everything that came until now; a record that is no heartbeat is left out."""
        async for record in self._follower.new():
            beat = parse_beat(record.value, record.timestamp_ms)
            if beat is not None and (beat.router in self._beats or len(self._beats) < MAX_ROUTERS):
                self._beats[beat.router] = beat
        return tuple(self._beats.values())

    async def close(self) -> None:
        """Stop following."""
        await self._follower.stop()


def parse_beat(raw: bytes, at_ms: int) -> Beat | None:
    """A record of the heartbeat topic; ``None`` for what is none. The time is the broker's, not the router's."""
    try:
        form = json.loads(raw)
        return Beat(
            str(form["router"])[:64],
            at_ms,
            tuple(str(each)[:300] for each in form["partitions"]),
            int(form["bundles"]),
            int(form["quarantined"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # int(Infinity); a thousand brackets
        return None


class AuditSource:
    """The audit log, all of it, its chains followed. ``tip`` is what this console remembers of its own last entry."""

    def __init__(self, follower: Follower, *, writer: str = "", tip: Callable[[], Tip | None] = lambda: None) -> None:
        self._follower = follower
        self._writer = writer
        self._tip = tip
        self._records: list[tuple[int, bytes]] = []
        self._lock = asyncio.Lock()

    async def read(self, now_ms: int = 0) -> AuditTrail:
        """Everything that came until now."""
        async with self._lock:  # the page and an action may ask at the same time
            async for record in self._follower.new():
                self._records.append((record.offset, record.value))
            return read_trail(self._records, own=self._writer, tip=self._tip())

    async def close(self) -> None:
        """Stop following."""
        await self._follower.stop()
