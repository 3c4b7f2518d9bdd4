"""Files: read whole or not at all, written in one step."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from connectors.toolkit import ProgressFile, files
from connectors.toolkit.errors import ConnectorInvalid, FileTooLarge
from connectors.toolkit.files import FileUnavailable, read_whole, write_durably


def test_a_file_that_changes_while_it_is_read_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    real, calls = os.fstat, []

    def growing(descriptor: int) -> os.stat_result:
        calls.append(descriptor)
        if len(calls) == 2:
            with path.open("ab") as file:
                file.write(b"6")
        return real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fstat", growing)
        with pytest.raises(FileUnavailable, match="still being written"):
            read_whole(path)
    assert read_whole(path) == b"123456"


def test_limits_and_absence(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    with pytest.raises(FileTooLarge, match="split it"):
        read_whole(tmp_path / "x", limit=4)
    with pytest.raises(FileUnavailable):
        read_whole(tmp_path / "y")


def test_writing_replaces_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    write_durably(path, b"old")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(FileUnavailable, match="cannot write"):
            write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"


def test_progress_is_kept_and_damage_is_told(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "deep" / "p.json")
    assert progress.load() == {}
    progress.store({"position": {"next": 3}, "report": None})
    assert ProgressFile(progress.path).load() == {"position": {"next": 3}, "report": None}
    for damage in ("{", "[]"):
        progress.path.write_text(damage)
        with pytest.raises(ConnectorInvalid, match="delete it"):
            progress.load()


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileUnavailable, match="plain file"):
        read_whole(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_whole(tmp_path / "link") == b"1"
    with pytest.raises(FileUnavailable):
        read_whole(tmp_path / "link", follow=False)
