"""What one stage did, measured from inside its process."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class StageResult:
    """Seconds are wall time, ``cpu_s`` user and system time of the process, ``bytes`` what was written or read."""

    stage: str
    events: int
    seconds: float = 0.0
    cpu_s: float = 0.0
    bytes: int = 0
    finished_at: float = 0.0
    started_at: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_us_per_event(self) -> float:
        return self.cpu_s / self.events * 1e6

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@contextmanager
def measured(stage: str, events: int) -> Iterator[StageResult]:
    """Measures what happens inside; the result is complete after the block."""
    result = StageResult(stage, events)
    result.started_at, before, start = time.time(), resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield result
    result.seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    result.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result.finished_at = time.time()


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lies, nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
