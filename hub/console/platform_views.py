"""The pages about the platform made of the facts: directory, health, audit log. Pure."""

from __future__ import annotations

from hub.console.facts import Facts
from hub.console.pages import (
    AlertView,
    AuditLine,
    AuditPage,
    BehindView,
    BrokerView,
    ChangeView,
    DirectoryPage,
    HealthPage,
    PartitionView,
    RouterView,
    SignerView,
    Stop,
    VersionView,
)
from hub.console.standing import ROUTER_ALIVE_MS, directory_of, processes, sources
from hub.model import HUB

# --- directory --------------------------------------------------------------------------------------------------------


def directory_page(facts: Facts, now_ms: int) -> DirectoryPage:
    """Versions, who signed, what changed."""
    known = directory_of(facts)
    directory = known.directory
    return DirectoryPage(
        hub=directory.hub,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "directory", "metrics"),
        version=directory.version,
        issued_at_ms=directory.issued_at_ms,
        expires_at_ms=directory.expires_at_ms,
        digest=directory.digest.hex(),
        threshold=known.threshold,
        signers=tuple(SignerView(name=each.name, role=each.role, key_id=each.key_id) for each in known.signers),
        agencies=len(directory.entries),
        agreements=len(directory.all_agreements),
        faults=tuple(Stop(code=each.code, clause=each.role, detail=each.message) for each in directory.faults),
        versions=tuple(
            VersionView(
                version=each.version,
                seen_ms=each.seen_ms,
                issued_at_ms=each.issued_at_ms,
                digest=each.digest,
                changes=tuple(ChangeView(code=change.code, names=dict(change.names)) for change in each.changes),
            )
            for each in known.versions
        ),
        behind=tuple(
            BehindView(instance=each.instance, agency=each.agency, directory_version=each.directory_version)
            for each in processes(facts.metrics.value)
            if each.directory_version is not None and each.directory_version < directory.version
        ),
    )


# --- health -----------------------------------------------------------------------------------------------------------


def health_page(facts: Facts, now_ms: int) -> HealthPage:
    """Brokers, partitions, routers, processes, alerts. It needs no directory."""
    cluster = facts.cluster.value
    partitions = () if cluster is None else cluster.partitions
    order = {"critical": 0, "warning": 1}
    alerts = sorted(
        facts.alerts.value or (),
        key=lambda alert: (alert.state != "firing", order.get(alert.severity, 2), alert.name, alert.since_ms),
    )
    return HealthPage(
        hub=directory_of(facts).directory.hub if facts.directory.value is not None else HUB,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "alerts", "cluster", "heartbeats", "metrics"),
        alerts=tuple(
            AlertView(
                name=alert.name,
                state=alert.state,
                severity=alert.severity,
                since_ms=alert.since_ms,
                about={k: v for k, v in alert.labels.items() if k not in ("alertname", "severity")},
                summary=alert.summary,
                description=alert.description,
                runbook=alert.runbook,
            )
            for alert in alerts
        ),
        brokers=()
        if cluster is None
        else tuple(
            BrokerView(
                node=broker.node,
                address=f"{broker.host}:{broker.port}",
                controller=broker.controller,
                leads=sum(each.leader == broker.node for each in partitions),
                replicas=sum(broker.node in each.replicas for each in partitions),
            )
            for broker in cluster.brokers
        ),
        topics=len({each.topic for each in partitions}),
        partitions=len(partitions),
        troubled=tuple(
            PartitionView(
                topic=each.topic,
                partition=each.partition,
                leader=each.leader,
                replicas=each.replicas,
                in_sync=each.in_sync,
            )
            for each in partitions
            if each.leader < 0 or set(each.replicas) - set(each.in_sync)
        ),
        routers=tuple(
            RouterView(
                router=beat.router,
                at_ms=beat.at_ms,
                alive=now_ms - beat.at_ms <= ROUTER_ALIVE_MS,
                partitions=beat.partitions,
                bundles=beat.bundles,
                quarantined=beat.quarantined,
            )
            for beat in sorted(facts.heartbeats.value or (), key=lambda beat: (-beat.at_ms, beat.router))
        ),
        processes=processes(facts.metrics.value),
    )


# --- audit ------------------------------------------------------------------------------------------------------------


def audit_page(facts: Facts, now_ms: int) -> AuditPage:
    """The audit log, newest first."""
    trail = facts.audit.value
    written = () if trail is None else trail.entries
    return AuditPage(
        hub=directory_of(facts).directory.hub if facts.directory.value is not None else HUB,
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "audit"),
        faults=() if trail is None else trail.faults,
        entries=tuple(
            AuditLine(
                offset=each.offset,
                writer=each.entry.writer,
                number=each.entry.number,
                at_ms=each.entry.at_ms,
                who=each.entry.who,
                fingerprint=each.entry.fingerprint,
                what=each.entry.what,
                place=each.entry.place,
                digest=each.entry.digest,
                reason=each.entry.reason,
            )
            for each in reversed(written)
        ),
    )
