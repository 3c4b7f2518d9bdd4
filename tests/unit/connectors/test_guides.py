"""The guides' own text is run: the connector of forty lines, the whole profile, the check of a webhook."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from connectors.mapping.mapper import Mapper
from connectors.mapping.profile import parse_profile
from connectors.toolkit import Connector, Taken, errors, run
from connectors.toolkit.lined_yaml import LinedYaml
from connectors.toolkit.testkit import check_source
from connectors.webhook_sink import sign
from tests.support.opened import connector_context
from tests.support.samples import catalog

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
CONNECTOR = (GUIDES / "write-a-connector.md").read_text("utf-8")
PROFILES = (GUIDES / "mapping-profiles.md").read_text("utf-8")


def block(text: str, language: str, number: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[number]


async def test_the_connector_of_forty_lines_keeps_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BATCH", 2)
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(block(CONNECTOR, "python"), "write-a-connector.md", "exec", dont_inherit=True), names)
    path = tmp_path / "register.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE stolen (id INTEGER PRIMARY KEY, serial, make, calibre, type, stolen_on)")
        rows = [(n, f"BKT48{n}", "GLOCK", "9mm", "PI", "2025-04-03" if n != 3 else "3 April") for n in range(1, 5)]
        connection.executemany("INSERT INTO stolen VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    made = names["connector"]
    assert isinstance(made, Connector)
    context = connector_context(tmp_path)
    await check_source(
        lambda: made.make(names["RegisterSettings"](path=path), context), tmp_path, events=3, refused_rows=1
    )
    assert len(block(CONNECTOR, "python").splitlines()) < 70


def test_the_whole_profile_reads_its_file() -> None:
    document = LinedYaml(block(PROFILES, "yaml"), "mapping-profiles.md")
    mapper = Mapper(parse_profile(document), document, catalog())
    units = list(mapper.read(block(PROFILES, "csv").encode("cp1252"), Path("r")))
    first, second = (unit.event for unit in units if isinstance(unit, Taken))
    assert first.body["firearm"]["serial_raw"] == " bkt-482"
    assert first.body["date"] == "2024-04-03"
    assert second.priority.value == "URGENT"
    assert second.body["kind"] == "LOST"
    assert second.body["firearm"]["serial_status"] == "OBLITERATED"
    assert second.body["firearm"]["make_text"] == "UNKNOWN"
    assert second.body["firearm"]["barrel_mm"] == 1020


def test_the_check_of_a_webhook_takes_what_the_sink_signs() -> None:
    names: dict[str, Any] = {"base64": base64, "hashlib": hashlib, "hmac": hmac}
    exec(compile(block(CONNECTOR, "python", 2), "write-a-connector.md", "exec", dont_inherit=True), names)
    headers = {
        "webhook-id": "JCF.1",
        "webhook-timestamp": "1000",
        "webhook-signature": "v1,AAAA " + sign(b"k" * 32, "JCF.1", "1000", b"{}"),
    }
    assert names["is_genuine"](b"k" * 32, headers, b"{}", 1100.0)
    assert not names["is_genuine"](b"k" * 32, headers, b"{ }", 1100.0)
    assert not names["is_genuine"](b"k" * 32, headers, b"{}", 1400.0)


def test_every_code_of_a_row_or_a_file_stands_in_the_guide() -> None:
    codes = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and hasattr(kind, "code") and kind.code.startswith(("row.", "file."))
    }
    bases = {"row.rejected", "file.rejected"}
    assert sorted(code for code in codes - bases if f"`{code}`" not in PROFILES) == []


@pytest.mark.parametrize("name", ["etrace-register", "seizure-register", "stolen-firearms", "export-screening"])
def test_the_shipped_profiles_are_named(name: str) -> None:
    assert f"`{name}`" in PROFILES


def test_the_examples_of_csv_are_csv() -> None:
    assert {len(row) for row in csv.reader(block(PROFILES, "csv").splitlines(), delimiter=";")} == {10}
