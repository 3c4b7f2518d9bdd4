"""``hub directory``: agencies and agreements, listed by the custodians: each command stages a change."""

from __future__ import annotations

from pathlib import Path

import click

from hub.adapters.enrolment import parse_enrolment
from hub.adapters.files import read_file
from hub.adapters.fingerprint import check_words, fingerprint_words
from hub.adapters.tuf_metadata import RepositoryInvalid
from hub.adapters.tuf_repository import Repository
from hub.adapters.tuf_roles import MAX_ROLE_FILE, parse_signed_role
from hub.cli.asking import yes_option
from hub.cli.directory_staged import FILE, as_json_option, change, repository_argument
from hub.cli.key_options import language_option, print_words
from hub.cli.keys import AgencyCode
from hub.model import AgencyId


@click.command("add-agency")
@repository_argument
@click.argument("enrolment", metavar="ENROLMENT.json", type=FILE)
@click.option("--rekey", is_flag=True, help="The agency is listed already: it has a new identity key.")
@click.option("--words", help="The fingerprint as the agency read it out: compared, nobody is asked.")
@language_option
@yes_option
@as_json_option
def add_agency_command(
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
    change(repository, yes or words is not None, as_json, question, add, warn=None if as_json else warn)


@click.command("update-agency")
@repository_argument
@click.argument("statements", metavar="STATEMENT.json...", nargs=-1, required=True, type=FILE)
@yes_option
@as_json_option
def update_agency_command(repository: Path, statements: tuple[Path, ...], yes: bool, as_json: bool) -> None:
    """Stage an agency's newer key statement (`hub agency rotate`): its own signature is enough."""

    def update(loaded: Repository) -> None:
        for path in statements:
            loaded.put_statement(parse_signed_role(read_file(path, MAX_ROLE_FILE)))

    change(repository, yes, as_json, "Stage this?", update)


@click.command("suspend-agency")
@repository_argument
@click.argument("agency", type=AgencyCode())
@yes_option
@as_json_option
def suspend_agency_command(repository: Path, agency: AgencyId, yes: bool, as_json: bool) -> None:
    """Stage that AGENCY publishes nothing and receives nothing; its keys stay listed."""
    hubs: list[AgencyId] = []

    def suspend(loaded: Repository) -> None:
        hubs.append(loaded.index().hub)
        loaded.set_active(agency, False)

    def warn() -> None:
        if agency in hubs:
            click.echo(f"warning: {agency} is the hub itself: its routers stop, and nothing is delivered", err=True)

    change(repository, yes, as_json, "Stage this?", suspend, warn=warn)


@click.command("resume-agency")
@repository_argument
@click.argument("agency", type=AgencyCode())
@yes_option
@as_json_option
def resume_agency_command(repository: Path, agency: AgencyId, yes: bool, as_json: bool) -> None:
    """Stage that a suspended AGENCY returns."""
    change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.set_active(agency, True))


@click.command("remove-agency")
@repository_argument
@click.argument("agency", type=AgencyCode())
@yes_option
@as_json_option
def remove_agency_command(repository: Path, agency: AgencyId, yes: bool, as_json: bool) -> None:
    """Stage that AGENCY leaves, and that all its agreements end. What it signed cannot be verified any more then:
    suspend it where its records are still wanted."""
    change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.remove_agency(agency))


@click.command("add-agreement")
@repository_argument
@click.argument("agreements", metavar="AGREEMENT.json...", nargs=-1, required=True, type=FILE)
@yes_option
@as_json_option
def add_agreement_command(repository: Path, agreements: tuple[Path, ...], yes: bool, as_json: bool) -> None:
    """Stage agreements that both parties have signed (`hub agreement sign`), new ones or newer versions."""

    def add(loaded: Repository) -> None:
        for path in agreements:
            loaded.put_agreement(parse_signed_role(read_file(path, MAX_ROLE_FILE)))

    change(repository, yes, as_json, "Stage this?", add)


@click.command("withdraw-agreement")
@repository_argument
@click.argument("slug", metavar="AGREEMENT")
@yes_option
@as_json_option
def withdraw_agreement_command(repository: Path, slug: str, yes: bool, as_json: bool) -> None:
    """Stage the end of an agreement: from the version that says so nothing is delivered under it."""
    change(repository, yes, as_json, "Stage this?", lambda loaded: loaded.withdraw_agreement(slug))
