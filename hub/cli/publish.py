"""``hub publish``: the events of one file, once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.options import config_option, configure_log, run_until_signalled

if TYPE_CHECKING:
    from hub.adapters.found_connectors import SourceTotals


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
@click.option("--profile", help="A mapping profile, by name or path: the file is CSV. Without one it is JSON lines.")
@click.option(
    "--wait", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds for Kafka's answer."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def cli(ctx: click.Context, file: Path, config: Path, profile: str | None, wait: float, as_json: bool) -> None:
    """Publish the events of FILE with the site's keys and rules.

    A row that is refused stands in FILE.rejected.jsonl with its reason, and the exit code is 1; mended and published
    again, it is taken once, and what was taken before is not taken again.
    """
    import json
    from dataclasses import asdict

    from hub.app.publish import publish_file
    from hub.errors import UnavailableError
    from hub.settings import ConnectorTable, load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    name = re.sub(r"[^a-z0-9_.-]", "-", f"publish.{file.name.lower()}")[:48]
    table: dict[str, object] = {"kind": "csv" if profile else "jsonl", "name": name, "path": str(file.resolve())}
    if profile:
        table["profile"] = profile
    source = ConnectorTable.model_validate(table)
    with _shown(quiet=as_json) as watch:
        result = run_until_signalled(
            lambda stop: publish_file(settings, source, stop=stop, watch=watch, drain_seconds=wait)
        )
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        click.echo(
            f"{result.published} published, {result.duplicates} were published before, "
            f"{result.rejected_rows} rows rejected"
        )
    if result.rejected_rows:
        click.echo(f"why they were rejected: {file}.rejected.jsonl", err=True)
    if result.waiting_events:
        raise UnavailableError(
            "there is no valid directory: events wait unsealed, and the site's next start goes on with them",
            events=result.waiting_events,
        )
    if result.waiting_records:
        raise UnavailableError(
            "Kafka has not acknowledged everything; it waits in the outbox, and the site's next start sends it",
            records=result.waiting_records,
        )
    ctx.exit(1 if result.rejected_rows else 0)


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Callable[[SourceTotals], None]]:
    """Counts on standard error while the file is read, where that is a terminal."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield lambda _totals: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("reading", total=None)
        yield lambda totals: shown.update(
            task,
            description=f"{totals.published} published, {totals.duplicates} before, {totals.rejected_rows} rejected",
        )
