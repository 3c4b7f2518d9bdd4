"""Source: a file of event documents, one JSON object a line, in the form that ``hub.document`` defines.

    [[source]]
    kind = "jsonl"
    path = "out/links.jsonl"
    key = ["body.report_no", "body.exhibit_no"]   # without it: the line's content

For a system that can be taught the hub's own form; what cannot is read by a mapping profile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.csv_file import FileSource
from connectors.toolkit.connector import Connector, ConnectorContext, ConnectorSettings
from connectors.toolkit.errors import FileUndecodable, JsonBroken, KeyMissing, RowRejected, as_row_errors, first_of
from connectors.toolkit.source import Origin, Refused, Taken
from hub.catalog import Catalog
from hub.document import parse_document
from hub.errors import RejectedError

MAX_LINE_BYTES = 512 * 1024
"""Larger than any event can be: each compartment has 64 KiB."""


class JsonlSettings(ConnectorSettings):
    """``path`` of the file; ``key``: the fields that name an event in the agency's own system, as dotted paths."""

    path: Path
    key: tuple[str, ...] = ()
    feed: str = ""
    """Part of every key. By default the connector's name; give one, and the connector may be renamed."""


class JsonlReader:
    """Lines of documents as events."""

    def __init__(self, feed: str, key: tuple[str, ...], catalog: Catalog) -> None:
        self._feed = feed
        self._key = key
        self._catalog = catalog
        self.digest = hashlib.sha256(json.dumps([feed, key]).encode()).hexdigest()[:32]

    def read(self, data: bytes, report: Path) -> Iterator[Taken | list[Refused]]:
        """For each line that is not empty a ``Taken`` or its refusal. Raises ``FileUndecodable``."""
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise FileUndecodable("the file is UTF-16; JSON lines are UTF-8")
        for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            if line.strip():
                yield self._read_line(line, number, report)

    def _read_line(self, line: bytes, number: int, report: Path) -> Taken | list[Refused]:
        raw: Mapping[str, Any] = {"line": line[:2000].decode("utf-8", "backslashreplace")}
        try:
            document = parse_line(line)
            raw = document
            key = self._key_of(document)
            event = parse_document(document, self._catalog)
        except RowRejected as error:
            return [Refused(Origin(report, number, number, raw), error)]
        except RejectedError as error:
            return [Refused(Origin(report, number, number, raw), first_of(as_row_errors(error)))]
        return Taken(key, event, (Origin(report, number, number, raw),))

    def _key_of(self, document: Mapping[str, Any]) -> str:
        parts = []
        for path in self._key:
            value: Any = document
            for step in path.split("."):
                value = value.get(step) if isinstance(value, dict) else None
            if value is None or value == "":
                raise KeyMissing(f"{path}: is absent, and it is part of the key", column=path)
            parts.append(value)
        material = json.dumps(parts if self._key else document, sort_keys=True)
        return f"{self._feed}:{hashlib.sha256(material.encode()).hexdigest()[:40]}"


def parse_line(line: bytes) -> dict[str, Any]:
    """One JSON object with unique names and finite numbers. Raises ``JsonBroken``."""
    if len(line) > MAX_LINE_BYTES:
        raise JsonBroken(f"longer than {MAX_LINE_BYTES} bytes", column=None)
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise JsonBroken(f"not a JSON object: {reason}", column=None) from error
    if not isinstance(value, dict):
        raise JsonBroken("not a JSON object", column=None)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def make_jsonl(settings: JsonlSettings, context: ConnectorContext) -> FileSource:
    """The source of ``kind = "jsonl"``."""
    reader = JsonlReader(settings.feed or context.name, settings.key, context.catalog)
    return FileSource(context.name, context.path(settings.path), reader)


connector = Connector("jsonl", "source", JsonlSettings, make_jsonl)
