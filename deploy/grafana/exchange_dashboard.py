"""The exchange: who sends to whom, how much, how old it is when it arrives, and what stands in the way."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    LATE_PART,
    ROUTINE_SECONDS,
    URGENT_SECONDS,
    Bad,
    Query,
    Row,
    choice,
    compose,
    graph,
    listing,
    number,
    quantile,
    rate,
    times,
)

_FLOW = 'publisher=~"$publisher", recipient=~"$recipient"'


def exchange() -> Dashboard:
    """The dashboard of the exchange, for the hub's operators."""
    return compose(
        "cgi-exchange",
        "CGI hub: exchange",
        "Who sends to whom, how much, how old it is when it arrives, what stands in the way. Labels, no content.",
        [
            choice("publisher", "From", 'label_values(cgi_events_total{outcome="routed"}, publisher)', many=True),
            choice("recipient", "To", 'label_values(cgi_events_total{outcome="delivered"}, recipient)', many=True),
        ],
        [_now(), _flow(), _age_row(), _in_the_way()],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            number(
                "Events in 24 h",
                "Events that the routers verified, each counted once, whatever the number of its recipients.",
                'sum(increase(cgi_events_total{outcome="routed", publisher=~"$publisher"}[24h]))',
            ),
            number(
                "Deliveries in 24 h",
                "Events on recipients' topics: one event for three agencies counts three times.",
                f'sum(increase(cgi_events_total{{outcome="delivered", {_FLOW}}}[24h]))',
            ),
            number(
                "Agencies heard in 24 h",
                "Agencies of which an event was routed in the last day.",
                "count(publisher:cgi_silence_seconds:min < 86400)",
            ),
            number(
                "Silent agencies",
                "Agencies that usually send at this time of the week and have sent nothing for six hours.",
                'count(ALERTS{alertname="AgencySilent", alertstate="firing"})',
                bad=Bad(warn=1),
                runbook="AgencySilent",
                words="0",
            ),
            number(
                "Refused in 24 h",
                "Records that a router or a site put into quarantine.",
                "sum(increase(cgi_quarantined_total[24h]))",
                bad=Bad(warn=1),
                runbook="RecordsQuarantined",
            ),
            number(
                "Late, 6 h",
                "The part of URGENT or ROUTINE, the larger one, that came later than 1 or 15 minutes. 1 % is allowed.",
                "max(priority:cgi_late:ratio_rate6h)",
                unit="percentunit",
                bad=Bad(warn=LATE_PART, alarm=6 * LATE_PART),
                runbook="UrgentDeliveryLate",
            ),
        ],
        height=4,
        across=6,
    )


def _flow() -> Row:
    return Row(
        "Who sends to whom",
        [
            listing(
                "Deliveries of the last 24 h, by pair",
                "Events on the recipient's topic. A pair that is not here had none. A name leads to its own dashboard.",
                "round(sum by (publisher, recipient) "
                f'(increase(cgi_events_total{{outcome="delivered", {_FLOW}}}[24h])) > 0)',
                agency_label="publisher",
            ),
            graph(
                "Events a second, by originator",
                "What the routers verified.",
                Query(
                    rate("cgi_events_total", 'outcome="routed", publisher=~"$publisher"', by="publisher"),
                    "{{publisher}}",
                ),
            ),
            graph(
                "Deliveries a second, by recipient",
                "What the routers put on each agency's topic.",
                Query(
                    rate("cgi_events_total", f'outcome="delivered", {_FLOW}', by="recipient"),
                    "{{recipient}}",
                ),
            ),
            graph(
                "Events a second, by type",
                "What the routers verified.",
                Query(
                    rate("cgi_events_total", 'outcome="routed", publisher=~"$publisher"', by="event_type"),
                    "{{event_type}}",
                ),
            ),
            listing(
                "Last heard",
                "Time since the last event of each agency; heartbeats do not count. The alert decides what is unusual.",
                'publisher:cgi_silence_seconds:min{publisher=~"$publisher"}',
                unit="s",
                bad=Bad(warn=6 * 3600),
                runbook="AgencySilent",
                agency_label="publisher",
            ),
            graph(
                "Denied, by reason",
                "What an agreement or a subscription did not let through. subscription.*: it was not asked for.",
                Query(
                    rate("cgi_events_total", f'outcome="denied", {_FLOW}', by="reason"),
                    "{{reason}}",
                ),
                runbook="NotDelivered",
            ),
        ],
    )


def _age_row() -> Row:
    return Row(
        "How old it is when it arrives",
        [
            graph(
                "Age on the recipient's topic",
                "From the publisher's flush. Lines: what 99 % of URGENT, and of ROUTINE, should stay below.",
                Query(quantile(0.5, "cgi_hub_age_seconds", by="priority"), "{{priority}} half"),
                Query(quantile(0.99, "cgi_hub_age_seconds", by="priority"), "{{priority}} 99 %"),
                unit="s",
                bad=Bad(warn=URGENT_SECONDS, alarm=ROUTINE_SECONDS),
                runbook="UrgentDeliveryLate",
            ),
            graph(
                "The part that is late",
                "By priority, over 30 minutes and over three days. The line is what the objective allows: 1 %.",
                Query("priority:cgi_late:ratio_rate30m", "{{priority}} 30 min"),
                Query("priority:cgi_late:ratio_rate3d", "{{priority}} 3 days"),
                unit="percentunit",
                bad=Bad(alarm=LATE_PART),
                runbook="RoutineDeliveryLate",
            ),
            graph(
                "Age when it is durable at the recipient",
                "From publication, by recipient, 95 of 100. It counts sites that were switched off, and their sinks.",
                Query(
                    quantile(0.95, "cgi_end_to_end_age_seconds", 'publisher=~"$publisher"', by="agency"),
                    "{{agency}}",
                ),
                unit="s",
                bad=Bad(warn=ROUTINE_SECONDS),
            ),
        ],
    )


def _in_the_way() -> Row:
    return Row(
        "What stands in the way",
        [
            graph(
                "Events that wait, by reader",
                "ingest.*: for the routers; deliver.*: for that agency's site, also where it does not run.",
                Query("group:cgi_lag_events:max > 0", "{{topic}} {{group}}"),
                bad=Bad(warn=500),
                runbook="LagGrowing",
            ),
            graph(
                "How long what is next has waited",
                "The line is the objective of ROUTINE.",
                Query("group:cgi_lag_seconds:max > 0", "{{topic}} {{group}}"),
                unit="s",
                bad=Bad(warn=ROUTINE_SECONDS),
                runbook="LagOld",
            ),
            graph(
                "Oldest record in an outbox",
                "What an agency published and Kafka has not acknowledged. It is durable on that machine.",
                Query("cgi_outbox_oldest_age_seconds > 0", "{{instance}}"),
                unit="s",
                bad=Bad(warn=900, alarm=6 * 3600),
                runbook="OutboxOld",
            ),
            graph(
                "Refused, by code",
                "Records that went into quarantine, at routers and at sites.",
                Query(
                    times("cgi_quarantined_total", by="publisher, code"),
                    "{{publisher}} {{code}}",
                ),
                runbook="RecordsQuarantined",
            ),
            graph(
                "Gaps that nobody explains",
                "Sequence numbers that a recipient misses and that no notice of the hub names.",
                Query('sum by (agency, publisher) (cgi_gaps{explained="no"}) > 0', "{{agency}} misses {{publisher}}"),
                bad=Bad(alarm=1),
                runbook="UnexplainedGap",
            ),
            listing(
                "Told as not delivered, 24 h",
                "Ranges that the hub told a recipient it did not deliver, by reason.",
                "round(sum by (recipient, reason) (increase(cgi_notices_total[24h])) > 0)",
                runbook="NotDelivered",
                agency_label="recipient",
            ),
        ],
    )
