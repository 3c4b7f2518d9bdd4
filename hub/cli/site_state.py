"""``hub site backup``, ``restore``, ``downgrade``: a site's state folder. docs/guides/backup.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.asking import ask, yes_option
from hub.cli.options import config_option, configure_log

if TYPE_CHECKING:
    from hub.adapters.state_backup import Backup
    from hub.settings import SiteSettings

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@config_option
@click.argument("destination", type=click.Path(path_type=Path))
@_json_option
def backup(config: Path, destination: Path, as_json: bool) -> None:
    """Copy the site's state into the new folder DESTINATION. The site may be running.

    Without keys and without configuration. With events that wait for a directory, in the clear: keep it as you keep the
    state itself.
    """
    from hub.adapters.clock import SystemClock
    from hub.adapters.state_backup import back_up

    settings = _settings(config)
    made = back_up(settings.state, destination, agency=settings.agency, now_ms=SystemClock().now_ms())
    _show(made, as_json=as_json)


@click.command()
@config_option
@click.argument("source", metavar="BACKUP", type=click.Path(path_type=Path, exists=True, file_okay=False))
@yes_option
@_json_option
def restore(config: Path, source: Path, yes: bool, as_json: bool) -> None:
    """Make the site's state folder of BACKUP, where there is none.

    The site must not run, here or elsewhere, on the state that the backup was made of. At its next start it reads
    everything again that Kafka keeps for it, in a new consumer group, and drops what it has.
    """
    from hub.adapters.clock import SystemClock
    from hub.adapters.state_backup import read_backup
    from hub.adapters.state_backup import restore as restore_state

    settings = _settings(config)
    found = read_backup(source, agency=settings.agency)
    if not as_json:
        _show(found, as_json=False)
    ask(f"Make {settings.state} of this backup?", yes=yes)
    restore_state(found, settings.state, now_ms=SystemClock().now_ms())
    if as_json:
        _show(found, as_json=True)
    else:
        click.echo(f"{settings.state}: restored. What the site published since then its recipients have; they report a")
        click.echo("chain conflict once, by which they see that an older outbox goes on. Tell the hub's operator.")


@click.command()
@config_option
@click.argument("store", type=click.Choice(["outbox", "inbox"]))
@yes_option
@_json_option
def downgrade(config: Path, store: str, yes: bool, as_json: bool) -> None:
    """Take STORE one version back, for an older cgi-hub that refuses it (`store.foreign`). Stop the site before.

    Refused where it holds what the older version has no place for. Make a backup first.
    """
    import json

    from hub.adapters.sqlite_copy import step_back

    settings = _settings(config)
    path = settings.state / f"{store}.sqlite"
    if not as_json:
        click.echo(f"{path} will become one of the version before")
    ask("Take it back?", yes=yes)
    old, new = step_back(path, kind=store, agency=settings.agency)
    click.echo(
        json.dumps({"store": store, "from": old, "to": new}) if as_json else f"{store}: version {old} is now {new}"
    )


def _settings(config: Path) -> SiteSettings:
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    return settings


def _show(found: Backup, *, as_json: bool) -> None:
    import json
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(found.made_at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if as_json:
        facts = {"folder": str(found.folder), "agency": found.agency, "made_at": moment, "version": found.version}
        click.echo(json.dumps({**facts, "files": found.files}))
        return
    click.echo(f"{found.folder}: {found.agency}, made {moment} by version {found.version}")
    for name, size in found.files.items():
        click.echo(f"  {size:>12,}  {name}")
