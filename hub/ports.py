"""The ports: what the core wants of the world, as Protocols. Adapters implement them, each twice: memory and real."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hub.metrics import CounterName, GaugeName, HistogramName
from hub.spans import SpanName


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to write. ``headers`` are for operators' eyes; no check rests on them."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """A record that was read, with its place. ``timestamp_ms`` is the broker's.

    ``appended_ms`` is when the broker appended it, by the broker's clock; None where that is not known: the topic keeps
    its writers' times, or the bytes came from a file. One check rests on it (spec 12.3).
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    appended_ms: int | None = None


Position = tuple[str, int]
"""A topic and a partition."""


class BusProducer(Protocol):
    """Writes records with all acknowledgements, in order for one key."""

    async def start(self) -> None: ...

    async def send(self, records: Sequence[OutgoingRecord]) -> int | None:
        """Returns when every record is acknowledged by all in-sync replicas; order within the call is kept per key.

        What comes back is when the broker appended the last of them, by its clock; None where it does not say.
        Raises ``UnavailableError``: any prefix or subset may have been written; sending the same again is right.
        Raises ``ConfigError`` where the broker refuses for good (authorization, record too large).
        """

    async def stop(self) -> None: ...


class BusConsumer(Protocol):
    """Reads as a member of a consumer group. Nothing is committed unless :meth:`commit` is called."""

    async def start(self) -> None: ...

    async def poll(self, *, max_records: int, wait: float) -> Sequence[IncomingRecord]:
        """Up to ``max_records`` in offset order within each partition; empty after ``wait`` seconds without any.

        Raises ``UnavailableError``, ``ConfigError`` (not authorized).
        """

    async def commit(self, positions: Mapping[Position, int]) -> None:
        """Store the next offset to read for each. Raises ``UnavailableError`` (a rebalance: drop what is held)."""

    async def seek_to_committed(self) -> None:
        """Go back to what was committed: after a failure, everything that came later is read again."""

    async def hold(self, positions: Mapping[Position, int]) -> None:
        """Give nothing more of these partitions until :meth:`release`, and then from these offsets on.

        One partition that must wait (a bundle made under a newer directory) does not stop the others. A rebalance or
        :meth:`seek_to_committed` ends every hold. A partition that is not assigned is left out.
        """

    async def release(self, positions: Collection[Position]) -> None:
        """End the hold of these partitions. One that is not held or not assigned is left out."""

    def assignment(self) -> frozenset[Position]:
        """What this member reads now."""

    def generation(self) -> int:
        """Changes with every rebalance: what was polled under another generation must not be committed."""

    async def lag(self) -> Mapping[Position, int]:
        """Records between this member's position and the end of each partition."""

    async def stop(self) -> None: ...


class Clock(Protocol):
    """The time. Injected, so that tests make it jump."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""


class Span(Protocol):
    """A span that was begun."""

    @property
    def context(self) -> str | None:
        """Its W3C ``traceparent``, for what belongs below it; None where nothing is recorded."""

    def end(self, *, code: str = "", at_ns: int | None = None) -> None:
        """It ends, now or at ``at_ns`` (nanoseconds since 1970). ``code``: it failed, with this error code."""


class Tracer(Protocol):
    """Where traces go. Spans and facts are declared in hub/spans.py. From any thread; never raises, never waits."""

    def start(
        self,
        name: SpanName,
        *,
        parent: str | None = None,
        root: str | None = None,
        links: Sequence[str] = (),
        at_ns: int | None = None,
        **facts: str | int,
    ) -> Span:
        """Begin a span below ``parent``, or one that begins a trace: with the ids of ``root`` where that is given.

        ``facts`` are named in ``hub.spans.SpanFact``.
        """

    def close(self) -> None:
        """Send what there is; gives up after a few seconds, in which it blocks."""


@runtime_checkable
class Observer(Protocol):
    """Where the core's facts go. Names and labels are declared in hub/metrics.py, once."""

    def increment(self, name: CounterName, amount: float = 1, /, **labels: str) -> None: ...

    def observe(self, name: HistogramName, value: float, /, **labels: str) -> None: ...

    def gauge(self, name: GaugeName, value: float, /, **labels: str) -> None: ...
