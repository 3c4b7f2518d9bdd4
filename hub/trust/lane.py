"""A publisher's side of a lane: one DEK for each compartment, one wrap for each recipient (docs/spec 6.1, 6.6)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.model import AgencyId, Agreement, Compartment, Grants, Route
from hub.trust.checks import DEK
from hub.trust.kem import KemPublicKey
from hub.trust.listing import Listing
from hub.wire import labels
from hub.wire.frames import (
    HEARTBEAT,
    INSTANCE,
    NO_HASH,
    NO_INSTANCE,
    encode_entry_end,
    encode_entry_start,
    encode_lane,
)
from hub.wire.labels import labelled_hash, lp
from hub.wire.limits import LANE_LIFE_MS

Previous = Mapping[AgencyId, tuple[bytes, int]]
"""For each recipient, the last instance that wrote to it before this one, and its last number there."""


def wrap_info(lane_hash: bytes, agency: AgencyId, kem_id: bytes, granted: tuple[Compartment, ...]) -> bytes:
    """What binds a wrap to its lane, recipient, key and grants (spec 6.6)."""
    return lp(labels.WRAP, lane_hash, agency.encode(), kem_id, *[name.encode() for name in granted])


@dataclass(frozen=True, slots=True)
class LaneEntry:
    """An entry without its number. ``start || recipient_seq || end`` is its frame."""

    agency: AgencyId
    kem_id: bytes
    start: bytes
    end: bytes


@dataclass(frozen=True, slots=True)
class Lane:
    """An open lane. ``frame`` is its bytes; ``ciphers`` has one for each compartment."""

    frame: bytes
    route: Route
    compartments: tuple[Compartment, ...]
    grants: Grants
    ciphers: tuple[AESGCM, ...]
    entries: tuple[LaneEntry, ...]
    agreements: tuple[tuple[Agreement, ...], ...]
    """What the directory said about each recipient when the lane was opened, in the order of the entries."""
    opened_ms: int

    def is_open(self, now_ms: int) -> bool:
        """Whether it may be used at ``now_ms``: at most 1 h, and never under a clock that went back (spec 6.1)."""
        return 0 <= now_ms - self.opened_ms < LANE_LIFE_MS

    def __repr__(self) -> str:
        return f"Lane({self.route.event_type}, {len(self.entries)} entries)"


@dataclass(frozen=True, slots=True)
class LaneOwner:
    """Who opens lanes: one instance of one publisher at one hub."""

    hub: AgencyId
    publisher: AgencyId
    instance: bytes
    policy_version: str

    def open(
        self,
        route: Route,
        compartments: tuple[Compartment, ...],
        grants: Grants,
        *,
        previous: Previous,
        directory: Listing,
        now_ms: int,
    ) -> Lane:
        """A new lane: fresh DEKs, wrapped to each recipient's current key.

        Raises ``ValueError`` for grants outside the compartments, and what ``directory`` raises for a recipient.
        """
        frame = self._frame(route, compartments)
        lane_hash = labelled_hash(labels.LANE, frame)
        deks = {name: os.urandom(DEK) for name in compartments}
        entries, agreements = [], []
        for agency, granted in grants:
            key = directory.kem_key(agency, now_ms)
            wrap = _wrap(key, lane_hash, agency, granted, deks)
            start = encode_entry_start(agency, key.kem_id, granted)
            end = encode_entry_end(*previous.get(agency, (NO_INSTANCE, 0)), wrap)
            entries.append(LaneEntry(agency, key.kem_id, start, end))
            agreements.append(directory.agreements(self.publisher, agency))
        ciphers = tuple([AESGCM(dek) for dek in deks.values()])
        return Lane(frame, route, compartments, grants, ciphers, tuple(entries), tuple(agreements), now_ms)

    def open_heartbeat(self, recipients: tuple[AgencyId, ...], *, previous: Previous, now_ms: int) -> Lane:
        """The lane of a heartbeat: entries without wraps (spec 6.9)."""
        entries = []
        for agency in recipients:
            start = encode_entry_start(agency, NO_HASH, ())
            entries.append(
                LaneEntry(agency, NO_HASH, start, encode_entry_end(*previous.get(agency, (NO_INSTANCE, 0)), b""))
            )
        return Lane(self._frame(HEARTBEAT, ()), HEARTBEAT, (), (), (), tuple(entries), (), now_ms)

    def _frame(self, route: Route, compartments: tuple[Compartment, ...]) -> bytes:
        return encode_lane(
            hub=self.hub,
            publisher=self.publisher,
            instance=self.instance,
            lane_id=os.urandom(INSTANCE),
            policy_version=self.policy_version,
            route=route,
            compartments=compartments,
        )


def _wrap(
    key: KemPublicKey,
    lane_hash: bytes,
    agency: AgencyId,
    granted: tuple[Compartment, ...],
    deks: Mapping[Compartment, bytes],
) -> bytes:
    info = wrap_info(lane_hash, agency, key.kem_id, granted)
    return key.seal(info, b"".join([deks[name] for name in granted]))
