"""What real processes tell while they work: their state when asked, their traces, and never a word of content."""

from __future__ import annotations

import gzip
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hub.model import HUB
from tests.support.authority import World
from tests.support.broker import Broker
from tests.support.deployment import Deployment, wait_ready

pytestmark = pytest.mark.broker

EXAMPLE = Path(__file__).parents[2] / "schemas/examples/trace.request/valid/legible-pistol.json"
MARKER = "QX7731MARKER"
RELEASE = """
agency: JCF
allow:
  - rule: ATF traces for us
    types: [trace.request]
    to: [ATF]
    compartments: [core, personal, sensitive]
"""


class Collector(BaseHTTPRequestHandler):
    """Takes spans over OTLP/HTTP."""

    spans: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        raw = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Collector]]:
    Collector.spans.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield Collector
        server.shutdown()


@pytest.fixture
def deployment(broker: Broker, tmp_path: Path) -> Iterator[Deployment]:
    world = World.of("JCF", "ATF", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "trace.request")
    deployment = Deployment(tmp_path / "deployment", broker, world)
    deployment.subscribe("ATF", ["trace.request"])
    deployment.subscribe("JCF", ["trace.result"])
    try:
        yield deployment
    finally:
        deployment.stop()


def wait_for(done: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def rows() -> Iterator[dict[str, Any]]:
    """Good ones whose every text has the marker, and bad ones that have it where it may not stand."""
    for number in range(20):
        document = json.loads(EXAMPLE.read_text())
        document["body"]["header"]["originator_case_ref"] = f"{MARKER} {number:05}"
        document["body"]["special_instructions"] = MARKER
        yield document
    for spoil in ({"serail": MARKER}, {"ori": MARKER}, {MARKER: 1}, {"recovery_date": MARKER}):
        document = json.loads(EXAMPLE.read_text())
        document["body"].update(spoil)
        yield document
    for label in ("type", "handling", "purpose", "priority", "expires_at"):
        yield {**json.loads(EXAMPLE.read_text()), label: MARKER}


def asked(process: Any, state: Path) -> dict[str, Any]:
    """What the process answers to SIGUSR1."""
    answer = state / "state.json"
    answer.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    wait_for(answer.exists)
    found: dict[str, Any] = json.loads(answer.read_text())
    assert MARKER not in answer.read_text()
    assert process.poll() is None
    return found


def switch_on(config: Path) -> Path:
    config.write_text(config.read_text() + "\n[traces]\non = true\n[log]\nform = 'json'\n")
    return config


def test_state_traces_and_no_content(deployment: Deployment, collector: type[Collector]) -> None:
    source = '[[source]]\nkind = "jsonl"\npath = "register.jsonl"\n'
    jcf = switch_on(deployment.site_config("JCF", release=RELEASE, tables=source))
    atf = switch_on(deployment.site_config("ATF", tables='[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n'))
    (jcf.parent / "register.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows()) + f"{{{MARKER}\n")
    router = deployment.start("router", "run", "--config", switch_on(deployment.router_config()))
    recipient = deployment.start("site", "run", "--config", atf)
    publisher = deployment.start("site", "run", "--config", jcf)
    states = {
        "router": deployment.folder / HUB / "router.state",
        "recipient": atf.parent / "state",
        "publisher": jcf.parent / "state",
    }
    addresses = [wait_ready(state, 60) for state in states.values()]
    received = atf.parent / "received.jsonl"
    wait_for(lambda: received.exists() and len(received.read_text().splitlines()) >= 20)

    # --- asked what they do
    of = asked(publisher, states["publisher"])
    assert (of["role"], of["agency"], of["loop"]["answers"]) == ("site", "JCF", True)
    assert of["publisher"]["outbox_records"] == 0
    assert of["publisher"]["lanes_open"] >= 1
    assert of["sources"]["jsonl"]["published"] == 20
    assert of["directory"]["version"] >= 1
    assert {"publisher-send", "source-jsonl"} & {task["name"] for task in of["tasks"]}
    of = asked(recipient, states["recipient"])
    assert of["subscriber"]["failing_code"] is None
    assert of["subscriber"]["assignment"]
    assert set(of["subscriber"]["next_offsets"]) <= set(of["subscriber"]["assignment"])
    assert of["subscriber"]["next_offsets"]
    of = asked(router, states["router"])
    assert of["router"]["assignment"]
    assert of["router"]["bundles_routed"] >= 1
    assert "instance" in of["notices"]

    # --- one trace from row to sink, the hub's in the bundle's own
    wait_for(lambda: {"sink", "route", "send", "source.row"} <= {span.name for span in collector.spans})
    by_name: dict[str, list[Any]] = {}
    for span in list(collector.spans):
        by_name.setdefault(span.name, []).append(span)
    events = {span.trace_id for span in by_name["sink"]}
    assert events <= {span.trace_id for span in by_name["source.row"]}
    assert events <= {span.trace_id for span in by_name["send"]}
    bundles = {span.trace_id for span in by_name["bundle"]}
    assert bundles & {span.trace_id for span in by_name["route"]}
    assert not events & {span.trace_id for name in ("bundle", "route", "deliver") for span in by_name[name]}
    assert MARKER not in "".join(str(span) for span in collector.spans)

    # --- not a word of content, anywhere but at the two ends
    pages = [
        httpx.get(f"http://{address}/{page}").text for address in addresses for page in ("metrics", "readyz", "livez")
    ]
    assert MARKER not in "".join(pages)
    for process in (publisher, recipient, router):
        process.terminate()
    assert [process.wait(30) for process in (publisher, recipient, router)] == [0, 0, 0], deployment.logs()
    logs = deployment.logs()
    assert MARKER not in logs
    lines = [json.loads(line) for line in logs.splitlines() if line.strip()]  # each line is one of ours
    assert {"state.written", "process.stopped", "source.started"} <= {line["event"] for line in lines}
    assert {line["process"].partition("/")[0] for line in lines} == {"router", "site"}
    assert MARKER in received.read_text()
    assert MARKER in Path(f"{jcf.parent / 'register.jsonl'}.rejected.jsonl").read_text()
