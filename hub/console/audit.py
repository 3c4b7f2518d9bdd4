"""The audit log: entries in a chain of hashes, written before what they tell is done. Pure.

An entry is one record of the topic ``hub.audit``, JSON in the form of ``hub.document``'s other signed texts. Each
console has its own chain: ``writer`` is its name, ``number`` counts from 1, ``previous`` is the SHA-256 of the entry
before it, as it stood on the topic. The console may append to the topic and read it, and nothing else (schemas/topics),
so what was written stays; the chain shows where something is missing, changed or put in by another, and the console's
own memory of its last entry (:class:`Tip`) shows a cut end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.errors import RejectedError
from hub.trust.signed_json import Strict, encode_json, first_fault, read_strict_json

KIND: Final = "cgi-hub/v1/audit"
FIRST: Final = "0" * 64
"""What stands for the entry before the first."""
MAX_ENTRY: Final = 16 * 1024
REASON: Final = 500
"""Characters of a reason."""

What = Literal["quarantine.handed_back", "quarantine.retried", "quarantine.discarded", "quarantine.failed"]


class AuditMalformed(RejectedError):
    """A record of the audit topic that is no entry."""

    code = "audit.malformed"


class AuditBroken(RejectedError):
    """The chain of the audit log does not hold: an entry is missing, changed, doubled or another's."""

    code = "audit.broken"


class Entry(Strict):
    """Who did what to which record of the quarantine, when and why."""

    kind: Literal["cgi-hub/v1/audit"] = KIND
    writer: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    number: Annotated[StrictInt, Field(ge=1, lt=2**53)]
    previous: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    at_ms: Annotated[StrictInt, Field(ge=0, lt=2**53)]
    who: Annotated[StrictStr, Field(max_length=300)]
    """The certificate's subject."""
    fingerprint: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the certificate."""
    what: What
    place: Annotated[StrictStr, Field(pattern=r"^\d{1,10}-\d{1,19}$")]
    """Partition and offset in the quarantine topic."""
    digest: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the refused record."""
    reason: Annotated[StrictStr, Field(max_length=REASON)] = ""


@dataclass(frozen=True, slots=True)
class Tip:
    """The last entry of one writer: its number, and the hash of its bytes."""

    number: int = 0
    digest: str = FIRST


@dataclass(frozen=True, slots=True)
class Written:
    """An entry with its place on the topic."""

    entry: Entry
    offset: int
    digest: str


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """The log as it was read, oldest first. ``faults`` says what does not hold; empty: everything does."""

    entries: tuple[Written, ...] = ()
    tips: tuple[tuple[str, Tip], ...] = ()
    faults: tuple[str, ...] = ()
    places: Mapping[str, tuple[Written, ...]] = field(default_factory=dict)
    """The same entries by the record that they are about: a page asks for thousands."""

    def tip(self, writer: str) -> Tip:
        """The last entry of ``writer``; before its first one, number 0."""
        return dict(self.tips).get(writer, Tip())

    def about(self, place: str) -> tuple[Written, ...]:
        """What was done with one record of the quarantine, oldest first."""
        return self.places.get(place, ())


def encode_entry(entry: Entry) -> bytes:
    """The record's bytes."""
    return encode_json(entry.model_dump(mode="json"))


def parse_entry(raw: bytes) -> Entry:
    """A record's bytes as an entry. Raises :class:`AuditMalformed`."""
    if len(raw) > MAX_ENTRY:
        raise AuditMalformed("an audit entry is too long", length=len(raw))
    try:
        return Entry.model_validate(read_strict_json(raw))
    except ValidationError as error:
        raise AuditMalformed(f"not an audit entry: {first_fault(error)}") from error
    except ValueError as error:
        raise AuditMalformed(f"not an audit entry: {error}") from error


def digest_of(raw: bytes) -> str:
    """The hash by which the next entry names this one."""
    return hashlib.sha256(raw).hexdigest()


def read_trail(records: Iterable[tuple[int, bytes]], *, own: str = "", tip: Tip | None = None) -> AuditTrail:
    """The topic's records (offset, bytes), in order, as a trail whose every chain was followed.

    ``tip`` is what the console ``own`` remembers of its last entry: a log that ends before it was cut. Never raises:
    what does not hold stands in ``faults``.
    """
    entries: list[Written] = []
    tips: dict[str, Tip] = {}
    faults: list[str] = []
    for offset, raw in records:
        try:
            entry = parse_entry(raw)
        except AuditMalformed as error:
            faults.append(f"offset {offset}: {error.message}")
            continue
        before = tips.get(entry.writer, Tip())
        if entry.number != before.number + 1:
            faults.append(
                f"offset {offset}: entry {entry.number} of {entry.writer} comes after its entry {before.number}"
            )
        elif entry.previous != before.digest:
            faults.append(f"offset {offset}: entry {entry.number} of {entry.writer} does not follow the one before it")
        written = Written(entry, offset, digest_of(raw))
        entries.append(written)
        tips[entry.writer] = Tip(entry.number, written.digest)
    if tip is not None and tip.number and not _holds(entries, own, tip):
        faults.append(f"entry {tip.number} of {own}, which this console wrote, is not there")
    places: dict[str, tuple[Written, ...]] = {}
    for each in entries:
        places[each.entry.place] = (*places.get(each.entry.place, ()), each)
    return AuditTrail(tuple(entries), tuple(sorted(tips.items())), tuple(faults), places)


def _holds(entries: Iterable[Written], own: str, tip: Tip) -> bool:
    return any(w.entry.writer == own and w.entry.number == tip.number and w.digest == tip.digest for w in entries)


def verify_trail(trail: AuditTrail) -> None:
    """Raises :class:`AuditBroken` unless every chain holds."""
    if trail.faults:
        raise AuditBroken(trail.faults[0], faults=len(trail.faults))
