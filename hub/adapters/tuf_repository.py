"""The directory's repository as the custodians and the operator change it: staged, signed one by one, published.

docs/spec/directory.md, section 8. A repository is a folder, or one file that is carried between custodians (a
*proposal*). Everything is in memory while it is changed (hub/adapters/repository_files.py reads and writes it); what is
staged is made the current version by hub/adapters/tuf_publish.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Role,
    TargetFile,
    Targets,
)
from tuf.api.metadata import (
    Root as TufRoot,
)

from hub.adapters.tuf_contents import RepositoryContents
from hub.adapters.tuf_keys import CompositeKey, CompositeSigner
from hub.adapters.tuf_metadata import RepositoryInvalid, after, read_metadata
from hub.adapters.tuf_reader import (
    CUSTODIANS_FIELD,
    HUB_FIELD,
    INDEX,
    check_delegations,
    read_root,
)
from hub.adapters.tuf_roles import (
    SignedRole,
    agency_role,
    agreement_role,
    encode_signed_role,
    parse_signed_role,
    read_agreement,
    read_statement,
    target_path,
)
from hub.adapters.tuf_staged import signatures_of
from hub.errors import RejectedError
from hub.model import AgencyId
from hub.trust.composite import SigningKey, VerifyKey
from hub.trust.index import Index, ListedAgency, ListedAgreement, encode_index
from hub.trust.root import Custodian, Root

ROOT_DAYS: Final = 730
TARGETS_DAYS: Final = 366
"""How long what the custodians signed holds without a new signature of theirs."""


@dataclass(slots=True)
class Repository(RepositoryContents):
    """A repository that is changed. All methods that change something stage it, and save nothing."""

    # --- changes ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        *,
        hub: AgencyId,
        custodians: Sequence[Custodian],
        threshold: int,
        online: Sequence[VerifyKey],
        now_ms: int,
        root_days: int = ROOT_DAYS,
        targets_days: int = TARGETS_DAYS,
    ) -> Repository:
        """A repository with nothing in it but its custodians, staged. Raises ``RootInvalid``."""
        repository = cls()
        Root(hub, tuple(custodians), threshold, tuple(online))  # says what is wrong
        repository._stage_root(hub, custodians, threshold, online, 1, after(now_ms, root_days))
        targets = Targets(expires=after(now_ms, targets_days), delegations=Delegations({}, {}))
        repository._stage_targets(targets, Index(hub, (), ()))
        return repository

    def change_root(
        self,
        *,
        now_ms: int,
        custodians: Sequence[Custodian] | None = None,
        threshold: int | None = None,
        online: Sequence[VerifyKey] | None = None,
        days: int = ROOT_DAYS,
    ) -> None:
        """Stage a root with other custodians, another threshold or other keys of the operator, or the same for longer.

        The targets are staged anew too: the new custodians must have signed them. Raises ``RootInvalid``.
        """
        published = self.published_root()
        root = read_root(self.root().signed)
        version = 1 if published is None else published.signed.version + 1
        named, wanted = tuple(custodians or root.custodians), threshold or root.threshold
        keys = tuple(online or root.online)
        Root(root.hub, named, wanted, keys)
        self._stage_root(root.hub, named, wanted, keys, version, after(now_ms, days))
        self.renew(now_ms=now_ms)

    def renew(self, *, now_ms: int, days: int = TARGETS_DAYS) -> None:
        """Stage the targets as they are, to hold for ``days`` more."""
        targets = self.targets().signed
        targets.expires = after(now_ms, days)
        self._stage_targets(targets, self.index())

    def put_agency(self, agency: AgencyId, name: str, identity: VerifyKey, role: SignedRole) -> tuple[str, ...]:
        """Stage an agency, new or with a new identity key, with its key statement.

        Gives the slugs of the agreements that its new key must sign again before they hold: none for a new agency.
        Raises :class:`RepositoryInvalid`, ``SignedRoleMalformed``, ``StatementMalformed``.
        """
        statement = read_statement(role)
        if statement.agency != agency or statement.hub != self.index().hub:
            raise RepositoryInvalid("the key statement speaks for another agency or hub", agency=agency)
        self._check_signed(role, [identity])
        self._check_version(role)
        index, targets = self.index(), self.targets().signed
        known = {listed.agency: listed for listed in index.agencies}
        active = known[agency].active if agency in known else True
        before = self.identity(agency)
        listed = tuple(a for a in index.agencies if a.agency != agency)
        index = replace(index, agencies=(*listed, ListedAgency(agency, name, active)))
        self.staged[role.role] = encode_signed_role(role)
        self._delegate(targets, role.role, [identity])
        unsigned = []
        if before is not None and before != identity:
            for agreed in index.agreements:
                if agency in agreed.parties:
                    unsigned.append(agreed.slug)
                    self._delegate(
                        targets,
                        agreement_role(agreed.slug),
                        [identity if party == agency else self._known_identity(party) for party in agreed.parties],
                    )
        self._stage_targets(targets, index)
        return tuple(unsigned)

    def put_statement(self, role: SignedRole) -> None:
        """Stage an agency's newer key statement: its own signature is enough.

        Raises :class:`RepositoryInvalid`, ``SignedRoleMalformed``, ``StatementMalformed``.
        """
        statement = read_statement(role)
        self._check_signed(role, [self._known_identity(statement.agency)])
        self._check_version(role)
        self.staged[role.role] = encode_signed_role(role)

    def set_active(self, agency: AgencyId, active: bool) -> None:
        """Stage an agency's suspension, or its return. Raises :class:`RepositoryInvalid`."""
        index = self.index()
        if agency not in {listed.agency for listed in index.agencies}:
            raise RepositoryInvalid("the directory lists no such agency", agency=agency)
        agencies = tuple(replace(a, active=active) if a.agency == agency else a for a in index.agencies)
        self._stage_targets(self.targets().signed, replace(index, agencies=agencies))

    def put_agreement(self, role: SignedRole) -> None:
        """Stage an agreement that both parties have signed, or a newer version of one.

        Raises :class:`RepositoryInvalid`, ``SignedRoleMalformed``, ``AgreementMalformed``.
        """
        document = read_agreement(role)
        index = self.index()
        first, second = sorted(document.parties)
        if document.hub != index.hub:
            raise RepositoryInvalid("the agreement is of another hub", agreement=document.slug, hub=document.hub)
        keys = [self._known_identity(first), self._known_identity(second)]
        self._check_signed(role, keys)
        listed = next((a for a in index.agreements if a.slug == document.slug), None)
        if listed is None or self.role(role.role) is None or self._signed_payload(role.role, keys) is not None:
            self._check_version(role)  # a rekeyed party signs the same version again
        if listed is not None and listed.parties != (first, second):
            raise RepositoryInvalid("an agreement of that name has other parties", agreement=document.slug)
        self.staged[role.role] = encode_signed_role(role)
        if listed is None:
            targets = self.targets().signed
            self._delegate(targets, role.role, keys)
            self._stage_targets(
                targets, replace(index, agreements=(*index.agreements, ListedAgreement(document.slug, (first, second))))
            )

    def withdraw_agreement(self, slug: str) -> None:
        """Stage the end of an agreement: its delegation goes. Raises :class:`RepositoryInvalid`."""
        index, targets = self.index(), self.targets().signed
        if slug not in {listed.slug for listed in index.agreements}:
            raise RepositoryInvalid("the directory lists no such agreement", agreement=slug)
        self._undelegate(targets, agreement_role(slug))
        self._stage_targets(targets, replace(index, agreements=tuple(a for a in index.agreements if a.slug != slug)))

    def remove_agency(self, agency: AgencyId) -> tuple[str, ...]:
        """Stage that an agency leaves, with its agreements; gives their slugs. Raises :class:`RepositoryInvalid`."""
        ended = tuple(listed.slug for listed in self.index().agreements if agency in listed.parties)
        for slug in ended:
            self.withdraw_agreement(slug)
        index, targets = self.index(), self.targets().signed
        if agency not in {listed.agency for listed in index.agencies}:
            raise RepositoryInvalid("the directory lists no such agency", agency=agency)
        self._undelegate(targets, agency_role(agency))
        self._stage_targets(targets, replace(index, agencies=tuple(a for a in index.agencies if a.agency != agency)))
        return ended

    def discard(self) -> None:
        """Take back everything that is staged."""
        self.staged.clear()

    def drop_published(self) -> None:
        """Forget of what is staged what is published already: a crash after publishing leaves it standing twice."""
        for name, raw in list(self.staged.items()):
            with suppress(RejectedError, RepositoryInvalid):  # what is damaged stays, for ``discard``
                if name == "root":
                    there = self.files.get(f"metadata/{self.root().signed.version}.root.json") == raw
                elif name == "targets":
                    there = self._current(name) == raw
                else:
                    there = name != "index" and self._current(name) == parse_signed_role(raw).metadata
                if there:
                    del self.staged[name]
        if "targets" not in self.staged:
            self.staged.pop("index", None)

    # --- signing and publishing ------------------------------------------------------------------------------------

    def sign(self, key: SigningKey) -> tuple[str, ...]:
        """A custodian's signature on all that is staged and theirs to sign; gives the parts' names.

        Raises :class:`RepositoryInvalid` where nothing is, and what :meth:`check_staged` raises.
        """
        self.check_staged()
        signer, keyid = CompositeSigner(key), key.public.key_id.hex()
        new, before = self.root().signed, self.published_root()
        old_ids = set() if before is None else set(before.signed.roles["root"].keyids)
        signed = []
        if "root" in self.staged and keyid in {*new.roles["root"].keyids, *old_ids}:
            root = self.root()
            root.sign(signer, append=True)
            self.staged["root"] = root.to_bytes()
            signed.append("root")
        if "targets" in self.staged and keyid in new.roles["targets"].keyids:
            targets = self.targets()
            targets.sign(signer, append=True)
            self.staged["targets"] = targets.to_bytes()
            signed.append("targets")
        if not signed:
            raise RepositoryInvalid("nothing is staged that this key signs", key_id=keyid[:16])
        return tuple(signed)

    def merge(self, other: Repository) -> int:
        """Take over the signatures that ``other``, a copy, has on the same staged parts; gives how many are new.

        Only a custodian's that verifies counts, whatever stands there in its name. Raises :class:`RepositoryInvalid`
        where it is no copy of this one.
        """
        custodians = self._custodians()
        new = 0
        for part in ("root", "targets"):
            if part not in self.staged:
                continue
            if part not in other.staged:
                raise RepositoryInvalid("the other has nothing staged of that kind", part=part)
            mine, theirs = (_read_custodial(part, staged[part]) for staged in (self.staged, other.staged))
            if mine.signed_bytes != theirs.signed_bytes:
                raise RepositoryInvalid("the other has something else staged: it is no copy of this", part=part)
            had = signatures_of(mine, custodians)
            mine.signatures.clear()
            mine.signatures.update({**signatures_of(theirs, custodians), **had})
            new += len(mine.signatures) - len(had)
            self.staged[part] = mine.to_bytes()
        return new

    # --- inner -----------------------------------------------------------------------------------------------------

    def _known_identity(self, agency: AgencyId) -> VerifyKey:
        identity = self.identity(agency)
        if identity is None:
            raise RepositoryInvalid("the directory lists no such agency", agency=agency)
        return identity

    def _check_signed(self, role: SignedRole, keys: Sequence[VerifyKey]) -> None:
        if len(role.signed_by(keys)) != len(set(keys)):  # one key for both parties signs for none
            raise RepositoryInvalid("the file is not signed by the identity keys that must sign it", role=role.role)

    def _check_version(self, role: SignedRole) -> None:
        published = self._published_version(role.role)
        if role.version <= published:
            raise RepositoryInvalid(
                "the file is not newer than what is published",
                role=role.role,
                version=role.version,
                published=published,
            )

    def _stage_root(
        self,
        hub: AgencyId,
        custodians: Sequence[Custodian],
        threshold: int,
        online: Sequence[VerifyKey],
        version: int,
        expires: datetime,
    ) -> None:
        keys = {key.key_id.hex(): CompositeKey(key) for key in (*(c.key for c in custodians), *online)}
        ours, operators = [c.key.key_id.hex() for c in custodians], [key.key_id.hex() for key in online]
        roles = {
            "root": Role(ours, threshold),
            "targets": Role(ours, threshold),
            "snapshot": Role(operators, 1),
            "timestamp": Role(operators, 1),
        }
        fields = {HUB_FIELD: hub, CUSTODIANS_FIELD: {c.key.key_id.hex(): c.name for c in custodians}}
        root = TufRoot(version, None, expires, dict(keys), roles, True, fields)
        self.staged["root"] = Metadata(root).to_bytes()

    def _stage_targets(self, targets: Targets, index: Index) -> None:
        raw = encode_index(index)
        targets.version = self._published_version("targets") + 1
        targets.targets = {INDEX: TargetFile.from_data(INDEX, raw, ["sha256"])}
        check_delegations(targets, index)
        self.staged["index"] = raw
        self.staged["targets"] = Metadata(targets).to_bytes()  # whatever was signed before is another text

    def _delegate(self, targets: Targets, name: str, keys: Sequence[VerifyKey]) -> None:
        self._undelegate(targets, name)
        if targets.delegations is None or targets.delegations.roles is None:
            targets.delegations = Delegations({}, {})
        role = DelegatedRole(name, [], len(keys), True, paths=[target_path(name)])
        assert targets.delegations.roles is not None  # noqa: S101 - just made
        targets.delegations.roles[name] = role
        for key in keys:
            targets.add_key(CompositeKey(key), name)

    def _undelegate(self, targets: Targets, name: str) -> None:
        delegations = targets.delegations
        if delegations is None or delegations.roles is None or name not in delegations.roles:
            return
        for keyid in list(delegations.roles[name].keyids):
            targets.revoke_key(keyid, name)
        del delegations.roles[name]


def _read_custodial(part: str, raw: bytes) -> Metadata[TufRoot] | Metadata[Targets]:
    return read_metadata(raw, TufRoot, part) if part == "root" else read_metadata(raw, Targets, part)
