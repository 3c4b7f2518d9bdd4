"""Where the files of a directory's repository are read from: a folder, one file that holds them all, a web server.

Nothing here is trusted: hub/adapters/tuf_reader.py verifies what comes. Paths are those of the repository
(``metadata/3.root.json``, ``targets/agency/JCF/<hash>.keys.json``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

import httpx
from pydantic import StrictStr, ValidationError

from hub.adapters.files import FileUnreadable, read_file, write_file
from hub.errors import RejectedError, UnavailableError
from hub.settings import DirectorySettings
from hub.trust.signed_json import Base64, Strict, encode_base64, encode_json, first_fault, read_strict_json

MAX_FILE: Final = 16 * 1024 * 1024
MAX_BUNDLE: Final = 64 * 1024 * 1024
_PATH: Final = re.compile(r"(metadata|targets)(/[A-Za-z0-9][A-Za-z0-9._%-]{0,160}){1,3}", re.ASCII)
_STAGED: Final = re.compile(r"staged/[A-Za-z0-9][A-Za-z0-9._-]{0,160}", re.ASCII)
_WEB_SECONDS: Final = 20.0


class DirectoryBundleMalformed(RejectedError):
    """Bytes that are not a repository in one file."""

    code = "directory.bundle_malformed"


class DirectoryUnreachable(UnavailableError):
    """The web server that has the directory does not answer."""

    code = "directory.unreachable"


class DirectoryFiles(Protocol):
    """The files of a repository."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, or ``None`` where there is none. Raises ``UnavailableError``, ``FileUnreadable``."""


def check_path(path: str) -> str:
    """``path``, where it is the name of a repository's file. Raises :class:`DirectoryBundleMalformed`."""
    if not _PATH.fullmatch(path):
        raise DirectoryBundleMalformed("not the name of a file of a repository", path=path[:80])
    return path


class FolderFiles:
    """A folder with ``metadata/`` and ``targets/``: on a disk, on a stick."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: str) -> bytes | None:
        file = self.folder / check_path(path)
        if not file.is_file():
            return None
        if file.stat().st_size > MAX_FILE:  # refused as what came by another way is; it ends no process
            raise DirectoryBundleMalformed(f"the file is longer than {MAX_FILE} bytes", path=path)
        return read_file(file, MAX_FILE)

    def write(self, path: str, raw: bytes) -> None:
        """Put a file there, at once and durably."""
        file = self.folder / check_path(path)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileUnreadable(f"cannot make the folder: {error.strerror}", file=file.parent) from error
        write_file(file, raw)

    def remove(self, path: str) -> None:
        """Take a file away, if it is there."""
        (self.folder / check_path(path)).unlink(missing_ok=True)

    def paths(self) -> Iterator[str]:
        """Every file of the repository that is there, ordered so that what vouches for others comes after them."""
        found = (
            file.relative_to(self.folder).as_posix()
            for part in ("targets", "metadata")
            for file in (self.folder / part).rglob("*")
            if file.is_file() and not file.name.startswith(".")
        )
        yield from in_order(path for path in found if _PATH.fullmatch(path))


def in_order(paths: Iterable[str]) -> list[str]:
    """Ordered so that a reader never finds a file named that is not there yet: the timestamp comes last."""
    last = "metadata/timestamp.json"
    return sorted(paths, key=lambda path: (path == last, path.endswith(".snapshot.json"), path[0] == "m", path))


class BundleFiles:
    """A repository in one file (docs/spec/directory.md, 9.3): to mail, for a reply, for tests."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)

    def read(self, path: str) -> bytes | None:
        return self.files.get(check_path(path))


class Mirror(FolderFiles):
    """What was read so far of the directory's topic, or of a web server."""


class UrlFiles:
    """A web server that has the folder. What it gave is kept in ``mirror``, for when it does not answer."""

    def __init__(self, url: str, mirror: Mirror) -> None:
        self._url = url.rstrip("/")
        self._mirror = mirror
        self._client = httpx.Client(timeout=_WEB_SECONDS, follow_redirects=False)

    def read(self, path: str) -> bytes | None:
        try:
            with self._client.stream("GET", f"{self._url}/{check_path(path)}") as response:
                if response.status_code in (403, 404):
                    return None
                response.raise_for_status()
                raw = bytearray()
                for part in response.iter_bytes():
                    raw += part
                    if len(raw) > MAX_FILE:
                        raise DirectoryBundleMalformed(f"the file is longer than {MAX_FILE} bytes", path=path)
        except httpx.HTTPError as error:
            kept = self._mirror.read(path)
            if kept is None:
                raise DirectoryUnreachable(f"the web server does not answer: {error}", url=self._url) from error
            return kept
        self._mirror.write(path, bytes(raw))
        return bytes(raw)


# --- a repository in one file -----------------------------------------------------------------------------------------


class _BundleForm(Strict):
    kind: Literal["cgi-hub/v1/directory-bundle"]
    files: dict[StrictStr, Base64]


def encode_bundle(files: Mapping[str, bytes]) -> bytes:
    """One file that holds them all."""
    told = {path: encode_base64(raw) for path, raw in files.items()}
    return encode_json({"kind": "cgi-hub/v1/directory-bundle", "files": told}) + b"\n"


def parse_bundle(raw: bytes, *, staged: bool = False) -> BundleFiles:
    """The files in it; ``staged`` ones too, of a proposal. Raises :class:`DirectoryBundleMalformed`."""
    try:
        form = _BundleForm.model_validate(read_strict_json(raw))
    except ValidationError as error:
        raise DirectoryBundleMalformed(f"not a repository in one file: {first_fault(error)}") from error
    except ValueError as error:
        raise DirectoryBundleMalformed(f"not a repository in one file: {error}") from error
    for path in form.files:
        if not (staged and _STAGED.fullmatch(path)):
            check_path(path)
    return BundleFiles(form.files)


class OneFile:
    """A repository in one file that is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._bundle = BundleFiles({})

    def read(self, path: str) -> bytes | None:
        """Raises ``FileUnreadable``, :class:`DirectoryBundleMalformed`."""
        try:
            found = self._path.stat()
        except OSError:
            self._stamp = None
            return None
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._bundle = parse_bundle(read_file(self._path, MAX_BUNDLE))
            self._stamp = stamp
        return self._bundle.read(path)


def open_files(path: Path) -> DirectoryFiles:
    """The repository at ``path``: one file that holds it where that is a file, else a folder."""
    return OneFile(path) if path.is_file() or path.suffix == ".json" else FolderFiles(path)


def directory_files(settings: DirectorySettings, state: Path) -> DirectoryFiles:
    """The repository where ``settings`` say that it is; the topic's is what was mirrored of it in ``state``."""
    mirror = Mirror(state / "directory" / "mirror")
    if settings.path is not None:
        return open_files(settings.path)
    return mirror if settings.url is None else UrlFiles(settings.url, mirror)
