"""hub/trust/agency_state.py: what follows from a state and a wish, and what is refused."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model import HUB, AgencyId
from hub.trust import agency_state as a
from hub.trust.agency_state import DAY_MS, AgencyState, Lifetimes, OwnKey, Slot, Stage
from hub.trust.composite import VerifyKey
from hub.trust.kem import KemPublicKey
from hub.trust.signed_json import encode_json
from hub.trust.statement import encode_statement
from tests.support.authority import NOW_MS, kem_key, signing_key

LIVES = Lifetimes(kem=30, signing=90, retention=10)
IDS = itertools.count(1)


def begin(**changes: object) -> AgencyState:
    told = {
        "hub": HUB,
        "agency": AgencyId("JCF"),
        "name": "Jamaica",
        "site": "main",
        "encrypted": True,
        "lifetimes": LIVES,
        "token": None,
        "now_ms": NOW_MS,
        "new_object_id": lambda: "0102",
    }
    return a.begin(**(told | changes))  # type: ignore[arg-type]


def carried_out(state: AgencyState) -> AgencyState:
    """As if every planned key had been made."""
    for key in state.keys:
        if key.stage is Stage.PLANNED:
            state = a.made(state, key, public(key, next(IDS)).hex())
    return state


def public(key: OwnKey, number: int) -> bytes:
    return kem_key(str(number)).public.kem_id if key.slot is Slot.KEM else signing_key(str(number)).public.key_id


def lookup(key: OwnKey) -> VerifyKey | KemPublicKey:
    numbers = range(1, 200)
    if key.slot is Slot.KEM:
        return next(k for n in numbers if (k := kem_key(str(n)).public).kem_id.hex() == key.key_id)
    return next(k for n in numbers if (k := signing_key(str(n)).public).key_id.hex() == key.key_id)


@pytest.fixture(autouse=True)
def _ids() -> None:
    global IDS
    IDS = itertools.count(1)


def rotate(state: AgencyState, slot: Slot, now_ms: int = NOW_MS + DAY_MS) -> AgencyState:
    return carried_out(a.rotate(state, slot, now_ms=now_ms, new_object_id=lambda: "03"))


class TestBeginning:
    def test_one_key_of_each_kind(self) -> None:
        state = begin()
        assert [(key.slot, key.name, key.stage) for key in state.keys] == [
            (Slot.IDENTITY, "keys/identity.key", Stage.PLANNED),
            (Slot.SIGNING, "keys/signing.key", Stage.PLANNED),
            (Slot.KEM, "keys/kem/kem-0001.key", Stage.PLANNED),
            (Slot.TLS, "tls.key", Stage.PLANNED),
        ]
        assert state.version == 1
        assert all(key.stage is Stage.CURRENT for key in carried_out(state).keys)

    def test_only_composite_keys_have_a_half_in_a_token(self) -> None:
        state = begin(token=a.TokenPlace("/lib.so", "JCF"))
        assert [bool(key.object_id) for key in state.keys] == [True, True, False, False]


class TestRotating:
    def test_a_kem_key_stands_beside_the_old_ones(self) -> None:
        state = rotate(rotate(carried_out(begin()), Slot.KEM), Slot.KEM)
        keys = state.of(Slot.KEM)
        assert [key.name for key in keys] == [f"keys/kem/kem-000{n}.key" for n in (1, 2, 3)]
        assert all(key.stage is Stage.CURRENT for key in keys)
        begins = [key.not_before_ms for key in keys]
        assert begins == sorted(set(begins))  # each later than the one before, though made in one moment
        assert state.version == 3

    @pytest.mark.parametrize("slot", [Slot.SIGNING, Slot.IDENTITY, Slot.TLS])
    def test_any_other_waits_for_its_turn(self, slot: Slot) -> None:
        before = carried_out(begin())
        state = rotate(before, slot)
        waiting = state.waiting(slot)
        assert waiting is not None
        assert waiting.name == a.next_name(slot)
        assert state.current(slot) == before.current(slot)
        with pytest.raises(a.AgencyChangeInvalid, match="waiting already"):
            rotate(state, slot)
        done = a.finish(state, slot, now_ms=NOW_MS + 2 * DAY_MS)
        assert done.waiting(slot) is None
        assert done.current(slot).key_id == waiting.key_id
        assert done.current(slot).name == before.current(slot).name
        with pytest.raises(a.AgencyChangeInvalid, match="no new"):
            a.finish(done, slot, now_ms=NOW_MS)

    def test_a_tls_key_is_no_part_of_a_statement(self) -> None:
        assert rotate(carried_out(begin()), Slot.TLS).version == 1

    def test_the_new_identity_signs_from_the_first_moment(self) -> None:
        state = rotate(carried_out(begin()), Slot.IDENTITY)
        assert state.signer() == state.waiting(Slot.IDENTITY)
        assert state.version == 2

    @pytest.mark.parametrize("slot", [Slot.SIGNING, Slot.KEM])
    def test_revoked_are_those_that_were_in_use(self, slot: Slot) -> None:
        state = carried_out(begin())
        now_ms = NOW_MS + DAY_MS
        planned = a.rotate(state, slot, now_ms=now_ms, new_object_id=str)
        done = carried_out(a.revoke(planned, slot, now_ms=now_ms))
        old, new = done.of(slot)
        assert (old.revoked_at_ms, new.revoked_at_ms) == (now_ms, None)
        assert old.end_ms == now_ms

    @pytest.mark.parametrize("slot", [Slot.IDENTITY, Slot.TLS])
    def test_no_statement_revokes_others(self, slot: Slot) -> None:
        with pytest.raises(a.AgencyChangeInvalid):
            a.revoke(carried_out(begin()), slot, now_ms=NOW_MS)


class TestRetention:
    def test_destroyed_when_it_is_over_and_not_before(self) -> None:
        state = rotate(carried_out(begin()), Slot.KEM, NOW_MS + 20 * DAY_MS)
        old, new = state.of(Slot.KEM)
        over = a.retained_until_ms(state, old)
        assert over == old.not_after_ms + 10 * DAY_MS
        assert a.destroyable(state, over - 1) == ()
        assert a.destroyable(state, over) == (old,)
        done = a.destroy(state, [old], now_ms=over)
        assert [key.stage for key in done.of(Slot.KEM)] == [Stage.DESTROYED, Stage.CURRENT]
        assert a.destroyable(done, over) == ()
        assert new in done.keys

    def test_a_revoked_key_counts_from_its_revocation(self) -> None:
        planned = a.rotate(carried_out(begin()), Slot.KEM, now_ms=NOW_MS + 1, new_object_id=str)
        state = carried_out(a.revoke(planned, Slot.KEM, now_ms=NOW_MS + 1))
        assert a.destroyable(state, NOW_MS + 1 + 10 * DAY_MS) == (state.of(Slot.KEM)[0],)

    def test_a_replaced_signing_key_is_listed_until_then(self) -> None:
        state = a.finish(rotate(carried_out(begin()), Slot.SIGNING), Slot.SIGNING, now_ms=NOW_MS + 2 * DAY_MS)
        old = state.of(Slot.SIGNING, Stage.REPLACED)[0]
        late = a.new_statement(state, a.retained_until_ms(state, old))
        assert len(a.make_statement(state, lookup).signing_keys) == 2
        assert len(a.make_statement(late, lookup).signing_keys) == 1


@given(st.lists(st.sampled_from(["kem", "signing", "finish", "revoke", "shred", "sleep"]), max_size=12))
def test_whatever_is_done_the_statement_is_one_that_readers_take(wishes: list[str]) -> None:
    global IDS
    IDS = itertools.count(1)
    state, now_ms, versions = carried_out(begin()), NOW_MS, [1]
    for wish in wishes:
        now_ms += DAY_MS
        try:
            match wish:
                case "kem" | "signing":
                    state = rotate(state, Slot(wish), now_ms)
                case "finish":
                    state = a.finish(state, Slot.SIGNING, now_ms=now_ms)
                case "revoke":
                    planned = a.rotate(state, Slot.KEM, now_ms=now_ms, new_object_id=str)
                    state = carried_out(a.revoke(planned, Slot.KEM, now_ms=now_ms))
                case "shred":
                    state = a.destroy(state, a.destroyable(state, now_ms), now_ms=now_ms)
                case _:
                    now_ms += 40 * DAY_MS
        except a.AgencyChangeInvalid:
            continue
        versions.append(state.version)
        encode_statement(a.make_statement(state, lookup))  # raises what a reader would refuse
        assert a.parse_state(a.encode_state(state)) == state
    assert versions == sorted(versions)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"version": 0},
        {"keys": [{"slot": "kem"}]},
        {"more": 1},
        {"lifetimes": {"kem": 0, "signing": 1, "retention": 1}},
    ],
)
def test_a_damaged_state_is_refused(change: dict[str, object]) -> None:
    form = json.loads(a.encode_state(begin())) | change
    with pytest.raises(a.AgencyStateInvalid):
        a.parse_state(encode_json(form))


@pytest.mark.parametrize("name", ["/etc/passwd", "../tls.key", "keys/../../x", "keys/.hidden"])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    form = json.loads(a.encode_state(begin()))
    form["keys"][0]["name"] = name
    with pytest.raises(a.AgencyStateInvalid):
        a.parse_state(encode_json(form))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{"])
def test_no_state_at_all(raw: bytes) -> None:
    with pytest.raises(a.AgencyStateInvalid):
        a.parse_state(raw)
