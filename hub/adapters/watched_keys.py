"""The KEM keys of a folder, read again when it changes: a rotated key is used, a destroyed one is gone, at once.

What is looked at is the folder, not the keys: to open an encrypted key file takes a second. A file that cannot be read
(half copied, another's) gives no key and does not stop the others; at the start it is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hub.adapters.key_files import PLAIN, KeyAccess, load_kem_key, load_kem_keys
from hub.errors import ConfigError
from hub.log_words import say
from hub.trust.kem import KemPrivateKey

_Stamp = tuple[int, int, int]
"""Of a file: its inode, its size, and when it was changed last."""


class WatchedKemKeys:
    """Called, it gives the keys that are there now: the same tuple while the folder is unchanged."""

    def __init__(self, folder: Path, access: KeyAccess = PLAIN) -> None:
        """Raises as ``load_kem_keys`` does: at the start every file must be a key, and there must be one."""
        self._folder = folder
        self._access = access
        stamps = sorted(self._look().items())
        self._keys = load_kem_keys(folder, access)
        self._files: dict[Path, tuple[_Stamp, KemPrivateKey | None]] = {}
        if len(stamps) == len(self._keys):  # else it has just changed, and is read again by the first call
            self._files = {path: (stamp, key) for (path, stamp), key in zip(stamps, self._keys, strict=True)}

    def __call__(self) -> Sequence[KemPrivateKey]:
        stamps = self._look()
        if stamps != {path: stamp for path, (stamp, _) in self._files.items()}:
            self._files = {path: self._file(path, stamp) for path, stamp in sorted(stamps.items())}
            self._keys = tuple(key for _, key in self._files.values() if key is not None)
            say("kem_keys.changed", folder=str(self._folder), held=len(self._keys))
        return self._keys

    def _look(self) -> dict[Path, _Stamp]:
        found: dict[Path, _Stamp] = {}
        for path in self._folder.glob("*.key"):
            try:
                stat = path.stat()
            except OSError:
                continue  # it went between the two looks
            found[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return found

    def _file(self, path: Path, stamp: _Stamp) -> tuple[_Stamp, KemPrivateKey | None]:
        before = self._files.get(path)
        if before is not None and before[0] == stamp:
            return before
        try:
            return stamp, load_kem_key(path, self._access)
        except ConfigError as error:
            say("kem_keys.refused", file=str(path), code=error.code, reason=error.message)
            return stamp, None
