"""The life of a directory, as stories: real broker, real processes, events on their way all the time.

Keys change; agreements end; an agency is suspended and returns; a custodian's key is lost; nobody signs. That a signing
key is revoked and that a publisher waits without a directory is told in test_flow_of_keys_and_directories.py, that the
broker itself refuses a suspended agency within seconds in test_following.py, how everybody has another version in
test_other_versions.py, how a new agency joins in test_joining.py.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.adapters.tuf_metadata import RepositoryInvalid
from tests.broker.test_site_processes import hub
from tests.support.broker import Broker
from tests.support.story import TYPE, Story, now_ms, until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]

Record = Callable[[str, object], None]


@pytest.fixture
def story(broker: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Story]:
    made = Story.begin(broker, tmp_path, str(request.param))
    try:
        yield made
    finally:
        made.deployment.stop()


@pytest.mark.parametrize("story", ["LIFE-KEM"], indirect=True)
async def test_a_kem_key_rotates_under_load(story: Story, record_property: Record) -> None:
    """Nothing is lost; old records open with the kept key, and no longer once it is destroyed."""
    story.start(story.r)
    async with story.publishing():
        await story.more()
        story.rotate_kem_key(story.r)
        await story.more_under(story.change())
    await story.all_received(story.r)
    assert await story.delivered_versions(story.r) == {1, 2}, "sealed to the old key, and to the new one"

    # Another site of R has a copy of both keys, and reads everything from the beginning.
    again = story.deployment.start("site", "run", "--config", story.deployment.another_reader(story.r, "again"))
    await story.all_received(story.r, "again")
    again.terminate()

    # The old key is taken off the statement, and destroyed: what was sealed to it is refused, and the rest goes on.
    old = sum(flush.directory_version == 1 for flush in await story.delivered(story.r))
    story.world.drop_kem_key(story.r)
    story.change()
    shutil.move(story.deployment.folder / story.r / "kem" / "0.key", story.deployment.folder / "destroyed.key")
    later = story.deployment.another_reader(story.r, "later")
    story.deployment.start("site", "run", "--config", later)
    await until(lambda: story.sent[-1] in story.received(story.r, "later"))
    opened = story.received(story.r, "later")
    assert opened == story.sent[-len(opened) :]
    assert 0 < len(opened) < len(story.sent)
    refused = hub("site", "rejected", "--config", later, "--json").stdout.splitlines()
    assert len(refused) == old
    assert all(json.loads(line)["code"] == "wrap.key_missing" for line in refused)
    record_property("events", len(story.sent))
    record_property("of them opened with the new key alone", len(opened))


@pytest.mark.parametrize("story", ["LIFE-ID"], indirect=True)
async def test_an_identity_key_rotates_and_the_agreements_are_signed_again(story: Story) -> None:
    """Statement and agreements come in one version with the new key: nobody notices, and nothing is lost."""
    story.start(story.r, story.q)
    before = story.world.keys[story.p].identity.public
    async with story.publishing():
        await story.more()
        story.world.rekey(story.p)
        rekeyed = story.change()
        await story.more_under(rekeyed)
    await story.all_received(story.r)
    await story.all_received(story.q)
    assert await story.delivered_versions(story.r) == {rekeyed - 1, rekeyed}
    directory = story.world.repository.published(now_ms())
    assert directory is not None
    assert directory.entries[story.p].identity not in (before, None)
    assert not directory.faults


@pytest.mark.parametrize("story", ["LIFE-OUT"], indirect=True)
async def test_an_agreement_is_withdrawn_in_the_middle_of_the_stream(story: Story, record_property: Record) -> None:
    """Not one event of a later version is sealed or delivered under it; who still has one gets everything."""
    story.start(story.r, story.q)
    async with story.publishing():
        await until(lambda: story.received(story.r))
        story.world.withdraw(story.world.agreed[0])
        withdrawn = story.change()
        began = now_ms()
        await story.more_under(withdrawn)
    await story.all_received(story.q)
    assert await story.delivered_versions(story.q) == {withdrawn - 1, withdrawn}
    for flush, recipients in await story.ingested():
        assert recipients == ({story.q} if flush.directory_version == withdrawn else {story.q, story.r})
    flushes = await story.delivered(story.r)
    assert {flush.directory_version for flush in flushes} == {withdrawn - 1}
    assert story.received(story.r) == story.sent[: len(story.received(story.r))], "up to then all of it"
    record_property("ms from publishing to the last flush under it", max(flush.time_ms for flush in flushes) - began)


@pytest.mark.parametrize("story", ["LIFE-DATE"], indirect=True)
async def test_an_agreement_ends_by_its_date_in_the_middle_of_the_stream(story: Story, record_property: Record) -> None:
    """No new version of the directory tells anybody: what is sealed from that millisecond on is not for R."""
    story.start(story.r, story.q)
    story.world.withdraw(story.world.agreed[0])
    end = (now_ms() // 1000 + 6) * 1000
    story.world.agree(story.p, story.r, TYPE, agreement_id="until soon", not_after_ms=end)
    version = story.change()
    async with story.publishing():
        await story.more_under(version)
        await until(lambda: now_ms() > end)
        await story.more()
    await story.all_received(story.q)
    for flush, recipients in await story.ingested():
        assert recipients == ({story.q} if flush.time_ms >= end else {story.q, story.r})
    flushes = await story.delivered(story.r)
    assert all(flush.time_ms < end for flush in flushes)
    assert story.received(story.r) == story.sent[: len(story.received(story.r))]
    record_property("ms from the last flush for R to the end", end - max((f.time_ms for f in flushes), default=0))


@pytest.mark.parametrize("story", ["LIFE-SUSP"], indirect=True)
async def test_an_agency_is_suspended_and_returns(story: Story) -> None:
    """Q gets nothing meanwhile, and what it publishes goes to quarantine; then it flows again. R notices nothing."""
    story.world.agree(story.q, story.r, TYPE)
    story.change()
    story.start(story.r, story.q)
    stale = story.stale_process(story.q)
    async with story.publishing():
        await until(lambda: story.received(story.q))
        story.world.suspend(story.q)
        suspended = story.change()
        await story.more_under(suspended)
        await story.shows(story.router, "cgi_directory_version", suspended)
        story.world.now_ms = now_ms()
        await story.append(story.q, stale.seal([story.r]))
        await story.shows(story.router, "cgi_quarantined_total", 1, publisher=story.q, code="publisher.suspended")
        story.world.suspend(story.q, active=True)
        returned = story.change()
        await story.more_under(returned)
        await story.shows(story.router, "cgi_directory_version", returned)
        await story.more()
    await story.all_received(story.r)
    await until(lambda: story.sent[-1] in story.received(story.q))
    assert await story.delivered_versions(story.q) == {suspended - 1, returned}
    got = set(story.received(story.q))
    missing = [number for number, case in enumerate(story.sent) if case not in got]
    assert missing == list(range(missing[0], missing[-1] + 1)), "one stretch, and nothing after it"


@pytest.mark.parametrize("story", ["LIFE-CUST"], indirect=True)
async def test_a_custodians_key_is_lost_and_replaced(story: Story) -> None:
    """Who pinned the first root follows to the new custodians; the lost key signs nothing any more."""
    story.start(story.r)
    lost = story.world.custodians[0]
    async with story.publishing():
        await story.more()
        story.world.now_ms = now_ms()
        new = story.world.replace_custodian(0)
        replaced = story.change()
        await story.more_under(replaced)
        story.rotate_kem_key(story.r)
        story.world.suspend(story.q)  # for the custodians to sign: one of them is the new one
        story.world.stage()
        with pytest.raises(RepositoryInvalid, match="nothing is staged that this key signs"):
            story.world.repository.sign(lost)
        assert story.world.repository.sign(new) == ("targets",)
        await story.more_under(story.change())
    await story.all_received(story.r)
    assert await story.delivered_versions(story.r) == {replaced - 1, replaced, replaced + 1}
    root = (story.deployment.folder / "root.json").read_bytes()
    assert b"custodian for 0" not in root
    assert story.world.repository.verify_from(root, now_ms()).version == replaced + 1


@pytest.mark.parametrize("story", ["LIFE-EXP"], indirect=True)
async def test_nobody_signs_and_the_directory_expires(story: Story, record_property: Record) -> None:
    """Router and recipient wait, each for itself, say why, and go on where they were when it is signed."""
    recipients = story.own_directory(story.r)
    story.own_directory(story.p)  # P has one that lasts: it goes on, and what it sends waits for the others
    story.start(story.r)
    router, reader = story.router, story.site(story.r)
    async with story.publishing():
        await until(lambda: story.received(story.r))
        await story.let_expire([story.deployment.directory, recipients], [router, reader])
        for state in (router, reader):
            await story.shows(state, "cgi_unavailable_total", 1, code="directory.expired")
        before = len(await story.delivered(story.r))
        await story.more(50)
        assert len(await story.delivered(story.r)) == before, "the router waits"

        story.change()
        began = time.monotonic()
        await story.more()
        await story.delivers(story.r, before + 50)
        record_property("seconds until the router had gone on", round(time.monotonic() - began, 1))
        assert len(story.received(story.r)) <= before, "the recipient waits still"
        recipients.write_bytes(story.deployment.directory.read_bytes())
    await story.all_received(story.r)
    assert story.metric(router, "cgi_quarantined_total", publisher=story.p) == 0
    config = story.deployment.folder / story.r / "site.toml"
    assert hub("site", "rejected", "--config", config).stdout == "nothing is refused\n"
