"""Who got what: read out of the agencies' own databases, the last thing on the way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.stack import Stack
from hub.catalog import Catalog
from hub.model import AgencyId


@dataclass(frozen=True, slots=True)
class Holding:
    """Events of one type, from one publisher, with the same compartments, that an agency holds."""

    recipient: AgencyId
    event_type: str
    publisher: AgencyId
    granted: tuple[str, ...]
    withheld: tuple[str, ...]
    events: int


def holdings(stack: Stack, agency: AgencyId, catalog: Catalog) -> Iterator[Holding]:
    """What stands in the agency's ``received.db``; nothing where it received nothing."""
    with _opened(stack, agency) as database:
        for name in catalog.names():
            if _has(database, name):
                rows = database.execute(
                    f"SELECT publisher, granted, withheld, count(*) FROM {_table(name)} GROUP BY 1, 2, 3 ORDER BY 1, 2"  # noqa: S608
                )
                for publisher, granted, withheld, events in rows:
                    yield Holding(
                        agency, name, AgencyId(publisher), tuple(granted.split()), tuple(withheld.split()), events
                    )


def rows(stack: Stack, agency: AgencyId, event_type: str, where: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of a type's table, by name of column; empty where the agency has no such table."""
    with _opened(stack, agency) as database:
        if not _has(database, event_type):
            return []
        found = database.execute(f"SELECT * FROM {_table(event_type)} WHERE {where}", values)  # noqa: S608  our own text
        return [dict(row) for row in found]


def _opened(stack: Stack, agency: AgencyId) -> closing[sqlite3.Connection]:
    path: Path = stack.site(agency) / "received.db"
    database = sqlite3.connect(f"file:{path}?mode=ro" if path.exists() else ":memory:", uri=True)
    database.row_factory = sqlite3.Row
    return closing(database)


def _has(database: sqlite3.Connection, event_type: str) -> bool:
    found = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (_table(event_type),))
    return found.fetchone() is not None


def _table(event_type: str) -> str:
    return event_type.replace(".", "_")
