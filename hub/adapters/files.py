"""Files: reading and replacing them durably."""

from __future__ import annotations

import os
from pathlib import Path

from hub.errors import ConfigError


class FileUnreadable(ConfigError):
    """A file that is needed is not there, cannot be read or written, or is too long."""

    code = "file.unreadable"


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
