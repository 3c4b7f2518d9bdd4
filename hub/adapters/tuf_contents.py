"""What stands in a directory's repository: what is published, what is staged over it, and what that still lacks.

docs/spec/directory.md, section 8. Read here, changed in hub/adapters/tuf_repository.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tuf.api.metadata import (
    Metadata,
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
from hub.adapters.tuf_keys import CompositeKey, verify_keys
from hub.adapters.tuf_metadata import RepositoryInvalid, hashed_path, read_metadata, root_versions
from hub.adapters.tuf_reader import (
    INDEX,
    check_delegations,
    read_directory,
    read_root,
    signed_at,
)
from hub.adapters.tuf_roles import (
    SignedRole,
    SignedRoleUnsigned,
    agency_role,
    agreement_role,
    parse_signed_role,
    target_path,
)
from hub.adapters.tuf_staged import check_index, check_name, check_root, check_targets
from hub.model import AgencyId
from hub.trust.composite import VerifyKey
from hub.trust.directory import Directory, DirectoryFault, DirectoryParts, build_directory
from hub.trust.index import Index, parse_index

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
class RepositoryContents:
    """``files`` are what is published, by path; ``staged`` what is not yet, by name (``root``, ``targets``, ``index``,
    and the names of delegated roles)."""

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
        signed = self.targets().signed
        info = signed.targets.get(INDEX)
        raw = None if info is None else self.staged.get("index") or self._target(INDEX, info)
        if info is None or raw is None:
            raise RepositoryInvalid("the repository has no index")
        check_index(signed, raw)
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

    def is_signed(self, role: SignedRole) -> bool:
        """Whether the keys that the custodians list for this role have all signed it."""
        delegations = self.targets().signed.delegations
        if delegations is None or delegations.roles is None or role.role not in delegations.roles:
            return False
        keys = verify_keys({keyid: delegations.keys[keyid] for keyid in delegations.roles[role.role].keyids})
        return len(role.signed_by(keys.values())) == len(keys)

    def published_identity(self, agency: AgencyId) -> VerifyKey | None:
        """The identity key that the published directory lists for ``agency``."""
        return None if not self.files else RepositoryContents(dict(self.files)).identity(agency)

    def published(self, now_ms: int) -> Directory | None:
        """The directory as it is published, to be compared with; expired or not. ``None`` where there is none yet."""
        return RepositoryContents(dict(self.files)).draft(now_ms) if self.snapshot_version() else None

    def verify_from(self, root: bytes, now_ms: int) -> Directory:
        """The published directory as a reader has it who pinned ``root``. Raises what ``read_directory`` raises."""
        return read_directory(BundleFiles(self.files), root=root, now_ms=now_ms).directory

    def dated_at_ms(self) -> int:
        """When the published directory says that it was dated: not verified. Raises :class:`RepositoryInvalid`."""
        timestamp = read_metadata(self.files.get("metadata/timestamp.json"), Timestamp, "timestamp").signed
        return signed_at(timestamp)

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
                (
                    *(
                        DirectoryFault(agency_role(agency), SignedRoleUnsigned.code, "it has not signed its keys")
                        for agency, raw in statements.items()
                        if raw is None
                    ),
                    *(
                        DirectoryFault(agreement_role(slug), SignedRoleUnsigned.code, "a party has not signed it")
                        for slug, raw in agreements.items()
                        if raw is None
                    ),
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

    def check_staged(self) -> None:
        """That what a custodian is asked to sign says what :meth:`draft` shows, and nothing else.

        Raises :class:`RepositoryInvalid`, ``RootInvalid``, ``DirectoryMalformed``, ``IndexMalformed``.
        """
        root, before = self.root().signed, self.published_root()
        if "root" in self.staged:
            check_root(root, 1 if before is None else before.signed.version + 1)
        read_root(root)
        index, targets = self.index(), self.targets().signed
        if "targets" in self.staged:
            check_targets(targets, self._published_version("targets") + 1)
        check_delegations(targets, index)
        for listed in index.agencies:
            check_name(listed.name, agency=listed.agency)
        for name, raw in self.staged.items():
            if name not in ("root", "targets", "index") and parse_signed_role(raw).role != name:
                raise RepositoryInvalid("a role is staged under another's name", role=name)

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

    def _custodians(self) -> list[VerifyKey]:
        """Those of the root that is published, and of the one that is staged."""
        roots = [read_root(self.root().signed)]
        before = self.published_root()
        roots += [] if before is None else [read_root(before.signed)]
        return [custodian.key for root in roots for custodian in root.custodians]

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
