"""A look at a site before it starts, and at a stub that it was given. The broker is asked for the directory alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hub.adapters.files import read_file
from hub.adapters.found_connectors import build_sink, build_source, connector_context
from hub.adapters.key_files import load_kem_keys, load_signing_key
from hub.adapters.standing import KeyKind, own_key_end_ms
from hub.app.keys import key_access, tls_files
from hub.app.process import Process, start_process
from hub.app.site import source_context
from hub.errors import ConfigError, UnavailableError
from hub.policy.agreement import decide_agreement
from hub.policy.decide import ReleasePolicy
from hub.policy.release import load_release
from hub.policy.subscription import load_subscription
from hub.settings import SiteSettings
from hub.trust.directory import Directory
from hub.trust.stub import verify_stub
from hub.wire.limits import RECORD


class OwnKeyNotListed(ConfigError):
    """The directory does not list this site's key: nobody would take what it signs, or seal to it."""

    code = "settings.own_key_not_listed"


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was found to be in order."""

    what: str
    facts: str


def check_site(settings: SiteSettings) -> Iterator[Checked]:
    """Everything of a site that can be checked before it runs, one by one.

    Raises ``ConfigError`` at the first fault, ``UnavailableError`` where no valid directory can be had.
    """
    process = start_process(settings, "site")
    tls_files(settings.kafka).check()
    yield Checked("certificate", f"{settings.kafka.certificate} and its key")
    directory = _directory(process)
    agencies = [entry.agency_id for entry in directory.all_agencies()]
    yield Checked("directory", f"version {directory.version}, {len(agencies)} agencies")
    now_ms = process.clock.now_ms()
    if settings.keys.signing is not None:
        key_id = load_signing_key(settings.keys.signing, access=key_access(settings.keys)).public.key_id
        yield Checked("signing key", _listed(settings, directory, "signing", key_id, now_ms))
    if settings.keys.kem is not None:
        for key in load_kem_keys(settings.keys.kem, key_access(settings.keys)):
            yield Checked("KEM key", _listed(settings, directory, "kem", key.public.kem_id, now_ms))
    if settings.release is not None:
        ReleasePolicy(load_release(settings.release, process.catalog, agencies=agencies), settings.agency)
        yield Checked("release", str(settings.release))
    if settings.subscription is not None:
        load_subscription(settings.subscription, process.catalog, agencies=agencies)
        yield Checked("subscription", str(settings.subscription))
    for source in settings.source:
        build_source(source, source_context(process, settings, source))
        yield Checked("source", source.label)
    for sink in settings.sink:
        build_sink(sink, connector_context(settings, sink, "sink", catalog=process.catalog, observer=process.progress))
        yield Checked("sink", sink.label)


def _directory(process: Process) -> Directory:
    """The newest that can be had; without an answer of the broker what is here, if it holds."""
    try:
        asyncio.run(process.directory.fetch())
    except UnavailableError as error:
        try:
            return process.directory.current()
        except UnavailableError:
            raise error from None
    return process.directory.current()


def _listed(settings: SiteSettings, directory: Directory, kind: KeyKind, key_id: bytes, now_ms: int) -> str:
    end_ms = own_key_end_ms(directory, settings.agency, kind, key_id)
    name = key_id.hex()[:16]
    if end_ms is None:
        raise OwnKeyNotListed(f"the directory does not list this {kind} key of {settings.agency}", key_id=name)
    days = (end_ms - now_ms) // 86_400_000
    if kind == "signing":
        directory.signing_key(settings.agency, key_id, now_ms)
    return f"{name}, {max(0, days)} more days"


@dataclass(frozen=True, slots=True)
class StubChecked:
    """What a stub proves, as lines for a person, and whether its entry should have been delivered after all."""

    facts: tuple[tuple[str, str], ...]
    should_have_come: bool


def check_stub(settings: SiteSettings, file: Path) -> StubChecked:
    """Verify a stub for this site, and decide its entry anew. Raises what ``hub.trust.stub.verify_stub`` raises."""
    process = start_process(settings, "site")
    directory, now_ms = process.directory.current(), process.clock.now_ms()
    stub = verify_stub(
        read_file(file, RECORD), hub=settings.hub, recipient=settings.agency, directory=directory, now_ms=now_ms
    )
    agreement = decide_agreement(
        directory,
        publisher=stub.publisher,
        recipient=settings.agency,
        route=stub.route,
        compartments=stub.granted,
        now_ms=now_ms,
    )
    decisions = [agreement]
    if settings.subscription is not None:
        asked = load_subscription(settings.subscription, process.catalog)
        decisions.append(asked.decide_labels(stub.publisher, stub.route))
    route = stub.route
    facts = (
        ("publisher", stub.publisher),
        ("instance", stub.instance.hex()),
        ("number", str(stub.recipient_seq)),
        ("events", f"{stub.n} of {route.event_type}, {route.handling}, {route.priority.value}, {route.purpose.value}"),
        ("granted", ", ".join(stub.granted)),
        ("head", stub.head_hash.hex()),
        *(("decision", f"{'yes' if each.allowed else 'no'}, {each.code}: {each.reason}") for each in decisions),
    )
    return StubChecked(facts, all(each.allowed for each in decisions))
