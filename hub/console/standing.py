"""What several pages show alike: how each source stands, the processes, the metrics or what stands for them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hub.console.facts import SOURCES, DirectoryFacts, Facts, Metrics, SourceName
from hub.console.pages import CertificateView, Point, ProcessView, SourceView
from hub.errors import UnavailableError
from hub.model import AgencyId

STALE_MS: Final[dict[SourceName, int]] = {
    "directory": 30_000,
    "metrics": 30_000,
    "history": 180_000,
    "alerts": 30_000,
    "cluster": 60_000,
    "quarantine": 60_000,
    "heartbeats": 60_000,
    "audit": 60_000,
}
"""After how long without an answer what a source said is old."""

ROUTER_ALIVE_MS: Final = 30_000
"""A router that has not beaten for so long is not alive: its heartbeats are 5 s apart."""

LATE_SECONDS: Final[dict[str, float]] = {"URGENT": 60.0, "ROUTINE": 900.0}
"""The objectives (docs/adr/0071)."""


class NoDirectory(UnavailableError):
    """The console has no directory yet: there is nothing that a page could show by."""

    code = "console.no_directory"


def directory_of(facts: Facts) -> DirectoryFacts:
    """The directory. Raises :class:`NoDirectory`."""
    if facts.directory.value is None:
        raise NoDirectory(
            "no directory has been read", code=facts.directory.code or "none", reason=facts.directory.message
        )
    return facts.directory.value


def metrics_of(facts: Facts) -> Metrics | None:
    """The quick answers; ``None`` where there never were any."""
    return facts.metrics.value


def sources(facts: Facts, now_ms: int, *wanted: SourceName) -> tuple[SourceView, ...]:
    """How the sources stand that a page rests on."""
    return tuple(_source(facts, name, now_ms) for name in SOURCES if name in wanted)


def _source(facts: Facts, name: SourceName, now_ms: int) -> SourceView:
    reading = facts.reading(name)
    if reading.value is None:
        return SourceView(source=name, state="missing", at_ms=None, code=reading.code, message=reading.message)
    old = bool(reading.code) or now_ms - reading.at_ms > STALE_MS[name]
    return SourceView(
        source=name,
        state="old" if old else "fresh",
        at_ms=reading.at_ms,
        code=reading.code,
        message=reading.message,
    )


def seconds_to_ms(value: float | None) -> int | None:
    """A Prometheus time as milliseconds; ``None`` and what is no time stay ``None``."""
    return None if value is None or value <= 0 else int(value * 1000)


def points(course: Iterable[tuple[int, float]]) -> tuple[Point, ...]:
    """A course as a page shows it."""
    return tuple(Point(at_ms=at_ms, value=value) for at_ms, value in course)


def processes(metrics: Metrics | None, agency: AgencyId | None = None) -> tuple[ProcessView, ...]:
    """The processes that are scraped, of one agency or of all, ordered by name."""
    if metrics is None:
        return ()
    found = []
    for sample in metrics.get("up"):
        if agency is not None and sample.label("agency") != agency:
            continue
        at = {"instance": sample.label("instance"), "agency": sample.label("agency")}
        ready = metrics.value("ready", **at)
        version = metrics.value("directory_version", **at)
        builds = [build for build in metrics.get("build") if build.label("instance") == at["instance"]]
        found.append(
            ProcessView(
                instance=at["instance"],
                role=sample.label("role"),
                agency=at["agency"],
                up=sample.value == 1,
                ready=None if ready is None else ready == 1,
                scraped_ms=seconds_to_ms(metrics.value("answered", **at)),
                progress_age_seconds=metrics.value("progress_age", **at),
                version=builds[0].label("version") if builds else "",
                directory_version=None if version is None else int(version),
                clock_skew_seconds=metrics.value("skew", **at),
                outbox_records=metrics.value("outbox_records", **at),
                outbox_oldest_seconds=metrics.value("outbox_age", **at),
                certificates=tuple(
                    CertificateView(certificate=each.label("certificate"), not_after_ms=seconds_to_ms(each.value))
                    for each in metrics.get("certificate")
                    if each.label("instance") == at["instance"] and each.label("agency") == at["agency"]
                ),
            )
        )
    return tuple(sorted(found, key=lambda process: (process.role, process.agency, process.instance)))


def site_up(metrics: Metrics | None, agency: AgencyId) -> bool | None:
    """Whether any site of the agency answers; ``None`` where none is scraped."""
    if metrics is None:
        return None
    found = [s.value == 1 for s in metrics.get("up") if s.label("agency") == agency and s.label("role") == "site"]
    return any(found) if found else None


def routers_alive(facts: Facts, now_ms: int) -> int | None:
    """How many routers beat lately; ``None`` where no heartbeats were read."""
    beats = facts.heartbeats.value
    return None if beats is None else sum(now_ms - beat.at_ms <= ROUTER_ALIVE_MS for beat in beats)
