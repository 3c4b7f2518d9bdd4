"""Where the directory in force comes from."""

from __future__ import annotations

from typing import Protocol

from hub.trust.directory import Directory


class DirectorySource(Protocol):
    """Asked before every step; the same object comes back as long as nothing has changed."""

    def current(self) -> Directory:
        """The newest verified directory. Takes microseconds while nothing changes.

        Raises ``UnavailableError`` where there is none, or the newest has expired.
        """
