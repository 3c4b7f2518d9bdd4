"""One trace from a row to a sink, its context sealed; the hub's spans in the bundle's own; nothing when off."""

from __future__ import annotations

import asyncio
import cProfile
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connectors.jsonl_file import JsonlSettings, make_jsonl
from connectors.toolkit.progress import ProgressFile
from connectors.toolkit.run import SourceRun
from hub.adapters.otel import OtelTracer, open_tracer
from hub.model import HUB
from hub.notices import HubNotices
from hub.router import Router, RouterLimits
from hub.spans import SPANS, SpanFact, SpanName, bundle_context, context_of, parse_context
from hub.topics import HEARTBEAT, INGEST_PATTERN, QUARANTINE, deliver_topic, ingest_topic
from tests.support.opened import connector_context
from tests.support.routing import Asking
from tests.support.samples import sample_document
from tests.support.sites import ATF, RSS, ListSink, Net, trace, until

CONTEXT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ROOT = Path(__file__).parents[2]


class Written:
    """A tracer of one process, and what it wrote."""

    def __init__(self, role: str = "site", agency: str = "JCF") -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(SimpleSpanProcessor(self._exporter), role=role, agency=agency, process=f"{role}/0")

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def of(self, name: SpanName) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: SpanName) -> ReadableSpan:
        [span] = self.of(name)
        return span


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def links(span: ReadableSpan) -> set[tuple[int, int]]:
    return {(link.context.trace_id, link.context.span_id) for link in span.links}


def context(text: str) -> tuple[int, int]:
    found = parse_context(text)
    assert found is not None
    return found[:2]


# --- the whole way ----------------------------------------------------------------------------------------------------


def all_bytes(net: Net) -> bytes:
    """Everything that ever lay on the broker."""
    return b"".join(
        (record.key or b"") + record.value + b"".join(name.encode() + value for name, value in record.headers)
        for topic in [*map(ingest_topic, net.world.keys), *map(deliver_topic, net.world.keys)]
        for record in net.broker.records(topic)
    )


async def route_with(net: Net, written: Written) -> None:
    """The real router, until it has committed all that was sent."""
    for topic in (HEARTBEAT, QUARANTINE):
        net.broker.create_topic(topic, 1)
    hub_publisher = net.publisher(HUB)
    router = Router(
        name="r1",
        hub=HUB,
        consumer=net.broker.consumer(group="routers", pattern=INGEST_PATTERN),
        producer=net.broker.producer("r1"),
        directory=net.directory,
        subscriptions=Asking("ATF", "RSS"),
        notices=HubNotices(hub_publisher, net.clock, net.observer),
        clock=net.clock,
        observer=net.observer,
        limits=RouterLimits(poll_wait=0.02, heartbeat=60),
        tracer=written.tracer,
    )
    stop = asyncio.Event()
    async with hub_publisher, asyncio.TaskGroup() as group:
        running = group.create_task(router.run(stop))
        await until(lambda: written.of("deliver"))
        stop.set()
        await running


async def test_one_trace_from_row_to_sink(tmp_path: Path) -> None:
    net = Net()
    jcf, router, atf = Written(), Written("router", "HUB"), Written("site", "ATF")
    (tmp_path / "in.jsonl").write_text(json.dumps(sample_document("trace.request")) + "\n")
    source = make_jsonl(JsonlSettings(path=Path("in.jsonl")), connector_context(tmp_path, "register"))
    run = SourceRun(source, ProgressFile(tmp_path / "progress"), net.observer, tracer=jcf.tracer)
    async with net.publisher(tracer=jcf.tracer) as publisher:
        await run.run(publisher)
        await publisher.drain()
    await route_with(net, router)
    sink = ListSink()
    await net.receive(sink, agency=ATF, tracer=atf.tracer)

    # the event's trace: from the row to the sink
    row = jcf.one("source.row")
    [trace_id] = {ids(span)[0] for span in [row, *jcf.of("publish"), *atf.of("open"), *atf.of("sink")]}
    assert parent(row) is None
    assert parent(jcf.one("publish")) == ids(row)
    for name in ("prepare", "flush", "send"):
        assert parent(jcf.one(name)) == ids(jcf.one("publish")), name
    assert parent(atf.one("open")) == ids(jcf.one("publish"))
    assert parent(atf.one("sink")) == ids(atf.one("open"))
    assert sink.events[0].body["header"]["trace_context"] is not None

    # the bundle's trace: the hub's spans, which know nothing of the event's
    bundle = jcf.one("bundle")
    assert ids(bundle)[0] != trace_id
    assert parent(bundle) is None
    [route] = [span for span in router.of("route") if parent(span) == ids(bundle)]
    [deliver] = [span for span in router.of("deliver") if parent(span) == ids(bundle)]
    assert (route.attributes or {})["cgi.recipients"] == 1
    assert deliver.start_time == route.end_time
    assert parent(atf.one("receive")) == ids(bundle)
    assert not any(links(span) for span in router.spans)

    # which belong together the two ends alone say
    assert links(bundle) == {ids(jcf.one("publish"))}
    assert links(jcf.one("send")) == links(atf.one("open")) == {ids(bundle)}

    # and it is nowhere in the broker's bytes, neither as text nor as bytes
    everything = all_bytes(net)
    assert len(everything) > 1000
    for secret in (trace_id.to_bytes(16, "big"), f"{trace_id:032x}".encode()):
        assert secret not in everything
    assert f"{trace_id:032x}" not in repr([span.to_json() for span in router.spans])


async def test_the_order_of_the_times(tmp_path: Path) -> None:
    net, jcf = Net(), Written()
    async with net.publisher(tracer=jcf.tracer) as publisher:
        await publisher.publish(trace())
        await publisher.drain()
    publish = jcf.one("publish")
    assert (publish.start_time or 0) <= (jcf.one("prepare").start_time or 0) <= (jcf.one("prepare").end_time or 0)
    assert jcf.one("flush").start_time == jcf.one("prepare").end_time
    assert jcf.one("flush").end_time == publish.end_time


async def test_a_retry_with_another_trace_is_a_duplicate() -> None:
    net = Net()
    bodies = [trace(), trace(body={"header": {**trace().body["header"], "trace_context": CONTEXT}})]
    async with net.publisher(tracer=Written().tracer) as publisher:
        first = await publisher.publish(bodies[0], key="row 1")
    async with net.publisher(tracer=Written().tracer) as publisher:
        again = await publisher.publish(bodies[0], key="row 1")
        given = await publisher.publish(bodies[1], key="row 1")
    async with net.publisher() as publisher:
        off = await publisher.publish(bodies[0], key="row 1")
    assert [first.duplicate, again.duplicate, given.duplicate, off.duplicate] == [False, True, True, True]


async def test_the_context_of_a_program_goes_on() -> None:
    net, jcf = Net(), Written()
    own = trace(body={"header": {**trace().body["header"], "trace_context": CONTEXT}})
    async with net.publisher(tracer=jcf.tracer) as publisher:
        await publisher.publish(own)
        await publisher.publish(replace(trace(2), trace_context=CONTEXT))
    assert [parent(span) for span in jcf.of("publish")] == [context(CONTEXT)] * 2


async def test_without_a_tracer_what_the_source_gave_is_sealed() -> None:
    net, sink = Net(), ListSink()
    own = trace(body={"header": {**trace().body["header"], "trace_context": CONTEXT}})
    async with net.publisher() as publisher:
        await publisher.publish(own)
        await publisher.publish(trace(2))
        await publisher.drain()
    await net.route()
    await net.receive(sink)
    assert [event.body["header"]["trace_context"] for event in sink.events] == [CONTEXT, None]


async def test_who_may_not_see_the_core_begins_a_trace_of_its_own() -> None:
    net, jcf, rss = Net(release=SENSITIVE_ONLY), Written(), Written("site", "RSS")
    async with net.publisher(tracer=jcf.tracer) as publisher:
        await publisher.publish(trace())
        await publisher.drain()
    await net.route()
    await net.receive(ListSink(), agency=RSS, tracer=rss.tracer)
    assert parent(rss.one("open")) is None
    assert links(rss.one("open")) == {ids(jcf.one("bundle"))}


SENSITIVE_ONLY = """\
allow:
  - rule: the sensitive part alone
    types: [trace.request]
    to: RSS
    compartments: [sensitive]
"""


async def test_what_is_refused_has_its_code_and_nothing_else(tmp_path: Path) -> None:
    net, jcf = Net(), Written()
    bad = trace(body={"priority_reason": 7, "special_instructions": "SECRET-WORDS"})
    async with net.publisher(tracer=jcf.tracer) as publisher:
        [outcome] = await publisher.publish_many([(bad, None)])
    assert getattr(outcome, "code", "").startswith("event.")
    for name in ("publish", "prepare"):
        assert (jcf.one(name).attributes or {})["cgi.code"] == outcome.code  # type: ignore[union-attr]
    assert "SECRET-WORDS" not in "".join(span.to_json() for span in jcf.spans)


async def test_a_refused_row_has_a_span(tmp_path: Path) -> None:
    jcf, net = Written(), Net()
    (tmp_path / "in.jsonl").write_text("{broken\n")
    source = make_jsonl(JsonlSettings(path=Path("in.jsonl")), connector_context(tmp_path, "register"))
    run = SourceRun(source, ProgressFile(tmp_path / "progress"), net.observer, tracer=jcf.tracer)
    async with net.publisher(tracer=jcf.tracer) as publisher:
        await run.run(publisher)
    assert (jcf.one("source.row").attributes or {})["cgi.code"] == "row.json"


async def test_spans_and_facts_are_declared_and_hold_no_content(tmp_path: Path) -> None:
    net = Net()
    jcf, router, atf = Written(), Written("router", "HUB"), Written("site", "ATF")
    events = [trace(number) for number in range(40)]
    async with net.publisher(tracer=jcf.tracer) as publisher:
        await publisher.publish_many([(event, None) for event in events])
        await publisher.drain()
    await route_with(net, router)
    await net.receive(ListSink(), agency=ATF, tracer=atf.tracer)
    every = [*jcf.spans, *router.spans, *atf.spans]
    assert {span.name for span in every} == set(SPANS) - {"source.row"}
    facts = {name.removeprefix("cgi.") for span in every for name in span.attributes or {}}
    assert facts <= set(get_args(SpanFact))
    told = "".join(span.to_json() for span in every)
    for event in events:
        assert event.body["firearm"]["serial_raw"] not in told


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_bundles_trace_follows_from_its_head() -> None:
    assert bundle_context(b"h" * 32) == bundle_context(b"h" * 32)
    assert bundle_context(b"h" * 32) != bundle_context(b"i" * 32)
    assert parse_context(bundle_context(b"h" * 32)) is not None


@pytest.mark.parametrize(
    "wrong", [None, 7, "", CONTEXT.upper(), CONTEXT[:-1], "00-" + "0" * 32 + "-" + "0" * 16 + "-01", f"{CONTEXT}\n"]
)
def test_what_is_no_context_is_none(wrong: Any) -> None:
    assert parse_context(wrong) is None
    assert context_of({"header": {"trace_context": wrong}}) is None
    assert context_of({"header": wrong}) is None
    assert context_of(wrong) is None


def test_not_sampled_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    written = Written()
    span = written.tracer.start("publish")
    assert span.context is not None
    assert span.context.endswith("-00")
    span.end()
    assert written.spans == ()


def test_the_sdk_switched_off_gives_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    written = Written()
    span = written.tracer.start("publish", root=bundle_context(b"h" * 32))
    assert span.context is None
    span.end(code="x")


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "guns")
    written = Written()
    written.tracer.start("publish").end()
    attributes = written.one("publish").resource.attributes
    assert attributes["service.name"] == "guns"
    assert attributes["cgi.agency"] == "JCF"


# --- off --------------------------------------------------------------------------------------------------------------

OFF = """
import sys
import hub.app.site, hub.app.router, hub.app.publish, hub.app.client
import connectors.csv_file, connectors.jsonl_sink, connectors.sqlite_sink, connectors.webhook_sink, connectors.folder
found = sorted(name for name in sys.modules if name.startswith("opentelemetry"))
assert not found, found
"""

MISSING = """
import sys
sys.modules["opentelemetry"] = None
from hub.errors import ConfigError
try:
    import hub.adapters.otel
except ConfigError as error:
    assert error.code == "traces.not_installed", error.code
    print(error.message)
"""


@pytest.fixture
def python() -> Callable[[str], subprocess.CompletedProcess[str]]:
    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)

    return run


def test_off_imports_nothing(python: Any) -> None:
    ended = python(OFF)
    assert ended.returncode == 0, ended.stderr


def test_on_and_not_installed_says_what_to_install(python: Any) -> None:
    ended = python(MISSING)
    assert "pip install cgi-hub[traces]" in ended.stdout, ended.stderr


# --- to a collector ---------------------------------------------------------------------------------------------------


class Collector(BaseHTTPRequestHandler):
    taken: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.taken.append((self.path, gzip.decompress(body) if self.headers.get("content-encoding") else body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def test_over_otlp_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        tracer = open_tracer(role="site", agency="JCF", process="site/0")
        tracer.start("publish", event_type="trace.request").end()
        tracer.close()
        server.shutdown()
    [(path, body)] = Collector.taken
    assert path == "/v1/traces"
    for part in (b"publish", b"cgi-hub-site", b"trace.request", b"site/0"):
        assert part in body


async def test_a_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:  # bound, and never listening
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        tracer = open_tracer(role="site", agency="JCF", process="site/0")
        net = Net()
        async with asyncio.timeout(30), net.publisher(tracer=tracer) as publisher:
            for number in range(3_000):  # more than the SDK's queue takes
                tracer.start("open", events=number).end()
            await publisher.publish_many([(trace(number), None) for number in range(100)])
            await publisher.drain()
        began = time.monotonic()
        tracer.close()
        assert time.monotonic() - began < 20  # 3 s, on a machine that does other things too
    for thread in threading.enumerate():  # its retries draw random numbers, which other tests' seeds do not expect
        if thread is not threading.main_thread() and ("traces" in thread.name or "Otel" in thread.name):
            await asyncio.to_thread(thread.join, 60)


async def test_off_runs_nothing_of_it() -> None:
    """By profile: with no tracer no function of the traces' modules is called, on the whole way."""
    net, profile = Net(), cProfile.Profile()
    profile.enable()
    async with net.publisher() as publisher:
        await publisher.publish_many([(trace(number), str(number)) for number in range(20)])
        await publisher.drain()
    await net.route()
    await net.receive(ListSink())
    profile.disable()
    called = {str(entry.code.co_filename) for entry in profile.getstats() if hasattr(entry.code, "co_filename")}
    assert any(name.endswith("hub/client/publisher.py") for name in called)
    for module in ("spans.py", "publisher_trace.py", "otel.py"):
        assert not any(name.endswith(f"/{module}") for name in called), module
