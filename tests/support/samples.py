"""Events for any test: the valid examples of ``schemas/examples``, as documents and as events. Deterministic."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

from hub.catalog import Catalog
from hub.document import parse_document
from hub.model import Event

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"


@functools.cache
def catalog() -> Catalog:
    """The repository's catalog, loaded once for a test run."""
    return Catalog.load()


def example_files(event_type: str, kind: str) -> tuple[Path, ...]:
    """The files of ``valid`` or ``invalid`` examples of a type, sorted."""
    return tuple(sorted((EXAMPLES / event_type / kind).glob("*.json")))


def sample_document(event_type: str, index: int = 0) -> dict[str, Any]:
    """The JSON form of a valid example, a fresh copy; ``index`` goes round."""
    files = example_files(event_type, "valid")
    return copy.deepcopy(_read(files[index % len(files)]))


def sample_event(event_type: str, index: int = 0) -> Event:
    """A valid example as an event, its body validated and complete."""
    return parse_document(sample_document(event_type, index), catalog())


def sample_sections(event_type: str, index: int = 0) -> tuple[bytes, ...]:
    """The Avro sections of a valid example, one a compartment, in the type's order."""
    return catalog().get(event_type).encode(sample_event(event_type, index).body)


@functools.cache
def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document
