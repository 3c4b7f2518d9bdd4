"""``hub broker``: a cluster's topics, permissions and quotas by plan and apply; certificates; a local node."""

from __future__ import annotations

import functools
import hashlib
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from hub.adapters.broker_process import BrokerNotUp, BrokerProcess
from hub.adapters.files import read_file, write_file
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.pki import (
    MAX_REQUEST_BYTES,
    OPERATOR,
    OWN,
    Authority,
    CertificateNameInvalid,
    make_authority_request,
    make_request,
)
from hub.adapters.tls import TlsFiles, certificate_expiry_ms
from hub.cli.asking import ask, yes_option
from hub.cli.broker_node import issue_node
from hub.cli.main import EXIT_OK, EXIT_REJECTED
from hub.cli.options import config_option, configure_log, run_until_signalled
from hub.cluster import Plan, Wanted, wanted_by, wanted_for
from hub.model import AgencyId, NameInvalid, parse_agency_id
from hub.topics import Declaration, Quotas
from hub.trust.directory import Directory

_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_FILE: Final = click.Path(path_type=Path, dir_okay=False, exists=True)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def cli() -> None:
    """The Kafka that carries it: topics, permissions and quotas by plan and apply; certificates; a local node."""


# --- topics and access rules ------------------------------------------------------------------------------------------


def _agencies(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> tuple[AgencyId, ...]:
    try:
        return tuple(parse_agency_id(code) for value in values for code in value.split(",") if code)
    except NameInvalid as error:
        raise click.BadParameter(error.diagnostics()) from error


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the options say that a cluster should have."""

    agencies: tuple[AgencyId, ...]
    directory: Path | None
    root: Path | None
    declaration: Path | None
    quotas: Path | None

    def wanted(self) -> Wanted:
        declaration = Declaration.load(self.declaration)
        if self.quotas is not None:
            declaration = declaration.with_quotas(Quotas.load(self.quotas))
        if self.directory is None:
            return wanted_for(self.agencies, declaration)
        return wanted_by(read_directory(self.directory, self.root), declaration)


def read_directory(directory: Path, root: Path | None) -> Directory:
    """The verified directory in a folder or a file. Raises ``click.UsageError`` without a root."""
    from hub.adapters.tuf_reader import load_directory

    if root is None:
        raise click.UsageError("--directory needs --root, the pinned root's file")
    return load_directory(directory, root, now_ms=int(time.time() * 1000)).directory


directory_options: Final = (
    click.option(
        "--directory", type=click.Path(path_type=Path), help="The signed directory: its folder, or it in one file."
    ),
    click.option("--root", type=_FILE, help="The pinned root, from which the directory is verified."),
)


def _wish_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is wanted; the command gets them as ``wish``."""

    @functools.wraps(command)
    def wished(
        agencies: tuple[AgencyId, ...],
        directory: Path | None,
        root: Path | None,
        declaration: Path | None,
        quotas: Path | None,
        **more: Any,
    ) -> Any:
        if bool(agencies) == (directory is not None):
            raise click.UsageError("say who is there: either --directory and --root, or --agency")
        return command(wish=_Wish(agencies, directory, root, declaration, quotas), **more)

    for option in (
        click.option("--quotas", type=_FILE, help="The operator's own quotas, over the declared ones (YAML)."),
        click.option(
            "--topics", "declaration", type=_FOLDER, help="Folder of declarations; by default the one that hub brings."
        ),
        click.option(
            "--agency",
            "agencies",
            multiple=True,
            callback=_agencies,
            help="Without a directory: an agency's code, or several with commas. All of them: others lose their ACLs.",
        ),
        *reversed(directory_options),
    ):
        wished = option(wished)
    return wished


def _cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--tls", required=True, type=_FOLDER, help="The operator's folder: ca.pem, tls.pem, tls.key."),
        click.option("--bootstrap", required=True, help="host:port of a node."),
    ):
        command = option(command)
    return command


def _plan(bootstrap: str, tls: Path, wish: _Wish) -> tuple[KafkaAdmin, Plan]:
    wanted = wish.wanted()
    admin = KafkaAdmin(bootstrap, TlsFiles(tls / "ca.pem", tls / "tls.pem", tls / "tls.key"))
    return admin, admin.plan_for(wanted)


def _show(plan: Plan) -> None:
    for change in plan.changes:
        click.echo(str(change))
    for topic in plan.undeclared:
        click.echo(f"? topic {topic}: nobody declared it; it is left alone")
    for words in plan.cannot:
        click.echo(f"! {words}")
    click.echo(plan.summary())


def _as_dict(plan: Plan, **more: object) -> str:
    facts = {
        "changes": [change.as_json() for change in plan.changes],
        "undeclared": plan.undeclared,
        "cannot": plan.cannot,
        "directory": plan.wanted.directory,
    }
    return json.dumps({**facts, **more}, indent=2)


@cli.command("plan")
@_cluster_options
@_wish_options
@_as_json
def plan_command(bootstrap: str, tls: Path, wish: _Wish, as_json: bool) -> None:
    """Show what `apply` would create (+), change (~) and remove (-). Changes nothing.

    Active agencies get topics, permissions and quotas; suspended ones keep their topics alone. What someone else has
    changed since the last `apply` is marked.
    """
    _, plan = _plan(bootstrap, tls, wish)
    if as_json:
        click.echo(_as_dict(plan))
    else:
        _show(plan)


@cli.command("apply")
@_cluster_options
@_wish_options
@click.option("--unsafe-older-directory", is_flag=True, help="Take a directory older than the one applied last.")
@yes_option
@_as_json
@click.pass_context
def apply_command(
    ctx: click.Context,
    bootstrap: str,
    tls: Path,
    wish: _Wish,
    unsafe_older_directory: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make the cluster as wanted: topics, their configs, permissions, quotas. Removes no topic.

    Exit code 1: all that can be was done, but something differs that Kafka cannot change.
    """
    admin, plan = _plan(bootstrap, tls, wish)
    if unsafe_older_directory:
        plan = plan.forgetting_newer()
    plan.check_not_older()
    if not as_json:
        _show(plan)
    if plan.changes:
        ask("Make these changes?", yes=yes)
    admin.apply(plan)
    if as_json:
        click.echo(_as_dict(plan, applied=True))
    ctx.exit(EXIT_REJECTED if plan.cannot else EXIT_OK)


@cli.command("export")
@click.option("--strimzi", is_flag=True, required=True, help="For Strimzi on Kubernetes: KafkaTopic and KafkaUser, v1.")
@_wish_options
@click.option("--cluster", required=True, help="The name of the Kafka resource.")
@click.option("--namespace", help="Where the resources live.")
@click.option("--replicas", type=click.IntRange(1, 9), default=3, show_default=True, help="Copies of each topic.")
@_as_json
def export_command(
    strimzi: bool, wish: _Wish, cluster: str, namespace: str | None, replicas: int, as_json: bool
) -> None:
    """Print what the cluster should have as resources, in YAML, for `kubectl apply --prune`.

    The comment at their head has the rules that the listener maps our certificates by.
    """
    from hub.adapters.strimzi import mapping_rules, render, resources

    wanted = wish.wanted()
    found = resources(wanted, cluster=cluster, replicas=replicas, namespace=namespace)
    if as_json:
        click.echo(json.dumps({"resources": found, "ssl.principal.mapping.rules": mapping_rules(wanted)}, indent=2))
        return
    click.echo(
        "# In the Kafka resource: authentication of the listener of type custom, sasl false, and as listenerConfig:"
    )
    click.echo("# ssl.client.auth: required")
    click.echo(f"# ssl.principal.mapping.rules: {mapping_rules(wanted)}")
    click.echo(render(found), nl=False)


@cli.command("follow")
@config_option
def follow_command(config: Path) -> None:
    """Keep the cluster in step with the directory until SIGTERM or SIGINT.

    Each new version is applied at once: a suspended agency's next request is refused. What someone else has changed is
    changed back. Without a valid directory nothing is changed. One such process is enough.
    """
    from hub.app.broker import run_follower
    from hub.settings import load_broker

    settings = load_broker(config)
    configure_log(settings.log)
    run_until_signalled(lambda stop: run_follower(settings, stop=stop))


# --- certificates -----------------------------------------------------------------------------------------------------


cli.add_command(issue_node)

_authority = click.option("--authority", required=True, type=_FOLDER, help="Folder of the certificate authority.")
_request = click.option("--request", type=_FILE, help="A certificate request (PKCS #10, PEM): its key is certified.")


def _listed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(directory_options):
        command = option(command)
    return command


def _check_listed(principal: str, directory: Path | None, root: Path | None) -> None:
    """Where a directory is given, an agency must be in it and active; the operator's own names need not."""
    if directory is None or principal in OWN:
        return
    entry = read_directory(directory, root).entries.get(AgencyId(principal))
    if entry is None or not entry.active:
        raise CertificateNameInvalid(
            "the directory does not list this agency" if entry is None else "the agency is suspended", agency=principal
        )


@cli.command("issue")
@click.argument("principal")
@click.option("--authority", required=True, type=_FOLDER, help="Folder of the CA; made if it is not there.")
@click.option("--out", required=True, type=_FOLDER, help="Where to write ca.pem and tls.pem (and tls.key).")
@click.option("--site", help="A site of the agency, if it has several.")
@_request
@_listed_options
@yes_option
@_as_json
def issue_command(
    principal: str,
    authority: Path,
    out: Path,
    site: str | None,
    request: Path | None,
    directory: Path | None,
    root: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Issue a certificate for an agency's clients (or `operator`, `console`, `exporter`).

    With --request the key stays where it was made: the request is checked (its own signature, the key's kind and size)
    and signed under the name given here, whatever name it asks for. Without, a key is made too. With --directory only
    an agency that is listed and active gets one.
    """
    _check_listed(principal, directory, root)
    if request is None:
        files = Authority.load_or_create(authority).issue_client(principal, out, site=site)
        facts = {"ca": str(files.ca), "certificate": str(files.certificate), "key": str(files.key)}
    else:
        signer = Authority.load(authority)
        certificate = signer.sign_request(read_file(request, MAX_REQUEST_BYTES), principal, site=site)
        if not as_json:
            click.echo(_describe(certificate))
        ask("Hand this certificate out?", yes=yes)
        facts = {"ca": str(out / "ca.pem"), "certificate": str(out / "tls.pem")}
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / "ca.pem", signer.ca.read_bytes())
        write_file(out / "tls.pem", certificate)
    expires_ms = certificate_expiry_ms(out / "tls.pem")
    if as_json:
        click.echo(json.dumps({"principal": principal, **facts, "expires_at_ms": expires_ms}, indent=2))
    else:
        click.echo(f"{principal}: {facts['certificate']} until {_day(expires_ms)}")


@cli.command("request")
@click.argument("folder", type=_FOLDER)
@click.option("--ca", "authority", is_flag=True, help="For an agency's own certificate authority.")
@_as_json
def request_command(folder: Path, authority: bool, as_json: bool) -> None:
    """Make a key in FOLDER and a request for its certificate, to send to the operator. The key stays.

    Then `tls.pem` and `ca.pem` of the answer come beside `tls.key`; for an authority, `ca.pem` and `root.pem` beside
    `ca.key`.
    """
    path = make_authority_request(folder) if authority else make_request(folder)
    click.echo(json.dumps({"request": str(path)}) if as_json else f"{path}: send it to the operator")


@cli.command("certify-ca")
@click.argument("agency")
@_authority
@click.option("--request", required=True, type=_FILE, help="The request of the agency's authority (PKCS #10, PEM).")
@click.option("--node-host", "hosts", multiple=True, required=True, help="A node's name, or a domain of the nodes.")
@click.option("--out", required=True, type=_FOLDER, help="Where to write ca.pem (the agency's) and root.pem (ours).")
@_listed_options
@yes_option
@_as_json
def certify_ca_command(
    agency: str,
    authority: Path,
    request: Path,
    hosts: Sequence[str],
    out: Path,
    directory: Path | None,
    root: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Certify an agency's own certificate authority, for its own organisation and for clients alone.

    The node refuses what it issues for anyone else, and clients refuse what it issues for a node: --node-host says by
    which names they know the nodes. Every address is excluded anyway. An agency's root is never put beside ours.
    """
    _check_listed(agency, directory, root)
    signer = Authority.load(authority)
    certificate = signer.certify_authority(read_file(request, MAX_REQUEST_BYTES), agency, hosts=hosts)
    if not as_json:
        click.echo(_describe(certificate))
        click.echo(f"it can name no organisation but {agency}, and no host in {', '.join(hosts)}")
    ask("Certify this authority?", yes=yes)
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "ca.pem", certificate)
    write_file(out / "root.pem", signer.ca.read_bytes())
    expires_ms = certificate_expiry_ms(out / "ca.pem")
    if as_json:
        facts = {"agency": agency, "ca": str(out / "ca.pem"), "root": str(out / "root.pem")}
        click.echo(json.dumps({**facts, "expires_at_ms": expires_ms}, indent=2))
    else:
        click.echo(f"{agency}: {out / 'ca.pem'} until {_day(expires_ms)}")


def _describe(pem: bytes) -> str:
    """What a certificate says, for the one who hands it out: the key's fingerprint can be compared by phone."""
    certificate = load_pem_x509_certificate(pem)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(key).hexdigest()
    return (
        f"subject:  {certificate.subject.rfc4514_string()}\n"
        f"key:      SHA-256 {':'.join(digest[i : i + 4] for i in range(0, 64, 4))}\n"
        f"until:    {certificate.not_valid_after_utc:%Y-%m-%d}"
    )


def _day(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_ms / 1000))


# --- the node ---------------------------------------------------------------------------------------------------------

_deploy = click.option(
    "--deploy", type=_FOLDER, default=Path("deploy/broker"), show_default=True, help="The project's deploy/broker."
)
_jars = click.option(
    "--jars", type=_FOLDER, default=Path("build/broker/jars"), show_default=True, help="What `make broker` fetched."
)


@cli.command("start")
@click.argument("folder", type=_FOLDER)
@_deploy
@_jars
@click.option("--port", type=click.IntRange(1, 65535), help="Where clients connect; by default a free one.")
@click.option("--detach", is_flag=True, help="Return when it is up, and leave it running until `hub broker stop`.")
@_as_json
def start_command(folder: Path, deploy: Path, jars: Path, port: int | None, detach: bool, as_json: bool) -> None:
    """Start one node whose data, log and certificates are in FOLDER; runs until it is told to stop."""
    node = BrokerProcess(folder, deploy=deploy, jars=jars, client_port=port)
    before = None if detach else signal.signal(signal.SIGTERM, _stop_asked)
    try:
        node.start(detached=detach)
        operator = node.folder / "pki" / OPERATOR
        if as_json:
            facts = {"bootstrap": node.bootstrap, "operator": str(operator), "log": str(node.log), "pid": node.pid}
            click.echo(json.dumps(facts, indent=2))
        else:
            click.echo(f"up at {node.bootstrap}; the operator's certificate is in {operator}; log: {node.log}")
        if detach:
            return
        while node.pid is not None:
            time.sleep(0.5)
        raise BrokerNotUp("the node ended", log=node.log)
    finally:
        if not detach:
            node.stop()
            signal.signal(signal.SIGTERM, before)


@cli.command("renew")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@_deploy
@_jars
@_as_json
def renew_command(folder: Path, deploy: Path, jars: Path, as_json: bool) -> None:
    """Give the running node of FOLDER a new certificate; it does not restart, and open connections go on."""
    node = BrokerProcess(folder, deploy=deploy, jars=jars)
    if node.pid is None:
        raise BrokerNotUp("no node runs there", log=node.log)
    node.renew_certificate()
    expires_ms = certificate_expiry_ms(node.certificate)
    if as_json:
        click.echo(json.dumps({"certificate": str(node.certificate), "expires_at_ms": expires_ms}, indent=2))
    else:
        click.echo(f"{node.certificate} until {_day(expires_ms)}; new connections see it")


def _stop_asked(_signal: int, _frame: FrameType | None) -> None:
    raise click.exceptions.Exit(0)


@cli.command("stop")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@_deploy
@_jars
def stop_command(folder: Path, deploy: Path, jars: Path) -> None:
    """Stop the node of FOLDER that `hub broker start --detach` left running."""
    node = BrokerProcess(folder, deploy=deploy, jars=jars)
    running = node.pid is not None
    node.stop()
    click.echo("stopped" if running else "no node was running there")
