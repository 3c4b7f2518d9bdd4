"""How long a gap is open, when it is reported, and what its parts inherit."""

from __future__ import annotations

from hub.client.gaps import GapWatch
from hub.client.inbox import OpenGap
from hub.model import AgencyId
from hub.trust.sequence import Gap

JCF, HNP = AgencyId("JCF"), AgencyId("HNP")
ONE = b"\x01" * 16


def gap(first: int, last: int, reason: str = "", publisher: AgencyId = JCF) -> Gap:
    return Gap(publisher, ONE, first, last, reason)


def known(first: int, last: int, seen_ms: int, *, reported: bool = False) -> OpenGap:
    return OpenGap(JCF, ONE, first, last, seen_ms, reported)


def test_a_gap_is_due_once_after_its_grace() -> None:
    watch = GapWatch((), grace_ms=100)
    assert not watch.open
    assert watch.look([gap(3, 4)], 1000).due == ()
    assert watch.open
    assert watch.look([gap(3, 4)], 1099).due == ()
    look = watch.look([gap(3, 4)], 1100)
    assert look.due == look.gaps == (known(3, 4, 1000, reported=True),)
    assert look.changed
    again = watch.look([gap(3, 4)], 9999)
    assert again.due == ()
    assert not again.changed


def test_what_was_stored_goes_on() -> None:
    watch = GapWatch([known(3, 4, 1000)], grace_ms=100)
    assert watch.look([gap(3, 4)], 1100).due == (known(3, 4, 1000, reported=True),)
    assert GapWatch([known(3, 4, 1000, reported=True)], grace_ms=100).look([gap(3, 4)], 5000).due == ()


def test_parts_are_as_old_as_the_whole() -> None:
    watch = GapWatch([known(3, 9, 1000)], grace_ms=100)
    look = watch.look([gap(3, 5), gap(7, 9)], 1050)
    assert look.gaps == (known(3, 5, 1000), known(7, 9, 1000))
    assert look.changed
    reported = GapWatch([known(3, 9, 1000, reported=True)], grace_ms=100).look([gap(3, 5), gap(7, 9)], 5000)
    assert reported.due == ()


def test_gaps_of_others_say_nothing() -> None:
    watch = GapWatch([known(3, 4, 1000)], grace_ms=100)
    look = watch.look([gap(3, 4, publisher=HNP)], 1100)
    assert look.due == ()
    assert look.gaps[0].seen_ms == 1100


def test_explained_and_closed_gaps_are_off_the_list() -> None:
    watch = GapWatch([known(3, 4, 1000), known(8, 8, 1000)], grace_ms=100)
    look = watch.look([gap(3, 4, "agreement.none")], 5000)
    assert look.gaps == look.due == ()
    assert look.changed
    assert look.explained == (gap(3, 4, "agreement.none"),)
    assert not watch.open
