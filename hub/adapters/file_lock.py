"""A lock on a file that ends with its process, however that ends (flock): one store, one owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hub.client.store import StoreInUse, StoreUnavailable


class FileLock:
    """Exclusive, between processes and between objects of one process. The file holds the owner's process id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take it now or raise :class:`StoreInUse`. The descriptor is not inherited by programs that are started."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable("cannot open the lock file", path=str(self._path), error=str(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreInUse(
                "another process has this store open; stop it, or give this one a state folder of its own",
                path=str(self._path),
                process=owner or "unknown",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; the file stays, since removing it would let two owners lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
