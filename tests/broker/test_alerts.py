"""A subscriber stops, and a real Prometheus and Alertmanager tell a webhook. It starts: they tell that it is over."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from deploy.demo.monitoring import RULES, Monitoring, is_installed
from deploy.demo.service import Service
from deploy.grafana.__main__ import rendered
from hub.model import HUB
from tests.support.authority import World
from tests.support.broker import Broker, running_broker
from tests.support.deployment import HUB_COMMAND, Deployment

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not is_installed(), reason="Prometheus or Alertmanager is not installed: make setup-observability"
    ),
]

EXAMPLE = Path(__file__).parents[2] / "schemas/examples/trace.request/valid/legible-pistol.json"
RELEASE = """
agency: JCF
allow:
  - rule: ATF traces for us
    types: [trace.request]
    to: [ATF]
    compartments: [core, personal, sensitive]
"""
SECONDS = 90.0
"""How long anything may take. Nothing rests on it being long or short."""

GONE = {"alertname": "ReaderGone", "group": "ATF.site", "topic": "deliver.ATF"}
DOWN = {"alertname": "ProcessDown", "instance": "ATF", "agency": "ATF", "role": "site"}


def wait_for(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.2)


class Webhook:
    """Keeps what Alertmanager tells: (status, labels) of each alert, in order."""

    def __init__(self) -> None:
        told: list[tuple[str, dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend((alert["status"], alert["labels"]) for alert in message["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.told = told
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def last(self, wanted: dict[str, str]) -> str | None:
        """What was said last of the alert with these labels."""
        return next((status for status, labels in reversed(self.told) if wanted.items() <= labels.items()), None)


def quickened(folder: Path, webhook: str) -> Path:
    """deploy/prometheus as it is, but that it waits for nothing, looks every second, and tells ``webhook``."""
    shutil.copytree(RULES, folder)
    changed = 0
    for path in folder.glob("rules/*.yml"):
        text, count = re.subn(r"(?m)^( +for:) \d+[smh]$", r"\1 0s", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        changed += count
    assert changed > 20
    path = folder / "prometheus.yml"
    text, count = re.subn(r"(?m)^( +(?:scrape|evaluation)_interval:) 15s$", r"\1 1s", path.read_text(encoding="utf-8"))
    assert count == 2
    path.write_text(text, encoding="utf-8")
    path = folder / "alertmanager.yml"
    text = path.read_text(encoding="utf-8").replace("group_wait: 30s", "group_wait: 0s")
    form: dict[str, Any] = yaml.safe_load(text.replace("group_interval: 5m", "group_interval: 1s"))
    assert (form["route"]["group_wait"], form["route"]["group_interval"]) == ("0s", "1s")
    for receiver in form["receivers"]:
        receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    path.write_text(yaml.safe_dump(form), encoding="utf-8")
    return folder


@dataclass
class Stack:
    """A router, ATF's site, the exporter and what watches them."""

    deployment: Deployment
    services: dict[str, Service]
    monitoring: Monitoring
    webhook: Webhook
    jcf: Path

    def publish(self, first: int, count: int) -> None:
        file = self.deployment.folder / f"register-{first}.jsonl"
        lines = []
        for number in range(first, first + count):
            document = json.loads(EXAMPLE.read_text(encoding="utf-8"))
            document["body"]["header"]["originator_case_ref"] = f"KGN/2026/{number:05}"
            lines.append(json.dumps(document) + "\n")
        file.write_text("".join(lines), encoding="utf-8")
        command = [*HUB_COMMAND, "publish", str(file), "--config", str(self.jcf)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr

    def received(self) -> int:
        path = self.deployment.folder / "ATF" / "received.jsonl"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0

    def start(self, name: str) -> None:
        self.services[name].start()
        self.services[name].wait_ready(SECONDS)

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        url = f"http://{self.monitoring.addresses['prometheus']}/api/v1/query"
        answer = httpx.get(url, params={"query": expr}).raise_for_status().json()
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def value(self, expr: str) -> float | None:
        found = self.query(expr)
        return found[0][1] if found else None

    def shows(self, *exprs: str) -> bool:
        """Whether any of the queries has an answer that is not empty. All of them are asked, and taken."""
        return bool([found for expr in exprs for found in self.query(expr)])

    def firing(self, wanted: dict[str, str]) -> bool:
        matchers = ",".join(f'{name}="{value}"' for name, value in wanted.items())
        return bool(self.query(f'ALERTS{{alertstate="firing",{matchers}}}'))


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running_broker(tmp_path_factory.mktemp("alerts")) as broker:
        yield broker


@pytest.fixture
def stack(own_broker: Broker, tmp_path: Path) -> Iterator[Stack]:
    world = World.of("JCF", "ATF", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "trace.request")
    deployment = Deployment(tmp_path / "deployment", own_broker, world)
    deployment.subscribe("ATF", ["trace.request"])
    deployment.subscribe("JCF", ["trace.result"])
    tls = own_broker.client_files("exporter")
    exporter = deployment.folder / "exporter.toml"
    exporter.write_text(
        f'state = "exporter.state"\ninterval = 1\n[kafka]\nbootstrap = "{own_broker.bootstrap}"\n'
        f'ca = "{tls.ca}"\ncertificate = "{tls.certificate}"\nkey = "{tls.key}"\n'
    )
    jcf = deployment.site_config("JCF", release=RELEASE)
    atf = deployment.site_config("ATF", tables='[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n')
    router = deployment.router_config()

    def service(name: str, role: str, config: Path, state: Path) -> Service:
        arguments = (role, "run", "--config", str(config))
        return Service(name, arguments, deployment.folder / f"{name}.log", state / "metrics.address")

    services = {
        "router": service("router", "router", router, deployment.folder / HUB / "router.state"),
        "ATF": service("ATF", "site", atf, atf.parent / "state"),
        "exporter": service("exporter", "exporter", exporter, deployment.folder / "exporter.state"),
    }
    with contextlib.ExitStack() as ends:
        webhook = Webhook()
        ends.callback(webhook.close)
        monitoring = Monitoring(tmp_path / "prometheus", quickened(tmp_path / "rules", webhook.url))
        stack = Stack(deployment, services, monitoring, webhook, jcf)
        for name, each in services.items():
            ends.callback(each.stop)
            stack.start(name)
        ends.callback(monitoring.stop)
        monitoring.start(services)
        yield stack


QUIET = frozenset(
    """
    Agencies heard in 24 h|Silent agencies|Processes that do not answer|Refused in 24 h|Refused, by code|Late, 6 h
    Last heard|Last event sent|Denied, by reason|Not delivered, by recipient and reason|Told as not delivered
    Told as not delivered, 24 h|Gaps that nobody explains|Open gaps, by originator|Oldest record in an outbox
    Events that wait, by reader|How long what is next has waited|Oldest record in its outbox
    Rows that its sources read|Its records that others refused|Refused here, by originator and code|Alerts about it
    Time used up by what is unread|Something outside was not there|Subscriptions refused|The part that is late
    Age on the recipient's topic|Events that it cannot seal|Cluster behind the directory
    Partitions that are held, by code|Alerts that fire
    """.replace("|", "\n").splitlines()
)
"""Panels that may be empty while all is well, or for the first minutes."""


def panels() -> Iterator[tuple[str, str, str]]:
    """Each panel's title, and each of its queries, over a minute: for who gets, and for who sends."""
    values = {"publisher": ".*", "recipient": ".*", "instance": ".*", "__rate_interval": "1m"}
    for text in rendered().values():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", ()):
                get, send = (
                    re.sub(r"\$(\w+)", lambda found, given=given: given[found[1]], target["expr"])
                    for given in (values | {"agency": "ATF"}, values | {"agency": "JCF"})
                )
                yield panel["title"], get, send


def test_a_subscriber_stops_and_starts(stack: Stack) -> None:
    lag = 'cgi_group_lag_records{group="ATF.site", topic="deliver.ATF"}'
    age = 'cgi_group_lag_seconds{group="ATF.site", topic="deliver.ATF"}'

    # --- all runs: events arrive, nothing waits, nobody is told anything of ATF
    stack.publish(0, 2)
    wait_for(lambda: stack.received() == 2, stack.deployment.logs())
    wait_for(lambda: stack.value("sum(up)") == 3, "not every process is scraped")
    wait_for(lambda: stack.query('cgi_events_total{outcome="written"}'), "Prometheus never saw the first events")
    stack.publish(2, 1)  # an increase needs a counter that was there before
    wait_for(lambda: stack.received() == 3, stack.deployment.logs())
    wait_for(lambda: stack.value(lag) == 0, "the exporter never said that ATF has read everything")
    wait_for(lambda: not stack.firing(GONE) and not stack.firing(DOWN), "alerts before anything happened")
    assert stack.value(age) == 0
    assert {labels["agency"] for labels, _ in stack.query('up{role="exporter"}')} == {HUB}
    before = stack.services["ATF"].address

    # --- every query of the dashboards is answered, and what should show something does
    quiet = {title.strip() for title in QUIET}
    wait_for(lambda: stack.query("group:cgi_lag_seconds:max"), "the rules are not evaluated")
    for title, get, send in panels():
        if title in quiet:
            stack.shows(get, send)
        else:
            wait_for(lambda get=get, send=send: stack.shows(get, send), f"{title} shows nothing: {get}")

    # --- the site stops, and more is published: it cannot say so itself
    stack.services["ATF"].stop()
    stack.publish(3, 3)
    wait_for(lambda: stack.webhook.last(GONE) == "firing", f"nobody was told: {stack.webhook.told}")
    wait_for(lambda: stack.webhook.last(DOWN) == "firing", f"nobody was told: {stack.webhook.told}")
    assert (stack.value(lag) or 0) >= 1
    wait_for(lambda: (stack.value(age) or 0) > 1, "what waits does not grow old")
    assert stack.value('cgi_group_members{group="ATF.site", topic="deliver.ATF"}') == 0
    assert (stack.value(age) or 0) < 2 * SECONDS
    assert stack.received() == 3

    # --- it starts again, on another port: Prometheus follows, everything arrives, and it is over
    stack.start("ATF")
    stack.monitoring.show_targets(stack.services)
    wait_for(lambda: stack.webhook.last(GONE) == "resolved", f"it is not over: {stack.webhook.told}")
    wait_for(lambda: stack.webhook.last(DOWN) == "resolved", f"it is not over: {stack.webhook.told}")
    assert stack.services["ATF"].address != before
    assert stack.received() == 6
    assert stack.value(lag) == 0
