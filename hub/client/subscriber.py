"""The Subscriber: what an agency's programmer receives with. docs/guides/client.md, docs/adr/0034 to 0036.

    Kafka -> verify -> number -> open -> decode, check -> filter -> sinks (durable) -> ONE transaction of the inbox
          (numbers, sinks' states, refused records) -> offsets committed

Whatever is killed, wherever: the records after the last committed offset come again, those whose numbers are marked are
dropped, the sinks go back to the state that was stored with the marks. So each event is in each sink once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from hub.catalog import Catalog
from hub.client.backoff import Backoff
from hub.client.directory_source import DirectorySource
from hub.client.gaps import GapWatch, Look
from hub.client.inbox import Inbox, InboxCommit, InboxState
from hub.client.limits import SubscriberLimits
from hub.client.receive import ContentFilter, Received, Receiver
from hub.client.sink import Sink
from hub.client.sink_writer import SinkStates, SinkWriter
from hub.client.store_thread import StoreThread
from hub.client.subscriber_facts import SubscriberFacts, SubscriberProgress
from hub.errors import BusRebalanced, UnavailableError
from hub.log_words import say
from hub.model import AgencyId
from hub.ports import BusConsumer, Clock, IncomingRecord, Observer, Position, Tracer
from hub.trust.directory import Directory
from hub.trust.kem import KemPrivateKey
from hub.trust.replay import EventIds
from hub.trust.sequence import Streams

_LAG_EVERY: Final = 5.0
_KEYS_EVERY: Final = 1.0
"""Seconds between two looks at the KEM keys: a destroyed key opens nothing any more after so long."""
_GIVE_UP: Final = 600.0
"""Seconds that one publisher's claim of a newer directory is waited for (spec 12.2)."""


@dataclass(slots=True)
class _Wait:
    """A partition that is held back."""

    since: float
    retry_at: float
    code: str


class Subscriber:
    """Receives for one agency, in one process, with one inbox. An async context manager around :meth:`run`.

    One Subscriber a consumer group: the marks are in its inbox, so a second process of the group would not know them.
    ``consumer`` reads ``deliver.<agency>``; it is started by :meth:`run`, and again after a failure. ``kem_keys`` gives
    the agency's KEM keys, old ones too; it is asked every second, and should cost nothing while nothing has changed.
    ``content`` is the agency's ``Subscription`` (or ``UnsafeEverything()``). Entering raises ``StoreInUse``,
    ``StoreForeign``, ``StoreCorrupt``, ``StoreUnavailable``, and ``ConfigError`` for two sinks of one name.
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
        consumer: BusConsumer,
        sinks: Sequence[Sink],
        clock: Clock,
        observer: Observer,
        limits: SubscriberLimits | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.agency = agency
        self._hub = hub
        self._kem_keys = kem_keys
        self._catalog = catalog
        self._content = content
        self._directory = directory
        self._inbox = inbox
        self._consumer = consumer
        self._clock = clock
        self._limits = limits or SubscriberLimits()
        self._tracer = tracer
        self._facts = SubscriberFacts(agency, clock, observer)
        self._sinks = SinkWriter(sinks, agency=agency, clock=clock, wrote=self._facts.sink_wrote, tracer=tracer)
        self._event_ids = EventIds()
        self._waits: dict[Position, _Wait] = {}
        self._positions: dict[Position, int] = {}
        """Committed last, by partition."""
        self._started = False
        self._fresh = False
        self._lag_at = 0.0
        self._keys_at = 0.0
        self._doing = "start"

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Subscriber:
        self._stopping = asyncio.Event()
        self._thread = StoreThread(f"inbox-{self.agency}")
        try:
            await self._thread.run(self._inbox.open)
        except BaseException:
            self._thread.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await asyncio.shield(self._close())

    async def _close(self) -> None:
        try:
            await self._sinks.close()
            if self._started:
                self._started = False
                with suppress(UnavailableError):  # the group will see that this member is gone
                    await self._consumer.stop()
        finally:
            await self._thread.run(self._inbox.close)
            self._thread.stop()

    def stop(self) -> None:
        """:meth:`run` returns when the batch in hand is stored and committed. Safe to call from a signal handler."""
        self._stopping.set()

    def progress(self) -> SubscriberProgress:
        """Facts for /readyz."""
        return self._facts.progress()

    def state(self) -> dict[str, object]:
        """What it is doing, for an operator's question; to be called from any thread. No content, no key."""
        progress = self._facts.progress()
        return {
            "doing": self._doing,
            "assignment": sorted(f"{topic}/{number}" for topic, number in self._consumer.assignment())
            if self._started
            else [],
            "next_offsets": {f"{topic}/{number}": offset for (topic, number), offset in list(self._positions.items())},
            "held_partitions": sorted(f"{topic}/{number}" for topic, number in list(self._waits)),
            "lag_records": progress.lag_records,
            "open_gaps": progress.open_gaps,
            "step_at_ms": progress.step_at_ms,
            "stored_at_ms": progress.stored_at_ms,
            "failing_since_ms": progress.failing_since_ms,
            "failing_code": progress.failing_code,
            "sinks": list(self._sinks.names),
        }

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Receive until :meth:`stop`. What is away is waited for; nothing is committed meanwhile.

        Cancelled, it leaves the batch in hand to the next start. Raises ``ConfigError`` (the broker refuses this
        agency, a sink cannot work), ``InvariantError``.
        """
        backoff = Backoff(self._limits.retry_first, self._limits.retry_most)
        while not self._stopping.is_set():
            try:
                if not self._fresh:
                    await self._begin()
                await self._step()
            except UnavailableError as error:
                self._fresh = False
                self._facts.unavailable(self._doing, error)
                await self._pause(backoff.next())
            else:
                backoff.reset()

    async def _begin(self) -> None:
        """At the start and after every failure: back to what is stored. In memory nothing may be ahead of it."""
        self._doing = "start"
        if not self._started:
            await self._consumer.start()
            self._started = True
        else:
            await self._consumer.seek_to_committed()
        self._waits.clear()
        self._positions.clear()
        state = await self._thread.run(self._restore)
        await self._sinks.open(state.sinks)
        explained = tuple(gap for gap in self._receiver.streams.gaps() if gap.reason)
        self._facts.gaps(Look(tuple(state.gaps), changed=False, due=(), explained=explained))
        self._fresh = True

    def _restore(self) -> InboxState:
        state = self._inbox.load()
        self._watch = GapWatch(state.gaps, grace_ms=int(self._limits.gap_grace * 1000))
        self._receiver = Receiver(
            hub=self._hub,
            agency=self.agency,
            kem_keys=self._kem_keys,
            catalog=self._catalog,
            content=self._content,
            streams=Streams.from_state(state.streams),
            event_ids=self._event_ids,
            tracer=self._tracer,
        )
        return state

    async def _step(self) -> None:
        self._doing = "poll"
        records = await self._consumer.poll(max_records=self._limits.batch_records, wait=self._limits.poll_wait)
        await self._look_at_keys()
        if records:
            await self._handle(records)
        elif self._watch.open:
            await self._store(Received(), {})
        await self._release_waits()
        await self._show_lag()
        self._facts.stepped(Counter(wait.code for wait in self._waits.values()))

    async def _handle(self, records: Sequence[IncomingRecord]) -> None:
        self._doing = "directory"
        directory = self._directory.current()
        self._doing = "open"
        received = await self._thread.run(lambda: self._read(records, directory))
        self._doing = "sink"
        written = await self._sinks.write(received.arrivals)
        received.rejected += written.rows
        await self._store(received, written.states)
        events = [arrival.event for arrival in received.arrivals]
        if written.refused:
            events = [event for event in events if event.ref not in written.refused]
        self._facts.stored(records, received, events)
        await self._commit(received)
        await self._hold(received)

    def _read(self, records: Sequence[IncomingRecord], directory: Directory) -> Received:
        now = self._clock.monotonic()
        given_up = {position for position, wait in self._waits.items() if now - wait.since >= _GIVE_UP}
        return self._receiver.read(records, directory=directory, now_ms=self._clock.now_ms(), given_up=given_up)

    async def _commit(self, received: Received) -> None:
        """Offsets after all else. After a rebalance they are not ours: what was read comes again and is dropped."""
        if not received.next_offsets:
            return
        self._doing = "commit"
        try:
            await self._consumer.commit(received.next_offsets)
            self._positions.update(received.next_offsets)
        except BusRebalanced:
            say("subscriber.rebalanced", agency=self.agency)

    # --- sinks and inbox ----------------------------------------------------------------------------------------------

    async def _store(self, received: Received, states: SinkStates) -> None:
        self._doing = "commit"
        look = await self._thread.run(lambda: self._store_step(received, states))
        self._sinks.stored(states)
        if look is not None:
            self._facts.gaps(look)

    def _store_step(self, received: Received, states: SinkStates) -> Look | None:
        streams = self._receiver.streams
        look = None
        if received.sequences_touched or self._watch.open:
            look = self._watch.look(streams.gaps(), self._clock.now_ms())
        gaps = look.gaps if look is not None and look.changed else None
        changed = streams.changed()
        if changed or states or received.rejected or gaps is not None:
            self._inbox.commit(InboxCommit(changed, states, received.rejected, gaps))
            streams.settle()
        return look

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def _hold(self, received: Received) -> None:
        """Partitions whose next record must wait; the others go on."""
        now = self._clock.monotonic()
        for position in received.next_offsets.keys() - received.waiting.keys():
            self._waits.pop(position, None)
        for position, (_, error) in received.waiting.items():
            self._facts.unavailable("open", error)
            wait = self._waits.setdefault(position, _Wait(now, now, error.code))
            wait.code = error.code
            wait.retry_at = now + min(self._limits.retry_most, max(self._limits.retry_first, now - wait.since))
        if received.waiting:
            await self._consumer.hold({position: offset for position, (offset, _) in received.waiting.items()})

    async def _release_waits(self) -> None:
        now = self._clock.monotonic()
        due = [position for position, wait in self._waits.items() if wait.retry_at <= now]
        if due:
            await self._thread.run(self._receiver.reload_keys)
            await self._consumer.release(due)

    async def _look_at_keys(self) -> None:
        now = self._clock.monotonic()
        if now - self._keys_at < _KEYS_EVERY:
            return
        self._keys_at = now
        await self._thread.run(self._receiver.reload_keys)
        with suppress(UnavailableError):
            held, absent = self._receiver.count_keys(self._directory.current(), self._clock.now_ms())
            self._facts.keys(held, absent)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _show_lag(self) -> None:
        now = self._clock.monotonic()
        if now - self._lag_at >= _LAG_EVERY:
            self._lag_at = now
            self._facts.lag(await self._consumer.lag())
