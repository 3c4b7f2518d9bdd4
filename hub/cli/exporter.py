"""``hub exporter``: what the broker knows of itself and of its readers, for Prometheus."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.options import config_option, configure_log, run_until_signalled


@click.group()
def cli() -> None:
    """Serve the broker's figures to Prometheus: lag, partitions, disks."""


@cli.command()
@config_option
def run(config: Path) -> None:
    """Look at the broker every few seconds until SIGTERM or SIGINT. Reads no record and changes nothing."""
    from hub.app.exporter import run_exporter
    from hub.settings import load_exporter

    settings = load_exporter(config)
    configure_log(settings.log)
    run_until_signalled(lambda stop: run_exporter(settings, stop=stop))
