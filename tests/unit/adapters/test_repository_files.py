"""hub/adapters/repository_files.py: a process that dies at any point leaves a repository that can be worked with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub.adapters import directory_files, repository_files
from hub.adapters.directory_files import FolderFiles
from hub.adapters.files import write_file
from hub.adapters.repository_files import RepositoryInUse, alone_in, load_repository, save_repository
from hub.adapters.tuf_publish import publish
from hub.adapters.tuf_reader import TufDirectory, load_directory
from hub.adapters.tuf_repository import Repository
from hub.errors import RejectedError
from hub.model import AgencyId
from tests.support.authority import NOW_MS, World, signing_key

ATF = AgencyId("ATF")


class Fixed:
    """A clock that stands."""

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return NOW_MS / 1000


class Died(BaseException):
    """What a killed process does: nothing more, and no handler runs for it."""


@pytest.fixture
def world() -> World:
    world = World.of("ATF", "JCF")
    world.publish()
    return world


@pytest.fixture
def home(world: World, tmp_path: Path) -> Path:
    save_repository(world.repository, tmp_path / "home")
    (tmp_path / "root.json").write_bytes(world.root_bytes())
    return tmp_path / "home"


class Dying:
    """``write_file`` that dies in the place of its write number ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.died = False
        self._left = most

    def __call__(self, path: Path, raw: bytes) -> None:
        if not self._left:
            self.died = True
            raise Died
        self._left -= 1
        write_file(path, raw)


def deaths(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[tuple[Dying, Path]]:
    """One write after the other at which the next save dies, each in a fresh copy; ends with one that lives."""
    for most in range(40):
        copy = home.with_name(f"copy {most}")
        shutil.copytree(home, copy)
        dying = Dying(most)
        with monkeypatch.context() as patch:
            patch.setattr(repository_files, "write_file", dying)
            patch.setattr(directory_files, "write_file", dying)
            yield dying, copy
        if not dying.died:
            return
    raise AssertionError("saving never ends")


def changed(home: Path) -> Repository:
    """An agency less, and a root: everything that can be staged."""
    repository = load_repository(home)
    repository.change_root(now_ms=NOW_MS, threshold=2)
    repository.remove_agency(ATF)
    return repository


def signed(world: World, repository: Repository) -> Repository:
    for custodian in world.custodians[:2]:
        repository.sign(custodian)
    return repository


class TestDying:
    def test_while_it_is_staged(self, world: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = load_repository(home)
        for dying, copy in deaths(monkeypatch, home):
            staged = changed(copy)
            with suppress(Died):
                save_repository(staged, copy)
            assert load_repository(copy) == (before if dying.died else staged)

    def test_while_it_is_published(self, world: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Readers have the old version or the new one, and the operator publishes again."""
        save_repository(signed(world, changed(home)), home)
        root, versions = home.parent / "root.json", []
        for _, copy in deaths(monkeypatch, home):
            repository = load_repository(copy)
            publish(repository, world.online, now_ms=NOW_MS)
            with suppress(Died):
                save_repository(repository, copy)
            versions.append(load_directory(copy, root, now_ms=NOW_MS).directory.version)
            again = load_repository(copy)
            publish(again, world.online, now_ms=NOW_MS)
            assert ATF not in again.verify_from(world.root_bytes(), NOW_MS).entries
        assert versions == [1] * (len(versions) - 1) + [2]
        assert len(versions) > 4

    def test_between_publishing_and_what_was_staged(self, world: World, home: Path) -> None:
        save_repository(signed(world, changed(home)), home)
        staged = (home / "staged.json").read_bytes()
        repository = load_repository(home)
        publish(repository, world.online, now_ms=NOW_MS)
        save_repository(repository, home)
        assert not (home / "staged.json").exists()
        (home / "staged.json").write_bytes(staged)
        assert load_repository(home) == repository

    def test_what_is_damaged_can_be_taken_back(self, world: World, home: Path) -> None:
        repository = changed(home)
        repository.staged["targets"] = b"{}"
        save_repository(repository, home)
        found = load_repository(home)
        found.discard()
        save_repository(found, home)
        assert not load_repository(home).staged


def test_above_what_a_thief_numbered(world: World, home: Path) -> None:
    """directory 8.4: readers remember the version that a stolen online key made; ours follows it."""
    pinned = (home.parent / "root.json").read_bytes()
    readers = TufDirectory(FolderFiles(home), root=pinned, folder=home.parent / "state", clock=Fixed())
    thief = load_repository(home)
    publish(thief, world.online, now_ms=NOW_MS, above=3_000_000_000)
    save_repository(thief, home)
    readers.refresh()
    assert readers.current().version == 3_000_000_001
    ours, new = world.repository, signing_key("the next online key")
    ours.change_root(now_ms=NOW_MS, online=[new.public])
    signed(world, ours)
    publish(ours, new, now_ms=NOW_MS)
    save_repository(ours, home)
    readers.refresh()
    assert readers.refused is not None
    assert readers.refused.code == "directory.rolled_back"
    done = publish(ours, new, now_ms=NOW_MS, above=3_000_000_001)
    assert sorted(path for path in done.written) == ["metadata/3000000002.snapshot.json", "metadata/timestamp.json"]
    save_repository(ours, home)
    readers.refresh()
    assert readers.current().version == 3_000_000_002
    publish(ours, new, now_ms=NOW_MS)
    assert sum(path.endswith(".snapshot.json") for path in ours.files) == 2, "the one before stays for who is at it"


@pytest.mark.parametrize("path", ["metadata/timestamp.json", "metadata/1.targets.json"])
def test_a_huge_file_ends_no_process(world: World, home: Path, path: str) -> None:
    with (home / path).open("wb") as file:
        file.truncate(5_000_000_000)
    pinned = (home.parent / "root.json").read_bytes()
    readers = TufDirectory(FolderFiles(home), root=pinned, folder=home.parent / "state", clock=Fixed())
    readers.refresh()
    assert readers.refused is not None
    assert isinstance(readers.refused, RejectedError)


class TestAlone:
    def test_one_at_a_time(self, home: Path) -> None:
        with alone_in(home), pytest.raises(RepositoryInUse), alone_in(home):
            pass
        with alone_in(home):
            pass

    def test_a_file_has_no_lock(self, tmp_path: Path) -> None:
        with alone_in(tmp_path / "request.json"), alone_in(tmp_path / "request.json"):
            pass
