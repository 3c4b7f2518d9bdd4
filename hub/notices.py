"""What the hub did not deliver, said to those whom it was for: ``hub.notice`` events (spec 13.1, 13.2).

Numbers in a row with the same labels and the same reason are one range; what one step of a router denied of one
publisher's instance is one notice for each recipient. Every number in it is one of an entry that was verified: a
notice never goes beyond what the publisher has signed. A crash may make a router say the same again, cut otherwise;
it never says anything else, and a receiver that hears it twice knows no more (docs/adr/0041).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from hub.errors import RejectedError
from hub.model import AgencyId, Decision, Event, Handling, Priority, Purpose, Route, Tlp
from hub.policy.agreement import HUB_NOTICE
from hub.ports import Clock, Observer
from hub.routing import Routed

RANGES_A_NOTICE: Final = 256
"""A fourth of what the schema takes, and of what a receiver keeps for one stream."""

_REASON: Final = 500
_CLAUSE: Final = 200
_DAY_MS: Final = 86_400_000
_KEPT_MS: Final = 365 * _DAY_MS
_AT_LEAST_MS: Final = 30 * _DAY_MS


class NoticePublisher(Protocol):
    """The part of ``hub.client.publisher.Publisher`` that is needed."""

    async def publish_many(
        self, items: Iterable[tuple[Event, str | None]], *, to: Collection[AgencyId] | None = None
    ) -> Sequence[object]:
        """Durable on return; a refusal stands in its place. Raises ``UnavailableError``."""


@dataclass(frozen=True, slots=True)
class Range:
    """Entries ``first`` to ``last`` for one recipient, not delivered for one reason."""

    first: int
    last: int
    route: Route
    decision: Decision

    def continues(self, later: Range) -> bool:
        """Whether ``later`` begins where this ends, for the same reason."""
        return (self.last + 1, self.route, self.decision) == (later.first, later.route, later.decision)


@dataclass(frozen=True, slots=True)
class Notice:
    """What one recipient is told about one instance. ``signed_ms`` is the time of the first bundle's flush."""

    recipient: AgencyId
    publisher: AgencyId
    instance: bytes
    ranges: tuple[Range, ...]
    signed_ms: int

    @property
    def key(self) -> str:
        """The same for the same content: the outbox takes it once."""
        spans = ",".join(f"{r.first}-{r.last}:{r.decision.code}" for r in self.ranges)
        return f"{self.recipient}/{self.publisher}/{self.instance.hex()}/{spans}"


def compose_notices(routed: Iterable[Routed]) -> list[Notice]:
    """The notices for what was denied, in the order in which the numbers came. Pure."""
    found: dict[tuple[AgencyId, AgencyId, bytes], list[Range]] = {}
    signed: dict[tuple[AgencyId, AgencyId, bytes], int] = {}
    for each in routed:
        if not each.owes_notice:
            continue
        bundle = each.bundle
        for denial in each.denials:
            about = (denial.agency, bundle.publisher, bundle.instance)
            signed.setdefault(about, bundle.flush_time_ms)
            ranges = found.setdefault(about, [])
            new = Range(denial.recipient_seq, denial.recipient_seq, bundle.route, denial.decision)
            if ranges and ranges[-1].continues(new):
                ranges[-1] = Range(ranges[-1].first, new.last, new.route, new.decision)
            else:
                ranges.append(new)
    return [
        Notice(*about, tuple(ranges[start : start + RANGES_A_NOTICE]), signed[about])
        for about, ranges in found.items()
        for start in range(0, len(ranges), RANGES_A_NOTICE)
    ]


def notice_event(notice: Notice, *, now_ms: int) -> Event:
    """The notice as an event of type ``hub.notice``.

    It expires a year after the publisher signed what it is about, so that said again it is the same event; where that
    is nearly over, 30 days from now.
    """
    body = {
        "recipient": notice.recipient,
        "publisher": notice.publisher,
        "instance": notice.instance.hex(),
        "ranges": [
            {
                "first": each.first,
                "last": each.last,
                "event_type": each.route.event_type,
                "handling": str(each.route.handling),
                "priority": each.route.priority.value,
                "purpose": each.route.purpose.value,
                "code": each.decision.code,
                "reason": each.decision.reason[:_REASON] or None,
                "clause": each.decision.clause[:_CLAUSE] or None,
            }
            for each in notice.ranges
        ],
    }
    kept_until = notice.signed_ms + _KEPT_MS
    expires_at_ms = max(kept_until, now_ms + _AT_LEAST_MS)
    return Event(HUB_NOTICE, body, Handling(Tlp.AMBER), Priority.ROUTINE, Purpose.HUB_OPERATION, expires_at_ms)


class HubNotices:
    """``hub.router.Notices`` on a Publisher of the hub."""

    def __init__(self, publisher: NoticePublisher, clock: Clock, observer: Observer) -> None:
        self._publisher = publisher
        self._clock = clock
        self._observer = observer

    async def tell(self, routed: Sequence[Routed]) -> None:
        """Say all that is owed for ``routed``; durable in the hub's outbox on return.

        A recipient that can be told nothing (suspended, unknown, without a key) is not told: the Publisher logs that
        refusal. Raises ``UnavailableError``: tell the same again.
        """
        owed: dict[AgencyId, list[Notice]] = {}
        for notice in compose_notices(routed):
            owed.setdefault(notice.recipient, []).append(notice)
        if not owed:
            return
        # All at once, so that they share a flush and its signature.
        results = await asyncio.gather(
            *(self._tell_one(recipient, notices) for recipient, notices in owed.items()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _tell_one(self, recipient: AgencyId, notices: Sequence[Notice]) -> None:
        now_ms = self._clock.now_ms()
        items = [(notice_event(notice, now_ms=now_ms), notice.key) for notice in notices]
        outcomes = await self._publisher.publish_many(items, to=[recipient])
        for notice, outcome in zip(notices, outcomes, strict=True):
            if not isinstance(outcome, RejectedError):
                for each in notice.ranges:
                    self._observer.increment("cgi_notices_total", recipient=recipient, reason=each.decision.code)
