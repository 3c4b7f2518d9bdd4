"""The JSON form of an event, at all edges: files, connectors, sinks, the command line.

Published form::

    {"type": "trace.request", "handling": "TLP:AMBER", "priority": "ROUTINE", "purpose": "INVESTIGATION",
     "expires_at": "2027-01-31", "body": {...}}

and where they are wanted ``correlation_id`` (a UUID), ``in_reply_to`` (``{"publisher": "JCF", "event_id": "..."}``),
``event_id``, ``published_at``. Times say their offset; a date in ``expires_at`` means the end of that day, UTC. The
delivered form has ``publisher``, ``version``, ``granted``, ``withheld`` and ``withheld_fields`` besides.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

from hub.catalog import Catalog, EventInvalid, Problem
from hub.catalog.errors import event_invalid
from hub.catalog.primitives import canonical_timestamp, decode_timestamp
from hub.model import (
    Event,
    EventRef,
    Handling,
    NameInvalid,
    OpenedEvent,
    Priority,
    Purpose,
    format_event_id,
    parse_agency_id,
    parse_event_id,
    parse_handling,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REQUIRED: Final = ("type", "handling", "priority", "purpose", "expires_at", "body")
_OPTIONAL: Final = ("correlation_id", "in_reply_to", "event_id", "published_at")
_TEXT_MAX: Final = 200

T = TypeVar("T")
Choice = TypeVar("Choice", Priority, Purpose)


def parse_document(document: Any, catalog: Catalog) -> Event:
    """The event that ``document`` (decoded JSON) describes; its body is valid and has its defaults.

    Raises a leaf of ``EventInvalid`` with everything that is wrong in ``problems``, or ``TypeUnknown``.
    """
    labels = _Labels(document)
    name = labels.read("type", str)
    event_type = catalog.get(name) if name is not None else None
    handling = labels.read("handling", _handling)
    priority = labels.read("priority", lambda text: _member(Priority, text))
    purpose = labels.read("purpose", lambda text: _member(Purpose, text))
    expires_at_ms = labels.read("expires_at", _expiry_ms)
    correlation_id = labels.read("correlation_id", parse_event_id)
    event_id = labels.read("event_id", parse_event_id)
    published_at_ms = labels.read("published_at", _time_ms)
    in_reply_to = labels.reference("in_reply_to")
    body: dict[str, Any] = {}
    if event_type is not None:
        try:
            raw = labels.value("body")
            body = event_type.validate(raw) if raw is not None else {}
        except EventInvalid as error:
            labels.problems.extend(error.problems)
    if labels.problems or event_type is None:
        raise event_invalid(event_type.name if event_type is not None else "the document", tuple(labels.problems))
    if handling is None or priority is None or purpose is None or expires_at_ms is None:
        raise event_invalid(event_type.name, (Problem("event.field_missing", "handling", "it is null"),))
    return Event(
        event_type=event_type.name,
        body=body,
        handling=handling,
        priority=priority,
        purpose=purpose,
        expires_at_ms=expires_at_ms,
        correlation_id=correlation_id,
        in_reply_to=in_reply_to,
        event_id=event_id,
        published_at_ms=published_at_ms,
    )


def encode_event(event: Event) -> dict[str, Any]:
    """The published form of ``event``: what :func:`parse_document` takes."""
    document = _labels(event.event_type, event.handling, event.priority, event.purpose, event.expires_at_ms)
    if event.correlation_id is not None:
        document["correlation_id"] = format_event_id(event.correlation_id)
    if event.in_reply_to is not None:
        document["in_reply_to"] = _reference(event.in_reply_to)
    if event.event_id is not None:
        document["event_id"] = format_event_id(event.event_id)
    if event.published_at_ms is not None:
        document["published_at"] = decode_timestamp(event.published_at_ms)
    return {**document, "body": dict(event.body)}


def encode_document(opened: OpenedEvent, catalog: Catalog) -> dict[str, Any]:
    """The delivered form of ``opened``: ready for ``json.dumps``, and what was withheld is named."""
    route = opened.route
    return {
        "publisher": opened.publisher,
        "event_id": format_event_id(opened.event_id),
        "version": route.schema_version,
        **_labels(route.event_type, route.handling, route.priority, route.purpose, opened.expires_at_ms),
        "published_at": decode_timestamp(opened.published_at_ms),
        "correlation_id": format_event_id(opened.correlation_id),
        "in_reply_to": _reference(opened.in_reply_to) if opened.in_reply_to is not None else None,
        "granted": list(opened.granted),
        "withheld": list(opened.withheld),
        "withheld_fields": list(catalog.get(route.event_type).withheld_fields(opened.granted)),
        "body": dict(opened.body),
    }


def _labels(name: str, handling: Handling, priority: Priority, purpose: Purpose, expires_at_ms: int) -> dict[str, Any]:
    return {
        "type": name,
        "handling": str(handling),
        "priority": priority.value,
        "purpose": purpose.value,
        "expires_at": decode_timestamp(expires_at_ms),
    }


def _reference(ref: EventRef) -> dict[str, str]:
    return {"publisher": ref.publisher, "event_id": format_event_id(ref.event_id)}


# --- reading labels ------------------------------------------------------------------------------------------------


class _Refused(ValueError):
    """Why a label's text is not taken: a code and a message. Never leaves this module."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Labels:
    """Reads the labels one by one and collects what is wrong with them."""

    def __init__(self, document: Any) -> None:
        self.problems: list[Problem] = []
        self._document: Mapping[str, Any] = document if isinstance(document, dict) else {}
        if not isinstance(document, dict):
            self.problems.append(Problem("event.field_type", "", "a document is a JSON object"))
            return
        known = (*_REQUIRED, *_OPTIONAL)
        for name in document:
            if name not in known:
                close = difflib.get_close_matches(str(name)[:64], known, 1)
                hint = f" (did you mean {close[0]}?)" if close else ""
                shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in str(name))[:64]
                self.problems.append(Problem("event.field_unknown", shown, f"a document has no such field{hint}"))
        for name in _REQUIRED:
            if document.get(name) is None:
                self.problems.append(Problem("event.field_missing", name, "it is missing"))

    def value(self, name: str) -> Any:
        return self._document.get(name)

    def read(self, name: str, parse: Callable[[str], T]) -> T | None:
        return self._read(name, self._document.get(name), parse)

    def reference(self, name: str) -> EventRef | None:
        raw = self._document.get(name)
        if raw is None:
            return None
        if not isinstance(raw, dict) or set(raw) != {"publisher", "event_id"}:
            self.problems.append(Problem("event.field_type", name, "an object with publisher and event_id, no more"))
            return None
        publisher = self._read(f"{name}.publisher", raw["publisher"], parse_agency_id)
        event_id = self._read(f"{name}.event_id", raw["event_id"], parse_event_id)
        return EventRef(publisher, event_id) if publisher is not None and event_id is not None else None

    def _read(self, name: str, value: Any, parse: Callable[[str], T]) -> T | None:
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > _TEXT_MAX:
            self.problems.append(Problem("event.field_type", name, "a text is wanted"))
            return None
        try:
            return parse(value)
        except _Refused as refused:
            self.problems.append(Problem(refused.code, name, refused.message))
        except NameInvalid as error:
            self.problems.append(Problem("event.field_pattern", name, error.message))
        return None


def _handling(text: str) -> Handling:
    try:
        return parse_handling(text)
    except NameInvalid as error:
        raise _Refused("event.code_unknown", error.message) from error


def _member(kind: type[Choice], text: str) -> Choice:
    found = kind.__members__.get(text)
    if found is None:
        close = difflib.get_close_matches(text.upper(), kind.__members__, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise _Refused("event.code_unknown", f"not one of {', '.join(kind.__members__)}{hint}")
    return found


def _time_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(canonical_timestamp(text))
    except (ValueError, OverflowError):
        raise _Refused("event.date_invalid", "a time is written 2026-11-03T14:20:00Z, with its offset") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _expiry_ms(text: str) -> int:
    if len(text) != 10:
        return _time_ms(text)
    try:
        day = date.fromisoformat(text) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise _Refused("event.date_invalid", "a date is written 2027-01-31") from None
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
