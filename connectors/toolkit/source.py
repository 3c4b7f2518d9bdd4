"""What a source is: something that yields what it took, what it refused, and when a caller should settle up.

A source is an async generator of steps. It keeps no state of its own between runs: each step carries the position
after it, the runner (run.py) stores the position once everything before it is durable, and the next run begins
from the stored one. Correctness does not rest on the position but on the keys: the Publisher takes a key once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hub.errors import RejectedError
from hub.model import Event

Position = Mapping[str, Any]
"""Where a source is, as a JSON object: whatever the source needs to begin there again."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from, so that a person finds and mends it.

    ``row`` counts as a spreadsheet does (the header is row 1), ``line`` counts line ends. ``raw`` is the row as it
    came, by column. ``report`` is the file for refused rows.
    """

    report: Path
    row: int
    line: int
    raw: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field path -> column, so that a fault found later, by its field, can be named by its column."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An event made from one or several rows. ``key`` is the same whenever the same rows come again."""

    key: str
    event: Event
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be taken, and why."""

    origin: Origin
    error: RejectedError


@dataclass(frozen=True, slots=True)
class Begin:
    """A file is read from its beginning: an older ``report`` of a file of that name is done with."""

    report: Path


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything before belongs to ``position``. With ``flush`` the generator goes on only when that is durable.

    Mark after every event or refused row: what comes after the last mark is held in memory.
    """

    position: Position | None
    flush: bool = False


@dataclass(frozen=True, slots=True)
class Idle:
    """There was nothing to do. A source that waits says so at each look: it lives, and is not stuck."""


Step = Taken | Refused | Begin | Mark | Idle


class Source(Protocol):
    """An agency's system, read as steps."""

    @property
    def name(self) -> str:
        """Unique within the site: names the progress file and the metrics' label."""

    def steps(self, position: Position | None) -> AsyncGenerator[Step, None]:
        """From ``position`` (``None``: the beginning) on; ends when there will never be more.

        Raises ``UnavailableError`` where the outside is not there now: the runner begins again from the last mark.
        """
