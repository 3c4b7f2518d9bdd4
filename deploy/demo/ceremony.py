"""Keys, the signed directory, the agreements and the sites' folders, made by the commands that a deployment uses.

Each agency makes its own keys in its own folder; what leaves it is an enrolment, a key statement, a signature on an
agreement. Two of three custodians sign the directory, each on a copy that is carried to them. What a site gets back: a
root to pin, a certificate of the operator, and where Kafka is; the directory itself it reads from Kafka.
"""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.demo.agencies import SITES, Site
from hub.adapters.tls import TlsFiles
from hub.cli.main import root as hub_command
from hub.errors import InvariantError
from hub.model import HUB, AgencyId

HERE = Path(__file__).parent
CUSTODIANS = ("north", "east", "south")
THRESHOLD = 2

Say = Callable[[str], None]


class Ceremony:
    """What is made in ``folder``: custodians/, operator/, directory/, carried/, hub/, sites/<AGENCY>/.

    ``say`` gets each command before it runs.
    """

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self._say = say

    def site(self, agency: AgencyId) -> Path:
        """An agency's folder; the hub's own is beside those of the sites."""
        return self.folder / "hub" if agency == HUB else self.folder / "sites" / agency

    def hold(self) -> None:
        """Everybody's keys, the agreements with both signatures, and the directory that the custodians sign."""
        for name in ("custodians", "operator", "carried", "sites"):
            (self.folder / name).mkdir(mode=0o700)
        for name in CUSTODIANS:
            self._run("keys", "generate", "custodian", "--out", self._path(f"custodians/{name}.key"))
        self._run("keys", "generate", "online", "--out", self._path("operator/online.key"))
        named = [f"--custodian={name}={self._path(f'custodians/{name}.pub')}" for name in CUSTODIANS]
        online = self._path("operator/online.pub")
        self._run("directory", "init", self._directory, "--threshold", str(THRESHOLD), *named, "--online", online)
        for agency, name in ((HUB, "The hub"), *((site.agency, site.name) for site in SITES)):
            self._enrol(agency, name)
        self._agree()
        self._sign()
        self._run("directory", "publish", self._directory, "--key", self._path("operator/online.key"), "--yes")
        shutil.copy(Path(self._directory) / "metadata" / "1.root.json", self.folder / "root.json")

    def connect(self, bootstrap: str, operator: Path, authority: Path) -> dict[AgencyId, TlsFiles]:
        """The broker gets what the directory says, and the directory itself; each agency the answer to its enrolment.

        ``operator`` has the operator's TLS files, ``authority`` its CA.
        """
        listed = ("--directory", self._directory, "--root", self._path("root.json"))
        there = ("--bootstrap", bootstrap, "--tls", str(operator))
        self._run("broker", "apply", *there, *listed, "--yes")
        self.publish(bootstrap, operator)
        words = self._run("directory", "show", *listed[1:], "--json")["root_words"]
        tls = {}
        for agency in (HUB, *(site.agency for site in SITES)):
            sent, back = self._path(f"carried/{agency}.json"), self._path(f"carried/{agency}-reply.json")
            ca = ("--authority", str(authority), "--bootstrap", bootstrap)
            self._run("directory", "reply", self._directory, sent, *ca, "--out", back)
            folder = self.site(agency)
            self._run("agency", "enrol", str(folder), "--reply", back, "--root-words", " ".join(words))
            tls[agency] = TlsFiles(folder / "ca.pem", folder / "tls.pem", folder / "tls.key")
        return tls

    def publish(self, bootstrap: str, operator: Path) -> None:
        """Publish what is staged, or date the directory anew, on the topic too."""
        there = ("--bootstrap", bootstrap, "--tls", str(operator))
        self._run("directory", "publish", self._directory, "--key", self._path("operator/online.key"), *there, "--yes")

    def suspend(self, agency: AgencyId, bootstrap: str, operator: Path) -> None:
        """The custodians suspend an agency, and the operator publishes that."""
        self._run("directory", "suspend-agency", self._directory, agency, "--yes")
        self._sign()
        self.publish(bootstrap, operator)

    def _sign(self) -> None:
        """Two custodians sign what is staged, each on a copy that is carried to them and back."""
        for name in CUSTODIANS[:THRESHOLD]:
            carried = self._path(f"carried/for-{name}.json")
            self._run("directory", "request", self._directory, "--out", carried)
            self._run("directory", "sign", carried, "--key", self._path(f"custodians/{name}.key"), "--yes")
            self._run("directory", "merge", self._directory, carried)

    def _enrol(self, agency: AgencyId, name: str) -> None:
        folder, sent = str(self.site(agency)), self._path(f"carried/{agency}.json")
        self._run("agency", "init", folder, "--agency", agency, "--name", name, "--unsafe-no-passphrase")
        told = self._run("agency", "enrol", folder, "--out", sent, "--json")
        words = " ".join(told["words"])
        self._run("directory", "add-agency", self._directory, sent, "--words", words)

    def _agree(self) -> None:
        signed = []
        for draft in sorted((HERE / "agreements").glob("*.yaml")):
            first, second = map(AgencyId, draft.stem.split("-"))
            carried = self._path(f"carried/{draft.stem}.json")
            for agency, file in ((first, str(draft)), (second, carried)):
                key = str(self.site(agency) / "keys" / "identity.key")
                who = ("--agency", agency, "--key", key)
                self._run("agreement", "sign", file, *who, "--out", carried, "--yes")
            signed.append(carried)
        self._run("directory", "add-agreement", self._directory, *signed, "--yes")

    @property
    def _directory(self) -> str:
        return self._path("directory")

    def _path(self, name: str) -> str:
        return str(self.folder / name)

    def _run(self, *arguments: str) -> Any:
        """Run ``hub ARGUMENTS`` in this process: a start of Python for each of 250 commands would take minutes.

        Gives what it printed, as JSON where that was asked for.
        """
        self._say("hub " + " ".join(arguments).replace(f"{self.folder}/", ""))
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            code = hub_command.main(args=list(arguments), prog_name="hub", standalone_mode=False)
        if code not in (None, 0):
            raise InvariantError("a command of the ceremony failed", command=" ".join(arguments), said=told.getvalue())
        return json.loads(told.getvalue()) if "--json" in arguments else told.getvalue()


def write_configurations(ceremony: Ceremony, bootstrap: str, tls: dict[AgencyId, TlsFiles]) -> None:
    """``site.toml``, rules and empty in-boxes for each site; ``router-<n>.toml`` and subscriptions for the hub."""
    subscriptions = ceremony.site(HUB) / "subscriptions"
    subscriptions.mkdir(parents=True)
    for site in SITES:
        folder = ceremony.site(site.agency)
        for name in ("release.yaml", "subscription.yaml"):
            shutil.copy(HERE / "sites" / site.agency / name, folder / name)
        (folder / "in").mkdir()
        (folder / "site.toml").write_text(_site_toml(ceremony, site, bootstrap, tls[site.agency]), encoding="utf-8")
        _write_hub_part(folder / "subscription.yaml", subscriptions / f"{site.agency}.yaml")


def router_toml(ceremony: Ceremony, name: str, bootstrap: str, tls: TlsFiles) -> Path:
    """The configuration of the router ``name``."""
    path = ceremony.site(HUB) / f"{name}.toml"
    path.write_text(
        f"""state = "{name}"
subscriptions = "subscriptions"
{_shared(ceremony, bootstrap, tls)}
[keys]
signing = "keys/signing.key"

[router]
name = "{name}"
poll_wait = 0.2
""",
        encoding="utf-8",
    )
    return path


def follower_toml(ceremony: Ceremony, bootstrap: str, tls: TlsFiles) -> Path:
    """The configuration of the process that keeps the broker in step with the directory."""
    path = ceremony.folder / "operator" / "broker.toml"
    path.write_text(f'state = "broker"\n{_shared(ceremony, bootstrap, tls)}', encoding="utf-8")
    return path


def exporter_toml(ceremony: Ceremony, bootstrap: str, tls: TlsFiles) -> Path:
    """The configuration of the process that tells Prometheus of the broker."""
    path = ceremony.folder / "operator" / "exporter.toml"
    counters = f'jvm_folder = "/tmp/hsperfdata_{getpass.getuser()}"'
    path.write_text(f'state = "exporter"\ninterval = 5\n{counters}\n{_connection(bootstrap, tls)}', encoding="utf-8")
    return path


def _site_toml(ceremony: Ceremony, site: Site, bootstrap: str, tls: TlsFiles) -> str:
    rules = "\n".join(
        f'    {{ match = "{feed.match}", profile = "{feed.profile}" }},'
        if feed.profile
        else f'    {{ match = "{feed.match}", key = [{", ".join(map(_quoted, feed.key))}] }},'
        for feed in site.feeds
    )
    source = f"""[[source]]
kind = "folder"
path = "in"
settle_seconds = 0.3
poll_seconds = 0.3
files = [
{rules}
]
"""
    return f"""# The site of {site.agency} ({site.name}).
agency = "{site.agency}"
state = "state"
release = "release.yaml"
subscription = "subscription.yaml"
{_shared(ceremony, bootstrap, tls)}
[keys]
signing = "keys/signing.key"
kem = "keys/kem"

{source if site.feeds else ""}
[[sink]]
kind = "sqlite"
path = "received.db"

[[sink]]
kind = "jsonl"
path = "received.jsonl"
"""


def _shared(ceremony: Ceremony, bootstrap: str, tls: TlsFiles) -> str:
    return f"""
[directory]
root = "{(ceremony.folder / "root.json").resolve()}"
{_connection(bootstrap, tls)}"""


def _connection(bootstrap: str, tls: TlsFiles) -> str:
    return f"""
[kafka]
bootstrap = "{bootstrap}"
ca = "{tls.ca.resolve()}"
certificate = "{tls.certificate.resolve()}"
key = "{tls.key.resolve()}"

[log]
form = "json"
"""


def _write_hub_part(subscription: Path, out: Path) -> None:
    """What the hub may have of a subscription: its labels."""
    from hub.catalog import Catalog
    from hub.policy.subscription import load_subscription

    out.write_text(load_subscription(subscription, Catalog.load()).hub_part(), encoding="utf-8")


def _quoted(text: str) -> str:
    return f'"{text}"'
