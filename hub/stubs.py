"""The stub on demand (spec 13.3): what proves to a recipient which entry the hub did not deliver, with no content.

The hub owes it for every number in its notices, for as long as it keeps the ingest record: nothing is stored for it,
it is made anew from that record when it is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from hub.errors import RejectedError
from hub.model import AgencyId
from hub.ports import IncomingRecord
from hub.trust.directory import Directory
from hub.trust.verify import FlushCache, verify_ingest
from hub.wire.bundle import parse_ingest
from hub.wire.frames import parse_entry, parse_head


class StubNotFound(RejectedError):
    """No record on the ingest topic has such an entry: its retention is over, or the number was never used."""

    code = "stub.not_found"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entry by its name: whose instance, for whom, and its number."""

    publisher: AgencyId
    instance: bytes
    recipient: AgencyId
    recipient_seq: int


def has_entry(value: bytes, wanted: Wanted) -> bool:
    """Whether an ingest record has the entry; nothing is verified. A record that is no record has not."""
    try:
        record = parse_ingest(value)
        lane = parse_head(record.head).core.lane
        if lane.is_heartbeat or (lane.publisher, lane.instance) != (wanted.publisher, wanted.instance):
            return False
        entries = [parse_entry(entry) for entry in record.entries]
    except RejectedError:
        return False  # it stands in quarantine with its reason
    return any((e.agency, e.recipient_seq) == (wanted.recipient, wanted.recipient_seq) for e in entries)


async def make_stub(
    records: AsyncIterator[IncomingRecord], wanted: Wanted, *, hub: AgencyId, directory: Directory, now_ms: int
) -> bytes:
    """The stub's bytes for ``wanted``, from the records of ``ingest.<publisher>``.

    The record is verified as the router does it. Raises :class:`StubNotFound`, and what ``verify_ingest`` raises.
    """
    async for record in records:
        if has_entry(record.value, wanted):
            bundle = verify_ingest(
                record.value,
                owner=wanted.publisher,
                hub=hub,
                directory=directory,
                now_ms=now_ms,
                flushes=FlushCache(1),
                appended_ms=record.appended_ms,
            )
            return bundle.stub(wanted.recipient)
    raise StubNotFound(
        "no record on the ingest topic has this entry",
        publisher=wanted.publisher,
        instance=wanted.instance.hex(),
        recipient=wanted.recipient,
        recipient_seq=wanted.recipient_seq,
    )
