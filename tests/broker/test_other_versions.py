"""Publisher, router and recipients with different versions of the directory (docs/spec, sequences 12): two stories.

The strictest wins, nothing is lost, and the metrics show who waits for what.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.test_site_processes import hub
from tests.support.broker import Broker
from tests.support.story import TYPE, Story, until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]

HELD = {"code": "directory.behind"}


@pytest.fixture
def story(broker: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Story]:
    made = Story.begin(broker, tmp_path, str(request.param))
    try:
        yield made
    finally:
        made.deployment.stop()


@pytest.mark.parametrize("story", ["SKEW-WAIT"], indirect=True)
async def test_who_is_behind_waits_and_says_so(story: Story) -> None:
    """P has a newer version than the router, then the router than R: each waits until it has it."""
    mine, recipients = story.own_directory(story.p), story.own_directory(story.r)
    story.start(story.r, story.q)
    router, reader = story.router, story.site(story.r)
    story.rotate_kem_key(story.q)
    newer = story.sign()
    mine.write_bytes(newer)
    async with story.publishing():
        await story.more()

        # P is ahead of the router: its topic is held, and nobody gets anything.
        await story.shows(router, "cgi_held_partitions", 1, **HELD)
        await story.shows(router, "cgi_named_directory_version", story.version, publisher=story.p)
        assert story.metric(router, "cgi_directory_version") == story.version - 1
        assert await story.delivered(story.q) == []

        # The router is ahead of R: Q goes on, R's topic is held.
        story.deployment.directory.write_bytes(newer)
        await until(lambda: story.received(story.q))
        await story.shows(router, "cgi_held_partitions", 0, **HELD)
        await story.shows(reader, "cgi_held_partitions", 1, **HELD)
        await story.shows(reader, "cgi_named_directory_version", story.version, publisher=story.p)
        assert story.metric(reader, "cgi_directory_version") == story.version - 1
        assert story.received(story.r) == []

        recipients.write_bytes(newer)
        await until(lambda: story.received(story.r))
    await story.all_received(story.q)
    await story.all_received(story.r)
    await story.shows(reader, "cgi_held_partitions", 0, **HELD)
    assert await story.delivered_versions(story.r) == {story.version}


@pytest.mark.parametrize("story", ["SKEW-STRICT"], indirect=True)
async def test_the_strictest_wins(story: Story) -> None:
    """P is behind all the time. What Q refuses by a newer version is kept; what the router denies by one is told."""
    story.own_directory(story.p)
    ahead = story.own_directory(story.q)
    story.start(story.r, story.q)
    async with story.publishing():
        await until(lambda: story.received(story.q))

        # Q alone knows that P is suspended: it refuses what the router delivers. R goes on.
        story.world.suspend(story.p)
        ahead.write_bytes(story.sign())
        await story.shows(story.site(story.q), "cgi_directory_version", story.version)
        await story.shows(
            story.site(story.q), "cgi_bundles_total", 1, outcome="quarantined", reason="publisher.suspended"
        )
        await story.more()
    await story.all_received(story.r)
    config = story.deployment.folder / story.q / "site.toml"
    refused = [json.loads(line) for line in hub("site", "rejected", "--config", config, "--json").stdout.splitlines()]
    assert {row["code"] for row in refused} == {"publisher.suspended"}
    events = [row for row in refused if row["event_type"] == TYPE]
    assert len(events) + len(story.received(story.q)) == len(story.sent), "kept, every one"

    # Now P is active, and its agreement with R is withdrawn: the router knows, P does not.
    story.world.suspend(story.p, active=True)
    story.world.withdraw(story.world.agreed[0])
    story.change()
    ahead.write_bytes(story.deployment.directory.read_bytes())
    for state in (story.router, story.site(story.q), story.site(story.r)):
        await story.shows(state, "cgi_directory_version", story.version)
    until_then = list(story.sent)
    async with story.publishing():
        await story.more()
    await until(lambda: story.sent[-1] in story.received(story.q))
    assert story.received(story.r) == until_then
    denied = {"publisher": story.p, "recipient": story.r, "outcome": "denied", "reason": "agreement.none"}
    new = len(story.sent) - len(until_then)
    assert story.metric(story.router, "cgi_events_total", **denied) == new
    await story.shows(story.site(story.r), "cgi_missing_records", new, publisher=story.p, explained="yes")
    assert {flush.directory_version for flush, _ in await story.ingested()} == {1}
