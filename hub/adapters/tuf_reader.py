"""The directory from a TUF repository, behind its port: verified by python-tuf, yielded as the frozen ``Directory``.

docs/spec/directory.md, section 6. The library's updater is synchronous and keeps files, so :meth:`TufDirectory.refresh`
is for a thread, one at a time for a folder; :meth:`TufDirectory.current` touches no file and never waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field, StrictInt, StrictStr, ValidationError
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.metadata import Root as TufRoot
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from hub.adapters.directory_files import DirectoryFiles, open_files
from hub.adapters.files import FileUnreadable, read_file, write_file
from hub.adapters.tuf_keys import verify_keys
from hub.adapters.tuf_roles import (
    SignedRoleMalformed,
    agency_role,
    agreement_role,
    check_lists,
    check_version,
    target_path,
)
from hub.errors import ConfigError, HubError, InvariantError, RejectedError, UnavailableError
from hub.model import AgencyId, NameInvalid, parse_agency_id
from hub.ports import Clock
from hub.trust.composite import VerifyKey
from hub.trust.directory import (
    Directory,
    DirectoryEquivocation,
    DirectoryExpired,
    DirectoryFault,
    DirectoryMalformed,
    DirectoryParts,
    DirectoryRolledBack,
    DirectoryTooFewSignatures,
    build_directory,
    check_succession,
    check_times,
)
from hub.trust.index import Index, parse_index
from hub.trust.root import Custodian, Root, RootInvalid
from hub.trust.signed_json import Strict, encode_json, first_fault, read_strict_json
from hub.wire.limits import SEQUENCE

INDEX: Final = "index.json"
SIGNED_AT: Final = "signed_at_ms"
"""When the timestamp was signed: our field in its metadata."""
HUB_FIELD: Final = "hub"
CUSTODIANS_FIELD: Final = "custodians"
"""The custodians' names by key id: our field in the root's metadata."""

_LIMITS: Final = UpdaterConfig(
    root_max_length=1_000_000,
    snapshot_max_length=4_000_000,
    targets_max_length=16_000_000,
)
MAX_ROOT: Final = 1_000_000
_MISSING: Final = "role.missing"

logging.getLogger("tuf").setLevel(logging.CRITICAL)  # what is refused is raised, and said in our own words


class DirectoryMissing(UnavailableError):
    """There is no directory to read."""

    code = "directory.missing"


class DirectoryRefused(UnavailableError):
    """The directory is refused, and there is no earlier one that holds. ``reason`` has the refusal's own code."""

    code = "directory.refused"


class DirectoryMemoryInvalid(ConfigError):
    """What was remembered of the directories seen is damaged: without it a rollback could not be noticed."""

    code = "directory.memory_invalid"


# --- the root ---------------------------------------------------------------------------------------------------------


def parse_root(raw: bytes) -> Root:
    """A root's metadata as what it says; that enough of its own custodians have signed it is checked.

    Nothing vouches for a pinned root but the hand that brought it. Raises :class:`RootInvalid`.
    """
    try:
        metadata = Metadata[TufRoot].from_bytes(raw)
        if not isinstance(metadata.signed, TufRoot):
            raise RootInvalid("not a root", found=metadata.signed.type)
        metadata.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
        return read_root(metadata.signed)
    except RepositoryError as error:
        raise RootInvalid(f"not a root that its custodians signed: {error}") from error


def read_root(signed: TufRoot) -> Root:
    """What a root's metadata says: hub, custodians, threshold, the operator's keys. Raises :class:`RootInvalid`."""
    names = signed.unrecognized_fields.get(CUSTODIANS_FIELD)
    try:
        keys = verify_keys(signed.keys)
        custodian_ids = signed.roles["root"].keyids
        online_ids = signed.roles["timestamp"].keyids
        if not isinstance(names, dict) or set(names) != set(custodian_ids):
            raise ValueError("the custodians' names are not those of the root's keys")
        if not all(isinstance(name, str) for name in names.values()):
            raise ValueError("a custodian's name is a text")
        if signed.roles["targets"].keyids != custodian_ids or signed.roles["snapshot"].keyids != online_ids:
            raise ValueError("the custodians sign root and targets, the operator snapshot and timestamp")
        if signed.roles["targets"].threshold != signed.roles["root"].threshold or not signed.consistent_snapshot:
            raise ValueError("root and targets have one threshold, and snapshots are consistent")
        if signed.roles["snapshot"].threshold != 1 or signed.roles["timestamp"].threshold != 1:
            raise ValueError("one key of the operator dates the directory")
        return Root(
            parse_agency_id(str(signed.unrecognized_fields.get(HUB_FIELD))),
            tuple(Custodian(names[keyid][:200], keys[keyid]) for keyid in custodian_ids),
            signed.roles["root"].threshold,
            tuple(keys[keyid] for keyid in online_ids),
            signed.version,
        )
    except NameInvalid as error:
        raise RootInvalid(f"not a root of ours: {error.message}", **error.details) from error
    except (ValueError, KeyError) as error:
        raise RootInvalid(f"not a root of ours: {error}") from error


def load_root_bytes(path: Path) -> bytes:
    """The pinned root's file, checked to be one. Raises :class:`RootInvalid`, ``FileUnreadable``."""
    raw = read_file(path, MAX_ROOT)
    try:
        parse_root(raw)
    except RootInvalid as error:
        raise RootInvalid(error.message, file=path, **error.details) from error
    return raw


# --- reading once -----------------------------------------------------------------------------------------------------


class _Fetcher(FetcherInterface):
    def __init__(self, files: DirectoryFiles) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        raw = self._files.read(url)
        if raw is None:
            raise DownloadHTTPError(f"there is no {url}", 404)
        if url.startswith("metadata/"):
            try:
                read_strict_json(raw)  # the library reads more loosely (directory 2.1)
            except ValueError as error:
                raise DownloadError(f"{url}: {error}") from error
        return iter((raw,))


@dataclass(frozen=True, slots=True)
class Verified:
    """One version of the directory, and the metadata that vouches for it.

    ``until_ms`` is when the first of the delegated roles that hold expires: then the same files say something else.
    """

    directory: Directory
    root: Root
    targets: Targets
    snapshot: Snapshot
    until_ms: int

    @property
    def complete(self) -> bool:
        """Whether every file that it names was there."""
        return not any(fault.code == _MISSING for fault in self.directory.faults)


def read_directory(
    files: DirectoryFiles, *, root: bytes, now_ms: int, folder: Path | None = None, unchanged: Verified | None = None
) -> Verified:
    """Verify the repository in ``files`` from the pinned ``root`` on. ``folder`` keeps the library's own memory.

    ``unchanged``: a directory that is given back with new times where the snapshot is still its snapshot.

    Raises :class:`DirectoryMissing`, ``DirectoryExpired``, ``DirectoryNotYetValid``, ``DirectoryRolledBack``,
    ``DirectoryTooFewSignatures``, ``DirectoryMalformed``, ``DirectoryOtherHub``, ``DirectoryKeyShared``,
    ``IndexMalformed``, ``RootInvalid``, ``DirectoryUnreachable``, ``FileUnreadable``.
    """
    if folder is None:
        with TemporaryDirectory(prefix="cgi-hub-directory-") as temporary:
            return read_directory(files, root=root, now_ms=now_ms, folder=Path(temporary), unchanged=unchanged)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _Reading(files, root, now_ms, folder).read(unchanged)
    except ExpiredMetadataError as error:
        raise DirectoryExpired(f"the directory has expired and must be signed again: {error}") from error
    except BadVersionNumberError as error:
        raise DirectoryRolledBack(f"the directory is older than one already seen: {error}") from error
    except UnsignedMetadataError as error:
        raise DirectoryTooFewSignatures(f"the directory is not signed by who must: {error}") from error
    except RepositoryError as error:
        raise DirectoryMalformed(f"not a directory: {error}") from error
    except DownloadHTTPError as error:
        raise DirectoryMissing(f"the directory is not complete: {error}") from error
    except DownloadError as error:
        if isinstance(error.__cause__, HubError):
            raise error.__cause__  # noqa: B904 - the library's wrapping of what our own files said
        raise DirectoryMalformed(f"not a directory: {error}") from error
    except OSError as error:
        raise FileUnreadable(f"cannot keep the directory's state: {error.strerror}", file=folder) from error


class _Reading:
    """One pass of the library's updater over a repository."""

    def __init__(self, files: DirectoryFiles, root: bytes, now_ms: int, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._now_ms = now_ms
        self._updater = Updater(
            str(folder), "metadata", str(folder / "targets"), "targets", _Fetcher(files), _LIMITS, bootstrap=root
        )
        trusted = self._updater._trusted_set
        if not isinstance(getattr(trusted, "reference_time", None), datetime):
            raise InvariantError("this version of python-tuf keeps its clock elsewhere")
        trusted.reference_time = datetime.fromtimestamp(now_ms / 1000, UTC)  # the process's own clock (docs/adr/0120)
        self._trusted = trusted
        self._until_ms: list[int] = []

    def read(self, unchanged: Verified | None) -> Verified:
        self._updater.refresh()
        self._check_whole()
        self._check_one_snapshot()
        root = read_root(self._trusted.root)
        timestamp, snapshot, targets = self._trusted.timestamp, self._trusted.snapshot, self._trusted.targets
        signed = (self._trusted.root, timestamp, snapshot, targets)
        expires_at_ms = min(int(part.expires.timestamp() * 1000) for part in signed)
        issued_at_ms = signed_at(timestamp)
        check_times(issued_at_ms, expires_at_ms, version=snapshot.version, now_ms=self._now_ms)
        digest = hashlib.sha256(Metadata(snapshot).signed_bytes).digest()
        if unchanged is not None and self._says_the_same(unchanged, root, digest):
            directory = replace(unchanged.directory, issued_at_ms=issued_at_ms, expires_at_ms=expires_at_ms)
            return replace(unchanged, directory=directory)
        index = self._read_index(targets)
        faults: list[DirectoryFault] = []
        agencies = [agency_role(listed.agency) for listed in index.agencies]
        agreements = [agreement_role(listed.slug) for listed in index.agreements]
        found = {role: payload for role in (*agencies, *agreements) if (payload := self._read_role(role, faults))}
        parts = DirectoryParts(
            root,
            snapshot.version,
            issued_at_ms,
            expires_at_ms,
            digest,
            index,
            _identities(targets, index),
            {a.agency: found[role] for a, role in zip(index.agencies, agencies, strict=True) if role in found},
            {a.slug: found[role] for a, role in zip(index.agreements, agreements, strict=True) if role in found},
            tuple(faults),
        )
        return Verified(build_directory(parts), root, targets, snapshot, min(self._until_ms, default=expires_at_ms))

    def _says_the_same(self, before: Verified, root: Root, digest: bytes) -> bool:
        same = (before.root, before.directory.digest) == (root, digest)
        return same and before.complete and self._now_ms < before.until_ms

    def _check_whole(self) -> None:
        """That the digest covers all that the snapshot names (directory 6.4), and that records can name the version."""
        snapshot = self._trusted.snapshot
        if snapshot.version > SEQUENCE:
            raise DirectoryMalformed("the version is beyond what a record can name", version=snapshot.version)
        for name, meta in {"snapshot.json": self._trusted.timestamp.snapshot_meta, **snapshot.meta}.items():
            if meta.length is None or "sha256" not in (meta.hashes or {}):
                raise DirectoryMalformed("metadata is named without its length and SHA-256", file=name[:80])

    def _check_one_snapshot(self) -> None:
        """The library keeps the snapshot that it has while the version is the same: a second one is an alarm."""
        meta = self._trusted.timestamp.snapshot_meta
        try:
            meta.verify_length_and_hashes((self._folder / "snapshot.json").read_bytes())
        except LengthOrHashMismatchError as error:
            raise DirectoryEquivocation("two different directories have one version", version=meta.version) from error

    def _read_index(self, targets: Targets) -> Index:
        if targets.targets.keys() != {INDEX}:
            raise DirectoryMalformed("the custodians sign one target, the index")
        info = self._updater.get_targetinfo(INDEX)
        if info is None:
            raise DirectoryMalformed("there is no index")
        index = parse_index(self._read_target(info))
        check_delegations(targets, index)
        return index

    def _read_target(self, info: TargetFile) -> bytes:
        if info.hashes.keys() != {"sha256"}:
            raise RepositoryError("a target is told by another hash than SHA-256")
        return Path(self._updater.find_cached_target(info) or self._updater.download_target(info)).read_bytes()

    def _read_role(self, role: str, faults: list[DirectoryFault]) -> bytes | None:
        """The payload of a delegated role; ``None``, and a fault, where it does not hold."""
        path = target_path(role)
        try:
            info = self._updater.get_targetinfo(path)
            if info is None:
                raise SignedRoleMalformed("the role lists no such target", path=path)
            payload = self._read_target(info)
            signed = cast(Targets, self._trusted[role])
            check_lists(role, signed, payload)
            check_version(role, signed, payload)
        except (RepositoryError, DownloadError, RejectedError) as error:
            if isinstance(error.__cause__, UnavailableError | ConfigError):
                raise error.__cause__  # noqa: B904 - the files cannot be read now: that is no fault of the role
            code = error.code if isinstance(error, RejectedError) else _fault_code(error)
            faults.append(DirectoryFault(role, code, str(error)))
            return None
        self._until_ms.append(int(signed.expires.timestamp() * 1000))
        return payload


def _fault_code(error: Exception) -> str:
    match error:
        case UnsignedMetadataError():
            return "role.unsigned"
        case ExpiredMetadataError():
            return "role.expired"
        case DownloadHTTPError():
            return _MISSING
        case _:
            return "role.malformed"


def check_delegations(targets: Targets, index: Index) -> None:
    """That the custodians delegated to whom they list, each one path, and to nobody else (directory 5).

    Raises :class:`DirectoryMalformed`.
    """
    identities = _identities(targets, index)
    wanted = {agency_role(listed.agency): ({identities[listed.agency].key_id.hex()}, 1) for listed in index.agencies}
    wanted |= {
        agreement_role(listed.slug): ({identities[party].key_id.hex() for party in listed.parties}, 2)
        for listed in index.agreements
    }
    roles = {} if targets.delegations is None else targets.delegations.roles or {}
    if targets.delegations is not None and targets.delegations.succinct_roles is not None:
        raise DirectoryMalformed("no succinct delegations are used")
    if roles.keys() != wanted.keys():
        raise DirectoryMalformed("the delegations are not those of the index")
    for name, (keyids, threshold) in wanted.items():
        role = roles[name]
        if set(role.keyids) != keyids or role.threshold != threshold or not role.terminating:
            raise DirectoryMalformed("a role is not delegated to whom the index says", role=name)
        if role.paths != [target_path(name)]:
            raise DirectoryMalformed("a role is delegated another path than its own", role=name)


def _identities(targets: Targets, index: Index) -> Mapping[AgencyId, VerifyKey]:
    if targets.delegations is None or targets.delegations.roles is None:
        if index.agencies:
            raise DirectoryMalformed("agencies are listed and none is delegated to")
        return {}
    try:
        keys = verify_keys(targets.delegations.keys)
        found = {}
        for listed in index.agencies:
            (keyid,) = targets.delegations.roles[agency_role(listed.agency)].keyids
            found[listed.agency] = keys[keyid]
    except (ValueError, KeyError) as error:
        raise DirectoryMalformed("an agency is listed without its one identity key") from error
    return found


def signed_at(timestamp: Timestamp) -> int:
    """When a timestamp says that it was signed. Raises :class:`DirectoryMalformed`."""
    value = timestamp.unrecognized_fields.get(SIGNED_AT)
    if type(value) is not int or value < 0:
        raise DirectoryMalformed(f"the timestamp does not say {SIGNED_AT}")
    return value


def load_directory(path: Path | DirectoryFiles, root: Path, *, now_ms: int, at_least_version: int = 0) -> Verified:
    """The directory in a folder, in one file or in ``DirectoryFiles``, verified from the pinned root on: for a command.

    Raises as :func:`read_directory` does; ``DirectoryRolledBack`` below ``at_least_version``.
    """
    if isinstance(path, Path) and not path.exists():
        raise FileUnreadable("there is no such directory", file=path)
    files = open_files(path) if isinstance(path, Path) else path
    verified = read_directory(files, root=load_root_bytes(root), now_ms=now_ms)
    check_succession(verified.directory, version=at_least_version, digest=None, statements={})
    return verified


# --- following --------------------------------------------------------------------------------------------------------


class _MemoryForm(Strict):
    kind: Literal["cgi-hub/v1/directory-seen"]
    version: Annotated[StrictInt, Field(ge=1)]
    digest: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    statements: dict[StrictStr, StrictInt]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is remembered of the newest directory seen."""

    version: int
    digest: bytes | None
    statements: dict[AgencyId, int]


class TufDirectory:
    """The directory from a repository: a ``DirectorySource`` that :meth:`refresh` keeps new.

    ``folder`` is in the site's state folder: the library's memory is in it, and ours of the newest version seen, which
    is kept durably before that version is used. What is refused does not replace a directory that still holds; the
    reason stands in :attr:`refused`, for the log and the metrics. One process a folder.
    """

    def __init__(self, files: DirectoryFiles, *, root: bytes, folder: Path, clock: Clock) -> None:
        self._files = files
        self._root = root
        self._folder = folder
        self._clock = clock
        self._seen = _load_seen(folder / "seen.json")
        self._lock = threading.Lock()
        self._timestamp: bytes | None = None
        self._verified: Verified | None = None
        self.refused: HubError | None = DirectoryMissing("the directory has not been read yet")
        """Why the repository as it is now is not used; ``None`` where it is."""

    def current(self) -> Directory:
        """The newest verified directory; the same object as long as nothing changes (a microsecond).

        Raises ``DirectoryExpired``, :class:`DirectoryMissing`, :class:`DirectoryRefused`, all ``UnavailableError``.
        """
        verified = self._verified
        if verified is None:
            refused = self.refused
            if isinstance(refused, UnavailableError):
                raise refused
            reason = refused.code if refused is not None else "unknown"
            message = refused.message if refused is not None else "it was not read"
            raise DirectoryRefused(f"the directory is refused: {message}", reason=reason)
        directory, now_ms = verified.directory, self._clock.now_ms()
        check_times(directory.issued_at_ms, directory.expires_at_ms, version=directory.version, now_ms=now_ms)
        return directory

    def refresh(self) -> None:
        """Look at the repository, and use what is new there. Blocks: for a thread. Raises only what is ours to mend:
        ``FileUnreadable`` where the new version cannot be remembered, or the files are there and cannot be read."""
        with self._lock, _alone(self._folder):
            try:
                timestamp = self._files.read("metadata/timestamp.json")
                if timestamp is not None and timestamp == self._timestamp and self.refused is None:
                    return
                whole = self._take()
                self._timestamp = timestamp if whole else None  # what was not there yet is looked for again
            except (RejectedError, UnavailableError, RootInvalid) as error:
                self.refused = error

    def _take(self) -> bool:
        seen = self._seen
        verified = read_directory(
            self._files,
            root=self._root,
            now_ms=self._clock.now_ms(),
            folder=self._folder / "tuf",
            unchanged=self._verified,
        )
        directory = verified.directory
        check_succession(directory, version=seen.version, digest=seen.digest, statements=seen.statements)
        self._remember(directory)  # before it is used: a crash between the two must not forget it
        self._verified = verified
        self.refused = None
        return verified.complete

    def _remember(self, directory: Directory) -> None:
        statements = {**self._seen.statements, **directory.statement_versions()}
        if directory.version != self._seen.version or directory.digest != self._seen.digest:
            form: dict[str, Any] = {
                "kind": "cgi-hub/v1/directory-seen",
                "version": directory.version,
                "digest": directory.digest.hex(),
                "statements": statements,
            }
            write_file(self._folder / "seen.json", encode_json(form) + b"\n")
        self._seen = _Seen(directory.version, directory.digest, statements)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time in a folder: ``hub site check`` looks while the site runs. Waits for the other."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FileUnreadable(f"cannot use the directory's folder: {error.strerror}", file=folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _load_seen(memory: Path) -> _Seen:
    if not memory.exists():
        return _Seen(0, None, {})
    try:
        form = _MemoryForm.model_validate(read_strict_json(read_file(memory, 1024 * 1024)))
    except ValidationError as error:
        raise DirectoryMemoryInvalid(f"not what was remembered: {first_fault(error)}", file=memory) from error
    except ValueError as error:
        raise DirectoryMemoryInvalid(f"not what was remembered: {error}", file=memory) from error
    statements = {AgencyId(agency): version for agency, version in form.statements.items()}
    return _Seen(form.version, bytes.fromhex(form.digest), statements)
