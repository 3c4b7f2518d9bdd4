"""The Publisher: what an agency's programmer publishes with. docs/guides/client.md, docs/adr/0030 to 0033.

    publish() -> validate, release, encode -> open flush -> seal -> ONE transaction of the outbox -> publish() returns
                                                                        outbox -> sender -> Kafka -> deleted on ack

Where nothing can be sealed now (no valid directory; a clock far ahead), the flush goes into the outbox unsealed, and
publish() returns all the same; it is decided and sealed, in its order and before anything newer, when that is over
(docs/adr/0096).

An event is the publisher's responsibility from the moment publish() returns. Whatever is killed after that, it is sent;
whatever is killed before it, the caller has no answer, tries again with the same ``key``, and gets a duplicate's answer
where the first try had gone through.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from hub.catalog import Catalog
from hub.client.changes import Changes
from hub.client.directory_source import DirectorySource
from hub.client.flush import FlushWriter, Outcome, Written
from hub.client.limits import PublisherLimits
from hub.client.outbox import Outbox
from hub.client.prepare import GrantsPolicy, Prepared, Preparer
from hub.client.published import OutboxFull, Published, PublisherClosed
from hub.client.publisher_facts import PublisherFacts, PublisherProgress
from hub.client.publisher_trace import PublisherTrace, Traced
from hub.client.sealing import Sealing
from hub.client.sender import Sender
from hub.client.store import StoreForked
from hub.client.store_thread import StoreThread
from hub.errors import HubError, InvariantError, RejectedError, UnavailableError
from hub.log_words import say
from hub.model import AgencyId, Event
from hub.ports import BusProducer, Clock, Observer, Tracer
from hub.topics import ingest_topic
from hub.trust.composite import SigningKey
from hub.trust.directory import Directory
from hub.trust.seal import Sealer

_FIRST_HEARTBEAT: Final = 5.0
_EVENTS_A_TURN: Final = 32
"""Events that publish_many() prepares before it lets others run: about 2 ms."""


@dataclass(slots=True)
class _Call:
    """One publish() or publish_many() that waits for the outcomes of its events."""

    done: asyncio.Future[None]
    outcomes: list[Outcome | None]
    missing: int
    error: HubError | None = None

    def settle(self, place: int, outcome: Outcome | None, error: HubError | None = None) -> None:
        self.outcomes[place] = outcome
        self.error = self.error or error
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True)
class _Waiting:
    """One event that waits for its flush."""

    prepared: Prepared
    call: _Call
    place: int


@dataclass(slots=True)
class _OpenFlush:
    """What the next flush will be made of. Touched on the event loop alone."""

    events: deque[_Waiting] = field(default_factory=deque)
    size: int = 0
    since: float = 0.0
    busy: bool = False
    """A flush is being sealed and stored."""


class Publisher:
    """Publishes for one agency, from one process, over one outbox. An async context manager, for one task.

    ``policy`` is the agency's release: ``hub.policy.decide.ReleasePolicy``. ``producer`` is started here, and tried
    again after a failure, so that a broker that is away stops nothing. Entering raises ``StoreInUse``,
    ``StoreForeign``, ``StoreCorrupt``, ``StoreUnavailable``. What nothing can mend (``ConfigError``,
    ``InvariantError``) ends the ``async with`` block with that error; what is in the outbox stays there.
    """

    def __init__(
        self,
        *,
        agency: AgencyId,
        hub: AgencyId,
        signing_key: SigningKey,
        catalog: Catalog,
        policy: GrantsPolicy,
        directory: DirectorySource,
        outbox: Outbox,
        producer: BusProducer,
        clock: Clock,
        observer: Observer,
        limits: PublisherLimits | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.agency = agency
        self.catalog = catalog
        """The event types that it publishes."""
        self._policy = policy
        self._directory = directory
        self._producer = producer
        self._clock = clock
        self._limits = limits or PublisherLimits()
        self._facts = PublisherFacts(agency, clock, observer)
        self._trace = None if tracer is None else PublisherTrace(tracer, agency)

        def make_sealer(current: Directory, previous: Mapping[AgencyId, tuple[bytes, int]]) -> Sealer:
            sealer = Sealer(
                hub=hub,
                publisher=agency,
                site_key=signing_key,
                directory=current,
                policy_version=policy.version,
                previous=previous,
            )
            say("instance.started", agency=agency, instance=sealer.instance.hex())
            return sealer

        self._writer = FlushWriter(agency=agency, outbox=outbox, make_sealer=make_sealer, clock=clock)
        self._open = _OpenFlush()
        self._closing = True
        self._hurry = 0
        self._pid = 0

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Publisher:
        self._thread = StoreThread(f"outbox-{self.agency}")
        keep = self._limits.keep_keys
        forget = None if keep is None else self._clock.now_ms() - int(keep * 1000)
        try:
            salt, depth = await self._thread.run(lambda: self._writer.open(forget_keys_before_ms=forget))
        except BaseException:
            self._thread.stop()
            raise
        say("outbox.opened", agency=self.agency, records=depth.records, bytes=depth.bytes)
        self._facts.show_depth(depth)
        self._preparer = Preparer(catalog=self.catalog, policy=self._policy, salt=salt)
        self._sealing = Sealing(
            directory=self._directory,
            writer=self._writer,
            thread=self._thread,
            preparer=self._preparer,
            limits=self._limits,
            facts=self._facts,
            clock=self._clock,
        )
        self._changes = Changes()
        self._sender = Sender(
            topic=ingest_topic(self.agency),
            producer=self._producer,
            writer=self._writer,
            thread=self._thread,
            limits=self._limits,
            facts=self._facts,
            changes=self._changes,
            clock=self._clock,
            trace=self._trace,
        )
        self._pid = os.getpid()
        self._open = _OpenFlush()
        self._closing = False
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._workers = [
            self._tasks.create_task(self._flush_loop(), name="publisher-flush"),
            self._tasks.create_task(self._sender.run(), name="publisher-send"),
        ]
        if self._limits.heartbeat:
            self._workers.append(self._tasks.create_task(self._heartbeat_loop(), name="publisher-heartbeat"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._changes.notify()
        try:
            if error is None:
                try:
                    await self._empty(None, sent=False)
                    if self._limits.heartbeat and self._writer.instance is not None:
                        await self._heartbeat()  # the last numbers, so that a withheld tail shows (spec 11.6)
                    await self._empty(self._limits.drain)
                except asyncio.CancelledError as cancelled:  # from outside, or because a worker has failed
                    kind, error, trace = asyncio.CancelledError, cancelled, cancelled.__traceback__
            for worker in self._workers:
                worker.cancel()
            if not isinstance(error, asyncio.CancelledError):
                kind, error, trace = None, None, None  # the caller's own error goes on by itself
            try:
                await self._tasks.__aexit__(kind, error, trace)
            except BaseExceptionGroup as group:
                raise _only(group) from None
        finally:
            self._fail(self._open.events, PublisherClosed("the publisher has stopped"))
            self._open.events.clear()
            await asyncio.shield(self._close())

    async def _close(self) -> None:
        try:
            await self._producer.stop()
        finally:
            await self._thread.run(self._writer.close)
            self._thread.stop()

    # --- publishing ---------------------------------------------------------------------------------------------------

    async def publish(
        self, event: Event, *, key: str | None = None, to: Collection[AgencyId] | None = None
    ) -> Published:
        """Returns when the event is durable in the outbox; many may wait at once, and share a flush.

        It is sealed then; or it waits to be (``Published.waiting``), where there is no valid directory now.

        ``key`` is the source's own name for the record (file and row, case number): the same key with the same content
        is a duplicate, with other content an amendment. ``to`` narrows who gets it, never widens.

        Raises ``RejectedError`` (this event can never be published as it is: ``EventInvalid``, ``NobodyReleased``),
        ``UnavailableError`` (try again with the same key: ``OutboxFull``, ``StoreFull``).
        Cancelled: it may have been published or not; with a ``key`` trying again is safe.
        """
        [outcome] = await self._submit([(event, key)], to)
        if isinstance(outcome, RejectedError):
            raise outcome
        return outcome

    async def publish_many(
        self, items: Iterable[tuple[Event, str | None]], *, to: Collection[AgencyId] | None = None
    ) -> list[Published | RejectedError]:
        """As :meth:`publish` for each (event, key), with one wait for all of them; outcomes in the order of ``items``.

        Raises ``UnavailableError`` when one of them could not be stored; others may have been: try all of them again
        with the same keys.
        """
        return await self._submit(list(items), to)

    async def drain(self) -> None:
        """Returns when everything published so far is acknowledged by Kafka. Bound it with ``asyncio.timeout``.

        What waits for a directory is not sealed, and so not acknowledged.
        """
        await self._empty(None)
        say("outbox.drained", agency=self.agency)

    def progress(self) -> PublisherProgress:
        """Facts for /readyz."""
        return self._facts.progress()

    def state(self) -> dict[str, object]:
        """What it is doing, for an operator's question; to be called from any thread. No content, no key."""
        progress, sealer = self._facts.progress(), self._writer.sealer_state()
        return {
            "open_flush_events": len(self._open.events),
            "open_flush_bytes": self._open.size,
            "sealing": self._open.busy,
            "outbox_records": progress.depth.records,
            "outbox_bytes": progress.depth.bytes,
            "outbox_oldest_ms": progress.depth.oldest_ms,
            "stored_at_ms": progress.stored_at_ms,
            "looked_at_ms": progress.looked_at_ms,
            "failing_since_ms": progress.failing_since_ms,
            "failing_code": progress.failing_code,
            "waiting_events": progress.depth.waiting,
            "waiting_bytes": progress.depth.waiting_bytes,
            "waiting_oldest_ms": progress.depth.waiting_oldest_ms,
            "held_since_ms": progress.held_since_ms,
            "held_code": progress.held_code,
            "closing": self._closing,
            **sealer,
        }

    async def _submit(
        self, items: Sequence[tuple[Event, str | None]], to: Collection[AgencyId] | None
    ) -> list[Outcome]:
        if self._trace is None:
            return await self._submit_all(items, to, None)
        traced = self._trace.begin(items)
        try:
            outcomes = await self._submit_all(items, to, traced)
        except BaseException as error:
            traced.failed(error)
            raise
        traced.ended(outcomes)
        return outcomes

    async def _submit_all(
        self, items: Sequence[tuple[Event, str | None]], to: Collection[AgencyId] | None, traced: Traced | None
    ) -> list[Outcome]:
        self._check_open()
        if os.getpid() != self._pid:
            raise StoreForked("this process was forked after the publisher was opened")
        await self._room_in_outbox()
        directory = self._directory_if_any()
        call = _Call(asyncio.get_running_loop().create_future(), [None] * len(items), len(items))
        for place, (event, key) in enumerate(items):
            if place % _EVENTS_A_TURN == _EVENTS_A_TURN - 1:
                await asyncio.sleep(0)
            await self._room_in_intake()
            now_ms = self._clock.now_ms()
            if directory is not None and now_ms >= directory.expires_at_ms:
                directory = None  # since this call began: what comes now waits, and is not refused
            span = None if traced is None else traced.prepare(place)
            context = None if traced is None else traced.context(place)
            try:
                prepared = self._preparer.prepare(
                    event, key=key, only=to, directory=directory, now_ms=now_ms, trace_context=context
                )
            except RejectedError as error:
                if span is not None:
                    span.end(code=error.code)
                self._facts.refused([(event.event_type, error)])
                call.settle(place, error)
                continue
            if traced is not None and span is not None:
                traced.prepared(place, span)
            self._admit(_Waiting(prepared, call, place))
        if items:
            await call.done
        if call.error is not None:
            raise call.error
        return [outcome for outcome in call.outcomes if outcome is not None]

    def _admit(self, waiting: _Waiting) -> None:
        opened = self._open
        if not opened.events:
            opened.since = self._clock.monotonic()
        opened.events.append(waiting)
        opened.size += waiting.prepared.size
        if len(opened.events) == 1 or self._ripe():
            self._changes.notify()

    async def _room_in_intake(self) -> None:
        while len(self._open.events) >= self._limits.intake_events:
            self._check_open()
            await self._changes.next()
        self._check_open()

    async def _room_in_outbox(self) -> None:
        """Waits for room. The bound is checked where a call begins: it can be passed by one call and one flush."""
        if self._has_room():
            return
        try:
            async with asyncio.timeout(self._limits.full_wait):
                while not self._has_room():
                    self._check_open()
                    await self._changes.next()
        except TimeoutError:
            depth = self._facts.depth
            what = "Kafka" if not depth.waiting else "a valid directory, or a clock that is right"
            full = OutboxFull(
                f"too much waits for {what}",
                records=depth.records,
                waiting_events=depth.waiting,
                bytes=depth.bytes + depth.waiting_bytes,
                at_most=self._limits.outbox_bytes,
            )
            self._facts.unavailable("outbox", full)
            raise full from None

    def _has_room(self) -> bool:
        depth = self._facts.depth
        return depth.bytes + depth.waiting_bytes < self._limits.outbox_bytes

    def _check_open(self) -> None:
        if self._closing:
            raise PublisherClosed("the publisher is stopping, or was never entered")

    def _current_directory(self) -> Directory:
        try:
            return self._directory.current()
        except UnavailableError as error:
            self._facts.unavailable("directory", error)
            raise

    def _directory_if_any(self) -> Directory | None:
        try:
            return self._directory.current()
        except UnavailableError:
            return None  # the flush will say it

    # --- the open flush -----------------------------------------------------------------------------------------------

    def _ripe(self) -> bool:
        return (
            len(self._open.events) >= self._limits.flush_events
            or self._open.size >= self._limits.flush_bytes
            or self._closing
            or self._hurry > 0
        )

    async def _flush_loop(self) -> None:
        while True:
            if self._sealing.is_due() and await self._seal_waiting():
                continue
            if not self._open.events:
                await self._next_change()
                continue
            await self._linger()
            batch = self._take_flush()
            if batch:
                await self._flush(batch)

    async def _next_change(self) -> None:
        """Or, while events wait unsealed, until it is time to look again whether they can be sealed."""
        try:
            async with asyncio.timeout(self._sealing.until_next_look()):
                await self._changes.next()
        except TimeoutError:
            return

    async def _linger(self) -> None:
        left = self._open.since + self._limits.linger - self._clock.monotonic()
        if left <= 0 or self._ripe():
            return
        try:
            async with asyncio.timeout(left):
                while not self._ripe():
                    await self._changes.next()
        except TimeoutError:
            return

    def _take_flush(self) -> list[_Waiting]:
        """The oldest events, as many as one flush takes; a call that was cancelled takes its events with it."""
        opened = self._open
        batch: list[_Waiting] = []
        size = 0
        while opened.events and len(batch) < self._limits.flush_events and size < self._limits.flush_bytes:
            waiting = opened.events.popleft()
            opened.size -= waiting.prepared.size
            if not waiting.call.done.cancelled():
                batch.append(waiting)
                size += waiting.prepared.size
        opened.since = self._clock.monotonic()
        return batch

    async def _flush(self, batch: list[_Waiting]) -> None:
        self._open.busy = True
        now_ms = self._clock.now_ms()
        current: Sequence[_Waiting] = batch
        try:
            directory = self._sealing.directory()
            if directory is not None:
                current = [waiting for waiting in batch if self._decided_under(waiting, directory, now_ms)]
            written = await self._sealing.store([waiting.prepared for waiting in current], directory, now_ms)
        except UnavailableError as error:
            self._facts.unavailable("outbox", error)
            self._fail(batch, error)
        except HubError as error:
            self._fail(batch, error)
            raise
        except Exception as error:
            self._fail(batch, InvariantError("the flush failed", error=repr(error)))
            raise
        except asyncio.CancelledError:
            self._fail(batch, PublisherClosed("the publisher has stopped; this event may have been published"))
            raise
        else:
            self._settle(current, written, now_ms)
        finally:
            self._open.busy = False
            self._changes.notify()

    async def _seal_waiting(self) -> bool:
        self._open.busy = True
        try:
            sealed = await self._sealing.seal_waiting()
        finally:
            self._open.busy = False
            self._changes.notify()
        if sealed:
            self._sender.stored()
        return sealed

    def _decided_under(self, waiting: _Waiting, directory: Directory, now_ms: int) -> bool:
        """Decide anew where the directory changed since publish(), or a recipient's KEM key ended.

        False where nobody may have it any more.
        """
        if self._preparer.is_current(waiting.prepared, directory=directory, now_ms=now_ms):
            return True
        try:
            waiting.prepared = self._preparer.decide_anew(waiting.prepared, directory=directory, now_ms=now_ms)
        except RejectedError as error:
            self._facts.refused([(waiting.prepared.event.event_type, error)])
            waiting.call.settle(waiting.place, error)
            return False
        return True

    def _settle(self, batch: Sequence[_Waiting], written: Written, now_ms: int) -> None:
        types = [waiting.prepared.event.event_type for waiting in batch]
        self._facts.flushed(types, written.outcomes, written, now_ms)
        self._sealing.resumed(written)
        self._sender.stored()
        for waiting, outcome in zip(batch, written.outcomes, strict=True):
            waiting.call.settle(waiting.place, outcome)

    @staticmethod
    def _fail(batch: Iterable[_Waiting], error: HubError) -> None:
        for waiting in batch:
            if waiting.call.outcomes[waiting.place] is None:
                waiting.call.settle(waiting.place, None, error)

    # --- the heartbeat, and waiting for the end -----------------------------------------------------------------------

    async def _heartbeat_loop(self) -> None:
        """Tells every recipient its current number, so that a withheld tail shows (spec 11.6).

        The first comes soon after the start, and not at once: an instance that lives for a moment, in a process that
        crashes again and again, should not count against the 100 new instances that a recipient takes a day (spec 2.1).
        None while anything waits: behind it the numbers would say nothing that the records do not.
        """
        await asyncio.sleep(min(_FIRST_HEARTBEAT, self._limits.heartbeat))
        while True:
            if not self._facts.depth.records and not self._closing:
                await self._heartbeat()
            await asyncio.sleep(self._limits.heartbeat)

    async def _heartbeat(self) -> None:
        try:
            directory = self._current_directory()
            now_ms = self._clock.now_ms()
            depth = await self._thread.run(lambda: self._writer.heartbeat(directory=directory, now_ms=now_ms))
        except UnavailableError as error:
            self._facts.unavailable("outbox", error)
        else:
            self._facts.show_depth(depth)
            self._sender.stored()

    async def _empty(self, seconds: float | None, *, sent: bool = True) -> None:
        """Until nothing is open or in a flush, nor (``sent``) in the outbox; or until so many seconds have passed."""
        self._hurry += 1
        self._changes.notify()
        try:
            async with asyncio.timeout(seconds):
                while self._open.events or self._open.busy or (sent and self._is_unsent()):
                    await self._changes.next()
        except TimeoutError:
            return
        finally:
            self._hurry -= 1

    def _is_unsent(self) -> bool:
        depth = self._facts.depth
        return bool(depth.records or depth.waiting)


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of a group that has but one, however deep."""
    if len(group.exceptions) != 1:
        return group
    inner = group.exceptions[0]
    return _only(inner) if isinstance(inner, BaseExceptionGroup) else inner
