"""One agency, as it would like to see itself: what it sends, what it gets, what waits, what ends."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    ROUTINE_SECONDS,
    URGENT_SECONDS,
    Bad,
    Query,
    Row,
    alerts,
    choice,
    compose,
    graph,
    listing,
    number,
    quantile,
    rate,
    times,
)

_DAY = 86_400


def agency() -> Dashboard:
    """The dashboard of one agency. An agency may use it on a Prometheus of its own, which scrapes its site alone."""
    return compose(
        "cgi-agency",
        "CGI hub: one agency",
        "What one agency sends and gets, what waits for it, what is about to end: by the routers and by its site.",
        [choice("agency", "Agency", 'label_values(up{role="site"}, agency)', many=False)],
        [_now(), _sends(), _gets(), _ends()],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            number(
                "Processes that answer",
                "The part of its sites' processes that Prometheus gets an answer from.",
                'avg(up{role="site", agency="$agency"})',
                unit="percentunit",
                bad=Bad(warn=1, alarm=0.5, below=True),
                runbook="ProcessDown",
            ),
            number(
                "Get further",
                "The part of them that is ready: every worker made a step, or found nothing to do, in half a minute.",
                'avg(cgi_ready{role="site", agency="$agency"})',
                unit="percentunit",
                bad=Bad(warn=1, alarm=0.5, below=True),
                runbook="ProcessNotReady",
            ),
            number(
                "Last event sent",
                "Time since a router had an event of it.",
                'publisher:cgi_silence_seconds:min{publisher="$agency"}',
                unit="s",
                bad=Bad(warn=6 * 3600),
                runbook="AgencySilent",
                words="never",
            ),
            number(
                "Events that wait for it",
                "On its delivery topic, not yet committed by its site.",
                'sum(group:cgi_lag_events:max{topic="deliver.$agency"})',
                bad=Bad(warn=500),
                runbook="LagGrowing",
            ),
            number(
                "What is next has waited",
                "The age of the oldest record that its site has not committed.",
                'max(group:cgi_lag_seconds:max{topic="deliver.$agency"})',
                unit="s",
                bad=Bad(warn=URGENT_SECONDS, alarm=ROUTINE_SECONDS),
                runbook="LagOld",
            ),
            number(
                "Time used up",
                "The part of its time on the broker that is over for what waits longest. At 100 % it is deleted.",
                'max(group:cgi_retention_used:ratio{topic="deliver.$agency"})',
                unit="percentunit",
                bad=Bad(warn=0.5, alarm=0.7),
                runbook="RetentionNear",
            ),
        ],
        height=4,
        across=6,
    )


def _sends() -> Row:
    return Row(
        "What it sends",
        [
            graph(
                "Events a second, by type",
                "What the routers verified.",
                Query(
                    rate("cgi_events_total", 'outcome="routed", publisher="$agency"', by="event_type"),
                    "{{event_type}}",
                ),
            ),
            graph(
                "Deliveries a second, by recipient",
                "What the routers put on others' topics.",
                Query(
                    rate("cgi_events_total", 'outcome="delivered", publisher="$agency"', by="recipient"),
                    "{{recipient}}",
                ),
            ),
            graph(
                "Not delivered, by recipient and reason",
                "What it granted, and no agreement covers or the recipient did not ask for.",
                Query(
                    rate("cgi_events_total", 'outcome="denied", publisher="$agency"', by="recipient, reason"),
                    "{{recipient}} {{reason}}",
                ),
                runbook="NotDelivered",
            ),
            graph(
                "Oldest record in its outbox",
                "Durable on its own machine, not yet acknowledged by Kafka.",
                Query('cgi_outbox_oldest_age_seconds{agency="$agency"}', "{{instance}}"),
                unit="s",
                bad=Bad(warn=900, alarm=6 * 3600),
                runbook="OutboxOld",
            ),
            graph(
                "Events that it cannot seal",
                "No valid directory, or its clock is far ahead: they wait on its disk, in the clear.",
                Query('cgi_outbox_waiting_events{agency="$agency"}', "{{instance}}"),
                bad=Bad(alarm=1),
                runbook="EventsUnsealed",
            ),
            graph(
                "Rows that its sources read",
                "By source and by what became of them; rejected ones wait in a file beside the input.",
                Query(
                    rate("cgi_rows_total", 'agency="$agency"', by="source, outcome"),
                    "{{source}} {{outcome}}",
                ),
            ),
            graph(
                "Its records that others refused",
                "At the routers and at recipients, by code.",
                Query(times("cgi_quarantined_total", 'publisher="$agency"', by="code"), "{{code}}"),
                runbook="RecordsQuarantined",
            ),
        ],
    )


def _gets() -> Row:
    return Row(
        "What it gets",
        [
            graph(
                "Events a second, by originator",
                "Durable in every sink of its site.",
                Query(
                    rate("cgi_events_total", 'outcome="written", agency="$agency"', by="publisher"),
                    "{{publisher}}",
                ),
            ),
            graph(
                "Age when it is durable here",
                "From the event's publication, 95 of 100, by priority. Lines at a minute and at a quarter of an hour.",
                Query(
                    quantile(0.95, "cgi_end_to_end_age_seconds", 'agency="$agency"', by="priority"),
                    "{{priority}}",
                ),
                unit="s",
                bad=Bad(warn=URGENT_SECONDS, alarm=ROUTINE_SECONDS),
            ),
            graph(
                "Told as not delivered",
                "Ranges that the hub told it of, by reason. Its site can ask for a stub of each.",
                Query(times("cgi_notices_total", 'recipient="$agency"', by="reason"), "{{reason}}"),
                runbook="NotDelivered",
            ),
            graph(
                "Open gaps, by originator",
                "explained: a notice of the hub names those numbers. Others may be lost or held back.",
                Query(
                    'sum by (publisher, explained) (cgi_gaps{agency="$agency"})',
                    "{{publisher}} explained: {{explained}}",
                ),
                runbook="UnexplainedGap",
            ),
            graph(
                "Time of a write, by sink",
                "One durable write, 95 of 100. A slow sink is the usual cause of a lag.",
                Query(
                    quantile(0.95, "cgi_sink_write_seconds", 'agency="$agency"', by="sink"),
                    "{{sink}}",
                ),
                unit="s",
            ),
            graph(
                "Refused here, by originator and code",
                "What its own site did not accept; `hub site rejected` lists it.",
                Query(
                    times("cgi_quarantined_total", 'role="site", agency="$agency"', by="publisher, code"),
                    "{{publisher}} {{code}}",
                ),
                runbook="RecordsQuarantined",
            ),
        ],
    )


def _ends() -> Row:
    return Row(
        "What ends, and what fires",
        [
            listing(
                "Time left of its keys",
                "Until the directory's listing of its own key ends. Negative: ended, revoked or not listed.",
                'min by (instance, kind) (cgi_key_expiry_timestamp_seconds{agency="$agency"}) - time()',
                unit="s",
                bad=Bad(warn=14 * _DAY, alarm=2 * _DAY, below=True),
                runbook="KeyExpires",
            ),
            listing(
                "Time left of its certificates",
                "Until the broker does not let it in any more.",
                'min by (instance, certificate) (cgi_certificate_expiry_timestamp_seconds{agency="$agency"}) - time()',
                unit="s",
                bad=Bad(warn=21 * _DAY, alarm=3 * _DAY, below=True),
                runbook="CertificateExpires",
            ),
            alerts("Alerts about it", "What fires now and names this agency.", ', agency="$agency"'),
        ],
    )
