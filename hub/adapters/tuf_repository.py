"""The directory's repository as the custodians and the operator change it: staged, signed one by one, published.

docs/spec/directory.md, section 8. A repository is a folder, or one file that is carried between custodians (a
*proposal*). Everything is in memory while it is changed; :func:`save_repository` writes it. What was published is never
changed: a new version goes beside it, and the timestamp, which makes it the current one, is written last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
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

from hub.adapters.directory_files import MAX_BUNDLE, BundleFiles, FolderFiles, encode_bundle, in_order, parse_bundle
from hub.adapters.files import read_file, write_file
from hub.adapters.tuf_keys import CompositeKey, CompositeSigner
from hub.adapters.tuf_reader import (
    CUSTODIANS_FIELD,
    HUB_FIELD,
    INDEX,
    SIGNED_AT,
    Verified,
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
from hub.errors import ConfigError
from hub.model import AgencyId
from hub.trust.composite import SigningKey, VerifyKey
from hub.trust.directory import Directory, DirectoryFault, DirectoryParts, build_directory
from hub.trust.index import Index, ListedAgency, ListedAgreement, encode_index, parse_index
from hub.trust.root import Custodian, Root

ROOT_DAYS: Final = 730
TARGETS_DAYS: Final = 366
"""How long what the custodians signed holds without a new signature of theirs."""
TIMESTAMP_DAYS: Final = 14
"""How long a published directory holds: as long as a site may be away, and the operator's key be stolen unnoticed."""

_STAGED: Final = "staged/"
_S = TypeVar("_S", TufRoot, Timestamp, Snapshot, Targets)


class RepositoryInvalid(ConfigError):
    """A repository that cannot be worked with, or a change that makes no sense in it."""

    code = "repository.invalid"


class RepositoryUnsigned(ConfigError):
    """What is staged lacks signatures."""

    code = "repository.unsigned"


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a staged part still lacks: how many signatures, and the custodians who could give one."""

    part: str
    lacking: int
    signed_by: tuple[str, ...]
    could_sign: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """What :meth:`Repository.publish` wrote: the verified directory, and the paths that are new or no longer wanted."""

    verified: Verified
    written: tuple[str, ...]
    dropped: tuple[str, ...]


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
        return _parse(raw, TufRoot, "root")

    def published_root(self) -> Metadata[TufRoot] | None:
        """The newest published root."""
        raw = self._newest("root")
        return None if raw is None else _parse(raw, TufRoot, "root")

    def targets(self) -> Metadata[Targets]:
        """The custodians' targets, staged or else published."""
        raw = self.staged.get("targets") or self._current("targets")
        return _parse(raw, Targets, "targets")

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
        signed = _parse(metadata, Targets, name).signed
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
        return Repository(dict(self.files)).draft(now_ms) if self._snapshot_version() else None

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
                self._snapshot_version() + (1 if self.staged else 0),
                now_ms,
                now_ms + TIMESTAMP_DAYS * 86_400_000,
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
        repository._stage_root(hub, custodians, threshold, online, 1, _after(now_ms, root_days))
        targets = Targets(expires=_after(now_ms, targets_days), delegations=Delegations({}, {}))
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
        self._stage_root(root.hub, named, wanted, keys, version, _after(now_ms, days))
        self.renew(now_ms=now_ms)

    def renew(self, *, now_ms: int, days: int = TARGETS_DAYS) -> None:
        """Stage the targets as they are, to hold for ``days`` more."""
        targets = self.targets().signed
        targets.expires = _after(now_ms, days)
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
            mine, theirs = (_parse_custodial(part, staged[part]) for staged in (self.staged, other.staged))
            if mine.signed_bytes != theirs.signed_bytes:
                raise RepositoryInvalid("the other has something else staged: it is no copy of this", part=part)
            fresh = {keyid: found for keyid, found in theirs.signatures.items() if keyid not in mine.signatures}
            mine.signatures.update(fresh)
            new += len(fresh)
            self.staged[part] = mine.to_bytes()
        return new

    def publish(self, online: SigningKey, *, now_ms: int, days: int = TIMESTAMP_DAYS) -> Published:
        """Make what is staged the current version, or date the current one anew. In memory: see save_repository.

        What comes out was verified as a reader does. Raises :class:`RepositoryUnsigned`, :class:`RepositoryInvalid`,
        and what the reader refuses.
        """
        missing = [part for part in self.lacking() if part.lacking]
        if missing:
            told = "; ".join(f"{part.part}: {part.lacking} more, of {', '.join(part.could_sign)}" for part in missing)
            raise RepositoryUnsigned(f"signatures are lacking: {told}")
        files = {**self.files, **self._staged_files()}
        signer = CompositeSigner(online)
        if signer.public_key.keyid not in self.root().signed.roles["timestamp"].keyids:
            raise RepositoryInvalid("this key is none of the root's online keys", key_id=signer.public_key.keyid[:16])
        snapshot = self._next_snapshot(files, now_ms)
        if snapshot is not None:
            metadata = Metadata(snapshot)
            metadata.sign(signer)
            files[f"metadata/{snapshot.version}.snapshot.json"] = metadata.to_bytes()
        version = self._snapshot_version() if snapshot is None else snapshot.version
        files["metadata/timestamp.json"] = self._next_timestamp(files, version, signer, now_ms, days)
        kept = _wanted(files, version)
        first_root = min(_root_versions(files))
        verified = read_directory(BundleFiles(kept), root=files[f"metadata/{first_root}.root.json"], now_ms=now_ms)
        written = tuple(path for path, raw in kept.items() if self.files.get(path) != raw)
        dropped = tuple(sorted(self.files.keys() - kept.keys()))
        self.files, self.staged = kept, {}
        return Published(verified, written, dropped)

    # --- inner -----------------------------------------------------------------------------------------------------

    def _newest(self, role: str) -> bytes | None:
        versions = _root_versions(self.files)
        return self.files[f"metadata/{max(versions)}.{role}.json"] if versions else None

    def _snapshot(self) -> Snapshot | None:
        raw = self.files.get("metadata/timestamp.json")
        if raw is None:
            return None
        version = _parse(raw, Timestamp, "timestamp").signed.snapshot_meta.version
        return _parse(self.files.get(f"metadata/{version}.snapshot.json"), Snapshot, "snapshot").signed

    def _snapshot_version(self) -> int:
        snapshot = self._snapshot()
        return 0 if snapshot is None else snapshot.version

    def _published_version(self, role: str) -> int:
        snapshot = self._snapshot()
        meta = None if snapshot is None else snapshot.meta.get(f"{role}.json")
        return 0 if meta is None else meta.version

    def _current(self, role: str) -> bytes | None:
        version = self._published_version(role)
        return self.files.get(f"metadata/{version}.{role}.json") if version else None

    def _target(self, path: str, info: TargetFile) -> bytes | None:
        folder, slash, name = path.rpartition("/")
        return self.files.get(f"targets/{folder}{slash}{info.hashes['sha256']}.{name}")

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

    def _staged_files(self) -> dict[str, bytes]:
        """What is staged, under the names that it is published by."""
        found: dict[str, bytes] = {}
        for name, raw in self.staged.items():
            if name == "root":
                found[f"metadata/{self.root().signed.version}.root.json"] = raw
            elif name == "targets":
                found[f"metadata/{self.targets().signed.version}.targets.json"] = raw
            elif name == "index":
                found[f"targets/{TargetFile.from_data(INDEX, raw, ['sha256']).hashes['sha256']}.{INDEX}"] = raw
            else:
                role = parse_signed_role(raw)
                folder, slash, last = role.path.rpartition("/")
                digest = TargetFile.from_data(role.path, role.payload, ["sha256"]).hashes["sha256"]
                found[f"metadata/{role.version}.{name}.json"] = role.metadata
                found[f"targets/{folder}{slash}{digest}.{last}"] = role.payload
        return found

    def _next_snapshot(self, files: Mapping[str, bytes], now_ms: int) -> Snapshot | None:
        """The snapshot of ``files`` after the published one, or ``None`` where nothing changed and it still holds."""
        before = self._snapshot()
        meta = {} if before is None else dict(before.meta)
        for name in self.staged:
            if name in ("root", "index"):
                continue
            version = (
                self.targets().signed.version if name == "targets" else parse_signed_role(self.staged[name]).version
            )
            meta[f"{name}.json"] = MetaFile.from_data(version, files[f"metadata/{version}.{name}.json"], ["sha256"])
        renewed = before is None or before.expires < _after(now_ms, TARGETS_DAYS // 2)
        if before is not None and meta == before.meta and not renewed:
            return None
        version = 1 if before is None else before.version + 1
        return Snapshot(version, None, _after(now_ms, TARGETS_DAYS), meta)

    def _next_timestamp(
        self, files: Mapping[str, bytes], version: int, signer: CompositeSigner, now_ms: int, days: int
    ) -> bytes:
        raw = self.files.get("metadata/timestamp.json")
        number = 1 if raw is None else _parse(raw, Timestamp, "timestamp").signed.version + 1
        meta = MetaFile.from_data(version, files[f"metadata/{version}.snapshot.json"], ["sha256"])
        metadata = Metadata(Timestamp(number, None, _after(now_ms, days), meta, {SIGNED_AT: now_ms}))
        metadata.sign(signer)
        return metadata.to_bytes()


def _lacking(part: str, root: TufRoot, result: VerificationResult) -> Lacking:
    named = {custodian.key.key_id.hex(): custodian.name for custodian in read_root(root).custodians}
    signed = tuple(name for keyid, name in named.items() if keyid in result.signed)
    return Lacking(
        part, result.missing, signed, tuple(name for keyid, name in named.items() if keyid in result.unsigned)
    )


def _wanted(files: Mapping[str, bytes], version: int) -> dict[str, bytes]:
    """The files of the snapshot ``version`` and of the one before, which a reader may be at, and every root."""
    wanted = {"metadata/timestamp.json"} | {f"metadata/{number}.root.json" for number in _root_versions(files)}
    for number in (version - 1, version):
        name = f"metadata/{number}.snapshot.json"
        if name not in files:
            continue
        wanted.add(name)
        for role, meta in _parse(files[name], Snapshot, "snapshot").signed.meta.items():
            path = f"metadata/{meta.version}.{role}"
            if path not in files:
                continue
            wanted.add(path)
            for target, info in _parse(files[path], Targets, role).signed.targets.items():
                folder, slash, last = target.rpartition("/")
                wanted.add(f"targets/{folder}{slash}{info.hashes['sha256']}.{last}")
    return {path: files[path] for path in sorted(files) if path in wanted}


def _root_versions(files: Mapping[str, bytes]) -> list[int]:
    return [int(path.removeprefix("metadata/").partition(".")[0]) for path in files if path.endswith(".root.json")]


def _after(now_ms: int, days: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(days=days)


def _parse(raw: bytes | None, kind: type[_S], what: str) -> Metadata[_S]:
    if raw is None:
        raise RepositoryInvalid("the repository lacks a part", part=what)
    try:
        metadata = Metadata[_S].from_bytes(raw)
    except (RepositoryError, UnverifiedSignatureError) as error:
        raise RepositoryInvalid(f"a part of the repository is damaged: {error}", part=what) from error
    if not isinstance(metadata.signed, kind):
        raise RepositoryInvalid("a part of the repository is of another kind", part=what, found=metadata.signed.type)
    return metadata


def _parse_custodial(part: str, raw: bytes) -> Metadata[TufRoot] | Metadata[Targets]:
    return _parse(raw, TufRoot, part) if part == "root" else _parse(raw, Targets, part)


# --- on disk ----------------------------------------------------------------------------------------------------------


def load_repository(path: Path) -> Repository:
    """The repository in a folder, or in one file. Raises ``FileUnreadable``, ``DirectoryBundleMalformed``."""
    if path.is_dir():
        folder = FolderFiles(path)
        found = {name: raw for name in folder.paths() if (raw := folder.read(name)) is not None}
        staged = {
            file.name.removesuffix(".json"): read_file(file, MAX_BUNDLE)
            for file in sorted((path / "staged").glob("*.json"))
        }
        return Repository(found, staged)
    bundle = parse_bundle(read_file(path, MAX_BUNDLE), staged=True)
    staged = {
        name.removeprefix(_STAGED).removesuffix(".json"): raw
        for name, raw in bundle.files.items()
        if name.startswith(_STAGED)
    }
    return Repository({name: raw for name, raw in bundle.files.items() if not name.startswith(_STAGED)}, staged)


def save_repository(repository: Repository, path: Path) -> None:
    """Write it to a folder (what is published first, its timestamp last, then what is staged) or to one file.

    A path that ends in ``.json`` is a file. Raises ``FileUnreadable``.
    """
    if path.suffix == ".json":
        staged = {f"{_STAGED}{name}.json": raw for name, raw in repository.staged.items()}
        write_file(path, encode_bundle({**repository.files, **staged}))
        return
    folder = FolderFiles(path)
    for name in in_order(repository.files):
        if folder.read(name) != repository.files[name]:
            folder.write(name, repository.files[name])
    for name in set(folder.paths()) - repository.files.keys():
        folder.remove(name)
    (path / "staged").mkdir(parents=True, exist_ok=True)
    for name, raw in repository.staged.items():
        write_file(path / "staged" / f"{name}.json", raw)
    for file in (path / "staged").glob("*.json"):
        if file.name.removesuffix(".json") not in repository.staged:
            file.unlink()
