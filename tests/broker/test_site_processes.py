"""A whole way with the commands that an operator and two agencies run: publish, route, receive, explain, stop."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hub.model import HUB
from tests.support.authority import World
from tests.support.broker import Broker
from tests.support.deployment import HUB_COMMAND, Deployment, wait_ready

pytestmark = pytest.mark.broker

EXAMPLE = Path(__file__).parents[2] / "schemas/examples/trace.request/valid/legible-pistol.json"

RELEASE = """
agency: JCF
allow:
  - rule: ATF traces for us
    types: [trace.request]
    to: [ATF, RSS]
    compartments: [core, personal, sensitive]
"""


def hub(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HUB_COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def wait_for(done: Callable[[], object], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)


@pytest.fixture
def deployment(broker: Broker, tmp_path: Path) -> Iterator[Deployment]:
    world = World.of("JCF", "ATF", "RSS", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "trace.request")
    world.agree("JCF", "RSS", "trace.request")
    deployment = Deployment(tmp_path / "deployment", broker, world)
    deployment.subscribe("ATF", ["trace.request"])
    deployment.subscribe("RSS", ["seizure.report"])
    deployment.subscribe("JCF", ["trace.result"])
    try:
        yield deployment
    finally:
        deployment.stop()


def write_rows(path: Path, count: int, *, bad: int | None = None) -> None:
    """``count`` documents, told apart by their case number; row ``bad`` has a field that the schema does not know."""
    lines = []
    for number in range(count):
        document = json.loads(EXAMPLE.read_text())
        document["body"]["header"]["originator_case_ref"] = f"KGN/2026/{number:05}"
        if number == bad:
            document["body"]["serail"] = "typo"
        lines.append(json.dumps(document))
    path.write_text("\n".join(lines) + "\n")


def test_from_a_file_to_a_file(deployment: Deployment) -> None:
    sink = '[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n'
    jcf = deployment.site_config("JCF", release=RELEASE)
    atf = deployment.site_config("ATF", tables=sink)
    rss = deployment.site_config("RSS", tables=sink)
    checked = hub("site", "check", "--config", atf)
    assert checked.returncode == 0, checked.stderr
    assert "ok  directory     version" in checked.stdout

    router = deployment.start("router", "run", "--config", deployment.router_config())
    sites = [deployment.start("site", "run", "--config", config) for config in (atf, rss)]
    wait_ready(deployment.folder / HUB / "router.state")
    address = wait_ready(atf.parent / "state")
    wait_ready(rss.parent / "state")

    # --- publish: one row is refused, mended, and published again
    file = deployment.folder / "register.jsonl"
    write_rows(file, 20, bad=7)
    first = hub("publish", file, "--config", jcf, "--json")
    assert first.returncode == 1, first.stderr
    counts = json.loads(first.stdout)
    assert counts.pop("waiting_records") == counts.pop("waiting_events") == 0
    assert counts == {"published": 19, "duplicates": 0, "rejected_rows": 1}
    assert "serail" in Path(f"{file}.rejected.jsonl").read_text()
    write_rows(file, 20)
    second = hub("publish", file, "--config", jcf)
    assert second.returncode == 0, second.stderr
    assert second.stdout == "1 published, 19 were published before, 0 rows rejected\n"

    # --- receive: each once, and who asked for nothing gets nothing
    received = atf.parent / "received.jsonl"
    wait_for(lambda: received.exists() and len(received.read_text().splitlines()) >= 20)
    events = [json.loads(line) for line in received.read_text().splitlines()]
    assert {e["body"]["header"]["originator_case_ref"] for e in events} == {f"KGN/2026/{n:05}" for n in range(20)}
    assert len(events) == 20
    withheld = {(e["publisher"], tuple(e["withheld"])) for e in events}
    assert withheld == {("JCF", ("affiliation",))}, "the release does not name it"
    metrics = httpx.get(f"http://{address}/metrics").text
    assert 'outcome="written"' in metrics
    assert "cgi_end_to_end_age_seconds_count" in metrics

    # --- explain: RSS is told what it did not get and why, and can check the hub's word
    told = f"http://{(rss.parent / 'state/metrics.address').read_text().strip()}/metrics"
    wait_for(lambda: 'cgi_missing_records{explained="yes",publisher="JCF"}' in httpx.get(told).text)
    assert 'cgi_missing_records{explained="no",publisher="JCF"} 0.0' in httpx.get(told).text
    notices = [json.loads(line) for line in (rss.parent / "received.jsonl").read_text().splitlines()]
    assert {(e["publisher"], e["type"]) for e in notices} == {("HUB", "hub.notice")}
    ranges = [(e["body"]["instance"], each) for e in notices for each in e["body"]["ranges"]]
    # Other tests' bundles for RSS stand on the session's broker too, and were denied for other reasons.
    instance, one = next((i, each) for i, each in ranges if each["code"] == "subscription.labels")
    stub = deployment.folder / "stub"
    entry = ["--publisher", "JCF", "--instance", instance, "--to", "RSS", "--seq", one["last"]]
    router_config = deployment.folder / HUB / "router.toml"
    made = hub("router", "stub", "--config", router_config, *entry, "--out", stub)
    assert made.returncode == 0, made.stderr
    verified = hub("site", "verify-stub", stub, "--config", rss)
    assert verified.returncode == 0, verified.stderr
    assert f"number        {one['last']}" in verified.stdout
    assert "no, subscription.labels" in verified.stdout
    deployment.subscribe("RSS", ["trace.request"])
    assert hub("site", "verify-stub", stub, "--config", rss).returncode == 1  # by what it asks for now, it should come
    assert hub("site", "verify-stub", stub, "--config", atf).returncode == 1  # it is not ATF's
    never = hub("router", "stub", "--config", router_config, *entry[:-1], 10_000, "--out", stub)
    assert (never.returncode, "stub.not_found" in never.stderr) == (1, True)

    # --- stop: cleanly, with exit code 0
    for process in (router, *sites):
        process.terminate()
    assert [process.wait(20) for process in (router, *sites)] == [0, 0, 0], deployment.logs()
