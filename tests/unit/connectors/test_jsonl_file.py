"""The JSONL connector: documents, keys, and lines that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors import jsonl_file
from connectors.jsonl_file import JsonlReader, parse_line
from connectors.toolkit import Refused, Taken, run
from connectors.toolkit.errors import FileUndecodable, JsonBroken
from connectors.toolkit.testkit import check_source
from tests.support.opened import connector_context
from tests.support.samples import catalog, sample_document

REPORT = Path("r")


def encode(*documents: Any) -> bytes:
    return "".join(json.dumps(document) + "\n" for document in documents).encode()


def read(data: bytes, *key: str) -> list[Taken | list[Refused]]:
    return list(JsonlReader("feed", key, catalog()).read(data, REPORT))


async def test_the_rules_of_a_source_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BATCH", 2)
    documents = [sample_document("trace.request", number) for number in range(3)]
    broken = {**documents[0], "handling": "AMBER"}
    (tmp_path / "in.jsonl").write_bytes(encode(*documents, broken) + b"{]\n")
    settings = jsonl_file.JsonlSettings(path=Path("in.jsonl"))
    await check_source(
        lambda: jsonl_file.make_jsonl(settings, connector_context(tmp_path)), tmp_path, events=3, refused_rows=2
    )


def test_a_document_becomes_an_event() -> None:
    (taken,) = read(encode(sample_document("trace.result")))
    assert isinstance(taken, Taken)
    assert taken.event.event_type == "trace.result"
    assert taken.key.startswith("feed:")


def test_the_key_is_the_named_fields_or_the_content() -> None:
    one, other = sample_document("trace.request"), sample_document("trace.request")
    other["priority"] = "URGENT" if one["priority"] == "ROUTINE" else "ROUTINE"
    keys = [unit.key for unit in read(encode(one, other, one), "body.ori") if isinstance(unit, Taken)]
    assert keys[0] == keys[1] == keys[2]
    keys = [unit.key for unit in read(encode(one, other, one)) if isinstance(unit, Taken)]
    assert keys[0] == keys[2] != keys[1]


def test_the_order_of_names_in_a_line_is_no_content() -> None:
    document = sample_document("trace.request")
    reordered = dict(reversed(list(document.items())))
    keys = [unit.key for unit in read(encode(document, reordered)) if isinstance(unit, Taken)]
    assert keys[0] == keys[1]


def test_what_is_refused_says_where_and_why() -> None:
    document = sample_document("trace.request")
    document["body"]["recovery_date"] = "31/12/2025"
    lines = [
        b"",
        b"[1]",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b"\xff",
        b"[" * 100_000,
        b'{"a":"' + b"x" * 600_000 + b'"}',
        encode(document).strip(),
    ]
    units = read(b"\n".join(lines))
    refused = [unit[0] for unit in units if isinstance(unit, list)]
    assert [(item.origin.row, item.error.code) for item in refused] == [
        *((number, "row.json") for number in range(2, 8)),
        (8, "row.field"),
    ]
    assert refused[-1].error.details["field"] == "recovery_date"


def test_a_missing_key_field_is_refused() -> None:
    (unit,) = read(encode(sample_document("trace.request")), "body.nothing")
    assert isinstance(unit, list)
    assert unit[0].error.code == "row.key_missing"


def test_a_mark_is_skipped_and_utf16_is_refused() -> None:
    data = encode(sample_document("trace.request"))
    assert isinstance(read(b"\xef\xbb\xbf" + data)[0], Taken)
    with pytest.raises(FileUndecodable):
        read(data.decode().encode("utf-16"))


def test_a_line_is_one_object() -> None:
    assert parse_line(b'{"a": 1}') == {"a": 1}
    with pytest.raises(JsonBroken):
        parse_line(b'{"a": 1}{"b": 2}')
