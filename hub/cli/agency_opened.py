"""What the commands of ``hub agency`` share: the folder opened for one command, the directory at hand, forms."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hub.adapters import agency_folder as folders
from hub.adapters.agency_folder import AgencyFolder
from hub.adapters.key_files import KeyAccess
from hub.adapters.passphrase import PIN_CREDENTIAL, find_secret, passphrase_source
from hub.adapters.token import TokenSlot
from hub.errors import ConfigError, UnavailableError
from hub.trust.agency_state import AgencyState

if TYPE_CHECKING:
    from hub.trust.directory import Directory

_SITE: Final = r"[a-z0-9-]{1,32}"
FILE: Final = click.Path(path_type=Path, dir_okay=False)
ENROLMENT: Final = "enrolment.json"

folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
identity_option = click.option("--identity", type=FILE, help="The private identity key, where it is kept elsewhere.")
directory_option = click.option(
    "--directory", type=click.Path(path_type=Path), help="The directory: a folder, or one file; else as site.toml says."
)


class AgencyInputInvalid(ConfigError):
    """What a command about an agency's keys was told makes no sense."""

    code = "agency.input_invalid"


def find_directory(folder: Path, place: Path | None) -> Directory | None:
    """The directory in ``place``, verified from the pinned root on; else the one that the site of ``folder`` reads."""
    from hub.adapters.directory_files import directory_files
    from hub.adapters.tuf_reader import load_directory
    from hub.settings import load_site

    if place is not None:
        return load_directory(place, folder / folders.ROOT, now_ms=now_ms_utc()).directory
    site = folder / folders.SITE
    if not site.exists():
        return None
    settings = load_site(site)
    try:
        files = directory_files(settings.directory, settings.state)
        return load_directory(files, settings.directory.root, now_ms=now_ms_utc()).directory
    except UnavailableError as error:
        click.echo(f"warning: the directory is not at hand: {error.diagnostics()}", err=True)
        return None


@contextmanager
def opened_agency(
    folder: Path, passphrase_file: Path | None, pin_file: Path | None, identity: Path | None = None
) -> Iterator[AgencyFolder]:
    """An agency's folder for one command that may change it."""
    folders.load_state(folder)
    with folders.locked(folder):
        state = folders.load_state(folder)
        source, slot = passphrase_source(passphrase_file), token_slot(state, pin_file)
        access = KeyAccess(source, None if slot is None else slot.open)
        yield AgencyFolder(folder, state, access, source, slot, identity)


def was_stopped(agency: AgencyFolder) -> bool:
    """Complete what an earlier command began; whether there was something, which is enough for this one."""
    agency.complete()
    if agency.done:
        click.echo("a command that was stopped is completed; nothing new was begun", err=True)
    return bool(agency.done)


def token_slot(state: AgencyState, pin_file: Path | None) -> TokenSlot | None:
    """The token that holds halves of the agency's keys; None where there is none. Nothing is asked yet."""
    if state.token is None:
        return None
    return TokenSlot(Path(state.token.library), lambda: find_secret(pin_file, PIN_CREDENTIAL, "PIN"))


def told_of(agency: AgencyFolder) -> dict[str, Any]:
    """What every answer in JSON has."""
    state = agency.state
    return {
        "agency": state.agency,
        "hub": state.hub,
        "site": state.site,
        "folder": str(agency.folder),
        "statement": state.version,
        "identity": state.signer().key_id,
    }


def now_ms_utc() -> int:
    """This machine's time."""
    return int(time.time() * 1000)


def day_text(ms: int) -> str:
    """A day, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def until_text(ms: int) -> str:
    """When something ends, after what it is; nothing where it does not end by itself."""
    return f" until {day_text(ms)}" if ms else ""


def check_site_name(site: str) -> None:
    """Raises :class:`AgencyInputInvalid`."""
    if not re.fullmatch(_SITE, site, re.ASCII):
        raise AgencyInputInvalid("a site's name is 1 to 32 of a-z, 0-9 and -", site=site)
