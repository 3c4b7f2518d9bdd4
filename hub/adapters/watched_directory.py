"""The directory from its file, with a line in the log for each change: a new version, a refused file, none at all."""

from __future__ import annotations

from hub.adapters.files import FileDirectory
from hub.errors import HubError, UnavailableError
from hub.log_words import say
from hub.trust.directory import Directory


class WatchedDirectory:
    """A ``DirectorySource`` around a :class:`FileDirectory`."""

    def __init__(self, inner: FileDirectory) -> None:
        self._inner = inner
        self._loaded: Directory | None = None
        self._refused: HubError | None = None
        self._missing = ""

    def current(self) -> Directory:
        """As :meth:`FileDirectory.current`."""
        try:
            directory = self._inner.current()
        except UnavailableError as error:
            if error.code != self._missing:
                self._missing = error.code
                say("directory.unavailable", code=error.code, reason=error.message)
            raise
        self._missing = ""
        if directory is not self._loaded:
            self._loaded = directory
            say("directory.loaded", version=directory.version, agencies=len(directory.entries))
        refused = self._inner.refused
        if refused is not self._refused:
            self._refused = refused
            if refused is not None:
                say("directory.refused", code=refused.code, reason=refused.message, in_use=directory.version)
        return directory
