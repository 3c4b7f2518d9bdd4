"""``hub directory show``, ``verify`` and ``diff``: reading a directory as a site does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hub.adapters.fingerprint import fingerprint_words, root_id
from hub.adapters.tuf_reader import Verified, load_directory
from hub.policy.agreement_words import agreement_words
from hub.policy.directory_diff import DirectoryChange, diff_directories, diff_roots
from hub.trust.directory import Directory
from hub.trust.statement import KemKeyEntry, SigningKeyEntry

if TYPE_CHECKING:
    from rich.table import Table

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_PLACE: Final = click.Path(path_type=Path)
_root = click.option("--root", "root_file", required=True, type=_FILE, help="The root that you pinned.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_at_least = click.option("--at-least", type=int, default=0, metavar="VERSION", help="Refuse an older one.")


@click.command("verify")
@click.argument("directory", metavar="DIRECTORY", type=_PLACE)
@_root
@_at_least
@_as_json
def verify_command(directory: Path, root_file: Path, at_least: int, as_json: bool) -> None:
    """Verify DIRECTORY (a folder, or one file) as a site does. Exit code 1 where it is refused."""
    verified = _load(directory, root_file, at_least)
    found = verified.directory
    if as_json:
        click.echo(json.dumps(_summary(verified)))
    else:
        click.echo(f"{_line(found)}; expires {_day(found.expires_at_ms)}")
        for fault in found.faults:
            click.echo(f"warning: {fault.role} does not hold: {fault.message}", err=True)


@click.command("show")
@click.argument("directory", metavar="DIRECTORY", type=_PLACE)
@_root
@_at_least
@click.option("--agreement", metavar="AGREEMENT", help="One agreement, whole, in words.")
@_as_json
def show_command(directory: Path, root_file: Path, at_least: int, agreement: str | None, as_json: bool) -> None:
    """Verify DIRECTORY and show its custodians, agencies, their keys, and the agreements."""
    verified = _load(directory, root_file, at_least)
    found = verified.directory
    if agreement is not None:
        for document in found.documents:
            if document.slug == agreement:
                click.echo("\n".join(agreement_words(document)))
                return
        raise click.BadParameter(f"the directory has no agreement {agreement!r}", param_hint="--agreement")
    agencies, agreements = _agency_rows(found), _agreement_rows(found)
    if as_json:
        click.echo(json.dumps({**_summary(verified), "agencies": agencies, "agreements": agreements}, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    names = ", ".join(custodian.name for custodian in verified.root.custodians)
    console.print(f"{_line(found)}; expires {_day(found.expires_at_ms)}")
    console.print(f"root {verified.root.version}: {verified.root.threshold} of {names} sign; read out by phone:")
    console.print(f"  {' '.join(fingerprint_words(root_id(verified.root)))}")
    console.print(_table("Agencies", agencies))
    console.print(_table("Agreements", [_agreement_text(row) for row in agreements]))
    for fault in found.faults:
        console.print(f"{fault.role} does not hold: {fault.message}", style="red")


@click.command("diff")
@click.argument("before", metavar="A", type=_PLACE)
@click.argument("after", metavar="B", type=_PLACE)
@_root
@_as_json
def diff_command(before: Path, after: Path, root_file: Path, as_json: bool) -> None:
    """What directory B changes over A, in words. Exit code 0: nothing, 1: something."""
    old, new = _load(before, root_file, 0), _load(after, root_file, 0)
    changes = [*diff_roots(old.root, new.root), *diff_directories(old.directory, new.directory)]
    if as_json:
        versions = {"from": old.directory.version, "to": new.directory.version}
        click.echo(json.dumps({**versions, "changes": [change.as_json() for change in changes]}, indent=2))
    else:
        click.echo(f"directory {old.directory.version} to {new.directory.version}")
        print_changes(changes)
        if not changes:
            click.echo("nothing changes")
    if changes:
        raise click.exceptions.Exit(1)


def print_changes(changes: Iterable[DirectoryChange], *, err: bool = False) -> None:
    """One line each, whatever stands in the texts."""
    for change in changes:
        text = "".join(c if c.isprintable() else "?" for c in f"{change.kind} {change.subject}: {change.text}")
        click.echo(f"  {text}", err=err)


def _load(place: Path, root: Path, at_least: int) -> Verified:
    return load_directory(place, root, now_ms=int(time.time() * 1000), at_least_version=at_least)


# --- what is printed --------------------------------------------------------------------------------------------------


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def _line(directory: Directory) -> str:
    counts = f"{len(directory.entries)} agencies, {len(directory.documents)} agreements"
    return f"directory {directory.version} of {directory.hub}: {counts}"


def _summary(verified: Verified) -> dict[str, Any]:
    directory, root = verified.directory, verified.root
    return {
        "hub": directory.hub,
        "version": directory.version,
        "digest": directory.digest.hex(),
        "issued_at_ms": directory.issued_at_ms,
        "expires_at_ms": directory.expires_at_ms,
        "root": root.version,
        "threshold": root.threshold,
        "root_words": list(fingerprint_words(root_id(root))),
        "custodians": [custodian.name for custodian in root.custodians],
        "agencies_count": len(directory.entries),
        "agreements_count": len(directory.documents),
        "faults": [{"role": f.role, "code": f.code, "message": f.message} for f in directory.faults],
    }


def _agency_rows(directory: Directory) -> list[dict[str, Any]]:
    return [
        {
            "agency": entry.agency_id,
            "name": entry.name,
            "state": "active" if entry.active else "suspended",
            "identity": entry.identity.key_id.hex()[:16],
            "statement": entry.statement.version,
            "signing_keys": [_key_text(k.key.key_id, k) for k in entry.statement.signing_keys],
            "kem_keys": [_key_text(k.key.kem_id, k) for k in entry.statement.kem_keys],
        }
        for entry in directory.all_agencies()
    ]


def _key_text(key_id: bytes, entry: SigningKeyEntry | KemKeyEntry) -> str:
    state = "" if entry.revoked_at_ms is None else f", revoked {_day(entry.revoked_at_ms)}"
    return f"{key_id.hex()[:12]} {_day(entry.not_before_ms)} to {_day(entry.not_after_ms)}{state}"


def _agreement_rows(directory: Directory) -> list[dict[str, Any]]:
    return [
        {
            "agreement": document.slug,
            "clause": agreed.agreement_id,
            "version": document.version,
            "from": agreed.originator,
            "to": agreed.recipient,
            "types": sorted(agreed.event_types),
            "compartments": sorted(agreed.compartments),
            "purposes": sorted(purpose.value for purpose in agreed.purposes),
            "max_handling": str(agreed.max_handling),
            "begins": _day(agreed.not_before_ms),
            "ends": _day(agreed.not_after_ms),
            "reference": agreed.reference,
        }
        for document in directory.documents
        for agreed in document.agreements()
    ]


def _agreement_text(row: dict[str, Any]) -> dict[str, Any]:
    """A row for a terminal of 80 columns."""
    what = [", ".join(row["types"]), ", ".join(row["compartments"]), ", ".join(row["purposes"])]
    return {
        "agreement": row["clause"],
        "parties": f"{row['from']} to {row['to']}",
        "covers": [*what, f"up to {row['max_handling']}, {row['begins']} to {row['ends']}"],
    }


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_lines=False)
    for column in rows[0] if rows else ():
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("\n".join(cell) if isinstance(cell, list) else str(cell)) for cell in row.values()))
    return table
