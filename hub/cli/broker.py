"""``hub broker``: a cluster's topics, permissions and quotas by plan and apply; certificates; a local node."""

from __future__ import annotations

import functools
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from hub.adapters.broker_process import BrokerNotUp, BrokerProcess
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.pki import OPERATOR, Authority
from hub.adapters.tls import TlsFiles, certificate_expiry_ms
from hub.cli.asking import ask, yes_option
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
    """The Kafka of this machine: topics, access rules, certificates."""


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


@cli.command("issue")
@click.argument("principal")
@click.option("--authority", required=True, type=_FOLDER, help="Folder of the operator's CA; made if it is not there.")
@click.option("--out", required=True, type=_FOLDER, help="Where to write ca.pem, tls.pem and tls.key.")
@click.option("--site", help="A site of the agency, if it has several.")
@_as_json
def issue_command(principal: str, authority: Path, out: Path, site: str | None, as_json: bool) -> None:
    """Issue a certificate for an agency's clients (or `operator`), signed by the operator's CA."""
    files = Authority.load_or_create(authority).issue_client(principal, out, site=site)
    expires_ms = certificate_expiry_ms(files.certificate)
    facts = {"ca": str(files.ca), "certificate": str(files.certificate), "key": str(files.key)}
    if as_json:
        click.echo(json.dumps({"principal": principal, **facts, "expires_at_ms": expires_ms}, indent=2))
    else:
        click.echo(
            f"{principal}: {files.certificate} until {time.strftime('%Y-%m-%d', time.gmtime(expires_ms / 1000))}"
        )


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
