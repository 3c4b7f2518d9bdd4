"""What the commands of ``hub directory`` share: a repository is changed, shown in words, and what it lacks is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from hub.adapters.key_files import KeyAccess, load_signing_key
from hub.adapters.passphrase import passphrase_source
from hub.adapters.repository_files import alone_in, load_repository, save_repository
from hub.adapters.tuf_reader import read_root
from hub.adapters.tuf_repository import Repository
from hub.cli.asking import ask
from hub.cli.directory_shown import print_changes
from hub.policy.directory_diff import DirectoryChange, diff_directories, diff_roots
from hub.trust.composite import SigningKey
from hub.trust.directory import Directory
from hub.trust.keys import KeyUse
from hub.trust.root import Root

FILE: Final = click.Path(path_type=Path, dir_okay=False)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
repository_argument = click.argument("repository", metavar="REPOSITORY", type=FOLDER)

Before = tuple[Root | None, Directory | None]
"""What a change is shown against: nothing, where nothing is published or nobody vouches for it."""


def now_ms() -> int:
    """The time."""
    return int(time.time() * 1000)


def load_private(path: Path, use: KeyUse, passphrase_file: Path | None) -> SigningKey:
    """A private key of the custodians' or the operator's."""
    return load_signing_key(path, use, KeyAccess(passphrase_source(passphrase_file)))


def change(
    place: Path,
    yes: bool,
    as_json: bool,
    question: str,
    stage: Callable[[Repository], object],
    *,
    warn: Callable[[], None] | None = None,
) -> None:
    """Change a repository: stage, show what is staged then, ask, save. Nobody else changes it meanwhile."""
    with alone_in(place):
        loaded = load_repository(place)
        stage(loaded)
        if not as_json or not yes:
            print_staged(loaded, published(loaded), err=as_json)
        if warn is not None:
            warn()
        ask(question, yes=yes)
        save_repository(loaded, place)
    tell(loaded, as_json, "staged" if loaded.staged else "nothing is staged any more")


def published(repository: Repository) -> Before:
    """What the repository says is published."""
    root = repository.published_root()
    return None if root is None else read_root(root.signed), repository.published(now_ms())


def staged_changes(repository: Repository, before: Before) -> list[DirectoryChange]:
    """What is staged changes over ``before``."""
    root, directory = before
    changes = diff_roots(root, read_root(repository.root().signed))
    return [*changes, *diff_directories(directory, repository.draft(now_ms()))]


def print_staged(repository: Repository, before: Before, *, err: bool = False) -> None:
    """What is staged, a line for each change, and how long it will hold: all that a custodian signs."""
    if not repository.staged:
        return
    changes = staged_changes(repository, before)
    print_changes(changes, err=err)
    if not changes:
        click.echo("nothing changes but the dates", err=err)
    for part, metadata in (("root", repository.root()), ("targets", repository.targets())):
        if part in repository.staged:
            day = metadata.signed.expires.strftime("%Y-%m-%d")
            click.echo(f"  {part} {metadata.signed.version}: holds to {day}", err=err)


def tell(repository: Repository, as_json: bool, did: str, **more: object) -> None:
    """What was done, and what is lacking now."""
    lacking = repository.lacking()
    if as_json:
        parts = [
            {"part": p.part, "lacking": p.lacking, "signed_by": list(p.signed_by), "could_sign": list(p.could_sign)}
            for p in lacking
        ]
        changes = staged_changes(repository, published(repository)) if repository.staged else []
        told = {"did": did, "staged": sorted(repository.staged), "lacking": parts}
        click.echo(json.dumps({**told, "changes": [change.as_json() for change in changes], **more}))
        return
    click.echo(did)
    for part in lacking:
        signed = f"signed by {', '.join(part.signed_by)}" if part.signed_by else "signed by nobody"
        wanted = f"{part.lacking} more wanted of {', '.join(part.could_sign)}" if part.lacking else "complete"
        click.echo(f"  {part.part}: {signed}; {wanted}")
