"""An agreement as the parties' people write it: YAML, before it is signed (docs/guides/agreements.md). Pure: text in.

::

    agreement: MOU-2024-07
    version: 1
    title: Tracing of firearms between Jamaica and the United States
    mou: Memorandum of Understanding of 1 July 2024, article 4
    parties: [ATF, JCF]
    first_day: 2026-12-01
    last_day: 2027-11-30
    clauses:
      - from: JCF
        to: ATF
        types: [trace.request]
        compartments: [core, personal]
        purposes: [INVESTIGATION]
        max_handling: TLP:AMBER
        onward_sharing: ORIGINATOR_CONSENT
        retention_days: 1825

Days are of UTC: it holds from the first moment of ``first_day`` to the last moment of ``last_day``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from hub.model import (
    HUB,
    AgencyId,
    Handling,
    NameInvalid,
    Onward,
    Purpose,
    parse_agency_id,
    parse_handling,
)
from hub.policy.release import CatalogLike
from hub.policy.source import Part, PolicyInvalid, did_you_mean, read_policy
from hub.trust.agreement import (
    MAX_CLAUSES,
    MAX_RETENTION_DAYS,
    AgreementDocument,
    AgreementMalformed,
    Clause,
    check_slug,
)

DAY_MS: Final = 86_400_000
_DOCUMENT: Final = ("agreement", "version", "title", "mou", "parties", "first_day", "last_day", "clauses")
_CLAUSE: Final = (
    "from",
    "to",
    "types",
    "compartments",
    "purposes",
    "max_handling",
    "onward_sharing",
    "retention_days",
)


@dataclass(frozen=True, slots=True)
class DraftedAgreement:
    """A draft that makes sense. ``lines`` has each field's line: ``last_day``, ``1.types`` for the first clause's."""

    document: AgreementDocument
    file: str
    lines: Mapping[str, int]


def parse_agreement_draft(
    text: str, catalog: CatalogLike, *, file: str = "agreement.yaml", agencies: Collection[AgencyId] | None = None
) -> DraftedAgreement:
    """A draft from YAML. ``agencies`` are those of a directory, if one is at hand.

    Raises ``PolicyInvalid`` with file, line and field; where several fields are wrong, an ``ExceptionGroup`` of them.
    """
    root = read_policy(text, file)
    fields = _Fields(root.mapping(required=_DOCUMENT, optional=("hub",)))
    slug = fields.read("agreement", _slug)
    version = fields.read("version", lambda part: _number(part, 2**32 - 1))
    title = fields.read("title", lambda part: _line(part, 200, "say in a few words what it is about"))
    mou = fields.read("mou", lambda part: _line(part, 400, "name the memorandum: its title, date or number"))
    hub = fields.read("hub", _agency) if "hub" in fields.parts else HUB
    parties = fields.read("parties", lambda part: _parties(part, agencies))
    begin = fields.read("first_day", _day_ms)
    end = fields.read("last_day", lambda part: _last_moment(part, begin))
    clauses = fields.read("clauses", lambda part: _clauses(part, fields, catalog, parties))
    fields.raise_faults(file)
    try:
        document = AgreementDocument(slug, hub, version, title, mou, parties, begin, end, clauses)
    except AgreementMalformed as error:
        raise root.fault(error.message) from error
    return DraftedAgreement(document, file, fields.lines)


class _Fields:
    """Reads a mapping's fields one by one and collects what is wrong with them, so that all of it is told at once.

    What :meth:`read` gives for a field that is wrong is ``None``; nothing is made of it after :meth:`raise_faults`.
    """

    def __init__(self, parts: Mapping[str, Part], outer: _Fields | None = None, number: int = 0) -> None:
        self.parts = parts
        self.faults: list[PolicyInvalid] = [] if outer is None else outer.faults
        self.lines: dict[str, int] = {} if outer is None else outer.lines
        self._number = number

    def read(self, name: str, parse: Callable[[Part], Any]) -> Any:
        part = self.parts[name]
        full = f"{self._number}.{name}" if self._number else name
        self.lines[full] = part.line
        try:
            return parse(part)
        except PolicyInvalid as error:
            where = f"clause {self._number}, {name}" if self._number else name
            line = error.details.get("line", part.line)
            message = error.message.removeprefix(f"{part.file}:{line}: ")
            self.faults.append(
                PolicyInvalid(f"{part.file}:{line}: {where}: {message}", file=part.file, line=line, field=full)
            )
            return None

    def raise_faults(self, file: str) -> None:
        if len(self.faults) == 1:
            raise self.faults[0]
        if self.faults:
            raise ExceptionGroup(f"{file}: {len(self.faults)} faults", self.faults)


def _clauses(
    part: Part, fields: _Fields, catalog: CatalogLike, parties: tuple[AgencyId, AgencyId] | None
) -> tuple[Clause, ...]:
    found = part.parts()
    if not 1 <= len(found) <= MAX_CLAUSES:
        raise part.fault(f"1 to {MAX_CLAUSES} clauses are wanted, each beginning with `- from: ...`")
    clauses = []
    for number, each in enumerate(found, 1):
        try:
            inner = _Fields(each.mapping(required=_CLAUSE), fields, number)
        except PolicyInvalid as error:
            fields.faults.append(error)
            continue
        fields.lines[str(number)] = each.line
        clauses.append(_clause(inner, catalog, parties))
    return tuple(clauses)


def _clause(fields: _Fields, catalog: CatalogLike, parties: tuple[AgencyId, AgencyId] | None) -> Clause:
    originator = fields.read("from", lambda part: _party(part, parties, None))
    recipient = fields.read("to", lambda part: _party(part, parties, originator))
    known = [name for name in catalog.names() if not name.startswith("hub.")]
    types = fields.read("types", lambda part: _choices(part, known, "an event type"))
    compartments = {str(c) for name in types or known for c in catalog.get(name).compartments}
    return Clause(
        originator,
        recipient,
        types,
        fields.read("compartments", lambda part: _choices(part, compartments, "a compartment of these types")),
        fields.read("purposes", _purposes),
        fields.read("max_handling", _handling),
        fields.read("onward_sharing", lambda part: Onward[part.one_of(Onward.__members__, "a rule of onward sharing")]),
        fields.read("retention_days", lambda part: _number(part, MAX_RETENTION_DAYS)),
    )


# --- one field --------------------------------------------------------------------------------------------------------


def _slug(part: Part) -> str:
    try:
        return check_slug(part.text())
    except AgreementMalformed as error:
        raise part.fault(f"{error.message}, beginning with a letter or digit: not {part.text()[:64]!r}") from error


def _number(part: Part, most: int) -> int:
    text = part.text()
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text, re.ASCII) or int(text) > most:
        raise part.fault(f"a whole number from 1 to {most} is wanted, not {text[:40]!r}")
    return int(text)


def _line(part: Part, most: int, way_out: str) -> str:
    try:
        text = part.text()
    except PolicyInvalid:
        text = ""  # nothing stands there, or a list: the message below says what is wanted
    if not 1 <= len(text) <= most or not text.isprintable() or text != text.strip():
        raise part.fault(f"one line of 1 to {most} characters is wanted: {way_out}")
    return text


def _agency(part: Part) -> AgencyId:
    try:
        return parse_agency_id(part.text())
    except NameInvalid as error:
        raise part.fault(f"{error.message}: {part.text()[:40]!r}") from error


def _parties(part: Part, agencies: Collection[AgencyId] | None) -> tuple[AgencyId, AgencyId]:
    found = [_agency(each) for each in part.parts()]
    if len(found) != 2 or found[0] == found[1]:
        raise part.fault(f"an agreement is between two agencies; here are {len(set(found))}")
    for agency, each in zip(found, part.parts(), strict=True):
        if agencies is not None and agency not in agencies:
            raise each.fault(f"the directory lists no agency {agency!r}{did_you_mean(agency, agencies)}")
    first, second = sorted(found)
    return first, second


def _party(part: Part, parties: tuple[AgencyId, AgencyId] | None, other: AgencyId | None) -> AgencyId:
    agency = _agency(part)
    if parties is not None and agency not in parties:
        raise part.fault(f"{agency} is no party: the parties are {' and '.join(parties)}")
    if agency == other:
        raise part.fault(f"{agency} would receive from itself: the other party is wanted here")
    return agency


def _choices(part: Part, known: Collection[str], what: str) -> frozenset[Any]:
    found = []
    for each in part.parts_or_one():
        if each.text() == "*":
            raise each.fault("there is no wildcard in an agreement: both parties sign each name. Write them out")
        name = each.one_of(known, what)
        if name in found:
            raise each.fault(f"{name!r} stands twice")
        found.append(name)
    return frozenset(found)


def _purposes(part: Part) -> frozenset[Purpose]:
    return frozenset(Purpose(name) for name in _choices(part, [purpose.value for purpose in Purpose], "a purpose"))


def _handling(part: Part) -> Handling:
    try:
        return parse_handling(part.text())
    except NameInvalid as error:
        raise part.fault(f"{error.message}: {part.text()[:40]!r}") from error


def _day_ms(part: Part) -> int:
    text = part.text()
    try:
        day = date.fromisoformat(text)
        if day.isoformat() != text or not 1970 <= day.year <= 9998:
            raise ValueError(text)
    except ValueError as error:
        raise part.fault(f"a day like 2027-01-31 is wanted, not {text[:40]!r}") from error
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _last_moment(part: Part, begin: int | None) -> int:
    end = _day_ms(part) + DAY_MS
    if begin is not None and end <= begin:
        raise part.fault("it is before first_day: the agreement would never hold")
    return end
