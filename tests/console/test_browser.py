"""The console in a real Chromium: every page, every action, two roles, keyboard, phone, accessibility, hostile texts.

`make setup-console` gets what is needed; without it these tests are skipped. The screenshots of docs/console are made
here: `CGI_HUB_SCREENSHOTS=1 pytest tests/console/test_browser.py -k screenshots`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from hub.console.audit import parse_entry
from hub.console.facts import Reading
from hub.topics import AUDIT, QUARANTINE, RETRY
from tests.console.conftest import AXE, CHROMIUM, Running
from tests.console.people import Pair
from tests.console.stage import HOSTILE, Stage
from tests.support.authority import NOW_MS

SHOTS = Path(__file__).parents[2] / "docs/console"
PAGES = (
    "exchange",
    "agencies",
    "agencies/JCF",
    "agreements",
    "agreements/TTPS/CCGIU",
    "quarantine",
    "quarantine/0-0",
    "directory",
    "health",
    "audit",
)
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def browser(needs_browser: Callable[[], None]) -> Iterator[Browser]:
    needs_browser()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, needs_browser: Callable[[], None]) -> Iterator[Running]:
    """A console whose agencies, publishers and sites put markup and script into all that they control."""
    needs_browser()
    stage = Stage(tmp_path_factory.mktemp("hostile"), hostile=True)
    with stage.running() as url:
        found = Running(stage, url)
        yield found
        found.close()


class Looking:
    """A browser's window as somebody, which notes every error of the page and every broken rule of its policy."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.errors: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"a dialog: {dialog.message}"))

    def at(self, path: str) -> Page:
        self.page.goto(f"{self.url}/{path}", wait_until="load")
        return self.page


@contextmanager
def looking(browser: Browser, running: Running, pair: Pair, **settings: Any) -> Iterator[Looking]:
    certificate = {"origin": running.url, "certPath": str(pair.certificate), "keyPath": str(pair.key)}
    context = browser.new_context(
        client_certificates=[certificate],  # type: ignore[list-item]
        ignore_https_errors=True,  # the server's CA is the test's own; clients that check it: test_web.py
        **{"viewport": LAPTOP, "locale": "en-GB", **settings},
    )
    try:
        yield Looking(context, running.url)
    finally:
        context.close()


def broken_rules(page: Page) -> list[str]:
    """What axe-core finds, each with the element."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(
    ("scheme", "size", "locale"), [("light", LAPTOP, "en-GB"), ("dark", PHONE, "fr-FR"), ("light", PHONE, "es-DO")]
)
def test_every_page_is_accessible_fits_and_says_no_error(
    browser: Browser, shared: Running, scheme: str, size: dict[str, int], locale: str
) -> None:
    with looking(browser, shared, shared.operator, color_scheme=scheme, viewport=size, locale=locale) as look:
        for path in PAGES:
            page = look.at(path)
            assert page.evaluate("document.documentElement.lang") == locale[:2]
            assert page.locator("h1").count() == 1
            assert broken_rules(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert look.errors == []


def test_what_agencies_write_stays_text(browser: Browser, hostile: Running) -> None:
    with looking(browser, hostile, hostile.operator) as look:
        seen = 0
        for path in (*PAGES, "quarantine?show=all", "quarantine/0-3", f"quarantine?code={HOSTILE}&publisher={HOSTILE}"):
            page = look.at(path)
            page.wait_for_load_state("networkidle") if path.startswith("quarantine/") else None
            body = page.locator("body").inner_text()
            seen += HOSTILE[:60] in body
            assert "owned" not in page.title()
            assert page.locator("main script, main img, main iframe, main [onerror], main style").count() == 0
            assert "49" not in [word.strip("&'\"") for word in body.split()]
        assert seen >= 9  # it is shown, as what it is
        assert look.errors == []


def test_hostile_reasons_of_operators_stay_text_too(browser: Browser, running: Running) -> None:
    with looking(browser, running, running.operator) as look:
        page = look.at("quarantine/0-1")
        discard = page.locator("form[action$=discard]")
        discard.get_by_role("textbox").fill(HOSTILE)
        discard.get_by_role("button").click()
        expect(page.locator("main")).to_contain_text(HOSTILE[:60])
        look.at("audit")
        expect(page.locator("main")).to_contain_text(HOSTILE[:60])
        assert page.locator("main script, main img").count() == 0
        assert look.errors == []


def test_an_operator_retries_discards_and_hands_back(browser: Browser, running: Running) -> None:
    broker = running.stage.broker
    with looking(browser, running, running.operator) as look:
        page = look.at("quarantine")
        page.get_by_role("link", name="flush.from_future").first.click()
        page.get_by_role("row").nth(1).get_by_role("rowheader").get_by_role("link").click()
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("status")).to_contain_text("Given to the routers again")
        assert [record.value for record in broker.records(RETRY)] == [broker.records(QUARANTINE)[0].value]

        look.at("quarantine/0-1")
        page.get_by_role("button", name="Discard").click()  # without a reason the browser asks for it
        assert not page.locator("form[action$=discard] input[name=reason]").evaluate("it => it.checkValidity()")
        page.get_by_label("Reason (needed)").fill("a test")
        page.get_by_role("button", name="Discard").click()
        expect(page.get_by_role("status")).to_contain_text("Discarded")

        look.at("quarantine/0-2")
        with page.expect_download() as download:
            page.get_by_role("button", name="Hand back to the originator").click()
        assert download.value.suggested_filename == "quarantine-0-2-limit.exceeded.qua"
        assert download.value.path().read_bytes() == broker.records(QUARANTINE)[2].value

        look.at("audit")
        expect(page.locator("tbody tr")).to_have_count(3)
        expect(page.locator("main")).to_contain_text("the chain holds")
        assert look.errors == []
    assert [parse_entry(record.value).who for record in broker.records(AUDIT)] == [
        "Operations desk (Hub operations)"
    ] * 3


def test_a_viewer_sees_everything_and_no_button(browser: Browser, shared: Running) -> None:
    with looking(browser, shared, shared.viewer) as look:
        for path in PAGES:
            page = look.at(path)
            expect(page.locator("h1")).to_be_visible()
            assert page.get_by_role("button").count() == 0
        page = look.at("quarantine/0-0")
        expect(page.locator("main")).to_contain_text("Only an operator may decide")


def test_a_stranger_sees_nothing(browser: Browser, shared: Running) -> None:
    with looking(browser, shared, shared.nobody) as look:
        assert look.page.goto(f"{shared.url}/exchange").status == 403  # type: ignore[union-attr]
        assert "JCF" not in look.page.content()
    context = browser.new_context(ignore_https_errors=True)
    with pytest.raises(Exception, match=r"ERR_BAD_SSL_CLIENT_AUTH_CERT|ERR_SSL|ERR_"):
        context.new_page().goto(f"{shared.url}/exchange")
    context.close()


def test_a_page_renews_itself_and_says_when_it_no_longer_does(browser: Browser, running: Running) -> None:
    stage = running.stage

    async def read(value: Any) -> None:
        facts = stage.watch.facts
        stage.watch.facts = replace(facts, alerts=value)
        await stage.watch.look("audit")  # wakes those who wait

    with looking(browser, running, running.viewer) as look:
        page = look.at("exchange")
        alerts = page.locator(".figures li", has_text="alerts firing")
        expect(alerts).to_contain_text("1")
        page.locator("a.refresh").focus()
        stage.call(read(Reading((), NOW_MS)))
        expect(alerts).to_contain_text("0", timeout=15_000)
        assert page.evaluate("document.activeElement.className") == "refresh"  # what had the focus keeps it
        stage.call(read(Reading((), NOW_MS - 60_000, "prometheus.unavailable", "it does not answer")))
        expect(page.locator(".old")).to_contain_text("Alerts: it does not answer", timeout=15_000)

        watch = page.locator(".stopped-watch")
        expect(watch).to_be_hidden()
        page.evaluate("document.getAnimations().forEach(it => it.finish())")  # 25 seconds without a renewal
        expect(watch).to_be_visible()
        assert look.errors == []


def test_it_works_without_javascript(browser: Browser, running: Running) -> None:
    with looking(browser, running, running.operator, java_script_enabled=False) as look:
        for path in PAGES:
            expect(look.at(path).locator("h1")).to_be_visible()
        page = look.at("quarantine/0-0")
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("status")).to_contain_text("Given to the routers again")
        page.get_by_role("link", name="Français").click()
        expect(page.locator("h1")).to_contain_text("Enregistrement refusé")


def test_it_works_by_keyboard(browser: Browser, running: Running) -> None:
    with looking(browser, running, running.operator) as look:
        page = look.at("exchange")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")

        look.at("quarantine/0-1")
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('form[action$=discard] input[name=reason]')"):
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.type("by keyboard")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Discarded")


def test_the_map_leads_to_agencies_and_pairs(browser: Browser, shared: Running) -> None:
    with looking(browser, shared, shared.viewer) as look:
        page = look.at("exchange")
        page.locator(".map .node", has_text="JCF").first.click()
        page.wait_for_url("**/agencies/JCF")
        look.at("exchange")
        page.locator(".map a[href='/agreements/HNP/CCGIU'] .cross").click(force=True)
        page.wait_for_url("**/agreements/HNP/CCGIU")


SHOWN = {
    "exchange": ("exchange", "light", LAPTOP),
    "exchange-dark": ("exchange", "dark", LAPTOP),
    "exchange-phone": ("exchange", "light", PHONE),
    "agency": ("agencies/JCF", "light", LAPTOP),
    "agreements": ("agreements", "light", LAPTOP),
    "pair": ("agreements/TTPS/CCGIU", "light", LAPTOP),
    "quarantine": ("quarantine", "light", LAPTOP),
    "record": ("quarantine/0-0", "light", LAPTOP),
    "directory": ("directory", "light", LAPTOP),
    "health": ("health", "dark", LAPTOP),
}


def test_the_screenshots_of_the_guide(browser: Browser, shared: Running, tmp_path: Path) -> None:
    """Made anew each time; they replace those of docs/console where CGI_HUB_SCREENSHOTS asks for it."""
    folder = SHOTS if os.environ.get("CGI_HUB_SCREENSHOTS") == "1" else tmp_path
    folder.mkdir(exist_ok=True)
    for name, (path, scheme, size) in SHOWN.items():
        with looking(browser, shared, shared.operator, color_scheme=scheme, viewport=size) as look:
            look.at(path).screenshot(path=folder / f"{name}.png", full_page=size is LAPTOP)
    for name, (_, _, size) in SHOWN.items():
        assert struct.unpack(">I", (SHOTS / f"{name}.png").read_bytes()[16:20])[0] == size["width"]
    assert {path.stem for path in SHOTS.glob("*.png")} == set(SHOWN)
