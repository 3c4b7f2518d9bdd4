"""What commands that use private keys share: where the passphrase is, and the token's PIN."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

_FILE: Final = click.Path(path_type=Path, dir_okay=False)

passphrase_option = click.option(
    "--passphrase-file",
    type=_FILE,
    help="A file of mode 0600 with the passphrase. Without it: the service manager's credential, or you are asked.",
)
pin_option = click.option("--pin-file", type=_FILE, help="A file of mode 0600 with the token's PIN; likewise.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
language_option = click.option(
    "--language",
    type=click.Choice(["english", "french", "spanish"]),
    default="english",
    show_default=True,
    help="Of the words of a fingerprint.",
)


def print_words(what: str, words: tuple[str, ...]) -> None:
    """Twelve words, numbered, in two lines of six, as they are read out."""
    click.echo(f"{what}, to be read out and compared:")
    for start in (0, 6):
        click.echo("  " + "  ".join(f"{start + i + 1}. {word}" for i, word in enumerate(words[start : start + 6])))
