"""What commands that run a process share: the configuration option, the log, signals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from hub.settings import LogSettings

_T = TypeVar("_T")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The configuration, a TOML file (docs/guides/operate.md).",
)


def configure_log(settings: LogSettings, *, quiet: bool = False) -> None:
    """Set the log up as configured; ``quiet``: warnings and errors alone, for commands that print a result."""
    from hub.log_words import configure

    level = logging.getLevelNamesMapping()[settings.level.upper()]
    configure(json=settings.form == "json", level=max(level, logging.WARNING) if quiet else level)


def run_until_signalled(work: Callable[[asyncio.Event], Awaitable[_T]]) -> _T:
    """Run ``work`` with an event that SIGTERM and SIGINT set; what ends it otherwise stands in the log too."""
    from hub.adapters.state_answer import hold_back
    from hub.app.process import stop_on_signals
    from hub.cli.main import leaves
    from hub.errors import HubError
    from hub.log_words import nothing_printed_beside, say
    from hub.stacks import describe

    async def run() -> _T:
        async with stop_on_signals() as stop:
            return await work(stop)

    hold_back()
    try:
        with nothing_printed_beside():
            return asyncio.run(run())
    except Exception as error:
        for leaf in leaves(error):
            code = leaf.code if isinstance(leaf, HubError) else type(leaf).__name__
            say("process.failed", code=code, reason=describe(leaf))
        raise
