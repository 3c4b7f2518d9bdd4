"""``hub directory``: the custodians' and the operator's side. Reading commands are in hub/cli/directory_shown.py.

A repository is a folder. Changes are staged in it; ``request`` puts all of it into one file that is carried to a
custodian, ``sign`` adds a signature to that file (or in the folder), ``merge`` brings signatures home, ``publish``
makes what is staged the current version. docs/guides/custodians.md.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from hub.adapters.enrolment import Reply, encode_reply, parse_enrolment
from hub.adapters.files import read_file, write_file
from hub.adapters.fingerprint import check_words, fingerprint_words
from hub.adapters.key_files import KeyAccess, load_signing_key, load_verify_key
from hub.adapters.passphrase import passphrase_source
from hub.adapters.repository_files import load_repository, save_repository
from hub.adapters.tuf_metadata import RepositoryInvalid
from hub.adapters.tuf_publish import TIMESTAMP_DAYS, date_again, publish
from hub.adapters.tuf_reader import read_root
from hub.adapters.tuf_repository import ROOT_DAYS, TARGETS_DAYS, Repository
from hub.adapters.tuf_roles import MAX_ROLE_FILE, parse_signed_role
from hub.cli.asking import ask, yes_option
from hub.cli.directory_shown import diff_command, print_changes, show_command, verify_command
from hub.cli.key_options import language_option, passphrase_option, print_words
from hub.cli.keys import AgencyCode
from hub.errors import ConfigError
from hub.model import HUB, AgencyId
from hub.policy.directory_diff import DirectoryChange, diff_directories, diff_roots
from hub.trust.composite import SigningKey
from hub.trust.directory import Directory
from hub.trust.keys import KeyUse
from hub.trust.root import Custodian

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_PLACE: Final = click.Path(path_type=Path)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_repository = click.argument("repository", metavar="REPOSITORY", type=_FOLDER)


class CustodianUnknown(ConfigError):
    """A key that signs is not one of the root's, or a name is none of a custodian's."""

    code = "directory.custodian_unknown"


class AgreementsWouldEnd(ConfigError):
    """A change would end agreements, and nobody said that it may."""

    code = "directory.agreements_would_end"


@click.group()
def cli() -> None:
    """Who is who: agencies, keys and agreements, signed by the custodians."""


for _command in (show_command, verify_command, diff_command):
    cli.add_command(_command)


# --- the custodians ---------------------------------------------------------------------------------------------------


@cli.command()
@_repository
@click.option("--hub", default=HUB, type=AgencyCode(), show_default=True, help="The hub's own code.")
@click.option("--threshold", required=True, type=int, help="How many custodians must sign.")
@click.option(
    "--custodian",
    "custodians",
    multiple=True,
    required=True,
    metavar="NAME=FILE.pub",
    help="One custodian; again for each.",
)
@click.option("--online", required=True, type=_FILE, help="The operator's public online key, which dates versions.")
@_as_json
def init(
    repository: Path, hub: AgencyId, threshold: int, custodians: tuple[str, ...], online: Path, as_json: bool
) -> None:
    """Begin a directory in the folder REPOSITORY: its root names the custodians, and waits for their signatures.

    Each custodian makes a key on a machine of its own (`hub keys generate custodian`), and only the public key travels.
    """
    if repository.exists() and any(repository.iterdir()):
        raise RepositoryInvalid("there is something in that folder already; nothing is overwritten", file=repository)
    made = Repository.create(
        hub=hub,
        custodians=[_named(told) for told in custodians],
        threshold=threshold,
        online=[load_verify_key(online, KeyUse.ONLINE)],
        now_ms=_now(),
    )
    save_repository(made, repository)
    _tell(made, as_json, f"{hub}: {threshold} of {len(custodians)} custodians must sign")


@cli.command()
@click.argument("place", metavar="REPOSITORY|REQUEST.json", type=_PLACE)
@click.option(
    "--key", "keys", multiple=True, required=True, type=_FILE, help="A custodian's private key; may be repeated."
)
@click.option("--root", type=_FILE, help="The root that this custodian knows: what is published must follow from it.")
@passphrase_option
@yes_option
@_as_json
def sign(
    place: Path, keys: tuple[Path, ...], root: Path | None, passphrase_file: Path | None, yes: bool, as_json: bool
) -> None:
    """Sign what is staged, after it was shown in words and you were asked."""
    repository = load_repository(place)
    _check_known(repository, root)
    if not as_json:
        _print_staged(repository)
    ask(f"Sign this with {len(keys)} keys?" if len(keys) > 1 else "Sign this?", yes=yes)
    for path in keys:
        key = _private(path, KeyUse.CUSTODIAN, passphrase_file)
        repository.sign(key)
    save_repository(repository, place)
    _tell(repository, as_json, "signed")


@cli.command()
@_repository
@click.option("--out", required=True, type=_FILE, help="The file to carry, REQUEST.json.")
@_as_json
def request(repository: Path, out: Path, as_json: bool) -> None:
    """Put the repository and what is staged into one file, to be signed on a custodian's machine."""
    loaded = load_repository(repository)
    save_repository(loaded, out.with_suffix(".json"))
    _tell(loaded, as_json, f"written to {out.with_suffix('.json')}", request=str(out.with_suffix(".json")))


@cli.command()
@_repository
@click.argument("requests", metavar="REQUEST.json...", nargs=-1, required=True, type=_FILE)
@_as_json
def merge(repository: Path, requests: tuple[Path, ...], as_json: bool) -> None:
    """Take over the signatures of files that custodians have signed."""
    loaded = load_repository(repository)
    new = sum(loaded.merge(load_repository(path)) for path in requests)
    save_repository(loaded, repository)
    _tell(loaded, as_json, f"{new} new signatures", new_signatures=new)


@cli.command()
@_repository
@_as_json
def status(repository: Path, as_json: bool) -> None:
    """What is staged, in words, and whose signatures it lacks. Exit code 1 where it lacks any."""
    loaded = load_repository(repository)
    if not as_json:
        _print_staged(loaded)
    _tell(loaded, as_json, "staged" if loaded.staged else "nothing is staged")
    if any(part.lacking for part in loaded.lacking()):
        raise click.exceptions.Exit(1)


@cli.command("discard")
@_repository
@yes_option
@_as_json
def discard_command(repository: Path, yes: bool, as_json: bool) -> None:
    """Take back everything that is staged."""
    _change(repository, yes, as_json, "Take all of this back?", lambda loaded: loaded.discard(), before=True)


@cli.command("replace-custodian")
@_repository
@click.argument("old", metavar="OLD-NAME")
@click.argument("new", metavar="NAME=FILE.pub")
@yes_option
@_as_json
def replace_custodian(repository: Path, old: str, new: str, yes: bool, as_json: bool) -> None:
    """Stage a root with another custodian's key in place of OLD-NAME's: it was lost, or its holder leaves.

    As many of the custodians before must sign it as had to until now, and as many of the new ones.
    """

    def replace(loaded: Repository) -> None:
        custodians = read_root(loaded.root().signed).custodians
        if old not in {custodian.name for custodian in custodians}:
            raise CustodianUnknown("there is no custodian of that name", name=old)
        named = _named(new)
        loaded.change_root(now_ms=_now(), custodians=[named if c.name == old else c for c in custodians])

    _change(repository, yes, as_json, "Stage this?", replace)


@cli.command("change-root")
@_repository
@click.option("--threshold", type=int, help="How many custodians must sign.")
@click.option("--add-custodian", "added", multiple=True, metavar="NAME=FILE.pub", help="One who comes in.")
@click.option("--remove-custodian", "removed", multiple=True, metavar="NAME", help="One who goes.")
@click.option(
    "--online", "online", multiple=True, type=_FILE, help="The operator's online keys, in place of those before."
)
@click.option("--days", default=ROOT_DAYS, show_default=True, type=click.IntRange(1), help="How long the root holds.")
@yes_option
@_as_json
def change_root(
    repository: Path,
    threshold: int | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    online: tuple[Path, ...],
    days: int,
    yes: bool,
    as_json: bool,
) -> None:
    """Stage a new root: other custodians, another threshold, another online key, or the same for longer."""

    def change(loaded: Repository) -> None:
        custodians = list(read_root(loaded.root().signed).custodians)
        for name in removed:
            if name not in {custodian.name for custodian in custodians}:
                raise CustodianUnknown("there is no custodian of that name", name=name)
            custodians = [custodian for custodian in custodians if custodian.name != name]
        custodians += [_named(told) for told in added]
        keys = [load_verify_key(path, KeyUse.ONLINE) for path in online]
        loaded.change_root(now_ms=_now(), custodians=custodians, threshold=threshold, online=keys or None, days=days)

    _change(repository, yes, as_json, "Stage this?", change)


@cli.command()
@_repository
@click.option("--days", default=TARGETS_DAYS, show_default=True, type=click.IntRange(1), help="How long it holds.")
@yes_option
@_as_json
def renew(repository: Path, days: int, yes: bool, as_json: bool) -> None:
    """Stage the directory as it is, to hold for longer without another decision of the custodians."""
    _change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.renew(now_ms=_now(), days=days))


# --- agencies and agreements ------------------------------------------------------------------------------------------


@cli.command("add-agency")
@_repository
@click.argument("enrolment", metavar="ENROLMENT.json", type=_FILE)
@click.option("--rekey", is_flag=True, help="The agency is listed already: it has a new identity key.")
@click.option("--words", help="The fingerprint as the agency read it out: compared, nobody is asked.")
@language_option
@yes_option
@_as_json
def add_agency(
    repository: Path, enrolment: Path, rekey: bool, words: str | None, language: str, yes: bool, as_json: bool
) -> None:
    """Stage an agency from the file that it sent. Before you sign: have it read its fingerprint out by phone.

    With --rekey its agreements are listed: each holds again when the new key has signed it (`hub agreement sign`, then
    `hub directory add-agreement`).
    """
    sent = parse_enrolment(read_file(enrolment, MAX_ROLE_FILE))
    if words is not None:
        check_words(sent.identity.key_id, words)
    unsigned: tuple[str, ...] = ()

    def add(loaded: Repository) -> None:
        nonlocal unsigned
        known = loaded.identity(sent.agency)
        if known is not None and known != sent.identity and not rekey:
            raise RepositoryInvalid("the agency is listed with another identity key: --rekey", agency=sent.agency)
        unsigned = loaded.put_agency(sent.agency, sent.name, sent.identity, sent.role)

    def warn() -> None:
        print_words(f"fingerprint of {sent.agency}'s identity key", fingerprint_words(sent.identity.key_id, language))
        for slug in unsigned:
            click.echo(
                f"warning: agreement {slug} holds no more until {sent.agency} signs it with its new key", err=True
            )

    question = "Are these the words that it read out, and shall this be staged?"
    _change(repository, yes or words is not None, as_json, question, add, warn=None if as_json else warn)


@cli.command("update-agency")
@_repository
@click.argument("statements", metavar="STATEMENT.json...", nargs=-1, required=True, type=_FILE)
@yes_option
@_as_json
def update_agency(repository: Path, statements: tuple[Path, ...], yes: bool, as_json: bool) -> None:
    """Stage an agency's newer key statement (`hub agency rotate`): its own signature is enough."""

    def update(loaded: Repository) -> None:
        for path in statements:
            loaded.put_statement(parse_signed_role(read_file(path, MAX_ROLE_FILE)))

    _change(repository, yes, as_json, "Stage this?", update)


@cli.command("suspend-agency")
@_repository
@click.argument("agency", type=AgencyCode())
@yes_option
@_as_json
def suspend_agency(repository: Path, agency: AgencyId, yes: bool, as_json: bool) -> None:
    """Stage that AGENCY publishes nothing and receives nothing; its keys stay listed."""
    _change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.set_active(agency, False))


@cli.command("resume-agency")
@_repository
@click.argument("agency", type=AgencyCode())
@yes_option
@_as_json
def resume_agency(repository: Path, agency: AgencyId, yes: bool, as_json: bool) -> None:
    """Stage that a suspended AGENCY returns."""
    _change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.set_active(agency, True))


@cli.command("remove-agency")
@_repository
@click.argument("agency", type=AgencyCode())
@yes_option
@_as_json
def remove_agency(repository: Path, agency: AgencyId, yes: bool, as_json: bool) -> None:
    """Stage that AGENCY leaves, and that all its agreements end. What it signed cannot be verified any more then:
    suspend it where its records are still wanted."""
    _change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.remove_agency(agency))


@cli.command("add-agreement")
@_repository
@click.argument("agreements", metavar="AGREEMENT.json...", nargs=-1, required=True, type=_FILE)
@yes_option
@_as_json
def add_agreement(repository: Path, agreements: tuple[Path, ...], yes: bool, as_json: bool) -> None:
    """Stage agreements that both parties have signed (`hub agreement sign`), new ones or newer versions."""

    def add(loaded: Repository) -> None:
        for path in agreements:
            loaded.put_agreement(parse_signed_role(read_file(path, MAX_ROLE_FILE)))

    _change(repository, yes, as_json, "Stage this?", add)


@cli.command("withdraw-agreement")
@_repository
@click.argument("slug", metavar="AGREEMENT")
@yes_option
@_as_json
def withdraw_agreement(repository: Path, slug: str, yes: bool, as_json: bool) -> None:
    """Stage the end of an agreement: from the version that says so nothing is delivered under it."""
    _change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.withdraw_agreement(slug))


# --- publishing -------------------------------------------------------------------------------------------------------


@cli.command("publish")
@_repository
@click.option("--key", required=True, type=_FILE, help="The operator's private online key.")
@click.option(
    "--days", default=TIMESTAMP_DAYS, show_default=True, type=click.IntRange(1, 366), help="How long it holds."
)
@click.option("--bootstrap", help="host:port of Kafka: the topic hub.directory then gets it too.")
@click.option("--tls", type=_FOLDER, help="The operator's folder: ca.pem, tls.pem, tls.key.")
@click.option("--date-only", is_flag=True, help="Date what is published; what is staged waits: for the daily timer.")
@click.option(
    "--end-agreements", is_flag=True, help="Publish although agreements hold no more that a rekeyed agency must sign."
)
@passphrase_option
@yes_option
@_as_json
def publish_command(
    repository: Path,
    key: Path,
    days: int,
    bootstrap: str | None,
    tls: Path | None,
    date_only: bool,
    end_agreements: bool,
    passphrase_file: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make what is staged the current version; without anything staged, date the current one anew.

    Run it daily, with --date-only: a directory that nobody dates expires, and publishing stops everywhere.
    """
    if (bootstrap is None) != (tls is None):
        raise click.UsageError("--bootstrap and --tls go together")
    loaded = load_repository(repository)
    if loaded.staged and not date_only:
        _check_agreements(loaded, end_agreements)
        if not as_json:
            _print_staged(loaded)
        ask("Publish this?", yes=yes)
    make = date_again if date_only else publish
    published = make(loaded, _private(key, KeyUse.ONLINE, passphrase_file), now_ms=_now(), days=days)
    save_repository(loaded, repository)
    sent = None
    if bootstrap is not None and tls is not None:
        from hub.adapters.kafka_directory import publish_files
        from hub.adapters.tls import TlsFiles

        files = TlsFiles(tls / "ca.pem", tls / "tls.pem", tls / "tls.key")
        sent = asyncio.run(publish_files(bootstrap, files, loaded.files))
    directory = published.verified.directory
    told: dict[str, Any] = {
        "version": directory.version,
        "expires_at_ms": directory.expires_at_ms,
        "written": list(published.written),
        "records": sent,
        "faults": [fault.role for fault in directory.faults],
    }
    if as_json:
        click.echo(json.dumps(told))
        return
    topic = "" if sent is None else f"; {sent} records to hub.directory"
    did = "dated anew" if date_only else "published"
    click.echo(f"directory {directory.version} is {did}, {len(published.written)} files{topic}")


@cli.command()
@_repository
@click.argument("enrolment", metavar="ENROLMENT.json", type=_FILE)
@click.option("--authority", required=True, type=_FOLDER, help="Folder of the operator's CA.")
@click.option("--bootstrap", required=True, help="host:port of Kafka, as the agency reaches it.")
@click.option("--out", required=True, type=_FILE, help="The file to send back.")
@_as_json
def reply(repository: Path, enrolment: Path, authority: Path, bootstrap: str, out: Path, as_json: bool) -> None:
    """Answer an enrolment of an agency that is published: its TLS certificates, the CA, the root, Kafka's address."""
    from hub.adapters.pki import Authority

    sent = parse_enrolment(read_file(enrolment, MAX_ROLE_FILE))
    loaded = load_repository(repository)
    root = loaded.published_root()
    if root is None or loaded.published_identity(sent.agency) != sent.identity:
        raise RepositoryInvalid("the agency is not published with this identity key yet", agency=sent.agency)
    issuer = Authority.load(authority)
    certificates = {
        site: issuer.sign_request(text.encode(), sent.agency, site=site or None).decode()
        for site, text in sent.requests.items()
    }
    made = Reply(sent.hub, sent.agency, root.to_bytes(), issuer.ca.read_text("ascii"), certificates, bootstrap)
    write_file(out, encode_reply(made))
    if as_json:
        click.echo(json.dumps({"agency": sent.agency, "certificates": sorted(certificates), "reply": str(out)}))
    else:
        click.echo(f"{sent.agency}: {len(certificates)} certificates; written to {out}")


# --- inner ------------------------------------------------------------------------------------------------------------


def _now() -> int:
    return int(time.time() * 1000)


def _named(told: str) -> Custodian:
    name, equals, path = told.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"NAME=FILE.pub is wanted, not {told!r}")
    return Custodian(name, load_verify_key(Path(path), KeyUse.CUSTODIAN))


def _private(path: Path, use: KeyUse, passphrase_file: Path | None) -> SigningKey:
    return load_signing_key(path, use, KeyAccess(passphrase_source(passphrase_file)))


def _change(
    place: Path,
    yes: bool,
    as_json: bool,
    question: str,
    change: Callable[[Repository], object],
    *,
    warn: Callable[[], None] | None = None,
    before: bool = False,
) -> None:
    """Change a repository: show what is staged then (or ``before``), ask, save."""
    loaded = load_repository(place)
    if not before:
        change(loaded)
    if not as_json:
        _print_staged(loaded)
    if warn is not None:
        warn()
    ask(question, yes=yes)
    if before:
        change(loaded)
    save_repository(loaded, place)
    _tell(loaded, as_json, "staged" if loaded.staged else "nothing is staged any more")


def _staged_changes(repository: Repository) -> Sequence[DirectoryChange]:
    old_root = repository.published_root()
    before: Directory | None = repository.published(_now())
    changes = [
        *diff_roots(None if old_root is None else read_root(old_root.signed), read_root(repository.root().signed))
    ]
    return [*changes, *diff_directories(before, repository.draft(_now()))]


def _print_staged(repository: Repository) -> None:
    if not repository.staged:
        return
    changes = _staged_changes(repository)
    print_changes(changes)
    if not changes:
        click.echo("nothing changes but the dates")


def _check_known(repository: Repository, root: Path | None) -> None:
    """That what is published follows from the root that the custodian has kept."""
    if root is None or not repository.files:
        return
    repository.verify_from(read_file(root, MAX_ROLE_FILE), _now())


def _check_agreements(repository: Repository, end_agreements: bool) -> None:
    ended = [fault.role for fault in repository.draft(_now()).faults if fault.role.startswith("agreement.")]
    if ended and not end_agreements:
        raise AgreementsWouldEnd(
            "agreements would hold no more: let the agency that has a new key sign them, or give --end-agreements",
            agreements=", ".join(role.removeprefix("agreement.") for role in ended),
        )


def _tell(repository: Repository, as_json: bool, did: str, **more: object) -> None:
    """What was done, and what is lacking now."""
    lacking = repository.lacking()
    if as_json:
        parts = [
            {"part": p.part, "lacking": p.lacking, "signed_by": list(p.signed_by), "could_sign": list(p.could_sign)}
            for p in lacking
        ]
        changes = [change.as_json() for change in _staged_changes(repository)] if repository.staged else []
        click.echo(
            json.dumps({"did": did, "staged": sorted(repository.staged), "lacking": parts, "changes": changes, **more})
        )
        return
    click.echo(did)
    for part in lacking:
        signed = f"signed by {', '.join(part.signed_by)}" if part.signed_by else "signed by nobody"
        wanted = f"{part.lacking} more wanted of {', '.join(part.could_sign)}" if part.lacking else "complete"
        click.echo(f"  {part.part}: {signed}; {wanted}")
