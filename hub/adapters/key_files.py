"""Key files on the disk: private keys (0600, or refused), encrypted or not, and public keys beside them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from hub.adapters.credentials import forbidden_bits
from hub.adapters.files import FileUnreadable, read_file, sync_folder, write_file
from hub.errors import ConfigError
from hub.trust.composite import SigningKey, VerifyKey
from hub.trust.kem import KemPrivateKey, KemPublicKey
from hub.trust.keys import (
    KeyFileInvalid,
    KeyUse,
    OpenToken,
    PassphraseSource,
    encode_private_key,
    encode_public_key,
    parse_kem_key,
    parse_kem_public_key,
    parse_signing_key,
    parse_verify_key,
    read_derivation,
    reencode_private_key,
)
from hub.trust.passphrase import FileKey, Passphrase, PassphraseNeeded, PassphraseWrong

MAX_KEY_FILE: Final = 64 * 1024
MAX_KEM_KEYS: Final = 1_024
KEY_SUFFIX: Final = ".key"
PUBLIC_SUFFIX: Final = ".pub"

_WITHOUT_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class KeyFileExposed(ConfigError):
    """Others than its owner can read or write a private key's file."""

    code = "key_file.exposed"


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """How a process gets at keys that are not plain in their file. One for a process: it remembers what it derived."""

    passphrase: PassphraseSource | None = None
    token: OpenToken | None = None


PLAIN: Final = KeyAccess()
"""For keys that are not encrypted."""


# --- secrets ----------------------------------------------------------------------------------------------------------


def read_secret(path: Path, what: str = "private key") -> bytes:
    """The bytes of a private key's file, or of another secret's. Raises :class:`KeyFileExposed`, ``FileUnreadable``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise FileUnreadable(f"cannot read the {what}'s file: {error.strerror}", file=path) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())  # of what was opened, not of the name
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadable(f"a {what}'s file is a plain file", file=path)
        if found.st_mode & forbidden_bits(path):
            raise KeyFileExposed(
                f"others can read or write this {what}: `chmod 600 {path}`, and think of it as known to them",
                file=path,
                mode=oct(stat.S_IMODE(found.st_mode)),
            )
        raw = file.read(MAX_KEY_FILE + 1)
    if len(raw) > MAX_KEY_FILE:
        raise FileUnreadable(f"the file is longer than {MAX_KEY_FILE} bytes", file=path)
    return raw


def write_secret(path: Path, raw: bytes) -> None:
    """Write a private key's file, mode 0600, durably and at once; never over another. Raises ``FileUnreadable``."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write_new(beside, raw)
        try:
            os.link(beside, path)  # unlike a rename, never over another file
        except OSError as error:
            if error.errno not in _WITHOUT_LINKS:
                raise
            _write_new(path, raw)  # a file system without links: a stick
        finally:
            beside.unlink()
        sync_folder(path.parent)
    except FileExistsError as error:
        raise FileUnreadable("there is a file of that name: a key is never written over another", file=path) from error
    except OSError as error:
        raise FileUnreadable(f"cannot write the key file: {error.strerror}", file=path) from error


def replace_secret(path: Path, raw: bytes) -> None:
    """Put other bytes in a private key's file, mode 0600, durably and at once. Raises ``FileUnreadable``."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write_new(beside, raw)
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FileUnreadable(f"cannot write the key file: {error.strerror}", file=path) from error


def destroy_secret(path: Path) -> None:
    """Write zeros over a private key's file and remove it; one that is gone is fine. Raises ``FileUnreadable``.

    Zeros reach the old bytes on few disks of today: what is meant to be destroyed for good is encrypted from the start.
    """
    try:
        with path.open("r+b") as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileUnreadable(f"cannot destroy the key file: {error.strerror}", file=path) from error


def _write_new(path: Path, raw: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # the umask may have taken bits from the owner too
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


# --- keys -------------------------------------------------------------------------------------------------------------

_T = TypeVar("_T")


def _parsed(path: Path, raw: bytes, parse: Callable[[bytes], _T]) -> _T:
    """``parse(raw)``, with the file's name in what it raises."""
    try:
        return parse(raw)
    except (KeyFileInvalid, PassphraseNeeded, PassphraseWrong) as error:
        raise type(error)(error.message, file=path, **error.details) from error


def load_signing_key(path: Path, use: KeyUse = KeyUse.SIGNING, access: KeyAccess = PLAIN) -> SigningKey:
    """A composite private key. Raises as ``read_secret`` and ``parse_signing_key`` do."""
    raw = read_secret(path)
    return _parsed(path, raw, lambda raw: parse_signing_key(raw, use, access.passphrase, access.token))


def load_kem_key(path: Path, access: KeyAccess = PLAIN) -> KemPrivateKey:
    """A KEM private key. Raises as :func:`load_signing_key` does."""
    return _parsed(path, read_secret(path), lambda raw: parse_kem_key(raw, access.passphrase))


def load_kem_keys(folder: Path, access: KeyAccess = PLAIN) -> tuple[KemPrivateKey, ...]:
    """Every ``*.key`` of ``folder``, old ones too, ordered by name. None at all is an error: nothing could be opened.

    Raises as :func:`load_signing_key` does.
    """
    if not folder.is_dir():
        raise FileUnreadable("there is no such folder of KEM keys", file=folder)
    paths = sorted(folder.glob(f"*{KEY_SUFFIX}"))
    if not 0 < len(paths) <= MAX_KEM_KEYS:
        raise FileUnreadable(f"the folder has {len(paths)} KEM keys (*{KEY_SUFFIX}): 1 to {MAX_KEM_KEYS}", file=folder)
    return tuple(load_kem_key(path, access) for path in paths)


def load_verify_key(path: Path, use: KeyUse) -> VerifyKey:
    """A composite public key. Raises ``KeyFileInvalid``, ``FileUnreadable``."""
    return _parsed(path, read_file(path, MAX_KEY_FILE), lambda raw: parse_verify_key(raw, use))


def load_kem_public_key(path: Path) -> KemPublicKey:
    """A KEM public key. Raises ``KeyFileInvalid``, ``FileUnreadable``."""
    return _parsed(path, read_file(path, MAX_KEY_FILE), parse_kem_public_key)


def write_key(path: Path, use: KeyUse, seed: bytes, file_key: FileKey | None = None) -> Path:
    """Write a private key's file, and its public key beside it (``.pub`` for ``.key``). Gives the latter's path.

    Encrypted with ``file_key`` where there is one. Raises ``FileUnreadable``; never writes over a key.
    """
    public = KemPrivateKey(seed).public if use is KeyUse.KEM else SigningKey(seed).public
    return write_key_file(path, use, encode_private_key(use, seed, file_key), public)


def write_key_file(path: Path, use: KeyUse, raw: bytes, public: VerifyKey | KemPublicKey) -> Path:
    """Write the bytes of a private key's file and its public key as :func:`write_key` does."""
    write_secret(path, raw)
    write_file(public_path(path), encode_public_key(use, public))
    return public_path(path)


def public_path(path: Path) -> Path:
    """Where the public key of a private key's file is."""
    return path.with_name(path.name.removesuffix(KEY_SUFFIX) + PUBLIC_SUFFIX)


def encrypt_key_file(path: Path, passphrase: PassphraseSource | None, file_key: FileKey) -> None:
    """Encrypt a private key's file with ``file_key``, in its place: one that was plain, or had another passphrase.

    Raises as :func:`load_signing_key` does.
    """
    replace_secret(path, _parsed(path, read_secret(path), lambda raw: reencode_private_key(raw, passphrase, file_key)))


def folder_key(folder: Path, passphrase: Passphrase) -> FileKey:
    """The key for a new file in ``folder``: with the salt of the files that are there, so that all are derived at once.

    Raises ``PassphraseInvalid`` for a passphrase that is too short.
    """
    for path in sorted(folder.glob(f"*{KEY_SUFFIX}")):
        try:
            derivation = read_derivation(read_file(path, MAX_KEY_FILE))
            if derivation is not None:
                passphrase.key(derivation)
                break
        except (ConfigError, PassphraseWrong):
            continue  # another's, or no key file: then with a salt of its own
    return passphrase.new_key()
