"""The specification and the code name the same things: error codes, clauses, frames, limits (docs/spec)."""

import json
import re
from pathlib import Path

import pytest

from hub.errors import RejectedError, UnavailableError
from hub.trust import checks, composite, kem, replay, sections, sequence, stub, verify
from hub.trust import open as opening
from hub.wire import avro, bundle, frames, header, merkle

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "docs" / "spec"
PARTS = ("bundle.md", "checks.md", "sequences.md")
CLAUSES = set(re.findall(r"^(\d+\.\d+) ", "\n".join((SPEC / part).read_text() for part in PARTS), re.MULTILINE))
DIRECTORY_CLAUSES = set(re.findall(r"^(\d+\.\d+) ", (SPEC / "directory.md").read_text(), re.MULTILINE))
MODULES = (
    checks, composite, kem, opening, replay, sections, sequence, stub, verify, avro, bundle, frames, header, merkle,
)  # fmt: skip
NOT_OF_A_RECORD = {"key.malformed", "section.too_large"}
"""Of a key in a statement; of a draft before it is sealed."""


def test_clauses_are_numbered_without_holes() -> None:
    for chapter in {clause.split(".")[0] for clause in CLAUSES}:
        numbers = sorted(int(clause.split(".")[1]) for clause in CLAUSES if clause.split(".")[0] == chapter)
        assert numbers == list(range(1, len(numbers) + 1)), chapter
    assert {int(clause.split(".")[0]) for clause in CLAUSES} == set(range(1, 15))


@pytest.mark.parametrize("path", sorted((ROOT / "hub").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_cited_clause_exists(path: Path) -> None:
    text = path.read_text()
    cited = re.findall(r"\(?(?:docs/)?spec((?:,? (?:and |to )?\d+\.\d+)+)", text)
    numbers = {number for group in cited for number in re.findall(r"\d+\.\d+", group)}
    assert numbers <= CLAUSES, numbers - CLAUSES


CITING = [
    *(path for folder in ("hub", "tests", "connectors", "deploy") for path in (ROOT / folder).rglob("*.py")),
    *(ROOT / "docs").rglob("*.md"),
]


def test_every_cited_clause_of_the_directory_exists() -> None:
    wrong = {}
    for path in CITING:
        cited = re.findall(r"\bdirectory(?:,)? ((?:,? ?(?:and |to )?\d{1,2}\.\d{1,2}\b)+)", path.read_text())
        numbers = {number for group in cited for number in re.findall(r"\d+\.\d+", group)}
        if numbers - DIRECTORY_CLAUSES:
            wrong[str(path.relative_to(ROOT))] = numbers - DIRECTORY_CLAUSES
    assert wrong == {}


def test_every_clause_of_a_vector_of_the_directory_exists() -> None:
    files = (ROOT / "tests" / "vectors" / "directory").glob("*.json")
    cited = {json.loads(file.read_text())["clause"].removeprefix("directory ") for file in files}
    assert cited <= DIRECTORY_CLAUSES
    # Those of 4.5 to 4.7, 7.4 and 7.7 decide records; 6.7 is of a clock that moves, 7.8 of who signs.
    of_a_reader = {
        clause for clause in DIRECTORY_CLAUSES if clause.split(".")[0] in ("2", "3", "4", "5", "6", "7", "10")
    }
    assert of_a_reader - cited == {"4.5", "4.6", "4.7", "6.7", "7.4", "7.7", "7.8"}


def test_clauses_of_the_directory_are_numbered_without_holes() -> None:
    for chapter in {clause.split(".")[0] for clause in DIRECTORY_CLAUSES}:
        numbers = sorted(int(clause.split(".")[1]) for clause in DIRECTORY_CLAUSES if clause.split(".")[0] == chapter)
        assert numbers == list(range(1, len(numbers) + 1)), chapter


def test_every_code_stands_in_the_table() -> None:
    table = (SPEC / "checks.md").read_text().split("## 14 ")[1]
    codes = {
        value.code
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, RejectedError | UnavailableError)
        and value.__module__ == module.__name__
    }
    assert codes - NOT_OF_A_RECORD <= set(re.findall(r"`([a-z_]+\.[a-z_]+)`", table))


def test_every_frame_stands_in_the_table() -> None:
    text = (SPEC / "bundle.md").read_text()
    for module in (frames, bundle):
        for name, kind in vars(module).items():
            if name.endswith("_KIND"):
                assert f"`{kind.decode()}`" in text
