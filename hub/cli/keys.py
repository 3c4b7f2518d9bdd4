"""``hub keys``: make keys, show what a key file is, encrypt it, compare its fingerprint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from hub.adapters.files import read_file
from hub.adapters.key_files import (
    KEY_SUFFIX,
    MAX_KEY_FILE,
    encrypt_key_file,
    folder_key,
    read_secret,
    write_key,
)
from hub.adapters.passphrase import new_passphrase, passphrase_source
from hub.cli.asking import ask, yes_option
from hub.cli.key_options import language_option, passphrase_option, print_words
from hub.model import AgencyId, NameInvalid, parse_agency_id
from hub.trust.composite import SigningKey
from hub.trust.keys import KeyUse, describe_key, generate_seed

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_MAX_SHOWN: Final = max(MAX_KEY_FILE, 1_000_000)
"""Of a key, or of a root."""
_USES: Final = [use.value for use in KeyUse]
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class AgencyCode(click.ParamType[AgencyId]):
    """An agency's code on the command line."""

    name = "agency"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> AgencyId:
        try:
            return parse_agency_id(value)
        except NameInvalid as error:
            self.fail(error.message, param, ctx)


@click.group()
def cli() -> None:
    """Make and show keys."""


@cli.command()
@click.argument("use", type=click.Choice(_USES))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The private key's file. In a folder that is there, the key's id becomes its name.",
)
@click.option("--encrypt", is_flag=True, help="Encrypt the private key; so does --passphrase-file.")
@passphrase_option
@_as_json
def generate(use: str, out: Path, encrypt: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Make a key for USE. The private key is readable by its owner alone; the public one stands beside it (.pub).

    custodian: signs the directory. identity: signs an agency's key statement, kept offline. signing: a site's, signs
    what it publishes. kem: what an agency's partners seal to.
    """
    kind = KeyUse(use)
    seed = generate_seed(kind)
    if out.is_dir():
        day = datetime.now(UTC).strftime("%Y%m%d")
        out = out / f"{kind.value}-{day}-{_fingerprint(kind, seed)[:12]}{KEY_SUFFIX}"
    file_key = None
    if encrypt or passphrase_file is not None:
        file_key = folder_key(out.parent, new_passphrase(passphrase_file))
    public = write_key(out, kind, seed, file_key)
    told = {"use": use, "key_id": _fingerprint(kind, seed), "private": str(out), "public": str(public)}
    click.echo(json.dumps(told) if as_json else f"{use} key {told['key_id']}\n  private {out}\n  public  {public}")


def _fingerprint(use: KeyUse, seed: bytes) -> str:
    from hub.trust.kem import KemPrivateKey

    return (KemPrivateKey(seed).public.kem_id if use is KeyUse.KEM else SigningKey(seed).public.key_id).hex()


@cli.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--words", is_flag=True, help="The fingerprint too, as twelve words to read out.")
@language_option
@_as_json
def show(files: tuple[Path, ...], words: bool, language: str, as_json: bool) -> None:
    """What each of FILES is: its use and its id. A private key is never printed, and no passphrase is wanted.

    The root of a directory has a fingerprint too.
    """
    told = [_shown(path, language if words else None) for path in files]
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for row in told:
        click.echo(f"{row['key_id']}  {row['use']:9}  {_kind(row):9}  {row['file']}")
        if words:
            print_words("fingerprint", tuple(row["words"]))


@cli.command("check-words")
@click.argument("file", type=_FILE)
@click.argument("words")
@_as_json
def check_words_command(file: Path, words: str, as_json: bool) -> None:
    """Compare WORDS, as somebody read them out, with the fingerprint of FILE: a key, or the root of a directory.

    In English, French or Spanish; accents, case, numbers and signs do not count. Exit code 1 where they differ.
    """
    from hub.adapters.fingerprint import check_words

    found = _shown(file, None)
    language = check_words(bytes.fromhex(found["key_id"]), words)
    if as_json:
        click.echo(json.dumps({**found, "same": True, "language": language}))
    else:
        click.echo(f"these are the words of {file}: {found['key_id']}")


@cli.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@passphrase_option
@click.option("--new-passphrase-file", type=_FILE, help="The passphrase to encrypt with; asked for without it.")
@yes_option
@_as_json
def encrypt(
    files: tuple[Path, ...],
    passphrase_file: Path | None,
    new_passphrase_file: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Encrypt the private keys in FILES, in their places: those that are plain, or have another passphrase.

    Give all the files of a folder at once: then one derivation opens them all. TLS keys may be among them.
    """
    for path in files:
        click.echo(f"{path}: to be encrypted with the new passphrase", err=True)
    from hub.adapters.tls import encrypt_tls_key, is_pem

    ask(f"Encrypt {len(files)} private keys anew?", yes=yes)
    old = passphrase_source(passphrase_file)
    if new_passphrase_file is None:
        click.echo("the new passphrase:", err=True)
    file_key = new_passphrase(new_passphrase_file).new_key()
    for path in files:
        if is_pem(path):
            encrypt_tls_key(path, old, file_key)
        else:
            encrypt_key_file(path, old, file_key)
    click.echo(json.dumps({"encrypted": [str(path) for path in files]}) if as_json else f"encrypted {len(files)} keys")


def _shown(path: Path, language: str | None) -> dict[str, Any]:
    from hub.adapters.fingerprint import fingerprint_words, root_id

    raw = read_file(path, _MAX_SHOWN)
    if b'"_type"' in raw:  # what TUF metadata has and no key file
        from hub.adapters.tuf_reader import parse_root

        row: dict[str, Any] = {"file": str(path), "use": "root", "key_id": root_id(parse_root(raw)).hex()}
        row["private"] = False
    else:
        found = describe_key(raw)
        if found.private:
            read_secret(path)  # refuses one that others can read
        row = {"file": str(path), "use": found.use.value, "key_id": found.key_id, "private": found.private}
        if found.private:
            row |= {"encrypted": found.encrypted, "token": None if found.token is None else found.token.uri}
    if language is not None:
        row["words"] = list(fingerprint_words(bytes.fromhex(row["key_id"]), language))
    return row


def _kind(row: Mapping[str, object]) -> str:
    if not row["private"]:
        return "public"
    if row["token"]:
        return "token"
    return "encrypted" if row["encrypted"] else "private"
