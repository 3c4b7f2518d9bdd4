"""The outbox in a SQLite file. Port and meaning: hub/client/outbox.py. docs/adr/0030."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from hub.adapters.sqlite_file import SqliteFile, reader
from hub.client.outbox import (
    REFUSED_KEPT,
    Depth,
    LateRefusal,
    OutboxCommit,
    SourceKey,
    StoredRecord,
    WaitingEvent,
)
from hub.model import AgencyId, EventId

_VERSION: Final = 2

# AUTOINCREMENT: a position is never given twice, so a late acknowledgement can never delete a newer record.
_SCHEMA: Final = """
CREATE TABLE records (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL,
    events INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    stored_at_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    value BLOB NOT NULL
) STRICT;
CREATE TABLE sequences (
    recipient TEXT PRIMARY KEY,
    instance BLOB NOT NULL,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE source_keys (
    key BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    event_id BLOB NOT NULL,
    published_at_ms INTEGER NOT NULL,
    correlation_id BLOB NOT NULL,
    handling TEXT NOT NULL,
    recipients TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE salt (value BLOB NOT NULL) STRICT;
"""

_WAITING: Final = """
CREATE TABLE waiting (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL,
    published_at_ms INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    handling TEXT NOT NULL,
    key BLOB,
    content BLOB NOT NULL,
    value BLOB NOT NULL,
    stored_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX waiting_by_key ON waiting (key) WHERE key IS NOT NULL;
CREATE TABLE refused (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL UNIQUE,
    event_type TEXT NOT NULL,
    source_key TEXT NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT
"""

_LOOKUP: Final = 500
"""Keys asked for in one statement; SQLite allows 32,766 parameters."""


class SqliteOutbox:
    """``hub.client.outbox.Outbox`` in the file ``path``, which belongs to ``agency``.

    ``max_file_bytes`` bounds the file, as a full disk would (``StoreFull``); None: only the disk does.
    """

    def __init__(self, path: Path, *, agency: AgencyId, max_file_bytes: int | None = None) -> None:
        self._file = SqliteFile(
            path,
            kind="outbox",
            version=_VERSION,
            agency=agency,
            schema=_SCHEMA + _WAITING,
            upgrades={1: _WAITING},
            max_bytes=max_file_bytes,
        )
        self._salt = b""
        self._records = self._events = self._bytes = 0
        self._waiting = self._waiting_bytes = 0
        self._scrub_due = False

    def open(self) -> None:
        self._file.open()
        try:
            with self._file.transaction() as db:
                if (row := db.execute("SELECT value FROM salt").fetchone()) is None:
                    row = (os.urandom(16),)
                    db.execute("INSERT INTO salt VALUES (?)", row)
                self._salt = row[0]
                self._records, self._events, self._bytes = db.execute(
                    "SELECT count(*), coalesce(sum(events), 0), coalesce(sum(size), 0) FROM records"
                ).fetchone()
                self._waiting, self._waiting_bytes = db.execute(_COUNT_WAITING).fetchone()
            self._scrub_due = True  # whatever the last process left
            self._scrub()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def salt(self) -> bytes:
        return self._salt

    def sequences(self) -> Mapping[AgencyId, tuple[bytes, int]]:
        with self._file.reading() as db:
            rows = db.execute("SELECT recipient, instance, number FROM sequences").fetchall()
        return {AgencyId(recipient): (instance, number) for recipient, instance, number in rows}

    def find_keys(self, keys: Collection[bytes]) -> Mapping[bytes, SourceKey]:
        wanted = list(keys)
        found: dict[bytes, SourceKey] = {}
        with self._file.reading() as db:
            for start in range(0, len(wanted), _LOOKUP):
                part = wanted[start : start + _LOOKUP]
                marks = ",".join("?" * len(part))
                for row in db.execute(f"SELECT * FROM source_keys WHERE key IN ({marks})", part):  # noqa: S608 - marks
                    found[row[0]] = _source_key(*row)
        return found

    def commit(self, transaction: OutboxCommit) -> None:
        in_the_clear = bool(transaction.waiting or transaction.sealed_through)
        with self._file.transaction(secure_delete=in_the_clear) as db:
            gone = (0, 0)
            if transaction.sealed_through:  # first: on a full disk its pages are the room for what is sealed
                gone = db.execute(f"{_COUNT_WAITING} WHERE position <= ?", (transaction.sealed_through,)).fetchone()
                db.execute("DELETE FROM waiting WHERE position <= ?", (transaction.sealed_through,))
            db.executemany(
                "INSERT INTO waiting VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_waiting_row(waiting, transaction.now_ms) for waiting in transaction.waiting],
            )
            if transaction.refused:
                self._refuse(db, transaction.refused)
            db.executemany(
                "INSERT INTO records (key, events, event_type, stored_at_ms, size, value) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (r.key, r.events, r.event_type, transaction.now_ms, len(r.value), r.value)
                    for r in transaction.records
                ],
            )
            db.executemany(
                "INSERT OR REPLACE INTO sequences VALUES (?, ?, ?)",
                [(recipient, transaction.instance, number) for recipient, number in transaction.sequences.items()],
            )
            db.executemany(
                "INSERT OR REPLACE INTO source_keys VALUES (?, ?, ?, ?, ?, ?, ?)",
                [_key_row(key) for key in transaction.keys],
            )
        self._records += len(transaction.records)
        self._events += sum(record.events for record in transaction.records)
        self._bytes += sum(len(record.value) for record in transaction.records)
        self._waiting += len(transaction.waiting) - gone[0]
        self._waiting_bytes += sum(len(waiting.value) for waiting in transaction.waiting) - gone[1]
        self._scrub_due |= bool(transaction.sealed_through)
        self._scrub()

    @staticmethod
    def _refuse(db: sqlite3.Connection, refused: Sequence[LateRefusal]) -> None:
        db.executemany(
            "INSERT OR IGNORE INTO refused (event_id, event_type, source_key, code, reason, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(r.event_id, r.event_type, r.source_key, r.code, r.reason, r.at_ms) for r in refused],
        )
        db.execute(
            "DELETE FROM refused WHERE number <= (SELECT number FROM refused ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (REFUSED_KEPT,),
        )

    def _scrub(self) -> None:
        """Once nothing waits in the clear, nothing of it stays in the write-ahead log either."""
        if self._scrub_due and not self._waiting:
            self._scrub_due = not self._file.truncate_log()

    def read_waiting(self, *, max_events: int, max_bytes: int) -> Sequence[WaitingEvent]:
        taken: list[WaitingEvent] = []
        size = 0
        with self._file.reading() as db:
            rows = db.execute(f"SELECT {_WAITING_COLUMNS} FROM waiting ORDER BY position LIMIT ?", (max_events,))  # noqa: S608
            for row in rows:
                waiting = _waiting_event(row)
                size += len(waiting.value)
                if taken and size > max_bytes:
                    break
                taken.append(waiting)
            rows.close()
        return taken

    def find_waiting(self, keys: Collection[bytes]) -> Mapping[bytes, WaitingEvent]:
        wanted = list(keys) if self._waiting else []
        found: dict[bytes, WaitingEvent] = {}
        with self._file.reading() as db:
            for start in range(0, len(wanted), _LOOKUP):
                part = wanted[start : start + _LOOKUP]
                marks = ",".join("?" * len(part))
                columns = _WAITING_COLUMNS.replace("value", "x''")
                rows = db.execute(
                    f"SELECT {columns} FROM waiting WHERE key IN ({marks}) ORDER BY position",  # noqa: S608 - marks
                    part,
                )
                found.update((row[4], _waiting_event(row)) for row in rows)
        return found

    def refused(self, limit: int) -> Sequence[LateRefusal]:
        with self._file.reading() as db:
            rows = db.execute(f"SELECT {_REFUSED_COLUMNS} FROM refused ORDER BY number DESC LIMIT ?", (limit,))  # noqa: S608
            return [_late_refusal(row) for row in rows]

    def read(self, *, max_records: int, max_bytes: int) -> Sequence[StoredRecord]:
        taken: list[StoredRecord] = []
        size = 0
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT position, key, value, events, event_type, stored_at_ms FROM records ORDER BY position LIMIT ?",
                (max_records,),
            )
            for row in rows:
                record = StoredRecord(*row)
                size += len(record.value)
                if taken and size > max_bytes:
                    break
                taken.append(record)
            rows.close()
        return taken

    def acknowledge(self, through: int) -> None:
        # What a power cut brings back is sent again and dropped by its recipients: no reason to wait for the disk.
        with self._file.unsynced_transaction() as db:
            gone = db.execute(
                "SELECT count(*), coalesce(sum(events), 0), coalesce(sum(size), 0) FROM records WHERE position <= ?",
                (through,),
            ).fetchone()
            db.execute("DELETE FROM records WHERE position <= ?", (through,))
        self._records -= gone[0]
        self._events -= gone[1]
        self._bytes -= gone[2]
        self._scrub()

    def depth(self) -> Depth:
        with self._file.reading() as db:
            row = db.execute("SELECT stored_at_ms FROM records ORDER BY position LIMIT 1").fetchone()
            first = None
            if self._waiting:
                first = db.execute("SELECT stored_at_ms FROM waiting ORDER BY position LIMIT 1").fetchone()[0]
        oldest = row[0] if row else None
        return Depth(self._records, self._events, self._bytes, oldest, self._waiting, self._waiting_bytes, first)

    def forget_keys(self, before_ms: int) -> int:
        with self._file.transaction() as db:
            return db.execute("DELETE FROM source_keys WHERE published_at_ms < ?", (before_ms,)).rowcount


_WAITING_COLUMNS: Final = "event_id, published_at_ms, event_type, handling, key, content, value, position, stored_at_ms"
_COUNT_WAITING: Final = "SELECT count(*), coalesce(sum(length(value)), 0) FROM waiting"
_REFUSED_COLUMNS: Final = "event_id, event_type, source_key, code, reason, at_ms"


def read_refused(path: Path, *, agency: AgencyId, limit: int = REFUSED_KEPT) -> Sequence[LateRefusal]:
    """The late refusals of the outbox at ``path``, newest first. Takes no lock: its owner may be at work.

    Without a file, or with one of before there were any, there are none. Raises ``StoreForeign``, ``StoreCorrupt``,
    ``StoreUnavailable``.
    """
    if not path.exists():
        return []
    with closing(reader(path, kind="outbox", version=_VERSION, agency=agency)) as file, file.reading() as db:
        if not db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'refused'").fetchone()[0]:
            return []
        rows = db.execute(f"SELECT {_REFUSED_COLUMNS} FROM refused ORDER BY number DESC LIMIT ?", (limit,))  # noqa: S608
        return [_late_refusal(row) for row in rows]


def _waiting_row(w: WaitingEvent, now_ms: int) -> tuple[object, ...]:
    return w.event_id, w.published_at_ms, w.event_type, w.handling, w.key, w.content, w.value, now_ms


def _waiting_event(row: tuple[Any, ...]) -> WaitingEvent:
    return WaitingEvent(EventId(row[0]), *row[1:])


def _late_refusal(row: tuple[Any, ...]) -> LateRefusal:
    return LateRefusal(EventId(row[0]), *row[1:])


def _source_key(
    key: bytes,
    content: bytes,
    event_id: bytes,
    published_at_ms: int,
    correlation_id: bytes,
    handling: str,
    recipients: str,
) -> SourceKey:
    agencies = tuple(map(AgencyId, recipients.split()))
    return SourceKey(key, content, EventId(event_id), published_at_ms, correlation_id, handling, agencies)


def _key_row(k: SourceKey) -> tuple[object, ...]:
    return k.key, k.content, k.event_id, k.published_at_ms, k.correlation_id, k.handling, " ".join(k.recipients)
