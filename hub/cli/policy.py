"""``hub policy``: check who may get what, explain a decision, make the hub's part of a subscription."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from hub.adapters.directory_files import directory_files
from hub.adapters.files import read_file
from hub.adapters.tuf_reader import load_directory
from hub.catalog import Catalog
from hub.cli.keys import AgencyCode
from hub.cli.policy_text import print_explanation
from hub.document import parse_document
from hub.errors import ConfigError, HubError, RejectedError
from hub.model import AgencyId, Event
from hub.policy.agreement_check import check_agreement
from hub.policy.agreement_draft import parse_agreement_draft
from hub.policy.decide import ReleasePolicy
from hub.policy.explain import explain as explain_event
from hub.policy.release import load_release, parse_release
from hub.policy.source import PolicyInvalid, read_policy
from hub.policy.subscription import Subscription, Subscriptions, load_subscription, parse_subscription
from hub.settings import SiteSettings, load_router, load_site
from hub.trust.directory import Directory

_PATH: Final = click.Path(path_type=Path)
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
MAX_POLICY: Final = 4 * 1024 * 1024
MAX_EVENT: Final = 4 * 1024 * 1024


class PolicyOptionMissing(ConfigError):
    """What a command of ``hub policy`` needs was neither configured nor given."""

    code = "policy.option_missing"


class EventUnreadable(RejectedError):
    """A file that is not one event in JSON."""

    code = "event.unreadable"


@click.group()
def cli() -> None:
    """Who may get what: check the rules, explain a decision."""


# --- explain ----------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("event_file", metavar="EVENT.json", type=_FILE)
@click.option("--to", "recipient", required=True, type=AgencyCode(), help="The agency that it would go to.")
@click.option("--from", "publisher", type=AgencyCode(), help="Who publishes it; by default the configuration's agency.")
@click.option("--config", type=_FILE, help="The publishing site's configuration (TOML): its release and directory.")
@click.option("--release", "release_file", type=_FILE, help="Release rules instead of the configuration's.")
@click.option(
    "--directory", "place", type=_PATH, help="A directory (a folder, or one file) instead of the configuration's."
)
@click.option("--root", "root_file", type=_FILE, help="The root for --directory.")
@click.option(
    "--subscription",
    "subscription_path",
    type=_PATH,
    help="The recipient's subscription: a file, or the hub's folder of them.",
)
@click.option("--at", "moment", type=click.DateTime(["%Y-%m-%d"]), help="As of this day, UTC, by today's directory.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    event_file: Path,
    recipient: AgencyId,
    publisher: AgencyId | None,
    config: Path | None,
    release_file: Path | None,
    place: Path | None,
    root_file: Path | None,
    subscription_path: Path | None,
    moment: datetime | None,
    as_json: bool,
) -> None:
    """Say why the event in EVENT.json would reach an agency, or not: each consent with its clause and line.

    Nothing is sent. What is printed has values of the event's fields: it is as confidential as the event. The exit code
    is 0 whatever the decision is.
    """
    catalog = Catalog.load()
    settings = None if config is None else load_site(config)
    publisher = publisher or (None if settings is None else settings.agency)
    if publisher is None:
        raise PolicyOptionMissing("--from or --config is wanted: who publishes it?")
    now_ms = int(time.time() * 1000)
    directory = _directory(settings, place, root_file, now_ms)
    if moment is not None:
        # What would be on that day, by the directory of today: by then it will have been dated anew.
        now_ms = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
        directory = replace(directory, expires_at_ms=max(directory.expires_at_ms, now_ms + 1))
    agencies = [entry.agency_id for entry in directory.all_agencies()]
    release_file = release_file or (None if settings is None else settings.release)
    if release_file is None:
        raise PolicyOptionMissing("--release is wanted, or release = ... in the configuration")
    event = _read_event(event_file, catalog)
    found = explain_event(
        event,
        catalog.get(event.event_type),
        release=load_release(release_file, catalog, agencies=agencies),
        directory=directory,
        publisher=publisher,
        recipient=recipient,
        subscription=_subscription(subscription_path, recipient, catalog),
        now_ms=now_ms,
    )
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        print_explanation(found)


def _directory(settings: SiteSettings | None, place: Path | None, root_file: Path | None, now_ms: int) -> Directory:
    if settings is not None:
        root_file = root_file or settings.directory.root
        if place is None:
            return load_directory(
                directory_files(settings.directory, settings.state), root_file, now_ms=now_ms
            ).directory
    if place is None or root_file is None:
        raise PolicyOptionMissing("--directory with --root is wanted, or --config with [directory]")
    return load_directory(place, root_file, now_ms=now_ms).directory


def _read_event(path: Path, catalog: Catalog) -> Event:
    try:
        document = json.loads(read_file(path, MAX_EVENT))
    except (ValueError, RecursionError) as error:
        raise EventUnreadable(f"not JSON: {error}", file=path) from error
    return parse_document(document, catalog)


def _subscription(path: Path | None, recipient: AgencyId, catalog: Catalog) -> Subscription | None:
    if path is None:
        return None
    if path.is_dir():
        # An agency that has no file asked for nothing: that is an answer too.
        return Subscriptions.load_folder(path, catalog).get(recipient) or Subscription(recipient, str(path), ())
    found = load_subscription(path, catalog)
    if found.agency != recipient:
        raise PolicyInvalid(f"{path}: it is {found.agency}'s subscription, not {recipient}'s", file=str(path))
    return found


# --- check ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What ``hub policy check`` says of one file."""

    file: Path
    kind: str
    fault: HubError | None = None
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "kind": self.kind,
            "ok": self.fault is None,
            "code": None if self.fault is None else self.fault.code,
            "message": None if self.fault is None else self.fault.message,
            "line": None if self.fault is None else self.fault.details.get("line"),
            "warnings": list(self.warnings),
        }


@cli.command()
@click.argument("paths", nargs=-1, type=_PATH)
@click.option("--config", "configs", multiple=True, type=_FILE, help="A site's or a router's configuration (TOML).")
@click.option(
    "--directory", "place", type=_PATH, help="A directory (folder or file): unknown agencies are then faults."
)
@click.option("--root", "root_file", type=_FILE, help="The root for --directory.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(
    context: click.Context,
    paths: tuple[Path, ...],
    configs: tuple[Path, ...],
    place: Path | None,
    root_file: Path | None,
    as_json: bool,
) -> int:
    """Check every policy file of PATHS (files, and *.yaml in folders) and of configurations.

    A file is known by what it has: `allow` release rules, `accept` a subscription, `clauses` an agreement.
    Exit code 0 where all are in order, 2 where one is not; every fault has its file and line.
    """
    catalog = Catalog.load()
    now_ms = int(time.time() * 1000)
    agencies = None
    if place is not None or root_file is not None:
        agencies = frozenset(_directory(None, place, root_file, now_ms).entries)
    jobs: list[tuple[Path, Callable[[], CheckedFile]]] = [
        (file, partial(_check_yaml, file, catalog, agencies))
        for path in paths
        for file in (sorted(path.glob("*.yaml")) if path.is_dir() else (path,))
    ]
    for config in configs:
        jobs.extend(_config_jobs(config, catalog, now_ms))
    if not jobs:
        raise PolicyOptionMissing("nothing to check: name files, folders or --config")
    checked = [_run(file, job) for file, job in jobs]
    faults = [found for found in checked if found.fault is not None]
    if as_json:
        click.echo(json.dumps({"ok": not faults, "files": [found.as_json() for found in checked]}, indent=2))
    else:
        for found in checked:
            _show(found)
    context.exit(2 if faults else 0)


def _show(found: CheckedFile) -> None:
    if found.fault is not None:
        click.echo(f"error: {found.fault.diagnostics()}", err=True)
        return
    click.echo(f"ok: {found.file}: {found.kind}")
    for warning in found.warnings:
        click.echo(f"warning: {found.file}: {warning}", err=True)


def _run(file: Path, job: Callable[[], CheckedFile]) -> CheckedFile:
    try:
        return job()
    except HubError as error:
        return CheckedFile(file, "", error)


def _check_yaml(file: Path, catalog: Catalog, agencies: frozenset[AgencyId] | None) -> CheckedFile:
    try:
        text = read_file(file, MAX_POLICY).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{file}: not UTF-8", file=str(file)) from error
    keys = read_policy(text, str(file)).keys()
    if "accept" in keys:
        found = parse_subscription(text, catalog, file=str(file), agencies=agencies)
        return CheckedFile(file, f"subscription of {found.agency}, {len(found.clauses)} clauses")
    if "clauses" in keys:
        return _check_agreement(file, text, catalog, agencies)
    release = parse_release(text, catalog, file=str(file), agencies=agencies)
    return CheckedFile(file, f"release rules{f' of {release.agency}' if release.agency else ''}")


def _check_agreement(file: Path, text: str, catalog: Catalog, agencies: frozenset[AgencyId] | None) -> CheckedFile:
    try:
        drafted = parse_agreement_draft(text, catalog, file=str(file), agencies=agencies)
    except ExceptionGroup as several:
        raise PolicyInvalid(f"{several.message}: `hub agreement check` tells them", file=str(file)) from several
    document = drafted.document
    findings = check_agreement(document, catalog, int(time.time() * 1000))
    for finding in findings:
        if finding.error:
            line = drafted.lines.get(finding.field, 1)
            raise PolicyInvalid(f"{file}:{line}: {finding.message}", file=str(file), line=line)
    kind = f"agreement {document.slug} of {' and '.join(document.parties)}, version {document.version}"
    return CheckedFile(file, kind, warnings=tuple(finding.message for finding in findings))


def _config_jobs(config: Path, catalog: Catalog, now_ms: int) -> Iterator[tuple[Path, Callable[[], CheckedFile]]]:
    """The policy files that a configuration names, checked as its process would load them."""
    site, router = None, None
    try:
        site = load_site(config)
    except ConfigError as fault:
        try:
            router = load_router(config)
        except ConfigError:
            yield config, partial(CheckedFile, config, "", fault)
            return
    if router is not None:
        folder = router.subscriptions
        yield folder, partial(_check_folder, folder, catalog)
    if site is not None:
        yield from _site_jobs(site, catalog, now_ms)


def _check_folder(folder: Path, catalog: Catalog) -> CheckedFile:
    return CheckedFile(folder, f"{len(Subscriptions.load_folder(folder, catalog))} subscriptions, the hub's parts")


def _site_jobs(site: SiteSettings, catalog: Catalog, now_ms: int) -> Iterator[tuple[Path, Callable[[], CheckedFile]]]:
    agencies: list[AgencyId] = []
    place = site.directory.path or Path(site.directory.url or "hub.directory")

    def check_directory() -> CheckedFile:
        directory = _directory(site, None, None, now_ms)
        agencies.extend(directory.entries)
        return CheckedFile(place, f"directory {directory.version}")

    def check_release(path: Path) -> CheckedFile:
        # Without a directory its agencies are not known, and that fault is told already.
        ReleasePolicy(load_release(path, catalog, agencies=agencies or None), site.agency)
        return CheckedFile(path, f"release rules of {site.agency}")

    def check_subscription(path: Path) -> CheckedFile:
        found = load_subscription(path, catalog, agencies=agencies or None)
        if found.agency != site.agency:
            raise PolicyInvalid(f"{path}: it is {found.agency}'s, and the site is {site.agency}'s", file=str(path))
        return CheckedFile(path, f"subscription of {found.agency}, {len(found.clauses)} clauses")

    yield place, check_directory
    if site.release is not None:
        yield site.release, partial(check_release, site.release)
    if site.subscription is not None:
        yield site.subscription, partial(check_subscription, site.subscription)


# --- the hub's part ---------------------------------------------------------------------------------------------------


@cli.command("hub-part")
@click.argument("subscription", type=_FILE)
def hub_part(subscription: Path) -> None:
    """Print what the hub may have of SUBSCRIPTION: its labels, without what it looks for in the content."""
    click.echo(load_subscription(subscription, Catalog.load()).hub_part(), nl=False)
