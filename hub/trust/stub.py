"""The reader of a stub: what the hub shows to prove why it did not deliver a bundle (docs/spec 13.3). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hub.model import AgencyId, Compartment, Route
from hub.trust.checks import (
    FlushCache,
    verify_addressed,
    verify_bundle_in_flush,
    verify_entry,
    verify_entry_in_bundle,
    verify_flush,
    verify_flush_lane,
)
from hub.trust.listing import Listing
from hub.wire.bundle import parse_stub
from hub.wire.frames import parse_entry, parse_head


@dataclass(frozen=True, slots=True)
class Stub:
    """What the publisher signed of a bundle that was not delivered: labels, grants and number, no content.

    With ``route`` and ``granted`` the recipient decides the agreement and its own subscription by itself, and so
    checks the hub's reason. ``head_hash`` must be what a later delivery of the same number has.
    """

    publisher: AgencyId
    instance: bytes
    bundle_seq: int
    route: Route
    n: int
    granted: tuple[Compartment, ...]
    recipient_seq: int
    directory_version: int
    flush_time_ms: int
    head_hash: bytes


def verify_stub(
    value: bytes,
    *,
    hub: AgencyId,
    recipient: AgencyId,
    directory: Listing,
    now_ms: int,
    flushes: FlushCache | None = None,
) -> Stub:
    """Steps 1 to 3 and 5 of spec 10, and the entry's part of step 4, on a stub.

    Raises a :class:`~hub.errors.RejectedError` with the reason's code, or ``DirectoryBehind``.
    """
    # 1: frames and limits
    record = parse_stub(value)
    head = parse_head(record.head)
    entry = parse_entry(record.entry)
    lane = head.core.lane
    # 2: the flush's signature. When the broker appended the bundle is the hub's to say and not in the stub: so by now
    cache = FlushCache(1) if flushes is None else flushes
    flush = verify_flush(record.proof, directory=directory, now_ms=now_ms, appended_ms=None, cache=cache)
    verify_flush_lane(flush, lane)
    # 3: the bundle is in the flush
    verify_bundle_in_flush(record.head, record.proof, flush)
    # 4: the entry is in the bundle, and fits its lane
    verify_entry_in_bundle(record.entry, record.entry_index, record.entry_path, head)
    verify_entry(entry, lane)
    # 5: hub and recipient are who they should be
    verify_addressed(flush, entry, hub=hub, recipient=recipient)
    return Stub(
        publisher=lane.publisher,
        instance=lane.instance,
        bundle_seq=head.core.bundle_seq,
        route=lane.route,
        n=head.core.n,
        granted=entry.compartments,
        recipient_seq=entry.recipient_seq,
        directory_version=flush.directory_version,
        flush_time_ms=flush.time_ms,
        head_hash=head.hash,
    )
