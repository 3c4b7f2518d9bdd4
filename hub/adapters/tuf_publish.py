"""Publishing a repository: what is staged becomes the current version, and the operator's key dates it.

docs/spec/directory.md, sections 8 and 9. What comes out was verified as a reader does before anybody gets it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tuf.api.metadata import Metadata, MetaFile, Snapshot, Targets, Timestamp

from hub.adapters.directory_files import BundleFiles
from hub.adapters.tuf_keys import CompositeSigner
from hub.adapters.tuf_metadata import RepositoryInvalid, after, hashed_path, read_metadata, root_versions
from hub.adapters.tuf_reader import SIGNED_AT, Verified, read_directory
from hub.adapters.tuf_repository import TARGETS_DAYS, Repository
from hub.adapters.tuf_roles import parse_signed_role
from hub.errors import ConfigError
from hub.trust.composite import SigningKey

TIMESTAMP_DAYS: Final = 14
"""How long a published directory holds: as long as a site may be away, and the operator's key be stolen unnoticed."""
_SNAPSHOT: Final = re.compile(r"metadata/([0-9]+)\.snapshot\.json", re.ASCII)


class RepositoryUnsigned(ConfigError):
    """What is staged lacks signatures."""

    code = "repository.unsigned"


@dataclass(frozen=True, slots=True)
class Published:
    """What :func:`publish` made: the verified directory, and the paths that are new or no longer wanted."""

    verified: Verified
    written: tuple[str, ...]
    dropped: tuple[str, ...]


def publish(
    repository: Repository, online: SigningKey, *, now_ms: int, days: int = TIMESTAMP_DAYS, above: int = 0
) -> Published:
    """Make what is staged the current version, or date the current one anew. In memory: see save_repository.

    ``above``: the version's number is higher than this one, which readers have seen and we never made (directory 8.4).
    What comes out was verified as a reader does. Raises :class:`RepositoryUnsigned`, :class:`RepositoryInvalid`,
    and what the reader refuses.
    """
    missing = [part for part in repository.lacking() if part.lacking]
    if missing:
        told = "; ".join(f"{part.part}: {part.lacking} more, of {', '.join(part.could_sign)}" for part in missing)
        raise RepositoryUnsigned(f"signatures are lacking: {told}")
    files = {**repository.files, **repository.staged_files()}
    signer = CompositeSigner(online)
    if signer.public_key.keyid not in repository.root().signed.roles["timestamp"].keyids:
        raise RepositoryInvalid("this key is none of the root's online keys", key_id=signer.public_key.keyid[:16])
    snapshot = _next_snapshot(repository, files, now_ms, above)
    if snapshot is not None:
        metadata = Metadata(snapshot)
        metadata.sign(signer)
        files[f"metadata/{snapshot.version}.snapshot.json"] = metadata.to_bytes()
    version = repository.snapshot_version() if snapshot is None else snapshot.version
    files["metadata/timestamp.json"] = _next_timestamp(repository, files, version, signer, now_ms, days)
    kept = _wanted(files, version)
    first_root = min(root_versions(files))
    verified = read_directory(BundleFiles(kept), root=files[f"metadata/{first_root}.root.json"], now_ms=now_ms)
    written = tuple(path for path, raw in kept.items() if repository.files.get(path) != raw)
    dropped = tuple(sorted(repository.files.keys() - kept.keys()))
    repository.files, repository.staged = kept, {}
    return Published(verified, written, dropped)


def date_again(repository: Repository, online: SigningKey, *, now_ms: int, days: int = TIMESTAMP_DAYS) -> Published:
    """Date the published version anew; what is staged, signed or not, goes on waiting. Raises as :func:`publish`."""
    if not repository.files:
        raise RepositoryInvalid("nothing is published yet")
    published = Repository(dict(repository.files))
    done = publish(published, online, now_ms=now_ms, days=days)
    repository.files = published.files
    return done


def urgent_part(repository: Repository) -> Repository:
    """The repository with only that staged which no custodian signs: newer statements and agreements, signed by the
    keys that are published for them. Raises :class:`RepositoryInvalid` where there is nothing of that kind."""
    if not repository.files:
        raise RepositoryInvalid("nothing is published yet")
    part = Repository(dict(repository.files))
    part.staged = {
        name: raw
        for name, raw in repository.staged.items()
        if name not in ("root", "targets", "index") and part.is_signed(parse_signed_role(raw))
    }
    if not part.staged:
        raise RepositoryInvalid("nothing is staged that needs no custodian")
    return part


def publish_urgent(repository: Repository, online: SigningKey, *, now_ms: int, days: int = TIMESTAMP_DAYS) -> Published:
    """Publish :func:`urgent_part`; the rest stays staged: a revocation does not wait for a ceremony. Raises as
    :func:`publish`."""
    part = urgent_part(repository)
    done = set(part.staged)
    made = publish(part, online, now_ms=now_ms, days=days)
    repository.files = part.files
    repository.staged = {name: raw for name, raw in repository.staged.items() if name not in done}
    return made


def _next_snapshot(repository: Repository, files: Mapping[str, bytes], now_ms: int, above: int) -> Snapshot | None:
    """The snapshot of ``files`` after the published one, or ``None`` where nothing changed and it still holds."""
    before = repository.snapshot()
    meta = {} if before is None else dict(before.meta)
    for name in repository.staged:
        if name in ("root", "index"):
            continue
        version = (
            repository.targets().signed.version
            if name == "targets"
            else parse_signed_role(repository.staged[name]).version
        )
        meta[f"{name}.json"] = MetaFile.from_data(version, files[f"metadata/{version}.{name}.json"], ["sha256"])
    renewed = before is None or before.expires < after(now_ms, TARGETS_DAYS // 2)
    number = 0 if before is None else before.version
    if before is not None and meta == before.meta and not renewed and above < number:
        return None
    version = max(number, above) + 1
    return Snapshot(version, None, after(now_ms, TARGETS_DAYS), meta)


def _next_timestamp(
    repository: Repository, files: Mapping[str, bytes], version: int, signer: CompositeSigner, now_ms: int, days: int
) -> bytes:
    raw = repository.files.get("metadata/timestamp.json")
    number = 1 if raw is None else read_metadata(raw, Timestamp, "timestamp").signed.version + 1
    meta = MetaFile.from_data(version, files[f"metadata/{version}.snapshot.json"], ["sha256"])
    metadata = Metadata(Timestamp(number, None, after(now_ms, days), meta, {SIGNED_AT: now_ms}))
    metadata.sign(signer)
    return metadata.to_bytes()


def _wanted(files: Mapping[str, bytes], version: int) -> dict[str, bytes]:
    """The files of the snapshot ``version`` and of the one before, which a reader may be at, and every root."""
    wanted = {"metadata/timestamp.json"} | {f"metadata/{number}.root.json" for number in root_versions(files)}
    earlier = [int(found[1]) for path in files if (found := _SNAPSHOT.fullmatch(path)) and int(found[1]) < version]
    for number in (*sorted(earlier)[-1:], version):
        name = f"metadata/{number}.snapshot.json"
        if name not in files:
            continue
        wanted.add(name)
        for role, meta in read_metadata(files[name], Snapshot, "snapshot").signed.meta.items():
            path = f"metadata/{meta.version}.{role}"
            if path not in files:
                continue
            wanted.add(path)
            for target, info in read_metadata(files[path], Targets, role).signed.targets.items():
                wanted.add(hashed_path(target, info.hashes["sha256"]))
    return {path: files[path] for path in sorted(files) if path in wanted}
