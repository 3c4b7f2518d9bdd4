"""``hub site refused``, on an outbox as a site leaves it."""

from __future__ import annotations

import json
from dataclasses import replace

from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.client.outbox import LateRefusal, OutboxCommit
from hub.model import AgencyId, EventId
from tests.support.command import hub
from tests.support.deployment import Deployment
from tests.unit.cli.test_site import deployment as deployment  # the fixture

JCF = AgencyId("JCF")
NOTE = LateRefusal(
    EventId(bytes.fromhex("0192a000000070008000000000000001")),
    "trace.request",
    "register.csv:7",
    "release.nobody",
    "release.nobody: no agency may have any of this event (reasons=ATF:agreement.none)",
    1_796_000_000_000,
)


def test_they_are_listed_newest_first_while_the_site_runs(deployment: Deployment) -> None:
    config = deployment.site_config("JCF")
    assert hub(f"site refused --config {config}").out == "nothing was refused late\n"
    assert hub(f"site refused --json --config {config}").out == ""
    outbox = SqliteOutbox(config.parent / "state" / "outbox.sqlite", agency=JCF)
    outbox.open()
    try:
        later = replace(NOTE, event_id=EventId(bytes(16)), source_key="", at_ms=NOTE.at_ms + 1_000)
        outbox.commit(OutboxCommit(b"", (), {}, (), 5, refused=[NOTE, later]))
        first, second = hub(f"site refused --config {config}").out.splitlines()
        assert first.startswith("2026-11-30T00:53:21Z  trace.request  -  release.nobody")
        assert "  register.csv:7  release.nobody: no agency" in second
        rows = [json.loads(line) for line in hub(f"site refused --json --config {config}").out.splitlines()]
        assert rows[1] == {
            "at": "2026-11-30T00:53:20Z",
            "event_id": "0192a000000070008000000000000001",
            "event_type": "trace.request",
            "source_key": "register.csv:7",
            "code": "release.nobody",
            "reason": NOTE.reason,
        }
    finally:
        outbox.close()
