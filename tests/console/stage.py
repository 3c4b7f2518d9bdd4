"""A console on a stage: facts as the sources would give them, a real server with mutual TLS, memory in place of Kafka.

``make_facts()`` is a week-day of six agencies, with trouble in it. ``hostile=True`` puts markup and script into every
text that an agency, a publisher or a site controls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from hub.adapters.kafka_overview import Node, Partition
from hub.adapters.memory import MemoryBroker
from hub.adapters.tuf_signers import RoleSigner
from hub.console.actions import Actions
from hub.console.audit_log import AuditLog
from hub.console.changes import sum_up, tell_changes
from hub.console.facts import (
    Alert,
    Beat,
    Cluster,
    Course,
    DirectoryFacts,
    Facts,
    Held,
    Metrics,
    Reading,
    Sample,
    VersionSeen,
)
from hub.console.people import People
from hub.console.server import ServerTls, serve_console
from hub.console.sources import AuditSource, QuarantineSource
from hub.console.watch import Watch, Watched
from hub.console.web import Console
from hub.model import HUB, AgencyId
from hub.policy.subscription import Subscription, Subscriptions, parse_subscription
from hub.ports import IncomingRecord, OutgoingRecord
from hub.topics import AUDIT, QUARANTINE, RETRY
from hub.trust.directory import Directory
from hub.wire.quarantine import encode_quarantined, quarantine
from tests.console.people import PEOPLE_TOML, PeopleAuthority
from tests.support.authority import DAY_MS, NOW_MS, World
from tests.support.routing import Site
from tests.support.samples import catalog

T = TypeVar("T")

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\"'&{{7*7}}"
"""Markup, a script, an attribute's end, a template's expression: whatever could wake up in a page."""
AGENCIES = ("CCGIU", "ATF", "INTERPOL", "HNP", "JCF", "TTPS")


class Clock:
    """Stands still at the worlds' present, until a test moves it."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


def make_world() -> World:
    world = World.of(*AGENCIES)
    for originator, recipient, *types in (
        ("JCF", "ATF", "trace.request", "seizure.report"),
        ("JCF", "INTERPOL", "firearm.notice"),
        ("HNP", "ATF", "trace.request"),
        ("TTPS", "ATF", "trace.request"),
        ("TTPS", "CCGIU", "seizure.report", "ballistic.link"),
        ("ATF", "JCF", "trace.result", "trace.ack"),
        ("ATF", "TTPS", "trace.result"),
        ("CCGIU", "INTERPOL", "intel.alert"),
        ("INTERPOL", "CCGIU", "firearm.notice"),
    ):
        world.agree(originator, recipient, *types)
    world.agree("HNP", "CCGIU", "seizure.report", not_after_ms=NOW_MS - 3 * DAY_MS)
    world.agree("CCGIU", "HNP", "intel.alert", not_before_ms=NOW_MS + 20 * DAY_MS, not_after_ms=NOW_MS + 400 * DAY_MS)
    return world


def make_directory(hostile: bool = False) -> Directory:
    """The directory of :func:`make_world`, TTPS with a second key and a revoked one."""
    world = make_world()
    world.rotate_signing_key("TTPS")
    world.rotate_kem_key("JCF")
    directory = world.directory()
    if not hostile:
        return directory
    entries = {
        agency: replace(
            entry,
            name=HOSTILE,
            statement=replace(
                entry.statement,
                signing_keys=tuple(replace(key, site=HOSTILE[:80]) for key in entry.statement.signing_keys),
            ),
        )
        for agency, entry in directory.entries.items()
    }
    agreements = tuple(
        replace(each, agreement_id=f"{HOSTILE} {number}", reference=HOSTILE, event_types=frozenset({HOSTILE}))
        for number, each in enumerate(directory.all_agreements)
    )
    return replace(directory, entries=MappingProxyType(entries), all_agreements=agreements)


def subscriptions() -> Subscriptions:
    found: dict[AgencyId, Subscription] = {}
    for agency, types in {
        "ATF": ["trace.request", "seizure.report"],
        "JCF": ["trace.result", "trace.ack"],
        "CCGIU": ["seizure.report"],
        "INTERPOL": ["firearm.notice", "intel.alert"],
    }.items():
        text = f'agency: {agency}\naccept:\n  - name: all\n    types: [{", ".join(types)}]\n    from: "*"\n'
        found[AgencyId(agency)] = parse_subscription(text, catalog(), file=f"{agency}.yaml")
    return Subscriptions(found, HUB)


def directory_facts(hostile: bool = False) -> DirectoryFacts:
    directory = make_directory(hostile)
    before = sum_up(make_world().directory())
    older = VersionSeen(
        directory.version - 1, NOW_MS - 9 * DAY_MS, NOW_MS - 9 * DAY_MS, "ab" * 32, tell_changes(None, before)
    )
    newer = VersionSeen(
        directory.version,
        NOW_MS - DAY_MS,
        NOW_MS - DAY_MS,
        directory.digest.hex(),
        tell_changes(before, sum_up(directory)),
    )
    name = HOSTILE if hostile else "Custodian of Barbados"
    signers = (
        RoleSigner(name, "targets", "11" * 32),
        RoleSigner("Custodian of Jamaica", "targets", "22" * 32),
        RoleSigner("operator", "timestamp", "33" * 32),
    )
    return DirectoryFacts(directory, signers, 2, (newer, older), subscriptions())


def _samples(query: dict[tuple[str, ...], float], *names: str) -> tuple[Sample, ...]:
    return tuple(Sample(dict(zip(names, key, strict=True)), value) for key, value in query.items())


def metrics(hostile: bool = False) -> Metrics:
    """HNP's site is down, CCGIU is behind, what TTPS sends to CCGIU is denied in part, JCF misses two records."""
    text = HOSTILE if hostile else "tracing-1"
    sites = {agency: (f"{agency.lower()}-1" if not hostile else HOSTILE, "site", agency) for agency in AGENCIES}
    up = dict.fromkeys(sites.values(), 1.0) | {("router-1", "router", "HUB"): 1.0, ("router-2", "router", "HUB"): 1.0}
    up[sites["HNP"]] = 0.0
    alive = {(key[0], key[2]): 1.0 for key, value in up.items() if value}
    answers: dict[str, tuple[Sample, ...]] = {
        "delivered": _samples(
            {
                ("JCF", "ATF"): 14.2,
                ("TTPS", "ATF"): 3.5,
                ("ATF", "JCF"): 9.1,
                ("ATF", "TTPS"): 2.0,
                ("TTPS", "CCGIU"): 0.8,
                ("JCF", "INTERPOL"): 0.4,
            },
            "publisher",
            "recipient",
        ),
        "routed": _samples({("JCF",): 14.6, ("TTPS",): 4.3, ("ATF",): 11.1}, "publisher"),
        "denied": _samples(
            {
                ("TTPS", "CCGIU", "subscription.labels"): 12.0,
                ("HNP", "ATF", HOSTILE if hostile else "agreement.purpose"): 3.0,
            },
            "publisher",
            "recipient",
            "reason",
        ),
        "age": _samples({("JCF", "ATF"): 1.4, ("TTPS", "ATF"): 22.0, ("ATF", "JCF"): 0.4}, "publisher", "agency"),
        "hub_age": _samples({("URGENT",): 0.31, ("ROUTINE",): 4.8}, "priority"),
        "waiting_events": _samples({("deliver.CCGIU",): 1830.0, ("ingest.JCF",): 3.0}, "topic"),
        "waiting_records": _samples({("deliver.CCGIU",): 96.0, ("deliver.HNP",): 12.0}, "topic"),
        "waiting_seconds": _samples({("deliver.CCGIU",): 4200.0, ("ingest.JCF",): 0.4}, "topic"),
        "gaps": _samples({("JCF", text, "ATF", "no"): 1.0}, "agency", "instance", "publisher", "explained"),
        "missing": _samples({("JCF", text, "ATF", "no"): 2.0}, "agency", "instance", "publisher", "explained"),
        "up": _samples(up, "instance", "role", "agency"),
        "answered": _samples({(key[0], key[2]): NOW_MS / 1000 - 7 for key in up}, "instance", "agency"),
        "ready": _samples(alive, "instance", "agency"),
        "build": _samples({(*key, "0.1.0"): 1.0 for key in alive}, "instance", "agency", "version"),
        "directory_version": _samples(
            {key: float(make_directory().version - (key[1] == "TTPS")) for key in alive}, "instance", "agency"
        ),
        "progress_age": _samples(dict.fromkeys(alive, 1.2), "instance", "agency"),
        "skew": _samples(dict.fromkeys(alive, 0.004), "instance", "agency"),
        "certificate": _samples(
            {(*key, "client"): (NOW_MS + 90 * DAY_MS) / 1000 for key in alive}, "instance", "agency", "certificate"
        ),
        "outbox_records": _samples(dict.fromkeys(alive, 0.0), "instance", "agency"),
        "outbox_age": _samples(dict.fromkeys(alive, 0.0), "instance", "agency"),
    }
    return Metrics(answers)


def history() -> Metrics:
    hour = [(NOW_MS - (60 - minute) * 60_000, 12 + 8 * ((minute * 7) % 13) / 13) for minute in range(61)]
    answers = {
        "last_routed": _samples(
            {("JCF",): NOW_MS / 1000 - 4, ("TTPS",): NOW_MS / 1000 - 31, ("ATF",): NOW_MS / 1000 - 9}, "publisher"
        ),
        "last_delivered": _samples(
            {
                ("JCF", "ATF"): NOW_MS / 1000 - 4,
                ("TTPS", "ATF"): NOW_MS / 1000 - 31,
                ("ATF", "JCF"): NOW_MS / 1000 - 9,
                ("CCGIU", "INTERPOL"): NOW_MS / 1000 - 52_000,
            },
            "publisher",
            "recipient",
        ),
        "day_delivered": _samples({("JCF", "ATF", "trace.request"): 412.0}, "publisher", "recipient", "event_type"),
        "day_denied": _samples(
            {("JCF", "ATF", "seizure.report", "agreement.handling"): 2.0},
            "publisher",
            "recipient",
            "event_type",
            "reason",
        ),
    }
    points = tuple(hour)
    courses = {
        "all": (Course({}, points),),
        "sent": (Course({"publisher": "JCF"}, points),),
        "got": (Course({"recipient": "JCF"}, points),),
    }
    return Metrics(answers, courses)


def alerts(hostile: bool = False) -> tuple[Alert, ...]:
    text = HOSTILE if hostile else ""
    return (
        Alert(
            "UnexplainedGap",
            "firing",
            "critical",
            NOW_MS - 400_000,
            {"alertname": "UnexplainedGap", "severity": "critical", "agency": "JCF", "publisher": text or "ATF"},
            text or "JCF misses records of ATF that nobody explains",
            text or "1 open gaps in the sequence, and no notice of the hub names those numbers.",
            "deploy/runbooks/UnexplainedGap.md",
        ),
        Alert(
            "ProcessDown",
            "pending",
            "warning",
            NOW_MS - 60_000,
            {"alertname": "ProcessDown", "severity": "warning", "instance": text or "hnp-1"},
            text or "site hnp-1 (HNP) does not answer",
            "",
            "deploy/runbooks/ProcessDown.md",
        ),
    )


def cluster(hostile: bool = False) -> Cluster:
    topics = [f"{way}.{agency}" for agency in AGENCIES for way in ("ingest", "deliver")]
    partitions = [
        Partition(topic, number, (number + index) % 3, (0, 1, 2), (0, 1, 2))
        for index, topic in enumerate(topics)
        for number in range(3)
    ]
    partitions.append(Partition(HOSTILE if hostile else "deliver.HNP", 3, -1, (0, 1, 2), (2,)))
    nodes = tuple(Node(number, HOSTILE if hostile else f"kafka-{number}", 9093, number == 1) for number in range(3))
    quotas = {agency: {"producer_byte_rate": 2e6, "consumer_byte_rate": 4e6} for agency in AGENCIES}
    return Cluster(nodes, tuple(partitions), quotas)


def beats() -> tuple[Beat, ...]:
    return (
        Beat("router-1", NOW_MS - 2_000, ("ingest.JCF/0", "ingest.JCF/1", "ingest.HNP/0"), 48_211, 3),
        Beat("router-2", NOW_MS - 4_000, ("ingest.TTPS/0", "ingest.ATF/0"), 31_877, 0),
        Beat("router-old", NOW_MS - 1_500_000, (), 911, 0),
    )


def quarantine_records(hostile: bool = False) -> list[bytes]:
    """A good bundle that was refused for its directory, garbage, one that was cut, and no quarantine record at all."""
    world = make_world()
    text = HOSTILE if hostile else "flush.from_future: the flush is 5400 s ahead (publisher=TTPS)"
    sealed = Site(world, "TTPS").seal(["ATF"], events=3)
    every: list[dict[str, Any]] = [
        {"code": "flush.from_future", "reason": text, "topic": "ingest.TTPS", "value": sealed.value},
        {"code": "frame.malformed", "reason": "frame.malformed: cut off", "topic": "ingest.HNP", "value": b"garbage"},
        {"code": "limit.exceeded", "reason": "too long", "topic": "ingest.JCF", "value": bytes(950_000)},
    ]
    if hostile:
        every.append({"code": HOSTILE[:120], "reason": HOSTILE, "topic": HOSTILE[:200], "value": b"x"})
    records = [
        encode_quarantined(
            quarantine(
                partition=number,
                offset=4_000 + number,
                timestamp_ms=NOW_MS - 900_000,
                router=(HOSTILE[:60] if hostile else "router-1"),
                refused_at_ms=NOW_MS - 60_000 * (number + 1),
                key=b"k",
                **each,
            )
        )
        for number, each in enumerate(every)
    ]
    return [*records, b"no quarantine record"]


def make_facts(hostile: bool = False) -> Facts:
    """Everything but what :class:`Stage` reads from its memory broker: the quarantine and the audit log."""
    return Facts(
        directory=Reading(directory_facts(hostile), NOW_MS),
        metrics=Reading(metrics(hostile), NOW_MS),
        history=Reading(history(), NOW_MS),
        alerts=Reading(alerts(hostile), NOW_MS),
        cluster=Reading(cluster(hostile), NOW_MS),
        heartbeats=Reading(beats(), NOW_MS),
    )


class MemoryFollower:
    """A topic of a memory broker, each record once."""

    def __init__(self, broker: MemoryBroker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._next = 0

    async def new(self) -> AsyncGenerator[IncomingRecord, None]:
        records = self._broker.records(self._topic)
        for record in records[self._next :]:
            self._next += 1
            yield record

    async def stop(self) -> None:
        pass


class Stage:
    """The parts of a console on memory; :meth:`running` serves it with TLS in a thread."""

    def __init__(self, folder: Path, *, hostile: bool = False, quarantined: bool = True) -> None:
        self.folder = folder
        self.clock = Clock()
        self.broker = MemoryBroker({QUARANTINE: 1, AUDIT: 1, RETRY: 1}, now_ms=self.clock.now_ms)
        self.authority = PeopleAuthority(folder / "people")
        self.people_file = folder / "people.toml"
        self.people_file.write_text(PEOPLE_TOML)
        self.producer = self.broker.producer("console")
        self.audit = AuditSource(MemoryFollower(self.broker, AUDIT), writer="console-1", tip=lambda: self.log.tip)
        self.log = AuditLog(
            self.producer, self.audit.read, writer="console-1", memory=folder / "audit.json", clock=self.clock
        )
        self.watch = Watch(
            {
                "quarantine": Watched(QuarantineSource(MemoryFollower(self.broker, QUARANTINE))),
                "audit": Watched(self.audit),
            },
            self.clock,
        )
        self.watch.facts = make_facts(hostile)
        self.actions = Actions(self.log, self.producer, self.fetch)
        self.origins: set[str] = set()
        self.console = Console(
            self.watch, People(self.people_file), self.clock, actions=self.actions, origins=self.origins
        )
        self._records = quarantine_records(hostile) if quarantined else []

    async def fetch(self, held: Held) -> bytes | None:
        records = self.broker.records(QUARANTINE)
        return records[held.offset].value if held.offset < len(records) else None

    async def prepare(self) -> None:
        """Start the producer, fill the quarantine, read it."""
        await self.producer.start()
        router = self.broker.producer("HUB")
        await router.start()
        await router.send([OutgoingRecord(QUARANTINE, b"place", value) for value in self._records])
        await self.watch.look()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def held(self, number: int) -> Held:
        """The record with this number in the quarantine topic."""
        return next(held for held in self.watch.facts.quarantine.value or () if held.offset == number)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve until the context ends, in a thread with a loop of its own; gives ``https://host:port``."""
        server = self.authority.issue("localhost", server=True)
        tls = ServerTls(server.certificate, server.key, self.authority.ca)
        started: threading.Event = threading.Event()
        address: list[str] = []
        failed: list[BaseException] = []
        self.loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            await self.prepare()
            async with serve_console(self.console.app(), listen="127.0.0.1:0", tls=tls) as found:
                address.append(f"https://{found}")
                self.origins.add(f"https://{found}")
                started.set()
                await stop.wait()

        def work() -> None:
            try:
                self.loop.run_until_complete(serve())
            except BaseException as error:  # noqa: BLE001  raised again in the test's thread
                failed.append(error)
            finally:
                started.set()

        thread = threading.Thread(target=work, name="stage")
        thread.start()
        started.wait(30)
        try:
            if failed:
                raise failed[0]
            yield address[0]
        finally:
            self.loop.call_soon_threadsafe(stop.set)
            thread.join(20)
            self.loop.close()
        if failed:
            raise failed[0]
