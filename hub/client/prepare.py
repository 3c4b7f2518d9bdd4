"""An event on its way into a flush: validated, released, encoded; everything but its seal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import orjson

from hub.catalog import Catalog, EventType
from hub.client.outbox import WaitingEvent, digest
from hub.client.published import EventExpired, EventLabelInvalid, NobodyReleased
from hub.client.waiting import decode_waiting
from hub.errors import RejectedError
from hub.model import AgencyId, Compartment, Decision, Event, Grants, Route, parse_agency_id
from hub.trust.directory import Directory
from hub.wire.limits import TIME_MS

TRACE_CONTEXT: Final = "header.trace_context"
_KEM_CHECK_MS: Final = 1_000
"""A recipient without a KEM key is looked at again after so long; one that has a key, at the moment when it ends."""


_Decided = tuple[tuple[int, int], Grants, tuple[tuple[AgencyId, str], ...]]
"""The times within which it holds, the grants, and who was left out."""


class GrantsPolicy(Protocol):
    """The originator's decision, within the agreements: who gets which compartments of this event."""

    version: str
    """Names the rules, in every lane that was made under them."""

    def grants(self, event: Event, event_type: EventType, directory: Directory, now_ms: int) -> Grants:
        """Empty where nobody may have any of it."""

    def explain(
        self, event: Event, event_type: EventType, directory: Directory, now_ms: int
    ) -> dict[AgencyId, tuple[Decision, ...]]:
        """Why, for each agency that was considered."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event that may be sealed. ``key`` and ``content`` are digests, None where its source gave no key."""

    event: Event
    route: Route
    compartments: tuple[Compartment, ...]
    sections: tuple[bytes, ...]
    size: int
    directory: Directory | None
    """Under which ``grants`` were decided, and they hold ``within`` these times. None: nothing is decided yet."""
    within: tuple[int, int]
    grants: Grants
    left_out: tuple[tuple[AgencyId, str], ...]
    only: frozenset[AgencyId] | None
    key: bytes | None
    content: bytes
    source_key: str = ""
    """The key as the source gave it."""
    waiting: WaitingEvent | None = None
    """Where it lay in the outbox until now."""


class Preparer:
    """``salt`` is the outbox's: it goes into the digests."""

    def __init__(self, *, catalog: Catalog, policy: GrantsPolicy, salt: bytes) -> None:
        self._catalog = catalog
        self._policy = policy
        self._salt = salt
        self._checked: dict[Grants, tuple[Grants, tuple[tuple[AgencyId, str], ...]]] = {}
        self._checked_for: Directory | None = None
        self._checked_from_ms = 0
        self._checked_until_ms = 0
        self._current: Grants | None = None
        self._current_ms = 0
        self._window_of: Directory | None = None
        self._window = (0, 0)

    def prepare(
        self,
        event: Event,
        *,
        key: str | None,
        only: Collection[AgencyId] | None,
        directory: Directory | None,
        now_ms: int,
        trace_context: str | None = None,
    ) -> Prepared:
        """Validate, decide, encode. About 50 us for 1 kB. Without a ``directory`` nothing is decided.

        ``trace_context`` is sealed with the event, where its type has a place for it.

        Raises ``TypeUnknown``, ``EventInvalid``, ``SectionTooLarge``, :class:`EventExpired`,
        :class:`EventLabelInvalid`, :class:`NobodyReleased`.
        """
        event_type = self._catalog.get(event.event_type)
        _check_labels(event)
        if event.expires_at_ms <= now_ms:
            raise EventExpired("expires_at has passed", expires_at_ms=event.expires_at_ms, now_ms=now_ms)
        body = event_type.validate(event.body)
        if trace_context is not None and TRACE_CONTEXT in event_type.fields:
            body = {**body, "header": {**body["header"], "trace_context": trace_context}}
        valid = Event(
            event.event_type,
            body,
            event.handling,
            event.priority,
            event.purpose,
            event.expires_at_ms,
            event.correlation_id,
            event.in_reply_to,
            event.event_id,
            event.published_at_ms,
        )
        narrowed = None if only is None else frozenset(only)
        decided: _Decided = (0, 0), (), ()
        if directory is not None:
            decided = self._decide(valid, event_type, narrowed, directory, now_ms)
        sections = event_type.encode(valid.body)
        return Prepared(
            valid,
            Route(event_type.name, event_type.version, event.handling, event.priority, event.purpose),
            event_type.compartments,
            sections,
            sum(map(len, sections)),
            directory,
            *decided,
            narrowed,
            None if key is None else digest(self._salt, key.encode()),
            b"" if key is None else self._content(event),
            key or "",
        )

    def prepare_waiting(self, waiting: WaitingEvent, *, directory: Directory, now_ms: int) -> Prepared:
        """An event that waited in the outbox, decided now. Raises as :meth:`prepare` does."""
        event, only, source_key = decode_waiting(waiting)
        fresh = self.prepare(event, key=None, only=only, directory=directory, now_ms=now_ms)
        # What its source said of it was taken when it came: validated, it would look like other content.
        return replace(fresh, key=waiting.key, content=waiting.content, source_key=source_key, waiting=waiting)

    def is_current(self, prepared: Prepared, *, directory: Directory, now_ms: int) -> bool:
        """Whether what was decided still holds: the same directory, no agreement has begun or ended since, and every
        recipient has a KEM key now.

        Asked before a flush is sealed: the Sealer refuses a recipient without a key, and then its instance is over.
        """
        if prepared.directory is not directory or not prepared.within[0] <= now_ms < prepared.within[1]:
            return False
        grants = prepared.grants
        if grants is self._current and now_ms == self._current_ms:
            return True  # most events of a flush share their grants
        usable, _ = self._usable(grants, directory, now_ms)
        if usable != grants:
            return False
        self._current, self._current_ms = grants, now_ms
        return True

    def decide_anew(self, prepared: Prepared, *, directory: Directory, now_ms: int) -> Prepared:
        """The same under another directory. Raises :class:`NobodyReleased`."""
        event_type = self._catalog.get(prepared.event.event_type)
        within, grants, left_out = self._decide(prepared.event, event_type, prepared.only, directory, now_ms)
        return replace(prepared, directory=directory, within=within, grants=grants, left_out=left_out)

    def _decide(
        self, event: Event, event_type: EventType, only: frozenset[AgencyId] | None, directory: Directory, now_ms: int
    ) -> _Decided:
        grants = self._policy.grants(event, event_type, directory, now_ms)
        if only is not None:
            grants = tuple(grant for grant in grants if grant[0] in only)
        usable, left_out = self._usable(grants, directory, now_ms)
        if not usable:
            raise self._nobody(event, event_type, only, left_out, directory, now_ms)
        return self._unchanging(directory, now_ms), usable, left_out

    def _unchanging(self, directory: Directory, now_ms: int) -> tuple[int, int]:
        """The times around ``now_ms`` in which no agreement begins or ends."""
        if self._window_of is not directory or not self._window[0] <= now_ms < self._window[1]:
            edges = {edge for one in directory.all_agreements for edge in (one.not_before_ms, one.not_after_ms)}
            since = max((edge for edge in edges if edge <= now_ms), default=min(0, now_ms))
            until = min((edge for edge in edges if edge > now_ms), default=max(TIME_MS, now_ms) + 1)
            self._window_of, self._window = directory, (since, until)
        return self._window

    def _usable(
        self, grants: Grants, directory: Directory, now_ms: int
    ) -> tuple[Grants, tuple[tuple[AgencyId, str], ...]]:
        """``grants`` without the agencies that list no key to wrap to; one of them must not stop all the others."""
        if self._checked_for is not directory or not self._checked_from_ms <= now_ms < self._checked_until_ms:
            self._checked.clear()
            self._checked_for = directory
            self._checked_from_ms = now_ms
            self._checked_until_ms = now_ms + _KEM_CHECK_MS
        found = self._checked.get(grants)
        if found is None:
            left_out = []
            for agency, _ in grants:
                try:
                    directory.kem_key(agency, now_ms)
                except RejectedError as error:
                    left_out.append((agency, error.code))
                else:
                    self._checked_until_ms = min(self._checked_until_ms, directory.kem_end_ms(agency, now_ms))
            gone = {agency for agency, _ in left_out}
            found = (tuple(grant for grant in grants if grant[0] not in gone), tuple(left_out))
            self._checked[grants] = found
        return found

    def _nobody(
        self,
        event: Event,
        event_type: EventType,
        only: frozenset[AgencyId] | None,
        left_out: tuple[tuple[AgencyId, str], ...],
        directory: Directory,
        now_ms: int,
    ) -> NobodyReleased:
        reasons = dict(left_out)
        for agency, decisions in self._policy.explain(event, event_type, directory, now_ms).items():
            denied = next((decision.code for decision in decisions if not decision.allowed), None)
            if denied is not None:
                reasons.setdefault(agency, denied)
        facts = " ".join(f"{agency}:{code}" for agency, code in sorted(reasons.items())) or "no agency has an agreement"
        return NobodyReleased(
            "no agency may have any of this event" if only is None else "none of the named agencies may have any of it",
            type=event.event_type,
            reasons=facts,
        )

    def _content(self, event: Event) -> bytes:
        """What the source said, as it said it: not as encoded, which a newer schema version would change."""
        reply = event.in_reply_to
        labels = (event.event_type, str(event.handling), event.priority.value, event.purpose.value)
        return digest(
            self._salt,
            "\n".join((*labels, str(event.expires_at_ms))).encode(),
            event.correlation_id or b"",
            b"" if reply is None else reply.publisher.encode() + reply.event_id,
            orjson.dumps(_untraced(event.body), default=str, option=orjson.OPT_SORT_KEYS),
        )


def _untraced(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without the trace context: each try to publish has another, and says the same.

    Nor is it missed where there is none: what was published before types had a place for it says the same too.
    """
    header = body.get("header")
    if isinstance(header, Mapping) and "trace_context" in header:
        return {**body, "header": {name: value for name, value in header.items() if name != "trace_context"}}
    return dict(body)


def _check_labels(event: Event) -> None:
    """What stands in the event header has its form (spec 5.3), or every recipient would refuse the whole bundle."""
    reply = event.in_reply_to
    for name, event_id in (("event_id", event.event_id), ("in_reply_to", None if reply is None else reply.event_id)):
        if event_id is not None and not (len(event_id) == 16 and event_id[6] >> 4 == 7 and event_id[8] >> 6 == 2):
            raise EventLabelInvalid(f"{name} is not a UUIDv7 of 16 bytes", field=name)
    if reply is not None:
        parse_agency_id(reply.publisher)
    if event.correlation_id is not None and len(event.correlation_id) != 16:
        raise EventLabelInvalid("correlation_id is not of 16 bytes", field="correlation_id")
    for name, moment in (("published_at", event.published_at_ms), ("expires_at", event.expires_at_ms)):
        if moment is not None and not 0 <= moment <= TIME_MS:
            raise EventLabelInvalid(f"{name} is not milliseconds from 1970 to the year 9999", field=name)
