"""A bus in files, for processes that are killed: one file a topic, one writer a file, one partition.

A record counts when it is whole in the file; what a killed writer left of one is cut off by the next. ``hub.ports``.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hub.ports import IncomingRecord, OutgoingRecord, Position

_HEAD = struct.Struct(">II")


def read_records(path: Path) -> list[tuple[bytes, bytes, int]]:
    """Each whole record's key, value and end in the file."""
    raw = path.read_bytes() if path.exists() else b""
    records, at = [], 0
    while at + _HEAD.size <= len(raw):
        key, value = _HEAD.unpack_from(raw, at)
        start, end = at + _HEAD.size, at + _HEAD.size + key + value
        if end > len(raw):
            break
        records.append((raw[start : start + key], raw[start + key : end], end))
        at = end
    return records


class FileProducer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def start(self) -> None:
        for path in self._folder.glob("*.topic"):
            records = read_records(path)
            os.truncate(path, records[-1][2] if records else 0)

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        for record in records:
            with (self._folder / f"{record.topic}.topic").open("ab") as file:
                key = record.key or b""
                file.write(_HEAD.pack(len(key), len(record.value)) + key + record.value)
            await asyncio.sleep(0)  # between two records another task, or a kill, may come

    async def stop(self) -> None: ...


class FileConsumer:
    def __init__(self, folder: Path, topic: str) -> None:
        self._topic = topic
        self._path = folder / f"{topic}.topic"
        self._committed = folder / f"{topic}.committed"
        self._next = 0

    async def start(self) -> None:
        await self.seek_to_committed()

    async def poll(self, *, max_records: int, wait: float) -> Sequence[IncomingRecord]:
        records = read_records(self._path)[self._next : self._next + max_records]
        if not records:
            await asyncio.sleep(wait)
        first = self._next
        self._next += len(records)
        return [
            IncomingRecord(self._topic, 0, first + number, 0, key, value)
            for number, (key, value, _) in enumerate(records)
        ]

    async def commit(self, positions: Mapping[Position, int]) -> None:
        new = self._committed.with_suffix(".new")
        new.write_text(json.dumps(positions[self._topic, 0]))
        os.replace(new, self._committed)

    async def seek_to_committed(self) -> None:
        self._next = json.loads(self._committed.read_text()) if self._committed.exists() else 0

    async def hold(self, positions: Mapping[Position, int]) -> None: ...

    async def release(self, positions: Collection[Position]) -> None: ...

    def assignment(self) -> frozenset[Position]:
        return frozenset({(self._topic, 0)})

    def generation(self) -> int:
        return 1

    async def lag(self) -> Mapping[Position, int]:
        return {}

    async def stop(self) -> None: ...
