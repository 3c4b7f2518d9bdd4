"""hub/id_memory.py: sees an id come back with another header, and forgets the oldest."""

from __future__ import annotations

from hub.id_memory import IdMemory
from hub.model import AgencyId

JCF, ATF = AgencyId("JCF"), AgencyId("ATF")


def ids(first: int, last: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(first, last)]


def test_the_same_header_again_is_no_reuse() -> None:
    memory = IdMemory(100)
    assert [memory.count_reused(JCF, ids(0, 3), [b"h"] * 3) for _ in range(3)] == [0, 0, 0]


def test_another_header_is() -> None:
    memory = IdMemory(100)
    memory.count_reused(JCF, ids(0, 3), [b"h"] * 3)
    assert memory.count_reused(JCF, ids(1, 5), [b"x"] * 4) == 2
    assert memory.count_reused(JCF, ids(0, 3), [b"h"] * 3) == 0  # the first that was seen is remembered


def test_an_id_is_unique_for_one_publisher_only() -> None:
    memory = IdMemory(100)
    memory.count_reused(JCF, ids(0, 3), [b"h"] * 3)
    assert memory.count_reused(ATF, ids(0, 3), [b"x"] * 3) == 0


def test_it_is_bounded_and_keeps_the_newer_half() -> None:
    memory = IdMemory(100)
    for first in range(0, 1_000, 10):
        memory.count_reused(JCF, ids(first, first + 10), [b"h"] * 10)
        assert len(memory) <= 100
    assert memory.count_reused(JCF, ids(955, 1_000), [b"x"] * 45) == 45
    assert memory.count_reused(JCF, ids(0, 10), [b"x"] * 10) == 0


def test_none_is_kept_where_none_is_wanted() -> None:
    memory = IdMemory(0)
    memory.count_reused(JCF, ids(0, 3), [b"h"] * 3)
    assert memory.count_reused(JCF, ids(0, 3), [b"x"] * 3) == 0
    assert len(memory) == 0
