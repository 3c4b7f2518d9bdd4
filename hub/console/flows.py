"""The flows between agencies: who gets what from whom, how fast, how old, and what stops it. Pure."""

from __future__ import annotations

from typing import Final

from hub.console.facts import Facts, Metrics
from hub.console.pages import AgreementState, Flow, FlowState, Stop
from hub.console.standing import LATE_SECONDS, directory_of, routers_alive, seconds_to_ms, site_up
from hub.errors import RejectedError
from hub.model import AgencyId, Agreement
from hub.topics import deliver_topic
from hub.trust.directory import Directory

_HARD: Final = frozenset(
    {
        "publisher.suspended",
        "recipient.suspended",
        "publisher.unknown",
        "recipient.unknown",
        "kem_key.none",
        "signing_key.none",
        "agreement.ended",
        "agreement.not_yet",
        "directory.expired",
        "routers.none",
    }
)
"""With one of these nothing at all can run."""
_HELD: Final = frozenset({"site.down", "site.behind", "site.origin_down"})


def agreement_state(agreement: Agreement, now_ms: int) -> AgreementState:
    """Where ``now_ms`` stands in its time."""
    if now_ms < agreement.not_before_ms:
        return "not_yet"
    return "in_force" if now_ms < agreement.not_after_ms else "ended"


def all_flows(facts: Facts, now_ms: int) -> tuple[Flow, ...]:
    """A flow for each direction between two agencies that any agreement names, ordered."""
    directory = directory_of(facts).directory
    pairs = sorted({(agreement.originator, agreement.recipient) for agreement in directory.all_agreements})
    return tuple(make_flow(facts, originator, recipient, now_ms) for originator, recipient in pairs)


def make_flow(facts: Facts, originator: AgencyId, recipient: AgencyId, now_ms: int) -> Flow:
    """The flow from ``originator`` to ``recipient``."""
    directory, metrics = directory_of(facts).directory, facts.metrics.value
    agreements = directory.agreements(originator, recipient)
    in_force = [each for each in agreements if agreement_state(each, now_ms) == "in_force"]
    stops = (
        *_directory_stops(directory, originator, recipient, now_ms),
        *_agreement_stops(agreements, now_ms),
        *_reported_stops(facts, originator, recipient, now_ms),
    )
    pair = {"publisher": originator, "recipient": recipient}
    rate = None if metrics is None else metrics.value("delivered", **pair) or 0.0
    history = facts.history.value
    return Flow(
        originator=originator,
        recipient=recipient,
        state=_state(rate, stops, metrics is not None),
        events_per_minute=rate,
        age_p95_seconds=None if metrics is None else metrics.value("age", publisher=originator, agency=recipient),
        last_delivered_ms=None if history is None else seconds_to_ms(history.value("last_delivered", **pair)),
        waiting_events=None if metrics is None else metrics.value("waiting_events", topic=deliver_topic(recipient)),
        event_types=tuple(sorted({name for each in in_force or agreements for name in each.event_types})),
        stops=stops,
    )


def _state(rate: float | None, stops: tuple[Stop, ...], known: bool) -> FlowState:
    codes = {stop.code for stop in stops}
    if codes & _HARD:
        return "stopped"
    if codes & _HELD:
        return "waiting"
    if codes:
        return "denied"
    if not known:
        return "unknown"
    return "flowing" if rate else "quiet"


def _directory_stops(directory: Directory, originator: AgencyId, recipient: AgencyId, now_ms: int) -> list[Stop]:
    found: list[Stop] = []
    if now_ms >= directory.expires_at_ms:
        found.append(Stop(code="directory.expired"))
    found += agency_stops(directory, originator, now_ms, sending=True)
    found += agency_stops(directory, recipient, now_ms, sending=False)
    return found


def agency_stops(directory: Directory, agency: AgencyId, now_ms: int, *, sending: bool) -> list[Stop]:
    """What in the directory keeps an agency from sending, or from getting, anything."""
    role = "publisher" if sending else "recipient"
    entry = directory.agency(agency)
    if entry is None:
        return [Stop(code=f"{role}.unknown", detail=agency)]
    if not entry.active:
        return [Stop(code=f"{role}.suspended", detail=agency)]
    if sending:
        valid = [
            key
            for key in entry.statement.signing_keys
            if key.not_before_ms <= now_ms < key.not_after_ms
            and (key.revoked_at_ms is None or now_ms < key.revoked_at_ms)
        ]
        return [] if valid else [Stop(code="signing_key.none", detail=agency)]
    try:
        directory.kem_key(agency, now_ms)
    except RejectedError as error:
        return [Stop(code=error.code, detail=agency)]
    return []


def _agreement_stops(agreements: tuple[Agreement, ...], now_ms: int) -> list[Stop]:
    """Where no agreement is in force, the newest that ended, or the first that has not begun."""
    states = {agreement_state(each, now_ms): each for each in sorted(agreements, key=lambda a: a.not_after_ms)}
    if not agreements or "in_force" in states:
        return []
    state = "not_yet" if "not_yet" in states else "ended"
    return [Stop(code=f"agreement.{state}", clause=states[state].agreement_id)]  # type: ignore[index]


def _reported_stops(facts: Facts, originator: AgencyId, recipient: AgencyId, now_ms: int) -> list[Stop]:
    """What the routers denied lately, and what holds the recipient's site up."""
    found: list[Stop] = []
    if routers_alive(facts, now_ms) == 0:
        found.append(Stop(code="routers.none"))
    metrics = facts.metrics.value
    if metrics is None:
        return found
    if site_up(metrics, originator) is False:
        found.append(Stop(code="site.origin_down", detail=originator))
    if site_up(metrics, recipient) is False:
        found.append(Stop(code="site.down", detail=recipient))
    waiting = metrics.value("waiting_seconds", topic=deliver_topic(recipient))
    if waiting is not None and waiting > LATE_SECONDS["ROUTINE"]:
        found.append(Stop(code="site.behind", detail=recipient))
    return found + _denials(metrics, originator, recipient)


def _denials(metrics: Metrics, originator: AgencyId, recipient: AgencyId) -> list[Stop]:
    return [
        Stop(code=sample.label("reason"), events=sample.value)
        for sample in metrics.get("denied")
        if sample.label("publisher") == originator and sample.label("recipient") == recipient and sample.value > 0
    ]
