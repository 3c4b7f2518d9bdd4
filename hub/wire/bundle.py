"""The three records: ingest, delivered, stub (docs/spec 8). Bytes <-> parts; the parts stay opaque here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hub.wire import limits
from hub.wire.avro import (
    FrameMalformed,
    Reader,
    encode_bytes,
    encode_bytes_array,
    encode_fixed_array,
    encode_long,
)
from hub.wire.frames import HASH

INGEST_KIND: Final = b"ING1"
DELIVERED_KIND: Final = b"DEL1"
STUB_KIND: Final = b"STB1"

_SIGNATURE: Final = 3373


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a bundle stands in its flush, and the flush with its signature: the end of every record."""

    flush: bytes
    signature: bytes
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IngestRecord:
    """What a publisher writes: everything, for every recipient (spec 8.1)."""

    head: bytes
    headers: bytes
    ciphertexts: Sequence[bytes]
    entries: Sequence[bytes]
    proof: Proof


@dataclass(frozen=True, slots=True)
class DeliveredRecord:
    """What one recipient gets (spec 8.2): its own entry, and the ciphertexts that it is granted."""

    head: bytes
    headers: bytes
    ciphertexts: Sequence[bytes]
    entry: bytes
    entry_index: int
    entry_path: tuple[bytes, ...]
    proof: Proof


@dataclass(frozen=True, slots=True)
class StubRecord:
    """What proves labels and entry of a bundle that was not delivered, with no content (spec 8.3)."""

    head: bytes
    entry: bytes
    entry_index: int
    entry_path: tuple[bytes, ...]
    proof: Proof


def encode_proof(proof: Proof) -> bytes:
    """The end of every record."""
    return b"".join(
        (
            encode_bytes(proof.flush),
            encode_bytes(proof.signature),
            encode_long(proof.index),
            encode_fixed_array(proof.path),
        )
    )


def encode_ingest(
    *, head: bytes, headers: bytes, ciphertexts: Sequence[bytes], entries: Sequence[bytes], proof: Proof
) -> bytes:
    """The bytes of an ingest record."""
    return b"".join(
        (
            INGEST_KIND,
            encode_bytes(head),
            encode_long(len(headers)),
            headers,
            encode_bytes_array(ciphertexts),
            encode_bytes_array(entries),
            encode_proof(proof),
        )
    )


def encode_entry_proof(entry: bytes, index: int, path: Sequence[bytes]) -> bytes:
    """The part of a delivered record or a stub that is for one recipient."""
    return encode_bytes(entry) + encode_long(index) + encode_fixed_array(path)


def encode_delivered(
    *, head: bytes, headers: bytes, ciphertexts: Sequence[bytes], entry_proof: bytes, proof: bytes
) -> bytes:
    """The bytes of a delivered record. ``entry_proof`` and ``proof`` are encoded already."""
    parts = [DELIVERED_KIND, encode_bytes(head), encode_long(len(headers)), headers]
    if ciphertexts:
        parts.append(encode_long(len(ciphertexts)))
        for ciphertext in ciphertexts:
            parts += (encode_long(len(ciphertext)), ciphertext)
    parts += (b"\x00", entry_proof, proof)
    return b"".join(parts)


def encode_stub(*, head: bytes, entry_proof: bytes, proof: bytes) -> bytes:
    """The bytes of a stub. ``entry_proof`` and ``proof`` are encoded already."""
    return b"".join((STUB_KIND, encode_bytes(head), entry_proof, proof))


def parse_ingest(buffer: bytes) -> IngestRecord:
    """Raises what :class:`Reader` raises."""
    reader = Reader(buffer, INGEST_KIND, limits.RECORD)
    record = IngestRecord(
        head=reader.blob("head", limits.HEAD),
        headers=reader.blob("headers", limits.RECORD),
        ciphertexts=reader.blob_array("ciphertexts", limits.COMPARTMENTS, limits.CIPHERTEXT),
        entries=reader.blob_array("entries", limits.ENTRIES, limits.ENTRY),
        proof=_parse_proof(reader),
    )
    reader.end()
    return record


def parse_delivered(buffer: bytes) -> DeliveredRecord:
    """Raises what :class:`Reader` raises."""
    reader = Reader(buffer, DELIVERED_KIND, limits.RECORD)
    record = DeliveredRecord(
        head=reader.blob("head", limits.HEAD),
        headers=reader.blob("headers", limits.RECORD),
        ciphertexts=reader.blob_array("ciphertexts", limits.COMPARTMENTS, limits.CIPHERTEXT),
        entry=reader.blob("entry", limits.ENTRY),
        entry_index=reader.long("entry_index", 0, limits.ENTRIES - 1),
        entry_path=reader.fixed_array("entry_path", limits.PATH, HASH),
        proof=_parse_proof(reader),
    )
    reader.end()
    return record


def parse_stub(buffer: bytes) -> StubRecord:
    """Raises what :class:`Reader` raises."""
    reader = Reader(buffer, STUB_KIND, limits.RECORD)
    record = StubRecord(
        head=reader.blob("head", limits.HEAD),
        entry=reader.blob("entry", limits.ENTRY),
        entry_index=reader.long("entry_index", 0, limits.ENTRIES - 1),
        entry_path=reader.fixed_array("entry_path", limits.PATH, HASH),
        proof=_parse_proof(reader),
    )
    reader.end()
    return record


def _parse_proof(reader: Reader) -> Proof:
    flush = reader.blob("flush", limits.FLUSH)
    signature = reader.blob("signature", _SIGNATURE)
    if len(signature) != _SIGNATURE:
        raise FrameMalformed("a signature is 3373 bytes", length=len(signature))
    index = reader.long("index", 0, limits.BUNDLES_A_FLUSH - 1)
    return Proof(flush, signature, index, reader.fixed_array("path", limits.PATH, HASH))
