"""Each form of rule, whole and in part; the quick question and the full answer agree."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from hub.catalog import Catalog, EventInvalid, EventType, RuleBroken
from hub.model import Compartment
from tests.support.samples import catalog, sample_event

CORE, PERSONAL, SENSITIVE = (Compartment(name) for name in ("core", "personal", "sensitive"))


def field(name: str, kind: Any = "string", compartment: str = "core", **more: Any) -> dict[str, Any]:
    made = {"name": name, "type": ["null", kind], "default": None, "compartment": compartment, "doc": name, **more}
    if isinstance(kind, dict) and kind.get("type") == "array":
        made |= {"type": kind, "default": [], "max_items": 5}
    return made


def made_up(tmp_path: Path, rules: list[Any], fields: list[Any]) -> EventType:
    (tmp_path / "avro").mkdir()
    (tmp_path / "codes").mkdir()
    letters = {"name": "letters", "title": "Letters", "source": "the alphabet", "codes": {"A": "first"}}
    if any("list" in rule for rule in rules):
        (tmp_path / "codes" / "letters.json").write_text(json.dumps(letters), "utf-8")
    schema = {
        "type": "record", "name": "Made", "namespace": "cgi", "event": "made.up", "version": 1, "title": "Made up",
        "compartments": ["core", "personal", "sensitive"], "doc": "x", "source": "x", "rules": rules, "fields": fields,
    }  # fmt: skip
    (tmp_path / "avro" / "made.up.avsc").write_text(json.dumps(schema), "utf-8")
    return Catalog.load(tmp_path).get("made.up")


A, B, C = field("a"), field("b"), field("c", compartment="sensitive")
MANY = field("many", {"type": "array", "items": "string"})
INNER = field(
    "inner",
    {"type": "record", "name": "Inner", "fields": [A, field("paths", {"type": "array", "items": "string"})]},
)
NUMBERS = [field("low", "int"), field("high", "int")]
PATHS = field(
    "owners",
    {
        "type": "array",
        "items": {
            "type": "record",
            "name": "Owner",
            "fields": [{"name": "path", "type": "string", "compartment": "core", "doc": "x"}],
        },
    },
)

CASES: dict[str, tuple[list[Any], list[Any], dict[str, Any], dict[str, Any], str]] = {
    # name: rules, fields, a body that holds, one that breaks, the field that is named
    "require": ([{"require": ["a"]}], [A, B], {"a": "x"}, {"b": "x"}, "a"),
    "require a list": ([{"require": ["many"]}], [MANY], {"many": ["x"]}, {"many": []}, "many"),
    "require within": ([{"require": ["inner.a"]}], [INNER], {"inner": {"a": "x"}}, {"inner": {}}, "inner.a"),
    "require within null": ([{"require": ["inner.a"]}], [INNER], {"inner": {"a": "x"}}, {}, "inner.a"),
    "when": ([{"when": "a", "in": ["x", "y"], "require": ["b"]}], [A, B], {"a": "z"}, {"a": "y"}, "b"),
    "when within": ([{"when": "inner.a", "in": ["x"], "require": ["b"]}], [INNER, B], {}, {"inner": {"a": "x"}}, "b"),
    "forbid": ([{"when": "a", "in": ["x"], "forbid": ["b"]}], [A, B], {"a": "x"}, {"a": "x", "b": "y"}, "b"),
    "forbid a list": (
        [{"when": "a", "in": ["x"], "forbid": ["many"]}], [A, MANY], {"a": "x"}, {"a": "x", "many": ["y"]}, "many",
    ),
    "codes": (
        [{"when": "a", "in": ["x"], "codes": "b", "list": "letters"}], [A, B], {"a": "x", "b": "A"},
        {"a": "x", "b": "Z"}, "b",
    ),
    "any_of": ([{"any_of": ["a", "many"]}], [A, MANY], {"many": ["x"]}, {"many": []}, "a"),
    "together": ([{"together": ["a", "b"]}], [A, B], {}, {"b": "x"}, "a"),
    "together, the other": ([{"together": ["a", "b"]}], [A, B], {"a": "x", "b": "x"}, {"a": "x"}, "b"),
    "order": ([{"order": ["low", "high"]}], NUMBERS, {"low": 1, "high": 1}, {"low": 2, "high": 1}, "high"),
    "order with one": ([{"order": ["low", "high"]}], NUMBERS, {"low": 9}, {"low": 0, "high": -1}, "high"),
    "paths": (
        [{"paths": "owners[].path"}], [A, PATHS], {"owners": [{"path": "owners[].path"}]},
        {"owners": [{"path": "a"}, {"path": "z"}]}, "owners[1].path",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_form(case: str, tmp_path: Path) -> None:
    rules, fields, good, bad, named = CASES[case]
    event_type = made_up(tmp_path, [{**rule, "because": "of tests"} for rule in rules], fields)
    body = event_type.validate(good)
    assert event_type.read(dict(zip(event_type.compartments, event_type.encode(body), strict=True))) == body
    with pytest.raises(EventInvalid) as caught:
        event_type.validate(bad)
    assert caught.value.code == ("event.code_unknown" if "codes" in rules[0] else "event.rule_broken")
    assert caught.value.details["field"] == named
    assert "of tests" in caught.value.message


def test_a_rule_waits_for_all_its_fields(tmp_path: Path) -> None:
    rule = {"when": "a", "in": ["x"], "require": ["c"], "because": "of tests"}
    event_type = made_up(tmp_path, [rule], [A, C])
    event_type.validate_granted({"a": "x"}, (CORE,))
    with pytest.raises(RuleBroken):
        event_type.validate_granted({"a": "x", "c": None}, (CORE, SENSITIVE))


def test_rules_of_items_name_the_item() -> None:
    body = copy.deepcopy(dict(sample_event("seizure.report", 1).body))
    body["firearms"][2]["serial_pattern"] = None
    with pytest.raises(RuleBroken) as caught:
        catalog().get("seizure.report").validate(body)
    assert caught.value.details["field"] == "firearms[2].serial_pattern"


@pytest.mark.parametrize("mandatory", ["legal_basis_id", "purge_by"])
def test_personal_data_needs_its_legal_basis(mandatory: str) -> None:
    seizure = catalog().get("seizure.report")
    plain = dict(sample_event("seizure.report", 1).body)
    assert plain["header"][mandatory] is not None or not plain["persons"]
    bare = copy.deepcopy(plain)
    bare["header"][mandatory] = None
    bare["persons"] = []
    bare["header"]["contact"] = None
    bare["place"]["address"] = None
    seizure.validate(bare)
    for touch in (
        lambda body: body.update(persons=[{"role": "SUSPECT"}]),
        lambda body: body["place"].update(address="1 Example Street"),
        lambda body: body["header"].update(contact={"name": "A desk"}),
    ):
        touched = copy.deepcopy(bare)
        touch(touched)
        with pytest.raises(RuleBroken, match="personal data") as caught:
            seizure.validate(touched)
        assert caught.value.details["field"].startswith("header.")


def test_personal_data_needs_its_legal_basis_in_a_part_too() -> None:
    seizure = catalog().get("seizure.report")
    event = sample_event("seizure.report", 1)
    sections = dict(zip(seizure.compartments, seizure.encode(event.body), strict=True))
    part = seizure.read({name: sections[name] for name in (CORE, PERSONAL)})
    part["header"]["purge_by"] = None
    with pytest.raises(RuleBroken):
        seizure.validate_granted(part, (CORE, PERSONAL))
    # a holder of persons alone does not see the header's core part, and is not asked for it
    seizure.validate_granted(seizure.read({PERSONAL: sections[PERSONAL]}), (PERSONAL,))
