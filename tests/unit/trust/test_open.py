"""hub/trust/open.py: the receiver's steps (docs/spec 10), each with a record that only that step refuses."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from hub.errors import RejectedError
from hub.model import HUB, AgencyId, EventRef
from hub.trust.open import Delivered, Opener
from hub.wire.bundle import DeliveredRecord, encode_delivered, encode_entry_proof, encode_proof, parse_delivered
from tests.support.authority import DAY_MS, NOW_MS, kem_key, signing_key
from tests.support.forge import BundleDraft, EventDraft, FlushDraft, Forged, Grant, forge_bundle, forge_flush
from tests.support.sealed import (
    ATF,
    CCGIU,
    COMPARTMENTS,
    CORE,
    GRANTS,
    INTERPOL,
    JCF,
    PERSONAL,
    SENSITIVE,
    Stage,
    draft,
    group,
)

INSTANCE = b"i" * 16
REPLY = EventRef(ATF, draft().event_id)


def forge(*, agencies: Any = GRANTS, flush_changes: dict[str, Any] | None = None, **changes: Any) -> Forged:
    events = tuple(
        EventDraft(name, {c: name.encode() * 9 for c in COMPARTMENTS}, NOW_MS, NOW_MS + DAY_MS)
        for name in ("one", "two")
    )
    grants = tuple(Grant(a, kem_key(a).public, g, 3) for a, g in agencies)
    bundle = BundleDraft(HUB, JCF, INSTANCE, "lane", 5, COMPARTMENTS, events, grants).but(**changes)
    flush = FlushDraft(HUB, JCF, signing_key("JCF site"), INSTANCE, 2, NOW_MS, 1, prev_flush=b"p" * 32)
    return forge_flush(flush.but(**(flush_changes or {})), [forge_bundle(bundle)])[0]


def encode(record: DeliveredRecord, **changes: Any) -> bytes:
    new = dataclasses.replace(record, **changes)
    return encode_delivered(
        head=new.head,
        headers=new.headers,
        ciphertexts=new.ciphertexts,
        entry_proof=encode_entry_proof(new.entry, new.entry_index, new.entry_path),
        proof=encode_proof(new.proof),
    )


def verify(value: bytes, agency: AgencyId = ATF, *, hub: str = HUB, stage: Stage | None = None) -> Delivered:
    stage = stage or Stage()
    return stage.opener(agency, hub=AgencyId(hub)).verify(value, directory=stage.directory, now_ms=NOW_MS)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(RejectedError) as caught:
        call()
    return caught.value.code


def open_code(agency: AgencyId = ATF, **changes: Any) -> str:
    """The code that a record which passes steps 1 to 5 is refused with."""
    opener, stage = Stage().opener(agency), Stage()
    delivered = opener.verify(forge(**changes).delivered(agency), directory=stage.directory, now_ms=NOW_MS)
    return code_of(lambda: opener.open(delivered))


# --- what is right ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("agency", "granted"), GRANTS)
def test_each_recipient_opens_what_it_is_granted(agency: AgencyId, granted: tuple[Any, ...]) -> None:
    stage = Stage()
    drafts = [draft(size=5), draft(size=500, reply=REPLY), draft(size=60)]
    sealer = stage.sealer()
    value = sealer.seal([dataclasses.replace(group(), drafts=drafts)], now_ms=NOW_MS).records[0].value
    opener = stage.opener(agency)
    delivered = opener.verify(stage.verify(value).delivery(agency), directory=stage.directory, now_ms=NOW_MS)
    assert (delivered.publisher, delivered.instance, delivered.bundle_seq) == (JCF, sealer.instance, 1)
    assert delivered.granted == granted
    assert set(delivered.withheld) == set(COMPARTMENTS) - set(granted)
    assert (delivered.n, delivered.route, delivered.is_heartbeat) == (3, group().route, False)
    assert delivered.event_ids == tuple(d.event_id for d in drafts)
    stamp = delivered.stamp
    assert (stamp.seq, stamp.prev_instance, stamp.prev_seq, stamp.flush_time_ms) == (1, bytes(16), 0, NOW_MS)
    assert (stamp.publisher, stamp.instance, stamp.head_hash) == (JCF, sealer.instance, delivered.head_hash)
    opened = opener.open(delivered)
    for got, sent in zip(opened, drafts, strict=True):
        assert got.event_id == sent.event_id
        assert (got.published_at_ms, got.expires_at_ms) == (sent.published_at_ms, sent.expires_at_ms)
        assert (got.correlation_id, got.in_reply_to) == (sent.correlation_id, sent.in_reply_to)
        assert got.sections == {name: sent.sections[COMPARTMENTS.index(name)] for name in granted}
    assert tuple(got.header_hash for got in opened) == tuple(delivered.header_hashes)


def test_a_forged_but_honest_record_is_opened() -> None:
    opened = Stage().opener(CCGIU).open(verify(forge().delivered(CCGIU), CCGIU))
    assert [dict(event.sections) for event in opened] == [
        {CORE: name * 9, SENSITIVE: name * 9} for name in (b"one", b"two")
    ]


def test_an_old_key_opens_what_was_wrapped_to_it() -> None:
    stage = Stage()
    value = stage.deliver(ATF)
    stage.world.rotate_kem_key(ATF)
    opener = stage.opener(ATF)
    assert len(opener.open(opener.verify(value, directory=stage.directory, now_ms=NOW_MS))) == 2


def test_a_heartbeat_has_nothing_to_open() -> None:
    stage = Stage()
    beat = stage.sealer().heartbeat([ATF], now_ms=NOW_MS).records[0].value
    delivered = verify(stage.verify(beat).delivery(ATF))
    assert delivered.is_heartbeat
    assert delivered.stamp.is_heartbeat
    assert delivered.stamp.seq == 0
    assert Stage().opener(ATF).open(delivered) == ()


def test_a_wrap_is_opened_once_for_a_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, calls = Stage(), []
    sealer, opener = stage.sealer(), stage.opener(ATF)
    key = type(kem_key(ATF))
    unwrap = key.open
    monkeypatch.setattr(key, "open", lambda *args: (calls.append(1), unwrap(*args))[1])
    for _ in range(3):
        value = stage.verify(sealer.seal([group(1)], now_ms=NOW_MS).records[0].value).delivery(ATF)
        opener.open(opener.verify(value, directory=stage.directory, now_ms=NOW_MS))
    assert len(calls) == 1


def test_opened_wraps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.WRAPS_KEPT", 2)
    stage = Stage()
    opener = stage.opener(ATF)
    for _ in range(4):
        opener.open(opener.verify(stage.deliver(ATF), directory=stage.directory, now_ms=NOW_MS))
    assert len(opener._ciphers) == 2


def test_the_wrap_used_longest_ago_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.WRAPS_KEPT", 2)
    stage, calls = Stage(), []
    key = type(kem_key(ATF))
    unwrap = key.open
    monkeypatch.setattr(key, "open", lambda *args: (calls.append(1), unwrap(*args))[1])
    opener, values = stage.opener(ATF), [stage.deliver(ATF) for _ in range(3)]
    for value in (values[0], values[1], values[0], values[2], values[0]):
        opener.open(opener.verify(value, directory=stage.directory, now_ms=NOW_MS))
    assert len(calls) == 3


# --- 1 to 5 -----------------------------------------------------------------------------------------------------------


def test_step_1() -> None:
    value = Stage().deliver(ATF)
    assert code_of(lambda: verify(value[:-1])) == "frame.malformed"
    assert code_of(lambda: verify(value + b"\0")) == "frame.malformed"
    assert code_of(lambda: verify(Stage().seal().records[0].value)) == "frame.kind_wrong"


def test_step_2() -> None:
    forged = forge()
    assert code_of(lambda: verify(forged.but(signature=bytes(3373)).delivered(ATF))) == "signature.invalid"
    other = forge(instance=b"j" * 16)
    assert code_of(lambda: verify(other.delivered(ATF))) == "flush.mismatch"


def test_step_3() -> None:
    stage = Stage()
    sealer = stage.sealer()
    record, other = (
        parse_delivered(stage.verify(stage.seal(sealer=sealer).records[0].value).delivery(ATF)) for _ in range(2)
    )
    assert code_of(lambda: verify(encode(record, proof=other.proof))) == "bundle.not_in_flush"


def test_step_4_headers() -> None:
    record, other = parse_delivered(Stage().deliver(ATF)), parse_delivered(Stage().deliver(ATF))
    assert code_of(lambda: verify(encode(record, headers=other.headers))) == "headers.mismatch"
    assert code_of(lambda: verify(encode(record, headers=record.headers[:-1]))) == "header.malformed"


def test_step_4_own_entry() -> None:
    stage = Stage()
    bundle = stage.verify(stage.seal().records[0].value)
    record, others = parse_delivered(bundle.delivery(ATF)), parse_delivered(bundle.delivery(CCGIU))
    another = parse_delivered(Stage().deliver(ATF))
    assert code_of(lambda: verify(encode(record, entry=another.entry))) == "entry.not_in_bundle"
    assert code_of(lambda: verify(encode(record, entry=others.entry))) == "entry.not_in_bundle"
    assert code_of(lambda: verify(encode(record, entry_index=255))) == "entry.not_in_bundle"
    assert code_of(lambda: verify(encode(record, entry_path=()))) == "entry.not_in_bundle"


def test_step_4_entries_that_do_not_fit_the_lane() -> None:
    for granted, code in (((), "entry.grants_invalid"), ((SENSITIVE, CORE), "entry.grants_invalid")):
        value = forge(agencies=((ATF, granted),)).delivered(ATF)
        assert code_of(lambda value=value: verify(value)) == code
    hooks = {"wrap.ATF": lambda wrap: wrap[:-1]}
    assert code_of(lambda: verify(forge(hooks=hooks).delivered(ATF))) == "entry.wrap_length"


def test_step_4_ciphertexts_are_those_granted() -> None:
    stage = Stage()
    bundle = stage.verify(stage.seal().records[0].value)
    full, part = parse_delivered(bundle.delivery(ATF)), parse_delivered(bundle.delivery(CCGIU))
    a, b, c = full.ciphertexts
    for held, code in (
        ((a, b, c), "ciphertexts.not_granted"),
        ((a,), "ciphertexts.not_granted"),
        ((), "ciphertexts.not_granted"),
        ((a, b), "ciphertext.mismatch"),
        ((c, a), "ciphertext.mismatch"),
    ):
        value = encode(part, ciphertexts=held)
        assert code_of(lambda value=value: verify(value, CCGIU)) == code


def test_step_5() -> None:
    value = Stage().deliver(ATF)
    assert code_of(lambda: verify(value, hub="OTHER")) == "hub.mismatch"
    assert code_of(lambda: verify(value, CCGIU)) == "recipient.mismatch"


# --- 7 and 8 ----------------------------------------------------------------------------------------------------------


def test_step_7_wrap() -> None:
    assert open_code(hooks={"wrap_info.ATF": lambda info: info + b"x"}) == "wrap.unopenable"
    assert open_code(hooks={"wrap.ATF": lambda wrap: wrap[:-1] + bytes([wrap[-1] ^ 1])}) == "wrap.unopenable"
    assert open_code(hooks={"wrap.ATF": bytes_like}) == "wrap.unopenable"
    delivered = verify(forge().delivered(ATF))
    stranger = Opener(hub=HUB, recipient=ATF, kem_keys=[kem_key(CCGIU)])
    assert code_of(lambda: stranger.open(delivered)) == "wrap.key_missing"


def bytes_like(wrap: bytes) -> bytes:
    """A garbage wrap of the right length."""
    return b"\x07" * len(wrap)


def test_step_7_ciphertext() -> None:
    assert open_code(hooks={"deks.ATF": lambda deks: bytes(len(deks))}) == "ciphertext.unopenable"
    assert open_code(hooks={"nonce.personal": lambda nonce: bytes(12)}) == "ciphertext.unopenable"
    assert open_code(hooks={"aad.sensitive": lambda aad: aad + b"x"}) == "ciphertext.unopenable"
    assert open_code(hooks={"ciphertext.core": lambda c: bytes(len(c))}) == "ciphertext.unopenable"


def test_step_8_commitments() -> None:
    for compartment in COMPARTMENTS:
        hooks = {f"plaintext.{compartment}": lambda p: p[:-1] + b"\1"}
        assert open_code(hooks=hooks) == "commitment.mismatch"
    swapped = {"plaintext.core": lambda p: p[len(p) // 2 :] + p[: len(p) // 2]}
    assert open_code(hooks=swapped) == "commitment.mismatch"
    salted = {"plaintext.core": lambda p: bytes([p[0] ^ 1]) + p[1:]}
    assert open_code(hooks=salted) == "commitment.mismatch"


def test_step_8_padding() -> None:
    def dirty(sections: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
        return sections | {PERSONAL: [section[:-1] + b"\1" for section in sections[PERSONAL]]}

    def long(sections: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
        return sections | {PERSONAL: [section + bytes(64) for section in sections[PERSONAL]]}

    for sections in (dirty, long):
        assert open_code(hooks={"sections": sections}) == "section.padding"
        opener = Stage().opener(INTERPOL)  # who may not see that compartment gets the rest
        assert opener.open(verify(forge(hooks={"sections": sections}).delivered(INTERPOL), INTERPOL))


def test_nothing_leaves_where_one_event_of_many_is_wrong() -> None:
    opener = Stage().opener(ATF)
    delivered = verify(forge(hooks={"plaintext.sensitive": lambda p: p[:-1] + b"\1"}).delivered(ATF))
    with pytest.raises(RejectedError) as caught:
        opener.open(delivered)
    assert b"oneone" not in repr(caught.value.args).encode() + repr(caught.value.details).encode()


def test_no_plaintext_in_a_repr() -> None:
    secret = draft(size=64)
    stage = Stage()
    sealed = stage.seal([dataclasses.replace(group(), drafts=[secret])])
    delivered = verify(stage.verify(sealed.records[0].value).delivery(ATF), stage=stage)
    opened = stage.opener(ATF).open(delivered)
    for shown in (secret, sealed, delivered, opened):
        assert not any(repr(section)[2:-1] in repr(shown) for section in secret.sections)
        assert len(repr(shown)) < 2000
    assert repr(opened) == f"(OpenedSections({secret.event_id.hex()}, core, personal, sensitive),)"
