"""The whole hub on one machine: a Kafka node, routers, twelve sites, each a process that a deployment would run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.demo.agencies import AGENCIES
from deploy.demo.ceremony import Ceremony, exporter_toml, follower_toml, router_toml, write_configurations
from deploy.demo.console import DemoConsole, prepare_console
from deploy.demo.monitoring import PROGRAMS, Monitoring, is_installed
from deploy.demo.service import Service
from hub.adapters.broker_process import BrokerProcess
from hub.adapters.tls import TlsFiles
from hub.model import HUB, AgencyId
from hub.topics import EXPORTER, Declaration, deliver_topic, ingest_topic

ROOT = Path(__file__).parents[2]
ROUTERS = ("router-1", "router-2")
FOLLOWER = "broker"
"""The process that keeps the broker in step with the directory."""
CONSOLE = "console"
_PROGRAMS = frozenset(os.fsencode(name) for name in ("hub", *PROGRAMS))

Say = Callable[[str], None]


@dataclass
class Stack:
    """Everything under ``folder``. ``detached``: the processes outlive this one (``make up``)."""

    folder: Path
    say: Say
    detached: bool = False
    tls: dict[AgencyId, TlsFiles] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    monitoring: Monitoring | None = None
    console: DemoConsole | None = None

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.ceremony = Ceremony(self.folder, lambda command: self._log(f"$ {command}"))

    def start(self) -> None:
        """A clean start: earlier data are removed. Raises a ``HubError``; call :meth:`stop` then too."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.say("keys of thirteen agencies, a directory signed by two of three custodians")
        self.ceremony.hold()
        self.say("a Kafka node with mutual TLS, topics and access rules")
        self.broker = _node(self.folder)
        self.broker.start(detached=self.detached)
        operator, authority = self.broker.operator.ca.parent, self.broker.authority.folder
        self.tls = self.ceremony.connect(self.broker.bootstrap, operator, authority)
        write_configurations(self.ceremony, self.broker.bootstrap, self.tls)
        self.say(f"{len(ROUTERS)} routers and {len(AGENCIES)} sites")
        for service in self._plan():
            self.services[service.name] = service
            service.start()
        for service in self.services.values():
            service.wait_ready()
        if self.detached:
            self._keep_addresses()
            self._start_monitoring()
            self._start_console(authority)

    def _keep_addresses(self) -> None:
        """What is started again by hand takes the address that it has now, where Prometheus looks for it."""
        for service in self.services.values():
            with Path(service.arguments[-1]).open("a", encoding="utf-8") as config:
                config.write(f'\n[metrics]\nlisten = "{service.address}"\n')

    def _start_monitoring(self) -> None:
        if not is_installed():
            self.say("no Prometheus: make setup-observability installs it")
            return
        self.say("Prometheus and Alertmanager")
        self.monitoring = Monitoring(self.folder / "prometheus")
        self.monitoring.start(self.services)

    def _start_console(self, authority: Path) -> None:
        """The operators' console, on whatever Prometheus there is: without one it says that it knows no rates."""
        self.say("the operators' console")
        prometheus = "127.0.0.1:9090" if self.monitoring is None else self.monitoring.addresses["prometheus"]
        self.console = prepare_console(self.ceremony, self.broker.bootstrap, authority, prometheus)
        service = self._service(CONSOLE, self.console.state, "console", "run", "--config", str(self.console.config))
        self.services[CONSOLE] = service
        service.start()
        service.wait_ready()
        if self.monitoring is not None:
            self.monitoring.show_targets(self.services)

    def stop(self) -> None:
        """Stops what was started, the sites first, so that their last words are routed."""
        if self.monitoring is not None:
            self.monitoring.stop()
        for names in (AGENCIES, ROUTERS, (FOLLOWER, EXPORTER, CONSOLE)):
            running = [self.services[name] for name in names if name in self.services]
            for service in running:
                service.terminate()
            for service in running:
                service.stop()
        if hasattr(self, "broker"):
            self.broker.stop()

    def suspend(self, agency: AgencyId) -> None:
        """The custodians suspend an agency; comes back when that is published."""
        self.ceremony.suspend(agency, self.broker.bootstrap, self.broker.operator.ca.parent)

    def site(self, agency: AgencyId) -> Path:
        """An agency's folder."""
        return self.ceremony.site(agency)

    def write_description(self) -> Path:
        """``stack.json``: all that another client needs to connect, and the processes for ``make down``."""
        path = self.folder / "stack.json"
        described: dict[str, Any] = {
            "bootstrap": self.broker.bootstrap,
            "ca": str(self.broker.operator.ca),
            "directory": str(self.folder / "directory"),
            "root": str(self.folder / "root.json"),
            "operator": _files(self.broker.operator),
            "agencies": {
                agency: _files(self.tls[agency])
                | {"folder": str(self.site(agency)), "ingest": ingest_topic(agency)}
                | ({} if agency == HUB else {"deliver": deliver_topic(agency)})  # nobody delivers to the hub
                for agency in (HUB, *AGENCIES)
            },
            "topics": [topic.name for topic in Declaration.load().topics(AGENCIES)],
            "metrics": {name: f"http://{service.address}/metrics" for name, service in self.services.items()},
            "processes": {name: service.pid for name, service in self.services.items()},
        }
        if self.monitoring is not None:
            described |= {name: f"http://{address}" for name, address in self.monitoring.addresses.items()}
            described["processes"] |= self.monitoring.pids
        if self.console is not None:
            described["console"] = self.console.describe()
        path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        return path

    def _plan(self) -> Iterator[Service]:
        config = follower_toml(self.ceremony, self.broker.bootstrap, self.broker.operator)
        yield self._service(FOLLOWER, config.parent / "broker", "broker", "follow", "--config", str(config))
        for name in ROUTERS:
            config = router_toml(self.ceremony, name, self.broker.bootstrap, self.tls[HUB])
            yield self._service(name, self.site(HUB) / name, "router", "run", "--config", str(config))
        if self.detached:
            tls = self.broker.authority.issue_client(EXPORTER, self.folder / "operator" / "exporter-tls")
            config = exporter_toml(self.ceremony, self.broker.bootstrap, tls)
            yield self._service(EXPORTER, config.parent / "exporter", "exporter", "run", "--config", str(config))
        for agency in AGENCIES:
            folder = self.site(agency)
            yield self._service(agency, folder / "state", "site", "run", "--config", str(folder / "site.toml"))

    def _service(self, name: str, state: Path, *arguments: str) -> Service:
        return Service(name, arguments, self.folder / "logs" / f"{name}.log", state / "metrics.address")

    def _log(self, line: str) -> None:
        with (self.folder / "commands.log").open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def stop_described(folder: Path, say: Say) -> int:
    """``make down``: stops what ``stack.json`` in ``folder`` names. Says how many processes ran."""
    path = folder / "stack.json"
    if not path.exists():
        say(f"nothing is up: there is no {path}")
        return 0
    described = json.loads(path.read_text(encoding="utf-8"))
    running = {name: pid for name, pid in described["processes"].items() if _is_ours(pid)}
    for pid in running.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while any(_is_ours(pid) for pid in running.values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in filter(_is_ours, running.values()):
        os.killpg(pid, signal.SIGKILL)
    _node(folder).stop()
    path.unlink()
    say(f"stopped {len(running)} processes and the broker; the data stay in {folder}")
    return len(running)


def _node(folder: Path) -> BrokerProcess:
    """The Kafka node of a stack in ``folder``: to start, or one that an earlier process left running."""
    return BrokerProcess(folder / "kafka", deploy=ROOT / "deploy" / "broker", jars=ROOT / "build" / "broker" / "jars")


def _is_ours(pid: int) -> bool:
    """Whether ``pid`` runs and is a process of the stack's programs, not another one that got its number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and any(os.path.basename(part) in _PROGRAMS for part in command[:2])


def _files(tls: TlsFiles) -> dict[str, str]:
    return {"ca": str(tls.ca), "certificate": str(tls.certificate), "key": str(tls.key)}
