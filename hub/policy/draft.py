"""The custodians' draft of a directory: YAML for people, before it is signed. Pure: names of files come out, not files.

::

    version: 7
    expires: 2027-01-31
    agencies:
      - {agency: JCF, name: Jamaica Constabulary Force, identity: JCF/identity.pub, statement: JCF/statement.json}
    agreements:
      - id: "MOU-2024-07 #3"
        from: JCF
        to: ATF
        types: [trace.request]
        compartments: [core, personal, sensitive]
        purposes: [INVESTIGATION, PROSECUTION]
        max_handling: TLP:AMBER
        begins: 2026-01-01
        ends: 2027-01-01

Dates are days, from their first moment in UTC: an agreement no longer holds on the day on which it ``ends``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime

from hub.model import AgencyId, Agreement, Compartment, NameInvalid, Purpose, parse_agency_id, parse_handling
from hub.policy.release import CatalogLike
from hub.policy.source import Part, did_you_mean, read_policy


@dataclass(frozen=True, slots=True)
class DraftedAgency:
    """An agency in a draft. ``identity`` and ``statement`` are names of files, relative to the draft's."""

    agency_id: AgencyId
    name: str
    active: bool
    identity: str
    statement: str


@dataclass(frozen=True, slots=True)
class DirectoryDraft:
    """A draft, read and checked for sense. ``expires_at_ms`` is milliseconds since 1970."""

    version: int
    expires_at_ms: int
    agencies: tuple[DraftedAgency, ...]
    agreements: tuple[Agreement, ...]


def parse_draft(text: str, catalog: CatalogLike, *, file: str = "directory.yaml") -> DirectoryDraft:
    """A draft from YAML text. Raises ``PolicyInvalid`` (a ``ConfigError``) with ``file`` and the line."""
    root = read_policy(text, file).mapping(required=("version", "expires", "agencies"), optional=("agreements",))
    version = root["version"].text()
    if not re.fullmatch(r"[1-9][0-9]{0,14}", version, re.ASCII):
        raise root["version"].fault("a whole number from 1 is wanted, higher than the last directory's")
    agencies = tuple(_agency(part) for part in root["agencies"].parts())
    places: dict[str, str] = {}
    for part, agency in zip(root["agencies"].parts(), agencies, strict=True):
        if agency.agency_id in places:
            raise part.fault(f"{agency.agency_id} stands at {places[agency.agency_id]} already")
        places[agency.agency_id] = part.place
    agreements = []
    for part in root["agreements"].parts() if "agreements" in root else ():
        agreement = _agreement(part, catalog, [agency.agency_id for agency in agencies])
        if agreement.agreement_id in places:
            raise part.fault(f"{agreement.agreement_id!r} stands at {places[agreement.agreement_id]} already")
        places[agreement.agreement_id] = part.place
        agreements.append(agreement)
    return DirectoryDraft(int(version), _day_ms(root["expires"]), agencies, tuple(agreements))


def _agency(part: Part) -> DraftedAgency:
    found = part.mapping(required=("agency", "name", "identity", "statement"), optional=("active",))
    try:
        agency = parse_agency_id(found["agency"].text())
    except NameInvalid as error:
        raise found["agency"].fault(f"{error.message}: {found['agency'].text()!r}") from error
    active = found["active"].boolean() if "active" in found else True
    return DraftedAgency(agency, found["name"].text(), active, found["identity"].text(), found["statement"].text())


def _agreement(part: Part, catalog: CatalogLike, agencies: Collection[AgencyId]) -> Agreement:
    found = part.mapping(
        required=("id", "from", "to", "types", "compartments", "purposes", "max_handling", "begins", "ends"),
        optional=("reference",),
    )
    parties = []
    for key in ("from", "to"):
        text = found[key].text()
        if text not in agencies:
            raise found[key].fault(f"the draft lists no agency {text!r}{did_you_mean(text, agencies)}")
        parties.append(AgencyId(text))
    if parties[0] == parties[1]:
        raise found["to"].fault("an agreement is between two agencies")
    types = [each.one_of(catalog.names(), "an event type") for each in found["types"].parts_or_one()]
    compartments = {str(c) for name in types for c in catalog.get(name).compartments}
    try:
        handling = parse_handling(found["max_handling"].text())
    except NameInvalid as error:
        raise found["max_handling"].fault(error.message) from error
    begins, ends = _day_ms(found["begins"]), _day_ms(found["ends"])
    if begins >= ends:
        raise found["ends"].fault("it would end before it begins")
    purposes = [purpose.value for purpose in Purpose]
    return Agreement(
        found["id"].text(),
        parties[0],
        parties[1],
        frozenset(types),
        frozenset(
            Compartment(each.one_of(compartments, "a compartment of these types"))
            for each in found["compartments"].parts_or_one()
        ),
        frozenset(Purpose(each.one_of(purposes, "a purpose")) for each in found["purposes"].parts_or_one()),
        handling,
        begins,
        ends,
        found["reference"].text() if "reference" in found else "",
    )


def _day_ms(part: Part) -> int:
    text = part.text()
    try:
        day = date.fromisoformat(text)
        if day.isoformat() != text or day.year < 1970:
            raise ValueError(text)
    except ValueError as error:
        raise part.fault(f"a day like 2027-01-31 is wanted, not {text!r}") from error
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
