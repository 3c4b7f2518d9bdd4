"""``hub directory``: the operator publishes what the custodians signed, and answers enrolments."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from hub.adapters.enrolment import Reply, encode_reply, parse_enrolment
from hub.adapters.files import read_file, write_file
from hub.adapters.repository_files import alone_in, load_repository, save_repository
from hub.adapters.tuf_metadata import RepositoryInvalid
from hub.adapters.tuf_publish import TIMESTAMP_DAYS, date_again, publish, publish_urgent, urgent_part
from hub.adapters.tuf_repository import Repository
from hub.adapters.tuf_roles import MAX_ROLE_FILE
from hub.cli.asking import ask, yes_option
from hub.cli.directory_staged import (
    FILE,
    FOLDER,
    as_json_option,
    load_private,
    now_ms,
    print_staged,
    published,
    repository_argument,
)
from hub.cli.key_options import passphrase_option
from hub.errors import ConfigError, HubError
from hub.trust.keys import KeyUse
from hub.wire.limits import SEQUENCE


class AgreementsWouldEnd(ConfigError):
    """A change would end agreements, and nobody said that it may."""

    code = "directory.agreements_would_end"


@click.command("publish")
@repository_argument
@click.option("--key", required=True, type=FILE, help="The operator's private online key.")
@click.option(
    "--days", default=TIMESTAMP_DAYS, show_default=True, type=click.IntRange(1, 366), help="How long it holds."
)
@click.option("--bootstrap", help="host:port of Kafka: the topic hub.directory then gets it too.")
@click.option("--tls", type=FOLDER, help="The operator's folder: ca.pem, tls.pem, tls.key.")
@click.option(
    "--above",
    type=click.IntRange(1, SEQUENCE - 1),
    metavar="VERSION",
    help="Number it higher than VERSION, which sites have seen: after the theft of an online key.",
)
@click.option("--date-only", is_flag=True, help="Date what is published; what is staged waits: for the daily timer.")
@click.option(
    "--urgent",
    is_flag=True,
    help="Publish now what no custodian signs (a revocation); the rest waits.",
)
@click.option(
    "--end-agreements", is_flag=True, help="Publish although agreements hold no more that a rekeyed agency must sign."
)
@passphrase_option
@yes_option
@as_json_option
def publish_command(
    repository: Path,
    key: Path,
    days: int,
    bootstrap: str | None,
    tls: Path | None,
    above: int | None,
    date_only: bool,
    urgent: bool,
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
    if date_only and urgent:
        raise click.UsageError("--date-only publishes nothing that is staged, --urgent a part of it: give one of them")
    if above is not None and (date_only or urgent):
        raise click.UsageError("--above numbers a version of all that is staged: without --date-only, without --urgent")
    with alone_in(repository):
        loaded = load_repository(repository)
        if loaded.staged and not date_only:
            if not urgent:
                _check_agreements(loaded, end_agreements)
            if not as_json or not yes:
                print_staged(urgent_part(loaded) if urgent else loaded, published(loaded), err=as_json)
            ask("Publish this?", yes=yes)
        private = load_private(key, KeyUse.ONLINE, passphrase_file)
        if above is None:
            make = date_again if date_only else publish_urgent if urgent else publish
            made = make(loaded, private, now_ms=now_ms(), days=days)
        else:
            made = publish(loaded, private, now_ms=now_ms(), days=days, above=above)
        save_repository(loaded, repository)
        sent = _send(loaded, bootstrap, tls)
    directory = made.verified.directory
    told: dict[str, Any] = {
        "version": directory.version,
        "expires_at_ms": directory.expires_at_ms,
        "written": list(made.written),
        "records": sent,
        "faults": [fault.role for fault in directory.faults],
    }
    if as_json:
        click.echo(json.dumps(told))
        return
    topic = "" if sent is None else f"; {sent} records to hub.directory"
    did = "dated anew" if date_only else "published"
    click.echo(f"directory {directory.version} is {did}, {len(made.written)} files{topic}")


@click.command("reply")
@repository_argument
@click.argument("enrolment", metavar="ENROLMENT.json", type=FILE)
@click.option("--authority", required=True, type=FOLDER, help="Folder of the operator's CA.")
@click.option("--bootstrap", required=True, help="host:port of Kafka, as the agency reaches it.")
@click.option("--out", required=True, type=FILE, help="The file to send back.")
@as_json_option
def reply_command(repository: Path, enrolment: Path, authority: Path, bootstrap: str, out: Path, as_json: bool) -> None:
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


def _send(repository: Repository, bootstrap: str | None, tls: Path | None) -> int | None:
    """To Kafka, where that was asked for; how many records."""
    if bootstrap is None or tls is None:
        return None
    from hub.adapters.kafka_directory import publish_files
    from hub.adapters.tls import TlsFiles

    files = TlsFiles(tls / "ca.pem", tls / "tls.pem", tls / "tls.key")
    try:
        return asyncio.run(publish_files(bootstrap, files, repository.files))
    except HubError:
        told = "published in the folder, and not on Kafka yet: run it again with the same --bootstrap and --tls"
        click.echo(f"warning: directory {repository.snapshot_version()} is {told}", err=True)
        raise


def _check_agreements(repository: Repository, end_agreements: bool) -> None:
    ended = [fault.role for fault in repository.draft(now_ms()).faults if fault.role.startswith("agreement.")]
    if ended and not end_agreements:
        raise AgreementsWouldEnd(
            "agreements would hold no more: let the agency that has a new key sign them, or give --end-agreements",
            agreements=", ".join(role.removeprefix("agreement.") for role in ended),
        )
