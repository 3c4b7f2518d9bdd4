"""The index of the directory: which agencies and agreements there are, as the custodians sign it.

docs/spec/directory.md, 5.1. Pure: bytes in, values out; the signature is on the metadata that lists its hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, StrictBool, StrictStr, ValidationError

from hub.errors import RejectedError
from hub.model import AgencyId, NameInvalid, parse_agency_id
from hub.trust.agreement import AgreementMalformed, check_slug
from hub.trust.signed_json import Strict, encode_json, first_fault, read_strict_json

MAX_AGENCIES: Final = 256
MAX_AGREEMENTS: Final = 4_096


class IndexMalformed(RejectedError):
    """Bytes that are not the directory's index, or one that contradicts itself."""

    code = "directory.index_malformed"


@dataclass(frozen=True, slots=True, order=True)
class ListedAgency:
    """An agency as the custodians list it. Not ``active`` = suspended. ``name`` is for people."""

    agency: AgencyId
    name: str
    active: bool


@dataclass(frozen=True, slots=True, order=True)
class ListedAgreement:
    """An agreement that the custodians list: its slug and its two parties, ordered."""

    slug: str
    parties: tuple[AgencyId, AgencyId]


@dataclass(frozen=True, slots=True)
class Index:
    """What there is, each once and ordered."""

    hub: AgencyId
    agencies: tuple[ListedAgency, ...]
    agreements: tuple[ListedAgreement, ...]


class _AgencyForm(Strict):
    agency: StrictStr
    name: Annotated[StrictStr, Field(max_length=200)]
    active: StrictBool


class _AgreementForm(Strict):
    slug: StrictStr
    parties: Annotated[tuple[StrictStr, ...], Field(min_length=2, max_length=2)]


class _IndexForm(Strict):
    kind: Literal["cgi-hub/v1/directory-index"]
    hub: StrictStr
    agencies: Annotated[tuple[_AgencyForm, ...], Field(max_length=MAX_AGENCIES)]
    agreements: Annotated[tuple[_AgreementForm, ...], Field(max_length=MAX_AGREEMENTS)]


def parse_index(raw: bytes) -> Index:
    """The index's bytes as values. Raises :class:`IndexMalformed`."""
    try:
        form = _IndexForm.model_validate(read_strict_json(raw))
        index = Index(
            parse_agency_id(form.hub),
            tuple(ListedAgency(parse_agency_id(a.agency), a.name, a.active) for a in form.agencies),
            tuple(
                ListedAgreement(a.slug, (parse_agency_id(a.parties[0]), parse_agency_id(a.parties[1])))
                for a in form.agreements
            ),
        )
    except ValidationError as error:
        raise IndexMalformed(f"not an index: {first_fault(error)}") from error
    except NameInvalid as error:
        raise IndexMalformed(f"not an index: {error.message}", **error.details) from error
    except ValueError as error:
        raise IndexMalformed(f"not an index: {error}") from error
    codes = [listed.agency for listed in index.agencies]
    if len(set(codes)) != len(codes):
        raise IndexMalformed("not an index: an agency stands twice")
    slugs = [listed.slug for listed in index.agreements]
    if len(set(slugs)) != len(slugs):
        raise IndexMalformed("not an index: an agreement stands twice")
    for listed in index.agreements:
        try:
            check_slug(listed.slug)
        except AgreementMalformed as error:
            raise IndexMalformed(f"not an index: {error.message}") from error
        first, second = listed.parties
        if first >= second or first not in codes or second not in codes:
            raise IndexMalformed("not an index: an agreement has two listed parties, ordered", agreement=listed.slug)
    return Index(index.hub, tuple(sorted(index.agencies)), tuple(sorted(index.agreements)))


def encode_index(index: Index) -> bytes:
    """The index as bytes that :func:`parse_index` reads."""
    return encode_json(
        {
            "kind": "cgi-hub/v1/directory-index",
            "hub": index.hub,
            "agencies": [{"agency": a.agency, "name": a.name, "active": a.active} for a in sorted(index.agencies)],
            "agreements": [{"slug": a.slug, "parties": list(a.parties)} for a in sorted(index.agreements)],
        }
    )
