"""How an agency joins: one file to send, one file back. docs/spec/directory.md, section 10; docs/guides/join.md.

The file that is sent holds nothing secret: the public identity key, the first key statement signed by it, and a request
for a TLS certificate for each site. What binds it to the agency is the fingerprint in words that is read out by phone.
The file that comes back holds the root to pin and what is needed to connect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StrictStr, ValidationError

from hub.adapters.tuf_roles import SignedRole, check_role, read_statement
from hub.errors import RejectedError
from hub.model import AgencyId, parse_agency_id
from hub.trust.composite import KeyMalformed, VerifyKey
from hub.trust.signed_json import Base64, Strict, encode_base64, encode_json, first_fault, read_strict_json

_SiteName = Annotated[StrictStr, Field(pattern=r"^[a-z0-9-]{0,32}$")]
_Text = Annotated[StrictStr, Field(max_length=64 * 1024)]


class EnrolmentMalformed(RejectedError):
    """Bytes that are not an enrolment or the reply to one, or one whose statement its own identity key did not sign."""

    code = "enrolment.malformed"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an agency sends. ``requests`` are PKCS #10 requests in PEM, by the site's name ("" for the agency's own)."""

    hub: AgencyId
    agency: AgencyId
    name: str
    identity: VerifyKey
    role: SignedRole
    requests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back. ``certificates`` are in PEM, with their chain, by the site's name; ``bootstrap`` is Kafka's."""

    hub: AgencyId
    agency: AgencyId
    root: bytes
    ca: str
    certificates: Mapping[str, str]
    bootstrap: str


class _EnrolmentForm(Strict):
    kind: Literal["cgi-hub/v1/enrolment"]
    hub: StrictStr
    agency: StrictStr
    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    identity: Base64
    role: StrictStr
    metadata: Base64
    payload: Base64
    requests: Annotated[dict[_SiteName, _Text], Field(max_length=64)]


class _ReplyForm(Strict):
    kind: Literal["cgi-hub/v1/enrolment-reply"]
    hub: StrictStr
    agency: StrictStr
    root: Base64
    ca: _Text
    certificates: Annotated[dict[_SiteName, _Text], Field(max_length=64)]
    bootstrap: Annotated[StrictStr, Field(max_length=400)]


def encode_enrolment(enrolment: Enrolment) -> bytes:
    """The bytes of the file to send."""
    return (
        encode_json(
            {
                "kind": "cgi-hub/v1/enrolment",
                "hub": enrolment.hub,
                "agency": enrolment.agency,
                "name": enrolment.name,
                "identity": encode_base64(enrolment.identity.raw),
                "role": enrolment.role.role,
                "metadata": encode_base64(enrolment.role.metadata),
                "payload": encode_base64(enrolment.role.payload),
                "requests": dict(enrolment.requests),
            }
        )
        + b"\n"
    )


def parse_enrolment(raw: bytes) -> Enrolment:
    """The file's bytes, after its own signature: that the sender holds the identity key. Raises
    :class:`EnrolmentMalformed`; whose key it is, no file can say."""
    form = _parse(_EnrolmentForm, raw, "an enrolment")
    try:
        enrolment = Enrolment(
            parse_agency_id(form.hub),
            parse_agency_id(form.agency),
            form.name,
            VerifyKey(form.identity),
            SignedRole(form.role, form.metadata, form.payload),
            form.requests,
        )
        check_role(enrolment.role)
        statement = read_statement(enrolment.role)
    except (RejectedError, KeyMalformed) as error:
        raise EnrolmentMalformed(f"not an enrolment: {error.message}", **error.details) from error
    if (statement.hub, statement.agency) != (enrolment.hub, enrolment.agency):
        raise EnrolmentMalformed("the key statement speaks for another agency or hub", agency=enrolment.agency)
    if not enrolment.name.isprintable() or enrolment.name != enrolment.name.strip():
        raise EnrolmentMalformed("the name is not one line of printable characters", agency=enrolment.agency)
    if not enrolment.role.signed_by([enrolment.identity]):
        raise EnrolmentMalformed("its own identity key did not sign the key statement", agency=enrolment.agency)
    return enrolment


def encode_reply(reply: Reply) -> bytes:
    """The bytes of the file that goes back."""
    return (
        encode_json(
            {
                "kind": "cgi-hub/v1/enrolment-reply",
                "hub": reply.hub,
                "agency": reply.agency,
                "root": encode_base64(reply.root),
                "ca": reply.ca,
                "certificates": dict(reply.certificates),
                "bootstrap": reply.bootstrap,
            }
        )
        + b"\n"
    )


def parse_reply(raw: bytes) -> Reply:
    """The file's bytes. Raises :class:`EnrolmentMalformed`. Compare the root's fingerprint before it is pinned."""
    form = _parse(_ReplyForm, raw, "the reply to an enrolment")
    try:
        hub, agency = parse_agency_id(form.hub), parse_agency_id(form.agency)
    except RejectedError as error:
        raise EnrolmentMalformed(f"not the reply to an enrolment: {error.message}", **error.details) from error
    return Reply(hub, agency, form.root, form.ca, form.certificates, form.bootstrap)


_F = TypeVar("_F", bound=Strict)


def _parse(form: type[_F], raw: bytes, what: str) -> _F:
    try:
        return form.model_validate(read_strict_json(raw))
    except ValidationError as error:
        raise EnrolmentMalformed(f"not {what}: {first_fault(error)}") from error
    except ValueError as error:
        raise EnrolmentMalformed(f"not {what}: {error}") from error
