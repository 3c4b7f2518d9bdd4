"""The world that the vectors play in: JCF publishes, ATF, INTERPOL and RSS receive, each another part.

``main()`` is the bundle that nearly every case is a changed copy of: two events in three compartments, second of three
bundles in its flush. Keys come from the seeds in shared/keys.json.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from hub.model import AgencyId
from hub.trust.kem import KemPrivateKey
from hub.trust.statement import SigningKeyEntry
from tests.support.authority import DAY_MS, NOW_MS, World, kem_key, signing_key
from tests.support.forge import (
    Bundle,
    BundleDraft,
    EventDraft,
    FlushDraft,
    Forged,
    Grant,
    Hooks,
    derive,
    forge_bundle,
    forge_flush,
)
from tests.support.listing import encode_listing

NOW: Final = NOW_MS
VERSION: Final = 7
NEXT_VERSION: Final = 8
HOUR_MS: Final = 3_600_000
INSTANCE: Final = derive("instance", "JCF", size=16)
OTHER_INSTANCE: Final = derive("instance", "JCF", 2, size=16)
COMPARTMENTS: Final = ("core", "personal", "sensitive")
GRANTED: Final = {"ATF": COMPARTMENTS, "INTERPOL": ("core", "personal"), "RSS": ("core",)}

SITE: Final = signing_key("JCF site")
REVOKED: Final = signing_key("JCF revoked site")
EXPIRED: Final = signing_key("JCF expired site")
FUTURE: Final = signing_key("JCF future site")
UNLISTED: Final = signing_key("JCF unlisted site")
NEXT: Final = signing_key("JCF next site")


@dataclass(frozen=True)
class Case:
    """One vector: what a file of tests/vectors says, before it is JSON (docs/spec/vectors.md)."""

    name: str
    says: str
    clause: str
    operation: str
    expect: str
    inputs: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "says": self.says,
            "clause": self.clause,
            "operation": self.operation,
            "expect": self.expect,
            "inputs": self.inputs,
        }
        return out | ({"result": self.result} if self.result else {})


def text(raw: bytes) -> str:
    """Bytes as the vectors have them."""
    return base64.b64encode(raw).decode()


def packed(raw: bytes) -> str | list[dict[str, Any]]:
    """Bytes whose end is very many zeros, in pieces; others as :func:`text`."""
    bare = raw.rstrip(b"\0")
    if len(raw) - len(bare) < 4096:
        return text(raw)
    return [{"base64": text(bare)}, {"zeros": len(raw) - len(bare)}]


# --- the directory ----------------------------------------------------------------------------------------------------


@cache
def world() -> World:
    """JCF with a good, a revoked, an expired and a future signing key; NCA suspended."""
    return _make_world()


def _make_world() -> World:
    made = World.of("JCF", "HNP", "ATF", "INTERPOL", "RSS", "NCA", now_ms=NOW)
    begin, end = NOW - 300 * DAY_MS, NOW + 365 * DAY_MS
    made.keys[AgencyId("JCF")].signing_entries += [
        SigningKeyEntry(REVOKED.public, begin, end, revoked_at_ms=NOW - DAY_MS, site="stolen"),
        SigningKeyEntry(EXPIRED.public, begin, NOW - DAY_MS, site="old"),
        SigningKeyEntry(FUTURE.public, NOW + DAY_MS, end, site="new"),
    ]
    made.suspend("NCA")
    for recipient in GRANTED:
        made.agree("JCF", recipient, "seizure.report")
    made.version = VERSION
    return made


@cache
def next_world() -> World:
    """Directory 8, an hour later: JCF's key revoked and another there, HNP suspended, RSS without its agreement.

    INTERPOL has a newer KEM key.
    """
    made = _make_world()
    made.now_ms = NOW - HOUR_MS
    made.revoke_signing_key("JCF")
    made.keys[AgencyId("JCF")].signing_entries.append(
        SigningKeyEntry(NEXT.public, NOW - HOUR_MS, NOW + 365 * DAY_MS, site="next")
    )
    made.suspend("HNP")
    made.withdraw(next(one for one in made.agreed if one.recipient == "RSS"))
    made.rotate_kem_key("INTERPOL")
    made.version = NEXT_VERSION
    return made


def shared() -> dict[str, bytes | dict[str, Any]]:
    """The files of tests/vectors/shared: raw bytes, or JSON to be."""
    made = world()
    agencies: dict[str, Any] = {}
    for agency, keys in made.keys.items():
        agencies[agency] = {
            "identity_seed": text(keys.identity.seed),
            "signing_seed": text(keys.signing.seed),
            "kem_seeds": [text(key.seed) for key in keys.kem_all],
        }
    named = {"revoked": REVOKED, "expired": EXPIRED, "future": FUTURE, "unlisted": UNLISTED, "next": NEXT}
    agencies["JCF"]["other_signing_seeds"] = {name: text(key.seed) for name, key in named.items()}
    custodians = [text(key.seed) for key in made.custodians]
    return {
        "directory.json": encode_listing(made.directory()),
        "directory-8.json": encode_listing(next_world().directory()),
        "keys.json": {"agencies": agencies, "custodian_seeds": custodians},
    }


# --- bundles ----------------------------------------------------------------------------------------------------------


def event(name: str, **changes: Any) -> EventDraft:
    """An event with a few bytes in each compartment."""
    parts = {c: f"{c} of {name}".encode() * (1 + index) for index, c in enumerate(COMPARTMENTS)}
    draft: dict[str, Any] = {
        "name": name,
        "parts": parts,
        "published_at_ms": NOW - 2_000,
        "expires_at_ms": NOW + 90 * DAY_MS,
    }
    return EventDraft(**(draft | changes))


def grant(agency: str, recipient_seq: int = 12, **changes: Any) -> Grant:
    draft: dict[str, Any] = {
        "agency": agency,
        "key": kem_key(agency).public,
        "granted": GRANTED.get(agency, ("core",)),
        "recipient_seq": recipient_seq,
    }
    return Grant(**(draft | changes))


def bundle_draft(**changes: Any) -> BundleDraft:
    """The main bundle."""
    draft: dict[str, Any] = {
        "hub": "HUB",
        "publisher": "JCF",
        "instance": INSTANCE,
        "lane_name": "lane 1",
        "bundle_seq": 5,
        "compartments": COMPARTMENTS,
        "events": (event("event 1"), event("event 2", in_reply_to=("HNP", event("question").event_id))),
        "grants": tuple(grant(agency) for agency in GRANTED),
    }
    return BundleDraft(**(draft | changes))


def heartbeat_draft(**changes: Any) -> BundleDraft:
    draft: dict[str, Any] = {
        "lane_name": "heartbeat",
        "bundle_seq": 6,
        "compartments": (),
        "events": (),
        "event_type": "heartbeat",
        "handling": "TLP:CLEAR",
        "purpose": "HUB_OPERATION",
        "grants": tuple(grant(agency, granted=()) for agency in GRANTED),
    }
    return bundle_draft(**(draft | changes))


def flush_draft(**changes: Any) -> FlushDraft:
    draft: dict[str, Any] = {
        "hub": "HUB",
        "publisher": "JCF",
        "key": SITE,
        "instance": INSTANCE,
        "flush_seq": 3,
        "time_ms": NOW - 1_000,
        "directory_version": VERSION,
        "prev_flush": derive("flush 2"),
    }
    return FlushDraft(**(draft | changes))


@cache
def neighbours() -> tuple[Bundle, Bundle]:
    """The first and the third bundle of the flush."""
    first = bundle_draft(
        bundle_seq=4, events=(event("event 0"),), grants=tuple(grant(agency, 11) for agency in GRANTED)
    )
    return forge_bundle(first), forge_bundle(heartbeat_draft())


def in_flush(bundle: Bundle, **flush: Any) -> Forged:
    """``bundle`` as the second of three in a signed flush."""
    first, third = neighbours()
    return forge_flush(flush_draft(**flush), (first, bundle, third))[1]


def main(hooks: Hooks | None = None, flush: dict[str, Any] | None = None, **changes: Any) -> Forged:
    """The main bundle in its flush. ``hooks`` and ``changes`` are of the bundle, ``flush`` of its flush."""
    return in_flush(forge_bundle(bundle_draft(hooks=hooks or {}, **changes)), **(flush or {}))


@cache
def plain() -> Forged:
    """The main bundle as an honest publisher makes it."""
    return main()


def sealed_parts(forged: Forged, agency: str) -> list[dict[str, Any]]:
    """What ``agency`` reads in the end: for each event the facts of its header and the granted parts."""
    draft = forged.bundle.draft
    granted = next(one.granted for one in draft.grants if one.agency == agency)
    return [
        {
            "event_id": one.event_id.hex(),
            "published_at_ms": one.published_at_ms,
            "expires_at_ms": one.expires_at_ms,
            "in_reply_to": None if one.in_reply_to is None else [one.in_reply_to[0], one.in_reply_to[1].hex()],
            "parts": {name: text(one.parts[name]) for name in granted},
        }
        for one in draft.events
    ]


_INGEST_STEP: Final = {
    "publisher.mismatch": 2,
    "flush.mismatch": 4,
    "hub.mismatch": 4,
    "bundle.not_in_flush": 5,
}
_OPEN_STEP: Final = {
    "flush.mismatch": 2,
    "bundle.not_in_flush": 3,
    "hub.mismatch": 5,
    "recipient.mismatch": 5,
    "wrap.key_missing": 7,
}


def clause_of(clause: str, steps: dict[str, int], expect: str) -> str:
    """A clause with a list of steps, with the step."""
    return f"{clause} step {steps[expect]}" if clause in ("9.1", "10.1") and expect in steps else clause


# --- cases ------------------------------------------------------------------------------------------------------------


def ingest_case(
    name: str,
    says: str,
    clause: str,
    expect: str,
    record: bytes,
    *,
    owner: str = "JCF",
    hub: str = "HUB",
    now_ms: int = NOW,
    before: Sequence[bytes] = (),
    before_appended_ms: Sequence[int] = (),
    appended_ms: int | None = None,
    result: dict[str, Any] | None = None,
) -> Case:
    """A record as the router reads it from ``ingest.<owner>``, after it took the records ``before``."""
    inputs: dict[str, Any] = {"owner": owner, **_reader(hub, now_ms, appended_ms=appended_ms)}
    if before:
        inputs["before"] = [packed(one) for one in before]
    if before_appended_ms:
        inputs["before_appended_ms"] = list(before_appended_ms)
    inputs["record"] = packed(record)
    clause = clause_of(clause, _INGEST_STEP, expect)
    return Case(f"ingest/{name}", says, clause, "ingest", expect, inputs, result or {})


def open_case(
    name: str,
    says: str,
    clause: str,
    expect: str,
    record: bytes,
    *,
    recipient: str = "ATF",
    keys: Sequence[KemPrivateKey] | None = None,
    hub: str = "HUB",
    now_ms: int = NOW,
    before: Sequence[bytes] = (),
    before_appended_ms: Sequence[int] = (),
    appended_ms: int | None = None,
    directory: str = "directory.json",
    result: dict[str, Any] | None = None,
) -> Case:
    """A record as ``recipient`` reads it from ``deliver.<recipient>`` or a stick, after it took those ``before``."""
    inputs: dict[str, Any] = {"recipient": recipient, **_reader(hub, now_ms, directory, appended_ms)}
    inputs["kem_seeds"] = [text(key.seed) for key in ([kem_key(recipient)] if keys is None else keys)]
    if before:
        inputs["before"] = [packed(one) for one in before]
    if before_appended_ms:
        inputs["before_appended_ms"] = list(before_appended_ms)
    inputs["record"] = packed(record)
    clause = clause_of(clause, _OPEN_STEP, expect)
    return Case(f"open/{name}", says, clause, "open", expect, inputs, result or {})


def stub_case(
    name: str, says: str, expect: str, record: bytes, *, recipient: str = "ATF", result: dict[str, Any] | None = None
) -> Case:
    """A stub as ``recipient`` gets it on demand."""
    inputs = {"recipient": recipient, **_reader("HUB", NOW), "record": packed(record)}
    return Case(f"stub/{name}", says, "13.3", "stub", expect, inputs, result or {})


def route_case(
    name: str,
    says: str,
    expect: str,
    record: bytes,
    *,
    directory: str,
    owner: str = "JCF",
    appended_ms: int | None = None,
    delivered: Sequence[str] = (),
    denied: dict[str, str] | None = None,
) -> Case:
    """What a router with ``directory`` makes of a record, where every agency asks for everything."""
    inputs = {"owner": owner, **_reader("HUB", NOW, directory, appended_ms), "record": packed(record)}
    result = {"delivered": list(delivered), "denied": denied or {}} if expect == "ok" else {}
    return Case(f"skew/{name}", says, "12", "route", expect, inputs, result)


def _reader(hub: str, now_ms: int, directory: str = "directory.json", appended_ms: int | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"hub": hub, "directory": directory, "now_ms": now_ms}
    return facts if appended_ms is None else facts | {"appended_ms": appended_ms}
