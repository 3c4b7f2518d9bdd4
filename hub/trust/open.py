"""The receiver: verify and open one delivered record (docs/spec 10). Pure: bytes and keys in, sections out.

Legal order for each record: :meth:`Opener.verify` (steps 1 to 5), then the caller's step 6 with ``hub.trust.sequence``,
then :meth:`Opener.open` (steps 7 and 8), then the caller's step 9: Avro, schema, pydantic, mark as seen. No plaintext
leaves before step 8 is done for the whole bundle.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import RejectedError
from hub.model import AgencyId, Compartment, EventId, EventRef, Route
from hub.trust.checks import (
    DEK,
    FlushCache,
    verify_addressed,
    verify_bundle_in_flush,
    verify_ciphertexts,
    verify_entry,
    verify_entry_in_bundle,
    verify_flush,
    verify_flush_lane,
    verify_headers,
)
from hub.trust.kem import KemPrivateKey
from hub.trust.lane import wrap_info
from hub.trust.listing import Listing
from hub.trust.sections import commitment_prefix, unframe_section
from hub.trust.sequence import Stamp
from hub.wire import labels, limits
from hub.wire.bundle import parse_delivered
from hub.wire.frames import Entry, Head, parse_entry, parse_head
from hub.wire.header import SALT, HeaderBlock
from hub.wire.labels import labelled_hash, lp

_sha256 = hashlib.sha256


class KemKeyMissing(RejectedError):
    """The wrap is for a KEM key that is not at hand: destroyed at the end of retention, or never this agency's."""

    code = "wrap.key_missing"


class CiphertextUnopenable(RejectedError):
    """A ciphertext does not open with the DEK of its wrap."""

    code = "ciphertext.unopenable"


class CommitmentMismatch(RejectedError):
    """A section is not the one that its event's header commits to."""

    code = "commitment.mismatch"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivered record that passed steps 1 to 5. Made by :meth:`Opener.verify` alone; it has no plaintext.

    ``granted`` and ``withheld`` together are the lane's compartments. Times are milliseconds since 1970.
    """

    publisher: AgencyId
    instance: bytes
    bundle_seq: int
    route: Route
    n: int
    granted: tuple[Compartment, ...]
    withheld: tuple[Compartment, ...]
    directory_version: int
    flush_time_ms: int
    signing_key_id: bytes
    policy_version: str
    head_hash: bytes
    header_hashes: Sequence[bytes] = field(repr=False)
    is_heartbeat: bool
    stamp: Stamp
    """What ``hub.trust.sequence`` wants for step 6."""
    _head: Head = field(repr=False)
    _entry: Entry = field(repr=False)
    _headers: HeaderBlock = field(repr=False)
    _numbers: tuple[int, ...] = field(repr=False)
    _ciphertexts: Sequence[bytes] = field(repr=False)

    @property
    def event_ids(self) -> tuple[EventId, ...]:
        return self._headers.event_ids

    @property
    def kem_id(self) -> bytes:
        """The KEM key that the wrap is for; zeros in a heartbeat."""
        return self._entry.kem_id


class OpenedSections(NamedTuple):
    """One event's header, and the Avro of each compartment that is granted. Checked against its commitments.

    A tuple with names, for there is one for each event and recipient: a frozen dataclass takes three times as long.
    """

    event_id: EventId
    published_at_ms: int
    correlation_id: bytes
    in_reply_to: EventRef | None
    expires_at_ms: int
    header_hash: bytes
    sections: Mapping[Compartment, bytes]

    def __repr__(self) -> str:
        """Without the plaintext: in no log."""
        return f"OpenedSections({self.event_id.hex()}, {', '.join(self.sections)})"


class Opener:
    """Opens what is delivered to ``recipient``. Keeps verified flushes and opened wraps; not for several threads."""

    def __init__(
        self,
        *,
        hub: AgencyId,
        recipient: AgencyId,
        kem_keys: Sequence[KemPrivateKey],
        flushes: FlushCache | None = None,
    ) -> None:
        self._hub = hub
        self._recipient = recipient
        self._keys = {key.public.kem_id: key for key in kem_keys}
        self._flushes = FlushCache() if flushes is None else flushes
        self._ciphers: OrderedDict[bytes, tuple[AESGCM, ...]] = OrderedDict()

    def verify(self, value: bytes, *, directory: Listing, now_ms: int, appended_ms: int | None = None) -> Delivered:
        """Steps 1 to 5 for the value of a record of ``deliver.<recipient>``.

        ``appended_ms`` is when the broker appended it first (spec 12.3), None where nobody knows. Raises a
        :class:`~hub.errors.RejectedError` with the reason's code, or ``DirectoryBehind`` where a newer directory must
        be fetched first.
        """
        # 1: frames and limits
        record = parse_delivered(value)
        head = parse_head(record.head)
        entry = parse_entry(record.entry)
        lane = head.core.lane
        # 2: the flush's signature, once for a flush
        flush = verify_flush(
            record.proof, directory=directory, now_ms=now_ms, appended_ms=appended_ms, cache=self._flushes
        )
        verify_flush_lane(flush, lane)
        # 3: the bundle is in the flush
        verify_bundle_in_flush(record.head, record.proof, flush)
        # 4: headers, lengths, own entry, ciphertexts present = granted
        headers, header_hashes = verify_headers(head, record.headers)
        verify_entry_in_bundle(record.entry, record.entry_index, record.entry_path, head)
        numbers = verify_entry(entry, lane)
        verify_ciphertexts(head, record.ciphertexts, numbers)
        # 5: hub, publisher and recipient are who they should be (the publisher is the one whose key has signed)
        verify_addressed(flush, entry, hub=self._hub, recipient=self._recipient)
        return Delivered(
            publisher=lane.publisher,
            instance=lane.instance,
            bundle_seq=head.core.bundle_seq,
            route=lane.route,
            n=head.core.n,
            granted=entry.compartments,
            withheld=tuple([name for name in lane.compartments if name not in entry.compartments]),
            directory_version=flush.directory_version,
            flush_time_ms=flush.time_ms,
            signing_key_id=flush.signing_key_id,
            policy_version=lane.policy_version,
            head_hash=head.hash,
            header_hashes=header_hashes,
            is_heartbeat=lane.is_heartbeat,
            stamp=Stamp(
                publisher=lane.publisher,
                instance=lane.instance,
                seq=entry.recipient_seq,
                head_hash=head.hash,
                prev_instance=entry.prev_instance,
                prev_seq=entry.prev_seq,
                signing_key_id=flush.signing_key_id,
                flush_time_ms=flush.time_ms,
                is_heartbeat=lane.is_heartbeat,
            ),
            _head=head,
            _entry=entry,
            _headers=headers,
            _numbers=numbers,
            _ciphertexts=record.ciphertexts,
        )

    def open(self, delivered: Delivered) -> tuple[OpenedSections, ...]:
        """Steps 7 and 8: every event of the bundle, or an error and nothing. A heartbeat gives ``()``.

        Raises :class:`KemKeyMissing`, ``WrapUnopenable``, :class:`CiphertextUnopenable`,
        :class:`CommitmentMismatch`, ``SectionPadding``.
        """
        if delivered.is_heartbeat:
            return ()
        # 7: unwrap, decrypt
        plaintexts = self._decrypt(delivered, self._unwrap(delivered))
        # 8: every commitment, of all events, before anything is handed out
        headers = delivered._headers
        columns: list[list[bytes]] = []
        for name, number, plaintext in zip(delivered.granted, delivered._numbers, plaintexts, strict=True):
            columns.append(_verify_commitments(name, plaintext, headers.lengths[number], headers.commitments[number]))
        granted = delivered.granted
        return tuple(
            map(
                OpenedSections,
                headers.event_ids,
                headers.published_at_ms,
                headers.correlation_ids,
                headers.in_reply_to,
                headers.expires_at_ms,
                delivered.header_hashes,
                [dict(zip(granted, sections, strict=True)) for sections in zip(*columns, strict=True)],
            )
        )

    def _unwrap(self, delivered: Delivered) -> tuple[AESGCM, ...]:
        entry = delivered._entry
        info = wrap_info(delivered._head.core.lane.hash, entry.agency, entry.kem_id, entry.compartments)
        cache_key = _sha256(lp(info, entry.wrap)).digest()
        ciphers = self._ciphers.get(cache_key)
        if ciphers is not None:
            self._ciphers.move_to_end(cache_key)
            return ciphers
        key = self._keys.get(entry.kem_id)
        if key is None:
            raise KemKeyMissing("the KEM key of the wrap is not at hand", kem_id=entry.kem_id.hex()[:16])
        deks = key.open(info, entry.wrap)  # one DEK for each compartment: step 4 has checked the wrap's length
        ciphers = tuple([AESGCM(deks[start : start + DEK]) for start in range(0, len(deks), DEK)])
        self._ciphers[cache_key] = ciphers
        if len(self._ciphers) > limits.WRAPS_KEPT:
            self._ciphers.popitem(last=False)
        return ciphers

    def _decrypt(self, delivered: Delivered, ciphers: tuple[AESGCM, ...]) -> list[bytes]:
        core = delivered._head.core_bytes
        prefix = delivered.bundle_seq.to_bytes(4, "big")
        plaintexts = []
        for name, cipher, ciphertext in zip(delivered.granted, ciphers, delivered._ciphertexts, strict=True):
            nonce = prefix + labelled_hash(labels.NONCE, name.encode(), core)[:8]
            try:
                plaintexts.append(cipher.decrypt(nonce, ciphertext, lp(labels.AAD, name.encode(), core)))
            except InvalidTag as error:
                raise CiphertextUnopenable("a ciphertext does not open", compartment=name) from error
        return plaintexts


def _verify_commitments(
    name: Compartment, plaintext: bytes, lengths: Sequence[int], commitments: Sequence[bytes]
) -> list[bytes]:
    """The content of each event's section, once it is what the header commits to (spec 5.1, 5.2)."""
    prefix = commitment_prefix(name)
    sizes = {length: length.to_bytes(4, "big") for length in set(lengths)}
    contents = []
    position = 0
    for length, commitment in zip(lengths, commitments, strict=True):
        start = position + SALT
        end = start + length
        section = plaintext[start:end]
        if _sha256(prefix + plaintext[position:start] + sizes[length] + section).digest() != commitment:
            raise CommitmentMismatch("a section is not the one that is committed to", compartment=name)
        contents.append(unframe_section(section))
        position = end
    return contents
