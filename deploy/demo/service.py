"""One of the hub's processes, started as a deployment starts it, with its log in a file and its readiness watched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from hub.errors import UnavailableError

READY_SECONDS = 60.0
STOP_SECONDS = 20.0


class ServiceNotReady(UnavailableError):
    """A process ended, or did not become ready in time. ``log`` says where to look."""

    code = "demo.service_not_ready"


@dataclass(slots=True)
class Service:
    """``hub ARGUMENTS``, in a process group of its own. ``address_file`` is where it writes its metrics address."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    address_file: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Starts it and returns at once."""
        self.address_file.unlink(missing_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(Path(sys.executable).with_name("hub")), *self.arguments]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  our own command
                command, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Its process. Raises :class:`ServiceNotReady` before the start."""
        if self.process is None:
            raise ServiceNotReady(f"{self.name} is not started", log=self.log)
        return self.process.pid

    @property
    def address(self) -> str:
        """``host:port`` of its metrics. Raises :class:`ServiceNotReady` before it is known."""
        if not self.address_file.exists():
            raise ServiceNotReady(f"{self.name} has no metrics address yet", log=self.log)
        return self.address_file.read_text(encoding="utf-8").strip()

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Returns when /readyz says yes. Raises :class:`ServiceNotReady`."""
        deadline = time.monotonic() + seconds
        while True:
            if self.process is not None and self.process.poll() is not None:
                last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
                raise ServiceNotReady(f"{self.name} ended: {' | '.join(last)}", log=self.log)
            if self._says_ready():
                return
            if time.monotonic() > deadline:
                raise ServiceNotReady(f"{self.name} was not ready after {seconds:.0f} s", log=self.log)
            time.sleep(0.1)

    def metrics(self) -> str:
        """What it serves on /metrics."""
        return httpx.get(f"http://{self.address}/metrics", timeout=5).raise_for_status().text

    def terminate(self) -> None:
        """Asks it to stop, and returns at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        """Asks it to stop and waits; kills it where it does not."""
        if self.process is None:
            return
        self.terminate()
        wait_or_kill(self.process)

    def _says_ready(self) -> bool:
        try:
            return httpx.get(f"http://{self.address}/readyz", timeout=2).status_code == 200
        except (httpx.TransportError, ServiceNotReady):
            return False  # it is not listening yet: asked again until the deadline


def wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that was asked to stop, the leader of its group; kills the group where it does not."""
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
