"""Waits double, are bounded, and are not in step."""

from __future__ import annotations

import pytest

from hub.client.backoff import Backoff


def test_it_doubles_up_to_its_bound() -> None:
    backoff = Backoff(1.0, 10.0)
    for whole in (1, 2, 4, 8, 10, 10):
        assert whole / 2 <= backoff.next() <= whole


def test_it_begins_anew() -> None:
    backoff = Backoff(1.0, 100.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1.0


def test_two_of_them_are_not_in_step() -> None:
    assert len({Backoff(1.0, 1.0).next() for _ in range(10)}) > 1


@pytest.mark.parametrize(("first", "most"), [(0, 1), (2, 1), (-1, 1)])
def test_what_makes_no_sense_is_refused(first: float, most: float) -> None:
    with pytest.raises(ValueError, match="wanted"):
        Backoff(first, most)
