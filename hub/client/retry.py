"""What a subscriber refused, read again with today's keys, catalog, directory and sinks. docs/adr/0037.

One entry after the other: verify, number, open, decode, filter, sinks (durable), then ONE transaction of the inbox: the
entry's removal, the numbers, the sinks' states. So a crash leaves either the entry or its effect, as in the Subscriber.
An entry that is refused again stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from hub.catalog import Catalog
from hub.client.directory_source import DirectorySource
from hub.client.gaps import GapWatch
from hub.client.inbox import Inbox, InboxCommit, InboxState, RejectedRecord
from hub.client.receive import ContentFilter, Received, Receiver
from hub.client.sink import Sink
from hub.client.sink_writer import SinkWriter, Written
from hub.client.store_thread import StoreThread
from hub.errors import RejectedError, UnavailableError
from hub.model import AgencyId, EventId
from hub.ports import Clock, IncomingRecord, Observer
from hub.trust.directory import Directory
from hub.trust.kem import KemPrivateKey
from hub.trust.replay import EventIdReused, EventIds
from hub.trust.sequence import GapLimitExceeded, InstanceLimitExceeded, SequenceEquivocation, Streams

_ALARMS: Final = frozenset({SequenceEquivocation.code, EventIdReused.code})
"""What only a lie or a serious fault explains: what was remembered against it then may be forgotten now."""
_UNMARKED: Final = frozenset({GapLimitExceeded.code, InstanceLimitExceeded.code})
_ALL: Final = 10**9
_NEVER: Final = 10**15
"""Milliseconds: to report a gap is the Subscriber's."""


class RejectedBytesGone(RejectedError):
    """The sealed bytes of a refused record are no longer kept: ask its publisher to publish it again."""

    code = "rejected.bytes_gone"


class RejectedForGood(RejectedError):
    """A refusal that was an alarm is not undone by reading again: settle it with the publisher."""

    code = "rejected.alarm"


class RejectedSinkUnknown(RejectedError):
    """The sink that refused the event is not among the site's sinks any more."""

    code = "rejected.sink_unknown"


Choose = Callable[[Sequence[RejectedRecord]], Sequence[RejectedRecord]]
"""All entries, newest first, without their bytes -> those that are read again, newest first."""

Outcome = Literal["written", "not_wanted", "had_it", "refused"]


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one entry. ``code`` and ``reason`` are why it is refused today, or is not wanted; else empty."""

    record: RejectedRecord
    outcome: Outcome
    events: int
    code: str = ""
    reason: str = ""


class Retry:
    """Reads rejected entries again, while no Subscriber has the inbox. An async context manager around :meth:`run`.

    Entering raises ``StoreInUse`` where one has, ``StoreForeign``, ``StoreCorrupt``, ``StoreUnavailable``, and what the
    sinks raise. Parameters as for the ``Subscriber``.
    """

    def __init__(
        self,
        *,
        agency: AgencyId,
        hub: AgencyId,
        kem_keys: Callable[[], Sequence[KemPrivateKey]],
        catalog: Catalog,
        content: ContentFilter,
        directory: DirectorySource,
        inbox: Inbox,
        sinks: Sequence[Sink],
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._agency = agency
        self._directory = directory
        self._inbox = inbox
        self._clock = clock
        self._sinks = SinkWriter(
            sinks,
            agency=agency,
            clock=clock,
            wrote=lambda sink, seconds: observer.observe("cgi_sink_write_seconds", seconds, sink=sink),
        )

        def make_receiver(streams: Streams) -> Receiver:
            return Receiver(
                hub=hub,
                agency=agency,
                kem_keys=kem_keys,
                catalog=catalog,
                content=content,
                streams=streams,
                event_ids=EventIds(),
            )

        self._make_receiver = make_receiver

    async def __aenter__(self) -> Retry:
        self._thread = StoreThread(f"inbox-{self._agency}")
        try:
            state = await self._thread.run(self._open)
            await self._sinks.open(state.sinks)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        try:
            await self._sinks.close()
        finally:
            await self._thread.run(self._inbox.close)
            self._thread.stop()

    def _open(self) -> InboxState:
        self._inbox.open()
        state = self._inbox.load()
        self._watch = GapWatch(state.gaps, grace_ms=_NEVER)
        self._receiver = self._make_receiver(Streams.from_state(state.streams))
        return state

    async def run(self, choose: Choose, tell: Callable[[Retried], None]) -> None:
        """Read again what ``choose`` takes of all entries, the oldest first; ``tell`` hears of each when it is durable.

        Raises ``UnavailableError`` (no valid directory, a sink or the disk is away): what was told is done, the rest
        stays. Raises ``ConfigError`` where a sink cannot work, and what ``choose`` raises.
        """
        entries = await self._thread.run(lambda: self._inbox.rejected(_ALL, with_bytes=False))
        for entry in reversed(choose(entries)):
            tell(await self._retry(entry))

    async def _retry(self, entry: RejectedRecord) -> Retried:
        directory = self._directory.current()
        raw = await self._thread.run(lambda: self._inbox.kept_bytes(entry))
        try:
            self._check(entry, raw)
            received = await self._thread.run(lambda: self._read(entry, raw, directory))
        except (RejectedError, UnavailableError) as error:  # of this record alone, also what it must wait for
            return Retried(entry, "refused", 0, error.code, error.message)
        written = await self._sinks.write(received.arrivals, only=entry.sink)
        result = await self._thread.run(lambda: self._store(entry, received, written))
        self._sinks.stored(written.states)
        return result

    def _check(self, entry: RejectedRecord, raw: bytes) -> None:
        if entry.code in _ALARMS:
            raise RejectedForGood("it was refused with an alarm, and reading again does not undo that", was=entry.code)
        if entry.sink and entry.sink not in self._sinks.names:
            raise RejectedSinkUnknown("the site has no such sink any more", sink=entry.sink)
        if not raw:
            raise RejectedBytesGone("its sealed bytes are not kept any more: its publisher must publish it again")

    def _read(self, entry: RejectedRecord, raw: bytes, directory: Directory) -> Received:
        return self._receiver.read_again(
            IncomingRecord(
                entry.topic, entry.partition, entry.offset, entry.at_ms, None, raw, appended_ms=entry.appended_ms
            ),
            directory=directory,
            now_ms=self._clock.now_ms(),
            was_marked=bool(entry.publisher) and entry.code not in _UNMARKED,
            only=EventId(bytes.fromhex(entry.event_id)) if entry.event_id else None,
        )

    def _store(self, entry: RejectedRecord, received: Received, written: Written) -> Retried:
        streams = self._receiver.streams
        rows = [*received.rejected, *written.rows]
        look = self._watch.look(streams.gaps(), self._clock.now_ms())
        changed = streams.changed()
        if changed or all(row.id != entry.id for row in rows):
            gaps = look.gaps if look.changed else None
            self._inbox.commit(InboxCommit(changed, written.states, rows, gaps, settled=[entry]))
            streams.settle()
        events = len({arrival.event.ref for arrival in received.arrivals} - written.refused)
        if rows:
            return Retried(entry, "refused", events, rows[0].code, rows[0].reason)
        if received.arrivals or not received.events:  # a heartbeat has no events
            return Retried(entry, "written", events)
        outcomes = {(outcome, reason) for _, _, outcome, reason in received.events}
        if ("duplicate", "") in outcomes:
            return Retried(entry, "had_it", 0)
        return Retried(entry, "not_wanted", 0, min(reason for outcome, reason in outcomes if outcome == "filtered"))
