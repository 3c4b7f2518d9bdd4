"""``hub catalog``, and that docs/catalog says what the schemas say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.catalog.render import render_all
from hub.cli.main import run
from tests.support.samples import catalog, example_files

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs" / "catalog"


def test_the_pages_are_up_to_date() -> None:
    pages = render_all(catalog())
    assert {path.name for path in PAGES.iterdir()} == set(pages)
    for name, text in pages.items():
        assert (PAGES / name).read_text("utf-8") == text, f"run `hub catalog render`: {name}"


def test_render_writes_removes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["catalog", "render", "--schemas", str(ROOT / "schemas"), "--out", str(tmp_path / "pages")]
    assert run([*arguments, "--check"]) == 2
    assert "config.pages_outdated" in capsys.readouterr().err
    assert run(arguments) == 0
    assert run([*arguments, "--check"]) == 0
    (tmp_path / "pages" / "old.type.md").write_text("x", "utf-8")
    (tmp_path / "pages" / "trace.ack.md").write_text("x", "utf-8")
    assert run([*arguments, "--check"]) == 2
    assert run(arguments) == 0
    assert not (tmp_path / "pages" / "old.type.md").exists()
    assert (tmp_path / "pages" / "trace.ack.md").read_text("utf-8") == (PAGES / "trace.ack.md").read_text("utf-8")


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "list"]) == 0
    assert "trace.request" in capsys.readouterr().out
    assert run(["catalog", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 13
    assert run(["catalog", "show", "trace.request"]) == 0
    assert "firearm.serial_raw?" in capsys.readouterr().out
    assert run(["catalog", "show", "trace.request", "--json"]) == 0
    fields = {field["path"]: field for field in json.loads(capsys.readouterr().out)["fields"]}
    assert fields["firearm.serial_raw"]["compartments"] == ["sensitive"]
    assert fields["possessor.names"]["personal"] is True
    assert run(["catalog", "show", "trace.request", "--avro", "personal"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "cgi.trace_request.v2.personal.body"
    assert run(["catalog", "show", "trace.request", "--json-schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "TraceRequest"
    assert run(["catalog", "show", "trace.request", "--avro", "secret"]) == 2
    assert run(["catalog", "show", "trace.requst"]) == 1
    assert "did you mean trace.request" in capsys.readouterr().err


def test_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = [str(path) for path in example_files("trace.request", "valid")]
    assert run(["catalog", "validate", *good]) == 0
    lines = tmp_path / "events.jsonl"
    documents = [json.loads(Path(path).read_text("utf-8")) for path in good[:2]]
    documents[1]["body"]["crime_code"] = "903"
    lines.write_text("\n\n".join(json.dumps(document) for document in documents) + "\n", "utf-8")
    capsys.readouterr()
    assert run(["catalog", "validate", str(lines)]) == 1
    out = capsys.readouterr().out
    assert f"{lines}:1: ok: trace.request" in out
    assert f"{lines}:3: event.code_unknown: crime_code: " in out
    lines.write_text("{}\n{", "utf-8")
    assert run(["catalog", "validate", str(lines)]) == 2
    assert f"{lines}:2" in capsys.readouterr().err
    lines.write_text('{"type": "no.such"}', "utf-8")
    assert run(["catalog", "validate", str(lines)]) == 1
    assert "event.type_unknown" in capsys.readouterr().out
    assert run(["catalog", "validate", str(tmp_path / "nothing.json")]) == 2
    assert run(["catalog", "validate", str(tmp_path / "nothing.jsonl")]) == 2


def test_check_and_freeze(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "check", "--schemas", str(ROOT / "schemas")]) == 0
    assert "13 types" in capsys.readouterr().out
    assert run(["catalog", "freeze", "--schemas", str(ROOT / "schemas")]) == 0
    assert capsys.readouterr().out == ""


def test_check_names_a_compartment_that_is_not_avro(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"type": "record", "name": "x", "fields": [{"name": "y", "type": "no such type"}]}
    monkeypatch.setattr("hub.catalog.EventType.avro", lambda *_: broken)
    assert run(["catalog", "check", "--schemas", str(ROOT / "schemas")]) == 2
    assert "not Avro" in (told := capsys.readouterr().err)
    assert "compartment=core" in told


def test_every_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*arguments: str, code: int = 0) -> Any:
        assert run(["catalog", *arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    assert printed("check")["types"] == 13
    assert printed("freeze") == {"wrote": []}
    assert printed("render", "--check")["pages"] == 15
    assert len(printed("render", "--out", str(tmp_path))["wrote"]) == 15
    assert printed("show", "seizure.report")["needs"] == {"affiliation": ["personal", "sensitive"]}
    good = ROOT / "schemas/examples/trace.request/valid/legible-pistol.json"
    bad = ROOT / "schemas/examples/trace.request/invalid/empty-serial.json"
    rows = printed("validate", str(good), str(bad), code=1)
    assert [row["ok"] for row in rows] == [True, False]
    assert rows[1]["problems"]
