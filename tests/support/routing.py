"""Sealed bundles for tests of the router: publishers on a small world, with sections that are only random bytes.

The router never opens a section, so they need be of no schema.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hub.model import (
    HUB,
    AgencyId,
    Compartment,
    Decision,
    EventId,
    Priority,
    Purpose,
    Route,
    new_event_id,
    parse_handling,
)
from hub.trust.seal import Draft, Group, SealedRecord, Sealer
from tests.support.authority import World

COMPARTMENTS = (Compartment("core"), Compartment("personal"), Compartment("sensitive"))
ROUTE = Route("trace.request", 1, parse_handling("TLP:AMBER"), Priority.ROUTINE, Purpose.INVESTIGATION)


class Asking:
    """Subscriptions in which each of ``agencies`` asks for everything, and the others for nothing."""

    def __init__(self, *agencies: str) -> None:
        self.agencies = agencies

    def decide_labels(self, recipient: AgencyId, publisher: AgencyId, route: Route) -> Decision:
        if recipient in self.agencies:
            return Decision(True, "subscription.asked", f"{recipient} asks for it", "test.yaml:1")
        return Decision(False, "subscription.labels", f"not {publisher} {route.event_type}", "test.yaml:1")


def draft(now_ms: int, *, event_id: EventId | None = None, compartments: int = 3, size: int = 40) -> Draft:
    """An event of random bytes."""
    return Draft(
        event_id or new_event_id(now_ms, os.urandom(10)),
        now_ms,
        os.urandom(16),
        None,
        now_ms + 86_400_000,
        tuple(os.urandom(size) for _ in range(compartments)),
    )


@dataclass
class Site:
    """A publisher of ``agency`` in ``world``: each call seals one flush."""

    world: World
    agency: str
    sealer: Sealer = field(init=False)

    def __post_init__(self) -> None:
        self.sealer = Sealer(
            hub=HUB,
            publisher=AgencyId(self.agency),
            site_key=self.world.keys[AgencyId(self.agency)].signing,
            directory=self.world.directory(),
            policy_version="test",
            previous={},
        )

    def seal(
        self,
        recipients: Iterable[str],
        *,
        events: int = 1,
        route: Route = ROUTE,
        compartments: Sequence[Compartment] = COMPARTMENTS,
        drafts: Sequence[Draft] | None = None,
    ) -> SealedRecord:
        """One bundle in a flush of its own; every recipient is granted all compartments."""
        grants = tuple((AgencyId(agency), tuple(compartments)) for agency in sorted(recipients))
        now = self.world.now_ms
        made = drafts or [draft(now, compartments=len(compartments)) for _ in range(events)]
        group = Group(route, tuple(compartments), grants, made)
        return self.sealer.seal([group], now_ms=now).records[0]

    def heartbeat(self, recipients: Iterable[str]) -> SealedRecord:
        """A heartbeat in a flush of its own."""
        return self.sealer.heartbeat([AgencyId(agency) for agency in recipients], now_ms=self.world.now_ms).records[0]
