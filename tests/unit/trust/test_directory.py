"""hub/trust/directory.py against docs/spec/directory.md: every refusal has its own code, and each look-up its own."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from hub.model import HUB, AgencyId
from hub.trust import directory as d
from hub.trust import root as r
from hub.trust import statement as s
from hub.trust.composite import SIGNATURE_LENGTH
from hub.trust.kem import KemPublicKey
from hub.trust.signed_json import encode_json
from hub.trust.snapshot import add_signature, encode_root, encode_snapshot
from tests.support.authority import DAY_MS, NOW_MS, World, kem_key, sign_snapshot, signing_key

ATF, JCF, RSS = AgencyId("ATF"), AgencyId("JCF"), AgencyId("RSS")


@pytest.fixture
def world() -> World:
    world = World.of("ATF", "JCF", "RSS")
    world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1 #1")
    world.agree("JCF", "ATF", "seizure.report", agreement_id="MOU-1 #2")
    return world


def verify(world: World, raw: bytes, *, now_ms: int = NOW_MS, at_least: int = 0) -> d.Directory:
    return d.verify_snapshot(raw, root=world.root, now_ms=now_ms, at_least_version=at_least)


def changed(world: World, **members: Any) -> bytes:
    """The world's payload with members replaced, properly signed: custodians who sign nonsense."""
    payload = json.loads(world.payload())
    payload.update(members)
    return sign_snapshot(encode_json(payload), world.custodians)


class TestVerifySnapshot:
    def test_signed_by_enough(self, world: World) -> None:
        found = verify(world, world.snapshot())
        assert found.hub == HUB
        assert found.version == world.version
        assert [entry.agency_id for entry in found.all_agencies()] == ["ATF", "HUB", "JCF", "RSS"]
        assert [a.agreement_id for a in found.agreements(JCF, ATF)] == ["MOU-1 #1", "MOU-1 #2"]
        assert found.agreements(ATF, JCF) == ()
        assert found.recipients(JCF) == (ATF,)
        assert found.recipients(ATF) == ()
        assert found.agency(AgencyId("NCA")) is None

    def test_equal_by_what_was_signed(self, world: World) -> None:
        first = verify(world, sign_snapshot(world.payload(), world.custodians[:2]))
        second = verify(world, sign_snapshot(world.payload(), world.custodians[1:]))
        assert first == second
        assert hash(first) == hash(second)
        world.agree("ATF", "JCF", "trace.result")
        assert world.directory() != first

    def test_unsigned(self, world: World) -> None:
        with pytest.raises(d.DirectoryUnsigned):
            verify(world, encode_snapshot(world.payload(), {}))

    def test_too_few(self, world: World) -> None:
        with pytest.raises(d.DirectoryTooFewSignatures, match="too few") as caught:
            verify(world, sign_snapshot(world.payload(), world.custodians[:1]))
        assert caught.value.details == {"valid": 1, "wanted": 2}

    def test_one_custodian_twice_counts_once(self, world: World) -> None:
        envelope = json.loads(sign_snapshot(world.payload(), world.custodians[:1]))
        envelope["signatures"] *= 2
        with pytest.raises(d.DirectoryTooFewSignatures):
            verify(world, encode_json(envelope))

    def test_one_custodian_with_two_signatures_counts_once(self, world: World) -> None:
        # ML-DSA signs with randomness: two different signatures, one key
        one, two = (json.loads(sign_snapshot(world.payload(), world.custodians[:1])) for _ in range(2))
        assert one["signatures"] != two["signatures"]
        one["signatures"] += two["signatures"]
        with pytest.raises(d.DirectoryTooFewSignatures):
            verify(world, encode_json(one))

    def test_a_stranger_does_not_count(self, world: World) -> None:
        with pytest.raises(d.DirectoryTooFewSignatures):
            verify(world, sign_snapshot(world.payload(), [world.custodians[0], signing_key("a stranger")]))

    def test_a_strangers_signature_under_a_custodians_key_id(self, world: World) -> None:
        payload = world.payload()
        good = json.loads(sign_snapshot(payload, world.custodians[:1]))
        forged = json.loads(sign_snapshot(payload, [signing_key("a stranger")]))
        forged["signatures"][0]["key_id"] = world.custodians[1].public.key_id.hex()
        good["signatures"] += forged["signatures"]
        with pytest.raises(d.DirectoryTooFewSignatures):
            verify(world, encode_json(good))

    def test_a_bad_signature_beside_enough_good_ones_harms_nothing(self, world: World) -> None:
        envelope = json.loads(sign_snapshot(world.payload(), world.custodians))
        envelope["signatures"][0]["signature"] = base64.b64encode(bytes(SIGNATURE_LENGTH)).decode()
        assert verify(world, encode_json(envelope)).version == world.version

    def test_a_signature_under_another_context(self, world: World) -> None:
        payload = world.payload()
        wrong = {key.public.key_id: key.sign(s.STATEMENT_CONTEXT, payload) for key in world.custodians}
        with pytest.raises(d.DirectoryTooFewSignatures):
            verify(world, encode_snapshot(payload, wrong))

    def test_half_a_composite_signature(self, world: World) -> None:
        payload = world.payload()
        whole = {key.public.key_id: key.sign(d.DIRECTORY_CONTEXT, payload) for key in world.custodians}
        halves = {key_id: signature[:-64] + bytes(64) for key_id, signature in whole.items()}
        with pytest.raises(d.DirectoryTooFewSignatures):
            verify(world, encode_snapshot(payload, halves))

    def test_the_payload_is_verified_as_it_arrived(self, world: World) -> None:
        envelope = json.loads(world.snapshot())
        payload = base64.b64decode(envelope["payload"])
        envelope["payload"] = base64.b64encode(payload + b" ").decode()  # the same JSON
        with pytest.raises(d.DirectoryTooFewSignatures):
            verify(world, encode_json(envelope))

    def test_one_more_signature_is_enough(self, world: World) -> None:
        half = sign_snapshot(world.payload(), world.custodians[:1])
        assert verify(world, add_signature(half, world.custodians[2])).version == world.version

    def test_expired(self, world: World) -> None:
        raw = world.snapshot()
        assert verify(world, raw, now_ms=world.expires_at_ms - 1)
        with pytest.raises(d.DirectoryExpired) as caught:
            verify(world, raw, now_ms=world.expires_at_ms)
        assert caught.value.code == "directory.expired"

    def test_from_the_future(self, world: World) -> None:
        raw = world.snapshot()
        assert verify(world, raw, now_ms=NOW_MS - d.MAX_AHEAD_MS)
        with pytest.raises(d.DirectoryNotYetValid):
            verify(world, raw, now_ms=NOW_MS - d.MAX_AHEAD_MS - 1)

    def test_rolled_back(self, world: World) -> None:
        raw = world.snapshot()
        assert verify(world, raw, at_least=world.version)
        with pytest.raises(d.DirectoryRolledBack):
            verify(world, raw, at_least=world.version + 1)

    def test_another_hubs(self, world: World) -> None:
        with pytest.raises(d.DirectoryOtherHub):
            verify(world, changed(world, hub="HUB-2"))

    def test_too_long(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = world.snapshot()
        monkeypatch.setattr(d, "MAX_SNAPSHOT", len(raw) - 1)
        with pytest.raises(d.DirectoryMalformed, match="too long"):
            verify(world, raw)

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({"version": 0}, "version"),
            ({"version": True}, "version"),
            ({"version": "7"}, "version"),
            ({"extra": 1}, "extra"),
            ({"kind": "cgi-hub/v1/root"}, "kind"),
            ({"expires_at_ms": -1}, "expires_at_ms"),
            ({"agencies": None}, "agencies"),
        ],
    )
    def test_a_payload_of_the_wrong_form(self, world: World, members: dict[str, Any], message: str) -> None:
        with pytest.raises(d.DirectoryMalformed, match=message):
            verify(world, changed(world, **members))

    @pytest.mark.parametrize(
        "raw",
        [b"", b"[]", b"\xff", b"{", b'{"kind":"cgi-hub/v1/directory-snapshot"}', b"[" * 100_000, b"9" * 10_000],
    )
    def test_not_a_snapshot(self, world: World, raw: bytes) -> None:
        with pytest.raises(d.DirectoryMalformed):
            verify(world, raw)

    def test_a_member_twice(self, world: World) -> None:
        raw = world.payload()
        twice = raw.replace(b'"hub":"HUB"', b'"hub":"HUB-2","hub":"HUB"', 1)
        with pytest.raises(d.DirectoryMalformed, match="twice"):
            verify(world, sign_snapshot(twice, world.custodians))

    def test_loose_base64(self, world: World) -> None:
        raw = world.snapshot()
        with pytest.raises(d.DirectoryMalformed, match="payload"):
            verify(world, raw.replace(b'"payload":"', b'"payload":"\\n', 1))

    def test_sixty_agencies_are_quick(self) -> None:
        world = World.of(*(f"A{i:02}" for i in range(60)))
        for i in range(59):
            world.agree(f"A{i:02}", f"A{i + 1:02}", "trace.request")
        raw = world.snapshot()
        begin = time.process_time()
        verify(world, raw)
        assert time.process_time() - begin < 2


class TestAgencies:
    def resigned(self, world: World, agency: AgencyId, signed: s.SignedStatement) -> bytes:
        payload = json.loads(world.payload())
        for entry in payload["agencies"]:
            if entry["agency"] == agency:
                entry["statement"] = {
                    "payload": base64.b64encode(signed.payload).decode(),
                    "signature": base64.b64encode(signed.signature).decode(),
                }
        return sign_snapshot(encode_json(payload), world.custodians)

    def test_a_statement_that_another_identity_signed(self, world: World) -> None:
        forged = s.sign_statement(world.statement(ATF), world.keys[JCF].identity)
        with pytest.raises(s.StatementSignatureInvalid) as caught:
            verify(world, self.resigned(world, ATF, forged))
        assert caught.value.details["agency"] == ATF

    def test_a_statement_of_another_agency(self, world: World) -> None:
        other = s.sign_statement(world.statement(JCF), world.keys[ATF].identity)
        with pytest.raises(s.StatementOfAnother):
            verify(world, self.resigned(world, ATF, other))

    def test_a_statement_for_another_hub(self, world: World) -> None:
        other = replace(world.statement(ATF), hub=AgencyId("HUB-2"))
        with pytest.raises(s.StatementOfAnother):
            verify(world, self.resigned(world, ATF, s.sign_statement(other, world.keys[ATF].identity)))

    def test_one_key_of_two_agencies(self, world: World) -> None:
        world.keys[ATF].signing_entries.append(world.keys[JCF].signing_entries[0])
        with pytest.raises(d.DirectoryKeyShared):
            verify(world, world.snapshot())

    def test_an_identity_key_that_also_signs_flushes(self, world: World) -> None:
        entry = world.keys[ATF].signing_entries[0]
        world.keys[ATF].signing_entries.append(replace(entry, key=world.keys[ATF].identity.public))
        with pytest.raises(d.DirectoryKeyShared):
            verify(world, world.snapshot())

    @pytest.mark.parametrize("half", [slice(0, -32), slice(-32, None)])
    def test_half_a_key_of_two_agencies(self, world: World, half: slice) -> None:
        entry = world.keys[ATF].signing_entries[0]
        raw = bytearray(signing_key("another").public.raw)
        raw[half] = world.keys[JCF].signing.public.raw[half]
        world.keys[ATF].signing_entries.append(replace(entry, key=type(entry.key)(bytes(raw))))
        with pytest.raises(d.DirectoryKeyShared):
            verify(world, world.snapshot())

    def test_a_custodians_key_as_an_identity(self, world: World) -> None:
        world.keys[ATF].identity = world.custodians[2]
        with pytest.raises(d.DirectoryKeyShared):
            verify(world, world.snapshot())

    def test_an_agency_twice(self, world: World) -> None:
        agencies = json.loads(world.payload())["agencies"]
        with pytest.raises(d.DirectoryMalformed, match="an agency stands twice"):
            verify(world, changed(world, agencies=[*agencies, agencies[0]]))

    @pytest.mark.parametrize(("member", "value"), [("agency", "atf"), ("identity", ""), ("active", "yes")])
    def test_an_entry_of_the_wrong_form(self, world: World, member: str, value: str) -> None:
        agencies = json.loads(world.payload())["agencies"]
        agencies[0][member] = value
        with pytest.raises(d.DirectoryMalformed):
            verify(world, changed(world, agencies=agencies))


class TestAgreements:
    @pytest.mark.parametrize(
        ("member", "value", "message"),
        [
            ("recipient", "NCA", "does not list"),
            ("recipient", "JCF", "itself"),
            ("event_types", [], "event_types"),
            ("event_types", ["trace"], "not an event type"),
            ("compartments", [], "compartments"),
            ("compartments", ["Core"], "compartment"),
            ("purposes", [], "purposes"),
            ("purposes", ["ANY"], "ANY"),
            ("max_handling", "TLP:PINK", "handling"),
            ("not_after_ms", 0, "never holds"),
            ("agreement_id", "", "agreement id"),
            ("agreement_id", "MOU\n", "agreement id"),
            ("agreement_id", "MOU-1 #2", "stands twice"),
        ],
    )
    def test_refused(self, world: World, member: str, value: Any, message: str) -> None:
        agreements = json.loads(world.payload())["agreements"]
        agreements[0][member] = value
        with pytest.raises(d.DirectoryMalformed, match=message):
            verify(world, changed(world, agreements=agreements))


class TestStatement:
    def malformed(self, world: World, **members: Any) -> None:
        form = json.loads(s.sign_statement(world.statement(ATF), world.keys[ATF].identity).payload)
        form.update(members)
        with pytest.raises(s.StatementMalformed):
            s.parse_statement(encode_json(form))

    def test_wrong_forms(self, world: World) -> None:
        form = json.loads(s.sign_statement(world.statement(ATF), world.keys[ATF].identity).payload)
        key = form["kem_keys"][0]
        self.malformed(world, version=0)
        self.malformed(world, extra=1)
        self.malformed(world, kem_keys=[{**key, "key": ""}])
        self.malformed(world, kem_keys=[{**key, "not_after_ms": key["not_before_ms"]}])
        self.malformed(world, signing_keys=form["signing_keys"] * 2)
        self.malformed(world, kem_keys=[key] * 300)

    def test_kem_keys_stand_in_order(self, world: World) -> None:
        world.rotate_kem_key("ATF")
        form = json.loads(s.sign_statement(world.statement(ATF), world.keys[ATF].identity).payload)
        self.malformed(world, kem_keys=form["kem_keys"][::-1])

    def test_kem_keys_that_begin_together(self, world: World) -> None:
        world.rotate_kem_key("ATF")
        form = json.loads(s.sign_statement(world.statement(ATF), world.keys[ATF].identity).payload)
        first, second = form["kem_keys"]
        self.malformed(world, kem_keys=[first, {**second, "not_before_ms": first["not_before_ms"]}])

    def test_one_kem_key_twice(self, world: World) -> None:
        form = json.loads(s.sign_statement(world.statement(ATF), world.keys[ATF].identity).payload)
        (key,) = form["kem_keys"]
        self.malformed(world, kem_keys=[key, {**key, "not_before_ms": key["not_before_ms"] + 1}])

    def test_nothing_is_signed_that_a_reader_refuses(self, world: World) -> None:
        with pytest.raises(s.StatementMalformed):
            s.sign_statement(replace(world.statement(ATF), version=0), world.keys[ATF].identity)


class TestSuccession:
    def test_first_and_same_and_next(self, world: World) -> None:
        first = world.directory()
        d.check_succession(first, version=0, digest=None, statements={})
        d.check_succession(first, version=first.version, digest=first.digest, statements=first.statement_versions())
        world.rotate_kem_key("ATF")
        d.check_succession(
            world.directory(), version=first.version, digest=first.digest, statements=first.statement_versions()
        )

    def test_an_older_version(self, world: World) -> None:
        with pytest.raises(d.DirectoryRolledBack):
            d.check_succession(world.directory(), version=world.version + 1, digest=None, statements={})

    def test_another_directory_of_the_same_version(self, world: World) -> None:
        first = world.directory()
        world.suspend("ATF")
        world.version -= 1
        with pytest.raises(d.DirectoryEquivocation):
            d.check_succession(world.directory(), version=first.version, digest=first.digest, statements={})

    def test_an_agencys_older_statement(self, world: World) -> None:
        with pytest.raises(d.DirectoryRolledBack) as caught:
            d.check_succession(world.directory(), version=0, digest=None, statements={ATF: 2})
        assert caught.value.details["agency"] == ATF


class TestSigningKey:
    def ask(self, world: World, agency: AgencyId = ATF, *, key_id: bytes | None = None, now_ms: int = NOW_MS) -> None:
        wanted = world.keys[ATF].signing.public
        found = world.directory().signing_key(agency, wanted.key_id if key_id is None else key_id, now_ms)
        assert found == wanted

    def test_found(self, world: World) -> None:
        self.ask(world)

    def test_unknown_publisher(self, world: World) -> None:
        with pytest.raises(d.PublisherUnknown):
            self.ask(world, AgencyId("NCA"))

    def test_suspended_publisher(self, world: World) -> None:
        world.suspend("ATF")
        with pytest.raises(d.PublisherSuspended):
            self.ask(world)

    def test_unknown_key(self, world: World) -> None:
        with pytest.raises(d.SigningKeyUnknown):
            self.ask(world, key_id=bytes(32))

    def test_the_key_of_another_agency(self, world: World) -> None:
        with pytest.raises(d.SigningKeyUnknown):
            self.ask(world, JCF)

    def test_revoked_from_its_moment(self, world: World) -> None:
        world.revoke_signing_key("ATF", at_ms=NOW_MS)
        self.ask(world, now_ms=NOW_MS - 1)
        with pytest.raises(d.SigningKeyRevoked):
            self.ask(world, now_ms=NOW_MS)

    def test_expired(self, world: World) -> None:
        end = world.keys[ATF].signing_entries[0].not_after_ms
        self.ask(world, now_ms=end - 1)
        with pytest.raises(d.SigningKeyExpired):
            self.ask(world, now_ms=end)

    def test_not_yet_valid(self, world: World) -> None:
        begin = world.keys[ATF].signing_entries[0].not_before_ms
        self.ask(world, now_ms=begin)
        with pytest.raises(d.SigningKeyNotYetValid):
            self.ask(world, now_ms=begin - 1)


class TestKemKey:
    def ask(self, world: World, agency: AgencyId = ATF, *, now_ms: int = NOW_MS) -> KemPublicKey:
        return world.directory().kem_key(agency, now_ms)

    def test_the_last_that_has_begun(self, world: World) -> None:
        old = world.keys[ATF].kem.public.raw
        new = world.rotate_kem_key("ATF", from_ms=NOW_MS + DAY_MS).public.raw
        assert self.ask(world).raw == old
        assert self.ask(world, now_ms=NOW_MS + DAY_MS).raw == new

    def test_a_revoked_one_gives_way_to_the_one_before(self, world: World) -> None:
        old = world.keys[ATF].kem.public.raw
        world.rotate_kem_key("ATF")
        entries = world.keys[ATF].kem_entries
        entries[1] = replace(entries[1], revoked_at_ms=NOW_MS + 10)
        assert self.ask(world, now_ms=NOW_MS + 9).raw == kem_key("ATF 2").public.raw
        assert self.ask(world, now_ms=NOW_MS + 10).raw == old

    def test_until_when_there_is_one(self, world: World) -> None:
        end = world.keys[ATF].kem_entries[0].not_after_ms
        assert world.directory().kem_end_ms(ATF, NOW_MS) == end
        assert world.directory().kem_end_ms(ATF, end) == end
        assert world.directory().kem_end_ms(AgencyId("XYZ"), NOW_MS) == NOW_MS
        world.rotate_kem_key("ATF")
        entries = world.keys[ATF].kem_entries
        entries[:] = [replace(entries[0], revoked_at_ms=NOW_MS + 20), replace(entries[1], revoked_at_ms=NOW_MS + 10)]
        assert world.directory().kem_end_ms(ATF, NOW_MS) == NOW_MS + 20
        world.suspend("ATF")
        assert world.directory().kem_end_ms(ATF, NOW_MS) == NOW_MS

    def test_none_that_is_valid(self, world: World) -> None:
        end = world.keys[ATF].kem_entries[0].not_after_ms
        with pytest.raises(d.KemKeyNone):
            self.ask(world, now_ms=end)

    def test_unknown(self, world: World) -> None:
        with pytest.raises(d.RecipientUnknown):
            self.ask(world, AgencyId("NCA"))

    def test_suspended(self, world: World) -> None:
        world.suspend("ATF")
        with pytest.raises(d.RecipientSuspended):
            self.ask(world)


class TestRoot:
    def test_round_trip(self, world: World) -> None:
        assert r.parse_root(encode_root(world.root)) == world.root

    @pytest.mark.parametrize("threshold", [0, -1, 4])
    def test_a_threshold_that_cannot_be_met(self, world: World, threshold: int) -> None:
        with pytest.raises(r.RootInvalid):
            replace(world.root, threshold=threshold)

    def test_one_key_under_two_names(self, world: World) -> None:
        twin = r.Custodian("another name", world.custodians[0].public)
        with pytest.raises(r.RootInvalid):
            replace(world.root, custodians=(*world.root.custodians, twin))

    @pytest.mark.parametrize("half", [slice(0, 1952), slice(1952, None)])
    def test_half_a_key_shared(self, world: World, half: slice) -> None:
        raw = bytearray(signing_key("another").public.raw)
        raw[half] = world.custodians[0].public.raw[half]
        twin = r.Custodian("another name", type(world.custodians[0].public)(bytes(raw)))
        with pytest.raises(r.RootInvalid, match="half"):
            replace(world.root, custodians=(*world.root.custodians, twin))

    @pytest.mark.parametrize("raw", [b"", b"{}", b"null"])
    def test_not_a_root(self, raw: bytes) -> None:
        with pytest.raises(r.RootInvalid):
            r.parse_root(raw)
