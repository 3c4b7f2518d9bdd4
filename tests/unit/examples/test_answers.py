"""The answers of the demo: valid, in reply to what was asked, in the published proportions, always the same."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.jsonl_file import JsonlReader
from connectors.mapping.mapper import load_mapper
from connectors.sqlite_sink import SqliteSink
from connectors.toolkit import Taken
from examples.answers import answer, write_answers
from examples.generate import HERE
from hub.document import parse_document
from hub.errors import ConfigError
from hub.model import AgencyId, Compartment, Event, EventId, OpenedEvent, Route
from tests.support.samples import catalog

FILES = {
    "JCF": [("JCF/traces-2020-2024.csv", "etrace-register")],
    "HNP": [("HNP/registre-tracage.csv", "etrace-register-fr")],
    "CBP": [("CBP/export-screening.csv", "export-screening")],
    "TTPS": [("TTPS/seizures.csv", "seizure-register")],
    "INTERPOL": [("INTERPOL/iarms-notices.csv", "stolen-firearms")],
}


def opened(event: Event, publisher: str, number: int, granted: tuple[str, ...]) -> OpenedEvent:
    kind = catalog().get(event.event_type)
    have = tuple(c for c in kind.compartments if c in granted)
    sections = dict(zip(kind.compartments, kind.encode(event.body), strict=True))
    return OpenedEvent(
        publisher=AgencyId(publisher),
        event_id=EventId(number.to_bytes(16, "big")),
        route=Route(event.event_type, kind.version, event.handling, event.priority, event.purpose),
        published_at_ms=1_764_000_000_000,
        expires_at_ms=event.expires_at_ms,
        correlation_id=number.to_bytes(16, "big"),
        in_reply_to=None,
        body=kind.decode({Compartment(c): sections[c] for c in have}),
        granted=have,
        withheld=tuple(c for c in kind.compartments if c not in have),
    )


async def received(path: Path, offset: int, *granted: str) -> Path:
    """An SQLite sink with all examples in it; ``offset`` changes the event ids as another run would."""
    events = []
    for agency, files in FILES.items():
        for name, profile in files:
            mapper = load_mapper(profile, HERE, catalog())
            taken = [u for u in mapper.read((HERE / name).read_bytes(), Path("r")) if isinstance(u, Taken)]
            events += [
                opened(item.event, agency, offset + len(events) + n, granted or ("core", "personal", "sensitive"))
                for n, item in enumerate(taken)
            ]
    sink = SqliteSink("x", path, catalog())
    await sink.open(None)
    await sink.write(events)
    await sink.close()
    return path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(received(tmp_path_factory.mktemp("answers") / "received.db", 1))


@pytest.mark.parametrize("kind", ["traces", "acks", "referrals", "hits"])
def test_every_answer_is_a_valid_document_in_reply(kind: str, database: Path, tmp_path: Path) -> None:
    count = write_answers(kind, database, tmp_path / "deep" / "out.jsonl")
    reader = JsonlReader("a", ("type", "in_reply_to.publisher", "in_reply_to.event_id"), catalog())
    units = list(reader.read((tmp_path / "deep" / "out.jsonl").read_bytes(), Path("r")))
    taken = [unit for unit in units if isinstance(unit, Taken)]
    assert len(taken) == len(units) == count == len({item.key for item in taken})
    for item in taken:
        assert item.event.in_reply_to is not None
        assert item.event.correlation_id == item.event.in_reply_to.event_id


def test_there_is_one_answer_a_question(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        (requests,) = connection.execute("SELECT count(*) FROM trace_request").fetchone()
        (referrals,) = connection.execute("SELECT count(*) FROM export_referral").fetchone()
    connection.close()
    assert len(answer("traces", database)) == len(answer("acks", database)) == requests == 1579
    assert len(answer("referrals", database)) == referrals == 315
    assert len(answer("hits", database)) == 12


def test_outcomes_are_in_the_published_proportions(database: Path) -> None:
    bodies = [document["body"] for document in answer("traces", database)]
    outcomes = Counter(body["outcome"] for body in bodies)
    readable = len(bodies) - outcomes["NOT_TRACEABLE"]
    sold = outcomes["PURCHASER_IDENTIFIED"] + outcomes["DEALER_ONLY"]
    assert 0.79 < sold / readable < 0.90
    assert 0.35 < outcomes["PURCHASER_IDENTIFIED"] / len(bodies) < 0.55
    bands = Counter(body["ttc_band"] for body in bodies if "ttc_band" in body)
    assert 0.20 < bands["UNDER_1Y"] / bands.total() < 0.30
    assert (
        max(
            Counter(body.get("dealer_state") for body in bodies if body.get("dealer_state")).items(), key=lambda i: i[1]
        )[0]
        == "FL"
    )
    assert {body["reason"] for body in bodies if "reason" in body} >= {"PMF", "SERIAL_PROBLEM", "TOO_OLD"}


async def test_another_run_has_the_same_answers(database: Path, tmp_path: Path) -> None:
    again = await received(tmp_path / "again.db", 50_000)

    def bodies(path: Path, kind: str) -> list[Any]:
        return sorted(str(document["body"]) for document in answer(kind, path))

    for kind in ("traces", "acks", "referrals", "hits"):
        assert bodies(database, kind) == bodies(again, kind)


async def test_without_the_serial_the_answer_asks_for_it(tmp_path: Path) -> None:
    path = await received(tmp_path / "core.db", 1, "core")
    legible = [document["body"] for document in answer("traces", path)]
    assert {body["reason"] for body in legible if body["outcome"] == "NOT_TRACEABLE"} >= {"INCOMPLETE_REQUEST"}
    assert Counter(document["body"]["status"] for document in answer("acks", path))["NEEDS_INFO"] > 1000
    for document in answer("acks", path)[:50]:
        parse_document(document, catalog())


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such database"):
        answer("traces", tmp_path / "none.db")
    with pytest.raises(ConfigError, match="there are"):
        answer("trace", tmp_path / "none.db")
