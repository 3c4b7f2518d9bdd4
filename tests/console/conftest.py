"""Fixtures of the console's tests: a running console with certificates, and a real Chromium where there is one."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.console.people import NOBODY, OPERATOR, VIEWER, Pair
from tests.console.stage import Stage


class Running:
    """A console that is served, and how to reach it as somebody."""

    def __init__(self, stage: Stage, url: str) -> None:
        self.stage = stage
        self.url = url
        self.viewer = stage.authority.issue(VIEWER)
        self.operator = stage.authority.issue(OPERATOR)
        self.nobody = stage.authority.issue(NOBODY)
        self._clients: list[httpx.Client] = []

    def client(self, pair: Pair | None, **headers: str) -> httpx.Client:
        """A client that shows this certificate, or none."""
        context = ssl.create_default_context(cafile=str(self.stage.authority.ca))
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        client = httpx.Client(verify=context, base_url=self.url, headers=headers, trust_env=False, timeout=20)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A console of a test's own."""
    stage = Stage(tmp_path)
    with stage.running() as url:
        found = Running(stage, url)
        yield found
        found.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A console for tests that change nothing: what they try is refused."""
    stage = Stage(tmp_path_factory.mktemp("shared"))
    with stage.running() as url:
        found = Running(stage, url)
        yield found
        found.close()


CHROMIUM = shutil.which("chromium")
VENDOR = Path(__file__).parents[2] / "hub/console/static/vendor/htmx.min.js"
AXE = Path(__file__).parents[2] / "build/console/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="session")
def needs_browser() -> Callable[[], None]:
    """Skips where Chromium, htmx or axe-core cannot be had: `make setup-console` gets them."""

    def check() -> None:
        for what, there in (("Chromium", CHROMIUM), ("htmx", VENDOR.exists()), ("axe-core", AXE.exists())):
            if not there:
                pytest.skip(f"{what} is not installed: make setup-console")

    return check
