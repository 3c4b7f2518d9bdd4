"""What another version of the directory changes, in words: agencies, keys, agreements, custodians. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.model import AgencyId
from hub.policy.agreement_diff import diff_agreements
from hub.trust.agreement import AgreementDocument
from hub.trust.composite import VerifyKey
from hub.trust.directory import AgencyEntry, Directory
from hub.trust.root import Root
from hub.trust.statement import KemKeyEntry, KeyStatement, SigningKeyEntry


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """One thing that differs. ``subject`` is an agency's code, an agreement's slug or a custodian's name."""

    kind: str
    subject: str
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "subject": self.subject, "text": self.text}


def diff_directories(before: Directory | None, after: Directory) -> tuple[DirectoryChange, ...]:
    """All that ``after`` changes; without a ``before`` all of it is new."""
    known = {} if before is None else dict(before.entries)
    changes = [
        *_agency_changes(known, after.entries),
        *_agreement_changes(_by_slug(before), _by_slug(after), {fault.role for fault in after.faults}),
        *(DirectoryChange("fault", fault.role, f"does not hold: {fault.message}") for fault in after.faults),
    ]
    return tuple(changes)


def diff_roots(before: Root | None, after: Root) -> tuple[DirectoryChange, ...]:
    """What another root changes: custodians, threshold, the operator's keys; without a ``before`` all of it is new.

    Keys are compared, not names alone: a second key under a known name is told.
    """
    changes = []
    if before is None:
        names = ", ".join(custodian.name for custodian in after.custodians)
        changes.append(DirectoryChange("root", after.hub, f"{after.threshold} of {names} must sign"))
    old, new = (() if before is None else before.custodians), after.custodians
    names_before, names_now = {custodian.name for custodian in old}, {custodian.name for custodian in new}
    changes += [
        DirectoryChange("custodian", custodian.name, "is a custodian no more")
        for custodian in old
        if custodian.name not in names_now
    ]
    changes += [
        DirectoryChange("custodian", custodian.name, f"{_role(custodian.name in names_before)} {_id(custodian.key)}")
        for custodian in new
        if custodian not in old
    ]
    if before is not None and before.threshold != after.threshold:
        text = f"{after.threshold} custodians must sign, before {before.threshold}"
        changes.append(DirectoryChange("root", after.hub, text))
    dating = ", ".join(map(_id, after.online))
    if before is None:
        changes.append(DirectoryChange("root", after.hub, f"dated with the operator's online key {dating}"))
    elif before.online != after.online:
        changes.append(DirectoryChange("root", after.hub, f"the operator's online key is another one, {dating}"))
    return tuple(changes)


def _role(known: bool) -> str:
    return "has another key," if known else "is a custodian now, with the key"


def _id(key: VerifyKey) -> str:
    return key.key_id.hex()[:16]


def _by_slug(directory: Directory | None) -> dict[str, AgreementDocument]:
    return {} if directory is None else {document.slug: document for document in directory.documents}


def _agency_changes(
    before: Mapping[AgencyId, AgencyEntry], after: Mapping[AgencyId, AgencyEntry]
) -> Iterator[DirectoryChange]:
    for agency in sorted(before.keys() | after.keys()):
        old, new = before.get(agency), after.get(agency)
        for text in _agency_texts(old, new):
            yield DirectoryChange("agency", agency, text)
        if new is not None:
            for text in _key_texts(None if old is None else old.statement, new.statement):
                yield DirectoryChange("key", agency, text)


def _agency_texts(old: AgencyEntry | None, new: AgencyEntry | None) -> Iterator[str]:
    if new is None:
        yield "leaves the directory"
        return
    if old is None:
        yield f"joins: {new.name}, identity key {new.identity.key_id.hex()[:16]}"
        if not new.active:
            yield "is suspended"
        return
    if old.name != new.name:
        yield f"is called {new.name!r}, before {old.name!r}"
    if old.identity != new.identity:
        yield f"has another identity key, {new.identity.key_id.hex()[:16]}"
    if old.active and not new.active:
        yield "is suspended: it publishes nothing and receives nothing"
    if new.active and not old.active:
        yield "returns from suspension"


def _key_texts(old: KeyStatement | None, new: KeyStatement) -> Iterator[str]:
    for kind, before, after in (
        ("signing", () if old is None else old.signing_keys, new.signing_keys),
        ("KEM", () if old is None else old.kem_keys, new.kem_keys),
    ):
        known = {entry.key.raw: entry for entry in before}
        there = {entry.key.raw for entry in after}
        for entry in after:
            name = f"{kind} key {_key_id(entry)}"
            listed = known.get(entry.key.raw)
            if listed is None:
                yield f"{name} is new, from {_day(entry.not_before_ms)} to {_day(entry.not_after_ms)}"
            if entry.revoked_at_ms is not None and (listed is None or listed.revoked_at_ms != entry.revoked_at_ms):
                yield f"{name} is revoked from {_moment(entry.revoked_at_ms)}"
            if listed is not None and listed.revoked_at_ms is not None and entry.revoked_at_ms is None:
                yield f"{name} is revoked no more, before from {_moment(listed.revoked_at_ms)}"
            if listed is not None and listed.not_before_ms != entry.not_before_ms:
                yield f"{name} holds from {_day(entry.not_before_ms)}, before from {_day(listed.not_before_ms)}"
            if listed is not None and listed.not_after_ms != entry.not_after_ms:
                yield f"{name} holds to {_day(entry.not_after_ms)}, before to {_day(listed.not_after_ms)}"
        for entry in before:
            if entry.key.raw not in there:
                yield f"{kind} key {_key_id(entry)} is listed no more"


def _agreement_changes(
    before: Mapping[str, AgreementDocument], after: Mapping[str, AgreementDocument], faults: Set[str]
) -> Iterator[DirectoryChange]:
    for slug in sorted(before.keys() | after.keys()):
        old, new = before.get(slug), after.get(slug)
        if new is None:
            ended = "is listed and does not hold" if f"agreement.{slug}" in faults else "is withdrawn"
            yield DirectoryChange("agreement", slug, f"{ended}: nothing is delivered under it any more")
            continue
        if old is None:
            yield DirectoryChange("agreement", slug, f"is new, between {' and '.join(new.parties)}")
        if old == new:
            continue
        for change in diff_agreements(old, new).changes:
            where = f"{change.clause}: " if change.clause else ""
            yield DirectoryChange("agreement", slug, f"{where}{change.text} ({change.effect.value})")


def _key_id(entry: SigningKeyEntry | KemKeyEntry) -> str:
    key_id = entry.key.key_id if isinstance(entry, SigningKeyEntry) else entry.key.kem_id
    return key_id.hex()[:16]


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
