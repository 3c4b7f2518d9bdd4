"""A publisher (JCF) and three recipients, with everything that a test of sealing and opening wants at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from hub.model import (
    HUB,
    AgencyId,
    Compartment,
    EventRef,
    Grants,
    Priority,
    Purpose,
    Route,
    new_event_id,
    parse_handling,
)
from hub.trust.directory import Directory
from hub.trust.open import Opener
from hub.trust.seal import Draft, Group, SealedFlush, Sealer
from hub.trust.verify import FlushCache, VerifiedBundle, verify_ingest
from tests.support.authority import NOW_MS, World

JCF, ATF, CCGIU, INTERPOL = (AgencyId(name) for name in ("JCF", "ATF", "CCGIU", "INTERPOL"))
COMPARTMENTS = tuple(Compartment(name) for name in ("core", "personal", "sensitive"))
CORE, PERSONAL, SENSITIVE = COMPARTMENTS
ROUTE = Route("trace.request", 1, parse_handling("TLP:AMBER"), Priority.ROUTINE, Purpose.INVESTIGATION)
GRANTS: Grants = ((ATF, COMPARTMENTS), (CCGIU, (CORE, SENSITIVE)), (INTERPOL, (CORE,)))


@cache
def world_directory() -> Directory:
    """The directory of a world of four agencies: made once, for it never changes."""
    return World.of(JCF, ATF, CCGIU, INTERPOL).directory()


def draft(*, size: int = 40, reply: EventRef | None = None, compartments: int = 3) -> Draft:
    """An event of random bytes."""
    return Draft(
        new_event_id(NOW_MS, os.urandom(10)),
        NOW_MS,
        os.urandom(16),
        reply,
        NOW_MS + 86_400_000,
        tuple([os.urandom(size) for _ in range(compartments)]),
    )


def group(count: int = 2, *, grants: Grants = GRANTS, route: Route = ROUTE, size: int = 40) -> Group:
    """Drafts of one lane."""
    return Group(route, COMPARTMENTS, grants, [draft(size=size) for _ in range(count)])


@dataclass
class Stage:
    """``seal`` at JCF, ``verify`` at the hub, ``opener`` at a recipient."""

    world: World = field(default_factory=lambda: World.of(JCF, ATF, CCGIU, INTERPOL))
    directory: Directory = field(default_factory=world_directory)

    def sealer(
        self, *, hub: AgencyId = HUB, publisher: AgencyId = JCF, previous: Mapping[AgencyId, tuple[bytes, int]] = {}
    ) -> Sealer:
        return Sealer(
            hub=hub,
            publisher=publisher,
            site_key=self.world.keys[publisher].signing,
            directory=self.directory,
            policy_version="sha256:test",
            previous=previous,
        )

    def seal(self, groups: Sequence[Group] = (), *, sealer: Sealer | None = None) -> SealedFlush:
        return (sealer or self.sealer()).seal(groups or [group()], now_ms=NOW_MS)

    def verify(self, value: bytes, *, owner: AgencyId = JCF, hub: AgencyId = HUB) -> VerifiedBundle:
        return verify_ingest(value, owner=owner, hub=hub, directory=self.directory, now_ms=NOW_MS, flushes=FlushCache())

    def deliver(self, agency: AgencyId, groups: Sequence[Group] = ()) -> bytes:
        return self.verify(self.seal(groups).records[0].value).delivery(agency)

    def opener(self, agency: AgencyId, *, hub: AgencyId = HUB) -> Opener:
        return Opener(hub=hub, recipient=agency, kem_keys=self.world.keys[agency].kem_all)
