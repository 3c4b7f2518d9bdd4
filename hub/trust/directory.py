"""The directory: a frozen snapshot of who is who, signed by the custodians, k of n. docs/spec/directory.md.

Pure: bytes come in, a :class:`Directory` or a refusal comes out; the caller brings the pinned :class:`Root`, the time
and the highest version it has seen, and must remember the new one (hub/adapters/files.py does). The steps of
verification are numbered in :func:`verify_snapshot` as in section 6 of the specification.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeVar

from pydantic import ValidationError

from hub.errors import RejectedError, UnavailableError
from hub.model import (
    AgencyId,
    Agreement,
    NameInvalid,
    Purpose,
    parse_agency_id,
    parse_compartment,
    parse_handling,
)
from hub.trust.agreement import parse_agreement
from hub.trust.composite import KeyMalformed, SignatureInvalid, VerifyKey
from hub.trust.index import Index, ListedAgreement
from hub.trust.kem import KemPublicKey
from hub.trust.root import Custodian, Root
from hub.trust.signed_json import Strict, first_fault, read_strict_json
from hub.trust.snapshot_form import AgreementForm, PayloadForm, SnapshotForm
from hub.trust.statement import (
    KeyStatement,
    SignedStatement,
    SigningKeyEntry,
    StatementOfAnother,
    parse_statement,
    verify_statement,
)

DIRECTORY_CONTEXT: Final = b"cgi-hub/v1/directory"
"""What a custodian signs under (directory 5.2)."""

MAX_SNAPSHOT: Final = 32 * 1024 * 1024
"""Bytes of a whole snapshot file."""
MAX_AHEAD_MS: Final = 5 * 60 * 1000
"""How far ``issued_at`` may be ahead of the reader's clock."""

_EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)
_AGREEMENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/#-]{0,79}", re.ASCII)


# --- refusals of a snapshot -------------------------------------------------------------------------------------------


class DirectoryMalformed(RejectedError):
    """Bytes that are not a directory snapshot, or one that contradicts itself."""

    code = "directory.malformed"


class DirectoryUnsigned(RejectedError):
    """No custodian's signature at all."""

    code = "directory.unsigned"


class DirectoryTooFewSignatures(RejectedError):
    """Fewer distinct custodians have signed than the root's threshold."""

    code = "directory.too_few_signatures"


class DirectoryOtherHub(RejectedError):
    """A well-signed directory of another hub."""

    code = "directory.other_hub"


class DirectoryRolledBack(RejectedError):
    """A version, of the directory or of one agency's statement, below one already seen."""

    code = "directory.rolled_back"


class DirectoryEquivocation(RejectedError):
    """Two different directories under one version number: the custodians signed both. An alarm."""

    code = "directory.equivocation"


class DirectoryKeyShared(RejectedError):
    """One key listed for two agencies, or for two roles."""

    code = "directory.key_shared"


class AgreementOfOthers(RejectedError):
    """A well-signed agreement that speaks for other parties, another hub or under another name than it is listed."""

    code = "agreement.others"


class DirectoryExpired(UnavailableError):
    """Nobody signed a newer directory in time: nothing may be decided by this one."""

    code = "directory.expired"


class DirectoryNotYetValid(UnavailableError):
    """Issued in the reader's future: one of the two clocks is wrong."""

    code = "directory.not_yet_valid"


# --- refusals of a look-up --------------------------------------------------------------------------------------------


class PublisherUnknown(RejectedError):
    """The directory has no such agency: what it signs is not taken."""

    code = "publisher.unknown"


class PublisherSuspended(RejectedError):
    """The directory says that the publisher is suspended."""

    code = "publisher.suspended"


class SigningKeyUnknown(RejectedError):
    """The publisher's entry does not list the key that has signed."""

    code = "signing_key.unknown"


class SigningKeyRevoked(RejectedError):
    """The publisher's entry lists the key as revoked."""

    code = "signing_key.revoked"


class SigningKeyExpired(RejectedError):
    """The key's time has passed: whatever it signs is refused, with a new directory or without."""

    code = "signing_key.expired"


class SigningKeyNotYetValid(RejectedError):
    """The key's time has not begun."""

    code = "signing_key.not_yet_valid"


class RecipientUnknown(RejectedError):
    """The directory has no such agency: nothing can be sealed to it."""

    code = "recipient.unknown"


class RecipientSuspended(RejectedError):
    """The directory says that the recipient is suspended: nothing is sealed to it."""

    code = "recipient.suspended"


class KemKeyNone(RejectedError):
    """The recipient lists no KEM key that is valid now: nothing can be sealed to it."""

    code = "kem_key.none"


# --- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgencyEntry:
    """An agency as the custodians list it, with its own key statement. Not ``active`` = suspended."""

    agency_id: AgencyId
    name: str
    active: bool
    identity: VerifyKey
    statement: KeyStatement


@dataclass(frozen=True, slots=True)
class DirectoryFault:
    """A role of the directory that does not hold, and why. Such an agency has no keys, such an agreement is none."""

    role: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """A verified snapshot. Equal and hashed by ``digest`` (SHA-256 of the signed payload). Times in ms since 1970.

    Build one with :func:`verify_snapshot`; there is no other way that checks anything.
    """

    hub: AgencyId
    version: int
    issued_at_ms: int
    expires_at_ms: int
    digest: bytes
    entries: Mapping[AgencyId, AgencyEntry]
    all_agreements: tuple[Agreement, ...]
    faults: tuple[DirectoryFault, ...] = ()
    _agreements: Mapping[tuple[AgencyId, AgencyId], tuple[Agreement, ...]] = field(init=False, repr=False)
    _recipients: Mapping[AgencyId, tuple[AgencyId, ...]] = field(init=False, repr=False)
    _signing: Mapping[AgencyId, Mapping[bytes, SigningKeyEntry]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pairs: dict[tuple[AgencyId, AgencyId], list[Agreement]] = {}
        for agreement in sorted(self.all_agreements, key=lambda a: a.agreement_id):
            pairs.setdefault((agreement.originator, agreement.recipient), []).append(agreement)
        recipients: dict[AgencyId, list[AgencyId]] = {}
        for originator, recipient in sorted(pairs):
            recipients.setdefault(originator, []).append(recipient)
        object.__setattr__(self, "_agreements", {pair: tuple(found) for pair, found in pairs.items()})
        object.__setattr__(self, "_recipients", {agency: tuple(found) for agency, found in recipients.items()})
        signing = {
            agency: {key.key.key_id: key for key in entry.statement.signing_keys}
            for agency, entry in self.entries.items()
        }
        object.__setattr__(self, "_signing", signing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def agency(self, agency: AgencyId) -> AgencyEntry | None:
        """The entry, or ``None``."""
        return self.entries.get(agency)

    def all_agencies(self) -> tuple[AgencyEntry, ...]:
        """Every entry, ordered by agency."""
        return tuple(self.entries.values())

    def agreements(self, originator: AgencyId, recipient: AgencyId) -> tuple[Agreement, ...]:
        """What was agreed between the two in that direction, ordered by id, past and future ones too."""
        return self._agreements.get((originator, recipient), ())

    def recipients(self, originator: AgencyId) -> tuple[AgencyId, ...]:
        """Who has any agreement with ``originator``, ordered."""
        return self._recipients.get(originator, ())

    def signing_key(self, agency: AgencyId, key_id: bytes, now_ms: int) -> VerifyKey:
        """The key that ``agency`` may sign flushes with at ``now_ms``.

        Raises :class:`PublisherUnknown`, :class:`PublisherSuspended`, :class:`SigningKeyUnknown`,
        :class:`SigningKeyRevoked`, :class:`SigningKeyExpired`, :class:`SigningKeyNotYetValid`.
        """
        entry = self.entries.get(agency)
        if entry is None:
            raise PublisherUnknown("the directory lists no such agency", agency=agency, directory_version=self.version)
        if not entry.active:
            raise PublisherSuspended("the agency is suspended", agency=agency, directory_version=self.version)
        key = self._signing[agency].get(key_id)
        facts = {"agency": agency, "key_id": key_id.hex()[:16], "directory_version": self.version}
        if key is None:
            raise SigningKeyUnknown("the agency lists no such signing key", **facts)
        if key.revoked_at_ms is not None and now_ms >= key.revoked_at_ms:
            raise SigningKeyRevoked("the signing key is revoked", revoked_at_ms=key.revoked_at_ms, **facts)
        if now_ms >= key.not_after_ms:
            raise SigningKeyExpired("the signing key has expired", not_after_ms=key.not_after_ms, **facts)
        if now_ms < key.not_before_ms:
            raise SigningKeyNotYetValid("the signing key is not valid yet", not_before_ms=key.not_before_ms, **facts)
        return key.key

    def kem_key(self, agency: AgencyId, now_ms: int) -> KemPublicKey:
        """The key to wrap to for ``agency`` at ``now_ms``: the last that has begun and still holds (directory 4.7).

        Raises :class:`RecipientUnknown`, :class:`RecipientSuspended`, :class:`KemKeyNone`.
        """
        entry = self.entries.get(agency)
        if entry is None:
            raise RecipientUnknown("the directory lists no such agency", agency=agency, directory_version=self.version)
        if not entry.active:
            raise RecipientSuspended("the agency is suspended", agency=agency, directory_version=self.version)
        for key in reversed(entry.statement.kem_keys):
            if key.usable(now_ms):
                return key.key
        raise KemKeyNone("the agency lists no KEM key that is valid now", agency=agency, directory_version=self.version)

    def kem_end_ms(self, agency: AgencyId, now_ms: int) -> int:
        """Until when :meth:`kem_key` finds a key for ``agency`` as of ``now_ms``; ``now_ms`` if it finds none."""
        entry = self.entries.get(agency)
        if entry is None or not entry.active:
            return now_ms
        ends = [key.end_ms for key in entry.statement.kem_keys if key.usable(now_ms)]
        return max(ends, default=now_ms)

    def statement_versions(self) -> dict[AgencyId, int]:
        """Each agency's statement version: what a reader remembers beside the directory's own version.

        Without those at fault, which have none."""
        return {agency: entry.statement.version for agency, entry in self.entries.items() if entry.statement.version}


# --- building ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DirectoryParts:
    """What was verified of one version of the directory, before it is put together.

    ``statements`` are the payloads of the agencies' key statements, ``agreements`` those of the agreements, by slug;
    what did not verify is missing there and stands in ``faults``.
    """

    root: Root
    version: int
    issued_at_ms: int
    expires_at_ms: int
    digest: bytes
    index: Index
    identities: Mapping[AgencyId, VerifyKey]
    statements: Mapping[AgencyId, bytes]
    agreements: Mapping[str, bytes]
    faults: tuple[DirectoryFault, ...] = ()


def build_directory(parts: DirectoryParts) -> Directory:
    """The frozen directory (directory 7). A statement or agreement that does not hold becomes a fault of its own.

    Raises :class:`DirectoryOtherHub`, :class:`DirectoryMalformed`, and :class:`DirectoryKeyShared` where the custodians
    listed one key for two holders.
    """
    root, index = parts.root, parts.index
    if index.hub != root.hub:
        raise DirectoryOtherHub("the directory is another hub's", wanted=root.hub, found=index.hub)
    faults = list(parts.faults)
    holders = _listed_holders(parts)
    statements: dict[AgencyId, KeyStatement] = {}
    for listed in index.agencies:
        payload = parts.statements.get(listed.agency)
        if payload is None:
            continue
        try:
            statements[listed.agency] = _read_statement(payload, root.hub, listed.agency)
        except RejectedError as error:
            faults.append(DirectoryFault(f"agency.{listed.agency}", error.code, error.message))
    for agency, other in _sharing(statements, holders):
        del statements[agency]
        faults.append(
            DirectoryFault(f"agency.{agency}", DirectoryKeyShared.code, f"a key of its statement is also {other}")
        )
    entries = {
        listed.agency: AgencyEntry(
            listed.agency,
            listed.name,
            listed.active,
            parts.identities[listed.agency],
            statements.get(listed.agency) or KeyStatement(root.hub, listed.agency, 0, 0, (), ()),
        )
        for listed in index.agencies
    }
    agreements: list[Agreement] = []
    for agreed in index.agreements:
        payload = parts.agreements.get(agreed.slug)
        if payload is None:
            continue
        try:
            agreements += _read_agreed(payload, root.hub, agreed)
        except RejectedError as error:
            faults.append(DirectoryFault(f"agreement.{agreed.slug}", error.code, error.message))
    return Directory(
        root.hub,
        parts.version,
        parts.issued_at_ms,
        parts.expires_at_ms,
        parts.digest,
        MappingProxyType(entries),
        tuple(agreements),
        tuple(sorted(faults, key=lambda fault: fault.role)),
    )


def _listed_holders(parts: DirectoryParts) -> dict[bytes, str]:
    """Each half of a key that the custodians list, with who holds it."""
    holders: dict[bytes, str] = {}
    listed = [(custodian.key, f"custodian {custodian.name}") for custodian in parts.root.custodians]
    listed += [(key, "the operator's online key") for key in parts.root.online]
    for agency in parts.index.agencies:
        identity = parts.identities.get(agency.agency)
        if identity is None:
            raise DirectoryMalformed("an agency is listed without an identity key", agency=agency.agency)
        listed.append((identity, f"the identity key of {agency.agency}"))
    for key, holder in listed:
        for half in _halves(key.raw):
            if holders.setdefault(half, holder) != holder:
                raise DirectoryKeyShared("one key is listed for two holders", first=holders[half], second=holder)
    return holders


def _halves(raw: bytes) -> tuple[bytes, bytes]:
    return raw[:-32], raw[-32:]  # directory 1.3: half of a key has one holder too


def _sharing(statements: Mapping[AgencyId, KeyStatement], holders: Mapping[bytes, str]) -> list[tuple[AgencyId, str]]:
    """The agencies whose statement lists a key, or half of one, that is someone else's or has another use."""
    uses: dict[bytes, list[tuple[AgencyId, str]]] = {}
    for agency, statement in statements.items():
        keys = [(key.key.raw, f"a signing key of {agency}") for key in statement.signing_keys]
        keys += [(key.key.raw, f"a KEM key of {agency}") for key in statement.kem_keys]
        for raw, use in keys:
            for half in _halves(raw):
                uses.setdefault(half, []).append((agency, use))
    found: dict[AgencyId, str] = {}
    for half, users in uses.items():
        holder = holders.get(half)
        if holder is not None:
            found.update((agency, holder) for agency, _ in users)
        elif len({use for _, use in users}) > 1:  # nobody can tell here whose it is: it is nobody's
            for agency, use in users:
                found[agency] = next(other for _, other in users if other != use)
    return sorted(found.items())


def _read_statement(payload: bytes, hub: AgencyId, agency: AgencyId) -> KeyStatement:
    statement = parse_statement(payload)
    if (statement.hub, statement.agency) != (hub, agency):
        raise StatementOfAnother("the key statement speaks for another agency or hub", agency=agency, hub=hub)
    return statement


def _read_agreed(payload: bytes, hub: AgencyId, listed: ListedAgreement) -> tuple[Agreement, ...]:
    document = parse_agreement(payload)
    if (document.hub, document.slug, tuple(sorted(document.parties))) != (hub, listed.slug, listed.parties):
        raise AgreementOfOthers("the text is of another agreement, other parties or another hub", agreement=listed.slug)
    return document.agreements()


# --- reading ----------------------------------------------------------------------------------------------------------

_F = TypeVar("_F", bound=Strict)


def _parse(form: type[_F], raw: bytes, what: str) -> _F:
    if len(raw) > MAX_SNAPSHOT:
        raise DirectoryMalformed(f"{what} is too long", length=len(raw), most=MAX_SNAPSHOT)
    try:
        return form.model_validate(read_strict_json(raw))
    except ValidationError as error:
        raise DirectoryMalformed(f"not {what}: {first_fault(error)}") from error
    except ValueError as error:
        raise DirectoryMalformed(f"not {what}: {error}") from error


def parse_envelope(raw: bytes) -> SnapshotForm:
    """A snapshot file's payload and signatures, nothing verified. Raises :class:`DirectoryMalformed`."""
    return _parse(SnapshotForm, raw, "a directory snapshot")


def verify_snapshot(raw: bytes, *, root: Root, now_ms: int, at_least_version: int) -> Directory:
    """A snapshot file's bytes as a :class:`Directory` that may be decided by at ``now_ms`` (directory 6).

    ``at_least_version`` is the highest version the caller has seen, 0 at first. The caller must still: remember the
    version, the digest and the statements' versions durably, and refuse with :func:`check_succession` against them.

    Raises :class:`DirectoryMalformed`, :class:`DirectoryUnsigned`, :class:`DirectoryTooFewSignatures`,
    :class:`DirectoryOtherHub`, :class:`DirectoryRolledBack`, :class:`DirectoryNotYetValid`, :class:`DirectoryExpired`,
    :class:`DirectoryKeyShared`, and of the statements ``StatementSignatureInvalid``, ``StatementMalformed``,
    ``StatementOfAnother``.
    """
    # 1. The envelope, and nothing of what is inside it (directory 6.1).
    envelope = parse_envelope(raw)
    # 2. Enough distinct custodians over the payload as it arrived (6.2).
    _verify_custodians(envelope, root)
    # 3. to 5. What they signed.
    return _read_directory(envelope.payload, root, now_ms=now_ms, at_least_version=at_least_version)


def unsafe_read_payload(payload: bytes, *, root: Root, now_ms: int) -> Directory:
    """Everything of :func:`verify_snapshot` but the custodians' signatures: for a custodian, before signing.

    What comes out was vouched for by nobody, and must not be decided by. Raises as :func:`verify_snapshot` does.
    """
    return _read_directory(payload, root, now_ms=now_ms, at_least_version=0)


def _read_directory(raw: bytes, root: Root, *, now_ms: int, at_least_version: int) -> Directory:
    # 3. The payload's form, hub, version and times (6.3).
    payload = _parse(PayloadForm, raw, "a directory")
    if payload.hub != root.hub:
        raise DirectoryOtherHub("the directory is another hub's", wanted=root.hub, found=payload.hub[:40])
    if payload.version < at_least_version:
        raise DirectoryRolledBack(
            "the directory is older than one already seen", version=payload.version, seen=at_least_version
        )
    check_times(payload.issued_at_ms, payload.expires_at_ms, version=payload.version, now_ms=now_ms)
    # 4. Every agency's key statement by its identity key; no key for two holders (6.5).
    entries = _read_agencies(payload, root)
    # 5. Agreements between listed agencies, each id once (6.6).
    agreements = _read_agreements(payload, entries)
    return Directory(
        root.hub,
        payload.version,
        payload.issued_at_ms,
        payload.expires_at_ms,
        hashlib.sha256(raw).digest(),
        MappingProxyType(entries),
        agreements,
    )


def check_times(issued_at_ms: int, expires_at_ms: int, *, version: int, now_ms: int) -> None:
    """Raises :class:`DirectoryExpired` or :class:`DirectoryNotYetValid` (directory 6.3)."""
    if now_ms >= expires_at_ms:
        raise DirectoryExpired(
            "the directory has expired; the custodians must sign a new one",
            version=version,
            expires_at_ms=expires_at_ms,
        )
    if issued_at_ms > now_ms + MAX_AHEAD_MS:
        raise DirectoryNotYetValid(
            "the directory is from the future: check this machine's clock", version=version, issued_at_ms=issued_at_ms
        )


def check_succession(
    directory: Directory, *, version: int, digest: bytes | None, statements: Mapping[AgencyId, int]
) -> None:
    """Refuse a directory that goes back behind what was seen (directory 6.4).

    ``version``, ``digest`` and ``statements`` are what the caller remembered of the last one (0, ``None`` and empty at
    first). Raises :class:`DirectoryRolledBack`, :class:`DirectoryEquivocation`.
    """
    if directory.version < version:
        raise DirectoryRolledBack(
            "the directory is older than one already seen", version=directory.version, seen=version
        )
    if directory.version == version and digest is not None and directory.digest != digest:
        raise DirectoryEquivocation("two different directories have one version number", version=version)
    for agency, found in directory.statement_versions().items():
        if found < statements.get(agency, 0):
            raise DirectoryRolledBack(
                "an agency's key statement is older than one already seen",
                agency=agency,
                version=found,
                seen=statements[agency],
            )


def signers(envelope: SnapshotForm, root: Root) -> tuple[Custodian, ...]:
    """The custodians of ``root`` who have signed the payload as it arrived, each once. A stranger counts nothing."""
    by_id = {c.key.key_id: c for c in root.custodians}
    signed: dict[bytes, Custodian] = {}
    for signature in envelope.signatures:
        custodian = by_id.get(bytes.fromhex(signature.key_id))
        if custodian is None or custodian.key.raw in signed:
            continue
        try:
            custodian.key.verify(DIRECTORY_CONTEXT, envelope.payload, signature.signature)
        except SignatureInvalid:
            continue  # counts nothing (6.2); too few refuses the whole
        signed[custodian.key.raw] = custodian
    return tuple(signed.values())


def _verify_custodians(envelope: SnapshotForm, root: Root) -> None:
    if not envelope.signatures:
        raise DirectoryUnsigned("no custodian has signed the directory")
    valid = len(signers(envelope, root))
    if valid < root.threshold:
        raise DirectoryTooFewSignatures(
            "too few custodians have signed the directory", valid=valid, wanted=root.threshold
        )


def _read_agencies(payload: PayloadForm, root: Root) -> dict[AgencyId, AgencyEntry]:
    entries: dict[AgencyId, AgencyEntry] = {}
    holders: dict[bytes, str] = {}

    def hold(raw: bytes, holder: str) -> None:
        for half in (raw[:-32], raw[-32:]):  # directory 1.3: half of a key has one holder too
            if holders.setdefault(half, holder) != holder:
                raise DirectoryKeyShared("one key is listed for two holders", first=holders[half], second=holder)

    for custodian in root.custodians:
        hold(custodian.key.raw, f"custodian {custodian.name}")
    for form in payload.agencies:
        try:
            agency = parse_agency_id(form.agency)
            identity = VerifyKey(form.identity)
        except (NameInvalid, KeyMalformed) as error:
            raise DirectoryMalformed(f"not a directory: {error.message}", agency=form.agency[:40]) from error
        if agency in entries:
            raise DirectoryMalformed("not a directory: an agency stands twice", agency=agency)
        statement = verify_statement(
            SignedStatement(form.statement.payload, form.statement.signature),
            identity=identity,
            hub=root.hub,
            agency=agency,
        )
        hold(identity.raw, f"identity of {agency}")
        for signing in statement.signing_keys:
            hold(signing.key.raw, f"signing key of {agency}")
        for kem in statement.kem_keys:
            hold(kem.key.raw, f"KEM key of {agency}")
        entries[agency] = AgencyEntry(agency, form.name, form.active, identity, statement)
    return dict(sorted(entries.items()))


def _read_agreements(payload: PayloadForm, entries: Mapping[AgencyId, AgencyEntry]) -> tuple[Agreement, ...]:
    agreements = tuple(_read_agreement(form, entries) for form in payload.agreements)
    if len({a.agreement_id for a in agreements}) != len(agreements):
        raise DirectoryMalformed("not a directory: an agreement id stands twice")
    return agreements


def _read_agreement(form: AgreementForm, entries: Mapping[AgencyId, AgencyEntry]) -> Agreement:
    def refuse(why: str) -> DirectoryMalformed:
        return DirectoryMalformed(f"not a directory: {why}", agreement=form.agreement_id[:80])

    if not _AGREEMENT_ID.fullmatch(form.agreement_id):
        raise refuse("an agreement id is 1 to 80 letters, digits, spaces and ._/#-")
    for agency in (form.originator, form.recipient):
        if agency not in entries:
            raise refuse(f"an agreement names {agency[:40]!r}, which the directory does not list")
    if form.originator == form.recipient:
        raise refuse("an agreement of an agency with itself")
    if form.not_before_ms >= form.not_after_ms:
        raise refuse("an agreement that never holds: not_before is not before not_after")
    for name in form.event_types:
        if not _EVENT_TYPE.fullmatch(name):
            raise refuse(f"{name[:40]!r} is not an event type")
    try:
        return Agreement(
            form.agreement_id,
            AgencyId(form.originator),
            AgencyId(form.recipient),
            frozenset(form.event_types),
            frozenset(parse_compartment(name) for name in form.compartments),
            frozenset(Purpose(name) for name in form.purposes),
            parse_handling(form.max_handling),
            form.not_before_ms,
            form.not_after_ms,
            form.reference,
        )
    except (NameInvalid, ValueError) as error:
        raise refuse(str(error)) from error
