"""The committed files are what the generator makes, and what becomes of them is what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.jsonl_file import JsonlReader
from connectors.mapping.mapper import load_mapper
from connectors.toolkit import Taken
from connectors.toolkit.report import encode_refusal
from examples.generate import HERE, make_all, table, write
from examples.generator.tables import MadeFile
from tests.support.samples import catalog


@pytest.fixture(scope="module")
def made() -> Sequence[MadeFile]:
    return make_all()


def test_the_committed_files_are_the_generators(tmp_path: Path) -> None:
    write(tmp_path)
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for path, data in fresh.items():
        assert (HERE / path).read_bytes() == data, f"{path}: run python -m examples.generate"
    assert sum(len(data) for data in fresh.values()) < 2_000_000


def test_the_readme_has_the_table(made: Sequence[MadeFile]) -> None:
    assert table(list(made)) in (HERE / "README.md").read_text("utf-8")


def test_every_bad_row_stands_in_the_list(made: Sequence[MadeFile]) -> None:
    listed = json.loads((HERE / "expected.json").read_text("utf-8"))
    assert {path: len(entry["refused"]) for path, entry in listed.items()} == {m.path: len(m.bad) for m in made}


@pytest.mark.parametrize("number", range(len(make_all())), ids=lambda number: make_all()[number].path)
def test_each_file_gives_its_events_and_its_refusals(number: int, made: Sequence[MadeFile]) -> None:
    file = made[number]
    reader = load_mapper(file.profile, HERE, catalog()) if file.profile else JsonlReader("x", (), catalog())
    units = list(reader.read(file.data, Path("r")))
    taken = [unit for unit in units if isinstance(unit, Taken)]
    lines = [encode_refusal(item.origin, item.error) for unit in units if isinstance(unit, list) for item in unit]
    found = sorted((line["row"], line["code"], line["column"]) for line in lines)
    assert found == sorted((bad.row, bad.code, bad.column) for bad in file.bad)
    assert len(taken) == file.events
    assert len({item.key for item in taken}) == file.events
    for item in taken:
        kind = catalog().get(item.event.event_type)
        kind.encode(item.event.body)
        assert item.event.expires_at_ms > datetime(2027, 6, 1, tzinfo=UTC).timestamp() * 1000
