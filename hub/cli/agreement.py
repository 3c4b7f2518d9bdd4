"""``hub agreement``: draft, check, show, compare and sign what two parties agree on. docs/guides/agreements.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from hub.adapters.files import write_file
from hub.adapters.key_files import load_signing_key
from hub.adapters.tuf_roles import SignedRole, encode_signed_role, sign_agreement_role
from hub.app.keys import key_access
from hub.catalog import Catalog
from hub.cli.agreement_file import (
    LoadedAgreement,
    find,
    identities,
    in_force,
    known_directory,
    load_agreement,
    now_ms,
    print_findings,
    signature_words,
    signed_by,
)
from hub.cli.asking import ask, yes_option
from hub.cli.keys import AgencyCode
from hub.errors import ConfigError, HubError, RejectedError
from hub.model import HUB, AgencyId, Compartment, Onward, Purpose, parse_handling
from hub.policy.agreement_check import Finding
from hub.policy.agreement_diff import diff_agreements, diff_words
from hub.policy.agreement_draft import DAY_MS
from hub.policy.agreement_words import agreement_words, render_draft
from hub.settings import KeyAccessSettings
from hub.trust.agreement import AgreementDocument, AgreementMalformed, Clause, encode_agreement
from hub.trust.directory import Directory
from hub.trust.keys import KeyUse

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_PLACE: Final = click.Path(path_type=Path)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_directory = click.option("--directory", type=_PLACE, help="The directory (a folder, or one file): its agencies, keys.")
_root = click.option("--root", "root_file", type=_FILE, help="The root that you pinned, for --directory.")


class AgreementUnsound(ConfigError):
    """An agreement that is well formed and cannot be meant, or cannot be signed by this agency as it is."""

    code = "agreement.unsound"


@click.group()
def cli() -> None:
    """What two agencies agree on: draft, check, show, compare, sign."""


# --- draft ------------------------------------------------------------------------------------------------------------


class _Types(click.ParamType[tuple[str, ...]]):
    """Event types on the command line, with commas between them."""

    name = "types"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        known = [name for name in Catalog.load().names() if not name.startswith("hub.")]
        types = tuple(name.strip() for name in value.split(",") if name.strip())
        for name in types:
            if name not in known:
                self.fail(f"{name!r} is not an event type; there are {', '.join(known)}", param, ctx)
        return types


@cli.command()
@click.argument("name", required=False)
@click.option("--from", "originator", type=AgencyCode(), help="Who shares.")
@click.option("--to", "recipient", type=AgencyCode(), help="Who receives.")
@click.option("--types", type=_Types(), help="What goes that way: trace.request,seizure.report")
@click.option("--return-types", type=_Types(), default=(), help="What goes the other way, if anything.")
@click.option("--title", help="A few words for people.")
@click.option("--mou", default="", help="The memorandum that it carries out; without it, a place to fill in.")
@click.option("--first-day", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="By default today, UTC.")
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="By default a year later.")
@click.option("--hub", default=HUB, type=AgencyCode(), show_default=True, help="The hub's own code.")
@click.option("--previous", type=_FILE, help="The version before, in any form: a draft of the next one.")
@click.option("--out", type=_FILE, help="Where to write it; by default it is printed.")
@_as_json
def draft(
    name: str | None,
    originator: AgencyId | None,
    recipient: AgencyId | None,
    types: tuple[str, ...] | None,
    return_types: tuple[str, ...],
    title: str | None,
    mou: str,
    first_day: datetime | None,
    last_day: datetime | None,
    hub: AgencyId,
    previous: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Write a commented draft of the agreement NAME (its short name in the directory: MOU-2024-07), to be edited.

    It begins narrow: the compartment core, the purpose INVESTIGATION, TLP:AMBER. Or, with --previous, of the next
    version of an agreement.
    """
    catalog = Catalog.load()
    if previous is not None:
        document = load_agreement(previous, catalog).document
        document = replace(document, version=document.version + 1)
        text = _rendered(document, catalog, None, previous)
    elif name is None or originator is None or recipient is None or not types:
        raise click.UsageError("NAME, --from, --to and --types are wanted, or --previous")
    else:
        begin = now_ms() // DAY_MS * DAY_MS if first_day is None else _ms(first_day)
        end = begin + 364 * DAY_MS if last_day is None else _ms(last_day)
        clauses = [_narrow(originator, recipient, types)]
        clauses += [_narrow(recipient, originator, return_types)] if return_types else []
        parties = (min(originator, recipient), max(originator, recipient))
        title = title or f"Exchange between {parties[0]} and {parties[1]}"
        try:
            document = AgreementDocument(name, hub, 1, title, mou or "-", parties, begin, end + DAY_MS, tuple(clauses))
        except AgreementMalformed as error:
            raise click.UsageError(error.message) from error
        text = _rendered(document, catalog, mou, Path(name))
    if out is not None:
        if out.exists():
            raise AgreementUnsound("there is a file of that name: it is not written over", file=out)
        write_file(out, text.encode())
    if as_json:
        where = {"draft": text} if out is None else {"file": str(out)}
        click.echo(json.dumps({"agreement": document.slug, "version": document.version, **where}))
    elif out is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"a draft of {document.slug}, version {document.version}; written to {out}: edit it, then check it")


def _narrow(originator: AgencyId, recipient: AgencyId, types: Sequence[str]) -> Clause:
    return Clause(
        originator,
        recipient,
        frozenset(types),
        frozenset({Compartment("core")}),
        frozenset({Purpose.INVESTIGATION}),
        parse_handling("TLP:AMBER"),
        Onward.ORIGINATOR_CONSENT,
        365,
    )


def _rendered(document: AgreementDocument, catalog: Catalog, mou: str | None, file: Path) -> str:
    try:
        return render_draft(document, catalog, mou=mou)
    except ValueError as error:
        raise AgreementUnsound(f"a draft has days: {error}", file=file) from error


def _ms(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp()) * 1000


# --- check ------------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("file", type=_FILE)
@_directory
@_root
@_as_json
@click.pass_context
def check(context: click.Context, file: Path, directory: Path | None, root_file: Path | None, as_json: bool) -> None:
    """Check FILE against the event types: slips are errors, what is doubtful is a warning.

    With --directory also against what is in force: the parties, the version, other agreements of the two. Exit code 0
    where it can be signed, 2 where it cannot.
    """
    catalog = Catalog.load()
    known = known_directory(directory, root_file)
    try:
        loaded = load_agreement(file, catalog, known)
    except (HubError, ExceptionGroup) as error:
        if not as_json:
            raise
        click.echo(json.dumps({"ok": False, "findings": _fault_rows(error)}, indent=2))
        context.exit(2)
    findings = find(loaded.document, catalog, known)
    wrong = any(finding.error for finding in findings)
    if as_json:
        told = [
            {
                "error": finding.error,
                "field": finding.field,
                "line": loaded.lines.get(finding.field),
                "message": finding.message,
            }
            for finding in findings
        ]
        click.echo(json.dumps({"ok": not wrong, "findings": told}, indent=2))
    else:
        print_findings(loaded, findings)
        if not wrong:
            click.echo(f"ok: {file}: {_title(loaded.document)}")
    context.exit(2 if wrong else 0)


def _fault_rows(error: Exception) -> list[dict[str, Any]]:
    leaves = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    return [
        {
            "error": True,
            "field": leaf.details.get("field", ""),
            "line": leaf.details.get("line"),
            "message": leaf.message,
        }
        for leaf in leaves
        if isinstance(leaf, HubError)
    ]


def _title(document: AgreementDocument) -> str:
    count = len(document.clauses)
    return (
        f"{document.slug}, version {document.version}, {' and '.join(document.parties)}, "
        f"{count} {'clause' if count == 1 else 'clauses'}"
    )


# --- show -------------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("file", type=_FILE)
@click.option(
    "--identity",
    "told",
    multiple=True,
    metavar="AGENCY=FILE.pub",
    help="A party's public identity key, where no directory is at hand.",
)
@_directory
@_root
@_as_json
def show(file: Path, told: tuple[str, ...], directory: Path | None, root_file: Path | None, as_json: bool) -> None:
    """Show FILE (a draft, or a signed file) in words, and who has signed it.

    Whose a signature is can be told with --directory or --identity alone: a file vouches for nobody.
    """
    known = known_directory(directory, root_file)
    loaded = load_agreement(file, Catalog.load(), known)
    keys = identities(loaded.document, known, told)
    if as_json:
        shown = json.loads(encode_agreement(loaded.document))
        shown["signed_by"] = signed_by(loaded.role, keys)
        shown["signatures"] = 0 if loaded.role is None else len(loaded.role.key_ids)
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo("\n".join(agreement_words(loaded.document)))
    click.echo("")
    click.echo("\n".join(signature_words(loaded, keys)))


# --- diff -------------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("before", metavar="A", type=_FILE)
@click.argument("after", metavar="B", type=_FILE)
@_as_json
@click.pass_context
def diff(context: click.Context, before: Path, after: Path, as_json: bool) -> None:
    """Say clause by clause what B widens over A, and what it narrows. Exit code 0 where they are the same, else 1."""
    catalog = Catalog.load()
    try:
        found = diff_agreements(load_agreement(before, catalog).document, load_agreement(after, catalog).document)
    except RejectedError as error:  # exit code 1 means that they differ
        raise AgreementUnsound(f"one of the files is no agreement: {error.message}", reason=error.code) from error
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        click.echo("\n".join(diff_words(found)))
    context.exit(0 if found.same else 1)


# --- sign -------------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("file", type=_FILE)
@click.option("--key", required=True, type=_FILE, help="Your agency's private identity key.")
@click.option("--agency", required=True, type=AgencyCode(), help="Who signs.")
@click.option("--passphrase-file", type=_FILE, help="Of the key, where it is encrypted; else it is asked for.")
@click.option("--token-library", type=_FILE, help="PKCS #11 library of the token that has a half of the key.")
@click.option("--token-pin-file", type=_FILE, help="The token's PIN; else it is asked for.")
@click.option(
    "--out", type=_FILE, help="The signed file. By default FILE where it is one, else FILE's name with .json."
)
@_directory
@_root
@yes_option
@_as_json
def sign(
    file: Path,
    key: Path,
    agency: AgencyId,
    passphrase_file: Path | None,
    token_library: Path | None,
    token_pin_file: Path | None,
    out: Path | None,
    directory: Path | None,
    root_file: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Sign FILE with your agency's identity key: a draft (YAML), or the file that the other party has signed.

    All of it is shown in words first, and with --directory what it changes over the version in force. Send the signed
    file to the other party; when both have signed it, the custodians put it into the directory.
    """
    catalog = Catalog.load()
    known = known_directory(directory, root_file)
    loaded = load_agreement(file, catalog, known)
    document = loaded.document
    out = out or (file if loaded.role is not None else file.with_suffix(".json"))
    findings = find(document, catalog, known)
    _check_signable(loaded, agency, out, findings)
    _show_before(loaded, findings, known, as_json)
    ask(f"Sign all of this for {agency}?", yes=yes)
    access = KeyAccessSettings(
        passphrase_file=passphrase_file, token_library=token_library, token_pin_file=token_pin_file
    )
    private = load_signing_key(key, KeyUse.IDENTITY, key_access(access))
    keys = identities(document, known, ())
    if keys.get(agency, private.public) != private.public:
        raise AgreementUnsound(f"this is not the identity key that the directory lists for {agency}", file=key)
    role = sign_agreement_role(document, private, existing=loaded.role)
    write_file(out, encode_signed_role(role))
    _tell_signed(document, role, signed_by(role, {**keys, agency: private.public}), agency, out, as_json)


def _check_signable(loaded: LoadedAgreement, agency: AgencyId, out: Path, findings: Sequence[Finding]) -> None:
    if agency not in loaded.document.parties:
        raise AgreementUnsound(f"{agency} is no party of it: {' and '.join(loaded.document.parties)}", file=loaded.path)
    if out.exists() and not (loaded.role is not None and out.samefile(loaded.path)):
        raise AgreementUnsound("there is a file of that name, maybe with a signature: it is not written over", file=out)
    if any(finding.error for finding in findings):
        print_findings(loaded, findings)
        raise AgreementUnsound("it cannot be signed as it is: see above", file=loaded.path)


def _tell_signed(
    document: AgreementDocument,
    role: SignedRole,
    signed: Sequence[AgencyId],
    agency: AgencyId,
    out: Path,
    as_json: bool,
) -> None:
    if as_json:
        told = {
            "agreement": document.slug,
            "version": document.version,
            "signed_by": list(signed),
            "signatures": len(role.key_ids),
            "file": str(out),
        }
        click.echo(json.dumps(told))
        return
    other = next(party for party in document.parties if party != agency)
    click.echo(f"{document.slug}, version {document.version}: signed by {agency}; written to {out}")
    if other in signed:
        click.echo(f"{other} has signed it too: send it to the custodians (hub directory add-agreement)")
    elif len(role.key_ids) > 1:
        click.echo("it has more signatures: send it to the custodians, who verify them (hub directory add-agreement)")
    else:
        click.echo(f"next: {other} signs this file too (hub agreement sign {out.name} --agency {other} --key ...)")


def _show_before(
    loaded: LoadedAgreement, findings: Sequence[Finding], directory: Directory | None, as_json: bool
) -> None:
    """What will be signed, who has signed it, and what it changes: before anything is signed."""
    document = loaded.document
    lines = [*agreement_words(document), ""]
    if loaded.role is not None:
        lines += [*signature_words(loaded, identities(document, directory, ())), ""]
    if directory is not None:
        before = in_force(directory, document)
        if before is None:
            lines.append(f"Directory {directory.version} has no {document.slug}: all of it is new.")
        else:
            lines.append(f"Against version {before.version}, which is in force:")
            lines += [f"  {line}" for line in diff_words(diff_agreements(before, document))]
    click.echo("\n".join(lines), err=as_json)
    print_findings(loaded, findings)
