"""A SQLite file that one process owns: lock, WAL, schema, whose it is, and SQLite's errors as the hub's.

Used from one thread. ``synchronous=FULL``: a commit is on the disk when it returns (SQLite, "PRAGMA synchronous").
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hub.adapters.file_lock import FileLock
from hub.client.store import StoreCorrupt, StoreForeign, StoreForked, StoreFull, StoreUnavailable
from hub.errors import InvariantError
from hub.model import AgencyId

_WAL_BYTES: Final = 64 * 1024 * 1024
"""The write-ahead log is cut back to this after a checkpoint."""

_CHECKPOINT_PAGES: Final = 4_000
_CACHE_KIB: Final = 32 * 1024
"""Sources' keys are digests, so a flush touches pages all over their tree. Kept at hand, and written back once for many
flushes, they cost a third less: with 100,000 keys 24 us of CPU an event instead of 32, 38 ms a flush instead of 58.
"""

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class SqliteFile:
    """``kind`` (``outbox``, ``inbox``), ``version`` and ``agency`` go into a new file and are checked in an old one.

    ``schema`` makes the tables of a new file; ``upgrades[n]`` are the statements that make version n + 1 of version n.
    ``max_bytes`` bounds the file (None: the disk does).
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: str,
        version: int,
        agency: AgencyId,
        schema: str,
        upgrades: Mapping[int, str] | None = None,
        max_bytes: int | None = None,
    ) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._identity = {"kind": kind, "version": str(version), "agency": agency}
        self._schema = schema
        self._version = version
        self._upgrades = dict(upgrades or {})
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    def open(self) -> None:
        """Lock, open or make it. Raises ``StoreInUse``, ``StoreForeign``, ``StoreCorrupt``, ``StoreUnavailable``."""
        if self._connection is not None:
            raise InvariantError("the store is open already", path=str(self._path))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable("cannot make the folder", path=str(self._path.parent), error=str(error)) from error
        self._lock.acquire()
        try:
            self._pid = os.getpid()
            with self._errors():
                self._connect()
            self._check_identity()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close and unlock. A forked child only lets go of its copy."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            connection.close()
        self._lock.release()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection (autocommit). Raises ``StoreForked`` in a forked child."""
        if self._connection is None:
            raise InvariantError("the store is not open", path=str(self._path))
        if self._pid != os.getpid():
            # SQLite, "How to corrupt", 2.6: a connection carried across fork() damages the file.
            raise StoreForked("this process was forked after the store was opened", path=str(self._path))
        return self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, with SQLite's errors translated."""
        connection = self.connection
        with self._errors():
            yield connection

    @contextmanager
    def transaction(self, *, secure_delete: bool = False) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK when anything is raised. Durable when it is left.

        ``secure_delete``: what is deleted or moved in it is overwritten with zeros (SQLite, "PRAGMA secure_delete").
        """
        connection = self.connection
        with self._errors():
            connection.execute(f"PRAGMA secure_delete={'ON' if secure_delete else 'OFF'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def truncate_log(self) -> bool:
        """Write the write-ahead log back and cut it to nothing; False where a reader holds it now: try again."""
        with self.reading() as connection:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    @contextmanager
    def unsynced_transaction(self) -> Iterator[sqlite3.Connection]:
        """The same without waiting for the disk: atomic, ordered, and perhaps undone by a power cut."""
        self.connection.execute("PRAGMA synchronous=NORMAL")
        try:
            with self.transaction() as connection:
                yield connection
        finally:
            self.connection.execute("PRAGMA synchronous=FULL")

    def _connect(self) -> None:
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0, check_same_thread=True)
        self._connection = connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        if self._max_bytes is not None:
            page = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={max(1, self._max_bytes // page)}")
        with self.transaction():
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
                _execute_all(connection, self._schema)
                connection.execute("CREATE TABLE identity (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
                connection.executemany("INSERT INTO identity VALUES (?, ?)", self._identity.items())
            else:
                self._upgrade(connection)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """An older file of the same kind and agency becomes one of today. Whatever else it is stays as it is."""
        if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'identity'").fetchone()[0] == 0:
            return
        found = dict(connection.execute("SELECT name, value FROM identity"))
        if any(found.get(name) != self._identity[name] for name in ("kind", "agency")):
            return
        version = int(found["version"]) if found.get("version", "").isdecimal() else self._version
        while version < self._version and version in self._upgrades:
            _execute_all(connection, self._upgrades[version])
            version += 1
            connection.execute("UPDATE identity SET value = ? WHERE name = 'version'", (str(version),))

    def _check_identity(self, *, or_older: bool = False) -> None:
        with self.reading() as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
            if "identity" not in tables:
                raise StoreForeign("the file is a database of something else", path=str(self._path))
            found = dict(connection.execute("SELECT name, value FROM identity"))
        older = {str(version) for version in range(1, self._version)} if or_older else ()
        for name, wanted in self._identity.items():
            if found.get(name) != wanted and not (name == "version" and found.get(name) in older):
                raise StoreForeign(
                    "another version of cgi-hub wrote the store: go on with that one, or see docs/guides/upgrade.md"
                    if name == "version"
                    else f"the store's {name} is not the one that is configured; each agency has its own state folder",
                    path=str(self._path),
                    found=found.get(name),
                    wanted=wanted,
                )

    def open_to_read(self) -> None:
        """Look into it beside its owner: no lock, nothing is made or changed. Raises as :meth:`open` does.

        A file of an older version is taken too: its owner will make it one of today.
        """
        self._pid = os.getpid()
        try:
            with self._errors():
                self._connection = sqlite3.connect(
                    f"{self._path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0
                )
            self._check_identity(or_older=True)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary result code
            facts = {"path": str(self._path), "error": str(error)}
            if code == sqlite3.SQLITE_FULL:
                raise StoreFull("no space left for the store", **facts) from error
            if code in _DAMAGED:
                raise StoreCorrupt("the store is damaged or not a store", **facts) from error
            if isinstance(error, sqlite3.OperationalError):
                raise StoreUnavailable("the store cannot be used now", **facts) from error
            raise InvariantError("the store refused a statement", **facts) from error


def _execute_all(connection: sqlite3.Connection, statements: str) -> None:
    """One a time: ``executescript()`` would commit first."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


def reader(path: Path, *, kind: str, version: int, agency: AgencyId) -> SqliteFile:
    """The file as it is now, open to read alone. Raises ``StoreForeign``, ``StoreCorrupt``, ``StoreUnavailable``."""
    file = SqliteFile(path, kind=kind, version=version, agency=agency, schema="")
    file.open_to_read()
    return file
