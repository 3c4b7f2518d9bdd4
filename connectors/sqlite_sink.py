"""Sink: opened events in an SQLite file, one table a type, for an agency's analysts and their tools.

    [[sink]]
    kind = "sqlite"
    path = "received/events.db"

The table ``trace_request`` has a column for each field of the schema (``firearm.make_text`` -> ``firearm_make_text``)
and the event's labels before them; lists are JSON text. A field that was withheld is NULL, which a field that is
unknown is too: so each row says in ``withheld`` which compartments were withheld, and the view ``trace_request_shown``
has the words ``[withheld]`` in each such column. Numbers and dates in the table stay comparable that way.

Exactly once in effect: rows are upserted by publisher and event id.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.toolkit.connector import Connector, ConnectorContext, ConnectorSettings
from connectors.toolkit.errors import ConnectorInvalid
from connectors.toolkit.files import FileUnavailable, open_private
from hub.catalog import Catalog, EventType
from hub.catalog.fields import Node, Record
from hub.catalog.primitives import decode_timestamp
from hub.model import OpenedEvent, format_event_id

LABELS = (
    ("publisher", "TEXT NOT NULL"),
    ("event_id", "TEXT NOT NULL"),
    ("schema_version", "INTEGER NOT NULL"),
    ("handling", "TEXT NOT NULL"),
    ("priority", "TEXT NOT NULL"),
    ("purpose", "TEXT NOT NULL"),
    ("published_at", "TEXT NOT NULL"),
    ("expires_at", "TEXT NOT NULL"),
    ("correlation_id", "TEXT NOT NULL"),
    ("reply_to_publisher", "TEXT"),
    ("reply_to_event_id", "TEXT"),
    ("granted", "TEXT NOT NULL"),
    ("withheld", "TEXT NOT NULL"),
)
"""The columns before the fields. ``granted`` and ``withheld`` are compartments with a space between."""

_KINDS = {"int": "INTEGER", "long": "INTEGER", "boolean": "INTEGER", "double": "REAL"}


class DatabaseForeign(ConnectorInvalid):
    """The file is not an SQLite database, or has a table of that name in another form."""

    code = "config.sink_database"


class SqliteSettings(ConnectorSettings):
    """``path`` of the database file."""

    path: Path


@dataclass(frozen=True, slots=True)
class Column:
    """A field's column: where it is in the body, and in which compartments its parts are."""

    name: str
    path: tuple[str, ...]
    kind: str
    compartments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A type's table and the statement that writes a row of it."""

    name: str
    columns: tuple[Column, ...]
    upsert: str


def columns_of(event_type: EventType) -> tuple[Column, ...]:
    """A column for each leaf and each list, in the schema's order; records are flattened with ``_``."""
    return tuple(_columns(event_type.schema.root, ()))


def _columns(record: Record, above: tuple[str, ...]) -> list[Column]:
    found: list[Column] = []
    for node in record.fields:
        if isinstance(node.type, Record):
            found += _columns(node.type, (*above, node.name))
        else:
            found.append(_column(node, above))
    return found


def _column(node: Node, above: tuple[str, ...]) -> Column:
    path = (*above, node.name)
    name = "_".join(path)
    if name in dict(LABELS):
        name = f"body_{name}"
    kind = _KINDS.get(getattr(node.type, "kind", ""), "TEXT")
    return Column(name, path, kind, tuple(node.compartments))


class SqliteSink:
    """One connection, used off the loop, one call at a time."""

    def __init__(self, name: str, path: Path, catalog: Catalog) -> None:
        self.name = name
        self._path = path
        self._catalog = catalog
        self._connection: sqlite3.Connection | None = None
        self._tables: dict[str, Table] = {}

    async def open(self, state: Mapping[str, Any] | None) -> None:
        """Makes or widens the tables; ``state`` is not needed. Raises ``DatabaseForeign``, ``FileUnavailable``."""
        await asyncio.to_thread(self._open)

    async def write(self, events: Sequence[OpenedEvent]) -> dict[str, Any] | None:
        """One transaction, durable on return. Raises ``FileUnavailable``: nothing of it was stored."""
        await asyncio.to_thread(self._write, events)
        return None

    async def close(self) -> None:
        await asyncio.to_thread(self._release)

    # --- off the loop

    def _open(self) -> None:
        self._release()
        self._tables.clear()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(open_private(self._path, os.O_RDWR))
            connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=30)
        except (OSError, sqlite3.OperationalError) as error:
            raise FileUnavailable("cannot open the database", path=str(self._path), cause=str(error)) from error
        self._connection = connection
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")  # a commit is on the disk before the marks are
            connection.execute("BEGIN IMMEDIATE")
            for name in self._catalog.names():
                self._prepare(connection, self._catalog.get(name))
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._release()
            raise FileUnavailable("cannot prepare the database", path=str(self._path), cause=str(error)) from error
        except (sqlite3.DatabaseError, DatabaseForeign) as error:
            self._release()
            raise DatabaseForeign(f"{self._path}: {error}", path=str(self._path)) from error

    def _prepare(self, connection: sqlite3.Connection, event_type: EventType) -> None:
        """Makes the table, or adds the columns that a newer schema has. What an older one had stays."""
        table = event_type.name.replace(".", "_")
        columns = columns_of(event_type)
        wanted = [*LABELS, *((column.name, column.kind) for column in columns)]
        here = {row[1] for row in connection.execute(f"PRAGMA table_info({_quote(table)})")}
        if not here:
            body = ", ".join(f"{_quote(name)} {kind}" for name, kind in wanted)
            connection.execute(
                f"CREATE TABLE {_quote(table)} ({body}, PRIMARY KEY (publisher, event_id)) WITHOUT ROWID"
            )
        elif not {name for name, _ in LABELS} <= here:
            raise DatabaseForeign(f"the table {table} is there already and is not of this sink")
        else:
            for name, kind in wanted:
                if name not in here:
                    connection.execute(f"ALTER TABLE {_quote(table)} ADD COLUMN {_quote(name)} {kind}")
        self._make_view(connection, table, columns)
        names = ", ".join(_quote(name) for name, _ in wanted)
        marks = ", ".join("?" for _ in wanted)
        updates = ", ".join(f"{_quote(name)}=excluded.{_quote(name)}" for name, _ in wanted[2:])
        statement = (
            f"INSERT INTO {_quote(table)} ({names}) VALUES ({marks}) "  # noqa: S608 - names are the catalog's
            f"ON CONFLICT (publisher, event_id) DO UPDATE SET {updates}"
        )
        self._tables[event_type.name] = Table(table, columns, statement)

    def _make_view(self, connection: sqlite3.Connection, table: str, columns: tuple[Column, ...]) -> None:
        view = f"{table}_shown"
        shown = [_quote(name) for name, _ in LABELS]
        for column in columns:
            withheld = " AND ".join(
                f"instr(' ' || withheld || ' ', ' {compartment} ') > 0" for compartment in column.compartments
            )
            quoted = _quote(column.name)
            shown.append(f"CASE WHEN {quoted} IS NULL AND {withheld} THEN '[withheld]' ELSE {quoted} END AS {quoted}")
        connection.execute(f"DROP VIEW IF EXISTS {_quote(view)}")
        connection.execute(f"CREATE VIEW {_quote(view)} AS SELECT {', '.join(shown)} FROM {_quote(table)}")  # noqa: S608 - as above

    def _write(self, events: Sequence[OpenedEvent]) -> None:
        connection = self._connection
        if connection is None:
            raise FileUnavailable("the sink is not open", path=str(self._path))
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for event in events:
                    table = self._tables[event.route.event_type]
                    if not self._has_more(connection, table, event):
                        connection.execute(table.upsert, self._values(table, event))
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise FileUnavailable("cannot write the database", path=str(self._path), cause=str(error)) from error

    def _has_more(self, connection: sqlite3.Connection, table: Table, event: OpenedEvent) -> bool:
        """Whether the row that is there holds compartments that this copy of the event lacks: then it stays."""
        sql = f"SELECT granted FROM {_quote(table.name)} WHERE publisher = ? AND event_id = ?"  # noqa: S608 - as above
        row = connection.execute(sql, (event.publisher, format_event_id(event.event_id))).fetchone()
        return row is not None and not set(row[0].split()) <= set(event.granted)

    def _values(self, table: Table, event: OpenedEvent) -> list[Any]:
        reply = event.in_reply_to
        values: list[Any] = [
            event.publisher,
            format_event_id(event.event_id),
            event.route.schema_version,
            str(event.route.handling),
            event.route.priority.value,
            event.route.purpose.value,
            decode_timestamp(event.published_at_ms),
            decode_timestamp(event.expires_at_ms),
            format_event_id(event.correlation_id),
            None if reply is None else reply.publisher,
            None if reply is None else format_event_id(reply.event_id),
            " ".join(event.granted),
            " ".join(event.withheld),
        ]
        return values + [_cell(_at(event.body, column.path)) for column in table.columns]

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _at(body: Any, path: tuple[str, ...]) -> Any:
    value = body
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return int(value) if isinstance(value, bool) else value


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def make_sqlite(settings: SqliteSettings, context: ConnectorContext) -> SqliteSink:
    """The sink of ``kind = "sqlite"``."""
    return SqliteSink(context.name, context.path(settings.path), context.catalog)


connector = Connector("sqlite", "sink", SqliteSettings, make_sqlite)
