"""``hub status``: what the console shows, in a terminal: once, again and again, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hub.cli.options import config_option, configure_log, run_until_signalled

if TYPE_CHECKING:
    import asyncio

    from hub.console.facts import Facts
    from hub.console.pages import Page
    from hub.settings import ConsoleSettings

PAGES: Final = ("exchange", "agencies", "agency", "agreements", "pair", "quarantine", "directory", "health", "audit")
_NEEDS: Final = {"agency": 1, "pair": 2}


@click.command()
@click.argument("page", type=click.Choice(PAGES), default="exchange")
@click.argument("names", metavar="[AGENCY]...", nargs=-1)
@config_option
@click.option("--watch", is_flag=True, help="Show it again and again until interrupted.")
@click.option(
    "--every", type=click.FloatRange(min=1), default=5.0, show_default=True, help="Seconds between two looks."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cli(page: str, names: tuple[str, ...], config: Path, watch: bool, every: float, as_json: bool) -> None:
    """Show a page of the console here. `agency` wants an agency's code, `pair` an originator's and a recipient's.

    It reads what the console reads, by the console's configuration and with its certificate. Exit code 3: there is no
    directory to show anything by.
    """
    from hub.settings import load_console

    if len(names) != _NEEDS.get(page, 0):
        raise click.UsageError(f"{page} wants {_NEEDS.get(page, 0)} agencies' codes")
    settings = load_console(config)
    configure_log(settings.log, quiet=True)
    make = _maker(page, names)
    if watch:
        run_until_signalled(lambda stop: _follow(settings, make, every, as_json, stop))
    else:
        _show(run_until_signalled(lambda _stop: _look(settings, make)), as_json)


def _maker(page: str, names: tuple[str, ...]) -> Callable[[Facts, int], Page]:
    from hub.console import platform_views, quarantine, views

    simple: dict[str, Callable[[Facts, int], Page]] = {
        "exchange": views.exchange_page,
        "agencies": views.agencies_page,
        "agreements": views.agreements_page,
        "quarantine": quarantine.quarantine_page,
        "directory": platform_views.directory_page,
        "health": platform_views.health_page,
        "audit": platform_views.audit_page,
    }
    if page == "agency":
        return lambda facts, now_ms: views.agency_page(facts, names[0], now_ms)
    if page == "pair":
        return lambda facts, now_ms: views.pair_page(facts, names[0], names[1], now_ms)
    return simple[page]


async def _look(settings: ConsoleSettings, make: Callable[[Facts, int], Page]) -> Page:
    from hub.adapters.clock import SystemClock
    from hub.console.start import looked_once

    async with looked_once(settings) as watch:
        return make(watch.facts, SystemClock().now_ms())


async def _follow(
    settings: ConsoleSettings,
    make: Callable[[Facts, int], Page],
    every: float,
    as_json: bool,
    stop: asyncio.Event,
) -> None:
    import asyncio
    import contextlib

    from hub.adapters.clock import SystemClock
    from hub.console.start import looked_once

    clock = SystemClock()
    async with looked_once(settings) as watch:
        while not stop.is_set():
            page = make(watch.facts, clock.now_ms())
            if not as_json:
                click.clear()
            _show(page, as_json, line=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)
            await watch.look()


def _show(page: Page, as_json: bool, *, line: bool = False) -> None:
    if as_json:
        facts = page.model_dump(mode="json")
        click.echo(json.dumps(facts) if line else json.dumps(facts, indent=2))
        return
    from hub.console.terminal import print_page

    print_page(page)
