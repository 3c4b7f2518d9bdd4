"""YAML whose scalars are text and whose places know their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.toolkit.errors import ProfileInvalid
from connectors.toolkit.lined_yaml import LinedYaml, load_yaml


def test_scalars_are_what_is_written() -> None:
    value = LinedYaml("NO: yes\na: 0911\nb: 2025-03-04\nc: 1_000\nd: ~\n", "x").value
    assert value == {"NO": "yes", "a": "0911", "b": "2025-03-04", "c": "1_000", "d": "~"}


def test_every_place_knows_its_line() -> None:
    document = LinedYaml("a: 1\nb:\n  - x: 1\n    y:\n      z: 2\n", "p.yaml")
    assert document.at(["b", 0, "y", "z"]) == "p.yaml:5"
    assert document.at(["b", 0, "y", "nowhere"]) == "p.yaml:4"
    assert document.at(["elsewhere"]) == "p.yaml:1"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("a: &x [1]\nb: *x\n", 1, "anchors"),
        ("a: [1\nb: 2\n", 2, ""),
        ("- a\n", 1, "mapping"),
        ("", 1, "mapping"),
        ("[a]: 1\n", 1, ""),
        ("{a: b}: 1\n", 1, "name"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", 1, "deep"),
    ],
)
def test_what_is_refused_names_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        LinedYaml(text, "p.yaml")
    assert caught.value.message.startswith(f"p.yaml:{line}:")
    assert message in caught.value.message


def test_no_python_objects_are_made() -> None:
    assert LinedYaml('a: !!python/object/apply:os.system ["true"]\n', "x").value == {"a": ["true"]}


def test_a_file_that_is_not_there_or_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        load_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        load_yaml(tmp_path / "latin.yaml")


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(ProfileInvalid, match="nested too deep"):
        LinedYaml("a: " + "[" * 100_000, "p.yaml")
