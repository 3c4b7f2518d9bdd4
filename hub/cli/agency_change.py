"""``hub agency rotate``, ``add-site`` and ``shred``: what changes an agency's keys after the first ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.adapters import agency_folder as folders
from hub.adapters.agency_folder import AgencyFolder
from hub.adapters.files import read_file, write_file
from hub.adapters.key_files import load_verify_key
from hub.cli.agency_opened import (
    ENROLMENT,
    FILE,
    AgencyInputInvalid,
    check_site_name,
    day_text,
    directory_option,
    find_directory,
    folder_argument,
    identity_option,
    now_ms_utc,
    opened_agency,
    told_of,
    until_text,
    was_stopped,
)
from hub.cli.asking import ask, yes_option
from hub.cli.key_options import json_option, passphrase_option, pin_option
from hub.errors import ConfigError
from hub.model import AgencyId
from hub.trust import agency_state
from hub.trust.agency_state import AgencyState, Slot, Stage
from hub.trust.keys import KeyUse

if TYPE_CHECKING:
    from hub.trust.directory import Directory


class NotListed(ConfigError):
    """The directory does not list a new key yet: who used it now would be refused."""

    code = "agency.not_listed"


# --- rotate and shred -------------------------------------------------------------------------------------------------


@click.command()
@click.argument("kind", type=click.Choice([slot.value for slot in Slot]))
@folder_argument
@click.option("--finish", is_flag=True, help="The new signing or identity key, once it is listed, takes its place.")
@click.option("--revoke", is_flag=True, help="The old ones hold no longer from now on: they were stolen or lost.")
@directory_option
@passphrase_option
@pin_option
@identity_option
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
    with opened_agency(folder, passphrase_file, pin_file, identity) as agency:
        if was_stopped(agency):
            pass
        elif finish:
            _finish(agency, slot, directory, yes)
        else:
            state = agency_state.rotate(agency.state, slot, now_ms=now_ms_utc(), new_object_id=folders.new_object_id)
            if revoke:
                state = agency_state.revoke(state, slot, now_ms=now_ms_utc())
            _explain_rotation(agency, state, slot, revoke)
            ask(f"Make a new {kind} key of {state.agency}?", yes=yes)
            agency.change(state)
    if as_json:
        click.echo(json.dumps(told_of(agency) | {"did": agency.done, "send": _to_send(slot, finish)}))
        return
    for line in agency.done:
        click.echo(line)
    if not finish:
        click.echo(_next_step(agency.folder, slot))


def _explain_rotation(agency: AgencyFolder, state: AgencyState, slot: Slot, revoke: bool) -> None:
    new = state.keys[-1]
    version = f", key statement {state.version}" if slot is not Slot.TLS else ""
    click.echo(f"{state.agency}: a new {slot.value} key, {new.name}{until_text(new.not_after_ms)}{version}", err=True)
    for key in agency.state.of(slot, Stage.CURRENT):
        what = "holds no longer, from now on" if revoke else f"stays{until_text(key.not_after_ms)}"
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
            return f"next: send {folder / folders.STATEMENT} to the operator, who publishes it"
        case Slot.SIGNING:
            return (
                f"next: send {folder / folders.STATEMENT} to the operator; when the directory lists it:\n"
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
    state = agency_state.finish(agency.state, slot, now_ms=now_ms_utc())
    waiting = agency.state.waiting(slot)
    key_id = "" if waiting is None else waiting.key_id
    directory = find_directory(agency.folder, place)
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


@click.command()
@folder_argument
@passphrase_option
@pin_option
@identity_option
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
    with opened_agency(folder, passphrase_file, pin_file, identity) as agency:
        agency.complete()
        now_ms = now_ms_utc()
        gone = agency_state.destroyable(agency.state, now_ms)
        for key in gone:
            click.echo(
                f"{key.name} ({key.key_id[:16]}): what partners sealed to it from {day_text(key.not_before_ms)} to "
                f"{day_text(key.end_ms)} becomes unreadable",
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
        click.echo(json.dumps(told_of(agency) | {"destroyed": told}))
    elif gone:
        click.echo("\n".join(agency.done))
    else:
        click.echo("no KEM key's retention is over: nothing to destroy")


# --- other sites ------------------------------------------------------------------------------------------------------


@click.command("add-site")
@folder_argument
@click.option("--site", required=True, help="Its name: lower case.")
@click.option("--signing", type=FILE, help="Its public signing key (`hub keys generate signing`, on its machine).")
@click.option("--request", type=FILE, help="Its TLS request (PKCS #10): goes into the next enrolment.")
@click.option("--revoke", is_flag=True, help="What was listed of it so far holds no longer from now on.")
@passphrase_option
@pin_option
@identity_option
@yes_option
@json_option
def add_site(
    folder: Path,
    site: str,
    signing: Path | None,
    request: Path | None,
    revoke: bool,
    passphrase_file: Path | None,
    pin_file: Path | None,
    identity: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """List the signing key of another site of the agency: its private key stays on its machine.

    Send the key statement then, and, with --request, a new enrolment. To receive, the site needs a copy of keys/kem.
    """
    check_site_name(site)
    if signing is None and not revoke:
        raise AgencyInputInvalid("--signing names the site's public key, or --revoke ends what is listed")
    with opened_agency(folder, passphrase_file, pin_file, identity) as agency:
        if not was_stopped(agency):
            _change_site(agency, site, signing, request, revoke, yes)
    if as_json:
        click.echo(json.dumps(told_of(agency) | {"did": agency.done, "send": folders.STATEMENT}))
    else:
        click.echo("\n".join([*agency.done, f"next: send {folder / folders.STATEMENT} to the operator"]))


def _change_site(
    agency: AgencyFolder, site: str, signing: Path | None, request: Path | None, revoke: bool, yes: bool
) -> None:
    state, now_ms = agency.state, now_ms_utc()
    public = None if signing is None else load_verify_key(signing, KeyUse.SIGNING)
    if revoke:
        state = agency_state.revoke_site(state, site, now_ms=now_ms)
        click.echo(f"{state.agency}: what is listed of {site} holds no longer, from now on", err=True)
    if public is not None:
        state = agency_state.add_site(state, site, public.key_id.hex(), now_ms=now_ms)
        ends = until_text(state.keys[-1].end_ms)
        click.echo(f"{state.agency}: {site} signs with {public.key_id.hex()[:16]}{ends}", err=True)
    ask(f"Sign key statement {state.version} with this?", yes=yes)
    if request is not None:
        (agency.folder / folders.SITES).mkdir(mode=0o700, exist_ok=True)
        write_file(agency.folder / folders.SITES / f"{site}.csr", read_file(request, 64 * 1024))
    if public is not None:
        agency.keep_public(public)
    agency.change(state)
