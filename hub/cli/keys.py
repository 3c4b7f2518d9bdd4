"""``hub keys``: make keys, show what a key file is, and sign an agency's key statement."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from hub.adapters.files import load_statement, read_file, write_statement
from hub.adapters.key_files import (
    KEY_SUFFIX,
    MAX_KEY_FILE,
    load_kem_public_key,
    load_signing_key,
    load_verify_key,
    read_secret,
    write_key,
)
from hub.errors import ConfigError
from hub.model import HUB, AgencyId, NameInvalid, parse_agency_id
from hub.trust.composite import SigningKey
from hub.trust.keys import KeyUse, describe_key, generate_seed
from hub.trust.statement import KemKeyEntry, KeyStatement, SigningKeyEntry, sign_statement, verify_statement

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_USES: Final = [use.value for use in KeyUse]
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class StatementInputInvalid(ConfigError):
    """What a key statement was asked to say makes no sense."""

    code = "statement.input_invalid"


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
@_as_json
def generate(use: str, out: Path, as_json: bool) -> None:
    """Make a key for USE. The private key is readable by its owner alone; the public one stands beside it (.pub).

    custodian: signs the directory. identity: signs an agency's key statement, kept offline. signing: a site's, signs
    what it publishes. kem: what an agency's partners seal to.
    """
    kind = KeyUse(use)
    seed = generate_seed(kind)
    if out.is_dir():
        day = datetime.now(UTC).strftime("%Y%m%d")
        out = out / f"{kind.value}-{day}-{_fingerprint(kind, seed)[:12]}{KEY_SUFFIX}"
    public = write_key(out, kind, seed)
    told = {"use": use, "key_id": _fingerprint(kind, seed), "private": str(out), "public": str(public)}
    click.echo(json.dumps(told) if as_json else f"{use} key {told['key_id']}\n  private {out}\n  public  {public}")


def _fingerprint(use: KeyUse, seed: bytes) -> str:
    from hub.trust.kem import KemPrivateKey

    return (KemPrivateKey(seed).public.kem_id if use is KeyUse.KEM else SigningKey(seed).public.key_id).hex()


@cli.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@_as_json
def show(files: tuple[Path, ...], as_json: bool) -> None:
    """What each of FILES is: its use and its id. A private key is never printed."""
    told = []
    for path in files:
        found = describe_key(read_file(path, MAX_KEY_FILE))
        if found.private:
            read_secret(path)  # refuses one that others can read
        told.append(
            {"file": str(path), "use": found.use.value, "key_id": found.key_id, "private": found.private}
            | ({"encrypted": found.encrypted} if found.private else {})
        )
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for row in told:
        click.echo(f"{row['key_id']}  {row['use']:9}  {_kind(row):9}  {row['file']}")


def _kind(row: Mapping[str, object]) -> str:
    if not row["private"]:
        return "public"
    return "encrypted" if row["encrypted"] else "private"


@cli.command()
@click.option("--hub", default=HUB, type=AgencyCode(), show_default=True)
@click.option("--agency", required=True, type=AgencyCode())
@click.option("--identity", required=True, type=_FILE, help="The agency's private identity key.")
@click.option("--signing", multiple=True, type=_FILE, help="A site's public signing key; may be repeated.")
@click.option("--kem", multiple=True, type=_FILE, help="A public KEM key.")
@click.option("--from", "begins", type=click.DateTime(["%Y-%m-%d"]), help="The new keys' first day; today without it.")
@click.option("--until", "ends", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The day they end, UTC.")
@click.option("--previous", type=_FILE, help="The agency's last statement: its keys stay listed.")
@click.option("--revoke", multiple=True, metavar="KEY_ID", help="A key of the last statement that holds no longer.")
@click.option("--out", required=True, type=_FILE)
@_as_json
def statement(
    hub: AgencyId,
    agency: AgencyId,
    identity: Path,
    signing: tuple[Path, ...],
    kem: tuple[Path, ...],
    begins: datetime | None,
    ends: datetime,
    previous: Path | None,
    revoke: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Sign an agency's key statement: what the custodians put into the directory for it."""
    now_ms = int(time.time() * 1000)
    begin_ms = now_ms // 86_400_000 * 86_400_000 if begins is None else _ms(begins)
    key = load_signing_key(identity, KeyUse.IDENTITY)
    last = None
    if previous is not None:
        last = verify_statement(load_statement(previous), identity=key.public, hub=hub, agency=agency)
    signing_keys, kem_keys = _kept(last, revoke, now_ms)
    made = KeyStatement(
        hub,
        agency,
        1 if last is None else last.version + 1,
        now_ms,
        (
            *signing_keys,
            *(
                SigningKeyEntry(load_verify_key(path, KeyUse.SIGNING), begin_ms, _ms(ends), site=path.stem)
                for path in signing
            ),
        ),
        (*kem_keys, *_new_kem_keys(kem, kem_keys, begin_ms, _ms(ends))),
    )
    write_statement(out, sign_statement(made, key))
    told = {
        "agency": agency,
        "version": made.version,
        "signing_keys": len(made.signing_keys),
        "kem_keys": len(made.kem_keys),
        "file": str(out),
    }
    counts = f"{len(made.signing_keys)} signing and {len(made.kem_keys)} KEM keys"
    click.echo(json.dumps(told) if as_json else f"{agency}: statement {made.version} with {counts}")


def _new_kem_keys(
    paths: tuple[Path, ...], before: tuple[KemKeyEntry, ...], begin_ms: int, end_ms: int
) -> list[KemKeyEntry]:
    # The current KEM key is the last that has begun, so each must begin after the one before it.
    first_ms = max([begin_ms, *(entry.not_before_ms + 1 for entry in before)])
    return [KemKeyEntry(load_kem_public_key(path), first_ms + i, end_ms) for i, path in enumerate(paths)]


def _kept(
    last: KeyStatement | None, revoke: tuple[str, ...], now_ms: int
) -> tuple[tuple[SigningKeyEntry, ...], tuple[KemKeyEntry, ...]]:
    """The last statement's keys, with those in ``revoke`` (ids or their beginnings) revoked from now on."""
    if last is None:
        if revoke:
            raise StatementInputInvalid("there is nothing to revoke without --previous")
        return (), ()
    ids = [e.key.key_id.hex() for e in last.signing_keys] + [e.key.kem_id.hex() for e in last.kem_keys]
    for wanted in revoke:
        found = sum(key_id.startswith(wanted) for key_id in ids)
        if len(wanted) < 8 or found != 1:
            raise StatementInputInvalid(
                f"{wanted!r} is the beginning (8 digits or more) of {found} key ids, not of one"
            )

    def stops(key_id: bytes, already: int | None) -> int | None:
        return now_ms if already is None and any(key_id.hex().startswith(wanted) for wanted in revoke) else already

    return (
        tuple(replace(e, revoked_at_ms=stops(e.key.key_id, e.revoked_at_ms)) for e in last.signing_keys),
        tuple(replace(e, revoked_at_ms=stops(e.key.kem_id, e.revoked_at_ms)) for e in last.kem_keys),
    )


def _ms(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp()) * 1000
