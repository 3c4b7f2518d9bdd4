"""Version N+1 reads N; what cannot is refused when it is loaded; released versions do not change."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.catalog import (
    Catalog,
    EventInvalid,
    EvolutionBroken,
    FieldRange,
    SchemaInvalid,
    check_evolution,
    check_frozen,
    freeze,
)
from hub.errors import ConfigError
from hub.model import Compartment

ROOT = Path(__file__).resolve().parents[3] / "schemas"
CORE, PERSONAL, SENSITIVE = (Compartment(name) for name in ("core", "personal", "sensitive"))


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "Kind", "symbols": list(symbols), **more}


OLD: dict[str, Any] = {
    "type": "record",
    "name": "Made",
    "namespace": "cgi",
    "event": "made.up",
    "version": 1,
    "title": "Made up",
    "compartments": ["core", "personal", "sensitive"],
    "doc": "x",
    "source": "x",
    "fields": [
        {"name": "text", "type": "string", "compartment": "core", "max_length": 40, "doc": "x"},
        {"name": "kind", "type": enum("ONE", "TWO"), "compartment": "core", "doc": "x"},
        {"name": "code", "type": "string", "codes": "letters", "compartment": "core", "doc": "x"},
        {"name": "count", "type": "int", "min": 0, "max": 10, "unit": "piece", "compartment": "core", "doc": "x"},
        {"name": "form", "type": "string", "pattern": "^[A-Z]+$", "compartment": "core", "doc": "x"},
        {"name": "name", "type": ["null", "string"], "default": None, "compartment": "personal", "doc": "x"},
        {
            "name": "list",
            "max_items": 5,
            "compartment": "core",
            "doc": "x",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Item",
                    "fields": [{"name": "secret", "type": "string", "compartment": "sensitive", "doc": "x"}],
                },
            },
        },
    ],
}
BODY = {
    "text": "x", "kind": "ONE", "code": "A", "count": 3, "form": "X", "name": "Sample", "list": [{"secret": "s"}],
}  # fmt: skip
LETTERS = {"name": "letters", "title": "Letters", "source": "the alphabet", "codes": {"A": "first", "B": "second"}}


def write(folder: Path, schema: Any, codes: Any = LETTERS) -> Path:
    (folder / "avro").mkdir(parents=True, exist_ok=True)
    (folder / "codes").mkdir(exist_ok=True)
    (folder / "avro" / "made.up.avsc").write_text(json.dumps(schema), "utf-8")
    (folder / "codes" / "letters.json").write_text(json.dumps(codes), "utf-8")
    return folder


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A folder whose version 1 is in the history."""
    root = write(tmp_path, OLD)
    freeze(root)
    return root


def field(index: int, **changes: Any) -> Callable[[Any], None]:
    def change(schema: Any) -> None:
        for name, value in changes.items():
            if value is ...:
                schema["fields"][index].pop(name)
            else:
                schema["fields"][index][name] = value

    return change


def add(**made: Any) -> Callable[[Any], None]:
    return lambda schema: schema["fields"].append({"name": "new", "compartment": "core", "doc": "x", **made})


def nothing(_schema: Any) -> None:
    """A new version that says the same."""


INNER = {"name": "more", "type": "string", "compartment": "core", "doc": "x"}
RULE = {"require": ["name"], "because": "x"}

BROKEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "a new field without default": (add(type="string"), "new is new and has no default"),
    "a new inner field without default": (
        lambda schema: schema["fields"][6]["type"]["items"]["fields"].append(INNER),
        "more is new and has no default",
    ),
    "another type": (field(3, type="string", min=..., max=..., unit=...), "was int and is string"),
    "one became a list": (field(0, type={"type": "array", "items": "string"}, max_items=3), "was one"),
    "a list became one": (field(6, type="string", max_items=...), "was a list"),
    "null is not taken any more": (field(5, type="string", default=...), "could be null"),
    "a symbol went": (field(1, type=enum("ONE", "THREE")), "lost TWO"),
    "shorter": (field(0, max_length=39), "fewer lengths"),
    "not empty": (field(0, min_length=2), "fewer lengths"),
    "codes came": (field(0, codes="letters", max_length=...), "fewer codes"),
    "a pattern came": (field(0, pattern="^x$"), "another pattern"),
    "another pattern": (field(4, pattern="^[A-Y]+$"), "another pattern"),
    "a higher minimum": (field(3, min=1), "narrower range"),
    "a lower maximum": (field(3, max=9), "narrower range"),
    "another unit": (field(3, unit="dozen"), "another unit"),
    "a shorter list": (field(6, max_items=4), "fewer lengths"),
    "a list that is not empty": (field(6, min_items=1), "fewer lengths"),
    "personal became core": (field(5, compartment="core"), "a compartment never gets looser"),
    "sensitive became personal": (
        lambda schema: schema["fields"][6]["type"]["items"]["fields"][0].update(compartment="personal"),
        "a compartment never gets looser",
    ),
    "personal data became sensitive only": (field(5, compartment="sensitive"), "was personal data"),
    "stricter without default": (field(0, compartment="sensitive"), "it needs a default"),
    "mandatory now": (field(5, mandatory_on="personal"), "mandatory now"),
    "a new rule": (lambda schema: schema.update(rules=[RULE]), "a rule over name"),
    "compartments in another order": (
        lambda schema: schema.update(compartments=["personal", "core", "sensitive"]),
        "compartments",
    ),
}


def newer(change: Callable[[Any], None]) -> dict[str, Any]:
    schema = copy.deepcopy(OLD)
    schema["version"] = 2
    change(schema)
    return schema


@pytest.mark.parametrize("case", BROKEN)
def test_an_incompatible_version_is_refused(case: str, released: Path) -> None:
    change, words = BROKEN[case]
    with pytest.raises(EvolutionBroken) as caught:
        Catalog.load(write(released, newer(change)))
    assert isinstance(caught.value, ConfigError)
    assert words in caught.value.message
    assert any(words in problem for problem in caught.value.problems)


COMPATIBLE: dict[str, tuple[Callable[[Any], None], dict[str, Any]]] = {
    "the same": (nothing, {}),
    "a new nullable field": (add(type=["null", "int"], default=None), {"new": None}),
    "a new list": (add(type={"type": "array", "items": "int"}, max_items=3, default=[]), {"new": []}),
    "a new flag": (add(type="boolean", default=False), {"new": False}),
    "a new kind": (add(type=enum("A", "B"), default="B"), {"new": "B"}),
    "a field less": (lambda schema: schema["fields"].pop(0), {"text": ...}),
    "null is taken": (field(0, type=["null", "string"], default=None), {}),
    "a new symbol": (field(1, type=enum("ZERO", "ONE", "TWO")), {}),
    "a symbol less, with a default": (field(1, type=enum("OTHER", "TWO", default="OTHER")), {"kind": "OTHER"}),
    "an enum became text": (field(1, type="string"), {}),
    "wider": (field(3, min=-5, max=100), {}),
    "a long": (field(3, type="long"), {}),
    "a double": (field(3, type="double"), {"count": 3.0}),
    "longer": (field(0, max_length=400), {}),
    "no pattern": (field(4, pattern=...), {}),
    "stricter compartment": (field(0, compartment="sensitive", type=["null", "string"], default=None), {}),
    "a rule over new fields": (
        lambda schema: (
            add(type=["null", "int"], default=None)(schema),
            schema.update(rules=[{"when": "kind", "in": ["TWO"], "forbid": ["new"], "because": "x"}]),
        ),
        {"new": None},
    ),
}


@pytest.mark.parametrize("case", COMPATIBLE)
def test_a_compatible_version_reads_the_old_one(case: str, released: Path) -> None:
    change, differences = COMPATIBLE[case]
    old = Catalog.load(released).get("made.up")
    sections = dict(zip(old.compartments, old.encode(old.validate(BODY)), strict=True))
    new = Catalog.load(write(released, newer(change))).get("made.up")
    assert new.versions == (1, 2)
    body = new.read(sections, 1)
    expected = {**BODY, **differences}
    assert body == {name: value for name, value in expected.items() if value is not ...}
    new.validate_granted(body, new.compartments)
    assert new.decode(sections, 1) == body


def test_a_field_that_was_closed_is_not_shown_to_those_who_held_it_open(released: Path) -> None:
    old = Catalog.load(released).get("made.up")
    core = old.encode(old.validate(BODY))[0]
    new = Catalog.load(write(released, newer(COMPATIBLE["stricter compartment"][0]))).get("made.up")
    assert new.read({CORE: core}, 1) == {
        "kind": "ONE", "code": "A", "count": 3, "form": "X",
    }  # fmt: skip
    assert old.read({CORE: core}, 1)["text"] == "x"


def test_a_record_that_a_holder_sees_only_now_has_its_defaults(tmp_path: Path) -> None:
    inner = [{"name": "open", "type": "string", "compartment": "core", "doc": "x"}]
    record = {"name": "record", "type": {"type": "record", "name": "Inner", "fields": inner}, "compartment": "core"}
    before = {**OLD, "fields": [*OLD["fields"], {**record, "doc": "x"}]}
    root = write(tmp_path, before)
    freeze(root)
    old = Catalog.load(root).get("made.up")
    sections = dict(zip(old.compartments, old.encode(old.validate({**BODY, "record": {"open": "x"}})), strict=True))
    after = copy.deepcopy(before)
    after["version"] = 2
    after["fields"][7]["type"]["fields"].append(
        {"name": "closed", "type": ["null", "string"], "default": None, "compartment": "sensitive", "doc": "x"}
    )
    new = Catalog.load(write(root, after)).get("made.up")
    assert new.read({SENSITIVE: sections[SENSITIVE]}, 1)["record"] == {"closed": None}
    assert new.read(sections, 1)["record"] == {"open": "x", "closed": None}


def test_what_an_older_version_leaves_open_is_judged(tmp_path: Path) -> None:
    before = copy.deepcopy(OLD)
    before["fields"][6] |= {"min_items": 1}
    items = before["fields"][6]["type"]["items"]["fields"]
    items[0] |= {"name": "open", "compartment": "core"}
    before["fields"][0] |= {"compartment": "sensitive"}
    root = write(tmp_path, before)
    freeze(root)
    old = Catalog.load(root).get("made.up")
    sections = dict(zip(old.compartments, old.encode(old.validate({**BODY, "list": [{"open": "x"}]})), strict=True))
    after = copy.deepcopy(before)
    after["version"] = 2
    after["fields"][6]["type"]["items"]["fields"].append(
        {"name": "closed", "type": ["null", "string"], "default": None, "compartment": "sensitive", "doc": "x"}
    )
    new = Catalog.load(write(root, after)).get("made.up")
    assert new.read(sections, 1)["list"] == [{"open": "x", "closed": None}]
    # a holder of `sensitive` alone cannot know how many items there are: what cannot be made whole is refused
    with pytest.raises(FieldRange):
        new.read({SENSITIVE: sections[SENSITIVE]}, 1)


def test_the_new_version_s_bytes_are_its_own(released: Path) -> None:
    old = Catalog.load(released).get("made.up")
    sections = dict(zip(old.compartments, old.encode(old.validate(BODY)), strict=True))
    new = Catalog.load(write(released, newer(add(type=["null", "int"], default=None)))).get("made.up")
    with pytest.raises(EventInvalid):
        new.read(sections, 2)


def test_check_evolution_wants_a_later_version_of_the_same_type(released: Path) -> None:
    schema = Catalog.load(released).get("made.up").schema
    with pytest.raises(EvolutionBroken, match="not a later version"):
        check_evolution(schema, schema)


# --- the history ------------------------------------------------------------------------------------------------------


def test_the_repository_s_schemas_stand_in_their_history() -> None:
    check_frozen(ROOT)


def test_a_released_version_does_not_change(released: Path) -> None:
    check_frozen(released)
    changed = copy.deepcopy(OLD)
    changed["fields"][0]["max_length"] = 41
    write(released, changed)
    with pytest.raises(EvolutionBroken, match="give it version 2"):
        check_frozen(released)
    with pytest.raises(EvolutionBroken, match="give it version 2"):
        freeze(released)


def test_a_new_version_is_frozen_once(released: Path) -> None:
    write(released, newer(field(0, max_length=41)))
    with pytest.raises(EvolutionBroken, match="hub catalog freeze"):
        check_frozen(released)
    assert [path.name for path in freeze(released)] == ["v2.avsc"]
    check_frozen(released)
    assert freeze(released) == ()
    assert Catalog.load(released).get("made.up").versions == (1, 2)


def test_a_code_is_never_taken_away(released: Path) -> None:
    write(released, OLD, {**LETTERS, "codes": {"A": "first"}})
    with pytest.raises(EvolutionBroken, match="lost B"):
        check_frozen(released)
    with pytest.raises(EvolutionBroken, match="lost B"):
        freeze(released)
    write(released, OLD, {**LETTERS, "codes": {"A": "first", "B": "second", "C": "third"}})
    with pytest.raises(EvolutionBroken, match="has a code"):
        check_frozen(released)
    freeze(released)
    check_frozen(released)


def test_a_history_of_another_type_is_refused(released: Path) -> None:
    history = released / "avro" / "history" / "made.up"
    (history / "v1.avsc").rename(history / "v3.avsc")
    with pytest.raises(SchemaInvalid, match="version 1"):
        Catalog.load(released)


def test_shared_records_are_written_out_in_the_history() -> None:
    text = (ROOT / "avro" / "history" / "trace.request" / "v1.avsc").read_text("utf-8")
    assert "cgi.Firearm" not in text
    assert "serial_raw" in text
