"""Opened events for tests of sinks: valid examples, as a recipient of some compartments has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connectors.toolkit import ConnectorContext
from connectors.toolkit.testkit import SilentObserver
from hub.model import AgencyId, Compartment, EventId, OpenedEvent, Route
from tests.support.samples import catalog, sample_event


def opened_event(
    event_type: str, number: int = 1, *, granted: Sequence[str] | None = None, publisher: str = "JCF", index: int = 0
) -> OpenedEvent:
    """The example ``index`` of a type under the event id ``number``; by default with all compartments."""
    event = sample_event(event_type, index)
    kind = catalog().get(event_type)
    have = tuple(c for c in kind.compartments if granted is None or c in granted)
    sections = dict(zip(kind.compartments, kind.encode(event.body), strict=True))
    body = kind.decode({Compartment(c): sections[c] for c in have})
    return OpenedEvent(
        publisher=AgencyId(publisher),
        event_id=EventId(number.to_bytes(16, "big")),
        route=Route(event_type, kind.version, event.handling, event.priority, event.purpose),
        published_at_ms=1_764_000_000_000 + number,
        expires_at_ms=event.expires_at_ms,
        correlation_id=bytes(15) + b"\x07",
        in_reply_to=event.in_reply_to,
        body=body,
        granted=have,
        withheld=tuple(c for c in kind.compartments if c not in have),
    )


def connector_context(base: Path, name: str = "under-test") -> ConnectorContext:
    """A site's context with its folder at ``base``."""
    return ConnectorContext(AgencyId("JCF"), name, base, base / "state", catalog(), SilentObserver())
