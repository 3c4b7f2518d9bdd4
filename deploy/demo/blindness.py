"""That no serial and no name of the input stands anywhere in the broker's files or in any topic.

Sealed bytes have almost no long readable runs. So the readable runs of a file are cut out first, in one pass, and each
secret is looked for in them, as it is and in lower case. A secret that was put into a copy of a broker's file by hand
must be found, or the search itself proves nothing.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SHORTEST = 6
"""Shorter serials (``A12``) stand in random bytes by chance, and would say nothing."""

FEWEST = 3
"""Serials of fewer different characters (``0000000``) stand in round numbers, and would say nothing either."""

_READABLE = re.compile(rb"[\x20-\x7e]{%d,}" % SHORTEST)
_ENCODED = re.compile(rb"[0-9A-Za-z+/=]{60,}")
"""Keys, hashes and signatures of the directory, in hexadecimal or base64: as good as random; no serial is so long."""


@dataclass(frozen=True, slots=True)
class Found:
    """A secret, and the file or topic where it stands."""

    secret: str
    place: str


@dataclass(frozen=True, slots=True)
class Search:
    """What was looked for, through how much, and what was found."""

    secrets: int
    files: int
    bytes: int
    records: int
    found: tuple[Found, ...]


class Secrets:
    """Serials and names, ready to be looked for: each by its longest part in ASCII. Those shorter are left out."""

    def __init__(self, texts: Iterable[str]) -> None:
        parts = {text.strip(): max(_readable(text.strip().encode()), key=len, default=b"") for text in texts}
        self._patterns = tuple(
            sorted((text, part.lower()) for text, part in parts.items() if len(set(part.lower())) >= FEWEST)
        )

    def __len__(self) -> int:
        return len(self._patterns)

    def middle(self) -> str:
        """One of them, the same each time."""
        return self._patterns[len(self) // 2][0]

    def within(self, content: bytes, place: str) -> list[Found]:
        """Each secret that stands in ``content``, in any case of letters."""
        runs = b"\n".join(_readable(content)).lower()
        return [Found(text, place) for text, pattern in self._patterns if pattern in runs] if runs else []


def search_files(folder: Path, secrets: Secrets) -> Search:
    """Looks through every file below ``folder``: segments, indexes, logs, state."""
    found: list[Found] = []
    files = size = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = _written(path)
        files += 1
        size += len(content)
        found += secrets.within(content, str(path.relative_to(folder)))
    return Search(len(secrets), files, size, 0, tuple(found))


def search_records(records: Iterable[tuple[str, bytes]], secrets: Secrets) -> Search:
    """Looks through records: where each stands (topic, partition, offset), and its key, headers and value in one."""
    found: list[Found] = []
    count = size = 0
    for place, content in records:
        count += 1
        size += len(content)
        found += secrets.within(content, place)
    return Search(len(secrets), 0, size, count, tuple(found))


def finds_planted(folder: Path, secrets: Secrets) -> bool:
    """Whether a secret, put into the largest file's bytes at an odd place, is found: the search's own test."""
    largest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = _written(largest)
    middle = len(content) // 2 + 1
    secret = secrets.middle()
    planted = content[:middle] + secret.encode() + content[middle:]
    return any(found.secret == secret for found in secrets.within(planted, largest.name))


def _written(path: Path) -> bytes:
    """What was ever written into a file. Kafka's indexes are mostly holes, which hold nothing and take long to read."""
    parts = []
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        place = 0
        while place < end:
            try:
                start = os.lseek(file.fileno(), place, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    break
                raise
            place = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            parts.append(os.pread(file.fileno(), place - start, start))
    return b"\0".join(parts)


def _readable(content: bytes) -> list[bytes]:
    return [_ENCODED.sub(b" ", run) for run in _READABLE.findall(content)]
