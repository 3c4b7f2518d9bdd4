"""How the cost of each step grows: recipients, agreements and rules, sizes, events a bundle. One process, no broker.

Every point is CPU microseconds an event of this process, the least of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from benchmarks.world import EVENT_TYPE, PUBLISHER, World
from hub.model import HUB, AgencyId, Decision, Event, Route, new_event_id
from hub.policy.agreement import decide_agreement
from hub.policy.decide import ReleasePolicy, route_of
from hub.policy.release import parse_release
from hub.routing import route_bundle
from hub.trust.directory import Directory
from hub.trust.open import Opener
from hub.trust.seal import Draft, Group, Sealer
from hub.trust.verify import FlushCache
from tests.support.authority import World as Authority

RECIPIENTS = (1, 3, 10, 30, 60)
RULES = (10, 100, 1_000, 10_000)
FILLERS = (0, 600, 10_000, 50_000)
EVENTS_A_BUNDLE = (1, 4, 16, 64, 256, 512)

_ROUNDS = 5


class _AllAsked:
    def decide_labels(self, recipient: AgencyId, publisher: AgencyId, route: Route) -> Decision:
        return Decision(True, "subscription.matched", "benchmark")


@dataclass(frozen=True, slots=True)
class Point:
    """CPU microseconds an event: validate and encode, release rules, seal, route, open and check. Bytes an event."""

    encode_us: float
    policy_us: float
    seal_us: float
    route_us: float
    open_us: float
    ingest_bytes: float
    delivered_bytes: float


def measure(world: World, *, recipients: int = 3, events: int = 64) -> Point:
    """One bundle of ``events`` for ``recipients``, through every step."""
    agencies = [AgencyId(f"A-{number:03d}") for number in range(recipients)]
    now_ms = int(time.time() * 1000)
    authority = Authority.of(PUBLISHER, *agencies, now_ms=now_ms - 1000)
    for agency in agencies:
        authority.agree(PUBLISHER, agency, EVENT_TYPE)
    directory = authority.directory(now_ms=now_ms)
    kind = world.event_type
    policy = ReleasePolicy(
        parse_release("allow:\n  - {rule: all, types: trace.request, to: ['*'], compartments: all}\n", world.catalog),
        PUBLISHER,
    )
    source = [world.event(number) for number in range(events)]
    bodies = [kind.validate(event.body) for event in source]
    grants = policy.grants(source[0], kind, directory, now_ms)
    drafts = [
        _draft(event, kind.encode(body), now_ms, number)
        for number, (event, body) in enumerate(zip(source, bodies, strict=True))
    ]
    sealer = Sealer(
        hub=HUB,
        publisher=PUBLISHER,
        site_key=authority.keys[PUBLISHER].signing,
        directory=directory,
        policy_version=policy.version,
        previous={},
    )
    route = route_of(source[0], kind)

    def seal() -> list[bytes]:
        flush = sealer.seal([Group(route, kind.compartments, grants, drafts)], now_ms=now_ms)
        return [record.value for record in flush.records]

    seal_us, _ = _least(seal, events)
    fresh = [seal() for _ in range(_ROUNDS)]
    each = count()
    flushes = FlushCache()

    def route_all() -> list[dict[AgencyId, bytes]]:
        return [_route(value, directory, now_ms, flushes) for value in fresh[next(each) % _ROUNDS]]

    route_us, _ = _least(route_all, events)
    first = grants[0][0]
    deliveries = [[_route(value, directory, now_ms, FlushCache())[first] for value in values] for values in fresh]
    opener = Opener(hub=HUB, recipient=first, kem_keys=authority.keys[first].kem_all)
    turn = count()

    def open_all() -> None:
        for value in deliveries[next(turn) % _ROUNDS]:
            for opened in opener.open(opener.verify(value, directory=directory, now_ms=now_ms)):
                kind.decode(opened.sections, kind.version)

    open_us, _ = _least(open_all, events)
    return Point(
        encode_us=_least(lambda: [kind.encode(kind.validate(event.body)) for event in source], events)[0],
        policy_us=_least(lambda: [policy.grants(event, kind, directory, now_ms) for event in source], events)[0],
        seal_us=seal_us,
        route_us=route_us,
        open_us=open_us,
        ingest_bytes=sum(map(len, fresh[0])) / events,
        delivered_bytes=sum(map(len, deliveries[0])) / events,
    )


def measure_rules(world: World, rules: int) -> dict[str, float]:
    """Microseconds a decision with ``rules`` release rules and as many agreements: remembered, and the first time."""
    now_ms = int(time.time() * 1000)
    authority = Authority.of(PUBLISHER, "ATF", now_ms=now_ms - 1000)
    for number in range(rules - 1):
        authority.agree(PUBLISHER, "ATF", "case.update", agreement_id=f"MOU {number}")
    authority.agree(PUBLISHER, "ATF", EVENT_TYPE)
    text = "allow:\n" + "".join(
        f"  - {{rule: r{number}, types: trace.request, to: [ATF], compartments: [core],"
        f" when: {{field: firearm.make_text, equals: Make{number}}}}}\n"
        for number in range(rules - 1)
    )
    text += "  - {rule: last, types: trace.request, to: [ATF], compartments: all}\n"
    directory = authority.directory(now_ms=now_ms)
    begin = time.process_time()
    policy = ReleasePolicy(parse_release(text, world.catalog), PUBLISHER)
    load_s = time.process_time() - begin
    event, kind = world.event(0), world.event_type
    begin = time.process_time()
    policy.grants(event, kind, directory, now_ms)
    first_us = (time.process_time() - begin) * 1e6
    route = route_of(event, kind)
    return {
        "load_s": load_s,
        "release_first_us": first_us,
        "release_remembered_us": _least(lambda: policy.grants(event, kind, directory, now_ms), 1, times=2000)[0],
        "agreement_us": _least(
            lambda: decide_agreement(
                directory,
                publisher=PUBLISHER,
                recipient=AgencyId("ATF"),
                route=route,
                compartments=kind.compartments,
                now_ms=now_ms,
            ),
            1,
            times=200,
        )[0],
    }


def _draft(event: Event, sections: tuple[bytes, ...], now_ms: int, number: int) -> Draft:
    event_id = new_event_id(now_ms, number.to_bytes(10, "big"))
    return Draft(event_id, now_ms, event_id, None, event.expires_at_ms, sections)


def _route(value: bytes, directory: Directory, now_ms: int, flushes: FlushCache) -> dict[AgencyId, bytes]:
    routed = route_bundle(
        value,
        owner=PUBLISHER,
        hub=HUB,
        directory=directory,
        subscriptions=_AllAsked(),
        now_ms=now_ms,
        flushes=flushes,
    )
    return {delivery.agency: delivery.value for delivery in routed.deliveries}


def _least(work: Callable[[], Any], events: int, *, times: int = 1) -> tuple[float, Any]:
    """CPU microseconds an event, the least of the rounds; and what the work gave last."""
    best, result = float("inf"), None
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(times):
            result = work()
        best = min(best, (time.process_time() - begin) / times / events * 1e6)
    return best, result


def measure_all(world: World) -> dict[str, dict[str, Any]]:
    """Every curve: name, then point, then figures."""

    def points(values: Sequence[int], one: Callable[[int], Any]) -> dict[str, Any]:
        return {str(value): one(value) for value in values}

    return {
        "recipients": points(RECIPIENTS, lambda n: asdict(measure(world, recipients=n))),
        "events_a_bundle": points(EVENTS_A_BUNDLE, lambda n: asdict(measure(world, events=n))),
        "filler_bytes": points(FILLERS, lambda n: asdict(measure(world.variant(f"filler-{n}", filler=n)))),
        "rules_and_agreements": points(RULES, lambda n: measure_rules(world, n)),
    }
