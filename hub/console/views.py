"""The pages about agencies made of the facts: exchange, agencies, agreements. Pure.

The others are in hub/console/platform_views.py and hub/console/quarantine.py.

Each function takes the facts and the time, and gives a page or raises :class:`PageUnknown` or ``NoDirectory``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hub.console.facts import Facts
from hub.console.flows import agency_stops, agreement_state, all_flows, make_flow
from hub.console.pages import (
    AgenciesPage,
    AgencyLine,
    AgencyNode,
    AgencyPage,
    AgreementsPage,
    AskedView,
    CellView,
    ClauseView,
    ExchangePage,
    GapView,
    KeyView,
    PairPage,
    PriorityAge,
    QuotaView,
    ReleaseView,
    Stop,
    TopicView,
)
from hub.console.quarantine import undecided
from hub.console.standing import (
    LATE_SECONDS,
    directory_of,
    points,
    processes,
    routers_alive,
    seconds_to_ms,
    site_up,
    sources,
)
from hub.errors import RejectedError
from hub.model import HUB, AgencyId, Agreement, NameInvalid, Priority, Purpose, Route, parse_agency_id
from hub.policy.subscription import Subscriptions
from hub.topics import deliver_topic, ingest_topic
from hub.trust.directory import AgencyEntry, Directory
from hub.trust.statement import KemKeyEntry, SigningKeyEntry


class PageUnknown(RejectedError):
    """No page has this address: no such agency, pair or record."""

    code = "console.page_unknown"


# --- exchange ---------------------------------------------------------------------------------------------------------


def exchange_page(facts: Facts, now_ms: int) -> ExchangePage:
    """The flow map."""
    directory = directory_of(facts).directory
    metrics, history, alerts = facts.metrics.value, facts.history.value, facts.alerts.value
    flows = all_flows(facts, now_ms)
    nodes = []
    for entry in directory.all_agencies():
        if entry.agency_id == directory.hub:
            continue
        got = [flow.events_per_minute for flow in flows if flow.recipient == entry.agency_id]
        nodes.append(
            AgencyNode(
                agency=entry.agency_id,
                name=entry.name,
                active=entry.active,
                sends_per_minute=None if metrics is None else metrics.value("routed", publisher=entry.agency_id) or 0.0,
                gets_per_minute=None if metrics is None else sum(rate or 0.0 for rate in got),
                last_event_ms=_last_event(facts, entry.agency_id),
                site_up=site_up(metrics, entry.agency_id),
            )
        )
    return ExchangePage(
        hub=directory.hub,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "directory", "metrics", "history", "heartbeats", "alerts"),
        agencies=tuple(nodes),
        flows=flows,
        ages=tuple(
            PriorityAge(
                priority=priority,
                p95_seconds=None if metrics is None else metrics.value("hub_age", priority=priority),
                objective_seconds=seconds,
            )
            for priority, seconds in LATE_SECONDS.items()
        ),
        delivered_per_minute=() if history is None else points(history.course("all")),
        quarantine_undecided=undecided(facts),
        alerts_firing=None if alerts is None else sum(alert.state == "firing" for alert in alerts),
        routers_alive=routers_alive(facts, now_ms),
    )


def _last_event(facts: Facts, agency: AgencyId) -> int | None:
    history = facts.history.value
    return None if history is None else seconds_to_ms(history.value("last_routed", publisher=agency))


# --- agencies ---------------------------------------------------------------------------------------------------------


def agencies_page(facts: Facts, now_ms: int) -> AgenciesPage:
    """All agencies, the hub too."""
    directory, metrics = directory_of(facts).directory, facts.metrics.value
    lines = []
    for entry in directory.all_agencies():
        valid = [key for key in _keys(entry, now_ms) if key.state == "valid"]
        ends = [key.not_after_ms if key.revoked_at_ms is None else key.revoked_at_ms for key in valid]
        lines.append(
            AgencyLine(
                agency=entry.agency_id,
                name=entry.name,
                active=entry.active,
                next_end_ms=min(ends, default=None),
                keys_valid=len(valid),
                site_up=site_up(metrics, entry.agency_id),
                last_event_ms=_last_event(facts, entry.agency_id),
            )
        )
    return AgenciesPage(
        hub=directory.hub,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "directory", "metrics", "history"),
        agencies=tuple(lines),
    )


def agency_page(facts: Facts, agency: str, now_ms: int) -> AgencyPage:
    """One agency. Raises :class:`PageUnknown`."""
    directory, metrics, history = directory_of(facts).directory, facts.metrics.value, facts.history.value
    entry = _entry(directory, agency)
    code = entry.agency_id
    flows = all_flows(facts, now_ms)
    stops = [*agency_stops(directory, code, now_ms, sending=True)]
    if code != directory.hub:  # nothing is delivered to the hub
        stops += agency_stops(directory, code, now_ms, sending=False)
    stops += [
        Stop(code=fault.code, clause=fault.role, detail=fault.message)
        for fault in directory.faults
        if fault.role == f"agency.{code}"
    ]
    return AgencyPage(
        hub=directory.hub,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "directory", "metrics", "history", "cluster"),
        agency=code,
        name=entry.name,
        active=entry.active,
        statement_version=entry.statement.version,
        statement_issued_ms=entry.statement.issued_at_ms,
        identity_key_id=entry.identity.key_id.hex(),
        keys=_keys(entry, now_ms),
        processes=processes(metrics, code),
        gaps=_gaps(facts, code),
        topics=_topics(facts, code),
        quota=_quota(facts, code),
        sends=tuple(flow for flow in flows if flow.originator == code),
        gets=tuple(flow for flow in flows if flow.recipient == code),
        sends_per_minute=() if history is None else points(history.course("sent", publisher=code)),
        gets_per_minute=() if history is None else points(history.course("got", recipient=code)),
        faults=tuple(stops),
    )


def _entry(directory: Directory, agency: str) -> AgencyEntry:
    try:
        entry = directory.agency(parse_agency_id(agency))
    except NameInvalid as error:
        raise PageUnknown("not an agency's code") from error
    if entry is None:
        raise PageUnknown("the directory lists no such agency", agency=agency)
    return entry


def _keys(entry: AgencyEntry, now_ms: int) -> tuple[KeyView, ...]:
    every: list[SigningKeyEntry | KemKeyEntry] = [*entry.statement.signing_keys, *entry.statement.kem_keys]
    return tuple(_key(key, now_ms) for key in every)


def _key(key: SigningKeyEntry | KemKeyEntry, now_ms: int) -> KeyView:
    signing = isinstance(key, SigningKeyEntry)
    return KeyView(
        use="signing" if signing else "kem",
        key_id=(key.key.key_id if isinstance(key, SigningKeyEntry) else key.key.kem_id).hex(),
        site=key.site if isinstance(key, SigningKeyEntry) else "",
        state="revoked"
        if key.revoked_at_ms is not None and now_ms >= key.revoked_at_ms
        else "expired"
        if now_ms >= key.not_after_ms
        else "not_yet"
        if now_ms < key.not_before_ms
        else "valid",
        not_before_ms=key.not_before_ms,
        not_after_ms=key.not_after_ms,
        revoked_at_ms=key.revoked_at_ms,
    )


def _gaps(facts: Facts, agency: AgencyId) -> tuple[GapView, ...]:
    """The gaps in which the agency is the one who misses, or the one whose records are missed."""
    metrics = facts.metrics.value
    if metrics is None:
        return ()
    return tuple(
        GapView(
            recipient=sample.label("agency"),
            publisher=sample.label("publisher"),
            instance=sample.label("instance"),
            explained=sample.label("explained") == "yes",
            gaps=sample.value,
            missing_records=metrics.value("missing", **sample.labels),
        )
        for sample in metrics.get("gaps")
        if agency in (sample.label("agency"), sample.label("publisher"))
    )


def _topics(facts: Facts, agency: AgencyId) -> tuple[TopicView, ...]:
    metrics, cluster = facts.metrics.value, facts.cluster.value
    counts = Counter(each.topic for each in cluster.partitions) if cluster is not None else None
    names = [ingest_topic(agency)] + ([deliver_topic(agency)] if agency != HUB else [])
    return tuple(
        TopicView(
            topic=name,
            partitions=None if counts is None else counts[name],
            waiting_events=None if metrics is None else metrics.value("waiting_events", topic=name),
            waiting_records=None if metrics is None else metrics.value("waiting_records", topic=name),
            waiting_seconds=None if metrics is None else metrics.value("waiting_seconds", topic=name),
        )
        for name in names
    )


def _quota(facts: Facts, agency: AgencyId) -> QuotaView | None:
    cluster = facts.cluster.value
    if cluster is None or cluster.quotas is None:
        return None
    found = cluster.quotas.get(agency, {})
    return QuotaView(
        producer_byte_rate=found.get("producer_byte_rate"), consumer_byte_rate=found.get("consumer_byte_rate")
    )


# --- agreements -------------------------------------------------------------------------------------------------------


def agreements_page(facts: Facts, now_ms: int) -> AgreementsPage:
    """The matrix."""
    directory = directory_of(facts).directory
    pairs: dict[tuple[AgencyId, AgencyId], list[Agreement]] = {}
    for agreement in directory.all_agreements:
        pairs.setdefault((agreement.originator, agreement.recipient), []).append(agreement)
    return AgreementsPage(
        hub=directory.hub,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "directory"),
        agencies=tuple(entry.agency_id for entry in directory.all_agencies() if entry.agency_id != directory.hub),
        cells=tuple(_cell(pair, found, now_ms) for pair, found in sorted(pairs.items())),
    )


def _cell(pair: tuple[AgencyId, AgencyId], agreements: list[Agreement], now_ms: int) -> CellView:
    states = {agreement_state(each, now_ms) for each in agreements}
    state = next(state for state in ("in_force", "not_yet", "ended") if state in states)
    shown = [each for each in agreements if agreement_state(each, now_ms) == state]
    return CellView(
        originator=pair[0],
        recipient=pair[1],
        state=state,
        clauses=len(shown),
        event_types=tuple(sorted({name for each in shown for name in each.event_types})),
        from_ms=min(each.not_before_ms for each in shown),
        until_ms=max(each.not_after_ms for each in shown),
    )


def pair_page(facts: Facts, originator: str, recipient: str, now_ms: int) -> PairPage:
    """The three consents between two agencies. Raises :class:`PageUnknown`."""
    known = directory_of(facts)
    directory = known.directory
    one, other = _entry(directory, originator).agency_id, _entry(directory, recipient).agency_id
    agreements = directory.agreements(one, other)
    types = sorted({name for each in agreements for name in each.event_types})
    return PairPage(
        hub=directory.hub,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "directory", "metrics", "history"),
        originator=one,
        recipient=other,
        clauses=tuple(_clause(each, now_ms) for each in agreements),
        released=_released(facts, one, other),
        asked=None
        if known.subscriptions is None
        else tuple(_asked(known.subscriptions, one, other, name, agreements) for name in types),
        flow=make_flow(facts, one, other, now_ms) if agreements else None,
    )


def _clause(agreement: Agreement, now_ms: int) -> ClauseView:
    return ClauseView(
        agreement_id=agreement.agreement_id,
        reference=agreement.reference,
        state=agreement_state(agreement, now_ms),
        not_before_ms=agreement.not_before_ms,
        not_after_ms=agreement.not_after_ms,
        event_types=tuple(sorted(agreement.event_types)),
        compartments=tuple(sorted(agreement.compartments)),
        purposes=tuple(sorted(purpose.value for purpose in agreement.purposes)),
        max_handling=str(agreement.max_handling),
        onward="" if agreement.onward is None else agreement.onward.name,
        retention_days=agreement.retention_days,
    )


def _released(facts: Facts, originator: AgencyId, recipient: AgencyId) -> tuple[ReleaseView, ...] | None:
    """What came with a grant to the recipient: delivered or denied, the originator's rules had let it go."""
    history = facts.history.value
    if history is None:
        return None
    delivered: Counter[str] = Counter()
    denied: Counter[str] = Counter()
    codes: dict[str, set[str]] = {}
    for query, count in (("day_delivered", delivered), ("day_denied", denied)):
        for sample in history.get(query):
            if (sample.label("publisher"), sample.label("recipient")) == (originator, recipient):
                event_type = sample.label("event_type")
                count[event_type] += sample.value  # type: ignore[assignment]
                if query == "day_denied":
                    codes.setdefault(event_type, set()).add(sample.label("reason"))
    return tuple(
        ReleaseView(
            event_type=name,
            delivered=delivered[name],
            denied=denied[name],
            denied_codes=tuple(sorted(codes.get(name, ()))),
        )
        for name in sorted({*delivered, *denied})
    )


def _asked(
    subscriptions: Subscriptions,
    originator: AgencyId,
    recipient: AgencyId,
    event_type: str,
    agreements: Iterable[Agreement],
) -> AskedView:
    """Whether the labels that the agreements cover are asked for: all of them, some or none."""
    answers, clauses, code = set(), set(), ""
    for agreement in agreements:
        if event_type not in agreement.event_types:
            continue
        for purpose in agreement.purposes or frozenset(Purpose):
            for priority in Priority:
                route = Route(event_type, 1, agreement.max_handling, priority, purpose)
                decision = subscriptions.decide_labels(recipient, originator, route)
                answers.add(decision.allowed)
                code = code if code and answers != {False} else decision.code
                if decision.allowed:
                    clauses.add(decision.clause)
    return AskedView(
        event_type=event_type,
        answer="unknown"
        if code == "subscription.refused"
        else "always"
        if answers == {True}
        else "sometimes"
        if True in answers
        else "never",
        clauses=tuple(sorted(clauses)),
        code=code,
    )
