"""The spans of a trace and what stands in them, declared once; where a bundle's own trace is. Pure.

An event's trace goes from its source's row to its recipients' sinks. Its context is sealed with the event
(``header.trace_context``), so the hub cannot know it: what the hub does with a bundle stands in the bundle's own trace.
Which one that is follows from the bundle's head, so whoever has the bundle finds it; that an event's trace and a
bundle's belong together only the two ends know, and say by links (docs/adr/0116).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

SpanName = Literal[
    "source.row",
    "publish",
    "prepare",
    "flush",
    "send",
    "bundle",
    "route",
    "deliver",
    "receive",
    "open",
    "sink",
]

SpanFact = Literal[
    "agency",
    "publisher",
    "source",
    "sink",
    "event_type",
    "priority",
    "code",
    "bundle",
    "rows",
    "events",
    "bytes",
    "recipients",
    "denied",
]
"""No content, no name of a person, no event's id: a name, a code, a count, or which bundle."""

Where = Literal["event", "bundle"]


@dataclass(frozen=True, slots=True)
class SpanKind:
    """``trace``: whose trace it stands in. ``process``: who writes it."""

    trace: Where
    process: str
    doc: str


SPANS: Final[dict[SpanName, SpanKind]] = {
    "source.row": SpanKind("event", "site", "From a row's reading until it is published or in the report."),
    "publish": SpanKind("event", "site", "From publish() until the event is durable in the outbox."),
    "prepare": SpanKind("event", "site", "Validate, decide who may have it, encode."),
    "flush": SpanKind("event", "site", "Wait for the flush; seal, sign, store."),
    "send": SpanKind("event", "site", "Hand its bundle to Kafka, until it is acknowledged. Links to the bundle."),
    "bundle": SpanKind("bundle", "site", "The root of a bundle's trace: the same sending, once for all its events."),
    "route": SpanKind("bundle", "router", "Verify a bundle and decide on each of its entries."),
    "deliver": SpanKind("bundle", "router", "Write its deliveries and notices, until they are acknowledged."),
    "receive": SpanKind("bundle", "site", "A recipient verifies it and opens all its events."),
    "open": SpanKind("event", "site", "Decrypt, check against commitment and schema, filter. Links to the bundle."),
    "sink": SpanKind("event", "site", "Written by one sink, durable on its end."),
}

if frozenset(SPANS) != frozenset(get_args(SpanName)):
    raise RuntimeError("hub/spans.py: SpanName and SPANS do not name the same spans")

_CONTEXT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])", re.ASCII)
_LABEL: Final = b"cgi-hub/v1/bundle-trace"


def bundle_context(head_hash: bytes) -> str:
    """The context of the root of a bundle's trace: everyone who has the bundle works out the same."""
    found = hashlib.sha256(_LABEL + head_hash).hexdigest()
    return f"00-{found[:32]}-{found[32:48]}-01"


def parse_context(context: object) -> tuple[int, int, bool] | None:
    """Trace id, span id and whether it is sampled, of a W3C ``traceparent`` of version 00; None where it is none."""
    match = _CONTEXT.fullmatch(context) if isinstance(context, str) else None
    if match is None:
        return None
    trace, span = int(match[1], 16), int(match[2], 16)
    return (trace, span, match[3] == "1") if trace and span else None


def context_of(body: Any) -> str | None:
    """The trace context in an event's body, as its publisher sealed it."""
    header = body.get("header") if isinstance(body, dict) else None
    context = header.get("trace_context") if isinstance(header, dict) else None
    return context if parse_context(context) is not None else None


def render_table() -> str:
    """The spans as a Markdown table, for docs/guides/logs.md."""
    lines = ["| span | in the trace of | written by | what it spans |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | the {kind.trace} | a {kind.process} | {kind.doc} |" for name, kind in SPANS.items()]
    return "\n".join(lines) + "\n"
