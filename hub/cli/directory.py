"""``hub directory``: make the root, sign a draft, add a custodian's signature, verify and show a snapshot."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hub.adapters.files import load_root, load_statement, read_file, write_file
from hub.adapters.key_files import load_signing_key, load_verify_key
from hub.catalog import Catalog
from hub.cli.keys import AgencyCode
from hub.errors import ConfigError
from hub.model import HUB, AgencyId, Agreement
from hub.policy.agreement import each_wider
from hub.policy.draft import DirectoryDraft, parse_draft
from hub.policy.source import PolicyInvalid
from hub.trust.directory import (
    MAX_SNAPSHOT,
    Directory,
    parse_envelope,
    signers,
    unsafe_read_payload,
    verify_snapshot,
)
from hub.trust.keys import KeyUse
from hub.trust.root import Custodian, Root
from hub.trust.snapshot import (
    AgencyDraft,
    add_signature,
    encode_directory,
    encode_root,
    encode_snapshot,
)
from hub.trust.statement import KemKeyEntry, SigningKeyEntry

if TYPE_CHECKING:
    from rich.table import Table

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_root = click.option("--root", "root_file", required=True, type=_FILE, help="The root: custodians and threshold.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_at_least = click.option("--at-least", type=int, default=0, metavar="VERSION", help="Refuse an older one.")


class CustodianUnknown(ConfigError):
    """A key that signs is not one of the root's."""

    code = "directory.custodian_unknown"


@click.group()
def cli() -> None:
    """The signed list of agencies, keys and agreements."""


@cli.command("root")
@click.option("--hub", default=HUB, type=AgencyCode(), show_default=True)
@click.option("--threshold", required=True, type=int, help="How many custodians must sign.")
@click.option("--custodian", "custodians", multiple=True, required=True, metavar="NAME=FILE.pub")
@click.option("--out", required=True, type=_FILE)
def make_root(hub: AgencyId, threshold: int, custodians: tuple[str, ...], out: Path) -> None:
    """Make the root file that every site pins. Carry it by hand, and compare what `hub keys show` says."""
    named = []
    for told in custodians:
        name, equals, path = told.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"NAME=FILE.pub is wanted, not {told!r}", param_hint="--custodian")
        named.append(Custodian(name, load_verify_key(Path(path), KeyUse.CUSTODIAN)))
    root = Root(hub, tuple(named), threshold)
    write_file(out, encode_root(root) + b"\n")
    click.echo(f"{hub}: {threshold} of {len(named)} custodians must sign; written to {out}")


@cli.command()
@click.argument("source", type=_FILE)
@_root
@click.option("--key", "keys", multiple=True, type=_FILE, help="A custodian's private key; may be repeated.")
@click.option("--out", required=True, type=_FILE)
@_as_json
def sign(source: Path, root_file: Path, keys: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Sign SOURCE: a draft (YAML), or a snapshot that lacks signatures (JSON), which is carried between custodians.

    What a reader would refuse is not signed. With too few signatures the file is written, and how many lack is said.
    """
    root = load_root(root_file)
    now_ms = int(time.time() * 1000)
    raw = read_file(source, MAX_SNAPSHOT)
    if raw.lstrip()[:1] != b"{":
        raw = encode_snapshot(_encode(_read_draft(raw, source), source.parent, root.hub, now_ms), {})
    directory = unsafe_read_payload(parse_envelope(raw).payload, root=root, now_ms=now_ms)
    for path in keys:
        key = load_signing_key(path, KeyUse.CUSTODIAN)
        if key.public not in [custodian.key for custodian in root.custodians]:
            raise CustodianUnknown("this key is none of the root's custodians'", file=path)
        raw = add_signature(raw, key)
    write_file(out, raw + b"\n")
    signed = [custodian.name for custodian in signers(parse_envelope(raw), root)]
    lacking = max(0, root.threshold - len(signed))
    warnings = [_wider(a, b) for a, b in each_wider(directory.all_agreements)]
    if as_json:
        told = {**_summary(directory), "signed_by": signed, "signatures_lacking": lacking, "warnings": warnings}
        click.echo(json.dumps(told))
        return
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    state = f"{lacking} more of {root.threshold} signatures are wanted" if lacking else "complete"
    click.echo(f"{_line(directory)}; signed by {', '.join(signed) or 'nobody'}: {state}; written to {out}")


@cli.command()
@click.argument("snapshot", type=_FILE)
@_root
@_at_least
@_as_json
def verify(snapshot: Path, root_file: Path, at_least: int, as_json: bool) -> None:
    """Verify SNAPSHOT as a site does: signatures, statements, times. Exit code 1 where it is refused."""
    directory, signed = _verified(snapshot, root_file, at_least)
    if as_json:
        click.echo(json.dumps({**_summary(directory), "signed_by": signed}))
    else:
        click.echo(f"{_line(directory)}; signed by {', '.join(signed)}; expires {_day(directory.expires_at_ms)}")


@cli.command()
@click.argument("snapshot", type=_FILE)
@_root
@_at_least
@_as_json
def show(snapshot: Path, root_file: Path, at_least: int, as_json: bool) -> None:
    """Verify SNAPSHOT and show its agencies, their keys, and the agreements."""
    directory, signed = _verified(snapshot, root_file, at_least)
    agencies, agreements = _agency_rows(directory), [_agreement_row(a) for a in directory.all_agreements]
    if as_json:
        told = {**_summary(directory), "signed_by": signed, "agencies": agencies, "agreements": agreements}
        click.echo(json.dumps(told, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"{_line(directory)}; signed by {', '.join(signed)}; expires {_day(directory.expires_at_ms)}")
    console.print(_table("Agencies", agencies))
    console.print(_table("Agreements", [_agreement_text(row) for row in agreements]))


def _verified(snapshot: Path, root_file: Path, at_least: int) -> tuple[Directory, list[str]]:
    root = load_root(root_file)
    raw = read_file(snapshot, MAX_SNAPSHOT)
    directory = verify_snapshot(raw, root=root, now_ms=int(time.time() * 1000), at_least_version=at_least)
    return directory, [custodian.name for custodian in signers(parse_envelope(raw), root)]


def _read_draft(raw: bytes, source: Path) -> DirectoryDraft:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{source}: not UTF-8", file=str(source)) from error
    return parse_draft(text, Catalog.load(), file=source.name)


def _encode(draft: DirectoryDraft, folder: Path, hub: AgencyId, now_ms: int) -> bytes:
    agencies = [
        AgencyDraft(
            agency.agency_id,
            agency.name,
            agency.active,
            load_verify_key(folder / agency.identity, KeyUse.IDENTITY),
            load_statement(folder / agency.statement),
        )
        for agency in draft.agencies
    ]
    return encode_directory(
        hub=hub,
        version=draft.version,
        issued_at_ms=now_ms,
        expires_at_ms=draft.expires_at_ms,
        agencies=agencies,
        agreements=draft.agreements,
    )


# --- what is printed --------------------------------------------------------------------------------------------------


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def _line(directory: Directory) -> str:
    counts = f"{len(directory.entries)} agencies, {len(directory.all_agreements)} agreements"
    return f"directory {directory.version} of {directory.hub}: {counts}"


def _summary(directory: Directory) -> dict[str, Any]:
    return {
        "hub": directory.hub,
        "version": directory.version,
        "digest": directory.digest.hex(),
        "issued_at_ms": directory.issued_at_ms,
        "expires_at_ms": directory.expires_at_ms,
        "agencies_count": len(directory.entries),
        "agreements_count": len(directory.all_agreements),
    }


def _agency_rows(directory: Directory) -> list[dict[str, Any]]:
    return [
        {
            "agency": entry.agency_id,
            "name": entry.name,
            "state": "active" if entry.active else "suspended",
            "statement": entry.statement.version,
            "signing_keys": [_key_text(k.key.key_id, k) for k in entry.statement.signing_keys],
            "kem_keys": [_key_text(k.key.kem_id, k) for k in entry.statement.kem_keys],
        }
        for entry in directory.all_agencies()
    ]


def _key_text(key_id: bytes, entry: SigningKeyEntry | KemKeyEntry) -> str:
    state = "" if entry.revoked_at_ms is None else f", revoked {_day(entry.revoked_at_ms)}"
    return f"{key_id.hex()[:12]} {_day(entry.not_before_ms)} to {_day(entry.not_after_ms)}{state}"


def _agreement_row(agreement: Agreement) -> dict[str, Any]:
    return {
        "agreement": agreement.agreement_id,
        "from": agreement.originator,
        "to": agreement.recipient,
        "types": sorted(agreement.event_types),
        "compartments": sorted(agreement.compartments),
        "purposes": sorted(purpose.value for purpose in agreement.purposes),
        "max_handling": str(agreement.max_handling),
        "begins": _day(agreement.not_before_ms),
        "ends": _day(agreement.not_after_ms),
        "reference": agreement.reference,
    }


def _agreement_text(row: dict[str, Any]) -> dict[str, Any]:
    """A row for a terminal of 80 columns."""
    what = [", ".join(row["types"]), ", ".join(row["compartments"]), ", ".join(row["purposes"])]
    return {
        "agreement": row["agreement"],
        "parties": f"{row['from']} to {row['to']}",
        "covers": [*what, f"up to {row['max_handling']}, {row['begins']} to {row['ends']}"],
    }


def _wider(a: Agreement, b: Agreement) -> str:
    return (
        f"{a.agreement_id!r} and {b.agreement_id!r} are each wider than the other in some compartment; "
        "for an event that both cover only one of them is used: write them as one"
    )


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_lines=False)
    for column in rows[0] if rows else ():
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("\n".join(cell) if isinstance(cell, list) else str(cell) for cell in row.values()))
    return table
