"""The sink port: where opened events go. A site writes its own, or takes one from ``connectors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hub.model import OpenedEvent


class Sink(Protocol):
    """Exactly once in effect rests on this: what :meth:`write` returns is stored in one transaction with the marks.

    After a crash, or when anything of a batch failed, the sink is opened again with the state that was stored last, and
    the events that came after it are written again. A sink that can go back (a file, cut to its length) or that knows
    an event again (a table with (publisher, event_id) as its key) so has each event once.
    """

    @property
    def name(self) -> str:
        """Unique within the site; the name of its stored state. Another name begins without a state."""

    async def open(self, state: Mapping[str, Any] | None) -> None:
        """Go on from ``state`` (None: nothing was ever stored); forget what was written after it.

        Raises ``UnavailableError`` (tried again), ``ConfigError`` (the subscriber stops).
        """

    async def write(self, events: Sequence[OpenedEvent]) -> Mapping[str, Any] | None:
        """Durable on return; the new state as a JSON object, or None where the sink needs none.

        Raises ``UnavailableError``: tried again, with the same events, after :meth:`open`. Raises ``RejectedError``:
        the events are tried one by one, and the one that is refused alone goes into the inbox's rejected table.
        """

    async def close(self) -> None:
        """Let go of everything. It may be opened again. Never raises for a sink that is not open."""
