"""The report of refused rows: ``<file>.rejected.jsonl``, one object a row, for the agency's own people.

It holds the row as it came, so it is as confidential as the file itself (mode 0600) and never leaves the site. Where
others may write into the folder, they may put a link in its place: links are removed or refused, never followed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from connectors.toolkit.files import FileUnavailable, open_private, sync_folder
from connectors.toolkit.source import Origin
from hub.errors import RejectedError

SUFFIX = ".rejected.jsonl"
MAX_NAME_BYTES = 255
"""Of a file's name, on every usual file system."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_INDEX = re.compile(r"\[\d+\]")


def report_path(path: Path) -> Path:
    """Where the refused rows of ``path`` are reported: beside it. A name that would be too long is cut and marked."""
    name = os.fsencode(path.name)
    if len(name) + len(SUFFIX) > MAX_NAME_BYTES:
        mark = f"~{hashlib.sha256(name).hexdigest()[:8]}".encode()
        name = name[: MAX_NAME_BYTES - len(SUFFIX) - len(mark)] + mark
    return path.with_name(os.fsdecode(name) + SUFFIX)


def encode_refusal(origin: Origin, error: RejectedError) -> dict[str, Any]:
    """One line of the report: row, line, column, code, reason, and the row itself."""
    field = error.details.get("field")
    column = error.details.get("column")
    if column is None and isinstance(field, str):
        column = _column_of(field, origin)
    line: dict[str, Any] = {"row": origin.row, "line": origin.line, "column": column, "code": error.code}
    if field is not None:
        line["field"] = str(field)
    if "event_code" in error.details:
        line["event_code"] = str(error.details["event_code"])
    line["reason"] = error.message
    if "also" in error.details:
        line["also"] = error.details["also"]
    line["raw"] = dict(origin.raw)
    return line


def _column_of(field: str, origin: Origin) -> str | None:
    """The column of a field, or of the nearest one above it; for a record that is missing whole, of its first field."""
    path = field
    while path:
        for form in (path, _INDEX.sub("[]", path)):
            if form in origin.columns:
                return origin.columns[form]
        path = path.rpartition(".")[0]
    below = _INDEX.sub("[]", field) + "."
    return next((column for known, column in origin.columns.items() if known.startswith(below)), None)


class ErrorReport:
    """Writes the refusals of one source, file after file. Blocking; call through ``asyncio.to_thread``.

    ``state()`` belongs to a position; ``resume(state)`` cuts off what was written after it, so that a row refused
    again after a crash stands in the report once.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._bytes = 0

    def resume(self, state: dict[str, Any] | None) -> None:
        """Go back to a stored state. Raises ``FileUnavailable``."""
        self._path, self._bytes = None, 0
        if not state:
            return
        path = Path(state["path"])
        try:
            descriptor = os.open(path, os.O_WRONLY | _NO_LINK)
            with os.fdopen(descriptor, "ab") as file:
                kept = min(os.fstat(descriptor).st_size, int(state["bytes"]))
                file.truncate(kept)
                self._path, self._bytes = path, kept
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):  # moved away, perhaps with a link in its place
                return
            raise FileUnavailable("cannot cut the report", path=str(path), cause=error.strerror) from error

    def begin(self, path: Path) -> None:
        """A file is read from its beginning: its older report goes. Raises ``FileUnavailable``."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise FileUnavailable("cannot remove the report", path=str(path), cause=error.strerror) from error
        self._path, self._bytes = path, 0

    def state(self) -> dict[str, Any] | None:
        return None if self._path is None else {"path": str(self._path), "bytes": self._bytes}

    def write(self, refusals: list[tuple[Origin, RejectedError]]) -> None:
        """Append, durable on return."""
        for path in dict.fromkeys(origin.report for origin, _ in refusals):
            lines = [encode_refusal(origin, error) for origin, error in refusals if origin.report == path]
            text = "".join(json.dumps(line, ensure_ascii=True, default=str) + "\n" for line in lines)
            self._append(path, text.encode("ascii"))

    def _append(self, path: Path, data: bytes) -> None:
        fresh = path != self._path
        try:
            descriptor = open_private(path, os.O_WRONLY | _NO_LINK | (os.O_TRUNC if fresh else os.O_APPEND))
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if fresh:
                sync_folder(path.parent)
        except OSError as error:
            raise FileUnavailable("cannot write the report", path=str(path), cause=error.strerror) from error
        self._bytes = len(data) if fresh else self._bytes + len(data)
        self._path = path
