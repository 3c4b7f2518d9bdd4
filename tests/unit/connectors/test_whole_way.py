"""From an agency's file to a partner's table through the real Publisher and Subscriber, over a bus in memory."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from connectors.csv_file import CsvSettings, FileSource, make_csv
from connectors.jsonl_sink import JsonlSink
from connectors.sqlite_sink import SqliteSink
from connectors.toolkit import ProgressFile, SourceRun
from connectors.toolkit.testkit import read_reports
from examples.answers import answer
from examples.generate import HERE
from hub.document import parse_document
from tests.support.opened import connector_context
from tests.support.samples import catalog
from tests.support.sites import ATF, CCGIU, JCF, Net

ROWS = 120
"""Of Jamaica's register: three of them bad."""


def register(folder: Path) -> FileSource:
    lines = (HERE / "JCF" / "traces-2020-2024.csv").read_bytes().split(b"\r\nRoutine", ROWS)
    (folder / "traces.csv").write_bytes(b"\r\nRoutine".join(lines[:ROWS]) + b"\r\n")
    return make_csv(CsvSettings(path=Path("traces.csv"), profile="etrace-register"), connector_context(folder))


def table(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def test_a_register_arrives_whole_where_it_may_and_in_part_where_it_may_not(tmp_path: Path) -> None:
    net, source = Net(), register(tmp_path)
    async with net.publisher(JCF) as publisher:
        first = await SourceRun(source, ProgressFile(tmp_path / "p.json"), net.observer).run(publisher)
        # the site's position is lost, and the file is read again: the Publisher knows the keys
        again = await SourceRun(source, ProgressFile(tmp_path / "q.json"), net.observer).run(publisher)
        await publisher.drain()
    refused = read_reports(tmp_path)
    assert {line["code"] for line in refused} == {"row.date", "row.code_unknown"}
    assert (again.published, again.duplicates) == (0, first.published)
    await net.route()

    whole, part = SqliteSink("db", tmp_path / "atf.db", catalog()), SqliteSink("db", tmp_path / "cc.db", catalog())
    await net.receive(whole, JsonlSink("lines", tmp_path / "atf.jsonl", None, catalog()), agency=ATF)
    await net.receive(part, agency=CCGIU)
    assert net.refused == []

    assert table(tmp_path / "atf.db", "SELECT count(*) FROM trace_request") == [(first.published,)]
    assert len((tmp_path / "atf.jsonl").read_text("utf-8").splitlines()) == first.published
    assert table(tmp_path / "cc.db", "SELECT count(*) FROM trace_request") == [(first.published,)]
    named = table(tmp_path / "atf.db", "SELECT possessor_names FROM trace_request WHERE possessor_names IS NOT NULL")
    assert len(named) > ROWS / 2
    hidden = table(tmp_path / "cc.db", "SELECT DISTINCT possessor_names, withheld FROM trace_request_shown")
    assert hidden == [("[withheld]", "personal sensitive affiliation")]
    serials = [row[0] for row in table(tmp_path / "atf.db", "SELECT firearm_serial_raw FROM trace_request") if row[0]]
    assert any(serial != serial.strip() for serial in serials)

    sent = b"".join(record.value for record in net.sent(JCF))
    assert not any(serial.strip().encode() in sent for serial in serials if len(serial.strip()) >= 6)
    for document in answer("traces", tmp_path / "atf.db"):
        assert parse_document(json.loads(json.dumps(document)), catalog()).in_reply_to is not None
