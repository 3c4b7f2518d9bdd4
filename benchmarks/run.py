"""``make bench``: the plaintext way and ours, side by side, on one real broker with mutual TLS.

Results go to build/bench/report.json, build/bench/report.svg and, with ``--docs``, to docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks import growth, report
from benchmarks.chain import ChainResult, all_at_once, each_alone
from benchmarks.result import percentile
from benchmarks.world import PUBLISHER, RECIPIENTS, World
from hub.adapters.broker_process import BENCH_JVM, BrokerProcess
from hub.adapters.kafka_admin import KafkaAdmin
from hub.model import HUB
from hub.topics import Declaration

ROOT = Path(__file__).parents[1]
IMPLEMENTATIONS = ("plaintext", "sealed")
RATES = (100, 1000)


def main(arguments: list[str]) -> None:
    options = _options(arguments)
    folder: Path = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _say(f"starting a broker in {folder}")
    broker = BrokerProcess(
        folder / "kafka", deploy=ROOT / "deploy" / "broker", jars=ROOT / "build" / "broker" / "jars", jvm=BENCH_JVM
    )
    with broker:
        world = _world(folder, broker)
        facts: dict[str, Any] = {"events": options.events, "at": time.strftime("%Y-%m-%d"), "machine": report.machine()}
        _say("warming the broker up")
        for name in IMPLEMENTATIONS:
            all_at_once(_fresh(world, broker, f"warm-{name}"), name, max(options.events // 10, 1000))
        facts["chain"] = _chains(world, broker, options.events, options.rounds)
        facts["alone"] = _alone(world, broker, options.events)
        facts["latency"] = _latencies(world, broker, options.seconds)
    _say("growth: recipients, bundles, sizes, rules")
    facts["growth"] = growth.measure_all(world)
    facts |= report.summary(facts)
    report.write(facts, folder, ROOT / "docs" if options.docs else None)
    print(report.table(facts))
    _say(f"written to {folder / 'report.json'}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--events", type=int, default=40_000, help="events of a throughput run")
    parser.add_argument("--rounds", type=int, default=3, help="throughput runs of each; the median counts")
    parser.add_argument("--seconds", type=int, default=15, help="length of a latency run")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md too")
    return parser.parse_args(arguments)


def _world(folder: Path, broker: BrokerProcess) -> World:
    agencies = (HUB, PUBLISHER, *RECIPIENTS)
    tls = {str(agency): broker.authority.issue_client(agency, folder / "tls" / agency) for agency in agencies}
    admin = KafkaAdmin(broker.bootstrap, broker.operator)
    admin.apply(admin.plan(Declaration.load().without_quotas(), agencies))
    world = World(folder, broker.bootstrap, {**tls, "operator": broker.operator}, "base")
    world.write_directory()
    return world


def _fresh(world: World, broker: BrokerProcess, run: str, **changes: Any) -> World:
    """The world of one run: new topics for the peer, a new outbox and new inboxes for ours."""
    variant = world.variant(run, **changes)
    tls = broker.operator
    client = AdminClient(
        {
            "bootstrap.servers": broker.bootstrap,
            "security.protocol": "SSL",
            "ssl.ca.location": str(tls.ca),
            "ssl.certificate.location": str(tls.certificate),
            "ssl.key.location": str(tls.key),
        }
    )
    for made in client.create_topics(
        [NewTopic(name, num_partitions=3) for name in variant.plaintext_topics()]
    ).values():
        made.result(30)
    return variant


def _chains(world: World, broker: BrokerProcess, events: int, rounds: int) -> dict[str, Any]:
    """All stages at once, in turn, so that a slow moment of the machine meets both."""
    runs: dict[str, list[ChainResult]] = {name: [] for name in IMPLEMENTATIONS}
    for number in range(rounds):
        for name in IMPLEMENTATIONS:
            _say(f"all at once, round {number + 1} of {rounds}: {name}, {events} events to 3 recipients")
            runs[name].append(all_at_once(_fresh(world, broker, f"chain-{name}-{number}"), name, events))
            _say(f"  {runs[name][-1].events_per_s:,.0f} events/s")
    return {
        name: {
            "events_per_s": statistics.median(run.events_per_s for run in found),
            "rounds": [run.events_per_s for run in found],
        }
        for name, found in runs.items()
    }


def _alone(world: World, broker: BrokerProcess, events: int) -> dict[str, Any]:
    """Each stage alone; and our router on bundles of 64."""
    found: dict[str, Any] = {}
    plan = [("plaintext", "plaintext", 512), ("sealed", "sealed", 512), ("sealed-64", "sealed", 64)]
    for name, implementation, flush_events in plan:
        _say(f"each stage alone: {name}, {events} events")
        run = each_alone(_fresh(world, broker, f"alone-{name}", flush_events=flush_events), implementation, events)
        found[name] = {
            stage: {
                "events_per_s": run.stage(stage).events_per_s,
                "cpu_us_per_event": run.stage(stage).cpu_us_per_event,
                "bytes_per_event": run.stage(stage).bytes / events,
            }
            for stage in ("publish", "route", "receive")
        }
    return found


def _latencies(world: World, broker: BrokerProcess, seconds: int) -> dict[str, Any]:
    """End to end, from publish() to the sink, over the three recipients."""
    found: dict[str, Any] = {name: {} for name in IMPLEMENTATIONS}
    for rate in RATES:
        for name in IMPLEMENTATIONS:
            _say(f"latency at {rate} events/s: {name}, {seconds} s")
            run = all_at_once(_fresh(world, broker, f"rate-{rate}-{name}"), name, rate * seconds, rate)
            # The first second is the connections' and caches' own.
            ages = run.steady_latencies_ms(rate)
            found[name][str(rate)] = {
                f"p{share}": percentile(ages, float(share) / 100) for share in ("50", "99", "99.9")
            }
            _say("  " + ", ".join(f"{point} {value:.0f} ms" for point, value in found[name][str(rate)].items()))
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
