"""Keys, the signed directory and the sites' folders, made by the commands that a deployment uses.

Each agency makes its own keys in its own folder; what leaves it is a public key and a signed statement. Two of three
custodians sign the directory. What a site gets besides: the root, the directory, a certificate of the operator.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.demo.agencies import SITES, Site
from hub.adapters.tls import TlsFiles
from hub.cli.main import root as hub_command
from hub.errors import InvariantError
from hub.model import HUB, AgencyId

HERE = Path(__file__).parent
CUSTODIANS = ("north", "east", "south")
THRESHOLD = 2
DAYS = 90
"""How long the demo's keys and its directory hold."""

Say = Callable[[str], None]


class Ceremony:
    """What is made in ``folder``: custodians/, hub/, sites/<AGENCY>/. ``say`` gets each command before it runs."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self._say = say
        self._until = (datetime.now(UTC) + timedelta(days=DAYS)).date().isoformat()

    def site(self, agency: AgencyId) -> Path:
        """An agency's folder; the hub's own is beside those of the sites."""
        return self.folder / "hub" if agency == HUB else self.folder / "sites" / agency

    def hold(self) -> None:
        """Make all keys and sign the directory."""
        (self.folder / "custodians").mkdir(mode=0o700)
        for name in CUSTODIANS:
            self._run("keys", "generate", "custodian", "--out", f"custodians/{name}.key")
        named = [f"--custodian={name}=custodians/{name}.pub" for name in CUSTODIANS]
        self._run("directory", "root", "--threshold", str(THRESHOLD), *named, "--out", "root.json")
        for agency in (HUB, *(site.agency for site in SITES)):
            self._make_keys(agency)
        self._write_draft()
        signing = [f"--key=custodians/{name}.key" for name in CUSTODIANS[:THRESHOLD]]
        self._run("directory", "sign", "directory.yaml", "--root", "root.json", *signing, "--out", "directory.json")

    def _make_keys(self, agency: AgencyId) -> None:
        own = self.site(agency).relative_to(self.folder) / "keys"
        (self.folder / own / "kem").mkdir(parents=True, mode=0o700)
        statement = ["--identity", f"{own}/identity.key", "--signing", f"{own}/signing.pub"]
        for use in ("identity", "signing"):
            self._run("keys", "generate", use, "--out", f"{own}/{use}.key")
        if agency != HUB:
            self._run("keys", "generate", "kem", "--out", f"{own}/kem/kem.key")
            statement += ["--kem", f"{own}/kem/kem.pub"]
        self._run(
            "keys",
            "statement",
            "--agency",
            agency,
            *statement,
            "--until",
            self._until,
            "--out",
            f"{own}/statement.json",
        )

    def _write_draft(self) -> None:
        lines = ["version: 1", f"expires: {self._until}", "agencies:"]
        for agency, name in ((HUB, "The hub"), *((site.agency, site.name) for site in SITES)):
            own = self.site(agency).relative_to(self.folder) / "keys"
            files = f"identity: {own}/identity.pub, statement: {own}/statement.json"
            lines.append(f'  - {{agency: {agency}, name: "{name}", {files}}}')
        agreements = (HERE / "agreements.yaml").read_text(encoding="utf-8")
        (self.folder / "directory.yaml").write_text("\n".join(lines) + "\n" + agreements, encoding="utf-8")

    def _run(self, *arguments: str) -> None:
        """Run ``hub ARGUMENTS`` in this process: a start of Python for each of 50 commands would take half a minute."""
        self._say("hub " + " ".join(arguments))
        paths = [_in_folder(self.folder, argument) for argument in arguments]
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            code = hub_command.main(args=paths, prog_name="hub", standalone_mode=False)
        if code not in (None, 0):
            raise InvariantError("a command of the ceremony failed", command=" ".join(arguments), said=told.getvalue())


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
snapshot = "{(ceremony.folder / "directory.json").resolve()}"
root = "{(ceremony.folder / "root.json").resolve()}"

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


def _in_folder(folder: Path, argument: str) -> str:
    """Arguments that are paths are told relative to the demo's folder, and run from wherever we are."""
    for prefix in ("--custodian=", "--key="):
        if argument.startswith(prefix):
            head, _, path = argument.rpartition("=")
            return f"{head}={folder / path}"
    return str(folder / argument) if "/" in argument or argument.endswith((".json", ".yaml")) else argument
