"""How the cost of each step grows: recipients, agreements and rules, sizes, events a bundle. One process, no broker.

Every point is CPU microseconds an event of this process, the least of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from benchmarks.sealed import AllAsked
from benchmarks.world import EVENT_TYPE, PUBLISHER, World
from hub.model import HUB, AgencyId, new_event_id
from hub.policy.agreement import decide_agreement
from hub.policy.decide import ReleasePolicy, route_of
from hub.policy.release import parse_release
from hub.routing import route_bundle
from hub.trust.open import Opener
from hub.trust.seal import Draft, Group, Sealer
from hub.trust.verify import FlushCache
from tests.support.authority import World as Authority

RECIPIENTS = (1, 3, 10, 30, 60)
RULES = (10, 100, 1_000, 10_000)
SIZES = (200, 1_000, 10_000, 100_000)
EVENTS_A_BUNDLE = (1, 4, 16, 64, 256, 512)

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Bundle:
    """CPU microseconds an event to seal, to route and to open one bundle; bytes an event."""

    seal_us: float
    route_us: float
    open_us: float
    ingest_bytes: float
    delivered_bytes: float


class Parties:
    """A publisher and its recipients, with keys and agreements."""

    def __init__(self, world: World, recipients: int) -> None:
        agencies = [AgencyId(f"A-{number:03d}") for number in range(recipients)]
        self.now_ms = int(time.time() * 1000)
        self.kind = world.event_type
        self.authority = Authority.of(PUBLISHER, *agencies, now_ms=self.now_ms - 1000)
        for agency in agencies:
            self.authority.agree(PUBLISHER, agency, EVENT_TYPE)
        self.directory = self.authority.directory()
        rules = parse_release(
            "allow:\n  - {rule: all, types: trace.request, to: ['*'], compartments: all}\n", world.catalog
        )
        self.policy = ReleasePolicy(rules, PUBLISHER)
        self.event = world.event(0)
        self.grants = self.policy.grants(self.event, self.kind, self.directory, self.now_ms)
        self.first = agencies[0]

    def draft(self, sections: tuple[bytes, ...], number: int) -> Draft:
        event_id = new_event_id(self.now_ms, number.to_bytes(10, "big"))
        return Draft(event_id, self.now_ms, event_id, None, self.event.expires_at_ms, sections)

    def route(self, value: bytes, flushes: FlushCache) -> dict[AgencyId, bytes]:
        routed = route_bundle(
            value,
            owner=PUBLISHER,
            hub=HUB,
            directory=self.directory,
            subscriptions=AllAsked(),
            now_ms=self.now_ms,
            flushes=flushes,
        )
        return {delivery.agency: delivery.value for delivery in routed.deliveries}

    def measure(self, sections: Sequence[tuple[bytes, ...]]) -> Bundle:
        """One flush of events with these sections, through seal, route and open."""
        events = len(sections)
        drafts = [self.draft(parts, number) for number, parts in enumerate(sections)]
        group = Group(route_of(self.event, self.kind), self.kind.compartments, self.grants, drafts)
        sealer = Sealer(
            hub=HUB,
            publisher=PUBLISHER,
            site_key=self.authority.keys[PUBLISHER].signing,
            directory=self.directory,
            policy_version=self.policy.version,
            previous={},
        )

        def seal() -> list[bytes]:
            return [record.value for record in sealer.seal([group], now_ms=self.now_ms).records]

        seal_us = _least(seal, events)
        fresh = [seal() for _ in range(_ROUNDS)]
        turn, flushes = count(), FlushCache()
        route_us = _least(lambda: [self.route(v, flushes) for v in fresh[next(turn) % _ROUNDS]], events)
        delivered = [[self.route(value, FlushCache())[self.first] for value in values] for values in fresh]
        opener = Opener(hub=HUB, recipient=self.first, kem_keys=self.authority.keys[self.first].kem_all)
        again = count()

        def open_all() -> None:
            for value in delivered[next(again) % _ROUNDS]:
                opener.open(opener.verify(value, directory=self.directory, now_ms=self.now_ms))

        open_us = _least(open_all, events)
        ingest, delivery = (sum(map(len, values[0])) / events for values in (fresh, delivered))
        return Bundle(seal_us, route_us, open_us, ingest, delivery)


def measure_bundle(world: World, *, recipients: int = 3, events: int = 64) -> dict[str, float]:
    """One bundle of ``events`` of about 1 kB for ``recipients``."""
    parties = Parties(world, recipients)
    kind = parties.kind
    return asdict(parties.measure([kind.encode(kind.validate(world.event(n).body)) for n in range(events)]))


def measure_size(world: World, size: int) -> dict[str, float]:
    """A flush of 64 events whose sections have ``size`` bytes together, for 3 recipients."""
    part = bytes(range(256)) * (size // 256 + 1)
    compartments = len(world.event_type.compartments)
    return asdict(Parties(world, 3).measure([(part[: size // compartments],) * compartments] * 64))


def measure_catalog(world: World) -> dict[str, float]:
    """CPU microseconds an event of about 1 kB: validate, encode, decode and check, grants."""
    parties = Parties(world, 3)
    kind = parties.kind
    event = world.event(0)
    body = kind.validate(event.body)
    sections = dict(zip(kind.compartments, kind.encode(body), strict=True))
    return {
        "bytes": float(sum(map(len, sections.values()))),
        "validate_us": _least(lambda: kind.validate(event.body), 1, times=1000),
        "encode_us": _least(lambda: kind.encode(body), 1, times=1000),
        "decode_us": _least(lambda: kind.decode(sections, kind.version), 1, times=1000),
        "grants_us": _least(
            lambda: parties.policy.grants(event, kind, parties.directory, parties.now_ms), 1, times=1000
        ),
    }


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
    directory = authority.directory()
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
        "release_remembered_us": _least(lambda: policy.grants(event, kind, directory, now_ms), 1, times=2000),
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
        ),
    }


def _least(work: Callable[[], Any], events: int, *, times: int = 1) -> float:
    """CPU microseconds an event, the least of the rounds."""
    best = float("inf")
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - begin) / times / events * 1e6)
    return best


def measure_all(world: World) -> dict[str, dict[str, dict[str, float]]]:
    """Every curve: name, then point, then figures."""
    return {
        "catalog": {EVENT_TYPE: measure_catalog(world)},
        "recipients": {str(n): measure_bundle(world, recipients=n) for n in RECIPIENTS},
        "events_a_bundle": {str(n): measure_bundle(world, events=n) for n in EVENTS_A_BUNDLE},
        "bytes_an_event": {str(n): measure_size(world, n) for n in SIZES},
        "rules_and_agreements": {str(n): measure_rules(world, n) for n in RULES},
    }
