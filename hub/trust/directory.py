"""The directory: a frozen snapshot of who is who, signed by the custodians, k of n. docs/spec/directory.md.

Pure: what was verified of a repository comes in (hub/adapters/tuf_reader.py), a :class:`Directory` or a refusal comes
out. The caller brings the time and the highest version it has seen, and must remember the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from hub.errors import RejectedError, UnavailableError
from hub.model import (
    AgencyId,
    Agreement,
)
from hub.trust.agreement import AgreementDocument, parse_agreement
from hub.trust.composite import VerifyKey, key_halves
from hub.trust.index import Index, ListedAgreement
from hub.trust.kem import KemPublicKey
from hub.trust.root import Root
from hub.trust.statement import (
    KeyStatement,
    SigningKeyEntry,
    StatementOfAnother,
    parse_statement,
)

DIRECTORY_CONTEXT: Final = b"cgi-hub/v1/directory"
"""What everything in the directory is signed under (directory 1.2)."""

MAX_AHEAD_MS: Final = 5 * 60 * 1000
"""How far ``issued_at`` may be ahead of the reader's clock."""


# --- refusals of a directory ------------------------------------------------------------------------------------------


class DirectoryMalformed(RejectedError):
    """Not a directory, or one that contradicts itself."""

    code = "directory.malformed"


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
    """Two different directories under one version number: the online key signed both. An alarm."""

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
    """One version. Equal and hashed by ``digest`` (SHA-256 of the signed snapshot). Times in ms since 1970.

    ``expires_at_ms`` and ``issued_at_ms`` are those of the last timestamp: they may move while the digest stays.
    """

    hub: AgencyId
    version: int
    issued_at_ms: int
    expires_at_ms: int
    digest: bytes
    entries: Mapping[AgencyId, AgencyEntry]
    all_agreements: tuple[Agreement, ...]
    faults: tuple[DirectoryFault, ...] = ()
    documents: tuple[AgreementDocument, ...] = ()
    """The agreements as their parties signed them, ordered by slug; ``all_agreements`` are their clauses."""
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
    """The frozen directory (directory 6). A statement or agreement that does not hold becomes a fault of its own.

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
    documents: list[AgreementDocument] = []
    for agreed in index.agreements:
        payload = parts.agreements.get(agreed.slug)
        if payload is None:
            continue
        try:
            documents.append(_read_agreed(payload, root.hub, agreed))
        except RejectedError as error:
            faults.append(DirectoryFault(f"agreement.{agreed.slug}", error.code, error.message))
    return Directory(
        root.hub,
        parts.version,
        parts.issued_at_ms,
        parts.expires_at_ms,
        parts.digest,
        MappingProxyType(entries),
        tuple(agreement for document in documents for agreement in document.agreements()),
        tuple(sorted(faults, key=lambda fault: fault.role)),
        tuple(documents),
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
        for half in key_halves(key.raw):
            if holders.setdefault(half, holder) != holder:
                raise DirectoryKeyShared("one key is listed for two holders", first=holders[half], second=holder)
    return holders


def _sharing(statements: Mapping[AgencyId, KeyStatement], holders: Mapping[bytes, str]) -> list[tuple[AgencyId, str]]:
    """The agencies whose statement lists a key, or half of one, that is someone else's or has another use."""
    uses: dict[bytes, list[tuple[AgencyId, str]]] = {}
    for agency, statement in statements.items():
        keys = [(key.key.raw, f"a signing key of {agency}") for key in statement.signing_keys]
        keys += [(key.key.raw, f"a KEM key of {agency}") for key in statement.kem_keys]
        for raw, use in keys:
            for half in key_halves(raw):
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


def _read_agreed(payload: bytes, hub: AgencyId, listed: ListedAgreement) -> AgreementDocument:
    document = parse_agreement(payload)
    if (document.hub, document.slug, tuple(sorted(document.parties))) != (hub, listed.slug, listed.parties):
        raise AgreementOfOthers("the text is of another agreement, other parties or another hub", agreement=listed.slug)
    return document


# --- a directory in use ---------------------------------------------------------------------------------------------


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
