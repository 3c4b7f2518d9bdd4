"""Sealing: drafts go in, signed ingest records come out (docs/spec 5 to 8). No disk, no clock, only ``os.urandom``.

A :class:`Sealer` is one instance: one start of one publisher process. What the caller must still do: store the records
and the sequences of a :class:`SealedFlush` in ONE transaction before anything is sent; where that fails, throw the
Sealer away and make a new one (its numbers are used up). :func:`check_draft` tells beforehand that a draft fits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hub.errors import ConfigError, InvariantError, RejectedError
from hub.model import AgencyId, Compartment, EventId, EventRef, Grants, Route
from hub.trust import kem
from hub.trust.checks import DEK, granted_numbers, hash_ciphertext
from hub.trust.composite import SIGNATURE_LENGTH, SigningKey
from hub.trust.lane import Lane, LaneOwner, Previous
from hub.trust.listing import Listing
from hub.trust.sections import commitment_prefix, frame_section
from hub.wire import labels, limits
from hub.wire.avro import LimitExceeded, encode_long
from hub.wire.bundle import Proof, encode_ingest
from hub.wire.frames import INSTANCE, NO_HASH, encode_core, encode_flush, encode_head
from hub.wire.header import SALT, encode_header
from hub.wire.labels import labelled_hash, lp
from hub.wire.merkle import EMPTY_ROOT, build_levels, hash_leaf, hash_leaves, inclusion_path, tree_root

_HEADER_MOST: Final = 50 + limits.AGENCY + 16
_ENTRY_MOST: Final = 256 + kem.OVERHEAD
"""Of an entry without its DEKs: names, numbers and identifiers fit in the 256."""
_FIXED_MOST: Final = limits.HEAD + limits.FLUSH + SIGNATURE_LENGTH + 32 * limits.PATH + 256
_sha256 = hashlib.sha256


class SealerForked(InvariantError):
    """The process was forked: two would write under one instance (spec 6.2)."""

    code = "sealer.forked"


class SealerExhausted(InvariantError):
    """The instance has used all its bundle numbers (spec 6.3)."""

    code = "sealer.exhausted"


class SealerKeyUnusable(ConfigError):
    """The directory does not list this site's signing key, or no longer: what it signs would be refused."""

    code = "sealer.key_unusable"


class DraftInvalid(InvariantError):
    """A group or a draft that the caller should never have made."""

    code = "sealer.draft_invalid"


@dataclass(frozen=True, slots=True)
class Draft:
    """An event ready to be sealed. ``sections`` is the Avro of each compartment, in the group's order."""

    event_id: EventId
    published_at_ms: int
    correlation_id: bytes
    in_reply_to: EventRef | None
    expires_at_ms: int
    sections: tuple[bytes, ...] = field(repr=False)  # plaintext: in no log


@dataclass(frozen=True, slots=True)
class Group:
    """Drafts of one lane: the same route, the same grants."""

    route: Route
    compartments: tuple[Compartment, ...]
    grants: Grants
    drafts: Sequence[Draft]


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """One ingest record. ``key`` is the instance: one partition, one order (spec 8.4)."""

    value: bytes = field(repr=False)
    key: bytes
    events: tuple[EventId, ...]
    recipients: tuple[AgencyId, ...]


@dataclass(frozen=True, slots=True)
class SealedFlush:
    """What one call sealed. ``sequences`` is the last number of this instance for each recipient, after it."""

    records: tuple[SealedRecord, ...]
    sequences: Mapping[AgencyId, int]


@dataclass(frozen=True, slots=True)
class _Bundle:
    head: bytes
    headers: bytes
    ciphertexts: list[bytes]
    entries: list[bytes]
    events: tuple[EventId, ...]
    recipients: tuple[AgencyId, ...]


def check_draft(draft: Draft, compartments: tuple[Compartment, ...], grants: Grants) -> None:
    """Whether the draft fits into a record by itself, so that it cannot spoil a flush for others.

    Raises ``SectionTooLarge``, ``LimitExceeded``; :class:`DraftInvalid` where the caller is wrong.
    """
    _check_group(compartments, grants)
    if len(draft.sections) != len(compartments) or len(draft.event_id) != 16 or len(draft.correlation_id) != 16:
        raise DraftInvalid("a draft has one section a compartment, and ids of 16 bytes")
    for moment in (draft.published_at_ms, draft.expires_at_ms):
        if not 0 <= moment <= limits.TIME_MS:
            raise LimitExceeded("a time is past the year 9999", value=moment, limit=limits.TIME_MS)
    size = _overhead(grants) + _draft_size([len(frame_section(content)) for content in draft.sections])
    if size > limits.RECORD:
        raise LimitExceeded("the event does not fit into a record", length=size, limit=limits.RECORD)


def _check_group(compartments: tuple[Compartment, ...], grants: Grants) -> None:
    if not 1 <= len(compartments) <= limits.COMPARTMENTS or len(set(compartments)) != len(compartments):
        raise DraftInvalid("a lane has 1 to 8 compartments, each once")
    if not grants or len({agency for agency, _ in grants}) != len(grants):
        raise DraftInvalid("grants are for at least one agency, and one for each")
    if len(grants) > limits.ENTRIES:
        raise LimitExceeded("too many recipients for one bundle", count=len(grants), limit=limits.ENTRIES)
    if not all(granted and granted_numbers(compartments, granted) for _, granted in grants):
        raise DraftInvalid("what is granted is not empty, in the schema's order, and within the lane")


def _overhead(grants: Grants) -> int:
    """No less than what a record measures without its events."""
    return _FIXED_MOST + sum(_ENTRY_MOST + DEK * len(granted) for _, granted in grants)


def _draft_size(sections: Sequence[int]) -> int:
    """No less than what an event adds to a record: its header, salts and sections."""
    return _HEADER_MOST + sum(36 + SALT + length for length in sections)


class Sealer:
    """One instance of a publisher. Not for several threads at once.

    ``previous`` has, for each recipient ever written to, the last instance before this one and its last number.
    """

    def __init__(
        self,
        *,
        hub: AgencyId,
        publisher: AgencyId,
        site_key: SigningKey,
        directory: Listing,
        policy_version: str,
        previous: Previous,
    ) -> None:
        self.instance: bytes = os.urandom(INSTANCE)
        self._owner = LaneOwner(hub, publisher, self.instance, policy_version)
        self._site_key = site_key
        self._directory = directory
        self._previous = dict(previous)
        self._lanes: dict[tuple[Route, tuple[Compartment, ...], Grants], Lane] = {}
        self._sequences: dict[AgencyId, int] = {}
        self._bundle_seq = 0
        self._flush_seq = 0
        self._last_flush = NO_HASH
        self._process = os.getpid()

    @property
    def lanes(self) -> int:
        """How many lanes are kept open."""
        return len(self._lanes)

    @property
    def directory_version(self) -> int:
        return self._directory.version

    def update_directory(self, directory: Listing, now_ms: int) -> None:
        """Take a newer directory, and close the lanes that the change touches (spec 12.4).

        A lane is touched where a recipient's current key, or the agreements with it, are not what they were.
        """
        self._directory = directory
        for key, lane in list(self._lanes.items()):
            if self._is_touched(lane, now_ms):
                del self._lanes[key]

    def _is_touched(self, lane: Lane, now_ms: int) -> bool:
        directory, publisher = self._directory, self._owner.publisher
        for entry, agreements in zip(lane.entries, lane.agreements, strict=True):
            try:
                kem_id = directory.kem_key(entry.agency, now_ms).kem_id
            except RejectedError:  # suspended, unknown, or without a key: opening it anew will say which
                return True
            if kem_id != entry.kem_id or directory.agreements(publisher, entry.agency) != agreements:
                return True
        return False

    def seal(self, groups: Sequence[Group], *, now_ms: int) -> SealedFlush:
        """Seal every draft into bundles, sign them, and number them for their recipients.

        Bundles of at most 512 events and 900,000 bytes; as many flushes as 512 events each need. ``now_ms`` is
        milliseconds since 1970. Raises :class:`SealerForked`, :class:`SealerExhausted`, :class:`SealerKeyUnusable`,
        :class:`DraftInvalid`, what :func:`check_draft` raises, and what the directory raises for a recipient.
        On any error the Sealer must not be used again.
        """
        self._check_process()
        self._check_key(now_ms)
        records: list[SealedRecord] = []
        bundles: list[_Bundle] = []
        events = 0
        for group, drafts in self._split(groups):
            if events + len(drafts) > limits.EVENTS_A_FLUSH or len(bundles) == limits.BUNDLES_A_FLUSH:
                records += self._sign(bundles, now_ms)
                bundles, events = [], 0
            bundles.append(self._seal_bundle(self._lane(group, now_ms), drafts))
            events += len(drafts)
        if bundles:
            records += self._sign(bundles, now_ms)
        return SealedFlush(tuple(records), dict(self._sequences))

    def heartbeat(self, recipients: Sequence[AgencyId], *, now_ms: int) -> SealedFlush:
        """A signed bundle with no events and each recipient's current number (spec 6.9, 11.6). Uses no number."""
        self._check_process()
        self._check_key(now_ms)
        bundles = []
        ordered = sorted(set(recipients))
        for start in range(0, len(ordered), limits.ENTRIES):
            some = tuple(ordered[start : start + limits.ENTRIES])
            lane = self._owner.open_heartbeat(some, previous=self._previous, now_ms=now_ms)
            entries = self._number_entries(lane, 0)
            core = encode_core(lane=lane.frame, bundle_seq=self._next_bundle(), n=0, event_root=EMPTY_ROOT)
            bundles.append(_bundle(core, b"", [], [], entries, (), some))
        records = self._sign(bundles, now_ms) if bundles else []
        return SealedFlush(tuple(records), dict(self._sequences))

    # --- parts -----------------------------------------------------------------------------------------------------

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise SealerForked("the process was forked: make a new Sealer in each")

    def _check_key(self, now_ms: int) -> None:
        key_id = self._site_key.public.key_id
        try:
            self._directory.signing_key(self._owner.publisher, key_id, now_ms)
        except RejectedError as error:
            raise SealerKeyUnusable(
                f"the directory does not take this site's signing key: {error.message}",
                publisher=self._owner.publisher,
                key_id=key_id.hex()[:16],
                reason=error.code,
            ) from error

    def _split(self, groups: Sequence[Group]) -> Iterator[tuple[Group, Sequence[Draft]]]:
        """Runs of each group's drafts that fit into one record (spec 2.1)."""
        for group in groups:
            overhead = _overhead(group.grants)
            run: list[Draft] = []
            size = overhead
            for draft in group.drafts:
                added = _draft_size([len(content) + limits.SECTION_BLOCK + 4 for content in draft.sections])
                if run and (size + added > limits.RECORD or len(run) == limits.EVENTS_A_BUNDLE):
                    yield group, run
                    run, size = [], overhead
                run.append(draft)
                size += added
            if run:
                yield group, run

    def _lane(self, group: Group, now_ms: int) -> Lane:
        key = (group.route, group.compartments, group.grants)
        lane = self._lanes.pop(key, None)
        # Keys become current and end by their dates, without a new directory (spec 12.4).
        if lane is None or not lane.is_open(now_ms) or self._is_touched(lane, now_ms):
            _check_group(group.compartments, group.grants)
            lane = self._owner.open(*key, previous=self._previous, directory=self._directory, now_ms=now_ms)
        self._lanes[key] = lane  # the last: the one used longest ago goes first
        if len(self._lanes) > limits.LANES_KEPT:
            del self._lanes[next(iter(self._lanes))]
        return lane

    def _next_bundle(self) -> int:
        if self._bundle_seq >= limits.BUNDLE_SEQ:
            raise SealerExhausted("the instance has used all its bundle numbers: make a new Sealer")
        self._bundle_seq += 1
        return self._bundle_seq

    def _number_entries(self, lane: Lane, step: int) -> list[bytes]:
        sequences = self._sequences
        frames = []
        for entry in lane.entries:
            number = sequences.get(entry.agency, 0) + step
            if step:
                sequences[entry.agency] = number
            frames.append(entry.start + encode_long(number) + entry.end)
        return frames

    def _seal_bundle(self, lane: Lane, drafts: Sequence[Draft]) -> _Bundle:
        headers, plaintexts = _commit(lane.compartments, drafts)
        bundle_seq = self._next_bundle()
        root = tree_root(hash_leaves(headers))
        core = encode_core(lane=lane.frame, bundle_seq=bundle_seq, n=len(drafts), event_root=root)
        prefix = bundle_seq.to_bytes(4, "big")
        ciphertexts, hashes = [], []
        for name, cipher, plaintext in zip(lane.compartments, lane.ciphers, plaintexts, strict=True):
            nonce = prefix + labelled_hash(labels.NONCE, name.encode(), core)[:8]
            ciphertext = cipher.encrypt(nonce, plaintext, lp(labels.AAD, name.encode(), core))
            ciphertexts.append(ciphertext)
            hashes.append((len(ciphertext), hash_ciphertext(name, ciphertext)))
        return _bundle(
            core,
            b"".join(headers),
            ciphertexts,
            hashes,
            self._number_entries(lane, 1),
            tuple([draft.event_id for draft in drafts]),
            tuple([entry.agency for entry in lane.entries]),
        )

    def _sign(self, bundles: Sequence[_Bundle], now_ms: int) -> list[SealedRecord]:
        levels = build_levels([hash_leaf(bundle.head) for bundle in bundles])
        flush = encode_flush(
            hub=self._owner.hub,
            publisher=self._owner.publisher,
            signing_key_id=self._site_key.public.key_id,
            instance=self.instance,
            flush_seq=self._flush_seq + 1,
            prev_flush=self._last_flush,
            directory_version=self._directory.version,
            bundles=len(bundles),
            bundle_root=levels[-1][0],
            time_ms=now_ms,
        )
        signature = self._site_key.sign(labels.FLUSH, flush)
        self._flush_seq += 1
        self._last_flush = labelled_hash(labels.FLUSH, flush)
        return [
            SealedRecord(
                encode_ingest(
                    head=bundle.head,
                    headers=bundle.headers,
                    ciphertexts=bundle.ciphertexts,
                    entries=bundle.entries,
                    proof=Proof(flush, signature, index, inclusion_path(levels, index)),
                ),
                self.instance,
                bundle.events,
                bundle.recipients,
            )
            for index, bundle in enumerate(bundles)
        ]


def _bundle(
    core: bytes,
    headers: bytes,
    ciphertexts: list[bytes],
    hashes: list[tuple[int, bytes]],
    entries: list[bytes],
    events: tuple[EventId, ...],
    recipients: tuple[AgencyId, ...],
) -> _Bundle:
    """Order the entries by their leaf hash, which says nothing about who they are for (spec 6.8)."""
    by_leaf = sorted(zip(hash_leaves(entries), entries, strict=True))
    root = tree_root([leaf for leaf, _ in by_leaf])
    head = encode_head(core=core, ciphertexts=hashes, entries=len(entries), entries_root=root)
    return _Bundle(head, headers, ciphertexts, [entry for _, entry in by_leaf], events, recipients)


def _commit(compartments: tuple[Compartment, ...], drafts: Sequence[Draft]) -> tuple[list[bytes], list[bytes]]:
    """The event headers, and the plaintext of each compartment: ``salt || section`` of each event (spec 5, 6.4)."""
    count = len(drafts)
    columns: list[list[int | bytes]] = []
    plaintexts = []
    for number, name in enumerate(compartments):
        prefix = commitment_prefix(name)
        randomness = os.urandom(SALT * count)
        lengths: list[int | bytes] = []
        commitments: list[int | bytes] = []
        pieces: list[bytes] = []
        for position, draft in enumerate(drafts):
            section = frame_section(draft.sections[number])
            salt = randomness[SALT * position : SALT * (position + 1)]
            length = len(section)
            lengths.append(length)
            commitments.append(_sha256(prefix + salt + length.to_bytes(4, "big") + section).digest())
            pieces += (salt, section)
        columns += (lengths, commitments)
        plaintexts.append(b"".join(pieces))
    headers = [
        encode_header(d.event_id, d.published_at_ms, d.correlation_id, d.expires_at_ms, d.in_reply_to, parts)
        for d, parts in zip(drafts, zip(*columns, strict=True), strict=True)
    ]
    return headers, plaintexts
