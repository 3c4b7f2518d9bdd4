"""hub/wire/bundle.py: the three records are what their Avro schemas say."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pytest

from hub.errors import RejectedError
from hub.wire.avro import FrameMalformed, LimitExceeded
from hub.wire.bundle import (
    DeliveredRecord,
    IngestRecord,
    Proof,
    StubRecord,
    encode_delivered,
    encode_entry_proof,
    encode_ingest,
    encode_proof,
    encode_stub,
    parse_delivered,
    parse_ingest,
    parse_stub,
)

SCHEMAS = Path(__file__).parents[3] / "schemas" / "wire"
HASHES = (os.urandom(32), os.urandom(32))
PROOF = Proof(b"flush", os.urandom(3373), 3, HASHES)
PROOF_FIELDS = {"flush": b"flush", "signature": PROOF.signature, "index": 3, "path": list(HASHES)}
ENTRY_FIELDS = {"entry": b"entry", "entry_index": 200, "entry_path": list(HASHES[:1])}
ENTRY_PROOF = encode_entry_proof(b"entry", 200, HASHES[:1])


def fast(name: str, value: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.schema.load_schema(SCHEMAS / f"{name}.avsc"), value, strict=True)
    return out.getvalue()


def ingest(proof: Proof = PROOF) -> bytes:
    return encode_ingest(head=b"head", headers=b"h" * 300, ciphertexts=[b"a", b""], entries=[b"e1", b"e2"], proof=proof)


def delivered(*ciphertexts: bytes) -> bytes:
    return encode_delivered(
        head=b"head", headers=b"h", ciphertexts=ciphertexts, entry_proof=ENTRY_PROOF, proof=encode_proof(PROOF)
    )


def test_ingest_is_its_schemas() -> None:
    fields = {"head": b"head", "headers": b"h" * 300, "ciphertexts": [b"a", b""], "entries": [b"e1", b"e2"]}
    assert ingest() == fast("ingest", {"kind": b"ING1", **fields, **PROOF_FIELDS})
    assert parse_ingest(ingest()) == IngestRecord(b"head", b"h" * 300, [b"a", b""], [b"e1", b"e2"], PROOF)


@pytest.mark.parametrize("ciphertexts", [(), (b"a",), (b"a", b"b" * 100)])
def test_delivered_is_its_schemas(ciphertexts: tuple[bytes, ...]) -> None:
    fields = {"head": b"head", "headers": b"h", "ciphertexts": list(ciphertexts)}
    assert delivered(*ciphertexts) == fast("delivered", {"kind": b"DEL1", **fields, **ENTRY_FIELDS, **PROOF_FIELDS})
    assert parse_delivered(delivered(*ciphertexts)) == DeliveredRecord(
        b"head", b"h", list(ciphertexts), b"entry", 200, HASHES[:1], PROOF
    )


def test_stub_is_its_schemas() -> None:
    raw = encode_stub(head=b"head", entry_proof=ENTRY_PROOF, proof=encode_proof(PROOF))
    assert raw == fast("stub", {"kind": b"STB1", "head": b"head", **ENTRY_FIELDS, **PROOF_FIELDS})
    assert parse_stub(raw) == StubRecord(b"head", b"entry", 200, HASHES[:1], PROOF)


def test_a_signature_has_one_length() -> None:
    for length in (0, 64, 3372):
        with pytest.raises(FrameMalformed, match="3373"):
            parse_ingest(ingest(Proof(b"flush", bytes(length), 0, ())))
    with pytest.raises(LimitExceeded):
        parse_ingest(ingest(Proof(b"flush", bytes(3374), 0, ())))


def test_past_a_limit_is_refused() -> None:
    for proof in (Proof(b"", PROOF.signature, 512, ()), Proof(b"", PROOF.signature, 0, HASHES * 5)):
        with pytest.raises(LimitExceeded):
            parse_ingest(ingest(proof))
    for changes in (
        {"head": bytes(8193)},
        {"ciphertexts": [b"c"] * 9},
        {"entries": [b"e"] * 257},
        {"entries": [bytes(4097)]},
        {"headers": bytes(900_000)},
    ):
        fields: dict[str, Any] = {"head": b"", "headers": b"", "ciphertexts": [], "entries": [], "proof": PROOF}
        with pytest.raises(LimitExceeded):
            parse_ingest(encode_ingest(**(fields | changes)))


@pytest.mark.parametrize(
    ("parse", "raw"),
    [
        (parse_ingest, ingest()),
        (parse_delivered, delivered(b"a")),
        (parse_stub, encode_stub(head=b"head", entry_proof=ENTRY_PROOF, proof=encode_proof(PROOF))),
    ],
    ids=["ingest", "delivered", "stub"],
)
def test_every_cut_and_every_addition_is_refused(parse: Callable[[bytes], object], raw: bytes) -> None:
    for cut in range(len(raw)):
        with pytest.raises(RejectedError):
            parse(raw[:cut])
    with pytest.raises(RejectedError):
        parse(raw + b"\0")
