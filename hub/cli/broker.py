"""``hub broker``: one Kafka node on this machine, its certificates, and its topics and ACLs by plan and apply."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from hub.adapters.broker_process import BrokerNotUp, BrokerProcess
from hub.adapters.kafka_admin import KafkaAdmin, Plan
from hub.adapters.pki import OPERATOR, Authority
from hub.adapters.tls import TlsFiles, certificate_expiry_ms
from hub.model import AgencyId, NameInvalid, parse_agency_id
from hub.topics import Declaration

_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
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


def _cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--topics", "declaration", type=_FOLDER, help="Folder of declarations; by default the one that hub brings."
        ),
        click.option(
            "--agency",
            "agencies",
            multiple=True,
            required=True,
            callback=_agencies,
            help="An agency's code, or several with commas; may be repeated. All of them: others lose their ACLs.",
        ),
        click.option("--tls", required=True, type=_FOLDER, help="The operator's folder: ca.pem, tls.pem, tls.key."),
        click.option("--bootstrap", required=True, help="host:port of a node."),
    ):
        command = option(command)
    return command


def _plan(bootstrap: str, tls: Path, agencies: Sequence[AgencyId], declaration: Path | None) -> tuple[KafkaAdmin, Plan]:
    admin = KafkaAdmin(bootstrap, TlsFiles(tls / "ca.pem", tls / "tls.pem", tls / "tls.key"))
    return admin, admin.plan(Declaration.load(declaration), agencies)


def _show(plan: Plan) -> None:
    for change in plan.changes:
        click.echo(str(change))
    for topic in plan.undeclared:
        click.echo(f"? topic {topic}: nobody declared it; it is left alone")
    click.echo(f"{len(plan.changes)} changes" if plan.changes else "nothing to change")


def _as_dict(plan: Plan, **more: object) -> str:
    changes = [change.as_json() for change in plan.changes]
    return json.dumps({"changes": changes, "undeclared": list(plan.undeclared), **more}, indent=2)


@cli.command("plan")
@_cluster_options
@_as_json
def plan_command(
    bootstrap: str, tls: Path, agencies: Sequence[AgencyId], declaration: Path | None, as_json: bool
) -> None:
    """Show what `apply` would create (+), change (~) and remove (-). Changes nothing."""
    _, plan = _plan(bootstrap, tls, agencies, declaration)
    if as_json:
        click.echo(_as_dict(plan))
    else:
        _show(plan)


@cli.command("apply")
@_cluster_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@_as_json
def apply_command(
    bootstrap: str, tls: Path, agencies: Sequence[AgencyId], declaration: Path | None, yes: bool, as_json: bool
) -> None:
    """Make the cluster as declared: create topics, set their configs, add and remove ACLs. Removes no topic."""
    admin, plan = _plan(bootstrap, tls, agencies, declaration)
    if not as_json:
        _show(plan)
    if plan.changes and not yes:
        click.confirm("Make these changes?", abort=True, err=True)
    admin.apply(plan)
    if as_json:
        click.echo(_as_dict(plan, applied=True))


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
