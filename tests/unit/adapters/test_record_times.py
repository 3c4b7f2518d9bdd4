"""The time of a record from its offset, when Kafka only says the offset for a time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.adapters.record_times import RecordTimes
from hub.ports import Position

NOW = 1_790_000_000_000
DAY = 86_400_000


class Log:
    """Partitions as Kafka answers for them; ``first`` is the offset of the first record that is still there."""

    def __init__(self, times: Mapping[Position, list[int]], first: int = 0) -> None:
        self.times = times
        self.first = first
        self.questions = 0

    def ask(self, wanted: Mapping[Position, int]) -> dict[Position, tuple[int, int]]:
        self.questions += 1
        answers = {}
        for position, at in wanted.items():
            if position in self.times:
                later = [(n + self.first, time) for n, time in enumerate(self.times[position]) if time >= at]
                answers[position] = later[0] if later else (-1, -1)
        return answers


A, B = ("deliver.ATF", 0), ("deliver.ATF", 1)


@given(
    ages=st.lists(st.integers(0, 40 * DAY), min_size=1, max_size=60),
    pick=st.integers(0, 59),
    first=st.integers(0, 1_000_000),
)
def test_found_to_a_second_or_a_fiftieth(ages: list[int], pick: int, first: int) -> None:
    times = sorted(NOW - age for age in ages)
    index = pick % len(times)
    log = Log({A: times}, first)
    found = RecordTimes().find({A: frozenset({first + index})}, log.ask, now_ms=NOW)[A, first + index]
    age, true_age = NOW - found, NOW - times[index]
    assert true_age <= age <= true_age + max(1000, age // 50)
    assert log.questions < 60


def test_what_was_found_is_not_asked_again() -> None:
    log = Log({A: [NOW - DAY, NOW - 5000, NOW - 10]})
    times = RecordTimes()
    first = times.find({A: frozenset({1})}, log.ask, now_ms=NOW)
    asked = log.questions
    assert times.find({A: frozenset({1})}, log.ask, now_ms=NOW + 60_000) == first
    assert log.questions == asked
    times.find({A: frozenset({2})}, log.ask, now_ms=NOW + 60_000)
    assert log.questions > asked


def test_two_groups_on_one_partition_and_one_that_does_not_answer() -> None:
    log = Log({A: [NOW - 9 * DAY, NOW - 2 * DAY, NOW - 1000]})
    found = RecordTimes().find({A: frozenset({0, 1}), B: frozenset({4})}, log.ask, now_ms=NOW)
    assert found.keys() == {(A, 0), (A, 1)}
    assert NOW - found[A, 0] == 9 * DAY


@pytest.mark.parametrize(("times", "found"), [([NOW - DAY, NOW - 500], NOW - DAY), ([], NOW)])
def test_an_offset_that_was_deleted_meanwhile_counts_as_the_oldest_that_is_there(times: list[int], found: int) -> None:
    assert RecordTimes().find({A: frozenset({3})}, Log({A: times}, first=8).ask, now_ms=NOW) == {(A, 3): found}


def test_records_of_one_batch_have_one_time() -> None:
    log = Log({A: [NOW - 3 * DAY] * 500})
    found = RecordTimes().find({A: frozenset({400})}, log.ask, now_ms=NOW)[A, 400]
    assert 3 * DAY <= NOW - found <= 3 * DAY * 1.03
