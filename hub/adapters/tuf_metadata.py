"""What the repository, its publication and its files share of TUF metadata: read with its kind, dates, roots."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp
from tuf.api.metadata import Root as TufRoot

from hub.errors import ConfigError

_ROOT: Final = re.compile(r"metadata/([0-9]+)\.root\.json", re.ASCII)
_S = TypeVar("_S", TufRoot, Timestamp, Snapshot, Targets)


class RepositoryInvalid(ConfigError):
    """A repository that cannot be worked with, or a change that makes no sense in it."""

    code = "repository.invalid"


def read_metadata(raw: bytes | None, kind: type[_S], part: str) -> Metadata[_S]:
    """Metadata of one kind; no signature is verified. Raises :class:`RepositoryInvalid`."""
    if raw is None:
        raise RepositoryInvalid("the repository lacks a part", part=part)
    try:
        metadata = Metadata[_S].from_bytes(raw)
    except RepositoryError as error:
        raise RepositoryInvalid(f"a part of the repository is damaged: {error}", part=part) from error
    if not isinstance(metadata.signed, kind):
        raise RepositoryInvalid("a part of the repository is of another kind", part=part, found=metadata.signed.type)
    return metadata


def root_versions(paths: Iterable[str]) -> list[int]:
    """The versions of the root that are among ``paths``."""
    return [int(found[1]) for path in paths if (found := _ROOT.fullmatch(path))]


def after(now_ms: int, days: int) -> datetime:
    """The moment ``days`` after ``now_ms``, UTC."""
    return datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(days=days)


def hashed_path(target: str, digest: str) -> str:
    """Where a target stands in the repository: its SHA-256 goes before the last part of its path."""
    folder, slash, last = target.rpartition("/")
    return f"targets/{folder}{slash}{digest}.{last}"
