"""Files: private keys (0600, or refused), public keys, key statements, the root, and the directory behind its port."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.errors import ConfigError, HubError, RejectedError, UnavailableError
from hub.model import AgencyId
from hub.ports import Clock
from hub.trust.composite import SigningKey, VerifyKey
from hub.trust.directory import (
    MAX_SNAPSHOT,
    Directory,
    check_succession,
    check_times,
    verify_snapshot,
)
from hub.trust.kem import KemPrivateKey, KemPublicKey
from hub.trust.keys import (
    KeyFileInvalid,
    KeyUse,
    encode_private_key,
    encode_public_key,
    parse_kem_key,
    parse_kem_public_key,
    parse_signing_key,
    parse_verify_key,
)
from hub.trust.root import Root, parse_root
from hub.trust.signed_json import Strict, encode_json, first_fault, read_strict_json
from hub.trust.statement import SignedStatement, encode_signed_statement, parse_signed_statement

_OTHERS: Final = 0o077
"""The permission bits that a private key's file must not have."""
MAX_KEY_FILE: Final = 64 * 1024
MAX_KEM_KEYS: Final = 1_024
KEY_SUFFIX: Final = ".key"
PUBLIC_SUFFIX: Final = ".pub"


class FileUnreadable(ConfigError):
    """A file that is needed is not there, cannot be read or written, or is too long."""

    code = "file.unreadable"


class KeyFileExposed(ConfigError):
    """Others than its owner can read or write a private key's file."""

    code = "key_file.exposed"


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


def read_secret(path: Path) -> bytes:
    """The bytes of a private key's file. Raises :class:`KeyFileExposed`, :class:`FileUnreadable`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise FileUnreadable(f"cannot read the key file: {error.strerror}", file=path) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())  # of what was opened, not of the name
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadable("a key file is a plain file", file=path)
        if found.st_mode & _OTHERS:
            raise KeyFileExposed(
                f"others can read or write this private key: `chmod 600 {path}`, and think of the key as known to them",
                file=path,
                mode=oct(stat.S_IMODE(found.st_mode)),
            )
        raw = file.read(MAX_KEY_FILE + 1)
    if len(raw) > MAX_KEY_FILE:
        raise FileUnreadable(f"the file is longer than {MAX_KEY_FILE} bytes", file=path)
    return raw


def write_secret(path: Path, raw: bytes) -> None:
    """Write a private key's file, mode 0600, durably. Never over another file. Raises :class:`FileUnreadable`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # the umask may have taken bits from the owner too
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise FileUnreadable("there is a file of that name: a key is never written over another", file=path) from error
    except OSError as error:
        raise FileUnreadable(f"cannot write the key file: {error.strerror}", file=path) from error


def write_file(path: Path, raw: bytes) -> None:
    """Replace a file's content at once and durably: readers see old or new. Raises :class:`FileUnreadable`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FileUnreadable(f"cannot write the file: {error.strerror}", file=path) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_T = TypeVar("_T")


def _parsed(path: Path, raw: bytes, parse: Callable[[bytes], _T]) -> _T:
    """``parse(raw)``, with the file's name in what it raises."""
    try:
        return parse(raw)
    except KeyFileInvalid as error:
        raise KeyFileInvalid(error.message, file=path, **error.details) from error


# --- keys -------------------------------------------------------------------------------------------------------------


def load_signing_key(path: Path, use: KeyUse = KeyUse.SIGNING) -> SigningKey:
    """A composite private key. Raises ``KeyFileInvalid``, :class:`KeyFileExposed`, :class:`FileUnreadable`."""
    return _parsed(path, read_secret(path), lambda raw: parse_signing_key(raw, use))


def load_kem_key(path: Path) -> KemPrivateKey:
    """A KEM private key. Raises as :func:`load_signing_key` does."""
    return _parsed(path, read_secret(path), parse_kem_key)


def load_kem_keys(folder: Path) -> tuple[KemPrivateKey, ...]:
    """Every ``*.key`` of ``folder``, old ones too, ordered by name. None at all is an error: nothing could be opened.

    Raises as :func:`load_signing_key` does.
    """
    if not folder.is_dir():
        raise FileUnreadable("there is no such folder of KEM keys", file=folder)
    paths = sorted(folder.glob(f"*{KEY_SUFFIX}"))
    if not 0 < len(paths) <= MAX_KEM_KEYS:
        raise FileUnreadable(f"the folder has {len(paths)} KEM keys (*{KEY_SUFFIX}): 1 to {MAX_KEM_KEYS}", file=folder)
    return tuple(load_kem_key(path) for path in paths)


def load_verify_key(path: Path, use: KeyUse) -> VerifyKey:
    """A composite public key. Raises ``KeyFileInvalid``, :class:`FileUnreadable`."""
    return _parsed(path, read_file(path, MAX_KEY_FILE), lambda raw: parse_verify_key(raw, use))


def load_kem_public_key(path: Path) -> KemPublicKey:
    """A KEM public key. Raises ``KeyFileInvalid``, :class:`FileUnreadable`."""
    return _parsed(path, read_file(path, MAX_KEY_FILE), parse_kem_public_key)


def write_key(path: Path, use: KeyUse, seed: bytes) -> Path:
    """Write a private key's file, and its public key beside it (``.pub`` for ``.key``). Gives the latter's path.

    Raises :class:`FileUnreadable`; never writes over a key.
    """
    public_path = path.with_name(path.name.removesuffix(KEY_SUFFIX) + PUBLIC_SUFFIX)
    public = KemPrivateKey(seed).public if use is KeyUse.KEM else SigningKey(seed).public
    write_secret(path, encode_private_key(use, seed))
    write_file(public_path, encode_public_key(use, public))
    return public_path


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
