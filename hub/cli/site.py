"""``hub site``: run an agency's site, or look it over before it starts."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.options import config_option, configure_log, run_until_signalled


@click.group()
def cli() -> None:
    """Run an agency's site: its sources and sinks."""


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
def check(config: Path) -> None:
    """Check everything that can be checked without the broker: files, keys, directory, rules, connectors."""
    from hub.app.check import check_site
    from hub.settings import load_site

    settings = load_site(config)
    configure_log(settings.log, quiet=True)
    for checked in check_site(settings):
        click.echo(f"ok  {checked.what:<13} {checked.facts}")


@cli.command("verify-stub")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
def verify_stub(file: Path, config: Path) -> None:
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
    for name, value in found.facts:
        click.echo(f"{name:<13} {value}")
    if found.should_have_come:
        raise RejectedError("by this site's directory and subscription the entry should have been delivered")
