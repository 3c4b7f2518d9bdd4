"""Whether the hub is at rest: every file taken in, every bundle routed, every delivery written into every sink."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from deploy.demo.service import Service
from hub.errors import UnavailableError

QUIET_SECONDS = 1.0
LONGEST_SECONDS = 240.0


class StillFlowing(UnavailableError):
    """The hub did not come to rest in time. The message says what waits."""

    code = "demo.still_flowing"


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of /metrics, and the process that served it."""

    service: str
    name: str
    labels: dict[str, str]
    value: float


def scrape(services: Iterable[Service]) -> list[Sample]:
    """Every sample of every process."""
    return [
        Sample(service.name, sample.name, sample.labels, sample.value)
        for service in services
        for family in text_string_to_metric_families(service.metrics())
        for sample in family.samples
    ]


def total(samples: Iterable[Sample], name: str, **labels: str) -> float:
    """The sum of a metric over everything that has these labels."""
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def waiting(samples: list[Sample], inboxes: Iterable[Path]) -> Iterator[str]:
    """What is still on its way, in words; nothing when the hub is at rest."""
    for folder in inboxes:
        if unread := [path.name for path in folder.iterdir() if path.is_file() and not _is_report(path)]:
            yield f"{folder.parent.name} has yet to read {', '.join(sorted(unread))}"
    if records := total(samples, "cgi_outbox_records"):
        yield f"{records:.0f} records in outboxes"
    sent, routed = (total(samples, "cgi_events_total", outcome=outcome) for outcome in ("sent", "routed"))
    if sent > routed:
        yield f"{sent - routed:.0f} events before the routers"
    delivered, arrived = (_events_by_recipient(samples, outcomes) for outcomes in (("delivered",), _ARRIVED))
    for recipient, events in sorted((delivered - arrived).items()):
        yield f"{events} events before {recipient}"


_ARRIVED = ("written", "filtered", "duplicate")


def wait_quiet(services: Iterable[Service], inboxes: Iterable[Path]) -> list[Sample]:
    """Returns the samples when nothing waits and nothing has moved for a moment. Raises :class:`StillFlowing`."""
    services, inboxes = list(services), list(inboxes)
    deadline = time.monotonic() + LONGEST_SECONDS
    before, since = 0.0, time.monotonic()
    while True:
        samples = scrape(services)
        left = list(waiting(samples, inboxes))
        moved = total(samples, "cgi_events_total")
        if left or moved != before:
            before, since = moved, time.monotonic()
        elif time.monotonic() - since >= QUIET_SECONDS:
            return samples
        if time.monotonic() > deadline:
            raise StillFlowing("the hub did not come to rest: " + ("; ".join(left) or "events still move"))
        time.sleep(0.25)


def _events_by_recipient(samples: list[Sample], outcomes: tuple[str, ...]) -> Counter[str]:
    found: Counter[str] = Counter()
    for sample in samples:
        if sample.name == "cgi_events_total" and sample.labels["outcome"] in outcomes:
            found[sample.labels["recipient"]] += int(sample.value)
    return found


def _is_report(path: Path) -> bool:
    return path.name.endswith((".rejected.jsonl", ".tmp"))
