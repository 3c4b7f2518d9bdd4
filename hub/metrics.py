"""Every metric, declared once: name, kind, help, labels with their bounds, buckets.

A name that is not in one of the three ``Literal`` types below is a type error where it is used; a label that is not
declared is an error when it is used. What the declarations say is rendered into docs/guides/operate.md. Names follow
Prometheus: base units, ``_total`` for counters. No label ever holds an event's or a person's identifier.

This module imports nothing of the hub: the Observer port is typed by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

CounterName = Literal[
    "cgi_events_total",
    "cgi_bundles_total",
    "cgi_quarantined_total",
    "cgi_notices_total",
    "cgi_alarms_total",
    "cgi_unavailable_total",
    "cgi_cluster_changes_total",
    "cgi_rebalances_total",
    "cgi_rows_total",
    "cgi_heartbeats_total",
]
HistogramName = Literal[
    "cgi_seal_seconds",
    "cgi_route_seconds",
    "cgi_open_seconds",
    "cgi_sink_write_seconds",
    "cgi_hub_age_seconds",
    "cgi_end_to_end_age_seconds",
    "cgi_bundle_events",
    "cgi_bundle_bytes",
    "cgi_broker_answer_seconds",
]
GaugeName = Literal[
    "cgi_outbox_records",
    "cgi_outbox_bytes",
    "cgi_outbox_oldest_age_seconds",
    "cgi_outbox_waiting_events",
    "cgi_outbox_waiting_bytes",
    "cgi_outbox_waiting_age_seconds",
    "cgi_lag_records",
    "cgi_lag_events",
    "cgi_lag_seconds",
    "cgi_partitions",
    "cgi_gaps",
    "cgi_missing_records",
    "cgi_key_expiry_timestamp_seconds",
    "cgi_certificate_expiry_timestamp_seconds",
    "cgi_cluster_directory_version",
    "cgi_cluster_unchangeable",
    "cgi_directory_version",
    "cgi_directory_age_seconds",
    "cgi_directory_expiry_timestamp_seconds",
    "cgi_subscriptions",
    "cgi_last_event_timestamp_seconds",
    "cgi_clock_timestamp_seconds",
    "cgi_clock_skew_seconds",
    "cgi_named_directory_version",
    "cgi_held_partitions",
    "cgi_kem_keys",
    "cgi_progress_timestamp_seconds",
    "cgi_ready",
    "cgi_build_info",
    "cgi_group_lag_records",
    "cgi_group_lag_seconds",
    "cgi_group_expired_records",
    "cgi_group_members",
    "cgi_topic_partitions",
    "cgi_topic_bytes",
    "cgi_topic_end_offset",
    "cgi_topic_retention_seconds",
    "cgi_brokers",
    "cgi_broker_disk_bytes",
    "cgi_controllers",
    "cgi_broker_heap_bytes",
    "cgi_broker_collections",
    "cgi_broker_collection_seconds",
    "cgi_broker_threads",
]
MetricName = CounterName | HistogramName | GaugeName
Kind = Literal["counter", "histogram", "gauge"]

OVERFLOW: Final = "other"
"""What stands for the values of a label beyond its bound."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label. ``values`` is the closed list; without one at most ``limit`` different values are kept."""

    name: str
    doc: str
    values: frozenset[str] = frozenset()
    limit: int = 256


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's declaration. ``buckets`` are upper bounds, for histograms alone."""

    name: MetricName
    kind: Kind
    doc: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    label_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_names", tuple(label.name for label in self.labels))


def _closed(name: str, doc: str, *values: str) -> Label:
    return Label(name, doc, frozenset(values))


PUBLISHER: Final = Label("publisher", "the agency that published; `unknown` where no record proves it")
RECIPIENT: Final = Label("recipient", "the agency that it is for; empty where it is not about one recipient")
EVENT_TYPE: Final = Label("event_type", "the event type; empty where none can be read", limit=64)
REASON: Final = Label("reason", "an error code or a decision's code; empty where nothing was refused")
CODE: Final = Label("code", "the code of the error (docs/spec/errors.md)")
OUTCOME: Final = _closed(
    "outcome",
    "what became of it",
    "published",  # Publisher: sealed, and durable in the outbox
    "waiting",  # Publisher: durable in the outbox, and not sealed yet; counted again as published or rejected
    "duplicate",  # Publisher: the source's key was seen before; Subscriber: the sequence number was
    "rejected",  # Publisher: refused before it was sealed
    "sent",  # Publisher: acknowledged by Kafka
    "routed",  # Router: verified; counted once, whatever the deliveries
    "delivered",  # Router: acknowledged on the recipient's topic
    "denied",  # Router: agreement or subscription said no
    "quarantined",  # Router, Subscriber: refused
    "opened",  # Subscriber: opened and checked
    "filtered",  # Subscriber: the recipient's own filter on content
    "written",  # Subscriber: durable in every sink
)
PRIORITY: Final = _closed("priority", "the events' priority", "ROUTINE", "URGENT")
TOPIC: Final = Label("topic", "the Kafka topic")
SINK: Final = Label("sink", "the sink's name in the configuration", limit=32)
SOURCE: Final = Label("source", "the source's name in the configuration", limit=32)
OPERATION: Final = _closed(
    "operation",
    "what was tried",
    *("poll", "produce", "commit", "directory", "route", "open", "sink", "outbox", "clock", "start", "figures"),
    "cluster",
)
GROUP: Final = Label("group", "the consumer group; empty for a topic that no group has ever read")
BROKER: Final = Label("broker", "the node's id", limit=64)

_FAST: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_AGES: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 21600, 86400, 604800)
_COUNTS: Final = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SIZES: Final = (4e3, 8e3, 16e3, 32e3, 64e3, 128e3, 256e3, 512e3, 900e3)

_LANE: Final = (PUBLISHER, RECIPIENT, EVENT_TYPE, OUTCOME, REASON)

_DECLARED: Final = (
    # --- what flows
    Metric("cgi_events_total", "counter", "Events, by what became of them.", _LANE),
    Metric("cgi_bundles_total", "counter", "Bundles (one Kafka record each), by what became of them.", _LANE),
    Metric("cgi_quarantined_total", "counter", "Records put into quarantine.", (PUBLISHER, CODE)),
    Metric(
        "cgi_notices_total", "counter", "Ranges that the hub told a recipient it did not deliver.", (RECIPIENT, REASON)
    ),
    Metric("cgi_alarms_total", "counter", "What only an attack or a serious fault explains.", (PUBLISHER, CODE)),
    Metric("cgi_unavailable_total", "counter", "Times something outside was not there.", (OPERATION, CODE)),
    Metric(
        "cgi_cluster_changes_total",
        "counter",
        "Changes that the follower made to the cluster.",
        (
            _closed("kind", "what was changed", "topic", "partitions", "config", "acl", "quota"),
            _closed("cause", "who made it necessary: the directory, or someone else's hand", "directory", "drift"),
        ),
    ),
    Metric("cgi_rebalances_total", "counter", "Consumer group rebalances that this process saw."),
    Metric(
        "cgi_rows_total",
        "counter",
        "Rows or records that a source read.",
        (SOURCE, _closed("outcome", "what became of it", "published", "duplicate", "rejected"), REASON),
    ),
    Metric(
        "cgi_heartbeats_total", "counter", "Heartbeat bundles.", (_closed("direction", "sent or seen", "sent", "seen"),)
    ),
    # --- how long it takes
    Metric("cgi_seal_seconds", "histogram", "Time to seal one flush.", (), _FAST),
    Metric("cgi_route_seconds", "histogram", "Time to verify and decide one bundle, without I/O.", (), _FAST),
    Metric("cgi_open_seconds", "histogram", "Time to verify, open and check one bundle.", (), _FAST),
    Metric("cgi_sink_write_seconds", "histogram", "Time of one durable write of a sink.", (SINK,), _AGES),
    Metric(
        "cgi_hub_age_seconds",
        "histogram",
        "Age of a bundle, from its flush at the publisher to its acknowledgement on the recipient's topic.",
        (PRIORITY,),
        _AGES,
    ),
    Metric(
        "cgi_end_to_end_age_seconds",
        "histogram",
        "Age of an event when it is durable at the recipient, from its time of publication.",
        (PUBLISHER, PRIORITY),
        _AGES,
    ),
    Metric("cgi_bundle_events", "histogram", "Events in a bundle.", (), _COUNTS),
    Metric("cgi_bundle_bytes", "histogram", "Bytes of a bundle as it was sent or read.", (), _SIZES),
    # --- what waits
    Metric("cgi_outbox_records", "gauge", "Records in the outbox that Kafka has not acknowledged."),
    Metric("cgi_outbox_bytes", "gauge", "Their bytes."),
    Metric("cgi_outbox_oldest_age_seconds", "gauge", "Age of the oldest of them; 0 when there is none."),
    Metric(
        "cgi_outbox_waiting_events",
        "gauge",
        "Events in the outbox that are not sealed: there is no valid directory, or the clock is far ahead.",
    ),
    Metric("cgi_outbox_waiting_bytes", "gauge", "Their bytes, in the clear."),
    Metric("cgi_outbox_waiting_age_seconds", "gauge", "Age of the oldest of them; 0 when there is none."),
    Metric("cgi_lag_records", "gauge", "Records on the topic that this process has not yet read.", (TOPIC,)),
    Metric(
        "cgi_lag_events",
        "gauge",
        "Events on the topic that this process has not yet read: records times the mean of what it read lately.",
        (TOPIC,),
    ),
    Metric(
        "cgi_lag_seconds",
        "gauge",
        "Age of the record read last, by the broker's time, while others wait behind it; 0 when none waits.",
        (TOPIC,),
    ),
    Metric("cgi_partitions", "gauge", "Partitions that this process reads now."),
    # --- what is missing
    Metric(
        "cgi_last_event_timestamp_seconds",
        "gauge",
        "When this router last routed an event of the publisher, by the router's clock.",
        (PUBLISHER,),
    ),
    Metric(
        "cgi_gaps",
        "gauge",
        "Open gaps in the sequence of a publisher.",
        (PUBLISHER, _closed("explained", "whether the hub's notice gives a reason", "yes", "no")),
    ),
    Metric(
        "cgi_missing_records",
        "gauge",
        "Sequence numbers in those gaps.",
        (PUBLISHER, _closed("explained", "whether the hub's notice gives a reason", "yes", "no")),
    ),
    # --- what expires
    Metric(
        "cgi_key_expiry_timestamp_seconds",
        "gauge",
        "When the directory's listing of this process's own key ends.",
        (_closed("kind", "what the key does", "signing", "kem"),),
    ),
    Metric(
        "cgi_certificate_expiry_timestamp_seconds",
        "gauge",
        "When a TLS certificate ends.",
        (_closed("certificate", "which", "client", "ca"),),
    ),
    Metric("cgi_directory_version", "gauge", "Version of the directory in use."),
    Metric(
        "cgi_named_directory_version",
        "gauge",
        "The highest version of the directory that a flush of the publisher has named to this process.",
        (PUBLISHER,),
    ),
    Metric(
        "cgi_held_partitions",
        "gauge",
        "Partitions whose next record waits: for a newer directory, or for a key.",
        (CODE,),
    ),
    Metric(
        "cgi_kem_keys",
        "gauge",
        "This site's KEM keys: at hand; listed in the directory without being at hand.",
        (_closed("state", "whether the private half is here", "held", "absent"),),
    ),
    Metric(
        "cgi_cluster_directory_version", "gauge", "Version of the directory that the cluster was last in line with."
    ),
    Metric("cgi_cluster_unchangeable", "gauge", "Differences of the cluster that Kafka cannot change back."),
    Metric("cgi_directory_age_seconds", "gauge", "Time since the directory in use was issued."),
    Metric("cgi_directory_expiry_timestamp_seconds", "gauge", "When the directory in use ends."),
    Metric(
        "cgi_subscriptions",
        "gauge",
        "Agencies' files in a router's folder of subscriptions; a refused one gives its agency nothing.",
        (_closed("state", "whether the file is used", "in_force", "refused"),),
    ),
    # --- the process
    Metric("cgi_clock_timestamp_seconds", "gauge", "What this process's clock says at the moment of the scrape."),
    Metric(
        "cgi_clock_skew_seconds",
        "gauge",
        "How far this process's clock is ahead of the broker's, by its acknowledgements; below 0: behind.",
    ),
    Metric(
        "cgi_progress_timestamp_seconds",
        "gauge",
        "When a worker last got a step further, or found that there was nothing to do.",
        (
            Label(
                "worker",
                "router, heartbeat (a router's), publisher, subscriber, exporter, console, broker, or a source's name",
                limit=64,
            ),
        ),
    ),
    Metric("cgi_ready", "gauge", "1 when /readyz says yes."),
    Metric(
        "cgi_build_info",
        "gauge",
        "Always 1.",
        (
            Label("version", "of cgi-hub", limit=4),
            Label("python", "of the interpreter", limit=4),
            _closed("role", "what the process is", "router", "site", "publish", "exporter", "console", "broker"),
            Label("agency", "whose process it is", limit=4),
        ),
    ),
    # --- the broker's figures, which the exporter asks for (hub/app/exporter.py)
    Metric(
        "cgi_group_lag_records",
        "gauge",
        "Records on the topic that the group has not committed, whether it has members or not.",
        (GROUP, TOPIC),
    ),
    Metric(
        "cgi_group_lag_seconds",
        "gauge",
        "Age of the oldest of them, by the broker's time; 0 when there is none.",
        (GROUP, TOPIC),
    ),
    Metric(
        "cgi_group_expired_records",
        "gauge",
        "Records that Kafka deleted before the group had committed them; until it commits what comes after them.",
        (GROUP, TOPIC),
    ),
    Metric("cgi_group_members", "gauge", "Members of the group: who reads the topic now.", (GROUP, TOPIC)),
    Metric(
        "cgi_topic_partitions",
        "gauge",
        "Partitions of the topic, by the worst that is true of them.",
        (
            TOPIC,
            _closed(
                "state",
                "a replica is away; too few replicas for a write; no leader",
                "healthy",
                "under_replicated",
                "under_min_isr",
                "offline",
            ),
        ),
    ),
    Metric("cgi_topic_bytes", "gauge", "Bytes of the topic on the disks of all brokers.", (TOPIC,)),
    Metric("cgi_topic_end_offset", "gauge", "Sum of the partitions' end offsets: records ever written.", (TOPIC,)),
    Metric(
        "cgi_topic_retention_seconds",
        "gauge",
        "How long the broker keeps a record of the topic; +Inf: for ever.",
        (TOPIC,),
    ),
    Metric(
        "cgi_brokers",
        "gauge",
        "Brokers; `away`: a partition has a replica on it, and the cluster does not name it.",
        (_closed("state", "whether the cluster names it", "up", "away"),),
    ),
    Metric(
        "cgi_broker_disk_bytes",
        "gauge",
        "Bytes of the fullest volume that the broker keeps topics on.",
        (BROKER, _closed("kind", "its size; what is left", "total", "usable")),
    ),
    Metric(
        "cgi_broker_answer_seconds",
        "histogram",
        "Time until the broker had answered the exporter's question for its disks.",
        (BROKER,),
        _AGES,
    ),
    Metric(
        "cgi_controllers",
        "gauge",
        "1 while the brokers name a leader of the controllers, else 0.",
        (_closed("state", "what the controller does", "leading"),),
    ),
    Metric(
        "cgi_broker_heap_bytes",
        "gauge",
        "Heap of the Kafka on the exporter's machine; only where `jvm_folder` is set.",
        (_closed("kind", "what is in use; the most it may take", "used", "most"),),
    ),
    Metric("cgi_broker_collections", "gauge", "Garbage collections of that Kafka since it started."),
    Metric("cgi_broker_collection_seconds", "gauge", "Time in them since it started."),
    Metric("cgi_broker_threads", "gauge", "Live threads of that Kafka."),
)

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _DECLARED}


def render_table() -> str:
    """The declarations as a Markdown table, for docs/guides/operate.md."""
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in _DECLARED:
        labels = ", ".join(f"`{name}`" for name in metric.label_names) or "-"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.doc} |")
    return "\n".join(lines) + "\n"


def render_labels() -> str:
    """The labels as a Markdown table, for docs/guides/operate.md."""
    labels = {label.name + label.doc: label for metric in _DECLARED for label in metric.labels}
    lines = ["| label | values | meaning |", "| --- | --- | --- |"]
    for label in sorted(labels.values(), key=lambda label: (label.name, label.doc)):
        values = (
            ", ".join(f"`{value}`" for value in sorted(label.values)) or f"at most {label.limit}, then `{OVERFLOW}`"
        )
        lines.append(f"| `{label.name}` | {values} | {label.doc} |")
    return "\n".join(lines) + "\n"
