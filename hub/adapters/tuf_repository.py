"""The directory's repository as the custodians and the operator change it: staged, signed one by one, published.

docs/spec/directory.md, section 8. A repository is a folder, or one file that is carried between custodians (a
*proposal*). Everything is in memory while it is changed (hub/adapters/repository_files.py reads and writes it); what is
staged is made the current version by hub/adapters/tuf_publish.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Role,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
    VerificationResult,
)
from tuf.api.metadata import (
    Root as TufRoot,
)

from hub.adapters.directory_files import BundleFiles
from hub.adapters.tuf_keys import CompositeKey, CompositeSigner
from hub.adapters.tuf_metadata import RepositoryInvalid, after, hashed_path, read_metadata, root_versions
from hub.adapters.tuf_reader import (
    CUSTODIANS_FIELD,
    HUB_FIELD,
    INDEX,
    check_delegations,
    read_directory,
    read_root,
)
from hub.adapters.tuf_roles import (
    SignedRole,
    SignedRoleUnsigned,
    agency_role,
    agreement_role,
    encode_signed_role,
    parse_signed_role,
    read_agreement,
    read_statement,
    target_path,
)
from hub.model import AgencyId
from hub.trust.composite import SigningKey, VerifyKey
from hub.trust.directory import Directory, DirectoryFault, DirectoryParts, build_directory
from hub.trust.index import Index, ListedAgency, ListedAgreement, encode_index, parse_index
from hub.trust.root import Custodian, Root

ROOT_DAYS: Final = 730
TARGETS_DAYS: Final = 366
"""How long what the custodians signed holds without a new signature of theirs."""
_DRAFT_MS: Final = 86_400_000
"""How long a draft that is shown would hold: it is nobody's directory."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a staged part still lacks: how many signatures, and the custodians who could give one."""

    part: str
    lacking: int
    signed_by: tuple[str, ...]
    could_sign: tuple[str, ...]


@dataclass(slots=True)
class Repository:
    """``files`` are what is published, by path; ``staged`` what is not yet, by name (``root``, ``targets``, ``index``,
    and the names of delegated roles). All methods that change something stage it, and save nothing."""

    files: dict[str, bytes] = field(default_factory=dict)
    staged: dict[str, bytes] = field(default_factory=dict)

    # --- what stands ---------------------------------------------------------------------------------------------

    def root(self) -> Metadata[TufRoot]:
        """The root, staged or else the newest published. Raises :class:`RepositoryInvalid`."""
        raw = self.staged.get("root") or self._newest("root")
        return read_metadata(raw, TufRoot, "root")

    def published_root(self) -> Metadata[TufRoot] | None:
        """The newest published root."""
        raw = self._newest("root")
        return None if raw is None else read_metadata(raw, TufRoot, "root")

    def targets(self) -> Metadata[Targets]:
        """The custodians' targets, staged or else published."""
        raw = self.staged.get("targets") or self._current("targets")
        return read_metadata(raw, Targets, "targets")

    def index(self) -> Index:
        """The index, staged or else published."""
        raw = self.staged.get("index") or self._target(INDEX, self.targets().signed.targets[INDEX])
        if raw is None:
            raise RepositoryInvalid("the repository has no index")
        return parse_index(raw)

    def role(self, name: str) -> SignedRole | None:
        """A delegated role's file, staged or else published; ``None`` where there is none."""
        if name in self.staged:
            return parse_signed_role(self.staged[name])
        metadata = self._current(name)
        if metadata is None:
            return None
        signed = read_metadata(metadata, Targets, name).signed
        payload = self._target(target_path(name), signed.targets[target_path(name)])
        return None if payload is None else SignedRole(name, metadata, payload)

    def identity(self, agency: AgencyId) -> VerifyKey | None:
        """The identity key that the custodians list for ``agency``, or are about to."""
        delegations = self.targets().signed.delegations
        if delegations is None or delegations.roles is None or agency_role(agency) not in delegations.roles:
            return None
        key = delegations.keys[delegations.roles[agency_role(agency)].keyids[0]]
        return key.verify_key if isinstance(key, CompositeKey) else None

    def published_identity(self, agency: AgencyId) -> VerifyKey | None:
        """The identity key that the published directory lists for ``agency``."""
        return None if not self.files else Repository(dict(self.files)).identity(agency)

    def published(self, now_ms: int) -> Directory | None:
        """The directory as it is published, to be compared with; expired or not. ``None`` where there is none yet."""
        return Repository(dict(self.files)).draft(now_ms) if self.snapshot_version() else None

    def verify_from(self, root: bytes, now_ms: int) -> Directory:
        """The published directory as a reader has it who pinned ``root``. Raises what ``read_directory`` raises."""
        return read_directory(BundleFiles(self.files), root=root, now_ms=now_ms).directory

    def draft(self, now_ms: int) -> Directory:
        """The directory that what is staged would make, whoever has signed it: to be shown, never to be decided by.

        A role that its keys have not signed is a fault of it. Raises as ``build_directory`` does.
        """
        index = self.index()
        root = read_root(self.root().signed)
        check_delegations(self.targets().signed, index)
        identities = {a.agency: key for a in index.agencies if (key := self.identity(a.agency)) is not None}
        statements = {
            a.agency: self._signed_payload(agency_role(a.agency), [identities[a.agency]]) for a in index.agencies
        }
        agreements = {
            a.slug: self._signed_payload(agreement_role(a.slug), [identities[party] for party in a.parties])
            for a in index.agreements
        }
        return build_directory(
            DirectoryParts(
                root,
                self.snapshot_version() + (1 if self.staged else 0),
                now_ms,
                now_ms + _DRAFT_MS,
                b"",
                index,
                identities,
                {agency: raw for agency, raw in statements.items() if raw is not None},
                {slug: raw for slug, raw in agreements.items() if raw is not None},
                tuple(
                    DirectoryFault(agreement_role(slug), SignedRoleUnsigned.code, "a party has not signed it")
                    for slug, raw in agreements.items()
                    if raw is None
                ),
            )
        )

    def lacking(self) -> tuple[Lacking, ...]:
        """What is staged and still lacks signatures, part by part (a part that is complete has ``lacking`` 0)."""
        found = []
        new = self.root().signed
        if "root" in self.staged:
            staged, before = self.root(), self.published_root()
            result = new.get_root_verification_result(
                None if before is None else before.signed, staged.signed_bytes, staged.signatures
            )
            found.append(_lacking("root", new, result.second))
            if before is not None:
                found.append(_lacking("root, by the custodians before", before.signed, result.first))
        if "targets" in self.staged:
            targets = self.targets()
            one = new.get_verification_result("targets", targets.signed_bytes, targets.signatures)
            found.append(_lacking("targets", new, one))
        return tuple(found)

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

    # --- signing and publishing ------------------------------------------------------------------------------------

    def sign(self, key: SigningKey) -> tuple[str, ...]:
        """A custodian's signature on all that is staged and theirs to sign; gives the parts' names.

        Raises :class:`RepositoryInvalid` where nothing is.
        """
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

        Raises :class:`RepositoryInvalid` where it is no copy of this one.
        """
        new = 0
        for part in ("root", "targets"):
            if part not in self.staged:
                continue
            if part not in other.staged:
                raise RepositoryInvalid("the other has nothing staged of that kind", part=part)
            mine, theirs = (_read_custodial(part, staged[part]) for staged in (self.staged, other.staged))
            if mine.signed_bytes != theirs.signed_bytes:
                raise RepositoryInvalid("the other has something else staged: it is no copy of this", part=part)
            fresh = {keyid: found for keyid, found in theirs.signatures.items() if keyid not in mine.signatures}
            mine.signatures.update(fresh)
            new += len(fresh)
            self.staged[part] = mine.to_bytes()
        return new

    # --- inner -----------------------------------------------------------------------------------------------------

    def _newest(self, role: str) -> bytes | None:
        versions = root_versions(self.files)
        return self.files[f"metadata/{max(versions)}.{role}.json"] if versions else None

    def snapshot(self) -> Snapshot | None:
        raw = self.files.get("metadata/timestamp.json")
        if raw is None:
            return None
        version = read_metadata(raw, Timestamp, "timestamp").signed.snapshot_meta.version
        return read_metadata(self.files.get(f"metadata/{version}.snapshot.json"), Snapshot, "snapshot").signed

    def snapshot_version(self) -> int:
        snapshot = self.snapshot()
        return 0 if snapshot is None else snapshot.version

    def _published_version(self, role: str) -> int:
        snapshot = self.snapshot()
        meta = None if snapshot is None else snapshot.meta.get(f"{role}.json")
        return 0 if meta is None else meta.version

    def _current(self, role: str) -> bytes | None:
        version = self._published_version(role)
        return self.files.get(f"metadata/{version}.{role}.json") if version else None

    def _target(self, path: str, info: TargetFile) -> bytes | None:
        return self.files.get(hashed_path(path, info.hashes["sha256"]))

    def _signed_payload(self, name: str, keys: Sequence[VerifyKey]) -> bytes | None:
        role = self.role(name)
        return None if role is None or len(role.signed_by(keys)) != len(keys) else role.payload

    def _known_identity(self, agency: AgencyId) -> VerifyKey:
        identity = self.identity(agency)
        if identity is None:
            raise RepositoryInvalid("the directory lists no such agency", agency=agency)
        return identity

    def _check_signed(self, role: SignedRole, keys: Sequence[VerifyKey]) -> None:
        if len(role.signed_by(keys)) != len(set(keys)) or len(set(keys)) != len(keys):
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

    def staged_files(self) -> dict[str, bytes]:
        """What is staged, under the names that it is published by."""
        found: dict[str, bytes] = {}
        for name, raw in self.staged.items():
            if name == "root":
                found[f"metadata/{self.root().signed.version}.root.json"] = raw
            elif name == "targets":
                found[f"metadata/{self.targets().signed.version}.targets.json"] = raw
            elif name == "index":
                found[hashed_path(INDEX, _digest(raw))] = raw
            else:
                role = parse_signed_role(raw)
                found[f"metadata/{role.version}.{name}.json"] = role.metadata
                found[hashed_path(role.path, _digest(role.payload))] = role.payload
        return found


def _lacking(part: str, root: TufRoot, result: VerificationResult) -> Lacking:
    named = {custodian.key.key_id.hex(): custodian.name for custodian in read_root(root).custodians}
    signed = tuple(name for keyid, name in named.items() if keyid in result.signed)
    return Lacking(
        part, result.missing, signed, tuple(name for keyid, name in named.items() if keyid in result.unsigned)
    )


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _read_custodial(part: str, raw: bytes) -> Metadata[TufRoot] | Metadata[Targets]:
    return read_metadata(raw, TufRoot, part) if part == "root" else read_metadata(raw, Targets, part)
