"""``hub agency``: an agency's keys from the first one on: make, enrol, look after, replace, destroy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hub.adapters import agency_folder as folders
from hub.adapters.agency_folder import AgencyFolder
from hub.adapters.files import read_file, write_file
from hub.adapters.key_files import KeyAccess
from hub.adapters.passphrase import PIN_CREDENTIAL, find_secret, new_passphrase, passphrase_source
from hub.adapters.token import TokenSlot
from hub.cli.asking import ask, yes_option
from hub.cli.key_options import json_option, language_option, passphrase_option, pin_option, print_words
from hub.cli.keys import AgencyCode
from hub.errors import ConfigError, UnavailableError
from hub.model import HUB, AgencyId
from hub.trust import agency_state
from hub.trust.agency_state import AgencyState, Lifetimes, Slot, Stage, TokenPlace

if TYPE_CHECKING:
    from hub.adapters.agency_status import Examination, Item
    from hub.trust.directory import Directory

_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_SITE: Final = r"[a-z0-9-]{1,32}"
_DAYS: Final = Lifetimes()
ENROLMENT: Final = "enrolment.json"
_MAX_REPLY: Final = 4 * 1024 * 1024

_folder = click.argument("folder", type=_FOLDER)
_identity = click.option("--identity", type=_FILE, help="The private identity key, where it is kept elsewhere.")
_directory = click.option(
    "--directory", type=click.Path(path_type=Path), help="The directory: a folder, or one file; else as site.toml says."
)


class AgencyInputInvalid(ConfigError):
    """What a command about an agency's keys was told makes no sense."""

    code = "agency.input_invalid"


class NotListed(ConfigError):
    """The directory does not list a new key yet: who used it now would be refused."""

    code = "agency.not_listed"


@click.group()
def cli() -> None:
    """An agency's own keys: make them, enrol, see what expires, replace and destroy them."""


# --- init -------------------------------------------------------------------------------------------------------------


@cli.command()
@_folder
@click.option("--agency", required=True, type=AgencyCode(), help="The agency's code, as in JCF.")
@click.option("--name", required=True, help="Its name, for people.")
@click.option("--hub", default=HUB, type=AgencyCode(), show_default=True)
@click.option("--site", default="", help="The site's name, where the agency has several: lower case.")
@click.option("--kem-days", type=click.IntRange(1, 3660), default=_DAYS.kem, show_default=True)
@click.option("--signing-days", type=click.IntRange(1, 3660), default=_DAYS.signing, show_default=True)
@click.option(
    "--retention-days",
    type=click.IntRange(0, 36_600),
    default=_DAYS.retention,
    show_default=True,
    help="How long a KEM key is kept after its end, and with it what was sealed to it.",
)
@passphrase_option
@click.option("--unsafe-no-passphrase", is_flag=True, help="Do not encrypt the keys: for demonstrations and tests.")
@click.option(
    "--token", "token_library", type=_FILE, help="PKCS #11 library: half of identity and signing is in a token."
)
@click.option("--token-label", help="The token's label.")
@pin_option
@language_option
@json_option
def init(
    folder: Path,
    agency: AgencyId,
    name: str,
    hub: AgencyId,
    site: str,
    kem_days: int,
    signing_days: int,
    retention_days: int,
    passphrase_file: Path | None,
    unsafe_no_passphrase: bool,
    token_library: Path | None,
    token_label: str | None,
    pin_file: Path | None,
    language: str,
    as_json: bool,
) -> None:
    """Make an agency's keys in FOLDER: identity, signing, KEM and TLS, encrypted; nothing is ever overwritten.

    The fingerprint that it prints is what the custodians compare with what you read out to them. The identity key
    signs key statements alone: when all is made, move keys/identity.key to a stick in a safe (and keep a second one).
    """
    _check_init(site, token_library, token_label, unsafe_no_passphrase)
    if (folder / folders.STATE).exists():
        _go_on(folder, passphrase_file, pin_file, language, as_json)
        return
    folders.create_folder(folder)
    token = None
    if token_library is not None and token_label is not None:
        token = TokenPlace(str(token_library.resolve()), token_label)
    with folders.locked(folder):
        found = None if unsafe_no_passphrase else new_passphrase(passphrase_file)
        if found is not None:
            found.new_key()  # a passphrase that is too short is said before anything is made
        source = None if found is None else lambda: found
        state = agency_state.begin(
            hub=hub,
            agency=agency,
            name=name,
            site=site,
            encrypted=found is not None,
            lifetimes=Lifetimes(kem_days, signing_days, retention_days),
            token=token,
            now_ms=_now(),
            new_object_id=folders.new_object_id,
        )
        slot = _slot(state, pin_file)
        made = AgencyFolder(folder, state, KeyAccess(source, None if slot is None else slot.open), source, slot)
        made.change(state)
    _tell_init(made, language, as_json)


def _check_init(site: str, library: Path | None, label: str | None, plain: bool) -> None:
    import re

    if site and not re.fullmatch(_SITE, site, re.ASCII):
        raise AgencyInputInvalid("a site's name is 1 to 32 of a-z, 0-9 and -", site=site)
    if (library is None) != (label is None):
        raise AgencyInputInvalid("--token names the library, --token-label the token: give both")
    if library is not None and plain:
        raise AgencyInputInvalid("with a token the other half of the key is always encrypted")


def _go_on(folder: Path, passphrase_file: Path | None, pin_file: Path | None, language: str, as_json: bool) -> None:
    """An ``init`` that was killed is completed as it was begun; one that was done is not done again."""
    with _opened(folder, passphrase_file, pin_file) as agency:
        agency.complete()
    if not agency.done:
        raise folders.AgencyExists("there is an agency in this folder already; nothing is overwritten", folder=folder)
    _tell_init(agency, language, as_json)


def _tell_init(agency: AgencyFolder, language: str, as_json: bool) -> None:
    from hub.adapters.fingerprint import fingerprint_words

    state, identity = agency.state, agency.identity_public()
    words = fingerprint_words(identity.key_id, language)
    if as_json:
        told = _told(agency) | {"name": state.name, "words": list(words), "files": _key_files(state)}
        click.echo(json.dumps(told))
        return
    click.echo(f"{state.agency} ({state.name}): keys and key statement {state.version} in {agency.folder}")
    for key in state.keys:
        click.echo(f"  {key.name:24} {key.key_id[:16]}{_until(key.not_after_ms)}")
    if not state.encrypted:
        click.echo("warning: the keys are not encrypted", err=True)
    print_words(f"fingerprint of {state.agency}'s identity key", words)
    click.echo(f"next: hub agency enrol {agency.folder}")


# --- enrol ------------------------------------------------------------------------------------------------------------


@cli.command()
@_folder
@click.option("--reply", "reply_file", type=_FILE, help="The file that came back.")
@click.option("--root-words", help="The root's fingerprint, as the custodians read it out: compared, nobody is asked.")
@click.option("--out", type=_FILE, help=f"The file to send; {ENROLMENT} in FOLDER without it.")
@passphrase_option
@pin_option
@_identity
@language_option
@yes_option
@json_option
def enrol(
    folder: Path,
    reply_file: Path | None,
    root_words: str | None,
    out: Path | None,
    passphrase_file: Path | None,
    pin_file: Path | None,
    identity: Path | None,
    language: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Write the file to send to the custodians; with --reply install the one that came back.

    The file holds nothing secret: the identity key, the key statement, a request for a TLS certificate. The reply
    brings the root, the CA and the certificate. Compare the root's fingerprint by phone: all trust hangs on it.
    """
    with _opened(folder, passphrase_file, pin_file, identity) as agency:
        agency.complete()
        if reply_file is None:
            _write_enrolment(agency, out or folder / ENROLMENT, language, as_json)
        else:
            _install(agency, reply_file, root_words, passphrase_file, language, yes, as_json)


def _write_enrolment(agency: AgencyFolder, out: Path, language: str, as_json: bool) -> None:
    from hub.adapters.enrolment import Enrolment, encode_enrolment
    from hub.adapters.fingerprint import fingerprint_words

    state, role, identity = agency.state, agency.statement(), agency.identity_public()
    if role is None:
        raise AgencyInputInvalid("there is no signed key statement", folder=agency.folder)
    request = read_file(agency.folder / folders.TLS_REQUEST, 64 * 1024).decode("ascii")
    write_file(
        out, encode_enrolment(Enrolment(state.hub, state.agency, state.name, identity, role, {state.site: request}))
    )
    words = fingerprint_words(identity.key_id, language)
    if as_json:
        click.echo(json.dumps(_told(agency) | {"file": str(out), "words": list(words)}))
        return
    click.echo(f"{out}: send it to the custodians; nothing in it is secret")
    print_words(f"fingerprint of {state.agency}'s identity key", words)
    click.echo(f"when the answer is there: hub agency enrol {agency.folder} --reply FILE")


def _install(
    agency: AgencyFolder,
    reply_file: Path,
    root_words: str | None,
    passphrase_file: Path | None,
    language: str,
    yes: bool,
    as_json: bool,
) -> None:
    from hub.adapters.agency_reply import check_reply, install_reply
    from hub.adapters.enrolment import parse_reply
    from hub.adapters.fingerprint import certificate_id, check_words, fingerprint_words, root_id

    reply = parse_reply(read_file(reply_file, _MAX_REPLY))
    root = check_reply(agency.state, reply)
    root_told, ca_told = (
        fingerprint_words(told, language) for told in (root_id(root), certificate_id(reply.ca.encode()))
    )
    if not as_json:
        click.echo(f"root of {root.hub}, version {root.version}: {root.threshold} of {len(root.custodians)} custodians")
        print_words("fingerprint of the root", root_told)
        print_words("fingerprint of the operator's CA", ca_told)
    if root_words is not None:
        check_words(root_id(root), root_words)
    else:
        ask("Are these the words that the custodians read out, and shall this be installed?", yes=yes)
    written = install_reply(agency, reply, now_ms=_now(), passphrase_file=passphrase_file)
    if as_json:
        told = {"written": written, "root_words": list(root_told), "ca_words": list(ca_told)}
        click.echo(json.dumps(_told(agency) | told))
    else:
        click.echo(f"installed {', '.join(written)} in {agency.folder}")


# --- rotate and shred -------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("kind", type=click.Choice([slot.value for slot in Slot]))
@_folder
@click.option("--finish", is_flag=True, help="The new signing or identity key, once it is listed, takes its place.")
@click.option("--revoke", is_flag=True, help="The old ones hold no longer from now on: they were stolen or lost.")
@_directory
@passphrase_option
@pin_option
@_identity
@yes_option
@json_option
def rotate(
    kind: str,
    folder: Path,
    finish: bool,
    revoke: bool,
    directory: Path | None,
    passphrase_file: Path | None,
    pin_file: Path | None,
    identity: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a new key of KIND beside the old one, and the key statement that lists both.

    kem: partners seal to the new key as soon as the directory lists it; the old one still opens what is on its way.
    signing, identity: the new key waits; when the directory lists it, --finish puts it in the place of the old one.
    tls: the new key waits for its certificate (enrol, and enrol --reply).
    """
    slot = Slot(kind)
    with _opened(folder, passphrase_file, pin_file, identity) as agency:
        agency.complete()
        if agency.done:
            click.echo("a command that was stopped is completed; nothing new was begun", err=True)
        elif finish:
            _finish(agency, slot, directory, yes)
        else:
            state = agency_state.rotate(agency.state, slot, now_ms=_now(), new_object_id=folders.new_object_id)
            if revoke:
                state = agency_state.revoke(state, slot, now_ms=_now())
            _explain_rotation(agency, state, slot, revoke)
            ask(f"Make a new {kind} key of {state.agency}?", yes=yes)
            agency.change(state)
    if as_json:
        click.echo(json.dumps(_told(agency) | {"did": agency.done, "send": _to_send(slot, finish)}))
        return
    for line in agency.done:
        click.echo(line)
    if not finish:
        click.echo(_next_step(agency.folder, slot))


def _explain_rotation(agency: AgencyFolder, state: AgencyState, slot: Slot, revoke: bool) -> None:
    new = state.keys[-1]
    version = f", key statement {state.version}" if slot is not Slot.TLS else ""
    click.echo(f"{state.agency}: a new {slot.value} key, {new.name}{_until(new.not_after_ms)}{version}", err=True)
    for key in agency.state.of(slot, Stage.CURRENT):
        what = "holds no longer, from now on" if revoke else f"stays{_until(key.not_after_ms)}"
        click.echo(f"  {key.name} ({key.key_id[:16]}) {what}", err=True)
    if slot is Slot.IDENTITY:
        click.echo(
            "warning: the custodians must list the new identity key (hub directory add-agency --rekey), and each\n"
            "agreement of this agency must be signed with it before it holds again: see `hub agency status` for them",
            err=True,
        )


def _next_step(folder: Path, slot: Slot) -> str:
    match slot:
        case Slot.KEM:
            return f"next: send {folder / folders.STATEMENT} to the custodians"
        case Slot.SIGNING:
            return (
                f"next: send {folder / folders.STATEMENT} to the custodians; when the directory lists it:\n"
                f"  hub agency rotate signing {folder} --finish, and restart the site"
            )
        case Slot.IDENTITY:
            return (
                f"next: hub agency enrol {folder}, send the file, read the new words out; when it is listed:\n"
                f"  hub agency rotate identity {folder} --finish"
            )
        case Slot.TLS:
            return f"next: hub agency enrol {folder}, send the file; then enrol --reply"


def _to_send(slot: Slot, finished: bool) -> str | None:
    if finished:
        return None
    return folders.STATEMENT if slot in (Slot.KEM, Slot.SIGNING) else ENROLMENT


def _finish(agency: AgencyFolder, slot: Slot, place: Path | None, yes: bool) -> None:
    if slot not in (Slot.SIGNING, Slot.IDENTITY):
        raise AgencyInputInvalid(
            "a KEM key needs no --finish: the directory does it"
            if slot is Slot.KEM
            else "a TLS key takes its place when its certificate is there: hub agency enrol --reply"
        )
    state = agency_state.finish(agency.state, slot, now_ms=_now())
    waiting = agency.state.waiting(slot)
    key_id = "" if waiting is None else waiting.key_id
    directory = _find_directory(agency.folder, place)
    if directory is None:
        click.echo("warning: there is no directory at hand to see whether it lists the new key", err=True)
        ask(f"Does the directory list {key_id[:16]}, and shall it take its place?", yes=yes)
    else:
        if not _lists(directory, state.agency, slot, key_id):
            raise NotListed("the directory does not list the new key yet", key_id=key_id[:16])
        ask(f"Shall {key_id[:16]}, which the directory lists, take its place? The old one is gone then", yes=yes)
    agency.change(state)


def _lists(directory: Directory, agency: AgencyId, slot: Slot, key_id: str) -> bool:
    from hub.adapters.standing import own_key_end_ms

    entry = directory.agency(agency)
    if entry is None:
        return False
    if slot is Slot.IDENTITY:
        return entry.identity.key_id.hex() == key_id
    return own_key_end_ms(directory, agency, "signing", bytes.fromhex(key_id)) is not None


@cli.command()
@_folder
@passphrase_option
@pin_option
@_identity
@yes_option
@json_option
def shred(
    folder: Path,
    passphrase_file: Path | None,
    pin_file: Path | None,
    identity: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Destroy the private KEM keys whose retention is over: nobody can open what was sealed to them, ever again.

    Backups of them must go too. The next key statement no longer lists them.
    """
    with _opened(folder, passphrase_file, pin_file, identity) as agency:
        agency.complete()
        now_ms = _now()
        gone = agency_state.destroyable(agency.state, now_ms)
        for key in gone:
            click.echo(
                f"{key.name} ({key.key_id[:16]}): what partners sealed to it from {_day(key.not_before_ms)} to "
                f"{_day(key.end_ms)} becomes unreadable",
                err=True,
            )
        if gone:
            ask(f"Destroy {len(gone)} private keys of {agency.state.agency}?", yes=yes)
            agency.change(agency_state.destroy(agency.state, gone, now_ms=now_ms))
    if as_json:
        told = [
            {"file": k.name, "key_id": k.key_id, "sealed_from_ms": k.not_before_ms, "sealed_to_ms": k.end_ms}
            for k in gone
        ]
        click.echo(json.dumps(_told(agency) | {"destroyed": told}))
    elif gone:
        click.echo("\n".join(agency.done))
    else:
        click.echo("no KEM key's retention is over: nothing to destroy")


# --- status -----------------------------------------------------------------------------------------------------------


@cli.command()
@_folder
@click.option("--warn-days", type=click.IntRange(0, 3660), default=30, show_default=True)
@_directory
@json_option
def status(folder: Path, warn_days: int, directory: Path | None, as_json: bool) -> int:
    """What ends when: keys, statement, certificates; agreements and the directory, if one is at hand.

    Exit code 1 when something ends within --warn-days, is over, or is not as it should be. Nothing is changed.
    """
    from hub.adapters.agency_status import Examination

    agency = AgencyFolder(folder, folders.load_state(folder), KeyAccess())
    now_ms = _now()
    found = Examination(agency, _find_directory(folder, directory), now_ms, warn_days)
    items = found.items()
    wanting = sum(item.standing.wants_somebody for item in items)
    if as_json:
        rows = [
            {
                "what": item.what,
                "standing": item.standing.value,
                "days": item.days(now_ms),
                "ends_ms": item.ends_ms,
                "text": item.text,
            }
            for item in items
        ]
        told = {"directory": found.directory.version if found.directory else None, "wanting": wanting, "items": rows}
        click.echo(json.dumps(_told(agency) | told))
    else:
        _print_status(found, items)
    return 1 if wanting else 0


def _print_status(found: Examination, items: list[Item]) -> None:
    from rich.console import Console
    from rich.table import Table

    state = found.agency.state
    version = f"directory {found.directory.version}" if found.directory else "no directory at hand"
    table = Table("what", "days", "ends", "", "", title=f"{state.agency} ({state.name}), {version}", box=None)
    colours = {"ok": "green", "note": "cyan", "soon": "yellow", "over": "red", "wrong": "red"}
    for item in items:
        days, standing = item.days(found.now_ms), item.standing.value
        ends = "" if item.ends_ms is None else _day(item.ends_ms)
        table.add_row(item.what, "" if days is None else str(days), ends, f"[{colours[standing]}]{standing}", item.text)
    Console().print(table)


def _find_directory(folder: Path, place: Path | None) -> Directory | None:
    """The directory in ``place``, verified from the pinned root on; else the one that the site of ``folder`` reads."""
    from hub.adapters.directory_files import directory_files
    from hub.adapters.tuf_reader import load_directory
    from hub.settings import load_site

    if place is not None:
        return load_directory(place, folder / folders.ROOT, now_ms=_now()).directory
    site = folder / folders.SITE
    if not site.exists():
        return None
    settings = load_site(site)
    try:
        files = directory_files(settings.directory, settings.state)
        return load_directory(files, settings.directory.root, now_ms=_now()).directory
    except UnavailableError as error:
        click.echo(f"warning: the directory is not at hand: {error.diagnostics()}", err=True)
        return None


# --- inner ------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(
    folder: Path, passphrase_file: Path | None, pin_file: Path | None, identity: Path | None = None
) -> Iterator[AgencyFolder]:
    """An agency's folder for one command that may change it."""
    folders.load_state(folder)
    with folders.locked(folder):
        state = folders.load_state(folder)
        source, slot = passphrase_source(passphrase_file), _slot(state, pin_file)
        access = KeyAccess(source, None if slot is None else slot.open)
        yield AgencyFolder(folder, state, access, source, slot, identity)


def _slot(state: AgencyState, pin_file: Path | None) -> TokenSlot | None:
    if state.token is None:
        return None
    return TokenSlot(Path(state.token.library), lambda: find_secret(pin_file, PIN_CREDENTIAL, "PIN"))


def _told(agency: AgencyFolder) -> dict[str, Any]:
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


def _key_files(state: AgencyState) -> dict[str, str]:
    return {key.slot.value: key.name for key in state.keys}


def _now() -> int:
    return int(time.time() * 1000)


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def _until(ms: int) -> str:
    return f" until {_day(ms)}" if ms else ""
