"""``hub agency status``: what ends when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.adapters import agency_folder as folders
from hub.adapters.agency_folder import AgencyFolder
from hub.adapters.key_files import KeyAccess
from hub.cli.agency_opened import (
    day_text,
    directory_option,
    find_directory,
    folder_argument,
    now_ms_utc,
    told_of,
)
from hub.cli.key_options import json_option

if TYPE_CHECKING:
    from hub.adapters.agency_status import Examination, Item


@click.command()
@folder_argument
@click.option(
    "--warn-days", type=click.IntRange(0, 3660), default=30, show_default=True, help="What ends sooner is marked."
)
@directory_option
@json_option
def status(folder: Path, warn_days: int, directory: Path | None, as_json: bool) -> int:
    """What ends when: keys, statement, certificates; agreements and the directory, if one is at hand.

    Exit code 1 when something ends within --warn-days, is over, or is not as it should be. Nothing is changed.
    """
    from hub.adapters.agency_status import Examination

    agency = AgencyFolder(folder, folders.load_state(folder), KeyAccess())
    now_ms = now_ms_utc()
    found = Examination(agency, find_directory(folder, directory), now_ms, warn_days)
    items = found.items()
    wanting = sum(item.standing.wants_somebody for item in items)
    if as_json:
        rows = [
            {
                "what": item.what,
                "standing": item.standing.value,
                "days": item.days(now_ms),
                "ends_ms": item.ends_ms,
                "text": item.text,
            }
            for item in items
        ]
        told = {"directory": found.directory.version if found.directory else None, "wanting": wanting, "items": rows}
        click.echo(json.dumps(told_of(agency) | told))
    else:
        _print_status(found, items)
    return 1 if wanting else 0


def _print_status(found: Examination, items: list[Item]) -> None:
    from rich.console import Console
    from rich.table import Table

    state = found.agency.state
    version = f"directory {found.directory.version}" if found.directory else "no directory at hand"
    table = Table("what", "days", "ends", "", "", title=f"{state.agency} ({state.name}), {version}", box=None)
    colours = {"ok": "green", "note": "cyan", "soon": "yellow", "over": "red", "wrong": "red"}
    for item in items:
        days, standing = item.days(found.now_ms), item.standing.value
        ends = "" if item.ends_ms is None else day_text(item.ends_ms - 1)
        table.add_row(item.what, "" if days is None else str(days), ends, f"[{colours[standing]}]{standing}", item.text)
    Console().print(table)
