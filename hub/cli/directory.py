"""``hub directory``: what the custodians do. Agencies and agreements are in hub/cli/directory_listed.py, publishing
and replies in directory_published.py, reading in directory_shown.py, what they share in directory_staged.py.

A repository is a folder. Changes are staged in it; ``request`` puts all of it into one file that is carried to a
custodian, ``sign`` adds a signature to that file (or in the folder), ``merge`` brings signatures home, ``publish``
makes what is staged the current version. docs/guides/custodians.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from hub.adapters.files import read_file
from hub.adapters.key_files import load_verify_key
from hub.adapters.repository_files import alone_in, load_repository, save_repository
from hub.adapters.tuf_metadata import RepositoryInvalid
from hub.adapters.tuf_reader import MAX_ROOT, read_root
from hub.adapters.tuf_repository import ROOT_DAYS, TARGETS_DAYS, Repository
from hub.cli.asking import ask, yes_option
from hub.cli.directory_listed import (
    add_agency_command,
    add_agreement_command,
    remove_agency_command,
    resume_agency_command,
    suspend_agency_command,
    update_agency_command,
    withdraw_agreement_command,
)
from hub.cli.directory_published import publish_command, reply_command
from hub.cli.directory_shown import diff_command, show_command, verify_command
from hub.cli.directory_staged import (
    FILE,
    Before,
    as_json_option,
    change,
    load_private,
    now_ms,
    print_staged,
    published,
    repository_argument,
    tell,
)
from hub.cli.key_options import passphrase_option
from hub.cli.keys import AgencyCode
from hub.errors import ConfigError, HubError
from hub.model import HUB, AgencyId
from hub.trust.directory import DirectoryExpired
from hub.trust.keys import KeyUse
from hub.trust.root import Custodian

_PLACE: Final = click.Path(path_type=Path)


class CustodianUnknown(ConfigError):
    """A key that signs is not one of the root's, or a name is none of a custodian's."""

    code = "directory.custodian_unknown"


@click.group()
def cli() -> None:
    """Who is who: agencies, keys and agreements, signed by the custodians."""


for _command in (
    show_command,
    verify_command,
    diff_command,
    add_agency_command,
    update_agency_command,
    suspend_agency_command,
    resume_agency_command,
    remove_agency_command,
    add_agreement_command,
    withdraw_agreement_command,
    publish_command,
    reply_command,
):
    cli.add_command(_command)


# --- the custodians ---------------------------------------------------------------------------------------------------


@cli.command()
@repository_argument
@click.option("--hub", default=HUB, type=AgencyCode(), show_default=True, help="The hub's own code.")
@click.option("--threshold", required=True, type=int, help="How many custodians must sign.")
@click.option(
    "--custodian",
    "custodians",
    multiple=True,
    required=True,
    metavar="NAME=FILE.pub",
    help="One custodian; again for each.",
)
@click.option("--online", required=True, type=FILE, help="The operator's public online key, which dates versions.")
@as_json_option
def init(
    repository: Path, hub: AgencyId, threshold: int, custodians: tuple[str, ...], online: Path, as_json: bool
) -> None:
    """Begin a directory in the folder REPOSITORY: its root names the custodians, and waits for their signatures.

    Each custodian makes a key on a machine of its own (`hub keys generate custodian`), and only the public key travels.
    """
    if repository.exists() and any(repository.iterdir()):
        raise RepositoryInvalid("there is something in that folder already; nothing is overwritten", file=repository)
    made = Repository.create(
        hub=hub,
        custodians=[_named(told) for told in custodians],
        threshold=threshold,
        online=[load_verify_key(online, KeyUse.ONLINE)],
        now_ms=now_ms(),
    )
    save_repository(made, repository)
    tell(made, as_json, f"{hub}: {threshold} of {len(custodians)} custodians must sign")


@cli.command()
@click.argument("place", metavar="REPOSITORY|REQUEST.json", type=_PLACE)
@click.option(
    "--key", "keys", multiple=True, required=True, type=FILE, help="A custodian's private key; may be repeated."
)
@click.option(
    "--root",
    type=FILE,
    help="The root that you have kept: what is published must follow from it.",
)
@passphrase_option
@yes_option
@as_json_option
def sign(
    place: Path, keys: tuple[Path, ...], root: Path | None, passphrase_file: Path | None, yes: bool, as_json: bool
) -> None:
    """Sign what is staged, after it was shown in words and you were asked.

    With --root the changes are shown. Without it nothing vouches for what is said to be published: all that you sign is
    shown, as if it were new.
    """
    with alone_in(place):
        repository = load_repository(place)
        before = _known(repository, root)
        repository.check_staged()
        if not as_json or not yes:
            print_staged(repository, before, err=as_json)
        ask(f"Sign this with {len(keys)} keys?" if len(keys) > 1 else "Sign this?", yes=yes)
        for path in keys:
            repository.sign(load_private(path, KeyUse.CUSTODIAN, passphrase_file))
        save_repository(repository, place)
    tell(repository, as_json, "signed")


@cli.command()
@repository_argument
@click.option("--out", required=True, type=FILE, help="The file to carry, REQUEST.json.")
@as_json_option
def request(repository: Path, out: Path, as_json: bool) -> None:
    """Put the repository and what is staged into one file, to be signed on a custodian's machine."""
    with alone_in(repository):
        loaded = load_repository(repository)
    save_repository(loaded, out.with_suffix(".json"))
    tell(loaded, as_json, f"written to {out.with_suffix('.json')}", request=str(out.with_suffix(".json")))


@cli.command()
@repository_argument
@click.argument("requests", metavar="REQUEST.json...", nargs=-1, required=True, type=FILE)
@as_json_option
def merge(repository: Path, requests: tuple[Path, ...], as_json: bool) -> None:
    """Take over the signatures of files that custodians have signed: those that verify."""
    with alone_in(repository):
        loaded = load_repository(repository)
        new = sum(loaded.merge(load_repository(path)) for path in requests)
        save_repository(loaded, repository)
    tell(loaded, as_json, f"{new} new signatures", new_signatures=new)


@cli.command()
@repository_argument
@as_json_option
def status(repository: Path, as_json: bool) -> None:
    """What is staged, in words, and whose signatures it lacks. Exit code 1 where it lacks any."""
    loaded = load_repository(repository)
    if not as_json:
        print_staged(loaded, published(loaded))
    tell(loaded, as_json, "staged" if loaded.staged else "nothing is staged")
    if any(part.lacking for part in loaded.lacking()):
        raise click.exceptions.Exit(1)


@cli.command("discard")
@repository_argument
@yes_option
@as_json_option
def discard_command(repository: Path, yes: bool, as_json: bool) -> None:
    """Take back everything that is staged."""
    with alone_in(repository):
        loaded = load_repository(repository)
        if not as_json or not yes:
            try:
                print_staged(loaded, published(loaded), err=as_json)
            except HubError as error:
                click.echo(f"warning: what is staged cannot be shown: {error.message}", err=True)
        ask("Take all of this back?", yes=yes)
        loaded.discard()
        save_repository(loaded, repository)
    tell(loaded, as_json, "nothing is staged any more")


@cli.command("replace-custodian")
@repository_argument
@click.argument("old", metavar="OLD-NAME")
@click.argument("new", metavar="NAME=FILE.pub")
@yes_option
@as_json_option
def replace_custodian(repository: Path, old: str, new: str, yes: bool, as_json: bool) -> None:
    """Stage a root with another custodian's key in place of OLD-NAME's: it was lost, or its holder leaves.

    As many of the custodians before must sign it as had to until now, and as many of the new ones.
    """

    def replace(loaded: Repository) -> None:
        custodians = read_root(loaded.root().signed).custodians
        if old not in {custodian.name for custodian in custodians}:
            raise CustodianUnknown("there is no custodian of that name", name=old)
        named = _named(new)
        loaded.change_root(now_ms=now_ms(), custodians=[named if c.name == old else c for c in custodians])

    change(repository, yes, as_json, "Stage this?", replace)


@cli.command("change-root")
@repository_argument
@click.option("--threshold", type=int, help="How many custodians must sign.")
@click.option("--add-custodian", "added", multiple=True, metavar="NAME=FILE.pub", help="One who comes in.")
@click.option("--remove-custodian", "removed", multiple=True, metavar="NAME", help="One who goes.")
@click.option(
    "--online", "online", multiple=True, type=FILE, help="The operator's online keys, in place of those before."
)
@click.option("--days", default=ROOT_DAYS, show_default=True, type=click.IntRange(1), help="How long the root holds.")
@yes_option
@as_json_option
def change_root(
    repository: Path,
    threshold: int | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    online: tuple[Path, ...],
    days: int,
    yes: bool,
    as_json: bool,
) -> None:
    """Stage a new root: other custodians, another threshold, another online key, or the same for longer."""

    def stage(loaded: Repository) -> None:
        custodians = list(read_root(loaded.root().signed).custodians)
        for name in removed:
            if name not in {custodian.name for custodian in custodians}:
                raise CustodianUnknown("there is no custodian of that name", name=name)
            custodians = [custodian for custodian in custodians if custodian.name != name]
        custodians += [_named(told) for told in added]
        keys = [load_verify_key(path, KeyUse.ONLINE) for path in online]
        loaded.change_root(now_ms=now_ms(), custodians=custodians, threshold=threshold, online=keys or None, days=days)

    change(repository, yes, as_json, "Stage this?", stage)


@cli.command()
@repository_argument
@click.option("--days", default=TARGETS_DAYS, show_default=True, type=click.IntRange(1), help="How long it holds.")
@yes_option
@as_json_option
def renew(repository: Path, days: int, yes: bool, as_json: bool) -> None:
    """Stage the directory as it is, to hold for longer without another decision of the custodians."""
    change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.renew(now_ms=now_ms(), days=days))


# --- inner ------------------------------------------------------------------------------------------------------------


def _named(told: str) -> Custodian:
    name, equals, path = told.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"NAME=FILE.pub is wanted, not {told!r}")
    return Custodian(name, load_verify_key(Path(path), KeyUse.CUSTODIAN))


def _known(repository: Repository, root: Path | None) -> Before:
    """What a custodian compares with: what is published, where it follows from the root that the custodian has kept."""
    if root is None:
        if repository.files:
            click.echo(
                "warning: without --root nothing vouches for what is published: all that you sign is shown", err=True
            )
        return None, None
    if not repository.files:
        raise RepositoryInvalid("nothing is published in it that could follow from the root", file=root)
    pinned = read_file(root, MAX_ROOT)
    try:
        directory = repository.verify_from(pinned, now_ms())
    except DirectoryExpired as error:  # then the custodians must sign all the more
        directory = repository.verify_from(pinned, repository.dated_at_ms())
        click.echo(f"warning: {error.message}", err=True)
    day = datetime.fromtimestamp(directory.issued_at_ms / 1000, UTC).strftime("%Y-%m-%d")
    click.echo(f"compared with directory {directory.version}, dated {day}", err=True)
    return published(repository)
