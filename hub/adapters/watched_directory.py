"""The directory as a process follows it: looked at again and again, with a line in the log for each change."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from hub.adapters.directory_files import Mirror
from hub.adapters.kafka_directory import fetch_topic, mirror_topic
from hub.adapters.tls import TlsFiles
from hub.adapters.tuf_reader import TufDirectory
from hub.errors import BusUnavailable, HubError, UnavailableError
from hub.log_words import say
from hub.trust.directory import Directory

LOOK_SECONDS: Final = 1.0
"""How often a folder or a web server is looked at. A look that finds the same timestamp costs nothing else."""
REFUSED_SECONDS: Final = 5.0
"""The same while what is there is refused: each look then verifies all of it again."""
FETCH_SECONDS: Final = 10.0
"""How long a command waits for the topic, before it goes on with what is here."""


class WatchedDirectory:
    """A ``DirectorySource`` around a :class:`TufDirectory`. ``topic``: where Kafka has it, and the mirror of it."""

    def __init__(self, inner: TufDirectory, *, topic: tuple[str, TlsFiles, Mirror] | None = None) -> None:
        self._inner = inner
        self._topic = topic
        self._loaded: Directory | None = None
        self._refused: HubError | None = None
        self._missing = ""

    def current(self) -> Directory:
        """As :meth:`TufDirectory.current`."""
        try:
            directory = self._inner.current()
        except UnavailableError as error:
            if error.code != self._missing:
                self._missing = error.code
                say("directory.unavailable", code=error.code, reason=error.message)
            raise
        self._missing = ""
        if directory is not self._loaded:
            if self._loaded is None or self._loaded.version != directory.version:
                say("directory.loaded", version=directory.version, agencies=len(directory.entries))
                for fault in directory.faults:
                    say("directory.fault", role=fault.role, code=fault.code, reason=fault.message)
            self._loaded = directory
        refused = self._inner.refused
        if refused is not self._refused:
            self._refused = refused
            if refused is not None:
                say("directory.refused", code=refused.code, reason=refused.message, in_use=directory.version)
        return directory

    def refresh(self) -> None:
        """As :meth:`TufDirectory.refresh`: for the start of a process, and for a thread."""
        self._inner.refresh()

    async def fetch(self, seconds: float = FETCH_SECONDS) -> None:
        """Once what its topic has now, where it is on one: for a command, which cannot wait to be told.

        Raises ``BusUnavailable``, ``BusNotAuthorized``, ``BusTopicUnknown``, ``TlsFileInvalid``, ``FileUnreadable``.
        """
        if self._topic is not None:
            try:
                async with asyncio.timeout(seconds):
                    await fetch_topic(*self._topic)
            except TimeoutError as error:
                raise BusUnavailable("the directory's topic cannot be read now", seconds=seconds) from error
        await self._look()

    async def follow(self) -> NoReturn:
        """Keep it new until cancelled. Raises ``ConfigError`` where our own files cannot be used any more."""
        async with asyncio.TaskGroup() as group:
            if self._topic is not None:
                group.create_task(self._mirror(*self._topic))
            while True:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS if self._inner.refused is None else REFUSED_SECONDS)

    async def _look(self) -> None:
        await asyncio.to_thread(self._inner.refresh)

    async def _mirror(self, bootstrap: str, tls: TlsFiles, mirror: Mirror) -> NoReturn:
        missing = ""
        while True:
            try:
                await mirror_topic(bootstrap, tls, mirror, self._look)
            except UnavailableError as error:
                if error.code != missing:
                    missing = error.code
                    say("directory.unreachable", code=error.code, reason=error.message)
            await asyncio.sleep(REFUSED_SECONDS)
