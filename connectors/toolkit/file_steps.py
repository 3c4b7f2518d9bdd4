"""One file as steps: what the CSV, the JSONL and the folder connector have in common."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from connectors.toolkit.errors import FileRejected
from connectors.toolkit.files import read_whole
from connectors.toolkit.report import report_path
from connectors.toolkit.source import Begin, Mark, Origin, Position, Refused, Step, Taken

CHUNK = 64
"""Events that are made in one go off the loop: some milliseconds."""


class FileReader(Protocol):
    """Turns the bytes of a file into events. Pure."""

    @property
    def digest(self) -> str:
        """Changes with whatever changes what is made of a file."""

    def read(self, data: bytes, report: Path) -> Iterator[Taken | list[Refused]]:
        """In the same order whenever it is read. Raises ``FileRejected`` before the first."""


async def read_steps(
    path: Path, reader: FileReader, position: Position | None, *, follow: bool = True
) -> AsyncGenerator[Step, None]:
    """The steps of a file; from ``position`` on where that is of the same bytes and the same reader.

    ``follow``: also of the file that a link leads to. A file that cannot be read at all is one refusal in row 0.
    Raises ``FileUnavailable``.
    """
    report = report_path(path)
    try:
        data = await asyncio.to_thread(read_whole, path, follow=follow)
    except FileRejected as error:
        yield Begin(report)
        yield Refused(Origin(report, 0, 0), error)
        return
    here = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "reader": reader.digest}
    done = 0
    if position is not None and all(position.get(name) == value for name, value in here.items()):
        done = int(position.get("done", 0))
    else:
        yield Begin(report)
    try:
        async for count, unit in _enumerate_units(reader, data, report):
            if count <= done:
                continue
            for step in (unit,) if isinstance(unit, Taken) else unit:
                yield step
            yield Mark({**here, "done": count})
    except FileRejected as error:
        if done == 0:
            yield Refused(Origin(report, 0, 0), error)
            yield Mark({**here, "done": 1})


async def _enumerate_units(
    reader: FileReader, data: bytes, report: Path
) -> AsyncGenerator[tuple[int, Taken | list[Refused]], None]:
    """What the reader makes, counted from 1; the work is done off the loop."""
    units = reader.read(data, report)
    count = 0
    while chunk := await asyncio.to_thread(lambda: list(islice(units, CHUNK))):
        for unit in chunk:
            count += 1
            yield count, unit
