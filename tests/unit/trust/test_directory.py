"""hub/trust/directory.py against docs/spec/directory.md: every refusal has its own code, and each look-up its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hub.model import AgencyId
from hub.trust import directory as d
from hub.trust import root as r
from hub.trust import statement as s
from hub.trust.kem import KemPublicKey
from hub.trust.signed_json import encode_json
from tests.support.authority import DAY_MS, NOW_MS, World, kem_key, signing_key

ATF, JCF, RSS = AgencyId("ATF"), AgencyId("JCF"), AgencyId("RSS")


@pytest.fixture
def world() -> World:
    world = World.of("ATF", "JCF", "RSS")
    world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1 #1")
    world.agree("JCF", "ATF", "seizure.report", agreement_id="MOU-1 #2")
    return world


class TestStatement:
    def malformed(self, world: World, **members: Any) -> None:
        form = json.loads(s.encode_statement(world.statement(ATF)))
        form.update(members)
        with pytest.raises(s.StatementMalformed):
            s.parse_statement(encode_json(form))

    def test_wrong_forms(self, world: World) -> None:
        form = json.loads(s.encode_statement(world.statement(ATF)))
        key = form["kem_keys"][0]
        self.malformed(world, version=0)
        self.malformed(world, extra=1)
        self.malformed(world, kem_keys=[{**key, "key": ""}])
        self.malformed(world, kem_keys=[{**key, "not_after_ms": key["not_before_ms"]}])
        self.malformed(world, signing_keys=form["signing_keys"] * 2)
        self.malformed(world, kem_keys=[key] * 300)

    def test_kem_keys_stand_in_order(self, world: World) -> None:
        world.rotate_kem_key("ATF")
        form = json.loads(s.encode_statement(world.statement(ATF)))
        self.malformed(world, kem_keys=form["kem_keys"][::-1])

    def test_kem_keys_that_begin_together(self, world: World) -> None:
        world.rotate_kem_key("ATF")
        form = json.loads(s.encode_statement(world.statement(ATF)))
        first, second = form["kem_keys"]
        self.malformed(world, kem_keys=[first, {**second, "not_before_ms": first["not_before_ms"]}])

    def test_one_kem_key_twice(self, world: World) -> None:
        form = json.loads(s.encode_statement(world.statement(ATF)))
        (key,) = form["kem_keys"]
        self.malformed(world, kem_keys=[key, {**key, "not_before_ms": key["not_before_ms"] + 1}])

    def test_nothing_is_signed_that_a_reader_refuses(self, world: World) -> None:
        with pytest.raises(s.StatementMalformed):
            s.encode_statement(replace(world.statement(ATF), version=0))


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
