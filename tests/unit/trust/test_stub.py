"""hub/trust/stub.py: labels, grants and number of what was not delivered, with no content (docs/spec 13.3)."""

import dataclasses
from typing import Any

import pytest

from hub.errors import RejectedError
from hub.model import HUB, AgencyId
from hub.trust.checks import FlushCache
from hub.trust.stub import Stub, verify_stub
from hub.wire.bundle import encode_entry_proof, encode_proof, encode_stub, parse_ingest, parse_stub
from tests.support.authority import NOW_MS
from tests.support.sealed import ATF, CCGIU, GRANTS, JCF, ROUTE, Stage


def verify(value: bytes, agency: AgencyId = ATF, hub: str = HUB, stage: Stage | None = None) -> Stub:
    directory = (stage or Stage()).directory
    return verify_stub(value, hub=AgencyId(hub), recipient=agency, directory=directory, now_ms=NOW_MS)


def encode(value: bytes, **changes: Any) -> bytes:
    new = dataclasses.replace(parse_stub(value), **changes)
    return encode_stub(
        head=new.head,
        entry_proof=encode_entry_proof(new.entry, new.entry_index, new.entry_path),
        proof=encode_proof(new.proof),
    )


@pytest.mark.parametrize(("agency", "granted"), GRANTS)
def test_a_stub_says_what_the_publisher_signed(agency: AgencyId, granted: tuple[Any, ...]) -> None:
    stage = Stage()
    sealer = stage.sealer()
    value = stage.seal(sealer=sealer).records[0].value
    bundle = stage.verify(value)
    stub = verify(bundle.stub(agency), agency)
    assert (stub.publisher, stub.instance, stub.bundle_seq, stub.n) == (JCF, sealer.instance, 1, 2)
    assert (stub.route, stub.granted, stub.recipient_seq) == (ROUTE, granted, 1)
    assert (stub.directory_version, stub.flush_time_ms) == (stage.directory.version, NOW_MS)
    delivered = stage.opener(agency).verify(bundle.delivery(agency), directory=stage.directory, now_ms=NOW_MS)
    assert stub.head_hash == delivered.head_hash


def test_verified_flushes_are_kept() -> None:
    stage, flushes = Stage(), FlushCache()
    bundle = stage.verify(stage.seal().records[0].value)
    for agency in (ATF, CCGIU):
        verify_stub(
            bundle.stub(agency),
            hub=AgencyId(HUB),
            recipient=agency,
            directory=stage.directory,
            now_ms=NOW_MS,
            flushes=flushes,
        )
    assert len(flushes) == 1


def test_a_stub_has_no_content() -> None:
    stage = Stage()
    value = stage.seal().records[0].value
    stub, record = stage.verify(value).stub(ATF), parse_ingest(value)
    assert record.headers not in stub
    assert not any(ciphertext[:64] in stub for ciphertext in record.ciphertexts)
    assert len(stub) < 6000


def test_what_is_not_signed_is_refused() -> None:
    stage = Stage()
    sealer = stage.sealer()
    bundle = stage.verify(stage.seal(sealer=sealer).records[0].value)
    stub, other = bundle.stub(ATF), stage.verify(stage.seal(sealer=sealer).records[0].value).stub(ATF)
    ccgiu = parse_stub(bundle.stub(CCGIU))
    proof = parse_stub(stub).proof
    for value, code in (
        (stub[:-1], "frame.malformed"),
        (bundle.delivery(ATF), "frame.kind_wrong"),
        (encode(stub, proof=dataclasses.replace(proof, signature=bytes(3373))), "signature.invalid"),
        (encode(stub, proof=parse_stub(other).proof), "bundle.not_in_flush"),
        (encode(stub, entry=parse_stub(other).entry), "entry.not_in_bundle"),
        (encode(stub, entry=ccgiu.entry), "entry.not_in_bundle"),
        (bundle.stub(CCGIU), "recipient.mismatch"),
    ):
        with pytest.raises(RejectedError) as caught:
            verify(value)
        assert caught.value.code == code
    with pytest.raises(RejectedError) as caught:
        verify(stub, hub="OTHER")
    assert caught.value.code == "hub.mismatch"
