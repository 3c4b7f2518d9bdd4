"""The router's verification of one ingest record (docs/spec 9). Pure: bytes and keys in, a verified bundle out.

What the caller must still do: decide each entry by agreement and subscription, deliver it whole or not at all, and
commit nothing before what it caused is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hub.errors import RejectedError
from hub.model import AgencyId, Compartment, EventId, Route
from hub.trust.checks import (
    FlushCache,
    verify_bundle_in_flush,
    verify_ciphertexts,
    verify_entry,
    verify_flush,
    verify_flush_lane,
    verify_headers,
    verify_hub,
)
from hub.trust.listing import Listing
from hub.wire.bundle import (
    IngestRecord,
    encode_delivered,
    encode_entry_proof,
    encode_proof,
    encode_stub,
    parse_ingest,
)
from hub.wire.frames import Entry, Flush, Head, parse_entry, parse_head
from hub.wire.header import HeaderBlock
from hub.wire.merkle import build_levels, hash_leaves, inclusion_path

__all__ = ["FlushCache", "PublisherMismatch", "EntriesMismatch", "EntryDuplicate", "VerifiedBundle", "verify_ingest"]


class PublisherMismatch(RejectedError):
    """The bundle's publisher does not own the topic that it came from."""

    code = "publisher.mismatch"


class EntriesMismatch(RejectedError):
    """The entries are not those that the head is over, or not in their order."""

    code = "entries.mismatch"


class EntryDuplicate(RejectedError):
    """Two entries of a bundle are for the same agency."""

    code = "entry.duplicate"


class VerifiedBundle:
    """An ingest record that passed spec 9, steps 1 to 8, and what can be made of it. Read only."""

    __slots__ = (
        "_entry_levels",
        "_granted",
        "_headers",
        "_numbers",
        "_proof",
        "_record",
        "bundle_seq",
        "compartments",
        "directory_version",
        "entries",
        "flush_time_ms",
        "head_hash",
        "header_hashes",
        "instance",
        "is_heartbeat",
        "n",
        "publisher",
        "route",
        "signing_key_id",
    )

    def __init__(
        self,
        record: IngestRecord,
        head: Head,
        flush: Flush,
        headers: HeaderBlock,
        header_hashes: Sequence[bytes],
        entries: tuple[Entry, ...],
        granted: tuple[tuple[int, ...], ...],
        entry_levels: list[list[bytes]],
    ) -> None:
        core, lane = head.core, head.core.lane
        self.publisher: AgencyId = lane.publisher
        self.instance: bytes = lane.instance
        self.bundle_seq: int = core.bundle_seq
        self.route: Route = lane.route
        self.compartments: tuple[Compartment, ...] = lane.compartments
        self.n: int = core.n
        self.is_heartbeat: bool = lane.is_heartbeat
        self.head_hash: bytes = head.hash
        self.directory_version: int = flush.directory_version
        self.flush_time_ms: int = flush.time_ms
        self.signing_key_id: bytes = flush.signing_key_id
        self.entries: tuple[Entry, ...] = entries
        self.header_hashes: Sequence[bytes] = header_hashes
        """The leaf hash of each event header: an event's identity beside its id."""
        self._record = record
        self._headers = headers
        self._granted = granted
        self._entry_levels = entry_levels
        self._numbers = {entry.agency: number for number, entry in enumerate(entries)}
        self._proof = encode_proof(record.proof)

    @property
    def event_ids(self) -> tuple[EventId, ...]:
        return self._headers.event_ids

    @property
    def published_at_ms(self) -> tuple[int, ...]:
        """Milliseconds since 1970, one for each event, as the publisher says."""
        return self._headers.published_at_ms

    def delivery(self, agency: AgencyId) -> bytes:
        """The delivered record for ``agency`` (spec 8.2). Raises ``KeyError`` where it has no entry."""
        number = self._numbers[agency]
        record = self._record
        return encode_delivered(
            head=record.head,
            headers=record.headers,
            ciphertexts=[record.ciphertexts[granted] for granted in self._granted[number]],
            entry_proof=self._entry_proof(number),
            proof=self._proof,
        )

    def stub(self, agency: AgencyId) -> bytes:
        """The proof of labels and entry with no content, owed on demand (spec 13.3). Raises ``KeyError``."""
        entry_proof = self._entry_proof(self._numbers[agency])
        return encode_stub(head=self._record.head, entry_proof=entry_proof, proof=self._proof)

    def _entry_proof(self, number: int) -> bytes:
        path = inclusion_path(self._entry_levels, number)
        return encode_entry_proof(self._record.entries[number], number, path)


def verify_ingest(
    value: bytes,
    *,
    owner: AgencyId,
    hub: AgencyId,
    directory: Listing,
    now_ms: int,
    flushes: FlushCache,
    appended_ms: int | None = None,
) -> VerifiedBundle:
    """Check an ingest record (spec 9) that came from ``ingest.<owner>``.

    ``now_ms`` is milliseconds since 1970; ``appended_ms`` is when the broker appended the record, None where nobody
    knows (spec 12.3). Raises a :class:`~hub.errors.RejectedError` with the reason's code, or ``DirectoryBehind`` where
    a newer directory must be fetched first.
    """
    # 1: frames and limits
    record = parse_ingest(value)
    head = parse_head(record.head)
    entries = tuple([parse_entry(entry) for entry in record.entries])
    lane = head.core.lane
    # 2: the topic's owner is the publisher
    if lane.publisher != owner:
        raise PublisherMismatch("the publisher does not own this topic", publisher=lane.publisher, owner=owner)
    # 3: the flush's signature, against the key that the directory lists
    flush = verify_flush(record.proof, directory=directory, now_ms=now_ms, appended_ms=appended_ms, cache=flushes)
    # 4: flush, lane and hub agree
    verify_flush_lane(flush, lane)
    verify_hub(flush, hub)
    # 5: the bundle is in the flush
    verify_bundle_in_flush(record.head, record.proof, flush)
    # 6: headers and ciphertexts against the head
    headers, header_hashes = verify_headers(head, record.headers)
    verify_ciphertexts(head, record.ciphertexts, range(len(lane.compartments)))
    # 7: entries against the head
    leaves = hash_leaves(record.entries)
    if len(leaves) != head.entries or any(b <= a for a, b in pairwise(leaves)):
        raise EntriesMismatch("the entries are not as many as the head says, or not in order")
    levels = build_levels(leaves)
    if levels[-1][0] != head.entries_root:
        raise EntriesMismatch("the entries are not the ones that are signed")
    # 8: one entry an agency; grants and wraps fit the lane
    if len({entry.agency for entry in entries}) != len(entries):
        raise EntryDuplicate("two entries are for the same agency")
    granted = tuple([verify_entry(entry, lane) for entry in entries])
    return VerifiedBundle(record, head, flush, headers, header_hashes, entries, granted, levels)
