"""YAML in which every scalar is text and every place knows its line.

YAML 1.1 reads ``NO`` as false, ``2025-03-04`` as a date and ``012`` as ten: in a table of codes each of these is a
trap. Here a scalar is what is written; the model that is filled from it says what it is to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from connectors.toolkit.errors import ProfileInvalid

MAX_YAML_CHARACTERS = 1_000_000
MAX_DEPTH = 32


class LinedYaml:
    """A parsed document: ``value`` (dicts, lists, str), and the line of each place in it."""

    def __init__(self, text: str, name: str) -> None:
        """Parses ``text``; ``name`` stands in messages. Raises ``ProfileInvalid`` with file and line."""
        self.name = name
        self._lines: dict[tuple[str | int, ...], int] = {}
        if len(text) > MAX_YAML_CHARACTERS:
            raise ProfileInvalid(f"{name}: larger than {MAX_YAML_CHARACTERS} characters")
        try:
            node = yaml.compose(text, Loader=yaml.BaseLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ProfileInvalid(f"{name}:{line}: {error.problem}") from error
        except RecursionError as error:
            raise ProfileInvalid(f"{name}: nested too deep") from error
        except yaml.YAMLError as error:
            raise ProfileInvalid(f"{name}: {error}") from error
        if not isinstance(node, yaml.MappingNode):
            raise ProfileInvalid(f"{name}:1: a mapping of names to values is wanted")
        self._seen: set[int] = set()
        self.value: dict[str, Any] = self._build(node, ())

    def at(self, place: Sequence[str | int]) -> str:
        """``file:line`` of the place, or of the nearest one above it."""
        path = tuple(place)
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.name}:{self._lines.get(path, 1)}"

    def _build(self, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(path, line)
        if len(path) > MAX_DEPTH:
            raise ProfileInvalid(f"{self.name}:{line}: nested too deep")
        if isinstance(node, yaml.ScalarNode):
            return node.value
        if id(node) in self._seen:  # an alias: nine lines of them can stand for a billion items
            raise ProfileInvalid(f"{self.name}:{line}: anchors and aliases are not used in a profile")
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._build(child, (*path, index)) for index, child in enumerate(node.value)]
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ProfileInvalid(f"{self.name}:{key_line}: a name is wanted before the colon")
            key = str(key_node.value)
            if key in built:
                raise ProfileInvalid(f"{self.name}:{key_line}: {key!r} stands here twice")
            self._lines[(*path, key)] = key_line
            built[key] = self._build(value_node, (*path, key))
        return built


def load_yaml(path: Path) -> LinedYaml:
    """Parse a file. Raises ``ProfileInvalid`` (missing, not UTF-8, not YAML)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileInvalid(f"{path}: cannot be read: {error}") from error
    return LinedYaml(text, str(path))
