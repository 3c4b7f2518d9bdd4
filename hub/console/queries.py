"""What Prometheus is asked: the queries by name. Metric names are those of hub/metrics.py, labels those of the targets.

``QUICK`` is asked at each look, ``SLOW`` (days and subqueries) once a minute, ``COURSES`` over the last hour.
"""

from __future__ import annotations

from typing import Final


def _denied(window: str) -> str:
    # A counter that was not there before the window has no increase: then what it says is the increase.
    series = 'cgi_events_total{role="router", outcome="denied"}'
    return f"(increase({series}[{window}]) > 0) or ({series} > 0 unless {series} offset {window})"


QUICK: Final[dict[str, str]] = {
    "delivered": 'sum by (publisher, recipient) (rate(cgi_events_total{role="router", outcome="delivered"}[5m])) * 60',
    "routed": 'sum by (publisher) (rate(cgi_events_total{role="router", outcome="routed"}[5m])) * 60',
    "denied": f"sum by (publisher, recipient, reason) ({_denied('15m')})",
    "age": "histogram_quantile(0.95, sum by (publisher, agency, le) "
    "(rate(cgi_end_to_end_age_seconds_bucket[15m]))) >= 0",
    "hub_age": "histogram_quantile(0.95, sum by (priority, le) (rate(cgi_hub_age_seconds_bucket[15m]))) >= 0",
    "waiting_events": "sum by (topic) (cgi_lag_events)",
    # A reader that is away says nothing of its lag; the exporter does.
    "waiting_records": "max by (topic) (cgi_group_lag_records)",
    "waiting_seconds": "max by (topic) (cgi_lag_seconds or cgi_group_lag_seconds)",
    "gaps": "sum by (agency, instance, publisher, explained) (cgi_gaps) > 0",
    "missing": "sum by (agency, instance, publisher, explained) (cgi_missing_records) > 0",
    "up": 'up{job="cgi-hub"}',
    "scraped": 'timestamp(up{job="cgi-hub"})',
    "ready": "cgi_ready",
    "build": "cgi_build_info",
    "directory_version": "cgi_directory_version",
    "progress_age": "time() - max by (instance, agency) (cgi_progress_timestamp_seconds)",
    "skew": "cgi_clock_timestamp_seconds - timestamp(cgi_clock_timestamp_seconds)",
    "certificate": "cgi_certificate_expiry_timestamp_seconds",
    "outbox_records": "cgi_outbox_records",
    "outbox_age": "cgi_outbox_oldest_age_seconds",
}

SLOW: Final[dict[str, str]] = {
    "last_routed": "max by (publisher) (max_over_time(cgi_last_event_timestamp_seconds[8d]))",
    "last_delivered": "max_over_time(timestamp(sum by (publisher, recipient) "
    '(increase(cgi_events_total{role="router", outcome="delivered"}[2m])) > 0)[1d:1m])',
    "day_delivered": "sum by (publisher, recipient, event_type) "
    '(increase(cgi_events_total{role="router", outcome="delivered"}[1d])) > 0',
    "day_denied": f"sum by (publisher, recipient, event_type, reason) ({_denied('1d')})",
}

COURSES: Final[dict[str, str]] = {
    "sent": 'sum by (publisher) (rate(cgi_events_total{role="router", outcome="routed"}[5m])) * 60',
    "got": 'sum by (recipient) (rate(cgi_events_total{role="router", outcome="delivered"}[5m])) * 60',
    "all": 'sum (rate(cgi_events_total{role="router", outcome="delivered"}[5m])) * 60',
}
