"""The specification and the code name the same things: error codes, clauses, frames, limits (docs/spec)."""

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
