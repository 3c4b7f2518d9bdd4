"""The snapshot's and the root's JSON, as pydantic forms (docs/spec/directory.md, 3 and 5). Shapes, not sense."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from hub.trust.signed_json import Base64, Strict, TimeMs

MAX_AGENCIES: Final = 256
MAX_AGREEMENTS: Final = 65_536
MAX_SIGNATURES: Final = 64


class SignedForm(Strict):
    payload: Base64
    signature: Base64


class AgencyForm(Strict):
    agency: StrictStr
    name: Annotated[StrictStr, Field(max_length=200)]
    active: StrictBool
    identity: Base64
    statement: SignedForm


class AgreementForm(Strict):
    agreement_id: StrictStr
    originator: StrictStr
    recipient: StrictStr
    event_types: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=256)]
    compartments: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=8)]
    purposes: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=64)]
    max_handling: StrictStr
    not_before_ms: TimeMs
    not_after_ms: TimeMs
    reference: Annotated[StrictStr, Field(max_length=400)] = ""


class PayloadForm(Strict):
    kind: Literal["cgi-hub/v1/directory"]
    hub: StrictStr
    version: Annotated[StrictInt, Field(ge=1, lt=2**53)]
    issued_at_ms: TimeMs
    expires_at_ms: TimeMs
    agencies: Annotated[tuple[AgencyForm, ...], Field(max_length=MAX_AGENCIES)]
    agreements: Annotated[tuple[AgreementForm, ...], Field(max_length=MAX_AGREEMENTS)]


class SignatureForm(Strict):
    key_id: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Base64


class SnapshotForm(Strict):
    kind: Literal["cgi-hub/v1/directory-snapshot"]
    payload: Base64
    signatures: Annotated[tuple[SignatureForm, ...], Field(max_length=MAX_SIGNATURES)]


class CustodianForm(Strict):
    name: Annotated[StrictStr, Field(max_length=200)]
    key: Base64


class RootForm(Strict):
    kind: Literal["cgi-hub/v1/root"]
    hub: StrictStr
    threshold: StrictInt
    custodians: tuple[CustodianForm, ...]
