"""The locks: every package with a version and hashes, and no address of an index anywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def packages(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", lock.read_text("utf-8"), re.MULTILINE))


def test_there_are_four() -> None:
    assert [lock.stem for lock in LOCKS] == ["bootstrap", "build", "dev", "runtime"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_each_package_has_a_version_and_hashes_and_nothing_else_stands_there(lock: Path) -> None:
    logical = lock.read_text("utf-8").replace("\\\n", " ").splitlines()
    lines = [line for line in logical if line.strip() and not line.strip().startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9._-]+==[^ ;]+( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), line[:80]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_no_address_and_no_path(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert not re.search(r"://|find-links|index-url|extra-index|trusted-host|(?<![\w-])/[a-z]", text)


def test_the_locks_agree() -> None:
    bootstrap, build, dev, runtime = map(packages, LOCKS)
    assert bootstrap.items() <= dev.items()
    assert build.items() <= dev.items()
    assert runtime.items() <= dev.items()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    runtime, dev = packages(ROOT / "requirements/runtime.txt"), packages(ROOT / "requirements/dev.txt")
    for wanted, lock in (
        (project["project"]["dependencies"], runtime),
        (project["dependency-groups"]["dev"], dev),
        (project["build-system"]["requires"], dev),
    ):
        for line in wanted:
            name = re.split(r"[<>=!~\[; ]", line)[0].lower().replace("_", "-")
            assert name in lock, f"{name} is not in the lock: run `make lock`"
