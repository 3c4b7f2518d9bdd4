"""What the broker knows of itself and of its readers, asked through the admin API: no record is read.

A group's lag is counted from what it has committed, so it is known also where the group has no members: a reader that
is stopped says nothing of itself. What does not answer is left out of a look and named in it; the rest is told.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, OffsetSpec

from hub.adapters.group_lag import GroupLag, Offsets, group_lags
from hub.adapters.kafka_admin import admin_client, translate
from hub.adapters.kafka_requests import LogDirs, Quorum, Volume, parse_leader, parse_volumes
from hub.adapters.record_times import Answer, RecordTimes
from hub.adapters.tls import TlsFiles, client_context
from hub.errors import BusUnavailable, UnavailableError
from hub.ports import Clock, Position

ANSWER_SECONDS: Final = 10.0

PartitionState = Literal["healthy", "under_replicated", "under_min_isr", "offline"]
STATES: Final[tuple[PartitionState, ...]] = ("healthy", "under_replicated", "under_min_isr", "offline")

_EARLIEST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class TopicFigures:
    """A topic as it is. ``retention_ms`` -1: for ever; None, and ``end_offset`` None: not known now."""

    states: Mapping[PartitionState, int]
    retention_ms: int | None
    end_offset: int | None


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """One broker: how long it took to answer, its fullest volume, and the bytes of each topic on it."""

    seconds: float
    total: int
    usable: int
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the cluster. ``oldest_ms``: when what waits longest for each of ``groups`` was written.

    ``controller``: whether the controllers have a leader; None: nobody answered that. ``missed``: what did not answer.
    """

    up: frozenset[int]
    away: frozenset[int]
    controller: bool | None
    topics: Mapping[str, TopicFigures]
    groups: Sequence[tuple[GroupLag, int | None]]
    nodes: Mapping[int, NodeFigures]
    missed: Sequence[UnavailableError]


class KafkaFigures:
    """Looks at one cluster, again and again; ``tls`` are the exporter's files. Raises ``TlsFileInvalid``."""

    def __init__(self, bootstrap: str, tls: TlsFiles, clock: Clock) -> None:
        tls.check()
        self._bootstrap = bootstrap
        self._tls = tls
        self._clock = clock
        self._admin = admin_client(bootstrap, tls)
        self._times = RecordTimes()
        self._client: AIOKafkaClient | None = None

    async def read(self) -> Figures:
        """One look. Raises :class:`BusUnavailable` where no broker answers, ``BusNotAuthorized``, ``ConfigError``."""
        missed: list[UnavailableError] = []
        up, away, topics, groups = await asyncio.to_thread(self._read_admin, missed)
        nodes, controller = await self._ask_nodes(up, missed)
        return Figures(up, away, controller, topics, groups, nodes, missed)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # --- through confluent-kafka, in a thread -------------------------------------------------------------------------

    def _read_admin(
        self, missed: list[UnavailableError]
    ) -> tuple[frozenset[int], frozenset[int], Mapping[str, TopicFigures], Sequence[tuple[GroupLag, int | None]]]:
        try:
            metadata = self._admin.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error
        configs = self._configs(sorted(metadata.topics), missed)
        states: dict[str, dict[PartitionState, int]] = {}
        replicas: set[int] = set()
        positions: list[Position] = []
        for name, topic in metadata.topics.items():
            minimum = int(configs.get(name, {}).get("min.insync.replicas", 1))
            states[name] = dict.fromkeys(STATES, 0)
            for number, partition in topic.partitions.items():
                states[name][partition_state(partition, minimum)] += 1
                replicas |= set(partition.replicas)
                if partition.leader >= 0 and not name.startswith("__"):
                    positions.append((name, number))
        up = frozenset(metadata.brokers)
        offsets = self._offsets(positions, missed)
        ends: dict[str, int] = defaultdict(int)
        for (name, _), end in offsets.ends.items():
            ends[name] += end
        topics = {
            name: TopicFigures(each, _retention_ms(configs.get(name)), ends.get(name)) for name, each in states.items()
        }
        return up, frozenset(replicas) - up, topics, self._aged(group_lags(offsets), missed)

    def _configs(self, topics: Sequence[str], missed: list[UnavailableError]) -> dict[str, Mapping[str, str]]:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
        if not resources:
            return {}
        told = self._results(self._admin.describe_configs(resources, request_timeout=ANSWER_SECONDS), missed)
        return {
            resource.name: {name: entry.value for name, entry in config.items()} for resource, config in told.items()
        }

    def _offsets(self, positions: Sequence[Position], missed: list[UnavailableError]) -> Offsets:
        begins = self._ask_offsets(dict.fromkeys(positions, _EARLIEST), missed)
        groups, complete = self._group_names(missed)
        requests = {
            name: self._admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(name)], request_timeout=ANSWER_SECONDS
            )[name]
            for name in groups
        }
        told = self._results(requests, missed)
        members: dict[str, int] = {}
        if groups:
            described = self._admin.describe_consumer_groups(groups, request_timeout=ANSWER_SECONDS)
            members = {name: len(group.members) for name, group in self._results(described, missed).items()}
        # The ends come last: what is committed is never beyond them.
        ends = self._ask_offsets(dict.fromkeys(begins, _LATEST), missed)
        return Offsets(
            {position: offset for position, (offset, _) in begins.items()},
            {position: offset for position, (offset, _) in ends.items()},
            {name: _committed(answer.topic_partitions) for name, answer in told.items()},
            members,
            complete and len(told) == len(groups),
        )

    def _group_names(self, missed: list[UnavailableError]) -> tuple[list[str], bool]:
        """All groups, and whether every broker has named its own."""
        told = self._results({"groups": self._admin.list_consumer_groups(request_timeout=ANSWER_SECONDS)}, missed)
        if not told:
            return [], False
        errors = [translate(error, self._bootstrap) for error in told["groups"].errors]
        missed += [error for error in errors if isinstance(error, UnavailableError)][:1]
        return sorted(group.group_id for group in told["groups"].valid), not errors

    def _aged(self, lags: Iterable[GroupLag], missed: list[UnavailableError]) -> Sequence[tuple[GroupLag, int | None]]:
        lags = tuple(lags)
        wanted: dict[Position, frozenset[int]] = defaultdict(frozenset)
        for lag in lags:
            for position, offset in lag.waiting:
                wanted[position] |= {offset}

        def ask(times: Mapping[Position, int]) -> Mapping[Position, Answer]:
            return self._ask_offsets({p: OffsetSpec.for_timestamp(at) for p, at in times.items()}, missed)

        times = self._times.find(wanted, ask, now_ms=self._clock.now_ms())
        return [(lag, min((times[one] for one in lag.waiting if one in times), default=None)) for lag in lags]

    def _ask_offsets(
        self, specs: Mapping[Position, OffsetSpec], missed: list[UnavailableError]
    ) -> dict[Position, Answer]:
        if not specs:
            return {}
        asked = {TopicPartition(*position): spec for position, spec in specs.items()}
        told = self._results(self._admin.list_offsets(asked, request_timeout=ANSWER_SECONDS), missed)
        return {(each.topic, each.partition): (info.offset, info.timestamp) for each, info in told.items()}

    def _results(self, futures: Mapping[Any, Future[Any]], missed: list[UnavailableError]) -> dict[Any, Any]:
        """What was answered. What is away is put into ``missed``, once a question; a refusal is raised."""
        found: dict[Any, Any] = {}
        away: UnavailableError | None = None
        for key, future in futures.items():
            try:
                found[key] = future.result(ANSWER_SECONDS + 1)
            except KafkaException as error:
                ours = translate(error, self._bootstrap)
                if not isinstance(ours, UnavailableError):
                    raise ours from error
                away = ours
            except TimeoutError:
                away = BusUnavailable("the cluster did not answer in time", bootstrap=self._bootstrap)
        if away is not None:
            missed.append(away)
        return found

    # --- through aiokafka, what the other library does not ask --------------------------------------------------------

    async def _ask_nodes(
        self, up: Iterable[int], missed: list[UnavailableError]
    ) -> tuple[Mapping[int, NodeFigures], bool | None]:
        nodes: dict[int, NodeFigures] = {}
        leading: set[bool] = set()
        for node in sorted(up):
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    client = await self._connected()
                    began = time.monotonic()
                    volumes = parse_volumes(await client.send(node, LogDirs()))
                    nodes[node] = node_figures(volumes, time.monotonic() - began)
                    if True not in leading:
                        leading.add(parse_leader(await client.send(node, Quorum())) is not None)
            except (kafka.KafkaError, OSError, TimeoutError) as error:
                what = f"{type(error).__name__} {error}".strip()
                missed.append(BusUnavailable("a broker does not answer", broker=node, what=what))
                await self.close()
        return nodes, max(leading, default=None)

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            client = AIOKafkaClient(
                bootstrap_servers=self._bootstrap,
                client_id="hub-exporter",
                security_protocol="SSL",
                ssl_context=client_context(self._tls),
                request_timeout_ms=int(ANSWER_SECONDS * 1000),
                metadata_max_age_ms=60_000,
            )
            try:
                await client.bootstrap()
            except BaseException:
                await client.close()
                raise
            self._client = client
        return self._client


def partition_state(partition: Any, minimum: int) -> PartitionState:
    """The worst that is true of one: no leader; fewer replicas in sync than a write needs; fewer than it should have.

    ``partition`` has ``leader``, ``replicas`` and ``isrs``, as confluent-kafka's metadata.
    """
    if partition.leader < 0:
        return "offline"
    if len(partition.isrs) < min(minimum, len(partition.replicas)):
        return "under_min_isr"
    return "under_replicated" if len(partition.isrs) < len(partition.replicas) else "healthy"


def node_figures(volumes: Iterable[Volume], seconds: float) -> NodeFigures:
    """One broker's figures from what it says of its volumes; the fullest is told, and one that failed is left out."""
    sizes: dict[str, int] = defaultdict(int)
    sound: list[Volume] = []
    for volume in volumes:
        if not volume.failed and volume.total > 0:
            sound.append(volume)
        for name, size in volume.sizes.items():
            sizes[name] += size
    fullest = min(sound, key=lambda volume: volume.usable / volume.total, default=Volume(True, 0, 0, {}))
    return NodeFigures(seconds, fullest.total, fullest.usable, dict(sizes))


def _committed(answers: Iterable[TopicPartition]) -> dict[Position, int]:
    return {(each.topic, each.partition): each.offset for each in answers if each.offset >= 0}


def _retention_ms(config: Mapping[str, str] | None) -> int | None:
    if config is None or "retention.ms" not in config:
        return None
    return -1 if "delete" not in config.get("cleanup.policy", "delete") else int(config["retention.ms"])
