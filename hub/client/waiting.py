"""An event that was taken and cannot be sealed yet, as it lies in the outbox. docs/adr/0096.

Its content is in the clear there: that is why it lies no longer than it must, and why the outbox's file is its owner's
alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import orjson

from hub.client.outbox import LateRefusal, WaitingEvent
from hub.errors import InvariantError, RejectedError
from hub.model import AgencyId, Event, EventId, EventRef, Priority, Purpose, parse_handling

_KIND: Final = "waiting/1"
KEY_SHOWN: Final = 256
"""Of a source's key, in the note about an event that was refused late."""
REASON_SHOWN: Final = 500


def encode_waiting(event: Event, *, only: Collection[AgencyId] | None, source_key: str) -> bytes:
    """``event`` (validated: JSON's own values), whom it was narrowed to, and its source's key, as JSON."""
    reply = event.in_reply_to
    return orjson.dumps(
        {
            "kind": _KIND,
            "event_type": event.event_type,
            "body": dict(event.body),
            "handling": str(event.handling),
            "priority": event.priority.value,
            "purpose": event.purpose.value,
            "expires_at_ms": event.expires_at_ms,
            "correlation_id": None if event.correlation_id is None else event.correlation_id.hex(),
            "in_reply_to": None if reply is None else [reply.publisher, reply.event_id.hex()],
            "only": None if only is None else sorted(only),
            "source_key": source_key,
        }
    )


def decode_waiting(waiting: WaitingEvent) -> tuple[Event, frozenset[AgencyId] | None, str]:
    """The event with the id and time that it was given when it was taken; whom it is narrowed to; its source's key.

    Raises ``InvariantError``: these bytes are our own.
    """
    try:
        form: dict[str, Any] = orjson.loads(waiting.value)
        if form["kind"] != _KIND:
            raise ValueError(form["kind"])
        reply = form["in_reply_to"]
        event = Event(
            form["event_type"],
            form["body"],
            parse_handling(form["handling"]),
            Priority(form["priority"]),
            Purpose(form["purpose"]),
            form["expires_at_ms"],
            None if form["correlation_id"] is None else bytes.fromhex(form["correlation_id"]),
            None if reply is None else EventRef(AgencyId(reply[0]), EventId(bytes.fromhex(reply[1]))),
            waiting.event_id,
            waiting.published_at_ms,
        )
        only = None if form["only"] is None else frozenset(map(AgencyId, form["only"]))
        return event, only, form["source_key"]
    except (ValueError, KeyError, TypeError, IndexError, RejectedError) as error:
        raise InvariantError("a waiting event cannot be read", position=waiting.position, error=repr(error)) from error


def late_refusal(waiting: WaitingEvent, source_key: str, error: RejectedError, *, now_ms: int) -> LateRefusal:
    """The note that stays of an event which was taken, and refused when it was to be sealed."""
    return LateRefusal(
        waiting.event_id,
        waiting.event_type,
        source_key[:KEY_SHOWN],
        error.code,
        error.diagnostics()[:REASON_SHOWN],
        now_ms,
    )
