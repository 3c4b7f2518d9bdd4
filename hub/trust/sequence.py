"""A receiver's memory of numbers: what it has, what is missing, what is explained (docs/spec 11). Pure.

Step 6 of a receiver is :meth:`Streams.check`; :meth:`Streams.mark` follows when the bundle is applied. The caller
stores :meth:`Streams.changed` in the transaction that makes the bundle's effect durable, and calls
:meth:`Streams.settle` after it; where the transaction fails it builds the Streams anew from what is stored.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from hub.errors import RejectedError
from hub.model import AgencyId
from hub.wire import limits
from hub.wire.avro import Reader, encode_bytes, encode_fixed_array, encode_long
from hub.wire.frames import HASH, INSTANCE, NO_HASH, NO_INSTANCE

_STATE_KIND: Final = b"SEQ1"
_DAY_MS: Final = 86_400_000

StreamKey = tuple[AgencyId, bytes]
"""A publisher and an instance."""


class SequenceEquivocation(RejectedError):
    """The publisher has signed two things that cannot both be: an alarm, not a duplicate (spec 11.4)."""

    code = "sequence.equivocation"


class GapLimitExceeded(RejectedError):
    """More open gaps in one stream than a receiver keeps (spec 2.1)."""

    code = "sequence.gap_limit"


class InstanceLimitExceeded(RejectedError):
    """A site started more instances in a day, or a publisher has more streams, than a receiver takes (spec 2.1)."""

    code = "sequence.instance_limit"


class Outcome(Enum):
    """What a number is to this receiver."""

    NEW = "new"
    FILLS_GAP = "fills_gap"
    DUPLICATE = "duplicate"
    """Drop it: it was applied before."""
    HEARTBEAT = "heartbeat"
    """Nothing to apply; mark it all the same: it may show a loss."""


class FindingKind(Enum):
    GAP_OPENED = "gap_opened"
    """Numbers that the publisher has used and that did not come."""
    CHAIN_CONFLICT = "chain_conflict"
    """The chain of instances contradicts what came: a restored outbox, or two processes on one. An alarm."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a verified record says about its place in its publisher's stream to this recipient."""

    publisher: AgencyId
    instance: bytes
    seq: int
    head_hash: bytes
    prev_instance: bytes
    prev_seq: int
    signing_key_id: bytes
    flush_time_ms: int
    is_heartbeat: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing numbers ``first`` to ``last``, both included. ``reason`` is the hub's, or empty: unexplained."""

    publisher: AgencyId
    instance: bytes
    first: int
    last: int
    reason: str = ""

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Finding:
    kind: FindingKind
    gap: Gap
    """The numbers that it is about."""


@dataclass(slots=True)
class Stream:
    """One instance of one publisher, as one recipient sees it.

    ``high`` is the highest number that the publisher has signed; ``missing`` are the ranges up to it that did not come,
    ascending, apart from each other. ``explained`` are the hub's ranges with reasons; they may reach past ``high``.
    """

    publisher: AgencyId
    instance: bytes
    signing_key_id: bytes = NO_HASH
    day: int = 0
    prev_instance: bytes | None = None
    prev_seq: int = 0
    successor: bytes = NO_INSTANCE
    end: int = 0
    """The last number, once a later instance has named it; 0 before."""
    high: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    explained: list[tuple[int, int, str]] = field(default_factory=list)
    heads: dict[int, bytes] = field(default_factory=dict)

    @property
    def key(self) -> StreamKey:
        return self.publisher, self.instance

    def find_missing(self, seq: int) -> int | None:
        """The position in ``missing`` of the range with ``seq`` in it."""
        position = bisect_right(self.missing, (seq, limits.SEQUENCE + 1)) - 1
        return position if position >= 0 and self.missing[position][1] >= seq else None

    def remove_missing(self, seq: int) -> None:
        """``seq`` has come."""
        position = self.find_missing(seq)
        if position is None:
            return
        first, last = self.missing[position]
        self.missing[position : position + 1] = [
            part for part in ((first, seq - 1), (seq + 1, last)) if part[0] <= part[1]
        ]

    def raise_high(self, seq: int) -> Gap:
        """The publisher has signed that it used numbers up to ``seq``, which is above ``high`` and has not come."""
        first, self.high = self.high + 1, seq
        if self.missing and self.missing[-1][1] == first - 1:
            self.missing[-1] = (self.missing[-1][0], seq)
        else:
            self.missing.append((first, seq))
        return Gap(self.publisher, self.instance, first, seq)

    def add_explained(self, first: int, last: int, reason: str) -> None:
        """Ranges do not overlap: what is explained anew replaces what was said before."""
        kept = []
        for low, high, why in self.explained:
            if high < first or low > last:
                kept.append((low, high, why))
                continue
            if low < first:
                kept.append((low, first - 1, why))
            if high > last:
                kept.append((last + 1, high, why))
        insort(kept, (first, last, reason))
        joined: list[tuple[int, int, str]] = []
        for part in kept:
            if joined and joined[-1][1] + 1 == part[0] and joined[-1][2] == part[2]:
                joined[-1] = (joined[-1][0], part[1], part[2])
            else:
                joined.append(part)
        self.explained = joined

    def gaps(self) -> Iterator[Gap]:
        """Every missing range, cut where its explanation changes."""
        for first, last in self.missing:
            at = first
            for low, high, reason in self.explained:
                if high < at or low > last:
                    continue
                if low > at:
                    yield Gap(self.publisher, self.instance, at, low - 1)
                at = min(high, last) + 1
                yield Gap(self.publisher, self.instance, max(low, first), at - 1, reason)
            if at <= last:
                yield Gap(self.publisher, self.instance, at, last)


class Streams:
    """Every stream to one recipient."""

    def __init__(self, streams: Iterable[Stream] = ()) -> None:
        self._streams = {stream.key: stream for stream in streams}
        self._changed: dict[StreamKey, None] = {}  # a set that keeps its order
        self._of_publisher = Counter(stream.publisher for stream in self._streams.values())
        self._of_day = Counter(_day_key(stream) for stream in self._streams.values() if stream.day)

    @classmethod
    def from_state(cls, rows: Iterable[bytes]) -> Streams:
        """From what :meth:`changed` gave, one row a stream. Raises the reader's errors on a row that is damaged."""
        return cls([parse_stream(row) for row in rows])

    def stream(self, publisher: AgencyId, instance: bytes) -> Stream | None:
        """What is known of one instance."""
        return self._streams.get((publisher, instance))

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams.values())

    def __len__(self) -> int:
        return len(self._streams)

    def check(self, stamp: Stamp) -> Outcome:
        """Step 6: what this number is. Changes nothing.

        Raises :class:`SequenceEquivocation`, :class:`GapLimitExceeded`, :class:`InstanceLimitExceeded`.
        """
        stream = self._streams.get((stamp.publisher, stamp.instance))
        if stream is None or stream.prev_instance is None:
            self._check_instance_limits(stamp, known=stream is not None)
            self._check_tail_limit(stamp)
        elif (stream.prev_instance, stream.prev_seq) != (stamp.prev_instance, stamp.prev_seq):
            raise SequenceEquivocation(
                "an instance names two different numbers before its first",
                publisher=stamp.publisher,
                instance=stamp.instance.hex(),
            )
        if stamp.is_heartbeat:
            self._check_gap_limit(stream, opens=stream is not None and stamp.seq > stream.high)
            return Outcome.HEARTBEAT
        if stream is None or stamp.seq > stream.high:
            self._check_gap_limit(stream, opens=stream is not None and stamp.seq > stream.high + 1)
            return Outcome.NEW
        position = stream.find_missing(stamp.seq)
        if position is not None:
            first, last = stream.missing[position]
            self._check_gap_limit(stream, opens=first < stamp.seq < last)
            return Outcome.FILLS_GAP
        if stream.heads.get(stamp.seq, stamp.head_hash) != stamp.head_hash:
            raise SequenceEquivocation(
                "the same number came with another head",
                publisher=stamp.publisher,
                instance=stamp.instance.hex(),
                number=stamp.seq,
            )
        return Outcome.DUPLICATE

    def mark(self, stamp: Stamp) -> tuple[Finding, ...]:
        """The bundle is applied (or is a heartbeat). What that shows: gaps opened, a chain that contradicts.

        Call :meth:`check` first. Marking a duplicate changes nothing.
        """
        stream = self._streams.get((stamp.publisher, stamp.instance))
        findings: list[Finding] = []
        if stream is None:
            stream = self._add(Stream(stamp.publisher, stamp.instance))
        if stream.prev_instance is None:
            self._learn(stream, stamp)
            findings += self._mark_chain(stream)
        if stamp.seq and stream.prev_seq:
            findings += self._mark_successor(stream)
        if stamp.seq > stream.high:
            last_missing = stamp.seq if stamp.is_heartbeat else stamp.seq - 1
            if last_missing > stream.high:
                findings.append(Finding(FindingKind.GAP_OPENED, stream.raise_high(last_missing)))
            stream.high = stamp.seq
            if stream.end and stamp.seq > stream.end:
                gap = Gap(stream.publisher, stream.instance, stream.end + 1, stamp.seq)
                findings.append(Finding(FindingKind.CHAIN_CONFLICT, gap))
        elif not stamp.is_heartbeat:
            stream.remove_missing(stamp.seq)
        if not stamp.is_heartbeat:
            stream.heads[stamp.seq] = stamp.head_hash
            if len(stream.heads) > limits.HEADS_KEPT:
                del stream.heads[next(iter(stream.heads))]  # the one marked first
        self._changed[stream.key] = None
        return tuple(findings)

    def explain(self, publisher: AgencyId, instance: bytes, first: int, last: int, reason: str) -> None:
        """The hub says why it did not deliver ``first`` to ``last`` (spec 13.2). They stay open to later delivery.

        Raises :class:`GapLimitExceeded`, :class:`InstanceLimitExceeded`; ``ValueError`` for a range that is none.
        """
        if not 1 <= first <= last <= limits.SEQUENCE or not 1 <= len(reason.encode()) <= limits.REASON:
            raise ValueError("a range of numbers from 1, and a reason of 1 to 64 bytes, are wanted")
        stream = self._streams.get((publisher, instance))
        if stream is None:
            self._check_streams(publisher)
            stream = self._add(Stream(publisher, instance))
        if len(stream.explained) + 2 > limits.GAP_RANGES:
            raise GapLimitExceeded("too many explained ranges", publisher=publisher, instance=instance.hex())
        stream.add_explained(first, last, reason)
        self._changed[stream.key] = None

    def gaps(self) -> tuple[Gap, ...]:
        """Every open gap, explained and not."""
        return tuple([gap for stream in self._streams.values() for gap in stream.gaps()])

    def changed(self) -> Mapping[StreamKey, bytes]:
        """The state of each stream that changed since :meth:`settle`: rows to store under their key."""
        return {key: encode_stream(self._streams[key]) for key in self._changed}

    def settle(self) -> None:
        """What :meth:`changed` gave is stored."""
        self._changed.clear()

    # --- parts -----------------------------------------------------------------------------------------------------

    def _add(self, stream: Stream) -> Stream:
        self._streams[stream.key] = stream
        self._of_publisher[stream.publisher] += 1
        self._changed[stream.key] = None
        return stream

    def _learn(self, stream: Stream, stamp: Stamp) -> None:
        stream.signing_key_id = stamp.signing_key_id
        stream.day = _day(stamp)
        stream.prev_instance, stream.prev_seq = stamp.prev_instance, stamp.prev_seq
        self._of_day[_day_key(stream)] += 1

    def _mark_chain(self, stream: Stream) -> Iterator[Finding]:
        """A new instance names the last number of the one before: so a withheld tail shows (spec 11.3)."""
        if not stream.prev_seq or stream.prev_instance is None:
            return
        before = self._streams.get((stream.publisher, stream.prev_instance))
        if before is None:
            before = self._add(Stream(stream.publisher, stream.prev_instance))
        before.end = stream.prev_seq
        if before.high < before.end:
            yield Finding(FindingKind.GAP_OPENED, before.raise_high(before.end))
        elif before.high > before.end:
            gap = Gap(before.publisher, before.instance, before.end + 1, before.high)
            yield Finding(FindingKind.CHAIN_CONFLICT, gap)
        self._changed[before.key] = None

    def _mark_successor(self, stream: Stream) -> Iterator[Finding]:
        """Only one instance that used a number can come after another (spec 11.3)."""
        before = self._streams.get((stream.publisher, stream.prev_instance or NO_INSTANCE))
        if before is None or before.successor == stream.instance:
            return
        if before.successor != NO_INSTANCE:
            gap = Gap(stream.publisher, stream.instance, 1, max(stream.high, 1))
            yield Finding(FindingKind.CHAIN_CONFLICT, gap)
            return
        before.successor = stream.instance
        self._changed[before.key] = None

    def _check_instance_limits(self, stamp: Stamp, *, known: bool) -> None:
        if self._of_day[stamp.publisher, stamp.signing_key_id, _day(stamp)] >= limits.INSTANCES_A_DAY:
            raise InstanceLimitExceeded(
                "too many new instances of one site in a day", publisher=stamp.publisher, limit=limits.INSTANCES_A_DAY
            )
        if not known:
            self._check_streams(stamp.publisher)

    def _check_streams(self, publisher: AgencyId) -> None:
        if self._of_publisher[publisher] >= limits.STREAMS_A_PUBLISHER:
            raise InstanceLimitExceeded(
                "too many instances of one publisher", publisher=publisher, limit=limits.STREAMS_A_PUBLISHER
            )

    def _check_tail_limit(self, stamp: Stamp) -> None:
        """A new instance may show that the tail of the one before is missing: that is a range of that stream."""
        before = self._streams.get((stamp.publisher, stamp.prev_instance))
        if before is not None and stamp.prev_seq > before.high:
            joins = bool(before.missing) and before.missing[-1][1] == before.high
            self._check_gap_limit(before, opens=not joins)

    def _check_gap_limit(self, stream: Stream | None, *, opens: bool) -> None:
        if stream is not None and opens and len(stream.missing) >= limits.GAP_RANGES:
            raise GapLimitExceeded(
                "too many open gaps in one stream", publisher=stream.publisher, instance=stream.instance.hex()
            )


def _day(stamp: Stamp) -> int:
    """The UTC day of the flush, from 1."""
    return stamp.flush_time_ms // _DAY_MS + 1


def _day_key(stream: Stream) -> tuple[AgencyId, bytes, int]:
    return stream.publisher, stream.signing_key_id, stream.day


# --- stored state -----------------------------------------------------------------------------------------------------


def encode_stream(stream: Stream) -> bytes:
    """One stream as a row: at most some 80 kB, mostly some 10 kB of heads."""
    known = stream.prev_instance is not None
    ranges = [encode_long(first) + encode_long(last) for first, last in stream.missing]
    explained = [
        encode_long(first) + encode_long(last) + encode_bytes(reason.encode())
        for first, last, reason in stream.explained
    ]
    return b"".join(
        (
            _STATE_KIND,
            encode_bytes(stream.publisher.encode()),
            stream.instance,
            stream.signing_key_id,
            encode_long(stream.day),
            encode_long(int(known)),
            stream.prev_instance or NO_INSTANCE,
            encode_long(stream.prev_seq),
            stream.successor,
            encode_long(stream.end),
            encode_long(stream.high),
            encode_fixed_array(ranges),
            encode_fixed_array(explained),
            encode_fixed_array([seq.to_bytes(8, "big") + head for seq, head in stream.heads.items()]),
        )
    )


def parse_stream(row: bytes) -> Stream:
    """The stream of a row that :func:`encode_stream` made. Raises the reader's errors."""
    reader = Reader(row, _STATE_KIND, limits.STREAM_STATE)
    publisher = AgencyId(reader.text("publisher", limits.AGENCY))
    instance = reader.fixed("instance", INSTANCE)
    key_id = reader.fixed("signing_key_id", HASH)
    day = reader.long("day", 0, limits.SEQUENCE)
    known = reader.long("known", 0, 1)
    prev_instance = reader.fixed("prev_instance", INSTANCE)
    stream = Stream(
        publisher=publisher,
        instance=instance,
        signing_key_id=key_id,
        day=day,
        prev_instance=prev_instance if known else None,
        prev_seq=reader.long("prev_seq", 0, limits.SEQUENCE),
        successor=reader.fixed("successor", INSTANCE),
        end=reader.long("end", 0, limits.SEQUENCE),
        high=reader.long("high", 0, limits.SEQUENCE),
    )
    for _ in range(reader.count("missing", limits.GAP_RANGES, 2)):
        first = reader.long("missing.first", 1, limits.SEQUENCE)
        stream.missing.append((first, reader.long("missing.last", first, limits.SEQUENCE)))
    reader.array_end("missing")
    for _ in range(reader.count("explained", limits.GAP_RANGES, 3)):
        first = reader.long("explained.first", 1, limits.SEQUENCE)
        last = reader.long("explained.last", first, limits.SEQUENCE)
        stream.explained.append((first, last, reader.text("explained.reason", limits.REASON)))
    reader.array_end("explained")
    for item in reader.fixed_array("heads", limits.HEADS_KEPT, 8 + HASH):
        stream.heads[int.from_bytes(item[:8], "big")] = item[8:]
    reader.end()
    return stream
