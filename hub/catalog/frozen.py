"""Released versions: each stands whole in ``schemas/avro/history/<type>/v<N>.avsc``, shared records written out.

A released version never changes. Whoever changes a type, or a record that types share, gives each type that it touches
a new version; :func:`check_frozen` finds where that was forgotten. Code lists may grow and never shrink: the codes that
were released stand in ``schemas/avro/history/codes.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hub.catalog.codes import load_code_lists, read_json
from hub.catalog.errors import SchemaInvalid
from hub.catalog.evolution import EvolutionBroken

_DEFINITION_ONLY: Final = ("source", "namespace")


def load_shared(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The shared records of ``avro/common`` by full name. Raises :class:`SchemaInvalid`."""
    shared: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.avsc")):
        raw = read_json(path)
        if not isinstance(raw, dict) or raw.get("type") != "record" or raw.get("namespace") != "cgi":
            raise SchemaInvalid(f"{path}: a shared record is an Avro record of the namespace cgi", file=str(path))
        if raw.get("name") != path.stem:
            raise SchemaInvalid(f"{path}: its name is {raw.get('name')!r}, the file says {path.stem!r}", file=str(path))
        shared[f"cgi.{path.stem}"] = raw
    return shared


def write_out(raw: Any, shared: Mapping[str, Mapping[str, Any]]) -> Any:
    """``raw`` (a schema's JSON) with every shared record in the place of its name."""
    if isinstance(raw, str) and raw in shared:
        definition = {key: value for key, value in shared[raw].items() if key not in _DEFINITION_ONLY}
        return write_out(definition, shared)
    if isinstance(raw, list):
        return [write_out(item, shared) for item in raw]
    if isinstance(raw, dict):
        return {
            key: write_out(value, shared) if key in ("type", "items", "fields") else value for key, value in raw.items()
        }
    return raw


def freeze(root: Path) -> tuple[Path, ...]:
    """Writes what is present as released, where its version is new. Returns the files that were written.

    Raises ``EvolutionBroken`` where a released version was changed: a new version is wanted, not another old one.
    """
    problems = [problem for problem in drift(root) if not problem.endswith(_NOT_YET)]
    if problems:
        raise _broken(problems)
    written = []
    for _, raw in _present(root):
        target = _frozen_path(root, raw)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(raw, ensure_ascii=False, indent=1) + "\n", "utf-8")
            written.append(target)
    codes = root / "avro" / "history" / "codes.json"
    lists = {name: sorted(found.codes) for name, found in load_code_lists(root / "codes").items()}
    text = json.dumps(lists, ensure_ascii=False, indent=1) + "\n"
    if not codes.exists() or codes.read_text("utf-8") != text:
        codes.parent.mkdir(parents=True, exist_ok=True)
        codes.write_text(text, "utf-8")
        written.append(codes)
    return tuple(written)


def check_frozen(root: Path) -> None:
    """Raises ``EvolutionBroken`` unless everything present stands in the history as it is."""
    problems = list(drift(root))
    if problems:
        raise _broken(problems)


_NOT_YET: Final = "is not in the history yet: run `hub catalog freeze`"


def drift(root: Path) -> Iterator[str]:
    """What differs between the schemas that are present and those that were released."""
    for path, raw in _present(root):
        target = _frozen_path(root, raw)
        if not target.exists():
            yield f"{path.name} version {raw['version']} {_NOT_YET}"
        elif read_json(target) != raw:
            yield (
                f"{path.name}, or a record that it shares, was changed, and is still version {raw['version']}: give it"
                f" version {raw['version'] + 1}"
            )
    codes = root / "avro" / "history" / "codes.json"
    released: Mapping[str, list[str]] = read_json(codes) if codes.exists() else {}
    present = load_code_lists(root / "codes")
    for name, former in released.items():
        gone = set(former) - set(present[name].codes) if name in present else set(former)
        if gone:
            yield f"codes/{name}.json lost {', '.join(sorted(gone)[:5])}: a code is never taken away"
    for name, found in present.items():
        if set(found.codes) - set(released.get(name, ())):
            yield f"codes/{name}.json has a code that {_NOT_YET}"


def _present(root: Path) -> Iterator[tuple[Path, Any]]:
    shared = load_shared(root / "avro" / "common")
    for path in sorted((root / "avro").glob("*.avsc")):
        yield path, write_out(read_json(path), shared)


def _frozen_path(root: Path, raw: Mapping[str, Any]) -> Path:
    return root / "avro" / "history" / str(raw["event"]) / f"v{raw['version']}.avsc"


def _broken(problems: list[str]) -> EvolutionBroken:
    error = EvolutionBroken("the schemas do not fit their history: " + "; ".join(problems))
    error.problems = tuple(problems)
    return error
