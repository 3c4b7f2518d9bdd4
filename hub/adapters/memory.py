"""The bus in memory: topics, partitions, consumer groups and refusals, with Kafka's semantics and no network.

For tests and for one-process trials. One asyncio loop; nothing is stored on disk. It passes the same contract suite as
hub/adapters/kafka.py (tests/contract/test_bus.py).
"""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from hub.errors import (
    BusNotAuthorized,
    BusRebalanced,
    BusRecordTooLarge,
    BusTopicUnknown,
    BusUnavailable,
    ConfigError,
    InvariantError,
)
from hub.ports import IncomingRecord, OutgoingRecord, Position

MAX_RECORD_BYTES: Final = 1_000_000
"""As in schemas/topics: the largest record (key, value and headers together) that a topic takes."""

Operation = Literal["read", "write", "group"]
Authorizer = Callable[[str, Operation, str], bool]
"""(principal, operation, topic or group) -> whether it may."""


def allow_all(_principal: str, _operation: Operation, _resource: str) -> bool:
    """Everybody may do everything: for tests that are not about the broker's ACLs."""
    return True


@dataclass(slots=True)
class _Group:
    """The state of one consumer group."""

    generation: int = 0
    members: list[MemoryConsumer] = field(default_factory=list)
    assignments: dict[MemoryConsumer, frozenset[Position]] = field(default_factory=dict)
    committed: dict[Position, int] = field(default_factory=dict)


class MemoryBroker:
    """Topics with their partitions, and consumer groups.

    ``topics`` maps a name to its number of partitions; others do not exist until :meth:`create_topic`.
    ``now_ms`` gives the timestamp of each record. ``authorizer`` plays the broker's ACLs.
    """

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        *,
        now_ms: Callable[[], int] | None = None,
        authorizer: Authorizer = allow_all,
        max_record_bytes: int = MAX_RECORD_BYTES,
    ) -> None:
        self._logs: dict[str, list[list[IncomingRecord]]] = {}
        self._appending: set[str] = set()
        self._groups: dict[str, _Group] = {}
        self._changed = asyncio.Event()
        self._available = True
        self._failing_sends = 0
        self._unkeyed = 0
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._authorizer = authorizer
        self._max_record_bytes = max_record_bytes
        for name, partitions in (topics or {}).items():
            self.create_topic(name, partitions)

    # --- what a test does to it --------------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int = 1, *, append_time: bool = True) -> None:
        """Add a topic; nothing happens where it exists. Groups that follow it by a pattern are handed out anew.

        ``append_time``: its records have the broker's time, as ours do (schemas/topics), and not their writers'.
        """
        if name not in self._logs:
            if append_time:
                self._appending.add(name)
            self._logs[name] = [[] for _ in range(partitions)]
            for group in self._groups.values():
                self._rebalance(group)

    def records(self, topic: str) -> tuple[IncomingRecord, ...]:
        """Everything in ``topic``, partition by partition. Raises :class:`BusTopicUnknown`."""
        return tuple(record for log in self._log(topic) for record in log)

    def committed(self, group: str) -> Mapping[Position, int]:
        """What ``group`` has committed: the next offset to read for each partition."""
        return dict(self._groups[group].committed) if group in self._groups else {}

    def go_away(self) -> None:
        """From now on every call raises :class:`BusUnavailable`; what is stored stays."""
        self._available = False
        self._notify()

    def come_back(self) -> None:
        """Undo :meth:`go_away`."""
        self._available = True
        self._notify()

    def fail_sends(self, count: int) -> None:
        """The next ``count`` calls of ``send`` write the first half of their records, then raise ``BusUnavailable``."""
        self._failing_sends = count

    def producer(self, principal: str = "test") -> MemoryProducer:
        """A producer that writes as ``principal``."""
        return MemoryProducer(self, principal)

    def consumer(
        self, *, group: str, topics: Sequence[str] = (), pattern: str | None = None, principal: str = "test"
    ) -> MemoryConsumer:
        """A member of ``group`` that reads ``topics``, or every topic that ``pattern`` (a whole match) names."""
        return MemoryConsumer(self, group=group, topics=topics, pattern=pattern, principal=principal)

    # --- what its producers and consumers use ------------------------------------------------------------------------

    def _log(self, topic: str) -> list[list[IncomingRecord]]:
        try:
            return self._logs[topic]
        except KeyError:
            raise BusTopicUnknown("no such topic", topic=topic) from None

    def _check_available(self) -> None:
        if not self._available:
            raise BusUnavailable("the memory broker is away")

    def _check_may(self, principal: str, operation: Operation, resource: str) -> None:
        if not self._authorizer(principal, operation, resource):
            raise BusNotAuthorized("refused by the broker", principal=principal, operation=operation, resource=resource)

    def _append(self, principal: str, records: Sequence[OutgoingRecord]) -> int | None:
        self._check_available()
        for record in records:
            self._check_may(principal, "write", record.topic)
            self._log(record.topic)
            if _size(record) > self._max_record_bytes:
                raise BusRecordTooLarge("record too large", topic=record.topic, bytes=_size(record))
        failing = self._failing_sends > 0
        last: int | None = None
        self._failing_sends -= failing
        for record in records[: len(records) // 2] if failing else records:
            logs = self._log(record.topic)
            partition = self._partition(record.key, len(logs))
            log = logs[partition]
            now_ms = self._now_ms()
            appended = now_ms if record.topic in self._appending else None
            last = appended if appended is not None else last
            log.append(
                IncomingRecord(
                    record.topic, partition, len(log), now_ms, record.key, record.value, record.headers, appended
                )
            )
        self._notify()
        if failing:
            raise BusUnavailable("not all records were acknowledged")
        return last

    def _partition(self, key: bytes | None, partitions: int) -> int:
        if key is None:
            self._unkeyed += 1
            return self._unkeyed % partitions
        return zlib.crc32(key) % partitions

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def _join(self, member: MemoryConsumer) -> None:
        group = self._group(member.group)
        group.members.append(member)
        self._rebalance(group)

    def _leave(self, member: MemoryConsumer) -> None:
        group = self._group(member.group)
        if member in group.members:
            group.members.remove(member)
            self._rebalance(group)

    def _rebalance(self, group: _Group) -> None:
        """Hand the partitions out anew, one after the other (Kafka's round robin, eager)."""
        if not group.members:
            group.assignments = {}
            return
        group.generation += 1
        shares: dict[MemoryConsumer, set[Position]] = {member: set() for member in group.members}
        wanted = sorted({position for member in group.members for position in member.subscribed(self._logs)})
        for turn, (topic, partition) in enumerate(wanted):
            takers = [member for member in group.members if (topic, partition) in member.subscribed(self._logs)]
            shares[takers[turn % len(takers)]].add((topic, partition))
        group.assignments = {member: frozenset(share) for member, share in shares.items()}
        self._notify()


class MemoryProducer:
    """``hub.ports.BusProducer`` on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, principal: str) -> None:
        self._broker = broker
        self._principal = principal
        self._started = False

    async def start(self) -> None:
        self._broker._check_available()
        self._started = True

    async def send(self, records: Sequence[OutgoingRecord]) -> int | None:
        if not self._started:
            raise InvariantError("the producer is not started")
        await asyncio.sleep(0)
        return self._broker._append(self._principal, records)

    async def stop(self) -> None:
        self._started = False


class MemoryConsumer:
    """``hub.ports.BusConsumer`` on a :class:`MemoryBroker`. Where nothing was committed, it reads from the start."""

    def __init__(
        self, broker: MemoryBroker, *, group: str, topics: Sequence[str], pattern: str | None, principal: str
    ) -> None:
        if bool(topics) == (pattern is not None):
            raise ConfigError("a consumer reads either topics or a pattern", group=group)
        self.group = group
        self._broker = broker
        self._topics = frozenset(topics)
        self._pattern = None if pattern is None else re.compile(pattern)
        self._principal = principal
        self._positions: dict[Position, int] = {}
        self._held: set[Position] = set()
        self._joined = False
        self._seen_generation = 0
        self._polled_generation = 0
        self._turn = 0

    def subscribed(self, logs: Mapping[str, Sequence[object]]) -> frozenset[Position]:
        """The partitions of ``logs`` (topic -> its partitions) that this member asks for."""
        names = self._topics if self._pattern is None else {name for name in logs if self._pattern.fullmatch(name)}
        return frozenset((name, partition) for name in names for partition in range(len(logs.get(name, ()))))

    async def start(self) -> None:
        self._broker._check_available()
        self._broker._check_may(self._principal, "group", self.group)
        for topic in sorted(self._topics):
            self._broker._check_may(self._principal, "read", topic)
            self._broker._log(topic)
        self._joined = True
        self._broker._join(self)
        self._catch_up()

    async def poll(self, *, max_records: int, wait: float) -> Sequence[IncomingRecord]:
        self._check_joined()
        await asyncio.sleep(0)
        deadline = time.monotonic() + wait
        while True:
            self._broker._check_available()
            self._catch_up()
            self._polled_generation = self._seen_generation
            if taken := self._take(max_records):
                return taken
            changed = self._broker._changed
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await changed.wait()
            except TimeoutError:
                return ()

    async def commit(self, positions: Mapping[Position, int]) -> None:
        self._check_joined()
        self._broker._check_available()
        group = self._broker._group(self.group)
        if group.generation != self._polled_generation or not positions.keys() <= self.assignment():
            raise BusRebalanced("the partitions were handed out anew", group=self.group)
        group.committed.update(positions)

    async def seek_to_committed(self) -> None:
        self._check_joined()
        self._broker._check_available()
        self._reset()

    async def hold(self, positions: Mapping[Position, int]) -> None:
        self._check_joined()
        self._catch_up()
        for position, offset in positions.items():
            if position in self._positions:
                self._positions[position] = offset
                self._held.add(position)

    async def release(self, positions: Collection[Position]) -> None:
        self._check_joined()
        self._held.difference_update(positions)
        self._broker._notify()

    def assignment(self) -> frozenset[Position]:
        return self._broker._group(self.group).assignments.get(self, frozenset())

    def generation(self) -> int:
        return self._broker._group(self.group).generation

    async def lag(self) -> Mapping[Position, int]:
        self._check_joined()
        self._broker._check_available()
        self._catch_up()
        return {
            (topic, partition): len(self._broker._log(topic)[partition]) - offset
            for (topic, partition), offset in self._positions.items()
        }

    async def stop(self) -> None:
        if self._joined:
            self._joined = False
            self._broker._leave(self)

    def _check_joined(self) -> None:
        if not self._joined:
            raise InvariantError("the consumer is not started")

    def _catch_up(self) -> None:
        """After a rebalance every position goes back to what was committed (the eager protocol)."""
        if self._seen_generation != self.generation():
            self._seen_generation = self.generation()
            self._reset()

    def _reset(self) -> None:
        committed = self._broker._group(self.group).committed
        self._held.clear()
        self._positions = {position: committed.get(position, 0) for position in sorted(self.assignment())}

    def _take(self, max_records: int) -> list[IncomingRecord]:
        """Up to ``max_records``; the partition that comes first changes with each call, so that none starves."""
        order = [position for position in self._positions if position not in self._held]
        self._turn += 1
        start = self._turn % len(order) if order else 0
        taken: list[IncomingRecord] = []
        for topic, partition in order[start:] + order[:start]:
            offset = self._positions[topic, partition]
            part = self._broker._log(topic)[partition][offset : offset + max_records - len(taken)]
            self._positions[topic, partition] = offset + len(part)
            taken += part
        return taken


def _size(record: OutgoingRecord) -> int:
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value) + headers
