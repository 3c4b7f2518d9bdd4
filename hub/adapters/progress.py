"""Readiness from progress: an Observer around another, which remembers when each worker last got a step further.

A living task is not progress: a worker says ``gauge("cgi_progress_timestamp_seconds", now, worker=...)`` when it got a
step further or found that there was nothing to do, and a process is ready while all workers that it expects did so
lately. Nothing else decides readiness.

A worker that waits for something outside is not ready, but it is not stuck either: it counts what it found away
(``cgi_unavailable_total``) at each try. :meth:`ProgressObserver.moved_since` is what a watchdog may ask for.
"""

from __future__ import annotations

from hub.metrics import CounterName, GaugeName, HistogramName
from hub.ports import Clock, Observer


class ProgressObserver:
    """Implements ``hub.ports.Observer`` by handing everything on to ``inner``."""

    def __init__(self, inner: Observer, clock: Clock, *, stale_after: float) -> None:
        """``stale_after`` is how many seconds without progress make a worker stale."""
        self._inner = inner
        self._clock = clock
        self._stale_after = stale_after
        self._expected: set[str] = set()
        self._seen: dict[str, float] = {}
        self._away = (float("-inf"), "")

    def expect(self, worker: str) -> None:
        """From now on the process is ready only while ``worker`` makes progress."""
        self._expected.add(worker)

    def retire(self, worker: str) -> None:
        """``worker`` has done all that it had to do."""
        self._expected.discard(worker)

    def standing(self) -> dict[str, float | None]:
        """Each expected worker, with the seconds since its last progress (``None``: none yet)."""
        now = self._clock.monotonic()
        return {
            worker: None if worker not in self._seen else now - self._seen[worker] for worker in sorted(self._expected)
        }

    def ready(self) -> bool:
        """Whether every expected worker got further lately. Without any expected worker: no."""
        standing = self.standing()
        return bool(standing) and all(age is not None and age <= self._stale_after for age in standing.values())

    def behind(self) -> list[str]:
        """The expected workers that did not get further lately."""
        return [worker for worker, age in self.standing().items() if age is None or age > self._stale_after]

    def moved_since(self, moment: float) -> bool:
        """Whether, since ``moment`` of the monotonic clock, every worker got further or something was found away.

        Where no worker is expected yet: no.
        """
        if self._away[0] > moment:
            return True
        seen = [self._seen.get(worker) for worker in self._expected]
        return bool(seen) and all(at is not None and at > moment for at in seen)

    def away(self) -> str:
        """The code of what was found away lately; empty where nothing was."""
        at, code = self._away
        return code if self._clock.monotonic() - at <= self._stale_after else ""

    def increment(self, name: CounterName, amount: float = 1, /, **labels: str) -> None:
        """Hand on, and remember what was found away."""
        if name == "cgi_unavailable_total":
            self._away = (self._clock.monotonic(), labels.get("code", ""))
        self._inner.increment(name, amount, **labels)

    def observe(self, name: HistogramName, value: float, /, **labels: str) -> None:
        """Hand on."""
        self._inner.observe(name, value, **labels)

    def gauge(self, name: GaugeName, value: float, /, **labels: str) -> None:
        """Hand on, and remember progress."""
        if name == "cgi_progress_timestamp_seconds":
            self._seen[labels.get("worker", "")] = self._clock.monotonic()
        self._inner.gauge(name, value, **labels)
