"""The SQLite sink beyond the contract: every type, withheld fields, newer schemas, foreign files."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors import sqlite_sink
from connectors.sqlite_sink import LABELS, DatabaseForeign, SqliteSink, columns_of
from hub.model import OpenedEvent
from tests.support.opened import connector_context, opened_event
from tests.support.samples import catalog


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


async def store(path: Path, *events: OpenedEvent) -> None:
    sink = SqliteSink("out", path, catalog())
    await sink.open(None)
    await sink.write(events)
    await sink.close()


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    with database(path) as connection:
        return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]


@pytest.mark.parametrize("name", catalog().names())
def test_no_two_fields_share_a_column(name: str) -> None:
    names = [name for name, _ in LABELS] + [column.name for column in columns_of(catalog().get(name))]
    assert len({name.casefold() for name in names}) == len(names)


@pytest.mark.parametrize("name", catalog().names())
async def test_every_type_is_stored_whole(name: str, tmp_path: Path) -> None:
    event = opened_event(name, 1)
    await store(tmp_path / "x.db", event)
    (row,) = rows(tmp_path / "x.db", name.replace(".", "_"))
    for column in columns_of(catalog().get(name)):
        value: Any = event.body
        for step in column.path:
            value = value[step] if value is not None else None
        if isinstance(value, list | dict):
            assert json.loads(row[column.name]) == value
        else:
            assert row[column.name] == value


async def test_an_event_that_comes_again_is_one_row(tmp_path: Path) -> None:
    event = opened_event("trace.result", 1)
    await store(tmp_path / "x.db", event, event)
    await store(tmp_path / "x.db", event)
    assert len(rows(tmp_path / "x.db", "trace_result")) == 1


async def test_the_same_id_of_two_publishers_is_two_rows(tmp_path: Path) -> None:
    await store(tmp_path / "x.db", opened_event("trace.result", 1), opened_event("trace.result", 1, publisher="ATF"))
    assert len(rows(tmp_path / "x.db", "trace_result")) == 2


async def test_more_compartments_replace_fewer_and_not_the_other_way(tmp_path: Path) -> None:
    core, whole = opened_event("trace.request", 1, granted=["core"]), opened_event("trace.request", 1)
    for events in ([core, whole], [whole, core]):
        path = tmp_path / f"{events[0].withheld}.db"
        await store(path, *events)
        (row,) = rows(path, "trace_request")
        assert (row["granted"], row["withheld"]) == ("core personal sensitive affiliation", "")
        assert row["firearm_serial_raw"] == whole.body["firearm"]["serial_raw"]


async def test_withheld_is_not_the_same_as_unknown(tmp_path: Path) -> None:
    event = opened_event("trace.request", 1, granted=["core", "sensitive"])
    await store(tmp_path / "x.db", event)
    (row,) = rows(tmp_path / "x.db", "trace_request_shown")
    assert row["possessor_dob"] == "[withheld]"
    assert row["recovery_place_address"] == "[withheld]"
    unknown = [column for column in columns_of(catalog().get("trace.request")) if row[column.name] is None]
    assert unknown
    assert all("personal" not in column.compartments for column in unknown)


async def test_a_newer_schema_adds_columns_and_keeps_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await store(path, opened_event("trace.result", 1))
    with database(path) as connection:
        connection.execute("DROP VIEW trace_result_shown")
        connection.execute("ALTER TABLE trace_result DROP COLUMN ttc_band")
        connection.execute("ALTER TABLE trace_result ADD COLUMN of_an_older_schema TEXT")
        connection.commit()
    await store(path, opened_event("trace.result", 2))
    found = rows(path, "trace_result")
    assert len(found) == 2
    assert {"ttc_band", "of_an_older_schema"} <= set(found[0])


async def test_a_file_that_is_no_database_or_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database, certainly not one of some length")
    with pytest.raises(DatabaseForeign):
        await SqliteSink("out", tmp_path / "x.db", catalog()).open(None)
    with database(tmp_path / "y.db") as connection:
        connection.execute("CREATE TABLE trace_result (x)")
    with pytest.raises(DatabaseForeign, match="trace_result"):
        await SqliteSink("out", tmp_path / "y.db", catalog()).open(None)


async def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    await store(tmp_path / "x.db", opened_event("trace.result", 1))
    assert stat.S_IMODE((tmp_path / "x.db").stat().st_mode) == 0o600


async def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = SqliteSink("out", tmp_path / "x.db", catalog())
    await sink.open(None)
    real, calls = sink._values, []

    def failing(table: Any, event: OpenedEvent) -> list[Any]:
        calls.append(event)
        if len(calls) == 2:
            raise sqlite3.OperationalError("disk I/O error")
        return real(table, event)

    monkeypatch.setattr(sink, "_values", failing)
    with pytest.raises(Exception, match="cannot write"):
        await sink.write([opened_event("trace.result", 1), opened_event("trace.result", 2)])
    await sink.close()
    assert rows(tmp_path / "x.db", "trace_result") == []


def test_it_is_built_of_settings(tmp_path: Path) -> None:
    assert isinstance(sqlite_sink.connector.build({"path": "x.db"}, connector_context(tmp_path)), SqliteSink)
