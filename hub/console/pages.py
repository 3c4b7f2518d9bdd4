"""The pages as values: what HTML, the JSON twins and the terminal all show. Made by pure functions from the facts.

Times are milliseconds since 1970, UTC (``_ms``), durations seconds. ``None`` means: not known, never: none.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hub.console.facts import SourceName


class View(BaseModel):
    """The base of everything that is shown: frozen, and nothing that is not named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceView(View):
    """How a source stands: ``fresh``, ``old`` (it does not answer; what it said at ``at_ms`` is shown), ``missing``."""

    source: SourceName
    state: Literal["fresh", "old", "missing"]
    at_ms: int | None = Field(description="When what is shown was read.")
    code: str = Field(description="Why the last try failed; empty where it did not.")
    message: str


class Page(View):
    """What every page has."""

    hub: str
    made_at_ms: int
    sources: tuple[SourceView, ...]


class Point(View):
    """One point of a course in time."""

    at_ms: int
    value: float


class Stop(View):
    """Something that keeps a flow from running, or a part of it."""

    code: str = Field(description="An error's, a decision's or one of the console's own codes (site.*, routers.*).")
    clause: str = ""
    events: float | None = Field(default=None, description="Events denied for it in the last 15 minutes.")
    detail: str = ""


FlowState = Literal["flowing", "quiet", "denied", "waiting", "stopped", "unknown"]


class Flow(View):
    """Events from one agency to another, as agreements, routers and the recipient's site let them run."""

    originator: str
    recipient: str
    state: FlowState
    events_per_minute: float | None
    age_p95_seconds: float | None = Field(description="At the recipient's sink, over 15 minutes.")
    last_delivered_ms: int | None = Field(description="By the minute, within the last day.")
    waiting_events: float | None = Field(description="On the recipient's topic, from all originators.")
    event_types: tuple[str, ...]
    stops: tuple[Stop, ...]


class AgencyNode(View):
    """An agency on the flow map."""

    agency: str
    name: str
    active: bool
    sends_per_minute: float | None
    gets_per_minute: float | None
    last_event_ms: int | None = Field(description="When a router last routed an event of it.")
    site_up: bool | None = Field(description="Whether its site answers Prometheus; null where none is scraped.")


class PriorityAge(View):
    """How old bundles of a priority are when they are delivered, against their objective."""

    priority: str
    p95_seconds: float | None
    objective_seconds: float


class ExchangePage(Page):
    """The flow map, agency by agency."""

    agencies: tuple[AgencyNode, ...]
    flows: tuple[Flow, ...]
    ages: tuple[PriorityAge, ...]
    delivered_per_minute: tuple[Point, ...] = Field(description="The last hour.")
    quarantine_undecided: int | None
    alerts_firing: int | None
    routers_alive: int | None


class KeyView(View):
    """A key in an agency's statement."""

    use: Literal["signing", "kem"]
    key_id: str
    site: str
    state: Literal["valid", "not_yet", "expired", "revoked"]
    not_before_ms: int
    not_after_ms: int
    revoked_at_ms: int | None


class CertificateView(View):
    """A TLS certificate of a process, as the process itself says."""

    certificate: str
    not_after_ms: int | None


class ProcessView(View):
    """A process that Prometheus scrapes."""

    instance: str
    role: str
    agency: str
    up: bool | None
    ready: bool | None
    scraped_ms: int | None
    progress_age_seconds: float | None
    version: str
    directory_version: int | None
    clock_skew_seconds: float | None
    outbox_records: float | None
    outbox_oldest_seconds: float | None
    certificates: tuple[CertificateView, ...]


class GapView(View):
    """What a recipient misses of a publisher's sequence."""

    recipient: str
    publisher: str
    instance: str
    explained: bool
    gaps: float
    missing_records: float | None


class TopicView(View):
    """A topic of an agency, with what waits on it."""

    topic: str
    partitions: int | None
    waiting_events: float | None = Field(description="By the reader's own word.")
    waiting_records: float | None = Field(description="By the exporter of the broker's figures.")
    waiting_seconds: float | None


class QuotaView(View):
    """Bytes a second that are declared for an agency at each broker; null: no limit."""

    producer_byte_rate: float | None
    consumer_byte_rate: float | None


class AgencyPage(Page):
    """One agency: keys, certificates, sites and instances, sequence and gaps, lag, quota."""

    agency: str
    name: str
    active: bool
    statement_version: int
    statement_issued_ms: int
    identity_key_id: str
    keys: tuple[KeyView, ...]
    processes: tuple[ProcessView, ...]
    gaps: tuple[GapView, ...]
    topics: tuple[TopicView, ...]
    quota: QuotaView | None = Field(description="Null where the cluster was never read.")
    sends: tuple[Flow, ...]
    gets: tuple[Flow, ...]
    sends_per_minute: tuple[Point, ...]
    gets_per_minute: tuple[Point, ...]
    faults: tuple[Stop, ...]


class AgencyLine(View):
    """An agency in the list of all."""

    agency: str
    name: str
    active: bool
    next_end_ms: int | None = Field(description="When the first of its keys that are valid now ends.")
    keys_valid: int
    site_up: bool | None
    last_event_ms: int | None


class AgenciesPage(Page):
    """All agencies."""

    agencies: tuple[AgencyLine, ...]


AgreementState = Literal["in_force", "not_yet", "ended"]


class ClauseView(View):
    """An agreement's clause, the ceiling of one direction."""

    agreement_id: str
    reference: str
    state: AgreementState
    not_before_ms: int
    not_after_ms: int
    event_types: tuple[str, ...]
    compartments: tuple[str, ...]
    purposes: tuple[str, ...]
    max_handling: str
    onward: str = Field(description="What the recipient may do with it next; empty where nothing was said.")
    retention_days: int | None = Field(description="Days after receipt; null where nothing was said.")


class CellView(View):
    """One field of the matrix: what ``recipient`` may get from ``originator``."""

    originator: str
    recipient: str
    state: AgreementState
    clauses: int
    event_types: tuple[str, ...]
    from_ms: int
    until_ms: int = Field(description="When the last clause in force (or else the last one at all) ends.")


class AgreementsPage(Page):
    """The matrix: originators down, recipients across."""

    agencies: tuple[str, ...]
    cells: tuple[CellView, ...]


class ReleaseView(View):
    """What shows of the originator's release rules: for a type, events that it granted to this recipient, in a day."""

    event_type: str
    delivered: float
    denied: float
    denied_codes: tuple[str, ...]


class AskedView(View):
    """Whether the hub's part of the recipient's subscription asks for a type, by its labels."""

    event_type: str
    answer: Literal["always", "sometimes", "never", "unknown"]
    clauses: tuple[str, ...]
    code: str


class PairPage(Page):
    """The three consents between two agencies, as far as labels show them."""

    originator: str
    recipient: str
    clauses: tuple[ClauseView, ...]
    released: tuple[ReleaseView, ...] | None = Field(description="Null where no metrics are known.")
    asked: tuple[AskedView, ...] | None = Field(description="Null where the console has no folder of subscriptions.")
    flow: Flow | None


Decided = Literal["handed_back", "retried", "discarded", "failed"]


class DecisionView(View):
    """What was done with a refused record: an entry of the audit log."""

    what: Decided
    who: str
    at_ms: int
    reason: str
    writer: str
    number: int


class HeldView(View):
    """A refused record. ``readable`` is false for a record of the topic that is no quarantine record."""

    place: str
    at_ms: int
    readable: bool
    publisher: str = Field(description="Whose ingest topic it came from.")
    code: str
    clause: str = Field(description="Of docs/spec/checks.md.")
    reason: str
    topic: str
    partition: int | None
    offset: int | None
    router: str
    length: int
    whole: bool
    digest: str
    decisions: tuple[DecisionView, ...]


class QuarantinePage(Page):
    """What was refused, newest first."""

    held: tuple[HeldView, ...]
    undecided: int
    of: int = Field(description="How many there are by the filter, shown or not.")
    code: str
    publisher: str
    show: Literal["undecided", "all"]


class LabelsView(View):
    """What the labels of a refused bundle say, where they can be read. Nothing here was verified."""

    publisher: str
    instance: str
    event_type: str
    handling: str
    priority: str
    purpose: str
    events: int
    recipients: int


class HeldPage(Page):
    """One refused record, and what may be done with it."""

    held: HeldView
    labels: LabelsView | None
    may_retry: bool
    why_not: str


class AuditLine(View):
    """An entry of the audit log."""

    offset: int
    writer: str
    number: int
    at_ms: int
    who: str
    fingerprint: str
    what: str
    place: str
    digest: str
    reason: str


class AuditPage(Page):
    """The audit log, newest first, and whether its chains hold."""

    entries: tuple[AuditLine, ...]
    faults: tuple[str, ...]


class SignerView(View):
    """Who signed the directory in force."""

    name: str
    role: str
    key_id: str


class ChangeView(View):
    """One change, as a code and the names to say it with."""

    code: str
    names: dict[str, str]


class VersionView(View):
    """A version of the directory that this console saw come in."""

    version: int
    seen_ms: int
    issued_at_ms: int
    digest: str
    changes: tuple[ChangeView, ...]


class BehindView(View):
    """A process that works by an older directory."""

    instance: str
    agency: str
    directory_version: int


class DirectoryPage(Page):
    """Versions, who signed, what changed."""

    version: int
    issued_at_ms: int
    expires_at_ms: int
    digest: str
    threshold: int
    signers: tuple[SignerView, ...]
    agencies: int
    agreements: int
    faults: tuple[Stop, ...]
    versions: tuple[VersionView, ...]
    behind: tuple[BehindView, ...]


class BrokerView(View):
    """A broker."""

    node: int
    address: str
    controller: bool
    leads: int
    replicas: int


class PartitionView(View):
    """A partition that has no leader, or fewer replicas in sync than it should."""

    topic: str
    partition: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


class RouterView(View):
    """A router by its last heartbeat."""

    router: str
    at_ms: int
    alive: bool
    partitions: tuple[str, ...]
    bundles: int
    quarantined: int


class AlertView(View):
    """An alert that fires (or is about to: ``pending``)."""

    name: str
    state: str
    severity: str
    since_ms: int
    about: dict[str, str]
    summary: str
    description: str
    runbook: str


class HealthPage(Page):
    """Brokers, partitions, routers, processes, alerts."""

    alerts: tuple[AlertView, ...]
    brokers: tuple[BrokerView, ...]
    topics: int
    partitions: int
    troubled: tuple[PartitionView, ...]
    routers: tuple[RouterView, ...]
    processes: tuple[ProcessView, ...]


PAGES: dict[str, type[Page]] = {
    "exchange": ExchangePage,
    "agencies": AgenciesPage,
    "agency": AgencyPage,
    "agreements": AgreementsPage,
    "pair": PairPage,
    "quarantine": QuarantinePage,
    "held": HeldPage,
    "audit": AuditPage,
    "directory": DirectoryPage,
    "health": HealthPage,
}
"""Every page's model, by the name that templates and the OpenAPI description use."""
