"""Traces through OpenTelemetry's SDK, over OTLP/HTTP (``pip install cgi-hub[traces]``). docs/guides/logs.md.

Imported only where ``[traces] on = true``. Where the spans go, and how many of them, is said by OpenTelemetry's own
environment variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER``, ``OTEL_SERVICE_NAME``, ...). The SDK
keeps what it has not sent yet in a queue with a bound and drops what is over: no event waits for a collector.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, Final

from hub.errors import ConfigError
from hub.ports import Span
from hub.spans import SpanName, parse_context

_SHUTDOWN_SECONDS: Final = 3.0


class TracesNotInstalled(ConfigError):
    """``[traces]`` is on, and OpenTelemetry is not installed: ``pip install cgi-hub[traces]``."""

    code = "traces.not_installed"


try:
    from opentelemetry import trace as api
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
except ImportError as error:
    raise TracesNotInstalled(
        "[traces] is on, and OpenTelemetry is not installed: pip install cgi-hub[traces]", module=error.name
    ) from error


class _Ids(IdGenerator):
    """Random ids from the system, or those of the bundle that the next span of this thread is the root of."""

    def __init__(self) -> None:
        self._next = threading.local()

    def take_next(self, trace: int, span: int) -> None:
        self._next.ids = (trace, span)

    def forget(self) -> None:
        self._next.ids = None

    def generate_trace_id(self) -> int:
        ids = getattr(self._next, "ids", None)
        return ids[0] if ids else int.from_bytes(os.urandom(16), "big") or 1

    def generate_span_id(self) -> int:
        ids = getattr(self._next, "ids", None)
        return ids[1] if ids else int.from_bytes(os.urandom(8), "big") or 1


class _OtelSpan:
    """``hub.ports.Span``."""

    __slots__ = ("_span",)

    def __init__(self, span: api.Span) -> None:
        self._span = span

    @property
    def context(self) -> str | None:
        found = self._span.get_span_context()
        if not found.is_valid:
            return None
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-0{int(found.trace_flags.sampled)}"

    def end(self, *, code: str = "", at_ns: int | None = None) -> None:
        if code:
            self._span.set_attribute("cgi.code", code)
            self._span.set_status(api.Status(api.StatusCode.ERROR, code))
        self._span.end(end_time=at_ns)


class OtelTracer:
    """``hub.ports.Tracer`` on a provider of the SDK."""

    def __init__(self, processor: SpanProcessor, *, role: str, agency: str, process: str) -> None:
        from importlib.metadata import version

        own = Resource(
            {
                "service.name": f"cgi-hub-{role}",
                "service.version": version("cgi-hub"),
                "service.instance.id": process,
                "cgi.agency": agency,
            }
        )
        self._ids = _Ids()
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), id_generator=self._ids)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("cgi-hub", version("cgi-hub"))

    def start(
        self,
        name: SpanName,
        *,
        parent: str | None = None,
        root: str | None = None,
        links: Sequence[str] = (),
        at_ns: int | None = None,
        **facts: str | int,
    ) -> Span:
        context: Context | None = None  # what is current: an agency's own program may have a span of its own open
        above = _span_context(parent)
        if above is not None:
            context = api.set_span_in_context(api.NonRecordingSpan(above), Context())
        first = _span_context(root)
        if first is not None:
            context = Context()
            self._ids.take_next(first.trace_id, first.span_id)
        try:
            span = self._tracer.start_span(
                name,
                context,
                attributes={f"cgi.{fact}": value for fact, value in facts.items()},
                links=[api.Link(found) for each in links if (found := _span_context(each)) is not None],
                start_time=at_ns,
            )
        finally:
            if first is not None:
                self._ids.forget()
        return _OtelSpan(span)

    def close(self) -> None:
        """Send what there is, for a few seconds at most; blocks meanwhile."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces-shutdown", daemon=True)
        ending.start()
        ending.join(_SHUTDOWN_SECONDS)


def open_tracer(*, role: str, agency: str, process: str) -> OtelTracer:
    """A tracer that sends by OTLP/HTTP where the environment says. ``process`` is as in every line of the log."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return OtelTracer(BatchSpanProcessor(OTLPSpanExporter()), role=role, agency=agency, process=process)


def _span_context(context: str | None) -> Any:
    found = parse_context(context)
    if found is None:
        return None
    trace, span, sampled = found
    return api.SpanContext(trace, span, is_remote=True, trace_flags=api.TraceFlags(int(sampled)))
