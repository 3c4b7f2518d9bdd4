"""A new agency joins, by the commands alone: from nothing to the first event, with the directory on Kafka.

A node of its own: ``hub broker apply`` takes the rights of everybody whom this directory does not list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.adapters.key_files import write_key
from hub.adapters.repository_files import save_repository
from hub.model import AgencyId
from hub.trust.keys import KeyUse
from tests.broker.test_site_processes import wait_for
from tests.support.broker import running_broker
from tests.support.command import hub
from tests.support.deployment import wait_ready
from tests.support.samples import sample_document
from tests.support.story import LONGEST, TYPE, Story

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]

NEW = AgencyId("NEW")
AGREEMENT = """\
agreement: first
version: 1
title: "The first agreement of a new agency"
mou: "a memorandum"
parties: [JOIN-P, NEW]
first_day: 2026-01-01
last_day: 2028-12-31
clauses:
  - from: JOIN-P
    to: NEW
    types: [trace.request]
    compartments: [core, personal, sensitive, affiliation]
    purposes: [INVESTIGATION, PROSECUTION]
    max_handling: TLP:RED H3
    onward_sharing: NONE
    retention_days: 365
"""
SUBSCRIPTION = 'agency: NEW\naccept:\n  - {name: all, types: [trace.request], from: "*"}\n'


def told(line: str) -> str:
    """What a command printed; it must have succeeded."""
    ran = hub(line)
    assert ran.code == 0, (line, ran.out, ran.err)
    return ran.out


def begin(story: Story, folder: Path) -> None:
    """The repository, and whose keys sign, as they stand in the folders of custodians, operator and P."""
    save_repository(story.world.repository, folder / "directory")
    for number, custodian in enumerate(story.world.custodians[:2]):
        write_key(folder / f"custodian{number}.key", KeyUse.CUSTODIAN, custodian.seed)
    write_key(folder / "online.key", KeyUse.ONLINE, story.world.online.seed)
    write_key(folder / "p.key", KeyUse.IDENTITY, story.world.keys[story.p].identity.seed)


def first_event(site: Path) -> dict[str, Any] | None:
    """The first that came into a site's sink."""
    path = site / "received.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    event: dict[str, Any] | None = json.loads(lines[0]) if lines else None
    return event


def test_a_new_agency_joins_and_gets_its_first_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running_broker(tmp_path) as broker:
        story = Story.begin(broker, tmp_path, "JOIN", on_kafka=True)
        try:
            begin(story, tmp_path)
            story.start()
            kafka = f"--bootstrap {broker.bootstrap}"
            operator = f"{kafka} --tls {broker.operator.ca.parent}"

            # The agency makes its keys, sends one file, and reads its fingerprint out by phone.
            told('agency init NEW --agency NEW --name "a new one" --unsafe-no-passphrase')
            words = " ".join(json.loads(told("agency enrol NEW --json"))["words"])

            # Both parties sign the agreement.
            Path("agreement.yaml").write_text(AGREEMENT)
            told("agreement sign agreement.yaml --agency NEW --key NEW/keys/identity.key --out agreement.json --yes")
            told("agreement sign agreement.json --agency JOIN-P --key p.key --yes")

            # The custodians list and sign both; the operator publishes, gives the rights, and answers with one file.
            told(f'directory add-agency directory NEW/enrolment.json --words "{words}"')
            told("directory add-agreement directory agreement.json --yes")
            told("directory sign directory --key custodian0.key --key custodian1.key --yes")
            told(f"directory publish directory --key online.key {operator} --yes")
            told(f"broker apply {operator} --directory directory --root deployment/root.json --yes")
            told(
                f"directory reply directory NEW/enrolment.json --authority {broker.authority.folder} {kafka}"
                " --out reply.json"
            )
            shown = json.loads(told("directory show directory --root deployment/root.json --json"))
            root_words = " ".join(shown["root_words"])

            # The agency takes the file, says what it wants and where to put it; the operator gets the labels of that.
            told(f'agency enrol NEW --reply reply.json --root-words "{root_words}"')
            Path("NEW/subscription.yaml").write_text(SUBSCRIPTION)
            configure_site(Path("NEW/site.toml"))
            part = told("policy hub-part NEW/subscription.yaml")
            Path("deployment/subscriptions/NEW.yaml").write_text(part)
            story.deployment.start("site", "run", "--config", "NEW/site.toml")
            wait_ready(Path("NEW/state"), LONGEST)

            # P publishes its first event for the new agency, which is the first event of this hub at all.
            Path("first.jsonl").write_text(json.dumps(sample_document(TYPE)) + "\n")
            told(f"publish first.jsonl --config {story.publisher(AgencyId('NEW'))}")
            wait_for(lambda: first_event(Path("NEW")), LONGEST)
            event = first_event(Path("NEW"))
            assert event is not None
            assert (event["publisher"], event["type"]) == (story.p, TYPE)
            assert event["body"]["firearm"]["serial_raw"] == sample_document(TYPE)["body"]["firearm"]["serial_raw"]
            status = json.loads(hub("agency status NEW --json").out)  # its exit code says that no key is encrypted
            assert {item["what"] for item in status["items"] if item["standing"] == "ok"} >= {
                "signing key",
                "KEM key",
                "TLS certificate",
                "directory",
                "agreement first",
            }
        finally:
            story.deployment.stop()


def configure_site(path: Path) -> None:
    """The site's file, as it was written for the agency, with what it must say itself filled in."""
    text = path.read_text().replace("# subscription =", "subscription =").replace("# [[sink]]", "[[sink]]")
    path.write_text(text.replace('# kind = "jsonl"', 'kind = "jsonl"\npath = "received.jsonl"'))
