"""The inbox in a SQLite file. Port and meaning: hub/client/inbox.py. docs/adr/0034."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from hub.adapters.sqlite_file import SqliteFile, reader
from hub.client.inbox import InboxCommit, InboxState, OpenGap, RejectedRecord
from hub.model import AgencyId

_VERSION: Final = 2

_SCHEMA: Final = """
CREATE TABLE streams (
    publisher TEXT NOT NULL,
    instance BLOB NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (publisher, instance)
) STRICT;
CREATE TABLE sinks (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE gaps (
    publisher TEXT NOT NULL,
    instance BLOB NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    reported INTEGER NOT NULL
) STRICT;
CREATE TABLE rejected (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    publisher TEXT NOT NULL,
    event_id TEXT NOT NULL,
    sink TEXT NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    raw BLOB NOT NULL,
    appended_ms INTEGER,
    UNIQUE (topic, partition, position, event_id, sink)
) STRICT
"""

_UPGRADES: Final = {1: "ALTER TABLE rejected ADD COLUMN appended_ms INTEGER"}

_REJECTED: Final = "topic, partition, position, publisher, event_id, sink, code, reason, at_ms"


class SqliteInbox:
    """``hub.client.inbox.Inbox`` in the file ``path``, which belongs to ``agency``.

    At most ``rejected_rows`` refused records are kept, and ``rejected_bytes`` of their bytes. ``max_file_bytes`` bounds
    the file, as a full disk would.
    """

    def __init__(
        self,
        path: Path,
        *,
        agency: AgencyId,
        rejected_rows: int = 10_000,
        rejected_bytes: int = 256 * 1024**2,
        max_file_bytes: int | None = None,
    ) -> None:
        self._file = SqliteFile(
            path,
            kind="inbox",
            version=_VERSION,
            agency=agency,
            schema=_SCHEMA,
            upgrades=_UPGRADES,
            max_bytes=max_file_bytes,
        )
        self._rows = rejected_rows
        self._bytes = rejected_bytes

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def load(self) -> InboxState:
        with self._file.reading() as db:
            streams = [state for (state,) in db.execute("SELECT state FROM streams")]
            sinks = {name: json.loads(state) for name, state in db.execute("SELECT name, state FROM sinks")}
            gaps = [
                OpenGap(AgencyId(publisher), instance, first, last, seen_ms, bool(reported))
                for publisher, instance, first, last, seen_ms, reported in db.execute("SELECT * FROM gaps")
            ]
        return InboxState(streams, sinks, gaps)

    def commit(self, transaction: InboxCommit) -> None:
        with self._file.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO streams VALUES (?, ?, ?)",
                [(publisher, instance, state) for (publisher, instance), state in transaction.streams.items()],
            )
            db.executemany(
                "INSERT OR REPLACE INTO sinks VALUES (?, ?)",
                [(name, json.dumps(dict(state))) for name, state in transaction.sinks.items()],
            )
            if transaction.gaps is not None:
                db.execute("DELETE FROM gaps")
                db.executemany(
                    "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (gap.publisher, gap.instance, gap.first, gap.last, gap.seen_ms, int(gap.reported))
                        for gap in transaction.gaps
                    ],
                )
            for settled in transaction.settled:
                _settle(db, settled)
            if transaction.rejected:
                self._reject(db, transaction.rejected)

    def _reject(self, db: sqlite3.Connection, rejected: Sequence[RejectedRecord]) -> None:
        db.executemany(
            f"INSERT OR IGNORE INTO rejected ({_REJECTED}, size, raw, appended_ms) VALUES ({', '.join('?' * 12)})",  # noqa: S608
            [_row(record) for record in rejected],
        )
        db.execute(
            "DELETE FROM rejected WHERE number <= (SELECT number FROM rejected ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (self._rows,),
        )
        size = db.execute("SELECT coalesce(sum(size), 0) FROM rejected").fetchone()[0]
        if size > self._bytes:
            let_go = []
            for number, length in db.execute("SELECT number, size FROM rejected WHERE size > 0 ORDER BY number"):
                let_go.append((number,))
                size -= length
                if size <= self._bytes:
                    break
            db.executemany("UPDATE rejected SET size = 0, raw = x'' WHERE number = ?", let_go)

    def rejected(self, limit: int, *, with_bytes: bool = True) -> Sequence[RejectedRecord]:
        raw = "raw" if with_bytes else "x''"
        with self._file.reading() as db:
            rows = db.execute(
                f"SELECT {_REJECTED}, {raw}, appended_ms FROM rejected ORDER BY number DESC LIMIT ?",  # noqa: S608 - own columns
                (limit,),
            ).fetchall()
        return [RejectedRecord(*row) for row in rows]

    def kept_bytes(self, record: RejectedRecord) -> bytes:
        with self._file.reading() as db:
            return _kept_bytes(db, record)


def read_rejected(path: Path, *, agency: AgencyId) -> Iterator[RejectedRecord]:
    """The rejected of the inbox at ``path``, newest first, one by one, with their record's bytes where there are any.

    Takes no lock and changes nothing: the inbox's owner may be at work. Without a file there are none. Raises
    ``StoreForeign``, ``StoreCorrupt``, ``StoreUnavailable``.
    """
    if not path.exists():
        return
    with closing(reader(path, kind="inbox", version=_VERSION, agency=agency)) as file, file.reading() as db:
        for row in db.execute(f"SELECT {_REJECTED}, x'' FROM rejected ORDER BY number DESC"):  # noqa: S608 - own columns
            record = RejectedRecord(*row)
            yield replace(record, raw=_kept_bytes(db, record))


_PLACE: Final = "topic = ? AND partition = ? AND position = ?"


def _kept_bytes(db: sqlite3.Connection, record: RejectedRecord) -> bytes:
    row = db.execute(
        f"SELECT raw FROM rejected WHERE {_PLACE} AND size > 0 LIMIT 1",  # noqa: S608 - own columns
        (record.topic, record.partition, record.offset),
    ).fetchone()
    return b"" if row is None else bytes(row[0])


def _settle(db: sqlite3.Connection, settled: RejectedRecord) -> None:
    raw = _kept_bytes(db, settled)
    place = settled.topic, settled.partition, settled.offset
    db.execute(
        f"DELETE FROM rejected WHERE {_PLACE} AND event_id = ? AND sink = ?",  # noqa: S608 - own columns
        (*place, settled.event_id, settled.sink),
    )
    if raw and not _kept_bytes(db, settled):
        db.execute(
            f"UPDATE rejected SET size = ?, raw = ? WHERE number = (SELECT min(number) FROM rejected WHERE {_PLACE})",  # noqa: S608 - own columns
            (len(raw), raw, *place),
        )


def _row(r: RejectedRecord) -> tuple[object, ...]:
    place = r.topic, r.partition, r.offset, r.publisher, r.event_id, r.sink
    return *place, r.code, r.reason, r.at_ms, len(r.raw), r.raw, r.appended_ms
