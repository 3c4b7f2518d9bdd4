"""``hub site rejected`` and ``hub site retry``, on an inbox as a site leaves it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.adapters.sqlite_inbox import SqliteInbox
from hub.client.inbox import InboxCommit, RejectedRecord
from hub.model import HUB, AgencyId, Route
from hub.trust.directory import Directory
from hub.trust.seal import Draft, Group, Sealer
from hub.trust.verify import FlushCache, verify_ingest
from tests.support.command import hub
from tests.support.deployment import Deployment
from tests.support.samples import catalog, sample_event, sample_sections
from tests.unit.cli.test_site import deployment as deployment  # the fixture

ATF, JCF = AgencyId("ATF"), AgencyId("JCF")
TRACE = catalog().get("trace.request")
COMPARTMENTS = TRACE.compartments
AT_MS = 1_796_000_000_000
EVENT_ID = bytes.fromhex("0192a000000070008000000000000001")


def sealed(deployment: Deployment) -> bytes:
    """A record of JCF's as it is delivered to ATF, with one event."""
    world = deployment.world
    directory: Directory = replace(world.directory(), version=1)  # what the site reads is its repository's first
    sealer = Sealer(
        hub=HUB,
        publisher=JCF,
        site_key=world.keys[JCF].signing,
        directory=directory,
        policy_version="test",
        previous={},
    )
    event = sample_event("trace.request")
    route = Route("trace.request", TRACE.version, event.handling, event.priority, event.purpose)
    expires = world.now_ms + 10**9
    draft = Draft(EVENT_ID, world.now_ms, b"c" * 16, None, expires, sample_sections("trace.request"))  # type: ignore[arg-type]
    group = Group(route, COMPARTMENTS, ((ATF, COMPARTMENTS),), [draft])
    [record] = sealer.seal([group], now_ms=world.now_ms).records
    bundle = verify_ingest(
        record.value, owner=JCF, hub=HUB, directory=directory, now_ms=world.now_ms, flushes=FlushCache()
    )
    return bundle.delivery(ATF)


class Site:
    """ATF's, with two entries: a good record that was refused for its type, and one that is none."""

    def __init__(self, deployment: Deployment) -> None:
        deployment.subscribe("ATF", ["trace.request"])
        self.config = deployment.site_config("ATF", tables='[[sink]]\nkind = "jsonl"\npath = "out.jsonl"\n')
        self.out = self.config.parent / "out.jsonl"
        self.inbox = SqliteInbox(self.config.parent / "state" / "inbox.sqlite", agency=ATF)
        good = RejectedRecord(
            "deliver.ATF", 0, 7, "", "", "", "event.type_unknown", "no such type", AT_MS, sealed(deployment)
        )
        bad = RejectedRecord("deliver.ATF", 1, 3, "", "", "", "frame.malformed", "cut off", AT_MS + 1000, b"nonsense")
        self.good, self.bad = good.id, bad.id
        self.inbox.open()
        self.inbox.commit(InboxCommit({}, {}, [good, bad]))
        self.inbox.close()

    @property
    def written(self) -> int:
        return len(self.out.read_text().splitlines()) if self.out.exists() else 0


@pytest.fixture
def site(deployment: Deployment) -> Iterator[Site]:
    made = Site(deployment)
    yield made
    made.inbox.close()


def test_the_list_says_when_whose_what_why_and_where(site: Site) -> None:
    ran = hub(f"site rejected --config {site.config}")
    assert ran.code == 0
    first, second = ran.out.splitlines()
    assert first.startswith(f"{site.bad}  2026-11-30T")
    assert first.endswith("  unknown -  frame.malformed: cut off  [deliver.ATF/1/3]")
    assert second.endswith("  unknown trace.request  event.type_unknown: no such type  [deliver.ATF/0/7]")


def test_the_list_for_programs(site: Site) -> None:
    first, second = (json.loads(line) for line in hub(f"site rejected --json --config {site.config}").out.splitlines())
    assert (first["code"], first["event_type"], first["kept"]) == ("frame.malformed", "", True)
    assert (second["id"], second["event_type"], second["place"]) == (site.good, "trace.request", "deliver.ATF/0/7")
    assert second["at_ms"] == AT_MS
    assert "raw" not in second


def test_the_list_while_the_site_runs_and_without_any(site: Site, deployment: Deployment) -> None:
    site.inbox.open()
    assert hub(f"site rejected --config {site.config}").code == 0
    other = deployment.site_config("JCF")
    assert hub(f"site rejected --config {other}").out == "nothing is refused\n"
    assert not (other.parent / "state" / "inbox.sqlite").exists()


def test_what_is_right_now_is_written_once_and_leaves_the_list(site: Site) -> None:
    ran = hub(f"site retry --config {site.config}")
    assert ran.code == 1
    assert ran.out.splitlines()[0] == f"{site.good}  written  1 events"
    assert ran.out.splitlines()[1].startswith(f"{site.bad}  still refused  0 events  frame.")
    assert ran.out.splitlines()[2] == "1 settled, 1 still refused"
    assert site.written == 1
    assert [line[:12] for line in hub(f"site rejected --config {site.config}").out.splitlines()] == [site.bad]
    assert hub(f"site retry --config {site.config}").code == 1
    assert site.written == 1


def test_by_id_and_by_code(site: Site) -> None:
    ran = hub(f"site retry --json --config {site.config} {site.good}")
    assert (ran.code, ran.json["outcome"], ran.json["id"]) == (0, "written", site.good)
    ran = hub(f"site retry --json --config {site.config} --code frame.malformed")
    assert (ran.code, ran.json["outcome"], ran.json["id"]) == (1, "refused", site.bad)
    ran = hub(f"site retry --config {site.config} --code frame.other")
    assert (ran.code, ran.out) == (0, "0 settled, 0 still refused\n")


def test_an_id_that_is_none_changes_nothing(site: Site) -> None:
    ran = hub(f"site retry --config {site.config} {site.good} 0123456789ab")
    assert ran.code == 2
    assert "rejected.unknown" in ran.err
    assert "0123456789ab" in ran.err
    assert site.written == 0


def test_a_site_that_runs_is_told_to_be_stopped(site: Site) -> None:
    site.inbox.open()
    ran = hub(f"site retry --config {site.config}")
    assert ran.code == 2
    assert "store.in_use" in ran.err
    assert "another process has this store open; stop it" in ran.err


def test_an_inbox_of_another_agency(site: Site, tmp_path: Path) -> None:
    text = site.config.read_text().replace('agency = "ATF"', 'agency = "JCF"')
    site.config.write_text(text)
    assert "store.foreign" in hub(f"site rejected --config {site.config}").err
