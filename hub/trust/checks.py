"""The checks that the router, a receiver and the reader of a stub share (docs/spec 9 and 10). Pure.

Every function checks bytes that arrived against bytes that are signed, and raises the reason's own error.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from hub.errors import RejectedError, UnavailableError
from hub.model import AgencyId, Compartment
from hub.trust import kem
from hub.trust.listing import Listing
from hub.wire import labels, limits
from hub.wire.bundle import Proof
from hub.wire.frames import NO_HASH, NO_INSTANCE, Entry, Flush, Head, Lane, parse_flush
from hub.wire.header import HeaderBlock, parse_headers
from hub.wire.labels import lp
from hub.wire.merkle import PathInvalid, hash_leaf, hash_leaves, tree_root, verify_inclusion

DEK: Final = 32


class DirectoryBehind(UnavailableError):
    """The flush was made under a newer directory than the one at hand: fetch it and try again (spec 12.2).

    ``proven``: its publisher has signed that; else anybody may have written it.
    """

    code = "directory.behind"


class FlushFromFuture(RejectedError):
    """The flush's time is more than 5 minutes ahead of this clock."""

    code = "flush.from_future"


class FlushMismatch(RejectedError):
    """The flush and the lane name different hubs, publishers or instances."""

    code = "flush.mismatch"


class BundleNotInFlush(RejectedError):
    """The path does not lead from this head to the flush's root."""

    code = "bundle.not_in_flush"


class HeadersMismatch(RejectedError):
    """The event headers are not those that the head is over."""

    code = "headers.mismatch"


class CiphertextMismatch(RejectedError):
    """A ciphertext has another length or hash than the head, or than the headers, say."""

    code = "ciphertext.mismatch"


class CiphertextsNotGranted(RejectedError):
    """The record does not have exactly the ciphertexts that it must."""

    code = "ciphertexts.not_granted"


class EntryGrantsInvalid(RejectedError):
    """An entry grants nothing, or not in the lane's order, or twice, or what the lane does not have."""

    code = "entry.grants_invalid"


class EntryWrapLength(RejectedError):
    """A wrap is not as long as the grants demand."""

    code = "entry.wrap_length"


class EntryChainInvalid(RejectedError):
    """An entry's numbers cannot be: a number of 0 outside a heartbeat, or half of a previous instance."""

    code = "entry.chain_invalid"


class EntryNotInBundle(RejectedError):
    """The path does not lead from this entry to the head's root."""

    code = "entry.not_in_bundle"


class HubMismatch(RejectedError):
    """The record is for another hub."""

    code = "hub.mismatch"


class RecipientMismatch(RejectedError):
    """The entry is another agency's."""

    code = "recipient.mismatch"


class FlushCache:
    """Flushes whose signature was verified. Bounded: the one used longest ago goes first.

    The key has the signature and the directory's version in it, so neither can change under a hit (spec 10, step 2).
    """

    __slots__ = ("_kept", "_limit")

    def __init__(self, limit: int = limits.FLUSHES_KEPT) -> None:
        if limit < 1:
            raise ValueError("a cache of at least one flush is wanted")
        self._limit = limit
        self._kept: OrderedDict[tuple[bytes, int], Flush] = OrderedDict()

    def get(self, key: tuple[bytes, int]) -> Flush | None:
        flush = self._kept.get(key)
        if flush is not None:
            self._kept.move_to_end(key)
        return flush

    def put(self, key: tuple[bytes, int], flush: Flush) -> None:
        self._kept[key] = flush
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def key_moment_ms(appended_ms: int | None, now_ms: int) -> int:
    """The moment at which a flush's signing key must be valid (spec 12.3): when the broker appended its record.

    Without that time, now. A broker's clock is believed up to 5 minutes ahead of ours, and no further.
    """
    return now_ms if appended_ms is None else min(appended_ms, now_ms + limits.FLUSH_AHEAD_MS)


def verify_flush(proof: Proof, *, directory: Listing, now_ms: int, appended_ms: int | None, cache: FlushCache) -> Flush:
    """The flush, once its signature verifies under a key that was valid when its record was appended (spec 7.3, 12).

    ``appended_ms``: see :func:`key_moment_ms`. Raises :class:`FlushFromFuture`, :class:`DirectoryBehind`,
    ``SignatureInvalid``, and what ``directory`` raises for an unknown or suspended publisher and a key that it does not
    list, or that was revoked or not valid at that moment.
    """
    key = (hashlib.sha256(lp(proof.flush, proof.signature)).digest(), directory.version)
    known = cache.get(key)
    flush = known if known is not None else parse_flush(proof.flush)
    if flush.time_ms > now_ms + limits.FLUSH_AHEAD_MS:
        raise FlushFromFuture("the flush's time is ahead of this clock", time_ms=flush.time_ms, now_ms=now_ms)
    behind = flush.directory_version > directory.version
    try:
        # Also on a hit: the same flush may come again later, when its key is valid no more.
        moment_ms = key_moment_ms(appended_ms, now_ms)
        signing_key = directory.signing_key(flush.publisher, flush.signing_key_id, moment_ms)
    except RejectedError as error:
        if behind:  # it may be listed in what is not here yet: never guess (spec 12.2)
            raise _behind(flush, directory, proven=False) from error
        raise
    if known is None:
        signing_key.verify(labels.FLUSH, proof.flush, proof.signature)
        if behind:
            raise _behind(flush, directory, proven=True)
        cache.put(key, flush)
    return flush


def _behind(flush: Flush, directory: Listing, *, proven: bool) -> DirectoryBehind:
    return DirectoryBehind(
        "the flush names a newer directory",
        publisher=flush.publisher,
        wanted=flush.directory_version,
        have=directory.version,
        proven=proven,
    )


def verify_flush_lane(flush: Flush, lane: Lane) -> None:
    """Flush and lane name the same hub, publisher and instance. Raises :class:`FlushMismatch`."""
    if (flush.hub, flush.publisher, flush.instance) != (lane.hub, lane.publisher, lane.instance):
        raise FlushMismatch("the flush and the lane differ in hub, publisher or instance")
    if (flush.flush_seq == 1) != (flush.prev_flush == NO_HASH):
        raise FlushMismatch("the first flush of an instance, and no other, has none before it")


def verify_bundle_in_flush(head: bytes, proof: Proof, flush: Flush) -> None:
    """Raises :class:`BundleNotInFlush`."""
    try:
        verify_inclusion(hash_leaf(head), proof.index, flush.bundles, proof.path, flush.bundle_root)
    except PathInvalid as error:
        raise BundleNotInFlush("the head is not in the flush", reason=error.message) from error


def verify_headers(head: Head, headers: bytes) -> tuple[HeaderBlock, list[bytes]]:
    """The headers, split, and the leaf hash of each: those that ``event_root`` is over, and as many.

    Raises ``HeaderMalformed``, ``HeaderDuplicate``, :class:`HeadersMismatch`, :class:`CiphertextMismatch` where their
    lengths do not add up to the ciphertexts'.
    """
    core = head.core
    block = parse_headers(headers, core.n, len(core.lane.compartments))
    leaves = hash_leaves(block.items)
    if tree_root(leaves) != core.event_root:
        raise HeadersMismatch("the event headers are not the ones that are signed")
    for number, (length, _) in enumerate(head.ciphertexts):
        if block.ciphertext_length(number) != length:
            raise CiphertextMismatch("the headers' lengths do not add up to the ciphertext's", compartment=number)
    return block, leaves


def verify_ciphertexts(head: Head, ciphertexts: Sequence[bytes], compartments: Sequence[int]) -> None:
    """``ciphertexts`` are exactly those of the lane's ``compartments`` (numbers), with the head's lengths and hashes.

    Raises :class:`CiphertextsNotGranted`, :class:`CiphertextMismatch`.
    """
    if len(ciphertexts) != len(compartments):
        raise CiphertextsNotGranted(
            "the record has not exactly the ciphertexts it must have", have=len(ciphertexts), want=len(compartments)
        )
    names = head.core.lane.compartments
    for ciphertext, number in zip(ciphertexts, compartments, strict=True):
        length, digest = head.ciphertexts[number]
        if len(ciphertext) != length or hash_ciphertext(names[number], ciphertext) != digest:
            raise CiphertextMismatch("a ciphertext is not the one that is signed", compartment=names[number])


def hash_ciphertext(compartment: Compartment, ciphertext: bytes) -> bytes:
    """``ciphertext_hash_c`` (spec 6.5), without a copy of the ciphertext."""
    digest = hashlib.sha256(lp(labels.CIPHERTEXT, compartment.encode()) + len(ciphertext).to_bytes(4, "big"))
    digest.update(ciphertext)
    return digest.digest()


@lru_cache(maxsize=4096)  # a pure function of short names: the bundles of a lane all ask the same
def granted_numbers(lane: tuple[Compartment, ...], granted: tuple[Compartment, ...]) -> tuple[int, ...] | None:
    """The numbers of the granted compartments in the lane, or ``None`` unless sorted, unique and within it."""
    numbers = tuple([lane.index(name) for name in granted if name in lane])
    if len(numbers) != len(granted) or any(b <= a for a, b in pairwise(numbers)):
        return None
    return numbers


def verify_entry(entry: Entry, lane: Lane) -> tuple[int, ...]:
    """What an entry grants, as numbers of the lane's compartments (spec 6.7, 6.9).

    Raises :class:`EntryGrantsInvalid`, :class:`EntryWrapLength`, :class:`EntryChainInvalid`.
    """
    numbers = granted_numbers(lane.compartments, entry.compartments)
    if numbers is None or (not numbers) != lane.is_heartbeat:
        raise EntryGrantsInvalid("an entry's grants do not fit its lane", agency=entry.agency)
    wanted = kem.OVERHEAD + DEK * len(numbers) if numbers else 0
    if len(entry.wrap) != wanted or (not numbers and entry.kem_id != NO_HASH):
        raise EntryWrapLength("a wrap is not as long as the grants demand", agency=entry.agency, wanted=wanted)
    if (entry.prev_instance == NO_INSTANCE) != (entry.prev_seq == 0) or entry.prev_instance == lane.instance:
        raise EntryChainInvalid("an entry names half of a previous instance, or its own", agency=entry.agency)
    if not entry.recipient_seq and not lane.is_heartbeat:
        raise EntryChainInvalid("an entry's number is 0", agency=entry.agency)
    return numbers


def verify_addressed(flush: Flush, entry: Entry, *, hub: AgencyId, recipient: AgencyId) -> None:
    """Flush and entry are for this hub and this recipient. Raises :class:`HubMismatch`, :class:`RecipientMismatch`."""
    verify_hub(flush, hub)
    if entry.agency != recipient:
        raise RecipientMismatch("the entry is another agency's", found=entry.agency, wanted=recipient)


def verify_hub(flush: Flush, hub: AgencyId) -> None:
    """Raises :class:`HubMismatch`."""
    if flush.hub != hub:
        raise HubMismatch("the record is for another hub", found=flush.hub, wanted=hub)


def verify_entry_in_bundle(entry: bytes, index: int, path: Sequence[bytes], head: Head) -> None:
    """Raises :class:`EntryNotInBundle`."""
    try:
        verify_inclusion(hash_leaf(entry), index, head.entries, path, head.entries_root)
    except PathInvalid as error:
        raise EntryNotInBundle("the entry is not in the bundle", reason=error.message) from error
