"""Frozen value types: the words of the project's vocabulary as Python types. No I/O, no clock, no keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Final, NewType
from uuid import UUID

from hub.errors import RejectedError

AgencyId = NewType("AgencyId", str)
"""A legal body's code, ``[A-Z][A-Z0-9-]{1,31}``: ``ATF``, ``CCGIU``, ``JCF``."""

EventId = NewType("EventId", bytes)
"""16 bytes of a UUIDv7 (RFC 9562 5.7). Unique for one publisher only: name an event by :class:`EventRef`."""

Compartment = NewType("Compartment", str)
"""A named group of fields, sealed apart: ``core``, ``personal``, ``sensitive``; ``[a-z][a-z0-9]{0,15}``."""

HUB: Final = AgencyId("HUB")
"""The hub is an agency with keys of its own for what it says."""

_AGENCY = re.compile(r"[A-Z][A-Z0-9-]{1,31}", re.ASCII)
_COMPARTMENT = re.compile(r"[a-z][a-z0-9]{0,15}", re.ASCII)


class NameInvalid(RejectedError):
    """A code, identifier or label is not of its form."""

    code = "name.invalid"


def parse_agency_id(text: str) -> AgencyId:
    """``text`` as an agency code. Raises :class:`NameInvalid`."""
    if not _AGENCY.fullmatch(text):
        raise NameInvalid("not an agency code ([A-Z][A-Z0-9-]{1,31})", value=text[:40])
    return AgencyId(text)


def parse_compartment(text: str) -> Compartment:
    """``text`` as a compartment name. Raises :class:`NameInvalid`."""
    if not _COMPARTMENT.fullmatch(text):
        raise NameInvalid("not a compartment name ([a-z][a-z0-9]{0,15})", value=text[:40])
    return Compartment(text)


def new_event_id(now_ms: int, randomness: bytes) -> EventId:
    """A UUIDv7 (RFC 9562 5.7) from milliseconds since 1970 and 10 random bytes."""
    if len(randomness) != 10:
        raise ValueError("10 random bytes are wanted")
    tail = bytearray(randomness)
    tail[0] = 0x70 | (tail[0] & 0x0F)
    tail[2] = 0x80 | (tail[2] & 0x3F)
    return EventId(now_ms.to_bytes(6, "big") + bytes(tail))


def parse_event_id(text: str) -> EventId:
    """The textual form of a UUID as an event id. Raises :class:`NameInvalid`."""
    try:
        return EventId(UUID(text).bytes)
    except (ValueError, AttributeError, TypeError) as error:
        raise NameInvalid("not a UUID", value=str(text)[:40]) from error


def format_event_id(event_id: bytes) -> str:
    """16 bytes as the usual 36 characters."""
    h = event_id.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


class Tlp(IntEnum):
    """Traffic Light Protocol 2.0 (FIRST), from the widest sharing to the narrowest."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4


class Siena(IntEnum):
    """Europol SIENA handling codes H0 to H3, as an ordered restriction."""

    H0 = 0
    H1 = 1
    H2 = 2
    H3 = 3


_TLP_TEXT: Final = {tlp: tlp.name.replace("_", "+") for tlp in Tlp}
_TLP_PARSE: Final = {text: tlp for tlp, text in _TLP_TEXT.items()}


@dataclass(frozen=True, slots=True)
class Handling:
    """A handling label: a TLP colour and, where the originator uses SIENA codes, one of those too.

    The two schemes are never translated into each other. Text form: ``TLP:AMBER`` or ``TLP:AMBER+STRICT H2``.
    """

    tlp: Tlp
    siena: Siena | None = None

    def within(self, ceiling: Handling) -> bool:
        """Whether ``ceiling`` covers this label. A SIENA code under a ceiling that names none is not covered."""
        if self.tlp > ceiling.tlp:
            return False
        return self.siena is None or (ceiling.siena is not None and self.siena <= ceiling.siena)

    def __str__(self) -> str:
        tlp = f"TLP:{_TLP_TEXT[self.tlp]}"
        return tlp if self.siena is None else f"{tlp} {self.siena.name}"


def parse_handling(text: str) -> Handling:
    """The text form as a label. Exactly the canonical form is taken. Raises :class:`NameInvalid`."""
    colour, _, code = text.partition(" ")
    tlp = _TLP_PARSE.get(colour[4:]) if colour.startswith("TLP:") else None
    siena = Siena.__members__.get(code) if code else None
    if tlp is None or (code and siena is None) or text.endswith(" "):
        raise NameInvalid("not a handling label (TLP:CLEAR ... TLP:RED, then H0 ... H3 if any)", value=text[:40])
    return Handling(tlp, siena)


class Priority(str, Enum):
    """How soon it is wanted (ATF Form 3312.1, 1b)."""

    ROUTINE = "ROUTINE"
    URGENT = "URGENT"


class Purpose(str, Enum):
    """What the recipient may use it for."""

    INVESTIGATION = "INVESTIGATION"
    PROSECUTION = "PROSECUTION"
    BORDER_CONTROL = "BORDER_CONTROL"
    EXPORT_CONTROL = "EXPORT_CONTROL"
    FORENSICS = "FORENSICS"
    CRIME_PREVENTION = "CRIME_PREVENTION"
    STATISTICS = "STATISTICS"
    HUB_OPERATION = "HUB_OPERATION"


class Onward(IntEnum):
    """What the recipient may do with it next, from the narrowest to the widest. It binds by contract: what has been
    opened, no hub can hold back. Text form: the name."""

    NONE = 0
    """It stays with the recipient."""
    ORIGINATOR_CONSENT = 1
    """To whom the originator has consented, asked each time: originator control (ORCON; SIENA H2)."""
    RECIPIENT_AGENCIES = 2
    """To the agencies of the recipient's own state or its member states; to anyone else with consent."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the hub may know of a lane's events, and route on (domain.md 10, Routing)."""

    event_type: str
    schema_version: int
    handling: Handling
    priority: Priority
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class EventRef:
    """An event's name everywhere: who published it, and its id."""

    publisher: AgencyId
    event_id: EventId


Grants = tuple[tuple[AgencyId, tuple[Compartment, ...]], ...]
"""For each recipient, ordered by agency, the compartments (in the schema's order, never empty) it may open."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event before it is sealed. ``body`` is one record of the type's Avro schema as Python values.

    ``event_id``, ``published_at_ms`` and ``correlation_id`` are filled in by the Publisher where they are ``None``.
    Times are milliseconds since 1970, UTC.
    """

    event_type: str
    body: Mapping[str, Any] = field(repr=False)  # content stays out of logs and tracebacks
    handling: Handling
    priority: Priority
    purpose: Purpose
    expires_at_ms: int
    correlation_id: bytes | None = None
    in_reply_to: EventRef | None = None
    event_id: EventId | None = None
    published_at_ms: int | None = None
    trace_context: str | None = None
    """Where its source's own span is (W3C ``traceparent``), for a Publisher that writes traces."""


@dataclass(frozen=True, slots=True)
class OpenedEvent:
    """An event as its recipient got it: signed by ``publisher``, opened, checked against its schema.

    ``body`` has the fields of the compartments in ``granted``; what belongs to those in ``withheld`` is not in it.
    """

    publisher: AgencyId
    event_id: EventId
    route: Route
    published_at_ms: int
    expires_at_ms: int
    correlation_id: bytes
    in_reply_to: EventRef | None
    body: Mapping[str, Any] = field(repr=False)  # content stays out of logs and tracebacks
    granted: tuple[Compartment, ...]
    withheld: tuple[Compartment, ...]

    @property
    def ref(self) -> EventRef:
        return EventRef(self.publisher, self.event_id)


@dataclass(frozen=True, slots=True)
class Agreement:
    """An MOU's clause in the directory: the ceiling of what ``recipient`` may get from ``originator``.

    Times are milliseconds since 1970; valid from ``not_before_ms`` up to and without ``not_after_ms``. ``onward`` and
    ``retention_days`` (days after receipt) bind the recipient and move no decision; ``None`` where nothing was said.
    """

    agreement_id: str
    originator: AgencyId
    recipient: AgencyId
    event_types: frozenset[str]
    compartments: frozenset[Compartment]
    purposes: frozenset[Purpose]
    max_handling: Handling
    not_before_ms: int
    not_after_ms: int
    reference: str = ""
    onward: Onward | None = None
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why, as a value. ``code`` is stable (``agreement.covered``, ``agreement.none``, ...)."""

    allowed: bool
    code: str
    reason: str
    clause: str = ""
    """What decided: ``MOU-2024-07 #3``, ``release.yaml:14 rule "..."``, ``subscriptions/ATF.yaml:8``."""
    compartments: tuple[Compartment, ...] = ()
