"""hub/adapters/files.py: who may read a key, and what FileDirectory takes, keeps and refuses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.adapters import files as f
from hub.errors import UnavailableError
from hub.model import AgencyId
from hub.trust import directory as d
from hub.trust.snapshot import encode_root
from hub.trust.statement import verify_statement
from tests.support.authority import DAY_MS, NOW_MS, World, sign_snapshot


@dataclass
class Hand:
    """A clock that is moved by hand."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


def test_statement_and_root_files(tmp_path: Path) -> None:
    world = World.of("ATF")
    signed = world.drafts()[1].statement
    f.write_statement(tmp_path / "ATF.json", signed)
    assert f.load_statement(tmp_path / "ATF.json") == signed
    agency = world.drafts()[1].agency_id
    assert verify_statement(signed, identity=world.keys[agency].identity.public, hub=world.root.hub, agency=agency)
    f.write_file(tmp_path / "root.json", encode_root(world.root))
    assert f.load_root(tmp_path / "root.json") == world.root


class TestFileDirectory:
    @pytest.fixture
    def world(self) -> World:
        return World.of("ATF", "JCF")

    @pytest.fixture
    def clock(self) -> Hand:
        return Hand()

    @pytest.fixture
    def path(self, tmp_path: Path, world: World) -> Path:
        path = tmp_path / "directory.json"
        path.write_bytes(world.snapshot())
        return path

    def source(self, path: Path, world: World, clock: Hand) -> f.FileDirectory:
        return f.FileDirectory(path, root=world.root, memory=path.parent / "directory-seen.json", clock=clock)

    def test_the_same_object_until_the_file_changes(self, path: Path, world: World, clock: Hand) -> None:
        source = self.source(path, world, clock)
        first = source.current()
        assert source.current() is first
        world.agree("JCF", "ATF", "trace.request")
        path.write_bytes(world.snapshot())
        assert source.current().version == first.version + 1
        assert source.refused is None

    def test_the_same_directory_written_again_is_the_same_object(self, path: Path, world: World, clock: Hand) -> None:
        source = self.source(path, world, clock)
        first = source.current()
        path.write_bytes(sign_snapshot(world.payload(), world.custodians))
        assert source.current() is first

    def test_expired(self, path: Path, world: World, clock: Hand) -> None:
        source = self.source(path, world, clock)
        assert source.current()
        clock.ms = world.expires_at_ms
        with pytest.raises(UnavailableError) as caught:
            source.current()
        assert caught.value.code == "directory.expired"
        with pytest.raises(UnavailableError) as caught:  # at a start too
            self.source(path, world, clock).current()
        assert caught.value.code == "directory.expired"
        world.version += 1
        world.now_ms, world.expires_at_ms = clock.ms, clock.ms + DAY_MS
        path.write_bytes(world.snapshot())
        assert source.current().version == world.version

    def test_from_the_future_is_looked_at_again(self, path: Path, world: World, clock: Hand) -> None:
        clock.ms = NOW_MS - DAY_MS
        source = self.source(path, world, clock)
        with pytest.raises(d.DirectoryNotYetValid):
            source.current()
        clock.ms = NOW_MS
        assert source.current().version == world.version

    def test_missing(self, path: Path, world: World, clock: Hand) -> None:
        path.unlink()
        source = self.source(path, world, clock)
        with pytest.raises(f.DirectoryMissing):
            source.current()
        path.write_bytes(world.snapshot())
        first = source.current()
        path.unlink()
        assert source.current() is first  # it still holds
        assert isinstance(source.refused, f.DirectoryMissing)

    def test_a_rollback_does_not_replace_what_holds(self, path: Path, world: World, clock: Hand) -> None:
        old = path.read_bytes()
        world.suspend("ATF")
        path.write_bytes(world.snapshot())
        source = self.source(path, world, clock)
        newer = source.current()
        path.write_bytes(old)
        assert source.current() is newer
        assert isinstance(source.refused, d.DirectoryRolledBack)

    def test_a_rollback_is_refused_after_a_restart(self, path: Path, world: World, clock: Hand) -> None:
        old = path.read_bytes()
        world.suspend("ATF")
        path.write_bytes(world.snapshot())
        assert self.source(path, world, clock).current()
        path.write_bytes(old)
        with pytest.raises(f.DirectoryRefused) as caught:
            self.source(path, world, clock).current()
        assert caught.value.details["reason"] == "directory.rolled_back"

    def test_two_directories_of_one_version_are_refused_after_a_restart(
        self, path: Path, world: World, clock: Hand
    ) -> None:
        assert self.source(path, world, clock).current()
        world.suspend("ATF")
        world.version -= 1
        path.write_bytes(world.snapshot())
        with pytest.raises(f.DirectoryRefused) as caught:
            self.source(path, world, clock).current()
        assert caught.value.details["reason"] == "directory.equivocation"

    def test_an_older_statement_is_refused_after_a_restart(self, path: Path, world: World, clock: Hand) -> None:
        world.rotate_kem_key("ATF")
        path.write_bytes(world.snapshot())
        assert self.source(path, world, clock).current()
        keys = world.keys[world.drafts()[1].agency_id]
        keys.statement_version -= 1
        world.version += 1
        path.write_bytes(world.snapshot())
        with pytest.raises(f.DirectoryRefused) as caught:
            self.source(path, world, clock).current()
        assert caught.value.details["reason"] == "directory.rolled_back"

    def test_an_older_statement_of_an_agency_that_was_away(self, path: Path, world: World, clock: Hand) -> None:
        world.rotate_kem_key("ATF")
        path.write_bytes(world.snapshot())
        assert self.source(path, world, clock).current()
        away = world.keys.pop(AgencyId("ATF"))
        world.version += 1
        path.write_bytes(world.snapshot())
        assert self.source(path, world, clock).current()
        world.keys[AgencyId("ATF")] = away
        away.statement_version -= 1
        world.version += 1
        path.write_bytes(world.snapshot())
        with pytest.raises(f.DirectoryRefused) as caught:
            self.source(path, world, clock).current()
        assert caught.value.details["reason"] == "directory.rolled_back"

    @pytest.mark.parametrize(("raw", "reason"), [(b"{}", "directory.malformed"), (b"", "directory.malformed")])
    def test_nonsense(self, path: Path, world: World, clock: Hand, raw: bytes, reason: str) -> None:
        path.write_bytes(raw)
        with pytest.raises(f.DirectoryRefused) as caught:
            self.source(path, world, clock).current()
        assert caught.value.details["reason"] == reason

    def test_too_few_signatures(self, path: Path, world: World, clock: Hand) -> None:
        path.write_bytes(sign_snapshot(world.payload(), world.custodians[:1]))
        with pytest.raises(f.DirectoryRefused) as caught:
            self.source(path, world, clock).current()
        assert caught.value.details["reason"] == "directory.too_few_signatures"

    def test_remembered_before_it_is_used(self, path: Path, world: World, clock: Hand) -> None:
        source = f.FileDirectory(
            path, root=world.root, memory=path.parent / "no such folder" / "seen.json", clock=clock
        )
        for _ in range(2):
            with pytest.raises(f.FileUnreadable):
                source.current()

    @pytest.mark.parametrize("raw", [b"", b"{}", b'{"kind":"cgi-hub/v1/directory-seen","version":0}'])
    def test_a_damaged_memory_is_not_taken_for_none(self, path: Path, world: World, clock: Hand, raw: bytes) -> None:
        (path.parent / "directory-seen.json").write_bytes(raw)
        with pytest.raises(f.DirectoryMemoryInvalid):
            self.source(path, world, clock)
