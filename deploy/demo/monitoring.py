"""Prometheus and Alertmanager beside the stack, where Debian's packages are installed: `make setup-observability`.

Both get deploy/prometheus as it is, in a copy whose targets/ and alertmanagers/ name what the stack started.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.demo.service import Service, ServiceNotReady, wait_or_kill
from hub.model import HUB

RULES = Path(__file__).parents[1] / "prometheus"
PROGRAMS = ("prometheus", "prometheus-alertmanager")
RETENTION = "60d"
READY_SECONDS = 30.0


def is_installed() -> bool:
    """Whether both programs are on the PATH."""
    return all(shutil.which(program) for program in PROGRAMS)


def targets(services: Mapping[str, Service]) -> list[dict[str, object]]:
    """What Prometheus scrapes, in the form of its file_sd: a group for each process, with its lasting labels."""
    return [
        {
            "targets": [service.address],
            "labels": {
                "instance": name,
                "role": service.arguments[0],
                "agency": name if service.arguments[0] == "site" else HUB,
            },
        }
        for name, service in services.items()
    ]


@dataclass
class Monitoring:
    """The two programs, with their data, logs and configuration (a copy of ``rules``) in ``folder``."""

    folder: Path
    rules: Path = RULES
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def start(self, services: Mapping[str, Service]) -> None:
        """Starts them on free ports, returns when both are ready. Raises :class:`ServiceNotReady`; call stop() then."""
        shutil.copytree(self.rules, self.folder, dirs_exist_ok=True)
        self.show_targets(services)
        self.addresses = {name: f"127.0.0.1:{_free_port()}" for name in ("alertmanager", "prometheus")}
        _write(self.folder / "alertmanagers" / "stack.json", [{"targets": [self.addresses["alertmanager"]]}])
        self._start(
            "alertmanager",
            "prometheus-alertmanager",
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/data-alertmanager",
            "--cluster.listen-address=",  # one of a kind
        )
        self._start(
            "prometheus",
            "prometheus",
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--storage.tsdb.retention.time={RETENTION}",
        )
        for name in self.processes:
            self._wait_ready(name)

    def show_targets(self, services: Mapping[str, Service]) -> None:
        """Writes what is to be scraped; Prometheus follows the file."""
        _write(self.folder / "targets" / "stack.json", targets(services))

    @property
    def pids(self) -> dict[str, int]:
        """The processes by name."""
        return {name: process.pid for name, process in self.processes.items()}

    def stop(self) -> None:
        """Asks both to stop and waits; kills what does not."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            wait_or_kill(process)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        command = [program, *arguments, f"--web.listen-address={self.addresses[name]}"]
        with self._log(name).open("ab") as output:
            self.processes[name] = subprocess.Popen(  # noqa: S603  our own command
                command, stdout=output, stderr=output, start_new_session=True
            )

    def _wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.processes[name].poll() is None and time.monotonic() < deadline:
            try:
                if httpx.get(f"http://{self.addresses[name]}/-/ready", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it is not listening yet: asked again until the deadline
            time.sleep(0.1)
        raise ServiceNotReady(f"{name} ended or was not ready after {READY_SECONDS:.0f} s", log=self._log(name))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _write(path: Path, groups: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
