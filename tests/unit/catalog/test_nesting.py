"""What stands below a closed field shows nobody that it is there: docs/adr/0115."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from hub.catalog import Catalog, EventInvalid, EventType, SchemaInvalid
from hub.catalog.codes import load_code_lists, read_json
from hub.catalog.frozen import load_shared
from hub.catalog.nesting import check_nesting, without_unmet
from hub.catalog.schema import SchemaParser
from hub.model import Compartment
from tests.support.samples import catalog, sample_event
from tests.unit.catalog.test_evolution import OLD, write

ROOT = Path(__file__).resolve().parents[3] / "schemas"
CORE, PERSONAL, SENSITIVE, AFFILIATION = map(Compartment, ("core", "personal", "sensitive", "affiliation"))
SEIZURE = catalog().get("seizure.report")


def persons(second: str, **schema: Any) -> dict[str, Any]:
    """A schema with a personal list whose items have a field of the compartment ``second``."""
    made: dict[str, Any] = copy.deepcopy(OLD)
    made["compartments"] = ["core", "personal", "sensitive", "affiliation"]
    inner = [
        {"name": "name", "type": "string", "compartment": "personal", "doc": "x"},
        {"name": "gang", "type": ["null", "string"], "default": None, "compartment": second, "doc": "x"},
    ]
    items = {"type": "record", "name": "Person", "fields": inner}
    made["fields"].append(
        {
            "name": "persons",
            "type": {"type": "array", "items": items},
            "default": [],
            "max_items": 5,
            "compartment": "personal",
            "doc": "x",
        }
    )
    return {**made, **schema}


def test_a_later_compartment_below_a_closed_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaInvalid, match=r"persons\[\]\.gang: it is in sensitive, below a field of personal"):
        Catalog.load(write(tmp_path, persons("sensitive")))
    with pytest.raises(SchemaInvalid, match="or into a compartment that `needs` personal"):
        Catalog.load(write(tmp_path, persons("affiliation", needs={"affiliation": ["sensitive"]})))


def test_one_that_needs_it_may_stand_there(tmp_path: Path) -> None:
    made = Catalog.load(write(tmp_path, persons("affiliation", needs={"affiliation": ["personal"]}))).get("made.up")
    assert made.needs == {"affiliation": ("personal",)}
    assert Catalog.load(write(tmp_path, persons("personal"))).get("made.up").needs == {}


@pytest.mark.parametrize(
    "needs",
    [
        {"affiliation": []},
        {"affiliation": ["affiliation"]},
        {"affiliation": ["secret"]},
        {"personal": ["sensitive"]},
        {"secret": ["core"]},
        {"affiliation": "personal"},
        ["affiliation"],
    ],
)
def test_needs_names_earlier_compartments(needs: Any, tmp_path: Path) -> None:
    with pytest.raises(SchemaInvalid):
        Catalog.load(write(tmp_path, persons("affiliation", needs=needs)))


def test_what_a_compartment_needs_never_gets_less(tmp_path: Path) -> None:
    both = persons("affiliation", needs={"affiliation": ["personal", "sensitive"]})
    folder = write(tmp_path, both)
    history = folder / "avro" / "history" / "made.up"
    history.mkdir(parents=True)
    (history / "v1.avsc").write_text(json.dumps(both))
    with pytest.raises(Exception, match="affiliation needs less than it did"):
        Catalog.load(write(tmp_path, persons("affiliation", needs={"affiliation": ["personal"]}, version=2)))


def test_the_first_version_broke_the_rule_and_stands() -> None:
    parser = SchemaParser(load_shared(ROOT / "avro" / "common"), load_code_lists(ROOT / "codes"))
    path = ROOT / "avro" / "history" / "seizure.report" / "v1.avsc"
    with pytest.raises(SchemaInvalid, match=r"persons\[\]\.gang"):
        check_nesting(parser.parse(read_json(path), str(path)))


@pytest.mark.parametrize(
    ("granted", "kept"),
    [
        ((CORE, PERSONAL, SENSITIVE, AFFILIATION), (CORE, PERSONAL, SENSITIVE, AFFILIATION)),
        ((CORE, SENSITIVE, AFFILIATION), (CORE, SENSITIVE)),
        ((CORE, PERSONAL, AFFILIATION), (CORE, PERSONAL)),
        ((AFFILIATION,), ()),
        ((CORE,), (CORE,)),
    ],
)
def test_what_needs_another_goes_without_it(granted: Any, kept: Any) -> None:
    assert without_unmet(granted, SEIZURE.needs) == kept


# --- seizure.report, version 2, and what version 1 wrote --------------------------------------------------------------


def body() -> dict[str, Any]:
    found = copy.deepcopy(dict(sample_event("seizure.report", 1).body))
    assert found["persons"]
    found["persons"] = [{**found["persons"][0], "gang": "Any Gang"}, {**found["persons"][0], "gang": None}]
    return SEIZURE.validate(found)


def first_version() -> EventType:
    parser = SchemaParser(load_shared(ROOT / "avro" / "common"), load_code_lists(ROOT / "codes"))
    path = ROOT / "avro" / "history" / "seizure.report" / "v1.avsc"
    return EventType(parser.parse(read_json(path), str(path)))


def of_version_1(*granted: Compartment) -> dict[Compartment, bytes]:
    first = first_version()
    found = body()
    found["header"] = {name: value for name, value in found["header"].items() if name != "trace_context"}
    sections = dict(zip(first.compartments, first.encode(first.validate(found)), strict=True))
    return {compartment: sections[compartment] for compartment in granted}


def of_version_2(*granted: Compartment) -> dict[Compartment, bytes]:
    sections = dict(zip(SEIZURE.compartments, SEIZURE.encode(body()), strict=True))
    return {compartment: sections[compartment] for compartment in granted}


def test_sensitive_alone_shows_no_person() -> None:
    seen = SEIZURE.read(of_version_2(CORE, SENSITIVE))
    assert "persons" not in seen
    assert "concealment" in seen
    assert b"Any Gang" not in b"".join(of_version_2(CORE, PERSONAL, SENSITIVE).values())
    # neither their number: two persons or none, the sensitive section is the same
    nobody = SEIZURE.validate({**body(), "persons": []})
    assert (
        dict(zip(SEIZURE.compartments, SEIZURE.encode(nobody), strict=True))[SENSITIVE]
        == (of_version_2(SENSITIVE)[SENSITIVE])
    )


def test_who_has_all_sees_all() -> None:
    assert SEIZURE.read(of_version_2(CORE, PERSONAL, SENSITIVE, AFFILIATION)) == body()
    seen = SEIZURE.read(of_version_2(CORE, PERSONAL, SENSITIVE))
    assert [set(person) & {"gang", "names"} for person in seen["persons"]] == [{"names"}, {"names"}]


def test_an_event_of_version_1_keeps_its_gangs_for_who_has_both_and_loses_them_for_others() -> None:
    whole = SEIZURE.read(of_version_1(CORE, PERSONAL, SENSITIVE), 1)
    assert [person["gang"] for person in whole["persons"]] == ["Any Gang", None]
    assert "persons" not in SEIZURE.read(of_version_1(CORE, SENSITIVE), 1)
    part = SEIZURE.read(of_version_1(CORE, PERSONAL), 1)
    assert [set(person) & {"gang", "names"} for person in part["persons"]] == [{"names"}, {"names"}]
    assert whole["header"]["trace_context"] is None


def test_a_trace_context_has_its_form() -> None:
    context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    valid = SEIZURE.validate({**body(), "header": {**body()["header"], "trace_context": context}})
    assert valid["header"]["trace_context"] == context
    for wrong in (context.upper(), context[:-1], f"01{context[2:]}", f"{context[:-2]}ff", f"{context} AB123456"):
        with pytest.raises(EventInvalid):
            SEIZURE.validate({**body(), "header": {**body()["header"], "trace_context": wrong}})
