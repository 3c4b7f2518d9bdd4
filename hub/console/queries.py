"""What Prometheus is asked: the queries by name. Metric names are those of hub/metrics.py, labels those of the targets.

``QUICK`` is asked at each look, ``SLOW`` (days and subqueries) once a minute, ``COURSES`` over the last hour.
"""

from __future__ import annotations

from typing import Final


def _grown(outcome: str, window: str) -> str:
    """How much each counter of the routers has grown in ``window``, for one of minutes.

    A counter is not there before its first event, so its first value is growth too, which Prometheus does not see: it
    counts where a router was scraped at the window's beginning and had no such counter.
    """
    series = _series(outcome)
    scraped = f'up{{job="cgi-hub", role="router"}} offset {window}'
    first = f"({series} > 0 unless {series} offset {window}) and on () {scraped}"
    return f"((increase({series}[{window}]) > 0) or ({first}))"


def _grown_in_a_day(outcome: str) -> str:
    """The same for a day: where Prometheus is younger, since it is there."""
    series = _series(outcome)
    return f"((increase({series}[1d]) > 0) or ({series} > 0 unless {series} offset 1d))"


def _series(outcome: str) -> str:
    return f'cgi_events_total{{role="router", outcome="{outcome}"}}'


def _a_minute(outcome: str, *labels: str) -> str:
    by = f" by ({', '.join(labels)})" if labels else ""
    return f"sum{by} ({_grown(outcome, '5m')}) / 5"


def _course(outcome: str, *labels: str) -> str:
    """The same for a course: zero where nothing flowed, or the line would end where something last did."""
    by = f" by ({', '.join(labels)})" if labels else ""
    return f"({_a_minute(outcome, *labels)}) or 0 * sum{by} ({_series(outcome)})"


_ANSWERED: Final = 'timestamp(up{job="cgi-hub"}) and up{job="cgi-hub"} == 1'


QUICK: Final[dict[str, str]] = {
    "delivered": _a_minute("delivered", "publisher", "recipient"),
    "routed": _a_minute("routed", "publisher"),
    "denied": f"sum by (publisher, recipient, reason) ({_grown('denied', '15m')})",
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
    "answered": f"({_ANSWERED}) or max_over_time(({_ANSWERED})[1h:1m])",
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
    "last_delivered": f"max_over_time(timestamp(sum by (publisher, recipient) ({_grown('delivered', '2m')}))[1d:1m])",
    "day_delivered": f"sum by (publisher, recipient, event_type) ({_grown_in_a_day('delivered')})",
    "day_denied": f"sum by (publisher, recipient, event_type, reason) ({_grown_in_a_day('denied')})",
}

COURSES: Final[dict[str, str]] = {
    "sent": _course("routed", "publisher"),
    "got": _course("delivered", "recipient"),
    "all": _course("delivered"),
}
