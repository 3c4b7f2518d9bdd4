"""Asks Prometheus over its HTTP API: instant queries, courses over the last hour, alerts."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import httpx

from hub.console.facts import Alert, Course, Metrics, Sample
from hub.errors import UnavailableError

_SECONDS: Final = 10.0
_STEP: Final = 60
_HOUR: Final = 3600
_WRONG_FORM: Final = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What an answer of another form than Prometheus's makes of the reading of it."""


class PrometheusUnavailable(UnavailableError):
    """Prometheus does not answer, or not as it should."""

    code = "prometheus.unavailable"


class Prometheus:
    """One Prometheus at ``url``."""

    def __init__(self, url: str, *, client: httpx.AsyncClient | None = None) -> None:
        self._url = url.rstrip("/")
        self._client = client or httpx.AsyncClient(timeout=_SECONDS, trust_env=False)

    async def close(self) -> None:
        """Let its connections go."""
        await self._client.aclose()

    async def query(self, queries: Mapping[str, str], now_ms: int) -> Metrics:
        """The answers at ``now_ms`` by name. Raises :class:`PrometheusUnavailable`: all of them or none."""
        at = f"{now_ms / 1000:.3f}"
        results = await self._ask_all("query", [{"query": text, "time": at} for text in queries.values()])
        answers = (_samples(result) for result in results)
        return Metrics(dict(zip(queries, answers, strict=True)))

    async def courses(self, queries: Mapping[str, str], now_ms: int) -> Mapping[str, tuple[Course, ...]]:
        """The last hour of each, a point a minute. Raises :class:`PrometheusUnavailable`."""
        end = now_ms // 1000 // _STEP * _STEP
        times = {"start": str(end - _HOUR), "end": str(end), "step": str(_STEP)}
        results = await self._ask_all("query_range", [{"query": text, **times} for text in queries.values()])
        return dict(zip(queries, map(_courses, results), strict=True))

    async def alerts(self) -> tuple[Alert, ...]:
        """What fires or is about to. Raises :class:`PrometheusUnavailable`."""
        data = await self._ask("alerts", {})
        try:
            return tuple(_alert(each) for each in data["alerts"])
        except _WRONG_FORM as error:
            raise PrometheusUnavailable("alerts of an unknown form", url=self._host) from error

    async def _ask_all(self, path: str, forms: Iterable[Mapping[str, str]]) -> list[Any]:
        results = await asyncio.gather(*(self._ask(path, form) for form in forms))
        return [result.get("result", []) for result in results]

    async def _ask(self, path: str, form: Mapping[str, str]) -> Any:
        url = f"{self._url}/api/v1/{path}"
        try:
            answer = await (self._client.post(url, data=dict(form)) if form else self._client.get(url))
            body = answer.json()
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise PrometheusUnavailable(
                f"Prometheus does not answer: {type(error).__name__}", url=self._host
            ) from error
        if not isinstance(body, dict) or body.get("status") != "success" or not isinstance(body.get("data"), dict):
            said = str(body.get("error", ""))[:200] if isinstance(body, dict) else ""
            raise PrometheusUnavailable(f"Prometheus refuses: {said}", url=self._host, status=answer.status_code)
        return body["data"]

    @property
    def _host(self) -> str:
        """The address without what may stand in it of a user and a password."""
        return httpx.URL(self._url).host


def _samples(result: Iterable[Any]) -> tuple[Sample, ...]:
    try:
        found = [Sample(_labels(each), float(each["value"][1])) for each in result]
    except _WRONG_FORM as error:
        raise PrometheusUnavailable("an answer of an unknown form") from error
    return tuple(sample for sample in found if math.isfinite(sample.value))


def _courses(result: Iterable[Any]) -> tuple[Course, ...]:
    try:
        return tuple(
            Course(
                _labels(each),
                tuple((int(float(at) * 1000), float(value)) for at, value in each["values"] if _finite(value)),
            )
            for each in result
        )
    except _WRONG_FORM as error:
        raise PrometheusUnavailable("a course of an unknown form") from error


def _finite(value: str) -> bool:
    return math.isfinite(float(value))


def _labels(each: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in each["metric"].items() if name != "__name__"}


def _alert(each: Any) -> Alert:
    labels = {str(name): str(value) for name, value in each["labels"].items()}
    notes = each.get("annotations", {})
    return Alert(
        name=labels.get("alertname", ""),
        state=str(each["state"]),
        severity=labels.get("severity", ""),
        since_ms=int(datetime.fromisoformat(_short(str(each["activeAt"]))).timestamp() * 1000),
        labels=labels,
        summary=str(notes.get("summary", "")),
        description=str(notes.get("description", "")),
        runbook=str(notes.get("runbook", "")),
    )


def _short(moment: str) -> str:
    """Prometheus writes nanoseconds; Python reads microseconds."""
    head, _, tail = moment.partition(".")
    digits = "".join(char for char in tail if char.isdigit())
    return f"{head}.{digits[:6]}+00:00" if tail else moment.replace("Z", "+00:00")
