"""Why an event would reach an agency, or not: each consent's decision with everything that it looked at. Pure.

The decisions themselves are those of hub/policy/decide.py and of the router; the rules that did not act are told too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hub.model import AgencyId, Agreement, Compartment, Decision, Event, EventId, OpenedEvent, Route
from hub.policy.agreement import explain_agreement
from hub.policy.condition import Trace, Verdict, trace
from hub.policy.decide import ReleasePolicy, agree, route_of
from hub.policy.facts import Facts
from hub.policy.handling import HandlingLoosened, check_header
from hub.policy.release import Release, Rule, TypeLike
from hub.policy.subscription import Subscription
from hub.trust.directory import Directory


class SealedType(TypeLike, Protocol):
    """An event type that can be taken apart by compartments (hub/catalog, ``EventType``)."""

    def encode(self, body: Mapping[str, Any]) -> tuple[bytes, ...]: ...
    def decode(self, sections: Mapping[Compartment, bytes]) -> dict[str, Any]: ...
    def withheld_fields(self, granted: Iterable[Compartment]) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class RuleReport:
    """How one release rule came out. ``acts``: it gives, or it takes away."""

    rule: Rule
    means: Verdict
    verdict: Verdict
    acts: bool
    condition: Trace | None


@dataclass(frozen=True, slots=True)
class AgreementReport:
    """How one agreement came out. ``gap`` says what keeps it from covering the event, ``""`` where nothing does."""

    agreement: Agreement
    code: str
    gap: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The three consents for one event and one recipient. ``subscription`` is ``None`` where none was at hand.

    ``granted`` is what the event would be sealed with for the recipient, after release and agreement; ``allowed`` says
    whether it would be delivered as far as can be told here.
    """

    event_type: str
    publisher: AgencyId
    recipient: AgencyId
    route: Route
    label_fault: str
    release: Decision
    rules: tuple[RuleReport, ...]
    agreement: Decision
    agreements: tuple[AgreementReport, ...]
    subscription: Decision | None
    granted: tuple[Compartment, ...]
    withheld_fields: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        return bool(self.granted) and (self.subscription is None or self.subscription.allowed)

    def as_json(self) -> dict[str, Any]:
        """For machines. Has values of the event's fields that rules ask about: as confidential as the event."""
        return {
            "type": self.event_type,
            "from": self.publisher,
            "to": self.recipient,
            "handling": str(self.route.handling),
            "priority": self.route.priority.value,
            "purpose": self.route.purpose.value,
            "allowed": self.allowed,
            "granted": list(self.granted),
            "withheld_fields": list(self.withheld_fields),
            "label_fault": self.label_fault,
            "release": {**decision_json(self.release), "rules": [_rule_json(report) for report in self.rules]},
            "agreement": {
                **decision_json(self.agreement),
                "agreements": [
                    {
                        "agreement": r.agreement.agreement_id,
                        "covers": not r.gap,
                        "code": r.code,
                        "gap": r.gap,
                        "onward": None if r.agreement.onward is None else r.agreement.onward.name,
                        "retention_days": r.agreement.retention_days,
                    }
                    for r in self.agreements
                ],
            },
            "subscription": None if self.subscription is None else decision_json(self.subscription),
        }


def decision_json(decision: Decision) -> dict[str, Any]:
    """A decision for machines."""
    return {
        "allowed": decision.allowed,
        "code": decision.code,
        "reason": decision.reason,
        "clause": decision.clause,
        "compartments": list(decision.compartments),
    }


_WORD: Mapping[Verdict, str] = {True: "yes", False: "no", None: "unknown"}


def verdict_word(verdict: Verdict) -> str:
    """``yes``, ``no`` or ``unknown``."""
    return _WORD[verdict]


def _rule_json(report: RuleReport) -> dict[str, Any]:
    return {
        "clause": report.rule.clause,
        "kind": "never" if report.rule.never else "allow",
        "to": report.rule.recipients.text,
        "compartments": list(report.rule.compartments),
        "means_the_recipient": verdict_word(report.means),
        "verdict": verdict_word(report.verdict),
        "acts": report.acts,
        "condition": None if report.condition is None else _trace_json(report.condition),
    }


def _trace_json(found: Trace) -> dict[str, Any]:
    return {
        "place": found.place,
        "condition": found.text,
        "found": found.found,
        "verdict": verdict_word(found.verdict),
        "parts": [_trace_json(part) for part in found.parts],
    }


def explain(
    event: Event,
    event_type: SealedType,
    *,
    release: Release,
    directory: Directory,
    publisher: AgencyId,
    recipient: AgencyId,
    subscription: Subscription | None,
    now_ms: int,
) -> Explanation:
    """The three consents for ``event`` (its body validated) from ``publisher`` to ``recipient`` at ``now_ms``.

    Raises ``PolicyInvalid`` where the release is another originator's, ``ReleaseTypeUnknown``.
    """
    policy = ReleasePolicy(release, publisher)
    route = route_of(event, event_type)
    facts = release.facts(event)
    released = release.compute(event.event_type, facts, recipient)
    agreed = agree(
        directory,
        publisher=policy.publisher,
        recipient=recipient,
        route=route,
        compartments=event_type.compartments,
        # What could be granted at all is told even where the release gives nothing.
        released=released.compartments or event_type.compartments,
        needs=event_type.needs,
        now_ms=now_ms,
    )
    label_fault = ""
    try:
        check_header(event.handling, event.body)
    except HandlingLoosened as error:
        label_fault = error.message
    granted = agreed.compartments if released.allowed and agreed.allowed and not label_fault else ()
    rules = release.rules(event.event_type)
    return Explanation(
        event.event_type,
        publisher,
        recipient,
        route,
        label_fault,
        released,
        tuple(_report(rule, recipient, facts) for rule in (*rules.allow, *rules.never)),
        agreed,
        tuple(
            AgreementReport(agreement, code, gap)
            for agreement, code, gap in explain_agreement(
                directory, publisher=publisher, recipient=recipient, route=route, now_ms=now_ms
            )
        ),
        None if subscription is None else _asked(subscription, event, event_type, publisher, route, granted),
        granted,
        event_type.withheld_fields(granted) if granted else (),
    )


def _asked(
    subscription: Subscription,
    event: Event,
    event_type: SealedType,
    publisher: AgencyId,
    route: Route,
    granted: tuple[Compartment, ...],
) -> Decision:
    """The subscription's decision on the part that the recipient would open."""
    labels = subscription.decide_labels(publisher, route)
    if not labels.allowed or not granted:
        return labels
    sections = dict(zip(event_type.compartments, event_type.encode(event.body), strict=True))
    body = event_type.decode({compartment: sections[compartment] for compartment in granted})
    withheld = tuple(c for c in event_type.compartments if c not in granted)
    return subscription.matches(
        OpenedEvent(
            publisher,
            event.event_id or EventId(bytes(16)),
            route,
            event.published_at_ms or 0,
            event.expires_at_ms,
            event.correlation_id or bytes(16),
            event.in_reply_to,
            body,
            granted,
            withheld,
        )
    )


def _report(rule: Rule, recipient: AgencyId, facts: Facts) -> RuleReport:
    return RuleReport(
        rule,
        rule.recipients.means(recipient, facts),
        rule.verdict(recipient, facts),
        rule.strikes(recipient, facts),
        None if rule.condition is None else trace(rule.condition, facts),
    )
