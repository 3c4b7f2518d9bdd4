"""The schema parser refuses what is malformed, naming file and field."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.catalog import Catalog, FieldRange, SchemaInvalid
from hub.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3] / "schemas"

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Made",
    "namespace": "cgi",
    "event": "made.up",
    "version": 1,
    "title": "Made up",
    "compartments": ["core", "personal"],
    "doc": "For tests",
    "source": "these tests",
    "fields": [
        {"name": "text", "type": "string", "compartment": "core", "doc": "A text"},
        {"name": "code", "type": "string", "compartment": "core", "codes": "letters", "doc": "A code"},
        {
            "name": "person",
            "type": ["null", "cgi.Someone"],
            "default": None,
            "compartment": "core",
            "doc": "A person",
        },
    ],
}
SOMEONE: dict[str, Any] = {
    "type": "record",
    "name": "Someone",
    "namespace": "cgi",
    "doc": "Someone",
    "fields": [{"name": "name", "type": "string", "compartment": "personal", "doc": "Name"}],
}
LETTERS = {
    "name": "letters",
    "title": "Letters",
    "source": "the alphabet",
    "codes": {"A": "the first", "B": "the second"},
}


def write(folder: Path, schema: Any = SCHEMA, someone: Any = SOMEONE, letters: Any = LETTERS) -> Path:
    for path, content in {
        "avro/made.up.avsc": schema,
        "avro/common/Someone.avsc": someone,
        "codes/letters.json": letters,
    }.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return folder


def test_the_made_up_schema_loads(tmp_path: Path) -> None:
    made = Catalog.load(write(tmp_path)).get("made.up")
    assert made.compartments == ("core", "personal")
    assert made.fields["person"].compartments == ("personal",)
    assert made.fields["person.name"].personal
    assert made.fields["code"].codes == {"A", "B"}


def _field(index: int, **changes: Any) -> Callable[[Any], None]:
    def change(schema: Any) -> None:
        for name, value in changes.items():
            if value is ...:
                del schema["fields"][index][name]
            else:
                schema["fields"][index][name] = value

    return change


def _top(**changes: Any) -> Callable[[Any], None]:
    def change(schema: Any) -> None:
        for name, value in changes.items():
            if value is ...:
                del schema[name]
            else:
                schema[name] = value

    return change


def _list_of(items: Any, **attributes: Any) -> Callable[[Any], None]:
    return _field(0, type={"type": "array", "items": items}, **attributes)


def _enum(**changes: Any) -> Callable[[Any], None]:
    return _field(0, type={"type": "enum", "name": "Kind", "symbols": ["ONE"], **changes})


LOOP = {"type": "record", "name": "Loop", "fields": []}
RULE = {"require": ["person"], "because": "of tests"}

FAULTS: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "no event": (_top(event=...), "event", "name"),
    "malformed event": (_top(event="Made"), "event", "name"),
    "no version": (_top(version=...), "version", "whole number"),
    "version nought": (_top(version=0), "version", "whole number"),
    "version true": (_top(version=True), "version", "whole number"),
    "no title": (_top(title=""), "title", "missing"),
    "no source": (_top(source=...), "source", "missing"),
    "no fields": (_top(fields=[]), "", "zero bytes"),
    "no compartments": (_top(compartments=[]), "compartments", "1 to 8"),
    "a compartment twice": (_top(compartments=["core", "core"]), "compartments", "each once"),
    "nine compartments": (_top(compartments=list("abcdefghi")), "compartments", "1 to 8"),
    "a malformed compartment": (_top(compartments=["core", "Personal"]), "compartments", "not a compartment"),
    "unknown top attribute": (_top(titel="x"), "", "did you mean `title`"),
    "field without compartment": (_field(0, compartment=...), "text", "compartment"),
    "field in no such compartment": (_field(0, compartment="secret"), "text", "compartment"),
    "field without doc": (_field(0, doc=" "), "text", "doc"),
    "field with a mistyped attribute": (_field(0, max_lenght=3), "text", "did you mean `max_length`"),
    "field twice": (_field(1, name="text"), "", "stands twice"),
    "malformed field name": (_field(0, name="Text"), "", "[a-z]"),
    "unknown type": (_field(0, type="float"), "text", "not taken"),
    "null alone": (_field(0, type="null"), "text", "not taken"),
    "bytes of no logical type": (_field(0, type="bytes"), "text", "not taken"),
    "a wide union": (_field(0, type=["null", "string", "int"], default=None), "text", "union"),
    "null last": (_field(0, type=["string", "null"], default=None), "text", "union"),
    "nullable without default": (_field(0, type=["null", "string"]), "text", "default"),
    "nullable with a default": (_field(0, type=["null", "string"], default="x"), "text", "default"),
    "default of a text": (_field(0, default="x"), "text", "default"),
    "unknown shared record": (_field(2, type=["null", "cgi.Somone"]), "person", "did you mean `cgi.Someone`"),
    "unknown code list": (_field(1, codes="leters"), "code", "did you mean `letters`"),
    "pattern without anchors": (_field(0, pattern="[A-Z]+"), "text", "^"),
    "pattern malformed": (_field(0, pattern="^[$"), "text", "pattern"),
    "length past the limit": (_field(0, max_length=20_001), "text", "max_length"),
    "min past max": (_field(0, min_length=5, max_length=4), "text", "min_length"),
    "codes of an int": (_field(1, type="int"), "code", "no codes"),
    "range of a text": (_field(0, min=1), "text", "no min"),
    "const of a text": (_field(0, const=True), "text", "no const"),
    "record with a pattern": (_field(2, pattern="^x$"), "person", "no pattern"),
    "list without max_items": (_list_of("string"), "text", "max_items"),
    "list past the limit": (_list_of("string", max_items=1_025), "text", "max_items"),
    "max_items of a text": (_field(0, max_items=3), "text", "for arrays"),
    "list of lists": (_list_of({"type": "array", "items": "int"}, max_items=3), "text[]", "not taken"),
    "list of null": (_list_of("null", max_items=3), "text[]", "not taken"),
    "list of empty records": (_list_of(LOOP, max_items=3), "text[]", "zero bytes"),
    "list with a default": (_list_of("string", max_items=3, default=["x"]), "text", "default"),
    "list with a default and min_items": (_list_of("string", max_items=3, min_items=1, default=[]), "text", "default"),
    "enum without symbols": (_enum(symbols=[]), "text", "symbols"),
    "enum of too many symbols": (_enum(symbols=[f"S{n}" for n in range(65)]), "text", "symbols"),
    "enum with a symbol twice": (_enum(symbols=["ONE", "ONE"]), "text", "each once"),
    "enum with another default": (_enum(default="TWO"), "text", "default"),
    "decimal without precision": (_field(0, type={"type": "bytes", "logicalType": "decimal"}), "text", "precision"),
    "mandatory but not nullable": (_field(0, mandatory_on="personal"), "text", "nullable"),
    "mandatory on what": (_field(2, mandatory_on="money"), "person", "mandatory_on"),
    "a length in words": (_field(0, max_length="40"), "text", "`max_length` is a int"),
    "a length true": (_field(0, max_length=True), "text", "`max_length` is a int"),
    "a bound in words": (_field(1, type="int", codes=..., min="1"), "code", "`min` is a int or float"),
    "char_codes in words": (_field(0, char_codes="letters"), "text", "`char_codes` is a list"),
    "rule of no form": (_top(rules=[{"because": "x"}]), "", "rules"),
    "rule without because": (_top(rules=[{"require": ["person"]}]), "", "rules"),
    "rule over no field": (_top(rules=[{**RULE, "require": ["persn"]}]), "", "no field persn"),
    "rule when without in": (_top(rules=[{**RULE, "when": "code"}]), "", "`when`"),
    "rule with an unknown value": (_top(rules=[{**RULE, "when": "code", "in": ["C"]}]), "", "['C']"),
    "forbid without when": (_top(rules=[{"forbid": ["person"], "because": "x"}]), "", "`when`"),
    "order of one": (_top(rules=[{"order": ["text"], "because": "x"}]), "", "too few"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_with_file_and_field(fault: str, tmp_path: Path) -> None:
    change, field, words = FAULTS[fault]
    schema = copy.deepcopy(SCHEMA)
    change(schema)
    with pytest.raises(SchemaInvalid) as caught:
        Catalog.load(write(tmp_path, schema))
    assert words in caught.value.message
    assert "made.up.avsc" in caught.value.message
    assert caught.value.details["field"] == field


def test_a_record_within_itself_is_refused(tmp_path: Path) -> None:
    someone = copy.deepcopy(SOMEONE)
    someone["fields"].append(
        {"name": "friend", "type": ["null", "cgi.Someone"], "default": None, "compartment": "personal", "doc": "x"}
    )
    with pytest.raises(SchemaInvalid, match="within itself"):
        Catalog.load(write(tmp_path, someone=someone))


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ({**LETTERS, "source": " "}, "`source` is missing"),
        ({name: value for name, value in LETTERS.items() if name != "source"}, "`source` is missing"),
        ({**LETTERS, "codes": {}}, "`codes`"),
        ({**LETTERS, "codes": {"A": ""}}, "a code and what it means"),
        ({**LETTERS, "name": "ciphers"}, "the file says"),
        ({**LETTERS, "sauce": "x"}, "nothing else"),
        ([], "nothing else"),
        ("{", "letters.json"),
        (
            '{"name": "letters", "title": "t", "source": "s", "codes": {"A": "x", "A": "y"}}',
            "stands twice",
        ),
    ],
)
def test_a_bad_code_list_is_refused(letters: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaInvalid) as caught:
        Catalog.load(write(tmp_path, letters=letters))
    assert words in caught.value.message
    assert "letters.json" in caught.value.message


def _nested(levels: int) -> dict[str, Any]:
    inner: Any = "string"
    for level in range(levels):
        fields = [{"name": "next", "type": inner, "compartment": "core", "doc": "x"}]
        inner = {"type": "record", "name": f"Level{level}", "fields": fields}
    schema = copy.deepcopy(SCHEMA)
    schema["fields"].append({"name": "next", "type": inner, "compartment": "core", "doc": "x"})
    return schema


def test_records_within_records_have_a_limit(tmp_path: Path) -> None:
    Catalog.load(write(tmp_path, _nested(8)))
    with pytest.raises(SchemaInvalid, match="more than 8 records"):
        Catalog.load(write(tmp_path, _nested(9)))


def test_what_stands_in_personal_data_is_personal_data(tmp_path: Path) -> None:
    schema = copy.deepcopy(SCHEMA)
    inner = {
        "type": "record",
        "name": "Desk",
        "fields": [{"name": "name", "type": "string", "compartment": "core", "doc": "x"}],
    }
    desk = {"name": "desk", "type": inner, "compartment": "core", "personal": True, "doc": "x"}
    schema["fields"] += [desk, {**desk, "name": "plain", "personal": False}]
    fields = Catalog.load(write(tmp_path, schema)).get("made.up").fields
    assert fields["desk.name"].personal
    assert not fields["plain.name"].personal


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_double_without_a_range_is_a_number(value: float, tmp_path: Path) -> None:
    schema = copy.deepcopy(SCHEMA)
    schema["fields"] = [
        *SCHEMA["fields"][1:],
        {"name": "number", "type": "double", "compartment": "core", "doc": "x"},
    ]
    made = Catalog.load(write(tmp_path, schema)).get("made.up")
    body = {"code": "A", "person": None, "number": 1e308}
    assert made.validate(body) == body
    assert made.read(dict(zip(made.compartments, made.encode(body), strict=True))) == body
    with pytest.raises(FieldRange):
        made.validate({**body, "number": value})
    with pytest.raises(FieldRange):
        made.read(dict(zip(made.compartments, made.encode({**body, "number": value}), strict=True)))


def test_orphans_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    other = tmp_path / "codes" / "other.json"
    other.write_text(json.dumps({**LETTERS, "name": "other"}), "utf-8")
    with pytest.raises(SchemaInvalid, match=r"other\.json: no field uses"):
        Catalog.load(tmp_path)
    other.unlink()
    (tmp_path / "avro" / "common" / "Nobody.avsc").write_text(json.dumps({**SOMEONE, "name": "Nobody"}), "utf-8")
    with pytest.raises(SchemaInvalid, match=r"Nobody\.avsc: no event type uses"):
        Catalog.load(tmp_path)


def test_a_file_s_name_is_its_event_s(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.move(tmp_path / "avro" / "made.up.avsc", tmp_path / "avro" / "made.down.avsc")
    with pytest.raises(SchemaInvalid, match="the file says"):
        Catalog.load(tmp_path)


def test_no_schemas_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Catalog.load(tmp_path / "nowhere")
