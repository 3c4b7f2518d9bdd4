"""A small world for tests: custodians, agencies with keys, agreements, and the directory that is signed for them.

Keys come from fixed seeds, so two worlds with the same names have the same keys. ``World`` is a builder: change it,
then take ``directory()`` (the frozen value, without any file), or ``snapshot()`` (a repository in one file, each call a
newer version of the last where something changed) with ``root_bytes()`` to pin.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache

from hub.adapters.directory_files import encode_bundle
from hub.adapters.tuf_publish import publish
from hub.adapters.tuf_repository import Repository
from hub.adapters.tuf_roles import SignedRole, sign_agency_role, sign_agreement_role
from hub.model import (
    HUB,
    AgencyId,
    Agreement,
    Compartment,
    Onward,
    Purpose,
    parse_agency_id,
    parse_handling,
)
from hub.trust.agreement import AgreementDocument, Clause
from hub.trust.composite import SigningKey
from hub.trust.directory import Directory, DirectoryParts, build_directory
from hub.trust.index import Index, ListedAgency
from hub.trust.kem import KemPrivateKey
from hub.trust.root import Custodian, Root
from hub.trust.statement import KemKeyEntry, KeyStatement, SigningKeyEntry, encode_statement

NOW_MS = 1_796_000_000_000
"""The worlds' present: 2026-11-29."""
DAY_MS = 86_400_000
ALL_COMPARTMENTS = ("core", "personal", "sensitive")


@cache
def signing_key(name: str) -> SigningKey:
    """A composite key that is the same for the same name."""
    return SigningKey(hashlib.sha512(b"tests signing " + name.encode()).digest())


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
    online: SigningKey = field(default_factory=lambda: signing_key("operator online"))
    repository: Repository = field(default_factory=Repository, repr=False)
    _signed: dict[str, tuple[object, SignedRole]] = field(default_factory=dict, repr=False)
    _begun_ms: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._begun_ms = self.now_ms

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
        """What the root says that a site pins."""
        named = tuple(Custodian(f"custodian {i}", key.public) for i, key in enumerate(self.custodians))
        return Root(HUB, named, self.threshold, (self.online.public,))

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

    def drop_kem_key(self, name: str) -> None:
        """The agency's oldest KEM key is listed no more, as after `hub agency shred`."""
        keys = self.keys[AgencyId(name)]
        del keys.kem_entries[0], keys.kem_all[0]
        keys.statement_version += 1
        self.version += 1

    def rekey(self, name: str) -> None:
        """A new identity key; with it the agency signs its statement, and its agreements, again."""
        keys = self.keys[AgencyId(name)]
        keys.identity = signing_key(f"{name} identity after v{self.version}")
        keys.statement_version += 1
        self.version += 1

    def replace_custodian(self, lost: int) -> SigningKey:
        """Stage a root in which a new custodian stands for number ``lost``, signed by all but that one."""
        new = signing_key(f"custodian for {lost} after v{self.version}")
        self.custodians = tuple(new if i == lost else key for i, key in enumerate(self.custodians))
        self.repository.change_root(now_ms=self.now_ms, custodians=self.root.custodians)
        for custodian in self.custodians:
            self.repository.sign(custodian)
        self.version += 1
        return new

    def statement(self, agency: AgencyId) -> KeyStatement:
        """What the agency says of its keys now."""
        keys = self.keys[agency]
        return KeyStatement(
            HUB,
            agency,
            keys.statement_version,
            self._begun_ms,
            tuple(keys.signing_entries),
            tuple(keys.kem_entries),
        )

    def signed_role(self, agency: AgencyId) -> SignedRole:
        """The statement, signed; the same bytes as long as it says the same (signatures are random)."""
        statement, identity = self.statement(agency), self.keys[agency].identity
        return self._once(agency, (statement, identity), lambda: sign_agency_role(statement, identity))

    def documents(self) -> list[AgreementDocument]:
        """Each agreement as a document of one clause, named by its id as far as a file can be."""
        return [
            AgreementDocument(
                re.sub(r"[^A-Za-z0-9._-]+", "-", agreed.agreement_id),
                HUB,
                1,
                "an agreement",
                agreed.reference,
                min((agreed.originator, agreed.recipient), (agreed.recipient, agreed.originator)),
                agreed.not_before_ms,
                agreed.not_after_ms,
                (
                    Clause(
                        agreed.originator,
                        agreed.recipient,
                        agreed.event_types,
                        agreed.compartments,
                        agreed.purposes,
                        agreed.max_handling,
                        Onward.NONE if agreed.onward is None else agreed.onward,
                        agreed.retention_days or 365,
                    ),
                ),
            )
            for agreed in self.agreed
        ]

    def signed_agreement(self, document: AgreementDocument) -> SignedRole:
        """Signed by both parties."""
        first, second = (self.keys[party].identity for party in document.parties)

        def sign() -> SignedRole:
            return sign_agreement_role(document, second, existing=sign_agreement_role(document, first))

        return self._once(document.slug, (document, first, second), sign)

    def _once(self, name: str, says: object, sign: Callable[[], SignedRole]) -> SignedRole:
        known = self._signed.get(name)
        if known is None or known[0] != says:
            known = self._signed[name] = (says, sign())
        return known[1]

    def stage(self) -> None:
        """Stage in ``repository`` whatever differs from the world as it is now; nobody has signed it yet."""
        repository = self.repository
        if not repository.files and not repository.staged:
            self.repository = repository = Repository.create(
                hub=HUB,
                custodians=self.root.custodians,
                threshold=self.threshold,
                online=[self.online.public],
                now_ms=self.now_ms,
            )
        listed = {agency.agency: agency for agency in repository.index().agencies}
        for agency, keys in self.keys.items():
            role = self.signed_role(agency)
            if repository.identity(agency) != keys.identity.public:
                repository.put_agency(agency, f"the agency {agency}", keys.identity.public, role)
            elif repository.role(role.role) != role:
                repository.put_statement(role)
            if (listed[agency].active if agency in listed else True) != keys.active:
                repository.set_active(agency, keys.active)
        documents = self.documents()
        for slug in {agreed.slug for agreed in repository.index().agreements} - {each.slug for each in documents}:
            repository.withdraw_agreement(slug)
        for document in documents:
            role = self.signed_agreement(document)
            if repository.role(role.role) != role:
                repository.put_agreement(role)

    def publish(self) -> Repository:
        """Stage what is new, sign it by as many custodians as must, and publish it."""
        self.stage()
        if {"root", "targets"} & self.repository.staged.keys():
            for custodian in self.custodians[: self.threshold]:
                self.repository.sign(custodian)
        days = max(1, (self.expires_at_ms - self.now_ms) // DAY_MS)
        publish(self.repository, self.online, now_ms=self.now_ms, days=days)
        self.version = self.repository.snapshot_version()  # what a process has that reads it
        return self.repository

    def snapshot(self) -> bytes:
        """The published repository in one file."""
        return encode_bundle(self.publish().files)

    def root_bytes(self) -> bytes:
        """The first root, to pin."""
        if not self.repository.files:
            self.publish()
        return self.repository.files["metadata/1.root.json"]

    def directory(self) -> Directory:
        """The world as the frozen value that a reader has; its version is the builder's own, or as published last."""
        index = Index(HUB, tuple(ListedAgency(a, f"the agency {a}", keys.active) for a, keys in self.keys.items()), ())
        statements = {agency: encode_statement(self.statement(agency)) for agency in self.keys}
        told = repr((self.version, self.expires_at_ms, index, sorted(statements.items()), self.agreed)).encode()
        parts = DirectoryParts(
            self.root,
            self.version,
            self.now_ms,
            self.expires_at_ms,
            hashlib.sha256(told).digest(),
            index,
            {agency: keys.identity.public for agency, keys in self.keys.items()},
            statements,
            {},
        )
        return replace(build_directory(parts), all_agreements=tuple(self.agreed))
