"""One flush: what the Sealer refuses is refused alone, and what is not stored never was."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hub.client.flush import FlushWriter
from hub.client.prepare import Prepared, Preparer
from hub.client.published import Published
from hub.errors import RejectedError
from hub.model import HUB, EventId
from hub.policy.decide import ReleasePolicy
from hub.policy.release import parse_release
from hub.trust.seal import Group, SealedFlush, Sealer
from hub.wire.avro import LimitExceeded
from tests.support.authority import NOW_MS
from tests.support.samples import catalog
from tests.support.sites import ATF, CCGIU, JCF, RELEASE, Net, trace


@pytest.fixture
def net() -> Net:
    return Net()


class Picky(Sealer):
    """Refuses a flush that has this event in it."""

    refuses: EventId | None = None

    def seal(self, groups: Sequence[Group], *, now_ms: int) -> SealedFlush:
        if any(draft.event_id == self.refuses for group in groups for draft in group.drafts):
            raise LimitExceeded("too large after all")
        return super().seal(groups, now_ms=now_ms)


def make_writer(net: Net, made: list[Picky]) -> FlushWriter:
    def make_sealer(directory: object, previous: object) -> Sealer:
        sealer = Picky(
            hub=HUB,
            publisher=JCF,
            site_key=net.world.keys[JCF].signing,
            directory=directory,  # type: ignore[arg-type]
            policy_version="test",
            previous=previous,  # type: ignore[arg-type]
        )
        made.append(sealer)
        return sealer

    return FlushWriter(agency=JCF, outbox=net.outbox(), make_sealer=make_sealer, clock=net.clock)


def prepare(net: Net, *numbers: int, event_ids: Sequence[EventId | None] = ()) -> list[Prepared]:
    preparer = Preparer(catalog=catalog(), policy=ReleasePolicy(parse_release(RELEASE, catalog()), JCF), salt=b"s" * 16)
    directory = net.directory.current()
    ids = [*event_ids, *[None] * len(numbers)]
    return [
        preparer.prepare(trace(number, event_id=ids[place]), key=None, only=None, directory=directory, now_ms=NOW_MS)
        for place, number in enumerate(numbers)
    ]


def test_only_the_culprit_is_refused(net: Net) -> None:
    made: list[Picky] = []
    culprit = EventId(bytes.fromhex("0192a0000000700080000000000000ff"))
    writer = make_writer(net, made)
    writer.open()
    Picky.refuses = culprit
    try:
        written = writer.write(
            prepare(net, 1, 2, 3, event_ids=[None, culprit]), directory=net.directory.current(), now_ms=NOW_MS
        )
    finally:
        Picky.refuses = None
    first, second, third = written.outcomes
    assert isinstance(first, Published)
    assert isinstance(second, RejectedError)
    assert isinstance(third, Published)
    assert second.code == "limit.exceeded"
    assert written.depth.events == 2
    sequences = net.outboxes[JCF].sequences
    assert {agency: number for agency, (_, number) in sequences.items()} == {ATF: 1, CCGIU: 1}
    assert sequences[ATF][0] == made[-1].instance


def test_a_heartbeat_is_for_active_agencies_that_were_written_to(net: Net) -> None:
    writer = make_writer(net, [])
    writer.open()
    assert writer.heartbeat(directory=net.directory.current(), now_ms=NOW_MS).records == 0
    writer.write(prepare(net, 1), directory=net.directory.current(), now_ms=NOW_MS)
    net.world.suspend(CCGIU)
    depth = writer.heartbeat(directory=net.update_directory(), now_ms=NOW_MS)
    assert (depth.records, depth.events) == (2, 1)


def test_numbers_go_on_over_instances(net: Net) -> None:
    for _ in range(2):
        writer = make_writer(net, [])
        writer.open()
        writer.write(prepare(net, 1), directory=net.directory.current(), now_ms=NOW_MS)
        writer.close()
    instances = {record.key for record in net.outboxes[JCF].records}
    assert len(instances) == 2
    assert net.outboxes[JCF].sequences[ATF][1] == 1, "each instance counts from 1 and names the one before"
