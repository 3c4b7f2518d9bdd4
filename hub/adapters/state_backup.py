"""A copy of a site's state folder, made while the site runs, and a state folder made of such a copy.

What is in it, and what is lost by an old one: docs/guides/backup.md. The order of copying matters: first the sources'
positions, then the outbox, then the inbox, so that a copied position never runs ahead of the copied outbox (what a
position that is behind gives again, the outbox's source keys know; docs/adr/0051).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.adapters.files import FileUnreadable, read_file, write_file
from hub.adapters.sqlite_copy import copy_store
from hub.errors import ConfigError
from hub.model import AgencyId
from hub.trust.signed_json import Strict, encode_json, first_fault, read_strict_json

MANIFEST: Final = "backup.json"
RESTORED: Final = "restored.json"
STORES: Final = ("outbox", "inbox")
"""The SQLite files of a state folder, in the order in which they are copied, after everything else."""

_OF_THE_MOMENT: Final = (".lock", ".address", ".partial", ".tmp", "-wal", "-shm", "-journal")
_OF_THE_PROCESS: Final = frozenset({"state.json", "stacks.txt", "publish", RESTORED})
_MOST: Final = 4 * 1024**2
"""Bytes of a manifest."""


class BackupExists(ConfigError):
    """The backup's folder is there already: a backup is never written over another one."""

    code = "backup.exists"


class BackupInvalid(ConfigError):
    """The folder is no backup, is damaged, or is another agency's."""

    code = "backup.invalid"


class StateExists(ConfigError):
    """There is a state already where one is to be restored: it may be newer, and is never written over."""

    code = "backup.state_exists"


class _FileForm(Strict):
    sha256: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[StrictInt, Field(ge=0)]


class _ManifestForm(Strict):
    kind: Literal["cgi-hub/v1/backup"]
    agency: StrictStr
    made_at_ms: Annotated[StrictInt, Field(ge=0)]
    version: StrictStr
    files: dict[StrictStr, _FileForm]


class _RestoredForm(Strict):
    kind: Literal["cgi-hub/v1/restored"]
    made_at_ms: Annotated[StrictInt, Field(ge=0)]
    restored_at_ms: Annotated[StrictInt, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup's folder holds. ``files`` are paths within it, with their length."""

    folder: Path
    agency: AgencyId
    made_at_ms: int
    version: str
    files: dict[str, int]


def back_up(state: Path, destination: Path, *, agency: AgencyId, now_ms: int) -> Backup:
    """Copy the state folder into the new folder ``destination``, durably; the site may be running.

    Raises :class:`BackupExists`, ``FileUnreadable`` (no state there), and what copying a store raises
    (``StoreForeign``, ``StoreCorrupt``, ``StoreUnavailable``). Where anything is raised there is no ``destination``.
    """
    if destination.exists():
        raise BackupExists("there is something of that name already", path=destination)
    if not state.is_dir():
        raise FileUnreadable("there is no state folder to back up", file=state)
    partial = destination.with_name(f"{destination.name}.{os.getpid()}.partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        files = dict(_copied(state, partial, agency))
        form = {
            "kind": "cgi-hub/v1/backup",
            "agency": agency,
            "made_at_ms": now_ms,
            "version": version("cgi-hub"),
            "files": files,
        }
        write_file(partial / MANIFEST, encode_json(form) + b"\n")
        (partial / MANIFEST).chmod(0o600)
        _sync_folders(partial)
        partial.rename(destination)
    except OSError as error:
        raise FileUnreadable(f"the state cannot be copied: {error.strerror}", file=error.filename) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return read_backup(destination, agency=agency)


def read_backup(folder: Path, *, agency: AgencyId) -> Backup:
    """The backup in ``folder``, with every file's hash checked. Raises :class:`BackupInvalid`, ``FileUnreadable``."""
    try:
        form = _ManifestForm.model_validate(read_strict_json(read_file(folder / MANIFEST, _MOST)))
    except ValidationError as error:
        raise BackupInvalid(f"not a backup's manifest: {first_fault(error)}", folder=folder) from error
    except ValueError as error:
        raise BackupInvalid(f"not a backup's manifest: {error}", folder=folder) from error
    if form.agency != agency:
        raise BackupInvalid("it is another agency's", folder=folder, found=form.agency, wanted=agency)
    for name, wanted in form.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BackupInvalid("a name leads out of the backup", folder=folder, file=name)
        if not path.is_file() or _facts(path) != wanted.model_dump():
            raise BackupInvalid("a file is missing or not what was backed up", folder=folder, file=name)
    sizes = {name: facts.bytes for name, facts in form.files.items()}
    return Backup(folder, agency, form.made_at_ms, form.version, sizes)


def restore(backup: Backup, state: Path, *, now_ms: int) -> None:
    """Make ``state`` of ``backup``, durably and at once, with the mark in it that :func:`restored_group` reads.

    Raises :class:`StateExists` where the folder has anything but lock files, ``FileUnreadable``.
    """
    left = sorted(state.iterdir()) if state.is_dir() else []
    found = [path.name for path in left if path.suffix != ".lock"]
    if found:
        raise StateExists("there is a state already: move it away first", path=state, found=found[0])
    partial = state.with_name(f"{state.name}.{os.getpid()}.partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        for name in backup.files:
            _make_folders(partial, name)
            _copy(backup.folder / name, partial / name)
        form = {"kind": "cgi-hub/v1/restored", "made_at_ms": backup.made_at_ms, "restored_at_ms": now_ms}
        write_file(partial / RESTORED, encode_json(form) + b"\n")
        _sync_folders(partial)
        for path in left:
            path.unlink()
        partial.rename(state)  # over an empty folder too
    except OSError as error:
        raise FileUnreadable(f"the state cannot be restored: {error.strerror}", file=error.filename) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def restored_group(group: str, state: Path) -> str:
    """The consumer group to read with: ``group``, or a new one beside it where the state was restored.

    The old group's offsets say what the lost state had, not what the restored one has: with a new group everything that
    Kafka keeps is read again, and what the inbox knows is dropped. Raises :class:`BackupInvalid`, ``FileUnreadable``.
    """
    path = state / RESTORED
    if not path.exists():
        return group
    try:
        form = _RestoredForm.model_validate(read_strict_json(read_file(path, _MOST)))
    except (ValidationError, ValueError) as error:
        raise BackupInvalid("the mark of a restored state is damaged", file=path) from error
    moment = datetime.fromtimestamp(form.restored_at_ms / 1000, UTC)
    return f"{group}.restored-{moment:%Y%m%dt%H%M%S}"


def _copied(state: Path, folder: Path, agency: AgencyId) -> Iterator[tuple[str, dict[str, object]]]:
    """Copy everything, and give each file's name and facts."""
    stores = {f"{kind}.sqlite": kind for kind in STORES}
    for path in sorted(state.rglob("*")):
        name = path.relative_to(state)
        if name.parts[0] in _OF_THE_PROCESS or path.name.endswith(_OF_THE_MOMENT) or str(name) in stores:
            continue
        if path.is_symlink() or not path.is_file():
            continue
        _make_folders(folder, str(name))
        try:
            _copy(path, folder / name)
        except FileNotFoundError:
            continue  # replaced or removed under our eyes: what came in its place is of a later moment
        yield str(name), _facts(folder / name)
    for file, kind in stores.items():
        if (state / file).exists():
            copy_store(state / file, folder / file, kind=kind, agency=agency)
            yield file, _facts(folder / file)


def _make_folders(folder: Path, name: str) -> None:
    """The folders of the file ``name`` below ``folder``, each the owner's alone."""
    for part in reversed(Path(name).parents[:-1]):
        (folder / part).mkdir(mode=0o700, exist_ok=True)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to:
        shutil.copyfileobj(read, to, 1024 * 1024)
        to.flush()
        os.fsync(to.fileno())


def _facts(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def _sync_folders(folder: Path) -> None:
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir()), folder.parent]:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
