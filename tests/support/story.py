"""A story for tests on the real broker: P publishes all the time, a real router decides, R and Q receive.

Each story has agencies of its own on the session's broker, and a folder with everybody's configuration, keys and sinks.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from hub.adapters.files import write_file
from hub.adapters.kafka import KafkaProducer
from hub.adapters.kafka_reader import read_topic
from hub.app.client import open_publisher
from hub.client.publisher import Publisher
from hub.document import parse_document
from hub.model import HUB, AgencyId
from hub.ports import OutgoingRecord
from hub.topics import deliver_topic, ingest_topic
from hub.trust.seal import SealedRecord
from hub.wire.bundle import parse_delivered, parse_ingest
from hub.wire.frames import Flush, parse_entry, parse_flush, parse_head
from tests.support.authority import DAY_MS, World
from tests.support.broker import Broker
from tests.support.deployment import Deployment, wait_ready
from tests.support.routing import Site
from tests.support.samples import catalog, sample_document

TYPE: Final = "trace.request"
SINK: Final = '[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n'
LONGEST: Final = 90.0
"""Seconds that anything may take on a busy machine."""


def now_ms() -> int:
    return int(time.time() * 1000)


async def until(done: Callable[[], object]) -> None:
    """Wait for what is about to be true."""
    end = time.monotonic() + LONGEST
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.1)


@dataclass
class Story:
    """Three agencies, their agreements and what became of P's events."""

    deployment: Deployment
    p: AgencyId
    r: AgencyId
    q: AgencyId
    sent: list[str] = field(default_factory=list)
    """The case numbers that ``publish()`` took, in their order."""

    @classmethod
    def begin(cls, broker: Broker, folder: Path, name: str, *, on_kafka: bool = False) -> Story:
        """P has agreements with R and with Q (``world.agreed[0]`` and ``[1]``), who ask for all its events."""
        p, r, q = (AgencyId(f"{name}-{letter}") for letter in "PRQ")
        world = World.of(p, r, q, now_ms=now_ms())
        for recipient in (r, q):
            world.agree(p, recipient, TYPE, agreement_id=f"{p}-{recipient}")
        deployment = Deployment(folder / "deployment", broker, world, on_kafka=on_kafka)
        for agency in (p, r, q):
            deployment.subscribe(agency, [TYPE])
        return cls(deployment, p, r, q)

    # --- who runs, on which directory ---------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        return self.deployment.world

    @property
    def router(self) -> Path:
        """The state folder of the router."""
        return self.deployment.folder / HUB / "router.state"

    def site(self, agency: AgencyId, name: str = "state") -> Path:
        """The state folder of a site."""
        return self.deployment.folder / agency / name

    def publisher(self, *recipients: AgencyId) -> Path:
        """P's configuration: everything is released to R and Q, or to ``recipients``."""
        to = ", ".join(recipients or (self.r, self.q))
        rule = f"  - {{rule: all, types: {TYPE}, to: [{to}], compartments: all}}\n"
        return self.deployment.site_config(self.p, release=f"agency: {self.p}\nallow:\n{rule}")

    def receiver(self, agency: AgencyId) -> Path:
        """A receiving site's configuration."""
        return self.deployment.site_config(agency, tables=SINK)

    def own_directory(self, agency: AgencyId) -> Path:
        """From now on the site of ``agency``, not started yet, reads a file of its own: as the shared one is now."""
        return self.deployment.own_directory(self.publisher() if agency == self.p else self.receiver(agency))

    def start(self, *agencies: AgencyId) -> None:
        """A router and these agencies' receiving sites, ready."""
        self.deployment.start("router", "run", "--config", self.deployment.router_config())
        for agency in agencies:
            config = self.deployment.folder / agency / "site.toml"
            self.deployment.start("site", "run", "--config", config if config.exists() else self.receiver(agency))
        for state in (self.router, *map(self.site, agencies)):
            wait_ready(state, LONGEST)

    def sign(self) -> bytes:
        """A new version of the directory, of the world as it is now, which nobody has yet."""
        self.world.now_ms = now_ms()
        return self.world.snapshot()

    def change(self) -> int:
        """The world as it is now becomes the shared directory; gives its version."""
        self.world.now_ms = now_ms()
        self.deployment.publish_directory()
        return self.version

    @property
    def version(self) -> int:
        """Of the directory that was signed last."""
        return self.world.repository.snapshot_version()

    def rotate_kem_key(self, agency: AgencyId) -> None:
        """A newer KEM key in the agency's folder and in the world, which is not signed yet."""
        self.world.now_ms = now_ms()
        key = self.world.rotate_kem_key(agency)
        self.deployment.add_kem_key(agency, str(len(self.world.keys[agency].kem_entries) - 1), key)

    async def let_expire(self, files: Iterable[Path], states: Iterable[Path]) -> None:
        """Have ``files`` hold a directory that expires soon; return when it has, and every process had it before."""
        for seconds in (4, 8, 16, 32):
            self.world.now_ms = now_ms() - DAY_MS + seconds * 1000  # dated a day ago, for a day
            end_ms = self.world.expires_at_ms = self.world.now_ms + DAY_MS
            short = self.world.snapshot()
            for file in files:
                write_file(file, short)
            late = set(states)
            while now_ms() <= end_ms:
                late = {state for state in late if self._expiry_ms(state) > end_ms}
                await asyncio.sleep(0.1)
            if not late:
                break
        else:
            raise TimeoutError
        self.world.now_ms = now_ms()
        self.world.expires_at_ms = now_ms() + 30 * DAY_MS

    def _expiry_ms(self, state: Path) -> float:
        return self.metric(state, "cgi_directory_expiry_timestamp_seconds") * 1000

    # --- what P publishes, and what became of it ----------------------------------------------------------------------

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[Publisher]:
        """Events all the time, while the context is open; at its end everything is with Kafka."""
        config = self.deployment.folder / self.p / "site.toml"
        async with open_publisher(config if config.exists() else self.publisher()) as publisher:
            stop = asyncio.Event()
            task = asyncio.create_task(self._publish(publisher, stop))
            try:
                yield publisher
            finally:
                stop.set()
                await task
            async with asyncio.timeout(LONGEST):
                await publisher.drain()

    async def _publish(self, publisher: Publisher, stop: asyncio.Event) -> None:
        while not stop.is_set():
            case = f"STORY/{len(self.sent):05}"
            document: dict[str, Any] = sample_document(TYPE)
            document["body"]["header"]["originator_case_ref"] = case
            await publisher.publish(parse_document(document, catalog()), key=case)
            self.sent.append(case)
            await asyncio.sleep(0.01)

    async def more(self, count: int = 20) -> None:
        """Wait until so many more were published."""
        before = len(self.sent)
        await until(lambda: len(self.sent) >= before + count)

    async def more_under(self, version: int, count: int = 20) -> None:
        """Wait until P seals under ``version`` of the directory, and has published so many more since."""
        for _ in range(int(LONGEST)):
            if {flush.directory_version for flush, _ in await self.ingested()} & {version}:
                return await self.more(count)
            await self.more(5)
        raise TimeoutError

    def received(self, agency: AgencyId, name: str = "received") -> list[str]:
        """The case numbers of P's events in an agency's sink, in its order."""
        path = self.deployment.folder / agency / f"{name}.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        events = [json.loads(line) for line in lines]
        return [event["body"]["header"]["originator_case_ref"] for event in events if event["publisher"] == self.p]

    async def all_received(self, agency: AgencyId, name: str = "received") -> None:
        """Wait until the agency has what was published last; then it must have everything, each once, in its order."""
        await until(lambda: self.sent[-1] in self.received(agency, name))
        assert self.received(agency, name) == self.sent

    async def ingested(self) -> list[tuple[Flush, frozenset[AgencyId]]]:
        """P's bundles of events on its topic, in their order: the flush of each, and to whom it is sealed."""
        files = self.deployment.broker.client_files(HUB)
        topic = read_topic(self.deployment.broker.bootstrap, files, ingest_topic(self.p))
        records = [parse_ingest(record.value) async for record in topic]
        return [
            (parse_flush(record.proof.flush), frozenset(parse_entry(entry).agency for entry in record.entries))
            for record in records
            if parse_head(record.head).core.n
        ]

    async def delivered(self, agency: AgencyId) -> list[Flush]:
        """The flushes of P's bundles of events on an agency's topic, in their order."""
        files = self.deployment.broker.client_files(agency)
        topic = read_topic(self.deployment.broker.bootstrap, files, deliver_topic(agency))
        records = [parse_delivered(record.value) async for record in topic]
        events = [record.proof.flush for record in records if parse_head(record.head).core.n]
        return [flush for flush in map(parse_flush, events) if flush.publisher == self.p]

    async def delivers(self, agency: AgencyId, count: int) -> None:
        """Wait until so many of P's bundles of events are on an agency's topic."""
        async with asyncio.timeout(LONGEST):
            while len(await self.delivered(agency)) < count:
                await asyncio.sleep(0.1)

    async def delivered_versions(self, agency: AgencyId) -> set[int]:
        """The versions of the directory under which what was delivered to the agency was sealed."""
        return {flush.directory_version for flush in await self.delivered(agency)}

    def stale_process(self, agency: AgencyId) -> Site:
        """A process of ``agency``'s with the directory of now, which will never look at another."""
        site, directory = Site(self.world, agency), self.world.repository.published(now_ms())
        assert directory is not None
        site.sealer.update_directory(directory, now_ms())
        return site

    async def append(self, agency: AgencyId, sealed: SealedRecord) -> None:
        """A record of ``agency``'s, past its Publisher."""
        producer = KafkaProducer(self.deployment.broker.bootstrap, self.deployment.broker.client_files(agency))
        await producer.start()
        await producer.send([OutgoingRecord(ingest_topic(agency), sealed.key, sealed.value)])
        await producer.stop()

    # --- what the processes say ---------------------------------------------------------------------------------------

    def metric(self, state: Path, name: str, **labels: str) -> float:
        """The sum of a process's values of ``name`` that have these labels; 0 where there is none."""
        address = (state / "metrics.address").read_text().strip()
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        total = 0.0
        for line in httpx.get(f"http://{address}/metrics", timeout=30).text.splitlines():
            found, _, value = line.rpartition(" ")
            key, _, rest = found.partition("{")
            if key == name and wanted <= set(rest.rstrip("}").split(",")):
                total += float(value)
        return total

    async def shows(self, state: Path, name: str, value: float, **labels: str) -> None:
        """Wait until a process's metric has at least this value (0: exactly)."""
        await until(lambda: self._is_at(self.metric(state, name, **labels), value))

    @staticmethod
    def _is_at(found: float, value: float) -> bool:
        return found >= value if value else not found
