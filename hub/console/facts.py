"""What the console knows: the last reading of each source, with its time and, where the last try failed, why.

A source that does not answer keeps what it said last, and the pages say how old that is. Times are milliseconds since
1970, UTC. Nothing here has content of an event: the hub has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar

from hub.adapters.kafka_overview import Node, Partition
from hub.adapters.tuf_signers import RoleSigner
from hub.console.audit import AuditTrail
from hub.policy.subscription import Subscriptions
from hub.trust.directory import Directory

T = TypeVar("T")

SourceName = Literal["directory", "metrics", "history", "alerts", "cluster", "quarantine", "heartbeats", "audit"]
SOURCES: Final[tuple[SourceName, ...]] = (
    "directory",
    "metrics",
    "history",
    "alerts",
    "cluster",
    "quarantine",
    "heartbeats",
    "audit",
)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """``value`` as it was at ``at_ms``; ``None`` where the source never answered.

    ``code`` and ``message`` are of the last try where that failed, otherwise empty.
    """

    value: T | None = None
    at_ms: int = 0
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a version of the directory changed: a code and the names to say it with (changes.py)."""

    code: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """A version of the directory as this console saw it come in."""

    version: int
    seen_ms: int
    issued_at_ms: int
    digest: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """The verified directory, who signed it, and the versions seen before it, newest first."""

    directory: Directory
    signers: tuple[RoleSigner, ...] = ()
    threshold: int = 0
    versions: tuple[VersionSeen, ...] = ()
    subscriptions: Subscriptions | None = None
    """The hub's parts of the subscriptions; ``None``: this console was given no folder of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series, with its labels."""

    labels: Mapping[str, str]
    value: float

    def label(self, name: str) -> str:
        """The label's value, empty without one."""
        return self.labels.get(name, "")


@dataclass(frozen=True, slots=True)
class Course:
    """The values of one series over time: (milliseconds, value), in order."""

    labels: Mapping[str, str]
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The answers to the queries of hub/console/queries.py, by name."""

    answers: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    courses: Mapping[str, tuple[Course, ...]] = field(default_factory=dict)

    def get(self, query: str) -> tuple[Sample, ...]:
        """All samples of an answer; none where there is no answer."""
        return self.answers.get(query, ())

    def course(self, query: str, **labels: str) -> tuple[tuple[int, float], ...]:
        """The points of the one series with these labels; none without it."""
        for course in self.courses.get(query, ()):
            if all(course.labels.get(name) == wanted for name, wanted in labels.items()):
                return course.points
        return ()

    def value(self, query: str, **labels: str) -> float | None:
        """The one sample with these labels, ``None`` without it."""
        for sample in self.get(query):
            if all(sample.label(name) == wanted for name, wanted in labels.items()):
                return sample.value
        return None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that Prometheus says is firing or about to."""

    name: str
    state: str
    severity: str
    since_ms: int
    labels: Mapping[str, str]
    summary: str
    description: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers, the partitions that this console may see, and the byte rates that are declared."""

    brokers: tuple[Node, ...]
    partitions: tuple[Partition, ...]
    quotas: Mapping[str, Mapping[str, float]] | None = None
    """``producer_byte_rate`` and ``consumer_byte_rate`` by principal; ``None``: not known."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the labels of a refused bundle say. Nothing of it was verified: it may be anybody's word."""

    publisher: str
    instance: str
    event_type: str
    handling: str
    priority: str
    purpose: str
    events: int
    recipients: int


@dataclass(frozen=True, slots=True)
class Held:
    """A record of the quarantine topic, without the refused bytes: those are read again when they are wanted.

    ``readable`` is false for a record that is no quarantine record; then ``reason`` says why, and ``digest`` and
    ``length`` are its own.
    """

    partition: int
    offset: int
    at_ms: int
    readable: bool
    code: str
    reason: str
    topic: str
    origin: tuple[int, int] | None
    """Partition and offset on ``topic``."""
    router: str
    length: int
    whole: bool
    digest: str
    labels: Labels | None = None

    @property
    def place(self) -> str:
        """Its name in addresses and in the audit log: partition and offset in the quarantine topic."""
        return f"{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True)
class Beat:
    """A router's last heartbeat."""

    router: str
    at_ms: int
    partitions: tuple[str, ...]
    bundles: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything at once: what a page is made of."""

    directory: Reading[DirectoryFacts] = Reading()
    metrics: Reading[Metrics] = Reading()
    history: Reading[Metrics] = Reading()
    """What is asked for less often: last seen over days, and the last hour's course."""
    alerts: Reading[tuple[Alert, ...]] = Reading()
    cluster: Reading[Cluster] = Reading()
    quarantine: Reading[tuple[Held, ...]] = Reading()
    heartbeats: Reading[tuple[Beat, ...]] = Reading()
    audit: Reading[AuditTrail] = Reading()

    def reading(self, source: SourceName) -> Reading[object]:
        """The reading of one source."""
        found: Reading[object] = getattr(self, source)
        return found
