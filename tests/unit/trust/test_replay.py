"""hub/trust/replay.py: an event_id that comes back with another header (docs/spec 9.3)."""

import os

import pytest

from hub.model import AgencyId, EventId
from hub.trust.replay import EventIdReused, EventIds

JCF, ATF = AgencyId("JCF"), AgencyId("ATF")


def some(count: int) -> tuple[list[EventId], list[bytes]]:
    return [EventId(os.urandom(16)) for _ in range(count)], [os.urandom(32) for _ in range(count)]


def test_the_same_event_again_is_no_alarm() -> None:
    seen = EventIds()
    ids, hashes = some(3)
    seen.check(JCF, ids, hashes)
    seen.check(JCF, ids, hashes)
    seen.check(ATF, ids, hashes[::-1])  # unique for one publisher only
    assert len(seen) == 6


def test_another_header_under_a_known_id_is_one_and_nothing_of_it_is_remembered() -> None:
    seen = EventIds()
    ids, hashes = some(3)
    seen.check(JCF, ids[:1], hashes[:1])
    with pytest.raises(EventIdReused):
        seen.check(JCF, [ids[1], ids[0]], [hashes[1], hashes[2]])
    assert len(seen) == 1


def test_it_is_bounded_and_remembers_the_last() -> None:
    seen = EventIds(10)
    batches = [some(5) for _ in range(10)]
    for ids, hashes in batches:
        seen.check(JCF, ids, hashes)
        assert len(seen) < 30
    for ids, _ in batches[-2:]:
        with pytest.raises(EventIdReused):
            seen.check(JCF, ids, some(5)[1])
    seen.check(JCF, batches[0][0], some(5)[1])
    with pytest.raises(ValueError, match="at least one"):
        EventIds(0)


def test_a_memory_of_one_holds_fewer_than_three() -> None:
    seen = EventIds(1)
    for _ in range(5):
        ids, hashes = some(1)
        seen.check(JCF, ids, hashes)
        assert 1 <= len(seen) < 3
