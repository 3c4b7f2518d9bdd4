"""Source: a watched folder. Whole files are read, published, and moved to ``done/``.

    [[source]]
    kind = "folder"
    path = "inbox"
    files = [
        { match = "traces*.csv", profile = "etrace-register" },
        { match = "*.jsonl", key = ["body.report_no"] },
    ]

A file is whole when its size and time have stood still for ``settle_seconds``; names that begin with a point or end in
``.tmp``, ``.part`` or ``~`` are left alone, so the surest way is to write under such a name and rename. The folder is
polled, since a share on the network tells no one of a change. Refused rows are in ``<file>.rejected.jsonl`` beside the
file; a file that cannot be read at all goes to ``failed/``; one that no rule matches stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from connectors.jsonl_file import JsonlReader
from connectors.mapping.mapper import load_mapper
from connectors.toolkit.connector import Connector, ConnectorContext, ConnectorSettings
from connectors.toolkit.errors import FileRejected, FileUnmatched
from connectors.toolkit.file_steps import FileReader, read_steps
from connectors.toolkit.files import FileUnavailable, sync_folder
from connectors.toolkit.report import MAX_NAME_BYTES, SUFFIX, report_path
from connectors.toolkit.source import Begin, Idle, Mark, Origin, Position, Refused, Step

UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")
MAX_FILES = 10_000
"""Files that are looked at in one poll; the others wait for the next."""


class FileRule(ConnectorSettings):
    """How files whose name matches are read: by a ``profile``, or as JSONL documents with a ``key``."""

    match: str
    profile: str | None = None
    key: tuple[str, ...] = ()
    feed: str = ""

    @model_validator(mode="after")
    def _one(self) -> FileRule:
        if self.profile is not None and (self.key or self.feed):
            raise ValueError("key and feed are for JSONL; a profile has a key of its own")
        return self


class FolderSettings(ConnectorSettings):
    """``done`` and ``failed`` count from ``path`` and are on the same file system."""

    path: Path
    files: Annotated[tuple[FileRule, ...], Field(min_length=1)]
    done: Path = Path("done")
    failed: Path = Path("failed")
    settle_seconds: float = Field(default=2.0, ge=0, le=3600)
    poll_seconds: float = Field(default=2.0, ge=0.05, le=3600)
    once: bool = False
    """Ends when the folder has nothing more to read, instead of waiting for more."""


@dataclass(frozen=True, slots=True)
class _Seen:
    stamp: tuple[int, int]
    since: float


class Folder:
    """The folder as a source."""

    def __init__(self, name: str, path: Path, rules: list[tuple[str, FileReader]], settings: FolderSettings) -> None:
        self.name = name
        self._path = path
        self._rules = rules
        self._settings = settings
        self._seen: dict[Path, _Seen] = {}
        self._told: set[Path] = set()
        self._put_away_count = 0

    async def steps(self, position: Position | None) -> AsyncGenerator[Step, None]:
        """See the module. Raises ``FileUnavailable`` where the folder itself is away."""
        while True:
            settled, waiting = await asyncio.to_thread(self._scan)
            before = self._put_away_count
            for path in settled:
                reader = self._reader(path)
                steps = self._unmatched(path) if reader is None else self._read(path, reader, position)
                async with contextlib.aclosing(steps):
                    async for step in steps:
                        yield step
            if self._settings.once and not settled and not waiting:
                return
            if self._put_away_count == before:
                yield Idle()
                await asyncio.sleep(self._settings.poll_seconds)

    async def _read(self, path: Path, reader: FileReader, position: Position | None) -> AsyncGenerator[Step, None]:
        failed = False
        last: Position | None = None
        try:
            async with contextlib.aclosing(read_steps(path, reader, position, follow=False)) as steps:
                async for step in steps:
                    failed = failed or (isinstance(step, Refused) and isinstance(step.error, FileRejected))
                    if isinstance(step, Mark):
                        last = step.position
                    yield step
        except FileUnavailable:
            self._seen.pop(path, None)  # still being written, or taken away: look again at the next poll
            return
        yield Mark(last, flush=True)  # from here on all of the file is durable, and it may go
        await asyncio.to_thread(self._put_away, path, self._settings.failed if failed else self._settings.done)

    async def _unmatched(self, path: Path) -> AsyncGenerator[Step, None]:
        self._told.add(path)
        report = report_path(path)
        names = ", ".join(pattern for pattern, _ in self._rules)
        yield Begin(report)
        yield Refused(Origin(report, 0, 0), FileUnmatched(f"no rule of the folder matches the name: {names}"))
        yield Mark(None, flush=True)

    def _reader(self, path: Path) -> FileReader | None:
        return next((reader for pattern, reader in self._rules if fnmatchcase(path.name, pattern)), None)

    def _scan(self) -> tuple[list[Path], bool]:
        """The files that are whole, by name, and whether others may become so."""
        now = time.monotonic()
        seen: dict[Path, _Seen] = {}
        settled: list[Path] = []
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if len(seen) >= MAX_FILES:
                        break
                    stamp = _stamp(entry)
                    path = Path(entry.path)
                    if stamp is None or path in self._told:
                        continue
                    known = self._seen.get(path)
                    since = known.since if known is not None and known.stamp == stamp else now
                    seen[path] = _Seen(stamp, since)
                    if now - since >= self._settings.settle_seconds:
                        settled.append(path)
        except OSError as error:
            raise FileUnavailable("cannot list the folder", path=str(self._path), cause=error.strerror) from error
        self._seen = seen
        return sorted(settled), len(seen) > len(settled)

    def _put_away(self, path: Path, folder: Path) -> None:
        """Move the report first: a crash in between leaves the file, which is then read again without effect."""
        target_folder = folder if folder.is_absolute() else self._path / folder
        try:
            target_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            target = _free_name(target_folder / path.name)
            report = report_path(path)
            if report.exists():
                os.replace(report, report_path(target))
            os.replace(path, target)
            sync_folder(target_folder)
            sync_folder(self._path)
        except OSError as error:
            raise FileUnavailable("cannot move the file", path=str(path), cause=error.strerror) from error
        self._seen.pop(path, None)
        self._put_away_count += 1


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    """Size and time of a file that may be read; ``None`` for links, folders, reports and unfinished files."""
    name = entry.name
    if name.startswith(".") or name.lower().endswith(UNFINISHED) or name.endswith(SUFFIX):
        return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _free_name(path: Path) -> Path:
    """``x.csv``, or ``x.2.csv`` where that is taken, and so on; neither it nor its report exists."""
    number, candidate = 1, path
    while os.path.lexists(candidate) or os.path.lexists(report_path(candidate)):
        number += 1
        end = os.fsencode(f".{number}{path.suffix}")
        candidate = path.with_name(os.fsdecode(os.fsencode(path.stem)[: MAX_NAME_BYTES - len(end)] + end))
    return candidate


def make_folder(settings: FolderSettings, context: ConnectorContext) -> Folder:
    """Raises ``ProfileInvalid``."""
    rules: list[tuple[str, FileReader]] = []
    for rule in settings.files:
        if rule.profile is not None:
            rules.append((rule.match, load_mapper(rule.profile, context.base, context.catalog)))
        else:
            rules.append((rule.match, JsonlReader(rule.feed or context.name, rule.key, context.catalog)))
    return Folder(context.name, context.path(settings.path), rules, settings)


connector = Connector("folder", "source", FolderSettings, make_folder)
