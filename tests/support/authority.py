"""A small world for tests: custodians, agencies with keys, agreements, and the directory that is signed for them.

Keys come from fixed seeds, so two worlds with the same names have the same keys. ``World`` is a builder: change it,
then take ``directory()`` (verified, as production code gets it), ``snapshot()`` (the file's bytes) and ``root``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from hub.model import (
    HUB,
    AgencyId,
    Agreement,
    Compartment,
    Purpose,
    parse_agency_id,
    parse_handling,
)
from hub.trust.composite import SigningKey
from hub.trust.directory import DIRECTORY_CONTEXT, Directory, verify_snapshot
from hub.trust.kem import KemPrivateKey
from hub.trust.root import Custodian, Root
from hub.trust.snapshot import AgencyDraft, encode_directory, encode_snapshot
from hub.trust.statement import KemKeyEntry, KeyStatement, SignedStatement, SigningKeyEntry, sign_statement

NOW_MS = 1_796_000_000_000
"""The worlds' present: 2026-11-29."""
DAY_MS = 86_400_000
ALL_COMPARTMENTS = ("core", "personal", "sensitive")


@cache
def signing_key(name: str) -> SigningKey:
    """A composite key that is the same for the same name."""
    return SigningKey(hashlib.sha512(b"tests signing " + name.encode()).digest())


def sign_snapshot(payload: bytes, custodians: Sequence[SigningKey]) -> bytes:
    """A payload signed by all ``custodians``, as a snapshot file."""
    return encode_snapshot(payload, {key.public.key_id: key.sign(DIRECTORY_CONTEXT, payload) for key in custodians})


@cache
def kem_key(name: str) -> KemPrivateKey:
    """A KEM key that is the same for the same name."""
    return KemPrivateKey(hashlib.sha256(b"tests kem " + name.encode()).digest())


@dataclass
class AgencyKeys:
    """An agency's private keys, and what its statement says of them. ``signing`` and ``kem`` are the present ones."""

    identity: SigningKey
    signing: SigningKey
    kem: KemPrivateKey
    signing_entries: list[SigningKeyEntry]
    kem_entries: list[KemKeyEntry]
    kem_all: list[KemPrivateKey]
    active: bool = True
    statement_version: int = 1


@dataclass
class World:
    """``World.of("ATF", "JCF")``: those agencies and HUB, three custodians of whom two must sign, no agreement."""

    now_ms: int = NOW_MS
    custodians: tuple[SigningKey, ...] = field(
        default_factory=lambda: tuple(signing_key(f"custodian {i}") for i in range(3))
    )
    threshold: int = 2
    version: int = 1
    expires_at_ms: int = 0
    keys: dict[AgencyId, AgencyKeys] = field(default_factory=dict)
    agreed: list[Agreement] = field(default_factory=list)
    _signed: dict[AgencyId, tuple[KeyStatement, SignedStatement]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, *agencies: str, now_ms: int = NOW_MS) -> World:
        """HUB and ``agencies``, each with an identity, one signing and one KEM key."""
        world = cls(now_ms=now_ms, expires_at_ms=now_ms + 30 * DAY_MS)
        for name in dict.fromkeys((HUB, *agencies)):
            world.add_agency(name)
        world.version = 1
        return world

    @property
    def root(self) -> Root:
        """What a site pins."""
        named = tuple(Custodian(f"custodian {i}", key.public) for i, key in enumerate(self.custodians))
        return Root(HUB, named, self.threshold)

    def add_agency(self, name: str) -> AgencyKeys:
        """One more agency, with keys made from its name."""
        agency = parse_agency_id(name)
        begin, end = self.now_ms - 30 * DAY_MS, self.now_ms + 365 * DAY_MS
        signing, kem = signing_key(f"{name} site"), kem_key(name)
        self.keys[agency] = AgencyKeys(
            signing_key(f"{name} identity"),
            signing,
            kem,
            [SigningKeyEntry(signing.public, begin, end, site="main")],
            [KemKeyEntry(kem.public, begin, end)],
            [kem],
        )
        self.version += 1
        return self.keys[agency]

    def agree(
        self,
        originator: str,
        recipient: str,
        *event_types: str,
        compartments: Iterable[str] = ALL_COMPARTMENTS,
        purposes: Iterable[Purpose] = tuple(Purpose),
        max_handling: str = "TLP:RED H3",
        not_before_ms: int | None = None,
        not_after_ms: int | None = None,
        agreement_id: str | None = None,
    ) -> Agreement:
        """One more agreement, in force a year to each side of ``now_ms`` where nothing else is said."""
        agreement = Agreement(
            agreement_id or f"MOU {originator}-{recipient} #{len(self.agreed) + 1}",
            parse_agency_id(originator),
            parse_agency_id(recipient),
            frozenset(event_types),
            frozenset(Compartment(c) for c in compartments),
            frozenset(purposes),
            parse_handling(max_handling),
            self.now_ms - 365 * DAY_MS if not_before_ms is None else not_before_ms,
            self.now_ms + 365 * DAY_MS if not_after_ms is None else not_after_ms,
            "a memorandum of understanding",
        )
        self.agreed.append(agreement)
        self.version += 1
        return agreement

    def withdraw(self, agreement: Agreement) -> None:
        """The agreement is no more."""
        self.agreed.remove(agreement)
        self.version += 1

    def suspend(self, name: str, *, active: bool = False) -> None:
        """Suspend an agency, or let it return with ``active=True``."""
        self.keys[AgencyId(name)].active = active
        self.version += 1

    def revoke_signing_key(self, name: str, *, at_ms: int | None = None) -> None:
        """The agency's present signing key is revoked from ``at_ms`` (now)."""
        keys = self.keys[AgencyId(name)]
        at_ms = self.now_ms if at_ms is None else at_ms
        keys.signing_entries = [
            replace(entry, revoked_at_ms=at_ms) if entry.key == keys.signing.public else entry
            for entry in keys.signing_entries
        ]
        keys.statement_version += 1
        self.version += 1

    def rotate_signing_key(self, name: str) -> SigningKey:
        """A second signing key beside the first; it becomes the present one."""
        keys = self.keys[AgencyId(name)]
        keys.signing = signing_key(f"{name} site {len(keys.signing_entries) + 1}")
        keys.signing_entries.append(
            SigningKeyEntry(keys.signing.public, self.now_ms, self.now_ms + 365 * DAY_MS, site="main")
        )
        keys.statement_version += 1
        self.version += 1
        return keys.signing

    def rotate_kem_key(self, name: str, *, from_ms: int | None = None) -> KemPrivateKey:
        """A newer KEM key, current from ``from_ms`` (now); the old one stays listed and is kept in ``kem_all``."""
        keys = self.keys[AgencyId(name)]
        keys.kem = kem_key(f"{name} {len(keys.kem_entries) + 1}")
        begin = self.now_ms if from_ms is None else from_ms
        keys.kem_entries.append(KemKeyEntry(keys.kem.public, begin, self.now_ms + 365 * DAY_MS))
        keys.kem_all.append(keys.kem)
        keys.statement_version += 1
        self.version += 1
        return keys.kem

    def statement(self, agency: AgencyId) -> KeyStatement:
        """What the agency says of its keys now."""
        keys = self.keys[agency]
        return KeyStatement(
            HUB,
            agency,
            keys.statement_version,
            self.now_ms,
            tuple(keys.signing_entries),
            tuple(keys.kem_entries),
        )

    def signed_statement(self, agency: AgencyId) -> SignedStatement:
        """The statement, signed; the same bytes as long as it says the same (signatures are random)."""
        statement = self.statement(agency)
        known = self._signed.get(agency)
        if known is None or known[0] != statement:
            known = self._signed[agency] = (statement, sign_statement(statement, self.keys[agency].identity))
        return known[1]

    def drafts(self) -> list[AgencyDraft]:
        """Every agency with its signed statement."""
        return [
            AgencyDraft(
                agency,
                f"the agency {agency}",
                keys.active,
                keys.identity.public,
                self.signed_statement(agency),
            )
            for agency, keys in self.keys.items()
        ]

    def payload(self) -> bytes:
        """What the custodians sign."""
        return encode_directory(
            hub=HUB,
            version=self.version,
            issued_at_ms=self.now_ms,
            expires_at_ms=self.expires_at_ms,
            agencies=self.drafts(),
            agreements=self.agreed,
        )

    def snapshot(self) -> bytes:
        """The snapshot file's bytes, signed by as many custodians as must."""
        return sign_snapshot(self.payload(), self.custodians[: self.threshold])

    def directory(self, *, now_ms: int | None = None) -> Directory:
        """The verified directory."""
        return verify_snapshot(
            self.snapshot(),
            root=self.root,
            now_ms=self.now_ms if now_ms is None else now_ms,
            at_least_version=0,
        )
