"""A catalog of three small event types for policy tests: what hub/policy asks of hub/catalog, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.catalog import TypeUnknown
from hub.model import Compartment, Event, Handling, Priority, Purpose, Tlp
from tests.support.authority import DAY_MS, NOW_MS

CORE, PERSONAL, SENSITIVE = Compartment("core"), Compartment("personal"), Compartment("sensitive")


@dataclass(frozen=True)
class SmallField:
    """A field as the catalog describes it."""

    path: str
    kind: str
    codes: frozenset[str] | None = None
    constraints: Mapping[str, Any] = field(default_factory=dict)
    char_codes: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True)
class SmallType:
    """An event type as the catalog describes it."""

    name: str
    compartments: tuple[Compartment, ...]
    fields: Mapping[str, SmallField]
    version: int = 1
    needs: Mapping[Compartment, tuple[Compartment, ...]] = field(default_factory=dict)


class SmallCatalog:
    """``notice`` types of a stolen firearm, ``case.update``, and ``hub.notice``."""

    def __init__(self, *types: SmallType) -> None:
        self._types = {found.name: found for found in types}

    def names(self) -> tuple[str, ...]:
        return tuple(self._types)

    def get(self, name: str) -> SmallType:
        if name not in self._types:
            raise TypeUnknown("no such event type", type=name)
        return self._types[name]


def _fields(*found: SmallField) -> dict[str, SmallField]:
    return {each.path: each for each in found}


STATUSES = frozenset({"LEGIBLE", "PARTIAL", "OBLITERATED", "NONE"})

SMALL_CATALOG = SmallCatalog(
    SmallType(
        "firearm.notice",
        (CORE, PERSONAL, SENSITIVE),
        _fields(
            SmallField("kind", "enum", frozenset({"LOST", "STOLEN", "TRAFFICKED", "SMUGGLED"})),
            SmallField("date", "date"),
            SmallField("reported_at", "timestamp"),
            SmallField("ffl_theft", "boolean"),
            SmallField("count", "int", constraints={"min": 0, "max": 1000}),
            SmallField("value_usd", "decimal", constraints={"min": "0"}),
            SmallField("weight_kg", "double"),
            SmallField("holder", "string", constraints={"pattern": "^[A-Z][A-Z0-9-]{1,31}$", "max_length": 32}),
            SmallField("title", "string", constraints={"max_length": 200}),
            SmallField("narrative", "string", constraints={"max_length": 20_000}),
            SmallField("routes", "array"),
            SmallField("routes[]", "string", frozenset({"US", "JM", "TT", "HT"})),
            SmallField("owner", "record"),
            SmallField("owner.name", "string", constraints={"max_length": 100}),
            SmallField("owner.nationality", "string", frozenset({"US", "JM", "TT", "NO"})),
            SmallField("firearms", "array"),
            SmallField("firearms[].serial_raw", "string", constraints={"max_length": 40}),
            SmallField("firearms[].serial_status", "enum", STATUSES),
            SmallField("firearms[].barrel_mm", "int"),
            SmallField("firearms[].type", "string", char_codes=(frozenset("PR"), frozenset("IR"))),
            SmallField("firearms[].marks", "array"),
            SmallField("firearms[].marks[].place", "string", constraints={"max_length": 40}),
        ),
    ),
    SmallType(
        "case.update",
        (CORE, SENSITIVE),
        _fields(
            SmallField("sealed", "boolean"),
            SmallField("stage", "enum", frozenset({"REFERRED", "CHARGED", "CONVICTED"})),
        ),
    ),
    SmallType("hub.notice", (CORE,), _fields(SmallField("recipient", "string"))),
)


def firearm_body(**members: Any) -> dict[str, Any]:
    """A body of ``firearm.notice`` with every field there, and ``members`` in place of some."""
    body: dict[str, Any] = {
        "kind": "STOLEN",
        "date": "2026-11-03",
        "reported_at": "2026-11-03T14:20:00.000Z",
        "ffl_theft": False,
        "count": 1,
        "value_usd": "412.50",
        "weight_kg": 1.5,
        "holder": "NCA",
        "title": "Two pistols",
        "narrative": "taken from a shop",
        "routes": ["US", "JM"],
        "owner": {"name": "A. Dealer", "nationality": "US"},
        "firearms": [
            {"serial_raw": "AB123", "serial_status": "LEGIBLE", "barrel_mm": 102, "marks": [{"place": "slide"}]},
            {"serial_raw": "X9", "serial_status": "PARTIAL", "barrel_mm": None, "marks": []},
        ],
    }
    return {**body, **members}


def an_event(body: Mapping[str, Any] | None = None, *, event_type: str = "firearm.notice", **labels: Any) -> Event:
    """An event with labels ``TLP:AMBER``, ROUTINE, INVESTIGATION where nothing else is said."""
    given: dict[str, Any] = {
        "handling": Handling(Tlp.AMBER),
        "priority": Priority.ROUTINE,
        "purpose": Purpose.INVESTIGATION,
        "expires_at_ms": NOW_MS + 365 * DAY_MS,
        **labels,
    }
    return Event(event_type, firearm_body() if body is None else body, **given)
