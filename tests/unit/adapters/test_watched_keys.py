"""hub/adapters/watched_keys.py: keys come and go while a process runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hub.adapters.files import FileUnreadable
from hub.adapters.key_files import KeyFileInvalid, write_key
from hub.adapters.watched_keys import WatchedKemKeys
from hub.trust.keys import KeyUse
from tests.support.authority import kem_key

ONE, TWO = kem_key("ATF"), kem_key("ATF 2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kem"
    made.mkdir()
    write_key(made / "one.key", KeyUse.KEM, ONE.seed)
    return made


def held(keys: WatchedKemKeys) -> list[bytes]:
    return [key.public.kem_id for key in keys()]


def test_an_unchanged_folder_is_not_read_again(folder: Path) -> None:
    keys = WatchedKemKeys(folder)
    assert keys() is keys()
    assert held(keys) == [ONE.public.kem_id]


def test_a_key_that_is_added_is_there_and_one_that_is_destroyed_is_not(folder: Path) -> None:
    keys = WatchedKemKeys(folder)
    kept = keys()[0]
    write_key(folder / "two.key", KeyUse.KEM, TWO.seed)
    assert held(keys) == [ONE.public.kem_id, TWO.public.kem_id]
    assert keys()[0] is kept, "to read an encrypted key again takes a second"
    (folder / "one.key").unlink()
    assert held(keys) == [TWO.public.kem_id]
    (folder / "two.key").unlink()
    assert held(keys) == []


def test_a_key_that_is_replaced_under_its_name(folder: Path) -> None:
    keys = WatchedKemKeys(folder)
    write_key(folder / "new", KeyUse.KEM, TWO.seed)
    os.replace(folder / "new", folder / "one.key")
    assert held(keys) == [TWO.public.kem_id]


def test_a_file_that_is_no_key_yet_stops_no_other(folder: Path) -> None:
    keys = WatchedKemKeys(folder)
    write_key(folder.parent / "two.key", KeyUse.KEM, TWO.seed)
    whole = (folder.parent / "two.key").read_bytes()
    half = folder / "two.key"
    half.write_bytes(whole[:40])
    half.chmod(0o600)
    assert held(keys) == [ONE.public.kem_id]
    half.write_bytes(whole)
    assert held(keys) == [ONE.public.kem_id, TWO.public.kem_id]
    half.chmod(0o644)
    half.write_bytes(whole + b" ")  # others can read it now, and it was written anew
    assert held(keys) == [ONE.public.kem_id]


def test_at_the_start_everything_must_be_right(folder: Path) -> None:
    (folder / "two.key").write_bytes(b"")
    (folder / "two.key").chmod(0o600)
    with pytest.raises(KeyFileInvalid):
        WatchedKemKeys(folder)
    with pytest.raises(FileUnreadable):
        WatchedKemKeys(folder / "none")
