"""hub/adapters/tuf_repository.py and tuf_reader.py: what the custodians sign, what a reader takes, and what it refuses.

Attacks are made by whoever has the operator's online key (it dates everything) and one custodian, or an agency.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Targets, Timestamp

from hub.adapters.directory_files import (
    BundleFiles,
    DirectoryBundleMalformed,
    FolderFiles,
    encode_bundle,
    open_files,
    parse_bundle,
)
from hub.adapters.files import FileUnreadable
from hub.adapters.repository_files import load_repository, save_repository
from hub.adapters.tuf_keys import CompositeKey, CompositeSigner
from hub.adapters.tuf_metadata import RepositoryInvalid
from hub.adapters.tuf_publish import RepositoryUnsigned, publish
from hub.adapters.tuf_reader import (
    SIGNED_AT,
    DirectoryMemoryInvalid,
    DirectoryMissing,
    DirectoryRefused,
    TufDirectory,
    load_root_bytes,
    parse_root,
    read_directory,
)
from hub.adapters.tuf_repository import Repository
from hub.adapters.tuf_roles import (
    SignedRole,
    SignedRoleMalformed,
    encode_signed_role,
    parse_signed_role,
    read_agreement,
    sign_agency_role,
    sign_agreement_role,
)
from hub.model import HUB, AgencyId
from hub.trust import directory as d
from hub.trust.composite import SIGNATURE_LENGTH, SigningKey
from hub.trust.directory import Directory
from hub.trust.root import Custodian, RootInvalid
from tests.support.authority import DAY_MS, NOW_MS, World, signing_key

ATF, JCF = AgencyId("ATF"), AgencyId("JCF")


@dataclass
class Hand:
    """A clock that is moved by hand."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


@pytest.fixture
def world() -> World:
    world = World.of("ATF", "JCF")
    world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
    return world


def read(world: World, files: dict[str, bytes] | None = None, *, now_ms: int | None = None) -> Directory:
    root = world.root_bytes()
    found = world.repository.files if files is None else files
    return read_directory(BundleFiles(found), root=root, now_ms=world.now_ms if now_ms is None else now_ms).directory


def redated(
    world: World,
    files: dict[str, bytes],
    *,
    snapshot: Snapshot | None = None,
    key: SigningKey | None = None,
    signed_at: Any = NOW_MS,
    version: int = 9,
) -> dict[str, bytes]:
    """``files`` with another snapshot, dated anew by the operator's key (or another): what a bad operator can make."""
    signer = CompositeSigner(key or world.online)
    files = dict(files)
    old = Metadata[Timestamp].from_bytes(files["metadata/timestamp.json"]).signed
    if snapshot is None:
        raw = files[f"metadata/{old.snapshot_meta.version}.snapshot.json"]
        snapshot = Metadata[Snapshot].from_bytes(raw).signed
    signed = Metadata(snapshot)
    signed.sign(signer)
    files[f"metadata/{snapshot.version}.snapshot.json"] = signed.to_bytes()
    meta = MetaFile.from_data(snapshot.version, signed.to_bytes(), ["sha256"])
    stamp = Metadata(Timestamp(version, None, old.expires, meta, {SIGNED_AT: signed_at}))
    stamp.sign(signer)
    files["metadata/timestamp.json"] = stamp.to_bytes()
    return files


def with_role(world: World, name: str, metadata: bytes, version: int = 1, **more: bytes) -> dict[str, bytes]:
    """The published files with another metadata of a role in them, vouched for by the operator's key."""
    files = {**world.repository.files, f"metadata/{version}.{name}.json": metadata, **more}
    old = Metadata[Timestamp].from_bytes(files["metadata/timestamp.json"]).signed.snapshot_meta.version
    snapshot = Metadata[Snapshot].from_bytes(files[f"metadata/{old}.snapshot.json"]).signed
    snapshot.meta[f"{name}.json"] = MetaFile.from_data(version, metadata, ["sha256"])
    snapshot.version += 1
    return redated(world, files, snapshot=snapshot)


class TestReading:
    def test_what_was_published(self, world: World) -> None:
        world.publish()
        found = read(world)
        assert (found.hub, found.version, found.faults) == (HUB, 1, ())
        assert [entry.agency_id for entry in found.all_agencies()] == ["ATF", "HUB", "JCF"]
        assert [agreed.agreement_id for agreed in found.agreements(JCF, ATF)] == ["MOU-1"]
        assert [document.slug for document in found.documents] == ["MOU-1"]
        assert found.kem_key(ATF, NOW_MS).raw == world.keys[ATF].kem.public.raw
        assert (found.issued_at_ms, found.expires_at_ms) == (NOW_MS, world.expires_at_ms)

    def test_the_version_rises_with_each_change_and_not_with_a_new_date(self, world: World) -> None:
        world.publish()
        first = read(world)
        world.now_ms += DAY_MS
        world.publish()
        dated = read(world)
        assert (dated.version, dated.digest) == (first.version, first.digest)
        assert dated.issued_at_ms == first.issued_at_ms + DAY_MS
        world.suspend("ATF")
        world.publish()
        assert (read(world).version, read(world).digest == first.digest) == (2, False)

    def test_expired(self, world: World) -> None:
        world.publish()
        assert read(world, now_ms=world.expires_at_ms - 1)
        with pytest.raises(d.DirectoryExpired):
            read(world, now_ms=world.expires_at_ms)

    def test_what_the_custodians_signed_expires_too(self, world: World) -> None:
        world.publish()
        world.now_ms += 367 * DAY_MS  # dated daily all the time
        with pytest.raises(d.DirectoryExpired):
            publish(world.repository, world.online, now_ms=world.now_ms)

    def test_from_the_future(self, world: World) -> None:
        world.publish()
        assert read(world, now_ms=NOW_MS - d.MAX_AHEAD_MS)
        with pytest.raises(d.DirectoryNotYetValid):
            read(world, now_ms=NOW_MS - d.MAX_AHEAD_MS - 1)

    def test_missing(self, world: World) -> None:
        world.publish()
        with pytest.raises(DirectoryMissing):
            read(world, {})
        with pytest.raises(DirectoryMissing):
            read(world, {path: raw for path, raw in world.repository.files.items() if ".targets." not in path})

    def test_another_hubs(self, world: World) -> None:
        world.publish()
        other = World.of("ATF")
        other.custodians = world.custodians
        repository = Repository.create(
            hub=AgencyId("HUB2"),
            custodians=world.root.custodians,
            threshold=2,
            online=[world.online.public],
            now_ms=NOW_MS,
        )
        for custodian in world.custodians:
            repository.sign(custodian)
        publish(repository, world.online, now_ms=NOW_MS)
        files = {**repository.files, "metadata/1.root.json": world.root_bytes()}
        with pytest.raises(d.DirectoryOtherHub):
            read(world, files)

    def test_a_timestamp_that_does_not_say_when(self, world: World) -> None:
        world.publish()
        for value in (None, "now", -1, True):
            with pytest.raises(d.DirectoryMalformed):
                read(world, redated(world, world.repository.files, signed_at=value))

    @pytest.mark.parametrize("part", ["timestamp", "1.snapshot", "1.targets"])
    @pytest.mark.parametrize("raw", [b"", b"{}", b"[" * 100_000, b"\xff"])
    def test_nonsense(self, world: World, part: str, raw: bytes) -> None:
        world.publish()
        with pytest.raises((d.DirectoryMalformed, DirectoryMissing)):
            read(world, {**world.repository.files, f"metadata/{part}.json": raw})


class TestSignatures:
    def staged(self, world: World) -> Repository:
        world.stage()
        return world.repository

    def test_one_custodian_of_two(self, world: World) -> None:
        repository = self.staged(world)
        repository.sign(world.custodians[0])
        with pytest.raises(RepositoryUnsigned, match="root: 1 more"):
            publish(repository, world.online, now_ms=NOW_MS)

    def forced(self, world: World, targets: bytes) -> dict[str, bytes]:
        return with_role(world, "targets", targets, 2)

    def changed(self, world: World) -> Metadata[Targets]:
        """Targets 2, as somebody made them who wants to be believed; signed by nobody yet."""
        world.publish()
        targets = Metadata[Targets].from_bytes(world.repository.files["metadata/1.targets.json"])
        targets.signed.version = 2
        targets.signatures.clear()
        return targets

    def test_the_operators_key_forges_nothing(self, world: World) -> None:
        targets = self.changed(world)
        targets.sign(CompositeSigner(world.online))
        with pytest.raises(d.DirectoryTooFewSignatures):
            read(world, self.forced(world, targets.to_bytes()))

    def test_one_custodian_and_a_stranger(self, world: World) -> None:
        targets = self.changed(world)
        targets.sign(CompositeSigner(world.custodians[0]), append=True)
        targets.sign(CompositeSigner(signing_key("a stranger")), append=True)
        targets.sign(CompositeSigner(world.keys[ATF].identity), append=True)
        with pytest.raises(d.DirectoryTooFewSignatures):
            read(world, self.forced(world, targets.to_bytes()))
        targets.sign(CompositeSigner(world.custodians[2]), append=True)
        assert read(world, self.forced(world, targets.to_bytes())).version == 2

    @pytest.mark.parametrize("half", [slice(0, SIGNATURE_LENGTH - 64), slice(SIGNATURE_LENGTH - 64, None)])
    def test_half_a_composite_signature(self, world: World, half: slice) -> None:
        targets = self.changed(world)
        for custodian in world.custodians[:2]:
            targets.sign(CompositeSigner(custodian), append=True)
        for signature in targets.signatures.values():
            raw = bytearray.fromhex(signature.signature)
            raw[half] = bytes(len(raw[half]))
            signature.signature = raw.hex()
        with pytest.raises(d.DirectoryTooFewSignatures):
            read(world, self.forced(world, targets.to_bytes()))

    def test_a_signature_under_another_context(self, world: World) -> None:
        targets = self.changed(world)
        for custodian in world.custodians[:2]:
            targets.sign(CompositeSigner(custodian), append=True)
            raw = custodian.sign(b"cgi-hub/v1/flush", targets.signed_bytes)
            targets.signatures[custodian.public.key_id.hex()].signature = raw.hex()
        with pytest.raises(d.DirectoryTooFewSignatures):
            read(world, self.forced(world, targets.to_bytes()))

    def test_one_key_under_two_ids_meets_no_threshold(self, world: World) -> None:
        """python-tuf takes the ids at their word; our keys do not."""
        world.publish()
        root = json.loads(world.root_bytes())
        mine = world.custodians[0].public.key_id.hex()
        root["signed"]["keys"]["aa" * 32] = root["signed"]["keys"][mine]
        for role in ("root", "targets"):
            root["signed"]["roles"][role]["keyids"] = [mine, "aa" * 32]
        root["signed"]["custodians"] = {mine: "north", "aa" * 32: "east"}
        with pytest.raises(RootInvalid):
            parse_root(json.dumps(root).encode())
        with pytest.raises(ValueError, match="id that is not its own"):
            CompositeKey.from_dict("aa" * 32, dict(root["signed"]["keys"][mine]))

    def test_other_kinds_of_keys_are_not_read(self, world: World) -> None:
        world.publish()
        root = json.loads(world.root_bytes())
        key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00" * 32}}
        root["signed"]["keys"]["bb" * 32] = key
        with pytest.raises(RootInvalid):
            parse_root(json.dumps(root).encode())


class TestRoles:
    def test_a_statement_that_another_identity_signed(self, world: World) -> None:
        world.publish()
        world.keys[ATF].statement_version = 2
        forged = sign_agency_role(world.statement(ATF), world.keys[JCF].identity)
        with pytest.raises(RepositoryInvalid, match="not signed"):
            world.repository.put_statement(forged)
        found = read(world, with_role(world, "agency.ATF", forged.metadata, 2))
        assert [(fault.role, fault.code) for fault in found.faults] == [("agency.ATF", "role.unsigned")]
        with pytest.raises(d.KemKeyNone):  # and everybody else goes on
            found.kem_key(ATF, NOW_MS)
        assert found.kem_key(JCF, NOW_MS)

    def test_an_agreement_that_one_party_signed(self, world: World) -> None:
        world.publish()
        document = replace(world.documents()[0], version=2)
        half = sign_agreement_role(document, world.keys[JCF].identity)
        with pytest.raises(RepositoryInvalid, match="not signed"):
            world.repository.put_agreement(half)
        twice = sign_agreement_role(document, world.keys[JCF].identity, existing=half)
        target = f"targets/agreement/{_digest(twice.payload)}.MOU-1.json"
        found = read(world, with_role(world, "agreement.MOU-1", twice.metadata, 2, **{target: twice.payload}))
        assert [(fault.role, fault.code) for fault in found.faults] == [("agreement.MOU-1", "role.unsigned")]
        assert found.agreements(JCF, ATF) == ()

    def test_one_roles_metadata_passes_for_no_other(self, world: World) -> None:
        """Both parties signed MOU-1; the operator shows it as MOU-2, whose keys are the same."""
        world.agree("JCF", "ATF", "seizure.report", agreement_id="MOU-2")
        world.publish()
        files = world.repository.files
        found = read(world, with_role(world, "agreement.MOU-2", files["metadata/1.agreement.MOU-1.json"]))
        assert [fault.role for fault in found.faults] == ["agreement.MOU-2"]
        assert [agreed.agreement_id for agreed in found.agreements(JCF, ATF)] == ["MOU-1"]

    def test_a_statement_of_an_older_version_is_a_rollback(self, world: World, tmp_path: Path) -> None:
        world.publish()
        old = world.repository.files["metadata/1.agency.ATF.json"]
        world.rotate_kem_key("ATF")
        world.publish()
        source = following(world, tmp_path)
        back = with_role(world, "agency.ATF", old, 1)
        (tmp_path / "directory.json").write_bytes(encode_bundle(back))
        source.refresh()
        assert isinstance(source.refused, d.DirectoryRolledBack)
        assert source.current().entries[ATF].statement.version == 2

    def test_a_key_of_two_agencies_is_nobodys(self, world: World) -> None:
        world.keys[ATF].signing_entries.append(world.keys[JCF].signing_entries[0])
        found = world.directory()
        assert {fault.role: fault.code for fault in found.faults} == {
            "agency.ATF": "directory.key_shared",
            "agency.JCF": "directory.key_shared",
        }

    @pytest.mark.parametrize("half", [slice(0, -32), slice(-32, None)])
    def test_half_a_custodians_key_in_a_statement(self, world: World, half: slice) -> None:
        entry = world.keys[ATF].signing_entries[0]
        raw = bytearray(signing_key("another").public.raw)
        raw[half] = world.custodians[2].public.raw[half]
        world.keys[ATF].signing_entries.append(replace(entry, key=type(entry.key)(bytes(raw))))
        assert [fault.role for fault in world.directory().faults] == ["agency.ATF"]

    def test_an_identity_key_that_also_signs_flushes(self, world: World) -> None:
        entry = world.keys[ATF].signing_entries[0]
        world.keys[ATF].signing_entries.append(replace(entry, key=world.keys[ATF].identity.public))
        assert [fault.role for fault in world.directory().faults] == ["agency.ATF"]

    def test_a_custodians_key_as_an_identity_refuses_all(self, world: World) -> None:
        world.keys[ATF].identity = world.custodians[2]
        with pytest.raises(d.DirectoryKeyShared):
            world.directory()

    def test_the_operators_online_key_as_an_identity_refuses_all(self, world: World) -> None:
        world.keys[ATF].identity = world.online
        with pytest.raises(d.DirectoryKeyShared):
            world.directory()

    def test_a_role_that_lists_more_than_its_target(self, world: World) -> None:
        role = world.signed_role(ATF)
        metadata = Metadata[Targets].from_bytes(role.metadata)
        metadata.signed.targets["agency/JCF/keys.json"] = metadata.signed.targets["agency/ATF/keys.json"]
        metadata.sign(CompositeSigner(world.keys[ATF].identity))
        with pytest.raises(SignedRoleMalformed):
            parse_signed_role(encode_signed_role(SignedRole(role.role, metadata.to_bytes(), role.payload)))

    def test_a_changed_payload(self, world: World) -> None:
        role = world.signed_role(ATF)
        with pytest.raises(SignedRoleMalformed, match="not the one that was signed"):
            parse_signed_role(encode_signed_role(replace(role, payload=role.payload + b" ")))

    def test_a_second_party_signs_what_the_first_signed(self, world: World) -> None:
        document = world.documents()[0]
        half = sign_agreement_role(document, world.keys[ATF].identity)
        with pytest.raises(SignedRoleMalformed, match="another agreement"):
            sign_agreement_role(replace(document, title="another"), world.keys[JCF].identity, existing=half)
        both = sign_agreement_role(read_agreement(half), world.keys[JCF].identity, existing=half)
        keys = [world.keys[ATF].identity.public, world.keys[JCF].identity.public]
        assert both.signed_by(keys) == tuple(keys)
        assert half.signed_by(keys) == tuple(keys[:1])


class TestChanges:
    def test_a_new_identity_key_ends_no_agreement_silently(self, world: World) -> None:
        world.publish()
        repository, old = world.repository, world.keys[ATF].identity
        world.keys[ATF].identity = signing_key("ATF's next identity")
        world.keys[ATF].statement_version = 2
        role = sign_agency_role(world.statement(ATF), world.keys[ATF].identity)
        assert repository.put_agency(ATF, "ATF", world.keys[ATF].identity.public, role) == ("MOU-1",)
        assert [fault.role for fault in repository.draft(NOW_MS).faults] == ["agreement.MOU-1"]
        # The same text, signed by the new key too: the other party need not do anything.
        published = repository.role("agreement.MOU-1")
        assert published is not None
        again = sign_agreement_role(read_agreement(published), world.keys[ATF].identity, existing=published)
        repository.put_agreement(again)
        assert repository.draft(NOW_MS).faults == ()
        for custodian in world.custodians[:2]:
            repository.sign(custodian)
        found = publish(repository, world.online, now_ms=NOW_MS).verified.directory
        assert [agreed.agreement_id for agreed in found.agreements(JCF, ATF)] == ["MOU-1"]
        assert found.entries[ATF].identity != old.public

    def test_a_withdrawn_agreement_is_gone_and_may_return(self, world: World, tmp_path: Path) -> None:
        world.publish()
        source = following(world, tmp_path)
        agreed = world.agreed.pop()
        refresh(world, source, tmp_path)
        assert source.current().agreements(JCF, ATF) == ()
        assert world.repository.index().agreements == ()
        world.agreed.append(replace(agreed, event_types=frozenset({"seizure.report"})))
        document = replace(world.documents()[0], version=1)
        with pytest.raises(RepositoryInvalid, match="not newer"):
            world.repository.put_agreement(world.signed_agreement(document))
        world.repository.put_agreement(world.signed_agreement(replace(document, version=2)))
        for custodian in world.custodians[:2]:
            world.repository.sign(custodian)
        publish(world.repository, world.online, now_ms=NOW_MS)
        (tmp_path / "directory.json").write_bytes(encode_bundle(world.repository.files))
        source.refresh()
        assert source.refused is None
        assert source.current().agreements(JCF, ATF)[0].event_types == {"seizure.report"}

    def test_an_agency_that_leaves(self, world: World) -> None:
        world.publish()
        assert world.repository.remove_agency(ATF) == ("MOU-1",)
        for custodian in world.custodians[:2]:
            world.repository.sign(custodian)
        found = publish(world.repository, world.online, now_ms=NOW_MS).verified.directory
        assert (found.agency(ATF), found.all_agreements) == (None, ())
        with pytest.raises(RepositoryInvalid):
            world.repository.remove_agency(ATF)

    def test_what_is_signed_and_then_changed_must_be_signed_again(self, world: World) -> None:
        world.publish()
        world.repository.set_active(ATF, False)
        for custodian in world.custodians[:2]:
            world.repository.sign(custodian)
        world.repository.set_active(JCF, False)
        with pytest.raises(RepositoryUnsigned):
            publish(world.repository, world.online, now_ms=NOW_MS)

    def test_an_older_statement_is_not_staged(self, world: World) -> None:
        world.publish()
        with pytest.raises(RepositoryInvalid, match="not newer"):
            world.repository.put_statement(world.signed_role(ATF))

    def test_signatures_from_copies(self, world: World, tmp_path: Path) -> None:
        world.publish()
        world.repository.set_active(ATF, False)
        save_repository(world.repository, tmp_path / "home")
        for number, custodian in enumerate(world.custodians[:2]):
            save_repository(load_repository(tmp_path / "home"), tmp_path / f"{number}.json")
            copy = load_repository(tmp_path / f"{number}.json")
            assert copy.sign(custodian) == ("targets",)
            save_repository(copy, tmp_path / f"{number}.json")
        home = load_repository(tmp_path / "home")
        assert [home.merge(load_repository(tmp_path / f"{number}.json")) for number in (0, 1, 1)] == [1, 1, 0]
        assert not [part for part in home.lacking() if part.lacking]
        publish(home, world.online, now_ms=NOW_MS)
        save_repository(home, tmp_path / "home")
        assert load_repository(tmp_path / "home") == home
        other = load_repository(tmp_path / "0.json")
        other.set_active(JCF, False)
        world.repository.sign(world.custodians[0])
        with pytest.raises(RepositoryInvalid, match="no copy"):
            world.repository.merge(other)

    def test_a_key_that_has_nothing_to_sign(self, world: World) -> None:
        world.publish()
        world.repository.set_active(ATF, False)
        with pytest.raises(RepositoryInvalid, match="nothing is staged that this key signs"):
            world.repository.sign(signing_key("a stranger"))

    def test_a_stranger_dates_nothing(self, world: World) -> None:
        world.publish()
        with pytest.raises(RepositoryInvalid, match="online"):
            publish(world.repository, signing_key("a stranger"), now_ms=NOW_MS)
        with pytest.raises(d.DirectoryTooFewSignatures):
            read(world, redated(world, world.repository.files, key=signing_key("a stranger")))

    def test_old_files_go(self, world: World) -> None:
        world.publish()
        for hours in range(3):
            world.rotate_kem_key("ATF", from_ms=NOW_MS + hours * 3_600_000)
            world.publish()
        kept = [path for path in world.repository.files if ".agency.ATF." in path]
        assert sorted(kept) == ["metadata/3.agency.ATF.json", "metadata/4.agency.ATF.json"]


class TestRoot:
    def replaced(self, world: World) -> SigningKey:
        world.publish()
        new = signing_key("custodian 3")
        named = (*world.root.custodians[:2], Custodian("custodian 3", new.public))
        world.repository.change_root(now_ms=NOW_MS, custodians=named)
        return new

    def test_a_lost_key_is_replaced(self, world: World, tmp_path: Path) -> None:
        world.publish()
        source = following(world, tmp_path)
        new = self.replaced(world)
        world.repository.sign(world.custodians[0])
        world.repository.sign(new)
        # Two of the new ones have signed, and one of the old ones: not enough.
        with pytest.raises(RepositoryUnsigned, match="by the custodians before: 1 more"):
            publish(world.repository, world.online, now_ms=NOW_MS)
        world.repository.sign(world.custodians[1])
        publish(world.repository, world.online, now_ms=NOW_MS)
        (tmp_path / "directory.json").write_bytes(encode_bundle(world.repository.files))
        source.refresh()
        assert source.refused is None
        # Who pinned the first root follows; the key that was lost signs nothing any more.
        world.repository.set_active(ATF, False)
        with pytest.raises(RepositoryInvalid, match="nothing is staged that this key signs"):
            world.repository.sign(world.custodians[2])

    def test_the_new_threshold_counts_too(self, world: World) -> None:
        new = self.replaced(world)
        world.repository.sign(world.custodians[0])
        world.repository.sign(world.custodians[2])
        with pytest.raises(RepositoryUnsigned, match="root: 1 more"):
            publish(world.repository, world.online, now_ms=NOW_MS)
        world.repository.sign(new)
        assert publish(world.repository, world.online, now_ms=NOW_MS).verified.root.version == 2

    def test_a_root_that_the_old_custodians_did_not_sign(self, world: World) -> None:
        new = self.replaced(world)
        world.repository.sign(new)
        world.repository.sign(world.custodians[0])
        files = {**world.repository.files, "metadata/2.root.json": world.repository.staged["root"]}
        with pytest.raises(d.DirectoryTooFewSignatures):
            read(world, files)

    def test_another_online_key(self, world: World, tmp_path: Path) -> None:
        world.publish()
        source = following(world, tmp_path)
        new = signing_key("another online")
        world.repository.change_root(now_ms=NOW_MS, online=[new.public])
        for custodian in world.custodians[:2]:
            world.repository.sign(custodian)
        with pytest.raises(RepositoryInvalid, match="online"):
            publish(world.repository, world.online, now_ms=NOW_MS)
        publish(world.repository, new, now_ms=NOW_MS)
        (tmp_path / "directory.json").write_bytes(encode_bundle(world.repository.files))
        source.refresh()
        assert source.refused is None
        assert source.current().version == 2

    def test_rollback_is_noticed_over_a_change_of_the_root(self, world: World, tmp_path: Path) -> None:
        """The library forgets what a former online key dated; our own memory does not."""
        world.publish()
        old = dict(world.repository.files)
        world.suspend("ATF")
        world.publish()
        source = following(world, tmp_path)
        new = signing_key("another online")
        world.repository.change_root(now_ms=NOW_MS, online=[new.public])
        for custodian in world.custodians[:2]:
            world.repository.sign(custodian)
        root = world.repository.staged["root"]
        snapshot = Metadata[Snapshot].from_bytes(old["metadata/1.snapshot.json"]).signed
        back = redated(world, {**old, "metadata/2.root.json": root}, snapshot=snapshot, key=new)
        (tmp_path / "directory.json").write_bytes(encode_bundle(back))
        source.refresh()
        assert isinstance(source.refused, d.DirectoryRolledBack)

    @pytest.mark.parametrize("raw", [b"", b"{}", b"null", b"\xff"])
    def test_not_a_root(self, raw: bytes, tmp_path: Path) -> None:
        (tmp_path / "root.json").write_bytes(raw)
        with pytest.raises(RootInvalid):
            load_root_bytes(tmp_path / "root.json")

    def test_a_root_that_its_own_custodians_did_not_sign(self, world: World) -> None:
        world.stage()
        with pytest.raises(RootInvalid):
            parse_root(world.repository.staged["root"])


def following(world: World, folder: Path, clock: Hand | None = None) -> TufDirectory:
    """A reader of the world as it is published now, which has read it."""
    if not world.repository.files:
        world.publish()
    (folder / "directory.json").write_bytes(encode_bundle(world.repository.files))
    files = open_files(folder / "directory.json")
    source = TufDirectory(files, root=world.root_bytes(), folder=folder / "state", clock=clock or Hand())
    source.refresh()
    return source


def refresh(world: World, source: TufDirectory, folder: Path) -> None:
    (folder / "directory.json").write_bytes(world.snapshot())
    source.refresh()


class TestFollowing:
    def test_the_same_object_until_something_changes(self, world: World, tmp_path: Path) -> None:
        source = following(world, tmp_path)
        first = source.current()
        source.refresh()
        assert source.current() is first
        world.suspend("ATF")
        refresh(world, source, tmp_path)
        assert (source.current().version, source.refused) == (first.version + 1, None)

    def test_a_new_date_is_no_new_version(self, world: World, tmp_path: Path) -> None:
        clock = Hand()
        source = following(world, tmp_path, clock)
        first = source.current()
        world.now_ms, world.expires_at_ms = NOW_MS + DAY_MS, world.expires_at_ms + 5 * DAY_MS
        refresh(world, source, tmp_path)
        assert isinstance(source.refused, d.DirectoryNotYetValid)
        clock.ms += DAY_MS
        source.refresh()
        assert source.current() == first
        assert source.current().expires_at_ms == first.expires_at_ms + 5 * DAY_MS

    def test_expired_and_dated_again(self, world: World, tmp_path: Path) -> None:
        clock = Hand()
        source = following(world, tmp_path, clock)
        clock.ms = world.now_ms = world.expires_at_ms
        with pytest.raises(d.DirectoryExpired):
            source.current()
        again = following(world, tmp_path, clock)  # at a start too
        with pytest.raises(d.DirectoryExpired):
            again.current()
        world.expires_at_ms += 10 * DAY_MS
        refresh(world, source, tmp_path)
        assert source.current().version == 1

    def test_missing(self, world: World, tmp_path: Path) -> None:
        world.publish()
        source = TufDirectory(
            open_files(tmp_path / "none"), root=world.root_bytes(), folder=tmp_path / "state", clock=Hand()
        )
        with pytest.raises(DirectoryMissing):
            source.current()
        source.refresh()
        with pytest.raises(DirectoryMissing):
            source.current()

    def test_what_holds_stays_while_the_file_is_gone(self, world: World, tmp_path: Path) -> None:
        source = following(world, tmp_path)
        first = source.current()
        (tmp_path / "directory.json").unlink()
        source.refresh()
        assert source.current() is first
        assert isinstance(source.refused, DirectoryMissing)

    def test_rollback_after_a_restart(self, world: World, tmp_path: Path) -> None:
        world.publish()
        old = encode_bundle(world.repository.files)
        world.suspend("ATF")
        world.publish()
        following(world, tmp_path)
        (tmp_path / "directory.json").write_bytes(old)
        again = TufDirectory(
            open_files(tmp_path / "directory.json"), root=world.root_bytes(), folder=tmp_path / "state", clock=Hand()
        )
        again.refresh()
        with pytest.raises(DirectoryRefused) as caught:
            again.current()
        assert caught.value.details["reason"] == "directory.rolled_back"

    def test_two_directories_of_one_version(self, world: World, tmp_path: Path) -> None:
        source = following(world, tmp_path)
        snapshot = Metadata[Snapshot].from_bytes(world.repository.files["metadata/1.snapshot.json"]).signed
        snapshot.unrecognized_fields["other"] = 1
        (tmp_path / "directory.json").write_bytes(
            encode_bundle(redated(world, world.repository.files, snapshot=snapshot))
        )
        source.refresh()
        assert isinstance(source.refused, d.DirectoryEquivocation)
        assert source.current().version == 1

    @pytest.mark.parametrize("raw", [b"", b"{}", b'{"kind":"cgi-hub/v1/directory-seen","version":0}'])
    def test_a_damaged_memory_is_not_taken_for_none(self, world: World, tmp_path: Path, raw: bytes) -> None:
        following(world, tmp_path)
        (tmp_path / "state" / "seen.json").write_bytes(raw)
        with pytest.raises(DirectoryMemoryInvalid):
            following(world, tmp_path)

    def test_remembered_before_it_is_used(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "state" / "seen.json").mkdir(parents=True)
        (tmp_path / "state" / "seen.json" / "x").touch()
        with pytest.raises(FileUnreadable):
            following(world, tmp_path)

    def test_from_a_folder(self, world: World, tmp_path: Path) -> None:
        world.publish()
        save_repository(world.repository, tmp_path / "repository")
        source = TufDirectory(
            open_files(tmp_path / "repository"), root=world.root_bytes(), folder=tmp_path / "state", clock=Hand()
        )
        source.refresh()
        assert source.current().version == 1


class TestFiles:
    def test_no_path_leads_out(self, tmp_path: Path) -> None:
        files = FolderFiles(tmp_path)
        for path in ("../x", "metadata/../../x", "/etc/passwd", "metadata/.hidden", "metadata/", "staged/x", "x"):
            with pytest.raises(DirectoryBundleMalformed):
                files.read(path)

    @pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"kind":"cgi-hub/v1/directory-bundle","files":{"../x":""}}'])
    def test_not_a_bundle(self, raw: bytes) -> None:
        with pytest.raises(DirectoryBundleMalformed):
            parse_bundle(raw)

    def test_what_names_others_comes_after_them(self, world: World, tmp_path: Path) -> None:
        world.publish()
        save_repository(world.repository, tmp_path)
        paths = list(FolderFiles(tmp_path).paths())
        assert paths[-2:] == ["metadata/1.snapshot.json", "metadata/timestamp.json"]
        assert all(path.startswith("targets/") for path in paths[:4])


def _digest(payload: bytes) -> str:
    import hashlib

    return hashlib.sha256(payload).hexdigest()
