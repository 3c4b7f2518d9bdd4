"""Vectors of a router whose directory is older or newer than the flush's (docs/spec/sequences.md, clause 12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.support.authority import signing_key
from tests.support.forge import forge_bundle
from tests.vectors import scenario as s
from tests.vectors.scenario import Case, route_case

OLD: Final = "directory.json"
NEW: Final = "directory-8.json"
ALL: Final = sorted(s.GRANTED)
BEFORE: Final = s.NOW - 2 * s.HOUR_MS
"""Before JCF's key was revoked, which directory 8 says."""
AFTER: Final = s.NOW - 1_000


def cases() -> Iterator[Case]:
    same = s.plain().ingest()
    ended = {"RSS": "agreement.none"}
    yield route_case("same", "router 7, flush 7", "ok", same, directory=OLD, appended_ms=AFTER, delivered=ALL)
    yield route_case(
        "newer-router",
        "router 8, flush 7, from before the revocation in 8; RSS's agreement ended in 8",
        "ok",
        same,
        directory=NEW,
        appended_ms=BEFORE,
        delivered=["ATF", "INTERPOL"],
        denied=ended,
    )
    revoked = "signing_key.revoked"
    yield route_case("revoked", "from after it", revoked, same, directory=NEW, appended_ms=AFTER)
    yield route_case("revoked-no-time", "nobody knows when it was appended: now counts", revoked, same, directory=NEW)
    yield route_case(
        "revoked-elsewhere",
        "router 7 knows no revocation: it is for the recipient with 8 to refuse (open/skew-revoked)",
        "ok",
        same,
        directory=OLD,
        appended_ms=AFTER,
        delivered=ALL,
    )
    older = s.main(flush={"directory_version": s.VERSION - 1}).ingest()
    yield route_case("older-flush", "router 7, flush 6", "ok", older, directory=OLD, appended_ms=AFTER, delivered=ALL)
    yield from _newer_flushes()
    yield from _suspended()


def _newer_flushes() -> Iterator[Case]:
    behind = "directory.behind"
    by_next = {"key": s.NEXT, "directory_version": s.NEXT_VERSION}
    new = s.main(flush=by_next)
    yield route_case("behind", "router 7, flush 8, by a key that 7 does not list", behind, new.ingest(), directory=OLD)
    known = s.main(flush={"directory_version": s.NEXT_VERSION})
    yield route_case("behind-known-key", "router 7, flush 8, by a key of 7", behind, known.ingest(), directory=OLD)
    forged = known.but(signature=bytes(3373)).ingest()
    yield route_case(
        "behind-forged", "a stranger claims directory 8 under a key of 7", "signature.invalid", forged, directory=OLD
    )
    fewer = tuple(s.grant(agency) for agency in ("ATF", "INTERPOL"))
    narrower = s.main(grants=fewer, flush=by_next).ingest()
    yield route_case(
        "caught-up",
        "router 8, flush 8",
        "ok",
        narrower,
        directory=NEW,
        appended_ms=AFTER,
        delivered=["ATF", "INTERPOL"],
    )
    yield route_case(
        "beyond",
        "router 8, flush 8, with a grant that 8 has no agreement for",
        "ok",
        new.ingest(),
        directory=NEW,
        appended_ms=AFTER,
        delivered=["ATF", "INTERPOL"],
        denied={"RSS": "agreement.none"},
    )
    ahead = s.main(flush={"key": s.NEXT, "directory_version": s.NEXT_VERSION + 1}).ingest()
    yield route_case("behind-again", "router 8, flush 9", behind, ahead, directory=NEW, appended_ms=AFTER)


def _suspended() -> Iterator[Case]:
    hnp: dict[str, Any] = {"publisher": "HNP", "flush": {"publisher": "HNP", "key": signing_key("HNP site")}}
    beat = s.in_flush(forge_bundle(s.heartbeat_draft(publisher="HNP")), **hnp["flush"]).ingest()
    where: dict[str, Any] = {"owner": "HNP", "appended_ms": BEFORE}
    yield route_case("active", "router 7: HNP's heartbeat", "ok", beat, directory=OLD, delivered=ALL, **where)
    yield route_case(
        "suspended",
        "router 8, in which HNP is suspended: earlier records too",
        "publisher.suspended",
        beat,
        directory=NEW,
        **where,
    )
