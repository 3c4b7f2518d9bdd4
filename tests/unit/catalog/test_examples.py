"""Every example of schemas/examples: valid ones go round, invalid ones are refused with their code and field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.catalog import EventInvalid
from hub.document import encode_event, parse_document
from tests.support.samples import EXAMPLES, catalog, example_files

TYPES = catalog().names()
VALID = [path for name in TYPES for path in example_files(name, "valid")]
INVALID = [path for name in TYPES for path in example_files(name, "invalid")]


def _id(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


@pytest.mark.parametrize("name", TYPES)
def test_each_type_has_enough_examples(name: str) -> None:
    assert len(example_files(name, "valid")) >= 3
    assert len(example_files(name, "invalid")) >= 5


def test_no_orphan_examples() -> None:
    assert {folder.name for folder in EXAMPLES.iterdir()} == set(TYPES)
    for path in EXAMPLES.rglob("*.json"):
        assert path.parent.name in ("valid", "invalid")


@pytest.mark.parametrize("path", VALID, ids=_id)
def test_valid(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    event = parse_document(document, catalog())
    assert event.event_type == path.parts[-3]
    event_type = catalog().get(event.event_type)
    sections = dict(zip(event_type.compartments, event_type.encode(event.body), strict=True))
    body = event_type.decode(sections, event_type.version)
    assert body == event.body
    event_type.validate_granted(body, event_type.compartments)
    event_type.model.model_validate(body)
    again = parse_document(json.loads(json.dumps(encode_event(event))), catalog())
    assert again == event


@pytest.mark.parametrize("path", INVALID, ids=_id)
def test_invalid(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    assert set(case) == {"expect", "document"}
    with pytest.raises(EventInvalid) as caught:
        parse_document(case["document"], catalog())
    found = {"code": caught.value.code, "field": caught.value.details["field"]}
    assert found == case["expect"], caught.value.diagnostics()
