"""Code lists: data files in ``schemas/codes``, each with its source."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.catalog.errors import SchemaInvalid

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,63}", re.ASCII)
_KEYS = {"name", "title", "source", "note", "codes"}


@dataclass(frozen=True, slots=True)
class CodeList:
    """A closed list of codes. ``codes`` maps a code to what it means; ``source`` says where the list was read."""

    name: str
    title: str
    source: str
    codes: Mapping[str, str]
    note: str = ""


def load_code_lists(folder: Path) -> dict[str, CodeList]:
    """Every ``*.json`` of ``folder`` by name. Raises :class:`SchemaInvalid` with the file's name."""
    lists = {}
    for path in sorted(folder.glob("*.json")):
        code_list = _parse(read_json(path), path)
        if code_list.name != path.stem:
            raise SchemaInvalid(f"{path}: its name is {code_list.name!r}, the file says {path.stem!r}", file=str(path))
        lists[code_list.name] = code_list
    return lists


def read_json(path: Path) -> Any:
    """The file's JSON; a key that stands twice is refused. Raises :class:`SchemaInvalid`."""
    try:
        return json.loads(path.read_text("utf-8"), object_pairs_hook=_no_doubles)
    except (OSError, ValueError) as error:
        raise SchemaInvalid(f"{path}: {error}", file=str(path)) from error


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(f"a key stands twice among {sorted(name for name, _ in pairs)[:12]}")
    return result


def _parse(raw: Any, path: Path) -> CodeList:
    def refuse(why: str) -> SchemaInvalid:
        return SchemaInvalid(f"{path}: {why}", file=str(path))

    if not isinstance(raw, dict) or set(raw) - _KEYS:
        raise refuse(f"a code list has {sorted(_KEYS)}, nothing else")
    name, title, source, codes = (raw.get(key) for key in ("name", "title", "source", "codes"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise refuse("`name` is missing or malformed")
    if not isinstance(title, str) or not title:
        raise refuse("`title` is missing")
    if not isinstance(source, str) or not source.strip():
        raise refuse("`source` is missing: a code list without a source is not taken")
    if not isinstance(codes, dict) or not codes:
        raise refuse("`codes` is missing or empty")
    if not all(isinstance(code, str) and code and isinstance(text, str) and text for code, text in codes.items()):
        raise refuse("each of `codes` is a code and what it means")
    return CodeList(name, title, source, codes, str(raw.get("note", "")))
