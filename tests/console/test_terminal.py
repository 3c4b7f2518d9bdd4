"""The pages in a terminal: the same facts, and nothing that an agency wrote can move the cursor or colour a line."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from hub.console.audit import AuditTrail
from hub.console.facts import Facts, Reading
from hub.console.pages import Page
from hub.console.platform_views import audit_page, directory_page, health_page
from hub.console.quarantine import quarantine_page, read_held
from hub.console.terminal import plain, print_page
from hub.console.views import (
    agencies_page,
    agency_page,
    agreements_page,
    exchange_page,
    pair_page,
)
from tests.console.stage import HOSTILE, make_facts, quarantine_records
from tests.support.authority import NOW_MS


def every_page(facts: Facts, records: list[bytes]) -> list[Page]:
    held = tuple(read_held(0, number, NOW_MS, raw) for number, raw in enumerate(records))
    facts = replace(facts, quarantine=Reading(held, NOW_MS), audit=Reading(AuditTrail(faults=(HOSTILE,)), NOW_MS))
    return [
        exchange_page(facts, NOW_MS),
        agencies_page(facts, NOW_MS),
        agency_page(facts, "JCF", NOW_MS),
        agreements_page(facts, NOW_MS),
        pair_page(facts, "JCF", "ATF", NOW_MS),
        quarantine_page(facts, NOW_MS),
        directory_page(facts, NOW_MS),
        health_page(facts, NOW_MS),
        audit_page(facts, NOW_MS),
    ]


def shown(page: Page) -> str:
    out = io.StringIO()
    print_page(page, Console(file=out, width=400, force_terminal=False, color_system=None))
    return out.getvalue()


def test_every_page_says_the_same_as_the_web() -> None:
    exchange, agencies, agency, agreements, pair, quarantine, directory, health, _ = map(
        shown, every_page(make_facts(), quarantine_records())
    )
    assert re.search(r"JCF +ATF +flowing +14 +1.4 s +4 s ago", exchange)
    assert "agreement.ended MOU HNP-CCGIU" in exchange
    assert re.search(r"HNP +the agency HNP +active +down", agencies)
    assert re.search(r"JCF +ATF +tracing-1 +False +1 +2", agency)
    assert "ended" in agreements
    assert "subscription.asked" in pair
    assert re.search(r"0-0 .* TTPS +flush.from_future +9.1, 3", quarantine)
    assert "Custodian of Jamaica (targets)" in directory
    assert "TTPS lists a new signing key" in directory
    assert re.search(r"router-old +silent", health)
    assert "As of 2026-11-30 00:53:20 UTC." in health


def test_a_source_that_does_not_answer_is_said() -> None:
    facts = replace(make_facts(), metrics=Reading(code="prometheus.unavailable", message="it does not answer"))
    assert "Prometheus: it has not answered yet" in shown(exchange_page(facts, NOW_MS))
    old = replace(make_facts(), alerts=Reading((), NOW_MS - 90_000, "prometheus.unavailable", "gone"))
    assert "Alerts: it does not answer. What is shown is from 1 min 30 s ago." in shown(health_page(old, NOW_MS))


@pytest.mark.parametrize(
    "text",
    ["[red]x[/red]", "[link=https://evil.example]x[/link]", "a\x1b[2Jb", "a\x9b31mb", "\u202eabc"],
)
def test_what_an_agency_wrote_is_plain_text(text: str) -> None:
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="truecolor", width=80).print(plain(text))
    said = out.getvalue().rstrip("\n")
    assert "\x1b" not in said
    assert "\x9b" not in said
    assert "\u202e" not in said
    assert ("[" in text and "\x1b" not in text) <= (text == said)


def test_hostile_texts_on_every_page() -> None:
    for page in every_page(make_facts(hostile=True), quarantine_records(hostile=True)):
        shown(page)
