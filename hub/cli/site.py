"""``hub site``: run an agency's site, or look it over before it starts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.options import config_option, configure_log, run_until_signalled
from hub.cli.site_state import backup, downgrade, restore

if TYPE_CHECKING:
    from hub.client.rejected import Refusal
    from hub.client.retry import Retried


@click.group()
def cli() -> None:
    """Run an agency's site: its sources and sinks."""


for _command in (backup, restore, downgrade):
    cli.add_command(_command)


@cli.command()
@config_option
def run(config: Path) -> None:
    """Run the site's sources and sinks until SIGTERM or SIGINT.

    What is begun is brought to an end: the outbox keeps what Kafka has not acknowledged, and the next start sends it.
    """
    from hub.app.site import run_site
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log)
    run_until_signalled(lambda stop: run_site(settings, stop=stop))


@cli.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(config: Path, as_json: bool) -> None:
    """Check everything that can be checked before the site runs: files, keys, directory, rules, connectors.

    The broker is asked for the directory alone, where it is on its topic; without an answer, what is here counts.
    """
    from hub.app.check import check_site
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    if as_json:
        click.echo(json.dumps([asdict(checked) for checked in check_site(settings)], indent=2))
        return
    for checked in check_site(settings):
        click.echo(f"ok  {checked.what:<13} {checked.facts}")


@cli.command("verify-stub")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify_stub(file: Path, config: Path, as_json: bool) -> None:
    """Check a stub that the hub gave for a number which it did not deliver, and whether its reason holds.

    Exit code 0: the publisher signed that entry, and by this site's own directory and subscription it was right not to
    deliver it. 1: the stub does not verify, or the entry should have been delivered.
    """
    from hub.app.check import check_stub
    from hub.errors import RejectedError
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    found = check_stub(settings, file)
    if as_json:
        click.echo(json.dumps(dict(found.facts), indent=2))
    for name, value in () if as_json else found.facts:
        click.echo(f"{name:<13} {value}")
    if found.should_have_come:
        raise RejectedError("by this site's directory and subscription the entry should have been delivered")


@cli.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def rejected(config: Path, as_json: bool) -> None:
    """List what was delivered to this site and refused, newest first: when, whose, what, why, where. No content.

    The site may be running. `hub site retry` reads the sealed bytes again.
    """

    from hub.app.rejected import list_rejected
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    nothing = True
    for refusal in list_rejected(settings):
        nothing = False
        click.echo(json.dumps({**asdict(refusal), "at": _moment(refusal.at_ms)}) if as_json else _line(refusal))
    if nothing and not as_json:
        click.echo("nothing is refused")


@cli.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def refused(config: Path, as_json: bool) -> None:
    """List the events that this site took while no directory was valid, and refused when it could seal: newest first.

    When, what, under which key of its source, and why. Nothing else of them is kept: mend the row, or the rules, and
    publish it again under the same key. The site may be running.
    """

    from hub.adapters.sqlite_outbox import read_refused
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    notes = read_refused(settings.state / "outbox.sqlite", agency=settings.agency)
    for note in notes:
        when, event_id = _moment(note.at_ms), note.event_id.hex()
        if as_json:
            facts = {"at": when, "event_id": event_id, "event_type": note.event_type, "source_key": note.source_key}
            click.echo(json.dumps({**facts, "code": note.code, "reason": note.reason}))
        else:
            click.echo(f"{when}  {note.event_type}  {note.source_key or '-'}  {note.reason}  [event {event_id}]")
    if not notes and not as_json:
        click.echo("nothing was refused late")


@cli.command()
@config_option
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--code", help="Only what was refused with this code.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@click.pass_context
def retry(ctx: click.Context, config: Path, ids: tuple[str, ...], code: str | None, as_json: bool) -> None:
    """Read refused entries again, with today's keys, catalog and directory: these IDs, those of a code, or all.

    What is right now goes to the sinks, once, and leaves the list. Stop the site before. Exit code 1: some are still
    refused, and stay.
    """
    import asyncio

    from hub.app.rejected import Choice, retry_rejected
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    results = asyncio.run(retry_rejected(settings, Choice(ids, code)))
    for result in results:
        click.echo(_retried_json(result) if as_json else _retried_line(result))
    still = sum(result.outcome == "refused" for result in results)
    if not as_json:
        click.echo(f"{len(results) - still} settled, {still} still refused")
    ctx.exit(1 if still else 0)


_OUTCOMES = {"written": "written", "not_wanted": "not wanted", "had_it": "had it already", "refused": "still refused"}


def _moment(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _line(refusal: Refusal) -> str:
    where = refusal.place + (f" event {refusal.event_id}" if refusal.event_id else "")
    where += f" at sink {refusal.sink}" if refusal.sink else ""
    who = f"{refusal.publisher or 'unknown'} {refusal.event_type or '-'}"
    gone = "" if refusal.kept else " (its bytes are no longer kept)"
    return f"{refusal.id}  {_moment(refusal.at_ms)}  {who}  {refusal.code}: {refusal.reason}  [{where}]{gone}"


def _retried_line(result: Retried) -> str:
    why = f"  {result.code}: {result.reason}" if result.reason else f"  {result.code}" if result.code else ""
    return f"{result.record.id}  {_OUTCOMES[result.outcome]}  {result.events} events{why}"


def _retried_json(result: Retried) -> str:

    facts = {"id": result.record.id, "outcome": result.outcome, "events": result.events}
    return json.dumps({**facts, "code": result.code, "reason": result.reason})
