"""What the commands of ``hub agreement`` read: an agreement's file in its three forms, who signed it, what is found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from hub.adapters.files import read_file
from hub.adapters.key_files import load_verify_key
from hub.adapters.tuf_reader import load_directory
from hub.adapters.tuf_roles import MAX_ROLE_FILE, SignedRole, parse_signed_role, read_agreement
from hub.catalog import Catalog
from hub.model import AgencyId
from hub.policy.agreement import each_wider
from hub.policy.agreement_check import Finding, check_agreement
from hub.policy.agreement_draft import parse_agreement_draft
from hub.policy.source import PolicyInvalid
from hub.trust.agreement import AgreementDocument, parse_agreement
from hub.trust.composite import VerifyKey
from hub.trust.directory import Directory
from hub.trust.keys import KeyUse
from hub.trust.signed_json import read_strict_json


@dataclass(frozen=True, slots=True)
class LoadedAgreement:
    """An agreement's file: a draft (YAML), a document (JSON) or a signed file. ``lines`` are a draft's."""

    path: Path
    document: AgreementDocument
    role: SignedRole | None
    lines: Mapping[str, int]

    def place(self, field: str) -> str:
        """``mou.yaml:14: clause 1, types``, as far as it is known."""
        line = self.lines.get(field)
        where = f"{self.path}:{line}" if line is not None else str(self.path)
        clause, dot, name = field.partition(".")
        if dot:
            return f"{where}: clause {clause}, {name}"
        return where if field.isdigit() else f"{where}: {field}"


def load_agreement(path: Path, catalog: Catalog, directory: Directory | None = None) -> LoadedAgreement:
    """The file in whatever form it has; no signature is verified.

    Raises ``PolicyInvalid`` (or an ``ExceptionGroup`` of them), ``AgreementMalformed``, ``SignedRoleMalformed``,
    ``FileUnreadable``.
    """
    raw = read_file(path, MAX_ROLE_FILE)
    if raw.lstrip()[:1] == b"{":
        try:
            signed = read_strict_json(raw).get("kind") == "cgi-hub/v1/signed-role"
        except ValueError:
            signed = False  # the reader below says what is wrong with it
        if signed:
            role = parse_signed_role(raw)
            return LoadedAgreement(path, read_agreement(role), role, {})
        return LoadedAgreement(path, parse_agreement(raw), None, {})
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{path}: not UTF-8", file=str(path)) from error
    agencies = None if directory is None else directory.entries
    drafted = parse_agreement_draft(text, catalog, file=str(path), agencies=agencies)
    return LoadedAgreement(path, drafted.document, None, drafted.lines)


def known_directory(path: Path | None, root: Path | None) -> Directory | None:
    """The verified directory, where one was named."""
    if (path is None) != (root is None):
        raise click.UsageError("--directory and --root go together")
    return None if path is None or root is None else load_directory(path, root, now_ms=now_ms()).directory


def now_ms() -> int:
    """The time."""
    return int(time.time() * 1000)


def in_force(directory: Directory | None, document: AgreementDocument) -> AgreementDocument | None:
    """The version of the agreement that the directory has."""
    found = () if directory is None else directory.documents
    return next((other for other in found if other.slug == document.slug), None)


# --- findings ---------------------------------------------------------------------------------------------------------


def find(document: AgreementDocument, catalog: Catalog, directory: Directory | None) -> list[Finding]:
    """What is wrong or doubtful, by the catalog, the time, and the directory if there is one."""
    found = list(check_agreement(document, catalog, now_ms()))
    if directory is None:
        return found
    if document.hub != directory.hub:
        found.append(Finding(True, "hub", f"the directory is of {directory.hub}"))
    for party in document.parties:
        entry = directory.agency(party)
        if entry is None:
            found.append(Finding(True, "parties", f"the directory lists no agency {party}"))
        elif not entry.active:
            found.append(Finding(False, "parties", f"{party} is suspended: nothing passes until it returns"))
    before = in_force(directory, document)
    if before is not None and before.parties != document.parties:
        listed = f"the directory has a {document.slug} between {' and '.join(before.parties)}: choose another name"
        found.append(Finding(True, "agreement", listed))
    elif before is not None and document != before and document.version != before.version + 1:
        wanted = f"version {before.version} is in force: the next one is {before.version + 1}"
        found.append(Finding(True, "version", wanted))
    return [*found, *_crossing(document, directory)]


def _crossing(document: AgreementDocument, directory: Directory) -> list[Finding]:
    """Other agreements of the two that are each wider than a clause of this one (docs/adr/0012)."""

    def ours(agreement_id: str) -> bool:
        return agreement_id.partition(" ")[0] == document.slug  # an agreement's name has no space in it

    others = [agreed for agreed in directory.all_agreements if not ours(agreed.agreement_id)]
    return [
        Finding(
            False,
            "clauses",
            f"{a.agreement_id} and {b.agreement_id} are each wider than the other in some compartment: for an event "
            "that both cover only one of them is used. Write them as one",
        )
        for a, b in each_wider([*document.agreements(), *others])
        if ours(a.agreement_id) != ours(b.agreement_id)
    ]


def print_findings(loaded: LoadedAgreement, findings: Sequence[Finding]) -> None:
    """A line each, on standard error."""
    for finding in findings:
        word = "error" if finding.error else "warning"
        click.echo(f"{word}: {loaded.place(finding.field)}: {finding.message}", err=True)


# --- signatures -------------------------------------------------------------------------------------------------------


def identities(
    document: AgreementDocument, directory: Directory | None, told: Sequence[str]
) -> dict[AgencyId, VerifyKey]:
    """The parties' identity keys, as far as somebody vouches for them: the directory, or ``AGENCY=FILE.pub``."""
    keys: dict[AgencyId, VerifyKey] = {}
    for party in document.parties:
        entry = None if directory is None else directory.agency(party)
        if entry is not None:
            keys[party] = entry.identity
    for each in told:
        agency, equals, path = each.partition("=")
        if not equals or agency not in document.parties:
            raise click.BadParameter(f"PARTY=FILE.pub is wanted, not {each!r}", param_hint="--identity")
        keys[AgencyId(agency)] = load_verify_key(Path(path), KeyUse.IDENTITY)
    return keys


def signed_by(role: SignedRole | None, keys: Mapping[AgencyId, VerifyKey]) -> list[AgencyId]:
    """Whose signature verifies, of those whose keys are known."""
    signed = () if role is None else role.signed_by(keys.values())
    return [agency for agency, key in keys.items() if key in signed]


def signature_words(loaded: LoadedAgreement, keys: Mapping[AgencyId, VerifyKey]) -> list[str]:
    """Who has signed, as far as it is known."""
    if loaded.role is None:
        return ["Signed by nobody."]
    signed = signed_by(loaded.role, keys)
    lines = [
        f"Signed by {party}, with the identity key {keys[party].key_id.hex()[:16]}."
        if party in signed
        else f"Not signed by {party}."
        for party in loaded.document.parties
        if party in keys
    ]
    strangers = set(loaded.role.key_ids) - {key.key_id.hex() for key in keys.values()}
    lines += [
        f"A signature in the name of the key {key_id[:16]}, not verified: --directory or --identity says whose."
        for key_id in sorted(strangers)
    ]
    return lines
