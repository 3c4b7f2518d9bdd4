"""This clock against the broker's: what an acknowledgement says, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from hub.client.clock_watch import AHEAD_MS, ClockAhead, ClockWatch
from hub.ports import OutgoingRecord
from hub.wire.limits import FLUSH_AHEAD_MS
from tests.support.sites import ATF, QUICK, ListSink, Net, trace, until


class TwoClocks:
    """A wall clock that can be set, and one that only goes on."""

    def __init__(self) -> None:
        self.wall_ms = 1_000_000_000
        self.mono = 50.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.mono

    def pass_time(self, seconds: float) -> None:
        self.wall_ms += int(seconds * 1000)
        self.mono += seconds


@pytest.fixture
def clocks() -> TwoClocks:
    return TwoClocks()


def acknowledge(watch: ClockWatch, clocks: TwoClocks, *, ahead_ms: int, way: float = 0.0) -> None:
    """The broker appends in the middle of the way; this clock is so far ahead of its."""
    began = clocks.mono
    clocks.pass_time(way / 2)
    appended_ms = clocks.wall_ms - ahead_ms
    clocks.pass_time(way / 2)
    watch.acknowledged(appended_ms, began=began)


def test_without_an_acknowledgement_nothing_is_known(clocks: TwoClocks) -> None:
    watch = ClockWatch(clocks)
    assert watch.ahead_ms() is None
    watch.check()


@pytest.mark.parametrize("ahead_ms", [0, 500, 400_000, -400_000])
def test_a_quick_acknowledgement_tells_it_exactly(clocks: TwoClocks, ahead_ms: int) -> None:
    watch = ClockWatch(clocks)
    acknowledge(watch, clocks, ahead_ms=ahead_ms)
    assert watch.ahead_ms() == ahead_ms


@pytest.mark.parametrize(("ahead_ms", "told"), [(5_000, 0), (-5_000, 0), (400_000, 385_000), (-400_000, -385_000)])
def test_of_what_the_way_leaves_possible_the_least_is_taken(clocks: TwoClocks, ahead_ms: int, told: int) -> None:
    watch = ClockWatch(clocks)
    acknowledge(watch, clocks, ahead_ms=ahead_ms, way=30.0)
    assert watch.ahead_ms() == told


def test_it_stays_as_time_goes_on_and_shows_a_clock_that_is_set(clocks: TwoClocks) -> None:
    watch = ClockWatch(clocks)
    acknowledge(watch, clocks, ahead_ms=AHEAD_MS)
    watch.check()
    clocks.pass_time(600)
    assert watch.ahead_ms() == AHEAD_MS
    clocks.wall_ms += 1
    with pytest.raises(ClockAhead):
        watch.check()
    clocks.wall_ms -= AHEAD_MS
    watch.check()
    assert watch.ahead_ms() == 1
    clocks.wall_ms -= 10 * AHEAD_MS  # behind stops nothing: the router decides by its own time
    watch.check()


def test_what_was_seen_long_ago_says_nothing(clocks: TwoClocks) -> None:
    watch = ClockWatch(clocks)
    acknowledge(watch, clocks, ahead_ms=10 * AHEAD_MS)
    clocks.pass_time(3_601)
    assert watch.ahead_ms() is None
    watch.check()


def test_the_limit_is_below_what_the_hub_refuses() -> None:
    assert FLUSH_AHEAD_MS - AHEAD_MS >= 60_000


# --- in the publisher -------------------------------------------------------------------------------------------------

LIMITS = replace(QUICK, held_look=0.02, drain=0.0)


class SetClock:
    """The net's clock, set by hand ahead of the broker's."""

    def __init__(self, net: Net) -> None:
        self._inner = net.clock
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return self._inner.now_ms() + self.ahead_ms

    def monotonic(self) -> float:
        return self._inner.monotonic()


@pytest.fixture
def net() -> Net:
    """The broker keeps the right time."""
    net = Net()
    net.clock = SetClock(net)  # type: ignore[assignment]
    return net


async def test_a_site_whose_clock_is_fast_sees_it_waits_and_resumes(net: Net) -> None:
    clock = net.clock
    assert isinstance(clock, SetClock)
    with capture_logs() as logs:
        async with net.publisher(limits=LIMITS) as publisher:
            first = await publisher.publish(trace(1))
            await publisher.drain()
            clock.ahead_ms = 20 * 60_000  # it jumps: seen at once, without any record more
            second = await publisher.publish(trace(2))
            assert second.waiting
            assert publisher.progress().held_code == ClockAhead.code
            assert net.observer.total("cgi_unavailable_total", operation="clock", code=ClockAhead.code) >= 1
            publisher._facts.sender_looked(publisher.progress().depth)
            assert 1_190 < net.observer.total("cgi_clock_skew_seconds") < 1_210
            assert len(net.sent()) == 1
            clock.ahead_ms = 0
            await publisher.drain()
            third = await publisher.publish(trace(3))
            await publisher.drain()
    words = [log["event"] for log in logs]
    assert words.count("clock.skewed") == 1
    assert words.count("publish.resumed") == 1
    assert abs(second.published_at_ms - first.published_at_ms) < 60_000, "dated by the right time, as far as is known"
    sink = ListSink()
    await net.route()
    await net.receive(sink, agency=ATF)
    assert sink.ids == [first.event_id, second.event_id, third.event_id]
    assert not net.refused, "the hub had nothing to refuse"


async def test_heartbeats_go_on_and_tell_the_time_anew(net: Net) -> None:
    clock = net.clock
    assert isinstance(clock, SetClock)
    right = net.broker._now_ms
    net.broker._now_ms = lambda: right() - 20 * 60_000  # the broker's clock is the wrong one, and is set right later
    async with net.publisher(limits=replace(LIMITS, heartbeat=0.05)) as publisher:
        await publisher.publish(trace(1))
        await until(lambda: net.observer.total("cgi_clock_skew_seconds") > 1_000)
        assert (await publisher.publish(trace(2))).waiting
        net.broker._now_ms = right
        await until(lambda: not publisher.progress().depth.waiting)
        await publisher.drain()
    assert abs(net.observer.total("cgi_clock_skew_seconds")) < 60


async def test_a_broker_that_says_no_time_stops_nothing(net: Net) -> None:
    class Silent:
        def __init__(self) -> None:
            self._inner = net.broker.producer("JCF")

        async def start(self) -> None:
            await self._inner.start()

        async def send(self, records: Sequence[OutgoingRecord]) -> None:
            await self._inner.send(records)

        async def stop(self) -> None:
            await self._inner.stop()

    async with asyncio.timeout(30), net.publisher(producer=Silent(), limits=LIMITS) as publisher:
        await publisher.publish(trace(1))
        await publisher.drain()
        assert not (await publisher.publish(trace(2))).waiting
