"""deploy/demo/monitoring.py: what is scraped, and that both programs take deploy/prometheus as it is."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import httpx
import pytest

from deploy.demo.monitoring import Monitoring, is_installed, targets
from deploy.demo.service import Service
from deploy.demo.stack import _is_ours


def service(folder: Path, name: str, role: str, address: str) -> Service:
    file = folder / f"{name}.address"
    file.write_text(f"{address}\n")
    return Service(name, (role, "run"), folder / "log", file)


def test_each_process_has_its_lasting_labels(tmp_path: Path) -> None:
    services = {
        "router-1": service(tmp_path, "router-1", "router", "127.0.0.1:1"),
        "ATF": service(tmp_path, "ATF", "site", "127.0.0.1:2"),
        "exporter": service(tmp_path, "exporter", "exporter", "127.0.0.1:3"),
    }
    assert targets(services) == [
        {"targets": ["127.0.0.1:1"], "labels": {"instance": "router-1", "role": "router", "agency": "HUB"}},
        {"targets": ["127.0.0.1:2"], "labels": {"instance": "ATF", "role": "site", "agency": "ATF"}},
        {"targets": ["127.0.0.1:3"], "labels": {"instance": "exporter", "role": "exporter", "agency": "HUB"}},
    ]


@pytest.mark.skipif(not is_installed(), reason="Prometheus or Alertmanager is not installed: make setup-observability")
def test_they_start_with_our_rules_and_find_each_other(tmp_path: Path) -> None:
    monitoring = Monitoring(tmp_path / "prometheus")
    try:
        monitoring.start({"ATF": service(tmp_path, "ATF", "site", "127.0.0.1:9")})
        api = f"http://{monitoring.addresses['prometheus']}/api/v1"
        groups = httpx.get(f"{api}/rules").json()["data"]["groups"]
        assert {group["name"] for group in groups} >= {"cgi-process", "cgi-flow-alerts", "cgi-expiry", "cgi-objectives"}
        deadline = time.monotonic() + 20  # it looks at the files a moment after its start
        while not (found := _found(api)) or None in found:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert found == ("ATF", f"http://{monitoring.addresses['alertmanager']}/api/v2/alerts")
        assert all(_is_ours(pid) for pid in monitoring.pids.values())  # make down stops these
    finally:
        monitoring.stop()
    assert not any(_is_ours(pid) for pid in monitoring.pids.values())


def _found(api: str) -> tuple[str | None, str | None]:
    active = httpx.get(f"{api}/targets").json()["data"]["activeTargets"]
    managers = httpx.get(f"{api}/alertmanagers").json()["data"]["activeAlertmanagers"]
    return (
        active[0]["labels"]["instance"] if active else None,
        managers[0]["url"] if managers else None,
    )


def test_another_program_with_that_number_is_not_ours() -> None:
    with subprocess.Popen(["sleep", "30"]) as other:
        assert not _is_ours(other.pid)
        other.kill()
