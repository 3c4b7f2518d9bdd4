"""How commands ask before they change something."""

from __future__ import annotations

import sys

import click

from hub.errors import ConfigError

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


class ConfirmationMissing(ConfigError):
    """A command that asks before it changes something was run where nobody can answer, without ``--yes``."""

    code = "confirmation.missing"


def ask(question: str, *, yes: bool) -> None:
    """Go on where ``yes`` was given or a person says so; what will be changed was shown before.

    Raises :class:`ConfirmationMissing` where standard input is no terminal. Where the person declines, that is said,
    and the command ends with exit code 1.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfirmationMissing(f"nobody is here to answer {question!r}: look at what is shown, and give --yes")
    if not click.confirm(question, err=True):
        click.echo("nothing was changed", err=True)
        raise click.exceptions.Exit(1)
