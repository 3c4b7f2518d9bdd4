"""An agreement of two parties: its document, as both of them sign it, and the clauses that decisions are made by.

docs/spec/directory.md, section 7. Nothing here verifies a signature. Pure: bytes in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.errors import RejectedError
from hub.model import (
    AgencyId,
    Agreement,
    Compartment,
    Handling,
    NameInvalid,
    Onward,
    Purpose,
    parse_agency_id,
    parse_compartment,
    parse_handling,
)
from hub.trust.signed_json import Strict, TimeMs, encode_json, first_fault, read_strict_json

AGREEMENT_KIND: Final = "cgi-hub/v1/agreement"

MAX_AGREEMENT: Final = 256 * 1024
"""Bytes of an agreement's document."""
MAX_CLAUSES: Final = 64
LAST_END_MS: Final = 253_370_764_800_000
"""The end of the year 9998: whatever outlives an agreement by some days has a date too."""
MAX_RETENTION_DAYS: Final = 36_525
"""A hundred years."""

_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9]{0,31}(\.[a-z][a-z0-9_]{0,31}){1,2}", re.ASCII)  # as on the wire
_OF_THE_HUB: Final = "hub."


class AgreementMalformed(RejectedError):
    """Bytes or values that are no agreement of two parties."""

    code = "agreement.malformed"


# --- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clause:
    """What ``recipient`` may get from ``originator``. No list is empty, and nothing stands for everything.

    ``retention_days``: how many days after its receipt the recipient deletes an event.
    """

    originator: AgencyId
    recipient: AgencyId
    event_types: frozenset[str]
    compartments: frozenset[Compartment]
    purposes: frozenset[Purpose]
    max_handling: Handling
    onward: Onward
    retention_days: int


@dataclass(frozen=True, slots=True)
class AgreementDocument:
    """An agreement of two parties. ``parties`` stand in the order of their codes; ``version`` rises by one.

    It holds from ``not_before_ms`` up to and without ``not_after_ms`` (milliseconds since 1970). ``reference`` names
    the MOU that it carries out. Raises :class:`AgreementMalformed` where it makes no sense.
    """

    slug: str
    hub: AgencyId
    version: int
    title: str
    reference: str
    parties: tuple[AgencyId, AgencyId]
    not_before_ms: int
    not_after_ms: int
    clauses: tuple[Clause, ...]

    def __post_init__(self) -> None:
        _check(self)

    def clause_id(self, number: int) -> str:
        """What the clause (from 1) is called wherever a decision names it: the slug, and ``#n`` if there are more."""
        return self.slug if len(self.clauses) == 1 else f"{self.slug} #{number}"

    def agreements(self) -> tuple[Agreement, ...]:
        """What decisions are made by: one value for each clause."""
        return tuple(
            Agreement(
                self.clause_id(number),
                clause.originator,
                clause.recipient,
                clause.event_types,
                clause.compartments,
                clause.purposes,
                clause.max_handling,
                self.not_before_ms,
                self.not_after_ms,
                self.reference,
                clause.onward,
                clause.retention_days,
            )
            for number, clause in enumerate(self.clauses, 1)
        )


def check_slug(text: str) -> str:
    """``text`` if it can name an agreement: ``[A-Za-z0-9][A-Za-z0-9._-]{0,63}``. Raises :class:`AgreementMalformed`."""
    if not _SLUG.fullmatch(text):
        raise AgreementMalformed("an agreement's name is 1 to 64 letters, digits and ._-", name=text[:64])
    return text


# --- sense ------------------------------------------------------------------------------------------------------------


def _check(document: AgreementDocument) -> None:
    """The rules of directory, "The agreement", in its order: whatever way a document is made, they hold."""
    check_slug(document.slug)

    why = _document_fault(document)
    for number, clause in enumerate(document.clauses, 1):
        fault = _clause_fault(clause, document.parties)
        if why is None and fault is not None:
            why = f"clause {number} {fault}"
    if why is not None:
        raise AgreementMalformed(f"not an agreement: {why}", agreement=document.slug)


def _document_fault(document: AgreementDocument) -> str | None:
    if not 1 <= document.version < 2**32:
        return "a version is from 1 to 2^32 - 1"
    for what, text, most in (("title", document.title, 200), ("reference", document.reference, 400)):
        # Both parties sign what they were shown: nothing in it may move a cursor or turn the direction of writing.
        if not 1 <= len(text) <= most or not text.isprintable() or text != text.strip():
            return f"its {what} is one line of 1 to {most} printable characters"
    if len(document.parties) != 2 or document.parties[0] >= document.parties[1]:
        return "its parties are two agencies, in the order of their codes"
    if document.hub in document.parties:
        return f"{document.hub} is the hub: it receives nothing, and needs no agreement for its notices"
    if document.not_before_ms >= document.not_after_ms:
        return "it never holds: not_before is not before not_after"
    if document.not_before_ms < 0 or document.not_after_ms > LAST_END_MS:
        return "it begins before 1970 or ends after 9998"
    if not 1 <= len(document.clauses) <= MAX_CLAUSES:
        return f"it has 1 to {MAX_CLAUSES} clauses"
    return None


def _clause_fault(clause: Clause, parties: tuple[AgencyId, AgencyId]) -> str | None:
    if (clause.originator, clause.recipient) not in (parties, parties[::-1]):
        return f"is not between its parties {parties[0]} and {parties[1]}"
    if not (1 <= len(clause.event_types) <= 256 and 1 <= len(clause.compartments) <= 8 and clause.purposes):
        return "has an empty list, or one that is too long"
    for name in sorted(clause.event_types):
        if not _EVENT_TYPE.fullmatch(name):
            return f"names {name[:40]!r}, which is not an event type; there is no wildcard"
        if name.startswith(_OF_THE_HUB):
            return f"names {name}, which is the hub's alone"
    if not 1 <= clause.retention_days <= MAX_RETENTION_DAYS:
        return f"has a retention that is not 1 to {MAX_RETENTION_DAYS} days"
    return None


# --- the document as bytes --------------------------------------------------------------------------------------------


class _ClauseForm(Strict):
    originator: StrictStr
    recipient: StrictStr
    event_types: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=256)]
    compartments: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=8)]
    purposes: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=64)]
    max_handling: StrictStr
    onward: StrictStr
    retention_days: StrictInt


class _DocumentForm(Strict):
    kind: Literal["cgi-hub/v1/agreement"]
    hub: StrictStr
    agreement: StrictStr
    version: StrictInt
    title: StrictStr
    reference: StrictStr
    parties: Annotated[tuple[StrictStr, ...], Field(min_length=2, max_length=2)]
    not_before_ms: TimeMs
    not_after_ms: TimeMs
    clauses: Annotated[tuple[_ClauseForm, ...], Field(min_length=1, max_length=MAX_CLAUSES)]


def parse_agreement(raw: bytes) -> AgreementDocument:
    """A document's bytes, read strictly (directory 2); nothing is verified. Raises :class:`AgreementMalformed`."""
    if len(raw) > MAX_AGREEMENT:
        raise AgreementMalformed("not an agreement: too long", length=len(raw), most=MAX_AGREEMENT)
    try:
        form = _DocumentForm.model_validate(read_strict_json(raw))
        first, second = (parse_agency_id(party) for party in form.parties)
        return AgreementDocument(
            form.agreement,
            parse_agency_id(form.hub),
            form.version,
            form.title,
            form.reference,
            (first, second),
            form.not_before_ms,
            form.not_after_ms,
            tuple(_read_clause(clause) for clause in form.clauses),
        )
    except ValidationError as error:
        raise AgreementMalformed(f"not an agreement: {first_fault(error)}") from error
    except NameInvalid as error:
        raise AgreementMalformed(f"not an agreement: {error.message}", **error.details) from error
    except ValueError as error:
        raise AgreementMalformed(f"not an agreement: {error}") from error


def _read_clause(form: _ClauseForm) -> Clause:
    if form.onward not in Onward.__members__:
        raise ValueError(f"{form.onward[:40]!r} is no rule for onward sharing ({', '.join(Onward.__members__)})")
    return Clause(
        parse_agency_id(form.originator),
        parse_agency_id(form.recipient),
        _once(form.event_types),
        _once(parse_compartment(name) for name in form.compartments),
        _once(Purpose(name) for name in form.purposes),
        parse_handling(form.max_handling),
        Onward[form.onward],
        form.retention_days,
    )


_T = TypeVar("_T")


def _once(values: Iterable[_T]) -> frozenset[_T]:
    listed = list(values)
    if len(set(listed)) != len(listed):
        raise ValueError("something stands twice in one list")
    return frozenset(listed)


def encode_agreement(document: AgreementDocument) -> bytes:
    """The document's bytes: what both parties sign. The same document always gives the same bytes."""
    raw = encode_json(
        {
            "kind": AGREEMENT_KIND,
            "hub": document.hub,
            "agreement": document.slug,
            "version": document.version,
            "title": document.title,
            "reference": document.reference,
            "parties": list(document.parties),
            "not_before_ms": document.not_before_ms,
            "not_after_ms": document.not_after_ms,
            "clauses": [
                {
                    "originator": clause.originator,
                    "recipient": clause.recipient,
                    "event_types": sorted(clause.event_types),
                    "compartments": sorted(clause.compartments),
                    "purposes": sorted(purpose.value for purpose in clause.purposes),
                    "max_handling": str(clause.max_handling),
                    "onward": clause.onward.name,
                    "retention_days": clause.retention_days,
                }
                for clause in document.clauses
            ],
        }
    )
    parse_agreement(raw)  # never hand out for signing what a reader would refuse
    return raw
