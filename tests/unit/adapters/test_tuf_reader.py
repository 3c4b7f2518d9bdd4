"""hub/adapters/tuf_reader.py while time passes and files come and go; what is in the files is in tests/vectors."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from hub.adapters.directory_files import BundleFiles, DirectoryFiles, DirectoryUnreachable
from hub.adapters.files import FileUnreadable
from hub.adapters.tuf_keys import CompositeSigner
from hub.adapters.tuf_metadata import RepositoryInvalid, root_versions
from hub.adapters.tuf_reader import TufDirectory, read_directory
from hub.adapters.tuf_repository import Repository
from hub.adapters.tuf_roles import (
    SignedRole,
    SignedRoleMalformed,
    encode_signed_role,
    parse_signed_role,
    read_agreement,
    read_statement,
    sign_agency_role,
    sign_agreement_role,
)
from hub.errors import HubError
from hub.model import AgencyId
from hub.trust.agreement import AgreementMalformed, encode_agreement, parse_agreement
from hub.trust.directory import DirectoryMalformed
from hub.trust.root import RootInvalid
from hub.trust.statement import StatementMalformed, encode_statement, parse_statement
from tests.support.authority import DAY_MS, NOW_MS, World, kem_key, signing_key
from tests.vectors.directory_forge import AGREED, ATF, JCF, Edit, Forged, base, custodial, rooted, world


@dataclass
class Hand:
    """A clock that is moved by hand."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


class Failing:
    """Files of which some cannot be read."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files: DirectoryFiles = BundleFiles(files)
        self.broken = ""
        self.error: HubError = DirectoryUnreachable("the web server does not answer")

    def read(self, path: str) -> bytes | None:
        if self.broken and self.broken in path:
            raise self.error
        return self.files.read(path)


def follow(files: DirectoryFiles, folder: Path, clock: Hand | None = None) -> TufDirectory:
    source = TufDirectory(files, root=base()["metadata/1.root.json"], folder=folder, clock=clock or Hand())
    source.refresh()
    return source


class TestFilesThatCannotBeRead:
    @pytest.mark.parametrize("part", [".targets.json", "/agency/ATF/", "agency.JCF.json", AGREED])
    def test_no_fault_of_a_role_and_no_refusal_for_good(self, tmp_path: Path, part: str) -> None:
        files = Failing(base())
        files.broken = part
        source = follow(files, tmp_path)
        assert isinstance(source.refused, DirectoryUnreachable)
        files.broken = ""
        source.refresh()
        assert source.refused is None
        assert source.current().faults == ()

    def test_what_was_read_before_holds(self, tmp_path: Path) -> None:
        files = Failing(base())
        source = follow(files, tmp_path)
        first = source.current()
        files.files = BundleFiles(Forged().role("agency.ATF", lambda said: said.update(remark=1)).done(2))
        files.broken = "agency.ATF"
        source.refresh()
        assert isinstance(source.refused, DirectoryUnreachable)
        assert source.current() is first

    def test_our_own_disk(self, tmp_path: Path) -> None:
        files = Failing(base())
        files.broken, files.error = "agency.ATF", FileUnreadable("cannot read", file=tmp_path)
        with pytest.raises(FileUnreadable):
            follow(files, tmp_path)


class TestTime:
    def test_a_role_that_expires_while_the_directory_is_dated_daily(self, tmp_path: Path) -> None:
        soon = Forged().role("agency.ATF", lambda said: said.update(expires="2026-12-01T00:00:00Z")).done()
        files, clock = Failing(soon), Hand()
        source = follow(files, tmp_path, clock)
        assert source.current().faults == ()
        clock.ms = NOW_MS + 3 * DAY_MS
        files.files = BundleFiles(Forged(soon).dated(lambda stamp: stamp.update(version=2, signed_at_ms=clock.ms)))
        source.refresh()
        assert [(fault.role, fault.code) for fault in source.current().faults] == [("agency.ATF", "role.expired")]


class TestRoot:
    def test_one_that_is_arranged_otherwise_is_refused_and_ends_nothing(self, tmp_path: Path) -> None:
        files = Failing(base())
        source = follow(files, tmp_path)
        first = source.current()
        raw = rooted(lambda root: root["roles"]["targets"].update(threshold=1), version=2)
        dated = Forged({**base(), "metadata/2.root.json": raw}).dated(lambda stamp: stamp.update(version=2))
        files.files = BundleFiles(dated)
        source.refresh()
        assert isinstance(source.refused, RootInvalid)
        assert source.current() is first

    def test_new_custodians_are_compared_with_who_is_listed_before(self, tmp_path: Path) -> None:
        """The snapshot is the one that was taken: only the root is another."""
        files = Failing(base())
        source = follow(files, tmp_path)
        first, second, _ = (signing_key(f"custodian {number}") for number in range(3))
        theirs = signing_key("JCF identity")
        raw = rooted(lambda root: custodial(root, first, second, theirs), version=2, keys=[theirs])
        dated = Forged({**base(), "metadata/2.root.json": raw}).dated(lambda stamp: stamp.update(version=2))
        files.files = BundleFiles(dated)
        source.refresh()
        assert source.refused is not None
        assert source.refused.code == "directory.key_shared"


class TestLimits:
    @pytest.mark.parametrize(
        ("path", "most"),
        [("timestamp", 16_384), ("2.root", 1_000_000), ("1.snapshot", 4_000_000), ("1.targets", 16_000_000)],
    )
    def test_metadata_past_its_limit(self, path: str, most: int) -> None:
        """The operator vouches for it, and does not say how long it is."""
        at = f"metadata/{path}.json"
        files, unsaid = dict(base()), path in ("1.snapshot", "1.targets")
        if path == "2.root":
            files[at] = rooted(version=2)

        def read(length: int) -> None:
            forged = Forged({**files, at: files[at] + b" " * (length - len(files[at]))})
            if path == "1.targets":
                forged.done(snapshot=lambda said: [meta.pop("length") for meta in said["meta"].values()])
            elif path == "1.snapshot":
                forged.dated(lambda said: said["meta"]["snapshot.json"].pop("length"))
            read_directory(BundleFiles(forged.files), root=base()["metadata/1.root.json"], now_ms=NOW_MS)

        if unsaid:
            with pytest.raises(DirectoryMalformed, match="named without its length"):
                read(most)
        else:
            read(most)
        with pytest.raises(DirectoryMalformed, match=r"[Mm]aximum|exceed|not a directory: Downloaded"):
            read(most + 1)

    def test_keys_of_one_kind_in_a_statement(self) -> None:
        form = json.loads(encode_statement(World.of("ATF").statement(ATF)))
        (key,) = form["kem_keys"]
        begin = key["not_before_ms"]
        keys = [
            {**key, "key": _base64(kem_key(f"one of many {n}").public.raw), "not_before_ms": begin + n}
            for n in range(257)
        ]
        assert len(parse_statement(json.dumps({**form, "kem_keys": keys[:256]}).encode()).kem_keys) == 256
        with pytest.raises(StatementMalformed):
            parse_statement(json.dumps({**form, "kem_keys": keys}).encode())
        (key,) = form["signing_keys"]
        keys = [{**key, "key": _base64(signing_key(f"one of many {n}").public.raw)} for n in range(257)]
        assert len(parse_statement(json.dumps({**form, "signing_keys": keys[:256]}).encode()).signing_keys) == 256
        with pytest.raises(StatementMalformed):
            parse_statement(json.dumps({**form, "signing_keys": keys}).encode())

    def test_a_long_agreement(self) -> None:
        world = World.of("ATF", "JCF")
        world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
        raw = encode_agreement(world.documents()[0])
        assert parse_agreement(raw + b" " * (256 * 1024 - len(raw)))
        with pytest.raises(AgreementMalformed, match="too long"):
            parse_agreement(raw + b" " * (256 * 1024 - len(raw) + 1))


class TestTheCustodiansSide:
    """What hub/adapters/tuf_repository.py stages."""

    def world(self) -> World:
        world = World.of("ATF", "JCF")
        world.publish()
        return world

    def test_an_agencys_statement_that_its_identity_did_not_sign(self) -> None:
        world = self.world()
        world.keys[ATF].statement_version = 2
        role = world.signed_role(ATF)
        with pytest.raises(RepositoryInvalid, match="not signed"):
            world.repository.put_agency(ATF, "ATF", world.keys[JCF].identity.public, role)

    def test_a_statement_of_another_agency(self) -> None:
        world = self.world()
        with pytest.raises(RepositoryInvalid, match="another agency or hub"):
            world.repository.put_agency(JCF, "JCF", world.keys[ATF].identity.public, world.signed_role(ATF))

    def test_an_agreement_that_is_called_as_a_root_is(self) -> None:
        world = self.world()
        world.agree("JCF", "ATF", "trace.request", agreement_id="MOU.root")
        world.publish()
        assert world.repository.files.keys() >= {"metadata/1.agreement.MOU.root.json"}
        assert root_versions(["metadata/7.agreement.MOU.root.json", "metadata/12.root.json"]) == [12]
        assert world.repository.published_root() is not None

    def test_a_target_that_is_told_by_another_hash(self) -> None:
        world = self.world()
        role = world.signed_role(ATF)
        metadata = Metadata[Targets].from_bytes(role.metadata)
        target = metadata.signed.targets[role.path]
        target.hashes = type(target).from_data(role.path, role.payload, ["sha512"]).hashes
        metadata.sign(CompositeSigner(world.keys[ATF].identity))
        with pytest.raises(SignedRoleMalformed, match="SHA-256"):
            parse_signed_role(encode_signed_role(SignedRole(role.role, metadata.to_bytes(), role.payload)))

    @pytest.mark.parametrize(("role", "read"), [("agency.ATF", read_statement), (AGREED, read_agreement)])
    def test_a_role_of_another_version_than_its_target(self, role: str, read: Callable[[SignedRole], object]) -> None:
        forged = Forged().json_target(role, lambda said: said.update(version=2))
        with pytest.raises(SignedRoleMalformed, match="or version"):
            read(SignedRole(role, forged.files[forged.name(role)], forged.payload(role)))

    @pytest.mark.parametrize(
        "edit",
        [
            lambda said: said.update(expires="2099-01-01T00:00:00Z"),
            lambda said: said.update(remark="and all the rest"),
            lambda said: said["targets"]["agreement/MOU-1.json"].update(custom={"remark": "and all the rest"}),
        ],
        ids=["expiry", "member", "target"],
    )
    def test_nobody_signs_what_stands_beside_an_agreement(self, edit: Edit) -> None:
        first, second = (world().keys[agency].identity for agency in (ATF, JCF))
        forged = Forged().role(AGREED, edit, by=[first])
        half = SignedRole(AGREED, forged.files[forged.name(AGREED)], forged.payload(AGREED))
        with pytest.raises(SignedRoleMalformed, match="says more than its agreement"):
            sign_agreement_role(read_agreement(half), second, existing=half)

    def test_what_is_of_another_hub(self) -> None:
        world = self.world()
        repository, hub2 = world.repository, AgencyId("HUB2")
        world.keys[ATF].statement_version = 2
        role = sign_agency_role(replace(world.statement(ATF), hub=hub2), world.keys[ATF].identity)
        with pytest.raises(RepositoryInvalid, match="another agency or hub"):
            repository.put_agency(ATF, "ATF", world.keys[ATF].identity.public, role)
        world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
        with pytest.raises(RepositoryInvalid, match="of another hub"):
            repository.put_agreement(world.signed_agreement(replace(world.documents()[0], hub=hub2)))

    def test_an_agreement_under_the_name_of_others(self) -> None:
        world = World.of("ATF", "JCF", "RSS")
        world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
        world.publish()
        world.agreed.clear()
        world.agree("JCF", "RSS", "trace.request", agreement_id="MOU-1")
        document = replace(world.documents()[0], version=2)
        with pytest.raises(RepositoryInvalid, match="has other parties"):
            world.repository.put_agreement(world.signed_agreement(document))

    def test_one_key_signs_for_no_two_parties(self) -> None:
        world = self.world()
        world.keys[JCF].identity = world.keys[ATF].identity
        world.keys[JCF].statement_version = 2
        world.repository.put_agency(JCF, "JCF", world.keys[JCF].identity.public, world.signed_role(JCF))
        world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
        with pytest.raises(RepositoryInvalid, match="not signed by the identity keys"):
            world.repository.put_agreement(world.signed_agreement(world.documents()[0]))

    def test_a_root_that_cannot_be_is_not_staged(self) -> None:
        world = self.world()
        with pytest.raises(RootInvalid):
            world.repository.change_root(now_ms=NOW_MS, threshold=4)
        root = world.root
        with pytest.raises(RootInvalid):
            Repository.create(
                hub=root.hub, custodians=root.custodians, threshold=4, online=list(root.online), now_ms=NOW_MS
            )


def _base64(raw: bytes) -> str:

    return base64.b64encode(raw).decode()
