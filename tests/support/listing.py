"""What the verification of a directory gives, as one plain JSON file: the facts that vectors of records rest on.

docs/spec/vectors.md, 2.2. Nothing in it is signed: how a directory comes to be believed has vectors of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

from hub.model import AgencyId, Agreement, Compartment, Purpose, parse_handling
from hub.trust.composite import VerifyKey
from hub.trust.directory import Directory, DirectoryParts, build_directory
from hub.trust.index import Index, ListedAgency
from hub.trust.root import Root
from hub.trust.statement import encode_statement


def encode_listing(directory: Directory) -> bytes:
    """The facts of a directory as JSON."""
    return (
        json.dumps(
            {
                "hub": directory.hub,
                "version": directory.version,
                "issued_at_ms": directory.issued_at_ms,
                "expires_at_ms": directory.expires_at_ms,
                "agencies": [
                    {
                        "agency": entry.agency_id,
                        "name": entry.name,
                        "active": entry.active,
                        "identity": base64.b64encode(entry.identity.raw).decode(),
                        "statement": json.loads(encode_statement(entry.statement)),
                    }
                    for entry in directory.all_agencies()
                ],
                "agreements": [
                    {
                        "agreement": agreed.agreement_id,
                        "originator": agreed.originator,
                        "recipient": agreed.recipient,
                        "event_types": sorted(agreed.event_types),
                        "compartments": sorted(agreed.compartments),
                        "purposes": sorted(purpose.value for purpose in agreed.purposes),
                        "max_handling": str(agreed.max_handling),
                        "not_before_ms": agreed.not_before_ms,
                        "not_after_ms": agreed.not_after_ms,
                    }
                    for agreed in directory.all_agreements
                ],
            },
            indent=1,
        )
        + "\n"
    ).encode()


def parse_listing(raw: bytes, root: Root) -> Directory:
    """The directory of a listing. ``root`` names the custodians, who have signed nothing here."""
    told = json.loads(raw)
    agencies = [AgencyId(one["agency"]) for one in told["agencies"]]
    parts = DirectoryParts(
        root,
        told["version"],
        told["issued_at_ms"],
        told["expires_at_ms"],
        hashlib.sha256(raw).digest(),
        Index(
            AgencyId(told["hub"]),
            tuple(ListedAgency(AgencyId(one["agency"]), one["name"], one["active"]) for one in told["agencies"]),
            (),
        ),
        {
            agency: VerifyKey(base64.b64decode(one["identity"]))
            for agency, one in zip(agencies, told["agencies"], strict=True)
        },
        {agency: json.dumps(one["statement"]).encode() for agency, one in zip(agencies, told["agencies"], strict=True)},
        {},
    )
    agreements = tuple(
        Agreement(
            one["agreement"],
            AgencyId(one["originator"]),
            AgencyId(one["recipient"]),
            frozenset(one["event_types"]),
            frozenset(Compartment(name) for name in one["compartments"]),
            frozenset(Purpose(name) for name in one["purposes"]),
            parse_handling(one["max_handling"]),
            one["not_before_ms"],
            one["not_after_ms"],
        )
        for one in told["agreements"]
    )
    return replace(build_directory(parts), all_agreements=agreements)
