"""Files: reading and replacing them, key statements, the root, and the directory behind its port."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.errors import ConfigError, HubError, RejectedError, UnavailableError
from hub.model import AgencyId
from hub.ports import Clock
from hub.trust.directory import (
    MAX_SNAPSHOT,
    Directory,
    check_succession,
    check_times,
    verify_snapshot,
)
from hub.trust.root import Root, parse_root
from hub.trust.signed_json import Strict, encode_json, first_fault, read_strict_json
from hub.trust.statement import SignedStatement, encode_signed_statement, parse_signed_statement


class FileUnreadable(ConfigError):
    """A file that is needed is not there, cannot be read or written, or is too long."""

    code = "file.unreadable"


class DirectoryMissing(UnavailableError):
    """There is no snapshot file."""

    code = "directory.missing"


class DirectoryRefused(UnavailableError):
    """The snapshot file is refused, and there is no earlier one that holds. ``reason`` has the refusal's own code."""

    code = "directory.refused"


class DirectoryMemoryInvalid(ConfigError):
    """What was remembered of the directories seen is damaged: without it a rollback could not be noticed."""

    code = "directory.memory_invalid"


# --- reading and writing ----------------------------------------------------------------------------------------------


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file of at most ``most``. Raises :class:`FileUnreadable`."""
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise FileUnreadable(f"cannot read the file: {error.strerror}", file=path) from error
    if len(raw) > most:
        raise FileUnreadable(f"the file is longer than {most} bytes", file=path)
    return raw


def write_file(path: Path, raw: bytes) -> None:
    """Replace a file's content at once and durably: readers see old or new. Raises :class:`FileUnreadable`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FileUnreadable(f"cannot write the file: {error.strerror}", file=path) from error


def sync_folder(folder: Path) -> None:
    """Make what was renamed or removed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- statements and the root ------------------------------------------------------------------------------------------


def load_statement(path: Path) -> SignedStatement:
    """A key statement's file, nothing verified. Raises ``StatementMalformed``, :class:`FileUnreadable`."""
    return parse_signed_statement(read_file(path, 4 * 1024 * 1024))


def write_statement(path: Path, signed: SignedStatement) -> None:
    """Write a key statement's file. Raises :class:`FileUnreadable`."""
    write_file(path, encode_signed_statement(signed) + b"\n")


def load_root(path: Path) -> Root:
    """The pinned root. Raises ``RootInvalid``, :class:`FileUnreadable`."""
    return parse_root(read_file(path, 1024 * 1024))


# --- the directory ----------------------------------------------------------------------------------------------------


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


class FileDirectory:
    """The directory in a snapshot file: a ``DirectorySource``. Reads the file again when it changes.

    ``memory`` is a file in the site's state folder, where the newest version seen is kept durably before that version
    is used: it must survive restarts. A changed file that is refused does not replace a directory that still holds;
    the reason stands in :attr:`refused`, for the log and the metrics. One instance a process, one memory a site.
    """

    def __init__(self, snapshot: Path, *, root: Root, memory: Path, clock: Clock) -> None:
        self._snapshot = snapshot
        self._root = root
        self._memory = memory
        self._clock = clock
        self._seen = _load_seen(memory)
        self._stamp: tuple[int, ...] | None = None
        self._directory: Directory | None = None
        self.refused: HubError | None = None
        """Why the file as it is now is not used; ``None`` where it is."""

    def current(self) -> Directory:
        """The newest verified directory; the same object as long as nothing changes (a few microseconds).

        Raises ``DirectoryExpired`` (``directory.expired``), :class:`DirectoryMissing`, :class:`DirectoryRefused`, all
        ``UnavailableError``; ``FileUnreadable`` where the new version cannot be remembered.
        """
        now_ms = self._clock.now_ms()
        self._reread(now_ms)
        directory = self._directory
        if directory is None:
            refused = self.refused
            if isinstance(refused, UnavailableError):
                raise refused
            reason = refused.code if refused is not None else "unknown"
            message = refused.message if refused is not None else "it was not read"
            raise DirectoryRefused(f"the snapshot is refused: {message}", file=self._snapshot, reason=reason)
        check_times(directory.issued_at_ms, directory.expires_at_ms, version=directory.version, now_ms=now_ms)
        return directory

    def _reread(self, now_ms: int) -> None:
        try:
            found = self._snapshot.stat()
        except OSError as error:
            self._stamp = None
            self.refused = DirectoryMissing(f"there is no snapshot: {error.strerror}", file=self._snapshot)
            return
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        # What was refused for its time is looked at again: time passes without the file changing.
        if stamp == self._stamp and not isinstance(self.refused, UnavailableError):
            return
        self._stamp = stamp
        self._take(now_ms)

    def _take(self, now_ms: int) -> None:
        seen = self._seen
        try:
            raw = read_file(self._snapshot, MAX_SNAPSHOT)
            directory = verify_snapshot(raw, root=self._root, now_ms=now_ms, at_least_version=seen.version)
            check_succession(directory, version=seen.version, digest=seen.digest, statements=seen.statements)
        except (RejectedError, UnavailableError, FileUnreadable) as error:
            self.refused = error
            return
        if directory != self._directory:
            try:
                self._remember(directory)  # before it is used: a crash between the two must not forget it
            except FileUnreadable:
                self._stamp = None  # not used, so read again
                raise
            self._directory = directory
        self.refused = None

    def _remember(self, directory: Directory) -> None:
        statements = {**self._seen.statements, **directory.statement_versions()}
        if directory.version != self._seen.version or directory.digest != self._seen.digest:
            form: dict[str, Any] = {
                "kind": "cgi-hub/v1/directory-seen",
                "version": directory.version,
                "digest": directory.digest.hex(),
                "statements": statements,
            }
            write_file(self._memory, encode_json(form) + b"\n")
        self._seen = _Seen(directory.version, directory.digest, statements)


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
