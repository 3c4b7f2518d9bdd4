"""What a subscriber refused and keeps, for a person: facts without content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hub.client.inbox import RejectedRecord
from hub.errors import RejectedError
from hub.wire.bundle import parse_delivered
from hub.wire.frames import parse_head


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rejected record, event, or event at a sink. ``publisher`` is empty where the record does not prove one.

    ``event_type`` is what the record says of itself, empty where it cannot be read. ``kept``: its sealed bytes are
    still there, so it can be read again.
    """

    id: str
    at_ms: int
    publisher: str
    event_type: str
    code: str
    reason: str
    place: str
    event_id: str
    sink: str
    kept: bool


def describe(records: Iterable[RejectedRecord]) -> Iterator[Refusal]:
    """Each record as a refusal; ``raw`` is to be the record's bytes, whichever of its entries has them."""
    for record in records:
        yield Refusal(
            record.id,
            record.at_ms,
            record.publisher,
            _event_type(record.raw),
            record.code,
            record.reason,
            record.place,
            record.event_id,
            record.sink,
            bool(record.raw),
        )


def _event_type(raw: bytes) -> str:
    try:
        return parse_head(parse_delivered(raw).head).core.lane.route.event_type
    except RejectedError:
        return ""  # it was refused for its form, or its bytes were let go: the code says which
