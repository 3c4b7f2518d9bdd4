"""``hub console``: run the operators' web console; verify the audit log; read what was handed back."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hub.cli.options import config_option, configure_log, run_until_signalled


@click.group()
def cli() -> None:
    """The operators' web console, and its audit log."""


@cli.command()
@config_option
@click.option("--listen", metavar="HOST:PORT", help="Another address than the configuration's.")
def run(config: Path, listen: str | None) -> None:
    """Serve the console until SIGTERM or SIGINT. A browser needs a client certificate of the people's CA."""
    from hub.console.start import run_console
    from hub.settings import load_console

    settings = load_console(config, overrides={} if listen is None else {"listen": listen})
    configure_log(settings.log)
    run_until_signalled(lambda stop: run_console(settings, stop=stop))


@cli.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(config: Path, as_json: bool) -> None:
    """Show the audit log, oldest first, and verify its chains. Exit code 1: the log does not hold."""
    from hub.console.audit import verify_trail
    from hub.console.start import read_trail_once
    from hub.settings import load_console

    settings = load_console(config)
    configure_log(settings.log, quiet=True)
    trail = run_until_signalled(lambda _stop: read_trail_once(settings))
    writers = sorted({written.entry.writer for written in trail.entries})
    if as_json:
        entries = [{**written.entry.model_dump(mode="json"), "offset": written.offset} for written in trail.entries]
        click.echo(json.dumps({"entries": entries, "writers": writers, "faults": list(trail.faults)}, indent=2))
    else:
        from hub.console.render import moment

        for written in trail.entries:
            entry = written.entry
            click.echo(
                f"{moment(entry.at_ms)}  {entry.writer} #{entry.number}  {entry.who}  {entry.what}  {entry.place}"
                + (f"  {entry.reason}" if entry.reason else "")
            )
        said = "the chains hold" if not trail.faults else "NOT WHOLE:"
        click.echo(f"{len(trail.entries)} entries of {', '.join(writers) or 'nobody'}, {said}")
        for fault in trail.faults:
            click.echo(f"  {fault}")
    verify_trail(trail)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def returned(file: Path, as_json: bool) -> None:
    """Show what a file says that an operator handed back: what was refused, why, and which bundle it is.

    For the originator. Nothing in it is verified; the instance and the numbers lead to the events in its own records.
    """
    from dataclasses import asdict

    from hub.adapters.files import read_file
    from hub.console.quarantine import clause_of, read_held
    from hub.errors import RejectedError
    from hub.wire.quarantine import LIMIT

    held = read_held(0, 0, 0, read_file(file, LIMIT))
    if not held.readable:
        raise RejectedError("not a record that was handed back", file=file, reason=held.reason)
    facts = {
        "code": held.code,
        "clause": clause_of(held.code),
        "reason": held.reason,
        "topic": held.topic,
        "partition": None if held.origin is None else held.origin[0],
        "offset": None if held.origin is None else held.origin[1],
        "refused_at_ms": held.at_ms,
        "router": held.router,
        "bytes": held.length,
        "whole": held.whole,
        "sha256": held.digest,
        "labels": None if held.labels is None else asdict(held.labels),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in {**facts, **(facts.pop("labels") or {})}.items():  # type: ignore[dict-item]
        if name != "labels":
            click.echo(f"{name:<13} {value}")
