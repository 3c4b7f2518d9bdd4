"""Writing a directory snapshot: the custodians' side. Reading and verifying it is hub/trust/directory.py.

``encode_directory`` makes the payload; each custodian signs it on a machine of its own (``add_signature``); what comes
out is verified with ``verify_snapshot`` before anyone relies on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.model import AgencyId, Agreement
from hub.trust.composite import SigningKey, VerifyKey
from hub.trust.directory import DIRECTORY_CONTEXT, parse_envelope
from hub.trust.root import Root
from hub.trust.signed_json import encode_base64, encode_json
from hub.trust.statement import SignedStatement


def encode_root(root: Root) -> bytes:
    """A root as the bytes of its file."""
    return encode_json(
        {
            "kind": "cgi-hub/v1/root",
            "hub": root.hub,
            "threshold": root.threshold,
            "custodians": [{"name": c.name, "key": encode_base64(c.key.raw)} for c in root.custodians],
        }
    )


@dataclass(frozen=True, slots=True)
class AgencyDraft:
    """An agency for a directory that is not signed yet. The statement is the agency's own, as its file has it."""

    agency_id: AgencyId
    name: str
    active: bool
    identity: VerifyKey
    statement: SignedStatement


def encode_directory(
    *,
    hub: AgencyId,
    version: int,
    issued_at_ms: int,
    expires_at_ms: int,
    agencies: Iterable[AgencyDraft],
    agreements: Iterable[Agreement],
) -> bytes:
    """The payload that the custodians sign. Sense is checked by :func:`verify_snapshot`, not here."""
    return encode_json(
        {
            "kind": "cgi-hub/v1/directory",
            "hub": hub,
            "version": version,
            "issued_at_ms": issued_at_ms,
            "expires_at_ms": expires_at_ms,
            "agencies": [
                {
                    "agency": a.agency_id,
                    "name": a.name,
                    "active": a.active,
                    "identity": encode_base64(a.identity.raw),
                    "statement": {
                        "payload": encode_base64(a.statement.payload),
                        "signature": encode_base64(a.statement.signature),
                    },
                }
                for a in sorted(agencies, key=lambda a: a.agency_id)
            ],
            "agreements": [_agreement_form(a) for a in sorted(agreements, key=lambda a: a.agreement_id)],
        }
    )


def encode_snapshot(payload: bytes, signatures: Mapping[bytes, bytes]) -> bytes:
    """A snapshot file: the payload and, by the custodian's key id, the signatures over it."""
    return encode_json(
        {
            "kind": "cgi-hub/v1/directory-snapshot",
            "payload": encode_base64(payload),
            "signatures": [
                {"key_id": key_id.hex(), "signature": encode_base64(signature)}
                for key_id, signature in sorted(signatures.items())
            ],
        }
    )


def add_signature(raw: bytes, custodian: SigningKey) -> bytes:
    """The snapshot file with one more custodian's signature (custodians sign on separate machines)."""
    envelope = parse_envelope(raw)
    signatures = {bytes.fromhex(s.key_id): s.signature for s in envelope.signatures}
    signatures[custodian.public.key_id] = custodian.sign(DIRECTORY_CONTEXT, envelope.payload)
    return encode_snapshot(envelope.payload, signatures)


def _agreement_form(agreement: Agreement) -> dict[str, Any]:
    return {
        "agreement_id": agreement.agreement_id,
        "originator": agreement.originator,
        "recipient": agreement.recipient,
        "event_types": sorted(agreement.event_types),
        "compartments": sorted(agreement.compartments),
        "purposes": sorted(purpose.value for purpose in agreement.purposes),
        "max_handling": str(agreement.max_handling),
        "not_before_ms": agreement.not_before_ms,
        "not_after_ms": agreement.not_after_ms,
        "reference": agreement.reference,
    }
