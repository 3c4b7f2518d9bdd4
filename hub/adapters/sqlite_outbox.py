"""The outbox in a SQLite file. Port and meaning: hub/client/outbox.py. docs/adr/0030."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from hub.adapters.sqlite_file import SqliteFile
from hub.client.outbox import Depth, OutboxCommit, SourceKey, StoredRecord
from hub.model import AgencyId, EventId

_VERSION: Final = 1

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
CREATE TABLE salt (value BLOB NOT NULL) STRICT
"""

_LOOKUP: Final = 500
"""Keys asked for in one statement; SQLite allows 32,766 parameters."""


class SqliteOutbox:
    """``hub.client.outbox.Outbox`` in the file ``path``, which belongs to ``agency``.

    ``max_file_bytes`` bounds the file, as a full disk would (``StoreFull``); None: only the disk does.
    """

    def __init__(self, path: Path, *, agency: AgencyId, max_file_bytes: int | None = None) -> None:
        self._file = SqliteFile(
            path, kind="outbox", version=_VERSION, agency=agency, schema=_SCHEMA, max_bytes=max_file_bytes
        )
        self._salt = b""
        self._records = self._events = self._bytes = 0

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
        with self._file.transaction() as db:
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

    def depth(self) -> Depth:
        with self._file.reading() as db:
            row = db.execute("SELECT stored_at_ms FROM records ORDER BY position LIMIT 1").fetchone()
        return Depth(self._records, self._events, self._bytes, row[0] if row else None)

    def forget_keys(self, before_ms: int) -> int:
        with self._file.transaction() as db:
            return db.execute("DELETE FROM source_keys WHERE published_at_ms < ?", (before_ms,)).rowcount


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
