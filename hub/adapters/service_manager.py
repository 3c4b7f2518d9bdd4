"""What a service manager is told over its notification socket: sd_notify(3), with nothing but the standard library.

``READY=1`` once start-up is done, ``STOPPING=1`` when a signal came, a line of status, and ``WATCHDOG=1`` for each time
that the process got further (docs/adr/0107). Without ``NOTIFY_SOCKET`` in the environment nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Final

from hub.adapters.progress import ProgressObserver
from hub.ports import Clock

_LOOK_SECONDS: Final = 0.5


class ServiceManager:
    """The notification socket that ``environment`` names, or none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # "@": Linux's abstract namespace. Another form (vsock:) is for virtual machines; to such a one nothing is said.
        self._address = f"\0{name[1:]}" if name[:1] == "@" else name if name[:1] == "/" else ""

    def notify(self, *lines: str) -> None:
        """Send ``lines``, each ``NAME=value``, as one datagram. A manager that is gone does not stop the work."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            try:
                channel.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return

    async def report(self, progress: ProgressObserver, clock: Clock) -> None:
        """Until it is cancelled: ready, status and watchdog, from the ``progress`` that is made.

        ``WATCHDOG=1`` goes out only when, since the last one, every worker got a step further or something outside was
        found to be away: a restart brings back neither Kafka nor a directory. So it is the manager's ``WatchdogSec``
        that says how long a worker may stand still.
        """
        since = float("-inf")
        started = False
        said = ""
        while True:
            now = clock.monotonic()
            if progress.moved_since(since):
                since = now
                self.notify(*([] if started else ["READY=1"]), "WATCHDOG=1")
                started = True
            if (status := _status(progress)) != said:
                self.notify(f"STATUS={status}")
                said = status
            await asyncio.sleep(_LOOK_SECONDS)


def _status(progress: ProgressObserver) -> str:
    if progress.ready():
        return "ready"
    behind = ", ".join(progress.behind()) or "nothing yet"
    return f"not ready: waits for {behind}" + (f" ({code})" if (code := progress.away()) else "")
