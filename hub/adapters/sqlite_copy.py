"""A store's SQLite file beside its owner: copied while it is written to, and taken one version back for a rollback."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.adapters.file_lock import FileLock
from hub.client.store import StoreCorrupt, StoreForeign, StoreUnavailable
from hub.errors import ConfigError
from hub.model import AgencyId


class StoreNotReversible(ConfigError):
    """The store cannot be taken back: no version before it is known, or it holds what that one has no place for."""

    code = "store.not_reversible"


@dataclass(frozen=True, slots=True)
class StepBack:
    """How a store of one version becomes one of the version before: which tables must be empty, and what is done."""

    empty: tuple[str, ...]
    statements: tuple[str, ...]


STEPS_BACK: Final[dict[tuple[str, int], StepBack]] = {
    # Events that wait unsealed have no place in version 1: the site seals them as soon as it has a valid directory.
    ("outbox", 2): StepBack(empty=("waiting",), statements=("DROP TABLE waiting", "DROP TABLE refused")),
    # Version 1 reads a refused record again by its own clock, not by the broker's time of it.
    ("inbox", 2): StepBack(empty=(), statements=("ALTER TABLE rejected DROP COLUMN appended_ms",)),
}
"""By kind and the version that the file has. A new version of a store brings its step back with it (docs/adr/0110)."""


def copy_store(source: Path, target: Path, *, kind: str, agency: AgencyId) -> None:
    """Copy the store as it is at one moment into the new file ``target``, mode 0600, durably; its owner may write.

    Raises ``StoreForeign``, ``StoreCorrupt`` (the source, or the copy, is damaged), ``StoreUnavailable``.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with _errors(source), closing(_connect(source, "ro")) as read, closing(_connect(target, "rw")) as copy:
        _identify(read, source, kind, agency)
        read.backup(copy)  # all pages in one read transaction: SQLite, "Online Backup API"
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        if (found := copy.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise StoreCorrupt("the store is damaged, and so is its copy", path=str(source), error=found)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def step_back(path: Path, *, kind: str, agency: AgencyId) -> tuple[int, int]:
    """Make the store one of the version before its own, in one transaction; gives the two versions.

    Raises :class:`StoreNotReversible`, ``StoreInUse`` (its owner runs), ``StoreForeign``, ``StoreCorrupt``,
    ``StoreUnavailable``; the store stays as it was then.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    lock.acquire()
    try:
        with _errors(path), closing(_connect(path, "rw")) as db:
            version = _identify(db, path, kind, agency)
            step = STEPS_BACK.get((kind, version))
            if step is None:
                raise StoreNotReversible("no version before this one is known", path=str(path), version=version)
            db.execute("BEGIN IMMEDIATE")
            for table in step.empty:
                if (rows := db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) > 0:  # noqa: S608 - own names
                    raise StoreNotReversible(
                        f"{rows} rows stand in {table}, unknown to the version before: let the site work first",
                        path=str(path),
                        version=version,
                    )
            for statement in step.statements:
                db.execute(statement)
            db.execute("UPDATE identity SET value = ? WHERE name = 'version'", (str(version - 1),))
            db.execute("COMMIT")  # what is raised before closes the connection, and so rolls back
    finally:
        lock.release()
    return version, version - 1


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30.0)


def _identify(db: sqlite3.Connection, path: Path, kind: str, agency: AgencyId) -> int:
    """The version of the store, which must be of this kind and agency. Raises ``StoreForeign``."""
    if db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'identity'").fetchone()[0] == 0:
        raise StoreForeign("the file is a database of something else", path=str(path))
    found = dict(db.execute("SELECT name, value FROM identity"))
    for name, wanted in (("kind", kind), ("agency", agency)):
        if found.get(name) != wanted:
            raise StoreForeign(
                f"the store's {name} is not the one that is configured",
                path=str(path),
                found=found.get(name),
                wanted=wanted,
            )
    return int(found["version"])


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreUnavailable("the store cannot be read now", path=str(path), error=str(error)) from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt("the store is damaged or not a store", path=str(path), error=str(error)) from error
