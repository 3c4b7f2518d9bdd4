"""``hub agency``: an agency's keys from the first one on: make, enrol, look after, replace, destroy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from hub.adapters import agency_folder as folders
from hub.adapters.agency_folder import AgencyFolder
from hub.adapters.files import read_file, write_file
from hub.adapters.key_files import KeyAccess
from hub.adapters.passphrase import new_passphrase
from hub.cli.agency_change import add_site, rotate, shred
from hub.cli.agency_opened import (
    ENROLMENT,
    FILE,
    AgencyInputInvalid,
    check_site_name,
    folder_argument,
    identity_option,
    now_ms_utc,
    opened_agency,
    token_slot,
    told_of,
    until_text,
)
from hub.cli.agency_shown import status
from hub.cli.asking import ask, yes_option
from hub.cli.key_options import json_option, language_option, passphrase_option, pin_option, print_words
from hub.cli.keys import AgencyCode
from hub.model import HUB, AgencyId
from hub.trust import agency_state
from hub.trust.agency_state import AgencyState, Lifetimes, TokenPlace

_DAYS: Final = Lifetimes()
_MAX_REPLY: Final = 4 * 1024 * 1024


@click.group()
def cli() -> None:
    """An agency's own keys: make them, enrol, see what expires, replace and destroy them."""


for _command in (add_site, rotate, shred, status):
    cli.add_command(_command)


# --- init -------------------------------------------------------------------------------------------------------------


def _one_line(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not 1 <= len(name) <= 200 or not name.isprintable() or name != name.strip():
        raise click.BadParameter("one line of 1 to 200 printable characters is wanted")
    return name


@cli.command()
@folder_argument
@click.option("--agency", required=True, type=AgencyCode(), help="The agency's code, as in JCF.")
@click.option("--name", required=True, callback=_one_line, help="Its name, for people.")
@click.option("--hub", default=HUB, type=AgencyCode(), show_default=True, help="The hub's own code.")
@click.option("--site", default="", help="The site's name, where the agency has several: lower case.")
@click.option("--kem-days", type=click.IntRange(1, 3660), default=_DAYS.kem, show_default=True, help="KEM key: days.")
@click.option(
    "--signing-days", type=click.IntRange(1, 3660), default=_DAYS.signing, show_default=True, help="Signing key: days."
)
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
    "--token", "token_library", type=FILE, help="PKCS #11 library: half of identity and signing is in a token."
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
    folders.make_folder(folder)
    token = None
    if token_library is not None and token_label is not None:
        token = TokenPlace(str(token_library.resolve()), token_label)
    with folders.locked(folder):
        folders.check_free(folder)
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
            now_ms=now_ms_utc(),
            new_object_id=folders.new_object_id,
        )
        slot = token_slot(state, pin_file)
        made = AgencyFolder(folder, state, KeyAccess(source, None if slot is None else slot.open), source, slot)
        made.change(state)
    _tell_init(made, language, as_json)


def _check_init(site: str, library: Path | None, label: str | None, plain: bool) -> None:
    if site:
        check_site_name(site)
    if (library is None) != (label is None):
        raise AgencyInputInvalid("--token names the library, --token-label the token: give both")
    if library is not None and plain:
        raise AgencyInputInvalid("with a token the other half of the key is always encrypted")


def _go_on(folder: Path, passphrase_file: Path | None, pin_file: Path | None, language: str, as_json: bool) -> None:
    """An ``init`` that was killed is completed as it was begun; one that was done is not done again."""
    with opened_agency(folder, passphrase_file, pin_file) as agency:
        agency.complete()
    if not agency.done:
        raise folders.AgencyExists("there is an agency in this folder already; nothing is overwritten", folder=folder)
    _tell_init(agency, language, as_json)


def _tell_init(agency: AgencyFolder, language: str, as_json: bool) -> None:
    from hub.adapters.fingerprint import fingerprint_words

    state, identity = agency.state, agency.identity_public()
    words = fingerprint_words(identity.key_id, language)
    if as_json:
        told = told_of(agency) | {"name": state.name, "words": list(words), "files": _key_files(state)}
        click.echo(json.dumps(told))
        return
    click.echo(f"{state.agency} ({state.name}): keys and key statement {state.version} in {agency.folder}")
    for key in state.keys:
        click.echo(f"  {key.name:24} {key.key_id[:16]}{until_text(key.not_after_ms)}")
    if not state.encrypted:
        click.echo("warning: the keys are not encrypted", err=True)
    print_words(f"fingerprint of {state.agency}'s identity key", words)
    click.echo(f"next: hub agency enrol {agency.folder}")


# --- enrol ------------------------------------------------------------------------------------------------------------


@cli.command()
@folder_argument
@click.option("--reply", "reply_file", type=FILE, help="The file that came back.")
@click.option("--root-words", help="The root's fingerprint, as the custodians read it out: compared, nobody is asked.")
@click.option("--out", type=FILE, help=f"The file to send; {ENROLMENT} in FOLDER without it.")
@passphrase_option
@pin_option
@identity_option
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
    with opened_agency(folder, passphrase_file, pin_file, identity) as agency:
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
    sent = Enrolment(state.hub, state.agency, state.name, identity, role, agency.requests())
    write_file(out, encode_enrolment(sent))
    words = fingerprint_words(identity.key_id, language)
    if as_json:
        click.echo(json.dumps(told_of(agency) | {"file": str(out), "words": list(words)}))
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
    written = install_reply(agency, reply, now_ms=now_ms_utc(), passphrase_file=passphrase_file)
    if as_json:
        told = {"written": written, "root_words": list(root_told), "ca_words": list(ca_told)}
        click.echo(json.dumps(told_of(agency) | told))
    else:
        click.echo(f"installed {', '.join(written)} in {agency.folder}")


def _key_files(state: AgencyState) -> dict[str, str]:
    return {key.slot.value: key.name for key in state.keys}
