"""A publisher under load acts on a new version of the directory before its next flush (spec 12.4, 12.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from hub.client.published import NobodyReleased, Published
from hub.model import AgencyId
from hub.trust.directory import Directory
from hub.wire.bundle import parse_ingest
from hub.wire.frames import parse_entry, parse_flush, parse_head
from tests.support.sites import ATF, CCGIU, JCF, QUICK, Net, trace, until

LIMITS = replace(QUICK, flush_events=8, intake_events=32)


@dataclass(frozen=True)
class Sealed:
    """What the wire says of one bundle."""

    version: int
    flushed_ms: int
    lane_id: bytes
    kem_ids: dict[AgencyId, bytes]
    events: int


@pytest.fixture
def net() -> Net:
    return Net()


def sealed(net: Net) -> list[Sealed]:
    found = []
    for record in net.sent():
        ingest = parse_ingest(record.value)
        flush, core = parse_flush(ingest.proof.flush), parse_head(ingest.head).core
        entries = [parse_entry(entry) for entry in ingest.entries]
        kem_ids = {entry.agency: entry.kem_id for entry in entries}
        found.append(Sealed(flush.directory_version, flush.time_ms, core.lane.lane_id, kem_ids, core.n))
    return found


async def under_load(net: Net, change: Callable[[], None]) -> tuple[list[Sealed], list[Sealed]]:
    """Eight callers publish without a pause; ``change`` comes between two of their events. What was sealed before the
    change, and after it: by the version that the flush names, and nothing by the old one once it was there."""
    numbers = iter(range(400))
    answers: list[Published] = []

    async def caller() -> None:
        for number in numbers:
            answer = await publisher.publish(trace(number), key=f"row {number}")
            answers.append(answer)

    async with net.publisher(limits=LIMITS) as publisher:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(caller())
            await until(lambda: len(answers) >= 100)
            old = net.directory.current().version
            in_hand = publisher._open.busy  # a flush that is being sealed is the last of the old version
            count = len(answers)
            change()
        await publisher.drain()
    assert len({answer.event_id for answer in answers}) == 400
    bundles = sealed(net)
    before = [one for one in bundles if one.version == old]
    after = [one for one in bundles if one.version > old]
    assert sum(one.events for one in bundles) == 400, "nothing is lost, nothing is sealed twice"
    assert bundles == before + after, "once the new version is used, the old one is not"
    late = sum(one.events for one in before) - count
    assert late <= (LIMITS.flush_events if in_hand else 0) + LIMITS.flush_events, "before the next flush"
    assert before
    assert after
    return before, after


async def test_a_kem_key_that_rotates(net: Net) -> None:
    old = net.world.keys[ATF].kem.public.kem_id

    def rotate() -> None:
        net.world.rotate_kem_key(ATF)
        net.update_directory()

    before, after = await under_load(net, rotate)
    new = net.world.keys[ATF].kem.public.kem_id
    assert {one.kem_ids[ATF] for one in before} == {old}
    assert {one.kem_ids[ATF] for one in after} == {new}
    assert not {one.lane_id for one in before} & {one.lane_id for one in after}


async def test_a_recipient_that_is_suspended(net: Net) -> None:
    def suspend() -> None:
        net.world.suspend(CCGIU)
        net.update_directory()

    before, after = await under_load(net, suspend)
    assert all(set(one.kem_ids) == {ATF, CCGIU} for one in before)
    assert all(set(one.kem_ids) == {ATF} for one in after)


async def test_an_agreement_that_is_withdrawn(net: Net) -> None:
    def withdraw() -> None:
        net.world.withdraw(next(one for one in net.world.agreed if (one.originator, one.recipient) == (JCF, CCGIU)))
        net.update_directory()

    before, after = await under_load(net, withdraw)
    assert all(set(one.kem_ids) == {ATF, CCGIU} for one in before)
    assert all(set(one.kem_ids) == {ATF} for one in after)
    await net.route()
    assert len(net.denials) == len(before), "not one that was made under it is delivered any more; none after it"


async def test_a_change_that_touches_nobody_keeps_the_lanes(net: Net) -> None:
    def add() -> None:
        net.world.add_agency("NEWCOMER")
        net.update_directory()

    before, after = await under_load(net, add)
    assert {one.lane_id for one in before} == {one.lane_id for one in after}


def move(net: Net, agreement_ends_ms: int) -> None:
    """JCF's agreement with CCGIU ends at that moment."""
    net.world.agreed = [
        replace(one, not_after_ms=agreement_ends_ms) if (one.originator, one.recipient) == (JCF, CCGIU) else one
        for one in net.world.agreed
    ]
    net.world.version += 1
    net.update_directory()


async def test_an_agreement_that_ends_by_its_date_in_the_middle_of_a_lane(net: Net) -> None:
    end = net.clock.now_ms() + 3_600_000
    move(net, end)
    numbers = iter(range(300))
    done = 0

    async def caller() -> None:
        nonlocal done
        for number in numbers:
            await publisher.publish(trace(number))
            done += 1

    async with net.publisher(limits=LIMITS) as publisher:
        net.clock.jump((end - net.clock.now_ms()) / 1000 - 0.05)  # 50 ms before
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(caller())
            await until(lambda: done >= 100)
            if net.clock.now_ms() < end:
                net.clock.jump((end - net.clock.now_ms()) / 1000)
        await publisher.drain()
    bundles = sealed(net)
    assert {set(one.kem_ids) == {ATF} for one in bundles if one.flushed_ms >= end} == {True}
    assert all(set(one.kem_ids) == {ATF, CCGIU} for one in bundles if one.flushed_ms < end)
    assert sum(one.events for one in bundles) == 300


async def test_an_agreement_that_ends_while_an_event_waits_for_its_flush(net: Net) -> None:
    end = net.clock.now_ms() + 3_600_000
    move(net, end)
    async with net.publisher(limits=replace(LIMITS, linger=0.3)) as publisher:
        net.clock.jump((end - net.clock.now_ms()) / 1000 - 10)
        both, only = trace(1), trace(2)
        waiting = [
            asyncio.ensure_future(publisher.publish(both)),
            asyncio.ensure_future(publisher.publish(only, to=[CCGIU])),
        ]
        await asyncio.sleep(0)  # decided while it held, and in the open flush
        net.clock.jump(11)
        first, second = await asyncio.gather(*waiting, return_exceptions=True)
        await publisher.drain()
    assert isinstance(first, Published)
    assert first.recipients == (ATF,)
    assert isinstance(second, NobodyReleased)


async def test_a_kem_key_that_becomes_current_by_its_date_in_the_middle_of_a_lane(net: Net) -> None:
    moment = net.clock.now_ms() + 600_000
    old = net.world.keys[ATF].kem.public.kem_id
    new = net.world.rotate_kem_key(ATF, from_ms=moment).public.kem_id
    net.update_directory()
    async with net.publisher(limits=LIMITS) as publisher:
        await publisher.publish(trace(1))
        net.clock.jump(601)
        await publisher.publish(trace(2))
        await publisher.drain()
    first, second = sealed(net)
    assert (first.kem_ids[ATF], second.kem_ids[ATF]) == (old, new)
    assert first.version == second.version


async def test_a_version_that_is_dated_again_closes_no_lane_and_its_new_end_counts(net: Net) -> None:
    directory = net.directory.current()
    assert isinstance(directory, Directory)
    async with net.publisher(limits=LIMITS) as publisher:
        await publisher.publish(trace(1))
        net.directory.given = replace(directory, expires_at_ms=directory.expires_at_ms + 30 * 86_400_000)
        await publisher.publish(trace(2))
        await publisher.drain()
        first, second = sealed(net)
        assert first.lane_id == second.lane_id
        assert first.version == second.version
        net.clock.jump((directory.expires_at_ms - net.clock.now_ms()) / 1000 + 60)
        assert (await publisher.publish(trace(3))).recipients == (ATF, CCGIU)
