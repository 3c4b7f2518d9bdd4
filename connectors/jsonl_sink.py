"""Sink: opened events as documents, one JSON object a line, appended to a file.

    [[sink]]
    kind = "jsonl"
    path = "received/events.jsonl"
    rotate_bytes = 100_000_000        # optional: then events.000001.jsonl, events.000002.jsonl, ...

Exactly once in effect: what ``write`` returns (the file and its length) is stored with the Subscriber's marks; at the
next start whatever was written after it is cut off, and its events come again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from connectors.toolkit.connector import Connector, ConnectorContext, ConnectorSettings
from connectors.toolkit.errors import ConnectorInvalid
from connectors.toolkit.files import FileUnavailable, open_private, sync_folder
from hub.catalog import Catalog
from hub.document import encode_document
from hub.model import OpenedEvent

_OTHER_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class SinkFileShorter(ConnectorInvalid):
    """The file has fewer bytes than were marked as written: someone changed it, or it is another file."""

    code = "config.sink_file_shorter"


class JsonlSinkSettings(ConnectorSettings):
    """``path`` of the file; with ``rotate_bytes`` a new one is begun when one has reached that many bytes."""

    path: Path
    rotate_bytes: int | None = Field(default=None, ge=1)


class JsonlSink:
    """Appends and syncs. Its state is ``{"file": number of the file, "bytes": its length}``."""

    def __init__(self, name: str, path: Path, rotate_bytes: int | None, catalog: Catalog) -> None:
        self.name = name
        self._path = path
        self._rotate = rotate_bytes
        self._catalog = catalog
        self._number = 1
        self._bytes = 0
        self._descriptor: int | None = None

    async def open(self, state: Mapping[str, Any] | None) -> None:
        """Cut off what was written after ``state``. Raises ``SinkFileShorter``, ``FileUnavailable``."""
        await asyncio.to_thread(self._open, state)

    async def write(self, events: Sequence[OpenedEvent]) -> dict[str, Any]:
        """Append, durable on return; gives the new state. Raises ``FileUnavailable``: nothing of it counts."""
        return await asyncio.to_thread(self._write, events)

    async def close(self) -> None:
        await asyncio.to_thread(self._release)

    # --- off the loop

    def _file(self, number: int) -> Path:
        if self._rotate is None:
            return self._path
        return self._path.with_name(f"{self._path.stem}.{number:06d}{self._path.suffix}")

    def _open(self, state: Mapping[str, Any] | None) -> None:
        self._release()
        self._number, self._bytes = (int(state["file"]), int(state["bytes"])) if state else (1, 0)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._rotate is not None:
                self._drop_later_files()
            path = self._file(self._number)
            if state is None and path.exists() and path.stat().st_size:
                _set_aside(path)
            self._descriptor = open_private(path, os.O_WRONLY)
            length = os.fstat(self._descriptor).st_size
            if length < self._bytes:
                self._release()
                raise SinkFileShorter(
                    f"{path} has {length} bytes, {self._bytes} were marked as written: put the file back",
                    path=str(path),
                )
            os.ftruncate(self._descriptor, self._bytes)
            os.fsync(self._descriptor)
            sync_folder(path.parent)
        except OSError as error:
            raise FileUnavailable("cannot open the sink's file", path=str(self._path), cause=error.strerror) from error

    def _drop_later_files(self) -> None:
        number = self._number + 1
        while self._file(number).exists():
            self._file(number).unlink()
            number += 1

    def _write(self, events: Sequence[OpenedEvent]) -> dict[str, Any]:
        data = "".join(encode_line(encode_document(event, self._catalog)) for event in events).encode()
        try:
            if self._rotate is not None and self._bytes >= self._rotate:
                self._next_file()
            descriptor = self._descriptor
            if descriptor is None:
                raise FileUnavailable("the sink is not open", path=str(self._path))
            # an earlier write that failed half way must not leave its half in between
            os.ftruncate(descriptor, self._bytes)
            view, offset = memoryview(data), self._bytes
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
            os.fsync(descriptor)
        except OSError as error:
            raise FileUnavailable("cannot write the sink's file", path=str(self._path), cause=error.strerror) from error
        self._bytes += len(data)
        return {"file": self._number, "bytes": self._bytes}

    def _next_file(self) -> None:
        self._release()
        self._number, self._bytes = self._number + 1, 0
        path = self._file(self._number)
        self._descriptor = open_private(path, os.O_WRONLY | os.O_TRUNC)
        sync_folder(path.parent)

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def encode_line(document: dict[str, Any]) -> str:
    """One line. Characters that some readers take for the end of a line (``str.splitlines`` does) are escaped."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).translate(_OTHER_LINE_ENDS) + "\n"


def _set_aside(path: Path) -> None:
    """A file that nothing was marked of: perhaps a crash before the first mark, perhaps not ours. It is kept."""
    number = 1
    while (target := path.with_name(f"{path.stem}.unmarked-{number}{path.suffix}")).exists():
        number += 1
    os.replace(path, target)


def make_jsonl_sink(settings: JsonlSinkSettings, context: ConnectorContext) -> JsonlSink:
    """The sink of ``kind = "jsonl"``."""
    return JsonlSink(context.name, context.path(settings.path), settings.rotate_bytes, context.catalog)


connector = Connector("jsonl", "sink", JsonlSinkSettings, make_jsonl_sink)
