"""``hub router``: run one of the hub's routers; make the stub of an entry that was not delivered."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hub.cli.options import config_option, configure_log, run_until_signalled


@click.group()
def cli() -> None:
    """Run the hub's router; stubs of what was not delivered."""


@cli.command()
@config_option
@click.option("--state", type=click.Path(path_type=Path), help="Another state folder: each router has its own.")
@click.option("--listen", metavar="HOST:PORT", help="Another address for metrics and health.")
@click.option("--name", help="The router's name in heartbeats and quarantine.")
def run(config: Path, state: Path | None, listen: str | None, name: str | None) -> None:
    """Run one router until SIGTERM or SIGINT. As many share the work as the ingest topics have partitions."""
    from hub.app.router import run_router
    from hub.settings import load_router

    given = {
        "state": str(state.absolute()) if state else None,
        "metrics.listen": listen,
        "router.name": name,
    }
    settings = load_router(config, overrides={key: value for key, value in given.items() if value is not None})
    configure_log(settings.log)
    run_until_signalled(lambda stop: run_router(settings, stop=stop))


@cli.command()
@config_option
@click.option("--publisher", required=True, metavar="AGENCY", help="Who published.")
@click.option("--instance", required=True, metavar="HEX", help="The publisher's instance: 32 hexadecimal digits.")
@click.option("--to", "recipient", required=True, metavar="AGENCY", help="Whose entry it is.")
@click.option("--seq", required=True, type=click.IntRange(min=1), help="The entry's number for that agency.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where the stub goes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stub(config: Path, publisher: str, instance: str, recipient: str, seq: int, out: Path, as_json: bool) -> None:
    """Write the stub that a recipient may demand for a number that a notice of the hub explains.

    It is read from the ingest topic, for as long as that keeps it, and has no content. The recipient checks it with
    ``hub site verify-stub``.
    """
    from hub.app.router import write_stub
    from hub.model import parse_agency_id
    from hub.settings import load_router
    from hub.stubs import Wanted

    settings = load_router(config)
    configure_log(settings.log, quiet=True)
    try:
        raw = bytes.fromhex(instance)
    except ValueError as error:
        raise click.BadParameter("hexadecimal digits are wanted", param_hint="--instance") from error
    wanted = Wanted(parse_agency_id(publisher), raw, parse_agency_id(recipient), seq)
    run_until_signalled(lambda _stop: write_stub(settings, wanted, out))
    click.echo(json.dumps({"out": str(out), "to": recipient}) if as_json else f"{out}: give it to {recipient}")
