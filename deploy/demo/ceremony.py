"""Keys, the signed directory and the sites' folders, made by the commands that a deployment uses.

Each agency makes its own keys in its own folder; what leaves it is a public key and a signed statement. Two of three
custodians sign the directory. What a site gets besides: the root, the directory, a certificate of the operator.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from deploy.demo.agencies import SITES, Site
from hub.adapters.key_files import load_kem_public_key, load_signing_key, load_verify_key
from hub.adapters.repository_files import load_repository, save_repository
from hub.adapters.tls import TlsFiles
from hub.adapters.tuf_roles import sign_agency_role, sign_agreement_role
from hub.cli.main import root as hub_command
from hub.errors import InvariantError
from hub.model import HUB, AgencyId, Compartment, Onward, Purpose, parse_handling
from hub.trust.agreement import AgreementDocument, Clause
from hub.trust.keys import KeyUse
from hub.trust.statement import KemKeyEntry, KeyStatement, SigningKeyEntry

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
        self._run("keys", "generate", "online", "--out", "hub-online.key")
        named = [f"--custodian={name}=custodians/{name}.pub" for name in CUSTODIANS]
        self._run("directory", "init", "directory", "--threshold", str(THRESHOLD), *named, "--online", "hub-online.pub")
        for agency in (HUB, *(site.agency for site in SITES)):
            self._make_keys(agency)
        self._write_draft()
        signing = [f"--key=custodians/{name}.key" for name in CUSTODIANS[:THRESHOLD]]
        self._run("directory", "sign", "directory", *signing, "--yes")
        self._run("directory", "publish", "directory", "--key", "hub-online.key", "--days", str(DAYS), "--yes")
        shutil.copy(self.folder / "directory" / "metadata" / "1.root.json", self.folder / "root.json")

    def _make_keys(self, agency: AgencyId) -> None:
        own = self.site(agency).relative_to(self.folder) / "keys"
        (self.folder / own / "kem").mkdir(parents=True, mode=0o700)
        for use in ("identity", "signing"):
            self._run("keys", "generate", use, "--out", f"{own}/{use}.key")
        if agency != HUB:
            self._run("keys", "generate", "kem", "--out", f"{own}/kem/kem.key")

    def _write_draft(self) -> None:
        repository = load_repository(self.folder / "directory")
        now_ms = int(time.time() * 1000)
        end_ms = now_ms + DAYS * 86_400_000
        identities = {}
        for agency, name in ((HUB, "The hub"), *((site.agency, site.name) for site in SITES)):
            own = self.site(agency) / "keys"
            identity = identities[agency] = load_signing_key(own / "identity.key", KeyUse.IDENTITY)
            signing = SigningKeyEntry(load_verify_key(own / "signing.pub", KeyUse.SIGNING), now_ms, end_ms)
            kem = () if agency == HUB else (KemKeyEntry(load_kem_public_key(own / "kem" / "kem.pub"), now_ms, end_ms),)
            role = sign_agency_role(KeyStatement(HUB, agency, 1, now_ms, (signing,), kem), identity)
            repository.put_agency(agency, name, identity.public, role)
        for told in yaml.safe_load((HERE / "agreements.yaml").read_text(encoding="utf-8"))["agreements"]:
            parties = (AgencyId(told["from"]), AgencyId(told["to"]))
            clause = Clause(
                *parties,
                frozenset(told["types"]),
                frozenset(Compartment(name) for name in told["compartments"]),
                frozenset(Purpose(name) for name in told["purposes"]),
                parse_handling(told["max_handling"]),
                Onward.ORIGINATOR_CONSENT,
                3650,
            )
            first, second = sorted(parties)
            begins, ends = (
                int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
                for day in (told["begins"], told["ends"])
            )
            slug = told["id"].replace(" ", "-")
            document = AgreementDocument(slug, HUB, 1, told["id"], told["id"], (first, second), begins, ends, (clause,))
            half = sign_agreement_role(document, identities[first])
            repository.put_agreement(sign_agreement_role(document, identities[second], existing=half))
        save_repository(repository, self.folder / "directory")

    def _run(self, *arguments: str) -> None:
        """Run ``hub ARGUMENTS`` in this process: a start of Python for each of 50 commands would take half a minute."""
        self._say("hub " + " ".join(arguments))
        paths = [*arguments[:2], *(_in_folder(self.folder, argument) for argument in arguments[2:])]
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
path = "{(ceremony.folder / "directory").resolve()}"
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
    return (
        str(folder / argument)
        if "/" in argument or argument.endswith((".json", ".yaml", ".key", ".pub")) or argument == "directory"
        else argument
    )
