"""A directory's repository on disk: a folder, or one file that is carried between custodians (a *proposal*).

docs/spec/directory.md, section 9. A process that dies anywhere in :func:`save_repository` leaves a repository that can
be worked with: the timestamp, which makes a version the current one, is written after all that it vouches for, and what
is staged is one file, replaced at once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hub.adapters.directory_files import MAX_BUNDLE, FolderFiles, encode_bundle, in_order, parse_bundle
from hub.adapters.files import FileUnreadable, read_file, sync_folder, write_file
from hub.adapters.tuf_repository import Repository
from hub.errors import UnavailableError

_STAGED: Final = "staged/"
_STAGED_FILE: Final = "staged.json"


class RepositoryInUse(UnavailableError):
    """Another command works in the repository: it would write over what this one does."""

    code = "repository.in_use"


@contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """From loading to saving nobody else changes the folder; a lock on the folder itself, which ends with its process.

    Raises :class:`RepositoryInUse`, ``FileUnreadable``. A file that is carried has one holder, and no lock.
    """
    if not path.is_dir():
        yield
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FileUnreadable(f"cannot use the repository: {error.strerror}", file=path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RepositoryInUse("another command works in this repository, or asks there", file=path) from error
        yield
    finally:
        os.close(descriptor)


def load_repository(path: Path) -> Repository:
    """The repository in a folder, or in one file. Raises ``FileUnreadable``, ``DirectoryBundleMalformed``."""
    if path.is_dir():
        folder = FolderFiles(path)
        found = {name: raw for name in folder.paths() if (raw := folder.read(name)) is not None}
        staged = path / _STAGED_FILE
        repository = Repository(found, _staged(_read_bundle(staged)) if staged.exists() else {})
        repository.drop_published()  # of a process that died between publishing and this
        return repository
    files = _read_bundle(path)
    return Repository({name: raw for name, raw in files.items() if not name.startswith(_STAGED)}, _staged(files))


def _read_bundle(path: Path) -> dict[str, bytes]:
    return parse_bundle(read_file(path, MAX_BUNDLE), staged=True).files


def _staged(files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        name.removeprefix(_STAGED).removesuffix(".json"): raw for name, raw in files.items() if name.startswith(_STAGED)
    }


def save_repository(repository: Repository, path: Path) -> None:
    """Write it to a folder (what is published first, its timestamp last, then what is staged) or to one file.

    A path that ends in ``.json`` is a file. Raises ``FileUnreadable``.
    """
    staged = {f"{_STAGED}{name}.json": raw for name, raw in repository.staged.items()}
    if path.suffix == ".json":
        write_file(path, encode_bundle({**repository.files, **staged}))
        return
    folder = FolderFiles(path)
    for name in in_order(repository.files):
        if folder.read(name) != repository.files[name]:
            folder.write(name, repository.files[name])
    try:
        path.mkdir(parents=True, exist_ok=True)
        if staged:
            write_file(path / _STAGED_FILE, encode_bundle(staged))
        elif (path / _STAGED_FILE).exists():
            (path / _STAGED_FILE).unlink()
            sync_folder(path)
        for name in set(folder.paths()) - repository.files.keys():
            folder.remove(name)
    except OSError as error:
        raise FileUnreadable(f"cannot write the repository: {error.strerror}", file=path) from error
