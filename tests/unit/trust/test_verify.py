"""hub/trust/verify.py: the router's steps (docs/spec 9), each with a record that only that step refuses.

The dishonest publisher is tests/support/forge.py: it signs what it forges. Every code has a vector in tests/vectors
too; here each guard stands beside the step it belongs to.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.errors import RejectedError, UnavailableError
from hub.model import HUB, AgencyId
from hub.trust.directory import (
    PublisherSuspended,
    PublisherUnknown,
    SigningKeyExpired,
    SigningKeyRevoked,
    SigningKeyUnknown,
)
from hub.trust.verify import FlushCache, verify_ingest
from hub.wire.bundle import encode_ingest, parse_delivered, parse_ingest
from tests.support.authority import DAY_MS, NOW_MS, kem_key, signing_key
from tests.support.forge import (
    BundleDraft,
    EventDraft,
    FlushDraft,
    Grant,
    blob,
    forge_bundle,
    forge_flush,
    leaf,
    long,
)
from tests.support.sealed import ATF, COMPARTMENTS, CORE, GRANTS, JCF, Stage, group

INSTANCE = b"i" * 16


def event(name: str) -> EventDraft:
    return EventDraft(name, {c: name.encode() * 9 for c in COMPARTMENTS}, NOW_MS, NOW_MS + DAY_MS)


def bundle(**changes: Any) -> BundleDraft:
    hooks = changes.pop("hooks", {})
    grants = tuple(Grant(a, kem_key(a).public, g, 3) for a, g in GRANTS)
    made = BundleDraft(HUB, JCF, INSTANCE, "lane", 5, COMPARTMENTS, (event("one"), event("two")), grants, hooks=hooks)
    return made.but(**changes)


def flush(**changes: Any) -> FlushDraft:
    made = FlushDraft(HUB, JCF, signing_key("JCF site"), INSTANCE, 2, NOW_MS, 1, prev_flush=b"p" * 32)
    return made.but(**changes)


def forge(bundle_draft: BundleDraft, flush_draft: FlushDraft | None = None, **record: Any) -> bytes:
    """An ingest record, the second of two in its flush."""
    first = forge_bundle(bundle(bundle_seq=4, lane_name="another"))
    forged = forge_flush(flush_draft or flush(), [first, forge_bundle(bundle_draft)])[1]
    return forged.but(**record).ingest()


def code_of(value: bytes, *, owner: str = JCF, hub: str = HUB, now_ms: int = NOW_MS, stage: Stage | None = None) -> str:
    """The code that the router refuses ``value`` with."""
    with pytest.raises((RejectedError, UnavailableError)) as caught:
        verify_ingest(
            value,
            owner=AgencyId(owner),
            hub=AgencyId(hub),
            directory=(stage or Stage()).directory,
            now_ms=now_ms,
            flushes=FlushCache(),
        )
    return caught.value.code


def put(index: int, value: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda fields: [*fields[:index], value, *fields[index + 1 :]]


# --- what is right ----------------------------------------------------------------------------------------------------


def test_a_sealed_record_is_verified_and_described() -> None:
    stage, events = Stage(), group(3)
    sealer = stage.sealer()
    got = stage.verify(sealer.seal([events], now_ms=NOW_MS).records[0].value)
    assert (got.publisher, got.instance, got.bundle_seq, got.n) == (JCF, sealer.instance, 1, 3)
    assert (got.route, got.compartments, got.is_heartbeat) == (events.route, COMPARTMENTS, False)
    assert got.event_ids == tuple(d.event_id for d in events.drafts)
    assert got.published_at_ms == (NOW_MS,) * 3
    assert len(set(got.header_hashes)) == 3
    assert {e.agency: (e.compartments, e.recipient_seq) for e in got.entries} == {a: (g, 1) for a, g in GRANTS}
    assert (got.directory_version, got.flush_time_ms) == (stage.directory.version, NOW_MS)
    assert got.signing_key_id == stage.world.keys[JCF].signing.public.key_id


def test_a_forged_but_honest_record_is_verified() -> None:
    Stage().verify(forge(bundle()))


def test_a_delivery_has_what_is_granted_and_nothing_more() -> None:
    stage = Stage()
    value = stage.seal().records[0].value
    got, record = stage.verify(value), parse_ingest(value)
    for agency, granted in GRANTS:
        delivered = parse_delivered(got.delivery(agency))
        assert delivered.ciphertexts == [record.ciphertexts[COMPARTMENTS.index(name)] for name in granted]
        assert delivered.entry in record.entries
        assert (delivered.head, delivered.headers, delivered.proof) == (record.head, record.headers, record.proof)
        others = [a for a, _ in GRANTS if a != agency]
        assert not any(other.encode() in got.delivery(agency) for other in others if len(other) > 3)
    with pytest.raises(KeyError):
        got.delivery(AgencyId("NOBODY"))
    with pytest.raises(KeyError):
        got.stub(AgencyId("NOBODY"))


def test_a_signature_is_verified_once_for_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, calls, flushes = Stage(), [], FlushCache()
    records = stage.seal([group(1), group(1), group(1)]).records
    key = type(stage.world.keys[JCF].signing.public)
    verify = key.verify
    monkeypatch.setattr(key, "verify", lambda *args: (calls.append(1), verify(*args))[1])
    for record in records:
        verify_ingest(record.value, owner=JCF, hub=HUB, directory=stage.directory, now_ms=NOW_MS, flushes=flushes)
    assert len(calls) == len(flushes) == 1


# --- 1: frames and limits ---------------------------------------------------------------------------------------------


def test_step_1() -> None:
    good = forge(bundle())
    assert code_of(b"") == "frame.kind_wrong"
    assert code_of(good[:-1]) == "frame.malformed"
    assert code_of(good + b"\0") == "frame.malformed"
    assert code_of(Stage().deliver(ATF)) == "frame.kind_wrong"
    assert code_of(good + bytes(900_000)) == "limit.exceeded"
    assert code_of(forge(bundle(hooks={"lane_fields": put(1, long(2))}))) == "lane.suite_unknown"
    assert code_of(forge(bundle(handling="TLP:PURPLE"))) == "lane.malformed"
    assert code_of(forge(bundle(compartments=(), grants=(Grant(ATF, kem_key(ATF).public, (), 1),)))) == (
        "heartbeat.malformed"
    )


# --- 2: the topic's owner ---------------------------------------------------------------------------------------------


def test_step_2_another_agencys_topic() -> None:
    assert code_of(forge(bundle()), owner=ATF) == "publisher.mismatch"


# --- 3: the flush -----------------------------------------------------------------------------------------------------


def test_step_3_signature() -> None:
    good = parse_ingest(forge(bundle()))
    assert code_of(forge(bundle(), signature=bytes(3373))) == "signature.invalid"
    for at in (0, 3308, 3309, 3372):  # both halves count
        bad = bytearray(good.proof.signature)
        bad[at] ^= 1
        assert code_of(forge(bundle(), signature=bytes(bad))) == "signature.invalid"
    other_context = {"signature": lambda _: signing_key("JCF site").sign(b"cgi-hub/v1/other", good.proof.flush)}
    assert code_of(forge(bundle(), flush(hooks=other_context))) == "signature.invalid"


def test_step_3_signing_key() -> None:
    assert code_of(forge(bundle(), flush(key=signing_key("nobody's")))) == SigningKeyUnknown.code
    assert code_of(forge(bundle(), flush(key=signing_key("ATF site")))) == SigningKeyUnknown.code
    stranger = forge(bundle(publisher="STRANGER"), flush(publisher="STRANGER"))
    assert code_of(stranger, owner="STRANGER") == PublisherUnknown.code
    stage = Stage()
    stage.world.suspend(JCF)
    stage.directory = stage.world.directory()
    assert code_of(forge(bundle()), stage=stage) == PublisherSuspended.code
    stage.world.suspend(JCF, active=True)
    stage.world.revoke_signing_key(JCF)
    stage.directory = stage.world.directory()
    assert code_of(forge(bundle()), stage=stage) == SigningKeyRevoked.code
    assert code_of(forge(bundle()), now_ms=NOW_MS + 366 * DAY_MS) == SigningKeyExpired.code


def test_step_3_a_key_counts_as_it_stood_when_the_record_was_appended() -> None:
    stage, flushes, value = Stage(), FlushCache(), forge(bundle())
    stage.world.revoke_signing_key(JCF, at_ms=NOW_MS + DAY_MS)
    stage.directory = stage.world.directory()

    def verify(appended_ms: int | None, *, days_later: int) -> None:
        verify_ingest(
            value,
            owner=JCF,
            hub=HUB,
            directory=stage.directory,
            now_ms=NOW_MS + days_later * DAY_MS,
            flushes=flushes,
            appended_ms=appended_ms,
        )

    verify(NOW_MS + DAY_MS - 1, days_later=20)
    with pytest.raises(SigningKeyRevoked):
        verify(NOW_MS + DAY_MS, days_later=20)  # the same flush, kept from the call before
    with pytest.raises(SigningKeyRevoked):
        verify(None, days_later=20)
    verify(NOW_MS + DAY_MS - 1, days_later=20)
    with pytest.raises(SigningKeyRevoked):  # the broker's clock is believed 5 minutes ahead and no further back
        verify(NOW_MS + 900 * DAY_MS, days_later=20)


def test_step_3_a_key_that_ends_is_refused_on_a_hit_too() -> None:
    stage, flushes, value = Stage(), FlushCache(), forge(bundle())

    def verify(now_ms: int) -> None:
        verify_ingest(value, owner=JCF, hub=HUB, directory=stage.directory, now_ms=now_ms, flushes=flushes)

    verify(NOW_MS)
    with pytest.raises(SigningKeyExpired):
        verify(NOW_MS + 366 * DAY_MS)
    stage.world.revoke_signing_key(JCF)
    stage.directory = stage.world.directory()
    with pytest.raises(SigningKeyRevoked):
        verify(NOW_MS)


def test_step_3_time() -> None:
    assert code_of(forge(bundle(), flush(time_ms=NOW_MS + 300_001))) == "flush.from_future"
    Stage().verify(forge(bundle(), flush(time_ms=NOW_MS + 300_000)))


def test_step_3_a_newer_directory_is_fetched_never_guessed() -> None:
    newer = Stage().directory.version + 1
    assert code_of(forge(bundle(), flush(directory_version=newer))) == "directory.behind"
    unknown_yet = flush(directory_version=newer, key=signing_key("JCF's next"))
    assert code_of(forge(bundle(), unknown_yet)) == "directory.behind"
    not_signed = flush(directory_version=newer, hooks={"signature": lambda _: bytes(3373)})
    assert code_of(forge(bundle(), not_signed)) == "signature.invalid"
    Stage().verify(forge(bundle(), flush(directory_version=newer - 1)))


# --- 4: flush, lane, hub ----------------------------------------------------------------------------------------------


def test_step_4() -> None:
    assert code_of(forge(bundle(instance=b"j" * 16))) == "flush.mismatch"
    assert code_of(forge(bundle(hub="OTHER"))) == "flush.mismatch"
    by_atf = flush(publisher="ATF", key=signing_key("ATF site"))
    assert code_of(forge(bundle(), by_atf)) == "flush.mismatch"
    assert code_of(forge(bundle(hub="OTHER"), flush(hub="OTHER"))) == "hub.mismatch"
    assert code_of(forge(bundle()), hub="OTHER") == "hub.mismatch"
    assert code_of(forge(bundle(), flush(flush_seq=1))) == "flush.mismatch"
    assert code_of(forge(bundle(), flush(prev_flush=bytes(32)))) == "flush.mismatch"


# --- 5: in the flush --------------------------------------------------------------------------------------------------


def test_step_5() -> None:
    for record in ({"index": 0}, {"index": 5}, {"path": ()}, {"path": (bytes(32),)}):
        assert code_of(forge(bundle(), **record)) == "bundle.not_in_flush"
    other = parse_ingest(forge(bundle(bundle_seq=6)))
    mixed = parse_ingest(forge(bundle()))
    value = encode_ingest(
        head=mixed.head,
        headers=mixed.headers,
        ciphertexts=mixed.ciphertexts,
        entries=mixed.entries,
        proof=other.proof,
    )
    assert code_of(value) == "bundle.not_in_flush"


# --- 6: headers and ciphertexts ---------------------------------------------------------------------------------------


def test_step_6_headers() -> None:
    assert code_of(forge(bundle(hooks={"headers": lambda h: [h[0][:-1], h[1]]}))) == "header.malformed"
    assert code_of(forge(bundle(hooks={"headers": lambda h: [h[0], h[0]]}))) == "header.duplicate"
    assert code_of(forge(bundle(hooks={"event_root": lambda _: bytes(32)}))) == "headers.mismatch"
    fewer = forge(bundle(hooks={"core_fields": put(3, long(1))}))
    assert code_of(fewer) == "header.malformed"


def test_step_6_lengths_add_up() -> None:
    longer = bundle(hooks={"plaintext.personal": lambda p: p + bytes(64)})
    assert code_of(forge(longer)) == "ciphertext.mismatch"


def test_step_6_ciphertexts() -> None:
    good = parse_ingest(forge(bundle()))

    def with_ciphertexts(*ciphertexts: bytes) -> str:
        return code_of(
            encode_ingest(
                head=good.head,
                headers=good.headers,
                ciphertexts=ciphertexts,
                entries=good.entries,
                proof=good.proof,
            )
        )

    a, b, c = good.ciphertexts
    assert with_ciphertexts(a, b) == "ciphertexts.not_granted"
    assert with_ciphertexts(a, b, c, c) == "ciphertexts.not_granted"
    assert with_ciphertexts(b, a, c) == "ciphertext.mismatch"
    assert with_ciphertexts(a, b, c[:-1]) == "ciphertext.mismatch"
    assert with_ciphertexts(a, b, c[:-1] + bytes([c[-1] ^ 1])) == "ciphertext.mismatch"


# --- 7: entries -------------------------------------------------------------------------------------------------------


def test_step_7() -> None:
    good = parse_ingest(forge(bundle()))
    other = parse_ingest(forge(bundle(bundle_seq=6)))

    def with_entries(*entries: bytes) -> str:
        return code_of(
            encode_ingest(
                head=good.head,
                headers=good.headers,
                ciphertexts=good.ciphertexts,
                entries=entries,
                proof=good.proof,
            )
        )

    one, two, three = good.entries
    assert with_entries(one, two) == "entries.mismatch"
    assert with_entries(two, one, three) == "entries.mismatch"
    assert with_entries(one, two, two) == "entries.mismatch"
    assert with_entries(*sorted([one, two, other.entries[0]], key=leaf)) == "entries.mismatch"
    unordered = bundle(hooks={"entries": lambda entries: entries[::-1]})
    assert code_of(forge(unordered)) == "entries.mismatch"


# --- 8: entries fit the lane ------------------------------------------------------------------------------------------


def granted(*names: str) -> str:
    return code_of_grant(Grant(ATF, kem_key(ATF).public, names, 3))


def code_of_grant(grant: Grant, **hooks: Any) -> str:
    return code_of(forge(bundle(grants=(grant,), hooks=hooks)))


def test_step_8_one_entry_an_agency() -> None:
    twice = tuple(Grant(ATF, kem_key(ATF).public, (CORE,), number) for number in (1, 2))
    assert code_of(forge(bundle(grants=twice))) == "entry.duplicate"


@pytest.mark.parametrize(
    "names", [(), ("core", "core"), ("sensitive", "core"), ("core", "other"), ("core", "personal", "sensitive", "x")]
)
def test_step_8_grants(names: tuple[str, ...]) -> None:
    assert granted(*names) == "entry.grants_invalid"


def test_step_8_wrap_length() -> None:
    grant = Grant(ATF, kem_key(ATF).public, (CORE,), 3)
    assert code_of_grant(grant, **{"wrap.ATF": lambda w: w[:-1]}) == "entry.wrap_length"
    assert code_of_grant(grant, **{"wrap.ATF": lambda w: w + b"\0"}) == "entry.wrap_length"
    assert code_of_grant(grant, **{"wrap.ATF": lambda _: b""}) == "entry.wrap_length"


def test_step_8_numbers() -> None:
    key = kem_key(ATF).public
    assert code_of_grant(Grant(ATF, key, (CORE,), 0)) == "entry.chain_invalid"
    assert code_of_grant(Grant(ATF, key, (CORE,), 1, b"p" * 16, 0)) == "entry.chain_invalid"
    assert code_of_grant(Grant(ATF, key, (CORE,), 1, bytes(16), 4)) == "entry.chain_invalid"
    assert code_of_grant(Grant(ATF, key, (CORE,), 1, INSTANCE, 4)) == "entry.chain_invalid"


def test_step_8_a_heartbeats_entries_grant_nothing() -> None:
    def beat(**hooks: Any) -> BundleDraft:
        return bundle(
            compartments=(),
            events=(),
            event_type="heartbeat",
            handling="TLP:CLEAR",
            purpose="HUB_OPERATION",
            grants=(Grant(ATF, kem_key(ATF).public, (), 0),),
            hooks=hooks,
        )

    assert Stage().verify(forge(beat())).entries[0].recipient_seq == 0
    assert code_of(forge(beat(**{"entry_fields.ATF": put(7, blob(bytes(1136)))}))) == "entry.wrap_length"
    assert code_of(forge(beat(**{"entry_fields.ATF": put(2, b"k" * 32)}))) == "entry.wrap_length"
    assert code_of(forge(beat(**{"entry_fields.ATF": put(3, long(1) + blob("core") + b"\0")}))) == (
        "entry.grants_invalid"
    )


# --- the cache --------------------------------------------------------------------------------------------------------


def test_the_cache_is_bounded_and_keeps_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, flushes, calls = Stage(), FlushCache(2), []
    key = type(stage.world.keys[JCF].signing.public)
    verify = key.verify
    monkeypatch.setattr(key, "verify", lambda *args: (calls.append(1), verify(*args))[1])
    values = [stage.seal([group(1)]).records[0].value for _ in range(3)]
    for value in (values[0], values[1], values[0], values[2], values[0]):
        verify_ingest(value, owner=JCF, hub=HUB, directory=stage.directory, now_ms=NOW_MS, flushes=flushes)
        assert len(flushes) <= 2
    assert len(calls) == 3
    with pytest.raises(ValueError, match="at least one"):
        FlushCache(0)


def test_another_signature_is_no_hit() -> None:
    stage, flushes, value = Stage(), FlushCache(), forge(bundle())
    good = parse_ingest(value)
    verify_ingest(value, owner=JCF, hub=HUB, directory=stage.directory, now_ms=NOW_MS, flushes=flushes)
    signature = good.proof.signature[:-1] + bytes([good.proof.signature[-1] ^ 1])
    bad = encode_ingest(
        head=good.head,
        headers=good.headers,
        ciphertexts=good.ciphertexts,
        entries=good.entries,
        proof=replace(good.proof, signature=signature),
    )
    with pytest.raises(RejectedError, match="does not verify"):
        verify_ingest(bad, owner=JCF, hub=HUB, directory=stage.directory, now_ms=NOW_MS, flushes=flushes)


def test_random_bytes_are_refused() -> None:
    for length in (0, 4, 100, 5000):
        assert code_of(os.urandom(length)) == "frame.kind_wrong"
