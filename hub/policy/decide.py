"""Release and agreement together: whom an event is sealed to, and which compartments each may open.

The originator's side of the three consents. What comes out is never more than either of the two allows; the hub checks
the agreement again, on labels, and then the recipient's subscription. Pure: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from hub.catalog.nesting import without_unmet
from hub.errors import InvariantError
from hub.model import AgencyId, Compartment, Decision, Event, Grants, Route
from hub.policy.agreement import boundaries, ceiling
from hub.policy.facts import Facts
from hub.policy.handling import check_header
from hub.policy.release import MEMO_SIZE, CatalogLike, Release, TypeLike, parse_release
from hub.policy.source import PolicyInvalid
from hub.trust.directory import Directory

Reasons = Mapping[AgencyId, tuple[Decision, ...]]
"""For every agency that could be a recipient: the release decision and, where that allows, the agreement's."""

_FOREVER_MS: Final = 2**63
_HUB_RELEASE: Final = """\
agency: HUB
allow:
  - rule: a notice goes to the agency that it is for
    types: [hub.notice]
    to: [{field: recipient}]
    compartments: [core]
"""


class ReleasePolicy:
    """What an originator's Publisher asks: whom may this event be sealed to? Decisions are remembered by the facts.

    They are remembered for one directory and for one stretch of time in which no agreement begins or ends. One
    instance serves one publisher. Raises ``PolicyInvalid`` where the rules name another originator.
    """

    def __init__(self, release: Release, publisher: AgencyId) -> None:
        if release.agency not in (None, publisher):
            raise PolicyInvalid(
                f"{release.file} is {release.agency}'s, and {publisher} publishes here", file=release.file
            )
        self.release = release
        self.publisher = publisher
        self.version = release.version
        self._directory: Directory | None = None  # none yet: the first call brings one
        self._candidates: tuple[AgencyId, ...] = ()
        self._boundaries: tuple[int, ...] = ()
        self._from_ms = self._until_ms = 0
        self._remembered = lru_cache(MEMO_SIZE)(self._decide)

    def grants(self, event: Event, event_type: TypeLike, directory: Directory, now_ms: int) -> Grants:
        """Each recipient, ordered, with the compartments (the schema's order) that release and an agreement both allow.

        ``event.body`` was validated. Empty where nobody may have any of it. Raises ``HandlingLoosened`` where the
        sealed header asks for a stricter handling than the label, ``ReleaseTypeUnknown``.
        """
        return self.decide(event, event_type, directory, now_ms)[0]

    def explain(
        self, event: Event, event_type: TypeLike, directory: Directory, now_ms: int
    ) -> dict[AgencyId, tuple[Decision, ...]]:
        """Why, for each agency that has any agreement with the publisher. Raises as :meth:`grants` does."""
        return dict(self.decide(event, event_type, directory, now_ms)[1])

    def decide(self, event: Event, event_type: TypeLike, directory: Directory, now_ms: int) -> tuple[Grants, Reasons]:
        """:meth:`grants` and :meth:`explain` at once."""
        check_header(event.handling, event.body)
        if directory is not self._directory or not self._from_ms <= now_ms < self._until_ms:
            self._begin(directory, now_ms)
        facts = self.release.facts(event)
        if self.release.rules(event.event_type).scope.worth_remembering(facts):
            return self._remembered(event_type.name, event_type.version, facts)
        return self._decide(event_type.name, event_type.version, facts)

    def _begin(self, directory: Directory, now_ms: int) -> None:
        """Forget what was decided, and find out until when the next decisions hold."""
        self._remembered.cache_clear()
        if directory is not self._directory:
            # The hub's own clause is for every agency; anyone else needs an agreement.
            everyone = tuple(directory.entries) if self.publisher == directory.hub else ()
            self._candidates = tuple(sorted({*directory.recipients(self.publisher), *everyone} - {self.publisher}))
            self._boundaries = boundaries(directory, self.publisher, self._candidates)
            self._directory = directory
        # Between two boundaries nothing changes: the first moment of the stretch stands for all of it.
        self._from_ms = max((moment for moment in self._boundaries if moment <= now_ms), default=min(now_ms, 0))
        self._until_ms = min((moment for moment in self._boundaries if moment > now_ms), default=_FOREVER_MS)

    def _decide(self, event_type: str, version: int, facts: Facts) -> tuple[Grants, Reasons]:
        directory = self._directory
        if directory is None:
            raise InvariantError("a decision was asked for before any directory was given")
        route = Route(event_type, version, facts[0], facts[1], facts[2])
        grants = []
        reasons: dict[AgencyId, tuple[Decision, ...]] = {}
        for recipient in self._candidates:
            released = self.release.compute(event_type, facts, recipient)
            if not released.allowed:
                reasons[recipient] = (released,)
                continue
            agreed = agree(
                directory,
                publisher=self.publisher,
                recipient=recipient,
                route=route,
                compartments=self.release.rules(event_type).event_type.compartments,
                released=released.compartments,
                needs=self.release.rules(event_type).event_type.needs,
                now_ms=self._from_ms,
            )
            reasons[recipient] = (released, agreed)
            if agreed.allowed:
                grants.append((recipient, agreed.compartments))
        return tuple(grants), MappingProxyType(reasons)


def agree(
    directory: Directory,
    *,
    publisher: AgencyId,
    recipient: AgencyId,
    route: Route,
    compartments: tuple[Compartment, ...],
    released: tuple[Compartment, ...],
    needs: Mapping[Compartment, tuple[Compartment, ...]],
    now_ms: int,
) -> Decision:
    """What of ``released`` the widest agreement covers. ``compartments`` and ``needs`` are the type's. Never raises.

    A compartment that needs another is left out where that one is not granted (docs/adr/0115).
    """
    agreed = ceiling(
        directory, publisher=publisher, recipient=recipient, route=route, compartments=compartments, now_ms=now_ms
    )
    return _within(agreed, released, needs) if agreed.allowed else agreed


def _within(
    agreed: Decision, released: tuple[Compartment, ...], needs: Mapping[Compartment, tuple[Compartment, ...]]
) -> Decision:
    """What both allow, as the agreement's decision."""
    both = without_unmet(tuple(c for c in agreed.compartments if c in released), needs)
    if both == agreed.compartments:
        return agreed
    if not both:
        return Decision(
            False, "agreement.compartments", f"{agreed.clause} covers none of {', '.join(released)}", agreed.clause
        )
    return Decision(True, agreed.code, f"{agreed.clause} covers {', '.join(both)}", agreed.clause, both)


def route_of(event: Event, event_type: TypeLike) -> Route:
    """The labels under which ``event`` travels."""
    return Route(event_type.name, event_type.version, event.handling, event.priority, event.purpose)


def hub_release(catalog: CatalogLike) -> Release:
    """The release rules of the hub itself: its notices, each to the agency that it is for (docs/adr/0011)."""
    return parse_release(_HUB_RELEASE, catalog, file="built-in")
