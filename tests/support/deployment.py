"""The folders of a real deployment for tests: configuration, keys and certificates of a router and of sites.

What runs in them is the command ``hub``, as an operator and an agency would run it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from hub.adapters.files import write_file
from hub.adapters.kafka_directory import publish_files
from hub.adapters.key_files import write_key
from hub.model import HUB, AgencyId
from hub.trust.kem import KemPrivateKey
from hub.trust.keys import KeyUse
from tests.support.authority import World
from tests.support.broker import Broker

HUB_COMMAND = (sys.executable, "-c", "from hub.cli.main import main; main()")


@dataclass
class Deployment:
    """A world's agencies on a broker, each with a folder of its own below ``folder``."""

    folder: Path
    broker: Broker
    world: World
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    on_kafka: bool = False
    """The directory is published on its topic, and no file of it is shared."""

    def __post_init__(self) -> None:
        self.broker.add_agencies(agency for agency in self.world.keys if agency != HUB)
        (self.folder / "subscriptions").mkdir(parents=True)
        self.publish_directory()
        write_file(self.folder / "root.json", self.world.root_bytes())

    def publish_directory(self) -> None:
        """Sign the world as it is now, for everyone to read."""
        if self.on_kafka:
            files = self.world.publish().files
            asyncio.run(publish_files(self.broker.bootstrap, self.broker.operator, files))
        else:
            write_file(self.directory, self.world.snapshot())

    @property
    def directory(self) -> Path:
        """The directory that everybody reads who has none of its own."""
        return self.folder / "directory.json"

    def subscribe(self, agency: str, types: Iterable[str]) -> Path:
        """The hub's part of a subscription, which is also the agency's own: by type alone."""
        path = self.folder / "subscriptions" / f"{agency}.yaml"
        path.write_text(f'agency: {agency}\naccept:\n  - name: all\n    types: [{", ".join(types)}]\n    from: "*"\n')
        return path

    def router_config(self, name: str = "router", *, session: float = 6) -> Path:
        """A router's configuration; each name is one router with its own state."""
        folder = self._agency_folder(HUB)
        path = folder / f"{name}.toml"
        path.write_text(
            f'state = "{name}.state"\nsubscriptions = "../subscriptions"\n'
            + self._common(HUB)
            + f'[keys]\nsigning = "signing.key"\n[router]\nname = "{name}"\nsession = {session}\npoll_wait = 0.1\n'
            + "heartbeat = 1\n"
        )
        return path

    def site_config(self, agency: str, *, release: str = "", tables: str = "") -> Path:
        """A site's configuration; ``tables`` are its [[source]] and [[sink]]."""
        folder = self._agency_folder(AgencyId(agency))
        (folder / "release.yaml").write_text(release or f"agency: {agency}\nallow: []\n")
        path = folder / "site.toml"
        path.write_text(
            f'agency = "{agency}"\nstate = "state"\nrelease = "release.yaml"\n'
            f'subscription = "../subscriptions/{agency}.yaml"\n'
            + self._common(AgencyId(agency))
            + f'[keys]\nsigning = "signing.key"\nkem = "kem"\n{tables}\n'
        )
        return path

    def add_kem_key(self, agency: AgencyId, name: str, key: KemPrivateKey) -> None:
        """One more private KEM key in the agency's folder."""
        write_key(self.folder / agency / "kem" / f"{name}.key", KeyUse.KEM, key.seed)

    def own_directory(self, config: Path) -> Path:
        """The process of ``config`` gets a directory file of its own, as the shared one is now; gives its path."""
        own = config.parent / "own-directory.json"
        write_file(own, self.directory.read_bytes())
        config.write_text(config.read_text().replace('"../directory.json"', '"own-directory.json"'))
        return own

    def another_reader(self, agency: AgencyId, name: str) -> Path:
        """A configuration of one more site of ``agency``: it reads everything, from the start, into ``name``.jsonl."""
        config = self.folder / agency / f"{name}.toml"
        text = (self.folder / agency / "site.toml").read_text()
        text = text.replace('state = "state"', f'state = "{name}"').replace('"received.jsonl"', f'"{name}.jsonl"')
        config.write_text(f'{text}\n[subscriber]\ngroup = "{name}"\n')
        return config

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        """``hub`` with these arguments; its log goes to ``<n>.log`` in the deployment's folder."""
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen([*HUB_COMMAND, *map(str, arguments)], stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Terminate everything that was started, and wait for it."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(20)

    def logs(self) -> str:
        """Everything that the processes said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def _agency_folder(self, agency: AgencyId) -> Path:
        folder = self.folder / agency
        if not folder.exists():
            (folder / "kem").mkdir(parents=True)
            keys = self.world.keys[agency]
            write_key(folder / "signing.key", KeyUse.SIGNING, keys.signing.seed)
            for number, key in enumerate(keys.kem_all):
                write_key(folder / "kem" / f"{number}.key", KeyUse.KEM, key.seed)
        return folder

    def _common(self, agency: AgencyId) -> str:
        tls = self.broker.client_files(agency)
        return (
            f'[kafka]\nbootstrap = "{self.broker.bootstrap}"\nca = "{tls.ca}"\ncertificate = "{tls.certificate}"\n'
            f'key = "{tls.key}"\n[directory]\nroot = "../root.json"\n'
            + ("" if self.on_kafka else 'path = "../directory.json"\n')
        )


def wait_ready(state: Path, seconds: float = 30.0) -> str:
    """Wait until the process with this state folder says that it is ready; gives its metrics address."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            address = (state / "metrics.address").read_text().strip()
            if httpx.get(f"http://{address}/readyz", timeout=2).status_code == 200:
                return address
        except (OSError, httpx.HTTPError):
            pass
        time.sleep(0.1)
    raise TimeoutError(f"not ready: {state}")
