"""Heap, collections and threads of the Kafka that runs on this machine, from the file that its JVM keeps for `jstat`.

HotSpot writes its counters into a mapped file, ``/tmp/hsperfdata_<user>/<pid>``, which the same user may read: no
agent in the broker, no port (docs/adr/0073). The form is HotSpot's perfdata version 2 (perfMemory.hpp): a prologue of
32 bytes, then entries that each name one counter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.errors import UnavailableError

_MOST_FILES: Final = 64
_MOST_BYTES: Final = 1024 * 1024
_MAGIC: Final = bytes.fromhex("cafec0c0")
_LONG: Final = ord("J")
_BYTES: Final = ord("B")
_COMMAND: Final = "sun.rt.javaCommand"
_KAFKA: Final = "kafka.Kafka"


class JvmCountersMissing(UnavailableError):
    """No file of a running Kafka is in the folder, or none that this user may read."""

    code = "jvm.counters_missing"


@dataclass(frozen=True, slots=True)
class JvmFigures:
    """Bytes of the heap, used and the most it may take; collections so far and seconds in them; live threads."""

    heap_used: int
    heap_most: int
    collections: int
    collection_seconds: float
    threads: int


def read_kafka_jvm(folder: Path) -> JvmFigures:
    """The figures of the Kafka in ``folder`` (one user's) whose file is the newest. Raises
    :class:`JvmCountersMissing`."""
    try:
        paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[:_MOST_FILES]
        for path in paths:
            counters = parse_counters(path.read_bytes()[:_MOST_BYTES])
            if str(counters.get(_COMMAND, "")).startswith(_KAFKA):
                return _figures(counters)
    except (OSError, ValueError, struct.error, KeyError) as error:
        raise JvmCountersMissing(f"the JVM's counters cannot be read: {type(error).__name__}", folder=folder) from error
    raise JvmCountersMissing("no Kafka keeps its counters there", folder=folder)


def parse_counters(raw: bytes) -> dict[str, int | str]:
    """Every number and text in a file's bytes, by name. Raises ``ValueError``, ``struct.error``: it is no such file."""
    if raw[:4] != _MAGIC or len(raw) < 32 or raw[5] != 2:
        raise ValueError("not HotSpot's perfdata, version 2")
    order = ">" if raw[4] == 0 else "<"
    at, entries = struct.unpack_from(f"{order}ii", raw, 24)
    found: dict[str, int | str] = {}
    for _ in range(entries):
        length, name_at, size, kind, _flags, _units, _variability, data_at = struct.unpack_from(
            f"{order}iiiBBBBi", raw, at
        )
        if length <= 0:
            raise ValueError("an entry without a length")
        end = raw.index(b"\0", at + name_at)
        name = raw[at + name_at : end].decode("ascii")
        if kind == _LONG and size == 0:
            (found[name],) = struct.unpack_from(f"{order}q", raw, at + data_at)
        elif kind == _BYTES:
            found[name] = raw[at + data_at : at + data_at + size].split(b"\0")[0].decode("utf-8", "replace")
        at += length
    return found


def _figures(counters: dict[str, int | str]) -> JvmFigures:
    numbers = {name: value for name, value in counters.items() if isinstance(value, int)}

    def total(first: str, last: str) -> int:
        return sum(value for name, value in numbers.items() if name.startswith(first) and name.endswith(last))

    return JvmFigures(
        sum(
            value
            for name, value in numbers.items()
            if name.startswith("sun.gc.generation.") and ".space." in name and name.endswith(".used")
        ),
        sum(
            value
            for name, value in numbers.items()
            if name.startswith("sun.gc.generation.") and ".space." not in name and name.endswith(".maxCapacity")
        ),
        total("sun.gc.collector.", ".invocations"),
        total("sun.gc.collector.", ".time") / numbers["sun.os.hrt.frequency"],
        numbers["java.threads.live"],
    )
