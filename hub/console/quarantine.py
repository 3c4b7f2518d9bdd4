"""The quarantine's pages: what was refused, by which clause, what was decided about it, what may be done. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from hub.console.audit import AuditTrail, What, Written, digest_of
from hub.console.facts import Facts, Held, Labels
from hub.console.pages import Decided, DecisionView, HeldPage, HeldView, LabelsView, QuarantinePage
from hub.console.standing import directory_of, sources
from hub.errors import RejectedError
from hub.model import HUB, NameInvalid
from hub.topics import ingest_owner
from hub.wire.bundle import parse_ingest
from hub.wire.frames import parse_head
from hub.wire.quarantine import Quarantined, parse_quarantined

_DECIDED: Final[dict[What, Decided]] = {
    "quarantine.handed_back": "handed_back",
    "quarantine.retried": "retried",
    "quarantine.discarded": "discarded",
    "quarantine.failed": "failed",
}

MOST_SHOWN: Final = 200
UNKNOWN: Final = "unknown"

CLAUSES: Final[dict[str, str]] = {
    "frame.": "9.1, 1",
    "limit.exceeded": "9.1, 1",
    "lane.": "9.1, 1",
    "heartbeat.malformed": "9.1, 1",
    "publisher.mismatch": "9.1, 2",
    "flush.from_future": "9.1, 3",
    "publisher.unknown": "9.1, 3",
    "publisher.suspended": "9.1, 3",
    "signing_key.": "9.1, 3",
    "signature.invalid": "9.1, 3",
    "directory.behind": "9.1, 3",
    "flush.mismatch": "9.1, 4",
    "hub.mismatch": "9.1, 4",
    "bundle.not_in_flush": "9.1, 5",
    "header.malformed": "9.1, 6",
    "header.duplicate": "9.1, 6",
    "headers.mismatch": "9.1, 6",
    "ciphertext.mismatch": "9.1, 6",
    "ciphertexts.not_granted": "9.1, 6",
    "entries.mismatch": "9.1, 7",
    "entry.duplicate": "9.1, 8",
    "entry.grants_invalid": "9.1, 8",
    "entry.wrap_length": "9.1, 8",
    "entry.chain_invalid": "9.1, 8",
    "event_id.reused": "9.3",
}
"""Where docs/spec/checks.md says what a code's check is; one that ends in a dot stands for all that begin so."""


def clause_of(code: str) -> str:
    """The clause of docs/spec/checks.md for a code; empty for one that no router gives."""
    return CLAUSES.get(code) or CLAUSES.get(code.partition(".")[0] + ".", "")


def undecided(facts: Facts) -> int | None:
    """How many records wait for a decision; ``None`` where the topic was never read."""
    held = facts.quarantine.value
    return None if held is None else sum(not _is_decided(each, facts.audit.value) for each in held)


def quarantine_page(
    facts: Facts, now_ms: int, *, code: str = "", publisher: str = "", show: str = "undecided"
) -> QuarantinePage:
    """What was refused, newest first, at most :data:`MOST_SHOWN`; ``show`` ``all`` has what is decided too."""
    trail = facts.audit.value
    every = sorted(facts.quarantine.value or (), key=lambda held: (held.at_ms, held.offset), reverse=True)
    found = [
        held
        for held in every
        if (show == "all" or not _is_decided(held, trail))
        and (not code or held.code == code)
        and (not publisher or _publisher(held) == publisher)
    ]
    return QuarantinePage(
        hub=_hub(facts),
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "quarantine", "audit"),
        held=tuple(_view(held, trail) for held in found[:MOST_SHOWN]),
        undecided=undecided(facts) or 0,
        of=len(found),
        code=code,
        publisher=publisher,
        show="all" if show == "all" else "undecided",
    )


def held_page(facts: Facts, held: Held, now_ms: int) -> HeldPage:
    """One record."""
    why_not = why_not_retry(held)
    return HeldPage(
        hub=_hub(facts),
        made_at_ms=now_ms,
        sources=sources(facts, now_ms, "quarantine", "audit"),
        held=_view(held, facts.audit.value),
        labels=None if held.labels is None else LabelsView(**asdict(held.labels)),
        may_retry=not why_not,
        why_not=why_not,
    )


def find_held(facts: Facts, place: str) -> Held | None:
    """The record with this place."""
    return next((held for held in facts.quarantine.value or () if held.place == place), None)


def _hub(facts: Facts) -> str:
    return directory_of(facts).directory.hub if facts.directory.value is not None else HUB


def why_not_retry(held: Held) -> str:
    """Why a record cannot go to the routers again: ``unreadable``, ``cut``, ``topic``; empty where it can."""
    if not held.readable:
        return "unreadable"
    if not held.whole:
        return "cut"
    return "topic" if _publisher(held) == UNKNOWN else ""


def _publisher(held: Held) -> str:
    """The owner of the topic that it came from: nobody else can write there."""
    try:
        return ingest_owner(held.topic)
    except NameInvalid:
        return UNKNOWN


def decisions_of(held: Held, trail: AuditTrail | None) -> tuple[Written, ...]:
    """The entries about this record: its place and its hash agree, so that a topic made anew inherits none."""
    if trail is None:
        return ()
    return tuple(written for written in trail.about(held.place) if written.entry.digest == held.digest)


def _is_decided(held: Held, trail: AuditTrail | None) -> bool:
    decisions = decisions_of(held, trail)
    return bool(decisions) and decisions[-1].entry.what != "quarantine.failed"


def _view(held: Held, trail: AuditTrail | None) -> HeldView:
    return HeldView(
        place=held.place,
        at_ms=held.at_ms,
        readable=held.readable,
        publisher=_publisher(held),
        code=held.code,
        clause=clause_of(held.code) if held.readable else "",
        reason=held.reason,
        topic=held.topic,
        partition=None if held.origin is None else held.origin[0],
        offset=None if held.origin is None else held.origin[1],
        router=held.router,
        length=held.length,
        whole=held.whole,
        digest=held.digest,
        decisions=tuple(
            DecisionView(
                what=_DECIDED[each.entry.what],
                who=each.entry.who,
                at_ms=each.entry.at_ms,
                reason=each.entry.reason,
                writer=each.entry.writer,
                number=each.entry.number,
            )
            for each in decisions_of(held, trail)
        ),
    )


# --- from the topic's records -----------------------------------------------------------------------------------------


def read_held(partition: int, offset: int, at_ms: int, raw: bytes) -> Held:
    """A record of the quarantine topic as the pages know it. Never raises: what cannot be read says so."""
    try:
        record = parse_quarantined(raw)
    except RejectedError as error:
        return Held(
            partition=partition,
            offset=offset,
            at_ms=at_ms,
            readable=False,
            code=error.code,
            reason=error.message,
            topic="",
            origin=None,
            router="",
            length=len(raw),
            whole=False,
            digest=digest_of(raw),
        )
    return Held(
        partition=partition,
        offset=offset,
        at_ms=record.refused_at_ms,
        readable=True,
        code=record.code,
        reason=record.reason,
        topic=record.topic,
        origin=(record.partition, record.offset),
        router=record.router,
        length=record.length,
        whole=record.whole,
        digest=record.digest.hex(),
        labels=_labels(record),
    )


def _labels(record: Quarantined) -> Labels | None:
    if not record.whole:
        return None
    try:
        ingest = parse_ingest(record.value)
        head = parse_head(ingest.head)
    except RejectedError:
        return None
    lane = head.core.lane
    return Labels(
        publisher=lane.publisher,
        instance=lane.instance.hex(),
        event_type=lane.route.event_type,
        handling=str(lane.route.handling),
        priority=lane.route.priority.value,
        purpose=lane.route.purpose.value,
        events=head.core.n,
        recipients=len(ingest.entries),
    )
