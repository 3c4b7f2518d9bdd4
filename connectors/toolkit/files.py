"""Files: read one whole, write one durably. Blocking; call through ``asyncio.to_thread``."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from connectors.toolkit.errors import FileTooLarge
from hub.errors import UnavailableError

MAX_FILE_BYTES = 64 * 1024 * 1024
"""An agency's export of a year is some hundred kB; what is larger is not what this folder is for."""


class FileUnavailable(UnavailableError):
    """A file or folder cannot be read or written now."""

    code = "unavailable.file"


def read_whole(path: Path, *, limit: int = MAX_FILE_BYTES, follow: bool = True) -> bytes:
    """The bytes of a plain file that did not change while it was read. ``follow``: also where ``path`` is a link to it.

    Raises :class:`FileUnavailable` (not there, not readable, still changing), ``FileTooLarge``.
    """
    try:
        # O_NONBLOCK: a pipe of that name must not be waited for. Checked is what was opened, not the name.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise FileUnavailable("not a plain file", path=str(path))
            if before.st_size > limit:
                raise FileTooLarge("the file is too large: split it", bytes=before.st_size, limit=limit)
            data = file.read(limit + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise FileUnavailable("cannot read the file", path=str(path), cause=error.strerror) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        raise FileUnavailable("the file is still being written", path=str(path))
    return data


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` survive a power cut (POSIX; elsewhere folders cannot be opened)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_private(path: Path, flags: int) -> int:
    """A file descriptor of a file that only its owner may read: agencies' rows are in it."""
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


def write_durably(path: Path, data: bytes) -> None:
    """Replace ``path`` in one step: after a crash the old bytes or the new ones are there, never a mixture."""
    draft = path.with_name(path.name + ".tmp")
    try:
        descriptor = open_private(draft, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        sync_folder(path.parent)
    except OSError as error:
        raise FileUnavailable("cannot write the file", path=str(path), cause=error.strerror) from error
