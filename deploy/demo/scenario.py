"""What happens in the demo: registers are taken in, agencies answer, a file is mended, and somebody tampers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.demo.agencies import SITES
from deploy.demo.flow import Sample, wait_quiet
from deploy.demo.stack import ROOT, Stack
from examples.answers import write_answers
from hub.adapters.kafka import KafkaProducer
from hub.adapters.kafka_reader import read_topic
from hub.model import AgencyId
from hub.ports import IncomingRecord, OutgoingRecord
from hub.topics import ingest_topic

EXAMPLES = ROOT / "examples"
ANSWERS = (("ATF", "acks"), ("ATF", "traces"), ("CCGIU", "referrals"), ("CCGIU", "hits"))
"""Who answers what: examples/answers.py works the answers out of what the agency received."""

MENDED = (AgencyId("JCF"), "traces-2020-2024.csv", b"2024-03-04", b"04/03/2024")
"""A file with a date that its profile refuses, and what a clerk makes of the date before handing all of it in again."""

Say = Callable[[str], None]


def run_scenario(stack: Stack, say: Say) -> list[Sample]:
    """Runs it to its end; the metrics at rest."""
    say("the agencies' files are put into their sites' in-boxes")
    for site in SITES:
        for path in sorted((EXAMPLES / site.agency).glob("*.*")) if (EXAMPLES / site.agency).is_dir() else ():
            hand_in(stack, site.agency, path.name, path.read_bytes())
    _rest(stack)
    say("a clerk of JCF mends a rejected row and hands the whole file in again")
    agency, name, bad, good = MENDED
    content = (EXAMPLES / agency / name).read_bytes()
    hand_in(stack, agency, f"{Path(name).stem}-mended.csv", content.replace(bad, good, 1))
    _rest(stack)
    say("ATF and CCGIU answer what they received")
    for answerer, kind in ANSWERS:
        folder = stack.site(AgencyId(answerer))
        write_answers(kind, folder / "received.db", folder / "in" / f"answers-{kind}.jsonl")
    return _rest(stack)


def hand_in(stack: Stack, agency: AgencyId, name: str, content: bytes) -> None:
    """Into the in-box under a name that the site leaves alone, and then under its own."""
    folder = stack.site(agency) / "in"
    draft = folder / f"{name}.tmp"
    draft.write_bytes(content)
    os.replace(draft, folder / name)


async def tamper(stack: Stack) -> list[str]:
    """Three attempts by whoever runs the broker, who alone could write there. What each is, in words."""
    jcf, hnp = AgencyId("JCF"), AgencyId("HNP")
    genuine = await _first_bundle(stack, jcf)
    flipped = bytearray(genuine.value)
    flipped[len(flipped) // 2] ^= 1
    producer = KafkaProducer(stack.broker.bootstrap, stack.broker.operator)
    await producer.start()
    try:
        await producer.send(
            [
                OutgoingRecord(ingest_topic(jcf), genuine.key, bytes(flipped)),
                OutgoingRecord(ingest_topic(hnp), genuine.key, genuine.value),
                OutgoingRecord(ingest_topic(jcf), genuine.key, genuine.value[:-1]),
            ]
        )
    finally:
        await producer.stop()
    return ["a bundle of JCF's with one bit changed", "JCF's bundle as if HNP had sent it", "a bundle cut short"]


async def _first_bundle(stack: Stack, agency: AgencyId) -> IncomingRecord:
    """A bundle with events that the agency published; heartbeats are smaller than any of those."""
    largest: IncomingRecord | None = None
    async for record in read_topic(stack.broker.bootstrap, stack.broker.operator, ingest_topic(agency)):
        if largest is None or len(record.value) > len(largest.value):
            largest = record
    if largest is None:
        raise LookupError(f"{agency} published nothing")
    return largest


def _rest(stack: Stack) -> list[Sample]:
    return wait_quiet(stack.services.values(), [stack.site(site.agency) / "in" for site in SITES])


def expected_rows() -> dict[str, dict[str, Any]]:
    """What each file of the examples holds, by ``AGENCY/name``: rows, events, and which rows are bad."""
    found: dict[str, dict[str, Any]] = json.loads((EXAMPLES / "expected.json").read_text(encoding="utf-8"))
    return found
