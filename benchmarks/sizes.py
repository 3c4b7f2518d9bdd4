"""Memory of the processes and bytes on disk, for docs/guides/sizing.md: ``make sizes`` writes build/sizes/report.json.

Real processes (the command ``hub``) on a real broker. A site publishes files of events, a router routes, two sites
receive. Resident memory is read from /proc: once ready, and the most until everything had arrived. Nothing is a time.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hub.model import HUB, AgencyId
from hub.routing import route_bundle
from hub.trust.checks import FlushCache
from tests.support.authority import World
from tests.support.broker import Broker, running_broker
from tests.support.deployment import Deployment, wait_ready
from tests.support.routing import Asking, Site, draft

FOLDER: Final = Path("build/sizes")
EXAMPLE: Final = Path("schemas/examples/trace.request/valid/legible-pistol.json")
FILLER: Final = "x" * 600
"""With it an event has about 1 kB, as those of docs/benchmarks.md."""
EVENTS: Final = 30_000
A_FILE: Final = 1_000
WAIT_SECONDS: Final = 900.0

RELEASE: Final = """
agency: JCF
allow:
  - {rule: all of it, types: [trace.request], to: [ATF, RSS], compartments: all}
"""
SOURCE: Final = """
[[source]]
kind = "folder"
path = "register"
settle_seconds = 0.1
poll_seconds = 0.1
files = [{ match = "*.jsonl", key = ["body.header.originator_case_ref"] }]
"""
SINK: Final = '[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n'


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in MB: once it was ready, and the most until everything had arrived."""

    ready: float
    most: float


@dataclass(frozen=True, slots=True)
class Alone:
    """Bytes of a record that is a flush by itself: to the hub, and what each recipient gets of it."""

    ingest: int
    delivered: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """Everything that was measured. Bytes are an event's, of ``events`` to two recipients each."""

    events: int
    memory_mb: dict[str, Memory]
    ingest_bytes: float
    delivered_bytes: float
    outbox_key_bytes: float
    outbox_waiting_bytes: float
    inbox_bytes: int
    sink_bytes: float
    alone: dict[str, Alone]
    """By ``event`` or ``heartbeat``, and to how many recipients."""


def measure(events: int = EVENTS) -> Sizes:
    """Run everything and measure it. Raises ``TimeoutError``."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    with running_broker(FOLDER.resolve() / "node") as broker:
        world = World.of("JCF", "ATF", "RSS", now_ms=int(time.time() * 1000))
        for recipient in ("ATF", "RSS"):
            world.agree("JCF", recipient, "trace.request")
        deployment = Deployment(FOLDER.resolve() / "deployment", broker, world)
        for agency in ("ATF", "RSS"):
            deployment.subscribe(agency, ["trace.request"])
        deployment.subscribe("JCF", ["trace.result"])
        try:
            return _measure(deployment, broker, events)
        finally:
            deployment.stop()


def _measure(deployment: Deployment, broker: Broker, events: int) -> Sizes:
    jcf = deployment.site_config("JCF", release=RELEASE, tables=SOURCE)
    sinks = [deployment.site_config(agency, tables=SINK) for agency in ("ATF", "RSS")]
    register = jcf.parent / "register"
    register.mkdir()
    running = {
        "router": deployment.start("router", "run", "--config", deployment.router_config()),
        "site, publishing": deployment.start("site", "run", "--config", jcf),
        "site, receiving": deployment.start("site", "run", "--config", sinks[0]),
        "site, receiving too": deployment.start("site", "run", "--config", sinks[1]),
        "exporter": deployment.start("exporter", "run", "--config", _exporter(deployment, broker)),
    }
    for state in (deployment.folder / HUB / "router.state", deployment.folder / HUB / "exporter.state"):
        wait_ready(state, WAIT_SECONDS)
    for config in (jcf, *sinks):
        wait_ready(config.parent / "state", WAIT_SECONDS)
    ready = {name: _status(process.pid, "VmRSS") for name, process in running.items()}
    for first in range(0, events, A_FILE):
        _write(register, first, min(events, first + A_FILE))
    received = [config.parent / "received.jsonl" for config in sinks]
    _wait(lambda: all(file.exists() and _lines(file) >= events for file in received))
    most = {name: _status(process.pid, "VmHWM") for name, process in running.items()}
    for process in running.values():
        process.terminate()
        process.wait(60)
    return Sizes(
        events=events,
        memory_mb={name: Memory(ready[name], most[name]) for name in running},
        ingest_bytes=_topic(broker, "ingest.JCF") / events,
        delivered_bytes=(_topic(broker, "deliver.ATF") + _topic(broker, "deliver.RSS")) / 2 / events,
        outbox_key_bytes=(jcf.parent / "state/outbox.sqlite").stat().st_size / events,
        outbox_waiting_bytes=_waiting(deployment, broker, jcf, events),
        inbox_bytes=(sinks[0].parent / "state/inbox.sqlite").stat().st_size,
        sink_bytes=received[0].stat().st_size / events,
        alone=dict(_alone()),
    )


def _alone() -> Iterator[tuple[str, Alone]]:
    """One event of about 1 kB, and a heartbeat, each in a flush of its own, to 1, 3 and 11 recipients."""
    for count in (1, 3, 11):
        recipients = [AgencyId(f"R-{number}") for number in range(count)]
        world = World.of("JCF", *recipients)
        for recipient in recipients:
            world.agree("JCF", recipient, "trace.request")
        site = Site(world, "JCF")
        for name, record in (
            ("event", site.seal(recipients, drafts=[draft(world.now_ms, size=340)])),  # in each of three compartments
            ("heartbeat", site.heartbeat(recipients)),
        ):
            routed = route_bundle(
                record.value,
                owner=AgencyId("JCF"),
                hub=HUB,
                directory=world.directory(),
                subscriptions=Asking(*recipients),
                now_ms=world.now_ms,
                flushes=FlushCache(),
            )
            delivered = [len(delivery.value) for delivery in routed.deliveries]
            yield f"{name} to {count}", Alone(len(record.value), sum(delivered) / count)


def _waiting(deployment: Deployment, broker: Broker, jcf: Path, events: int) -> float:
    """What an event takes in the outbox while Kafka is away: sealed, with its key."""
    outbox = jcf.parent / "state/outbox.sqlite"
    before, more = outbox.stat().st_size, min(events, 5 * A_FILE)
    broker.process.stop()
    site = deployment.start("site", "run", "--config", jcf)
    done = jcf.parent / "register/done"
    files = len(list(done.glob("*.jsonl")))
    for first in range(events, events + more, A_FILE):
        _write(jcf.parent / "register", first, first + A_FILE)
    _wait(lambda: len(list(done.glob("*.jsonl"))) >= files + more // A_FILE)
    site.terminate()
    site.wait(60)
    return (outbox.stat().st_size - before) / more


def _exporter(deployment: Deployment, broker: Broker) -> Path:
    tls = broker.operator
    path = deployment.folder / HUB / "exporter.toml"
    path.write_text(
        f'state = "exporter.state"\n[kafka]\nbootstrap = "{broker.bootstrap}"\nca = "{tls.ca}"\n'
        f'certificate = "{tls.certificate}"\nkey = "{tls.key}"\n'
    )
    return path


def _write(register: Path, first: int, last: int) -> None:
    document = json.loads(EXAMPLE.read_text("utf-8"))
    document["body"]["special_instructions"] = FILLER
    with (register / f"{first:08}.tmp").open("w", encoding="utf-8") as file:
        for number in range(first, last):
            document["body"]["header"]["originator_case_ref"] = f"KGN/2026/{number:08}"
            file.write(json.dumps(document) + "\n")
    (register / f"{first:08}.tmp").rename(register / f"{first:08}.jsonl")


def _status(pid: int, name: str) -> float:
    """A figure of /proc/<pid>/status, in MB of 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(name)


def _topic(broker: Broker, topic: str) -> int:
    """Bytes of the topic's segments, one copy."""
    return sum(file.stat().st_size for file in broker.process.data.glob(f"{topic}-*/*.log"))


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def _wait(done: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.5)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 1) if isinstance(value, float) else value


def main() -> None:
    """Measure, print, and write the report. An argument is the number of events."""
    sizes = measure(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)
    report = _rounded(asdict(sizes))
    (FOLDER / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
