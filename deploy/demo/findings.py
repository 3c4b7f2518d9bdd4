"""What is true after the demo's scenario, gathered from where it stands: sinks, topics, the broker's files, metrics."""

from __future__ import annotations

import asyncio
import csv
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo import blindness, refusals, suspension, trail
from deploy.demo.agencies import AGENCIES
from deploy.demo.flow import Sample, total
from deploy.demo.received import Holding, holdings
from deploy.demo.scenario import EXAMPLES, MENDED, expected_rows
from deploy.demo.stack import Stack
from hub.adapters.kafka_reader import read_topic
from hub.catalog import Catalog
from hub.model import AgencyId
from hub.ports import IncomingRecord
from hub.topics import QUARANTINE, Declaration
from hub.wire.quarantine import parse_quarantined

SUSPENDED = AgencyId("BIS")
"""Whom the custodians suspend in the end."""
SECRET_COLUMNS = ("serial", "série", "officer", "enquêteur", "possessor", "détenteur", "owner", "consignee", "usppi")
"""Columns of the examples, by what their names contain, that hold serials and names of persons."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something that must hold, whether it does, and the figures."""

    claim: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the report says."""

    holdings: tuple[Holding, ...]
    trail: tuple[trail.Stop, ...]
    rejected_rows: dict[str, dict[str, int]]
    denied: dict[str, int]
    quarantined: tuple[dict[str, Any], ...]
    refusals: tuple[refusals.Refusal, ...]
    verdicts: tuple[Verdict, ...]


async def gather(stack: Stack, samples: list[Sample], attempts: list[str]) -> Findings:
    """Looks at everything. ``samples`` are the metrics at rest, ``attempts`` what was tampered with."""
    catalog = Catalog.load()
    found = tuple(one for agency in AGENCIES for one in holdings(stack, agency, catalog))
    stops = tuple(await trail.follow(stack, catalog))
    quarantined = tuple([_quarantined(record) async for record in _records(stack, QUARANTINE)])
    secrets = blindness.Secrets(input_secrets())
    in_files = blindness.search_files(stack.broker.data, secrets)
    everything = [(f"{r.topic}/{r.partition}/{r.offset}", _content(r)) for r in await _all_records(stack)]
    in_topics = blindness.search_records(everything, secrets)
    tried = tuple(await refusals.attempt_all(stack.broker.bootstrap, stack.tls, stack.folder / "stranger"))
    seconds = await suspension.seconds_until_refused(stack, SUSPENDED)
    rejected = rejected_rows(stack)
    verdicts = (
        *_policy_verdicts(found),
        _rows_verdict(rejected),
        Verdict(
            "a mended file is taken once: one new event, the other rows again are duplicates",
            _mended(samples) == (1, _good_rows(MENDED[1])),
            "{} new, {} duplicates".format(*_mended(samples)),
        ),
        Verdict(
            "every tampered bundle is in quarantine, and nothing else",
            len(quarantined) == len(attempts),
            ", ".join(str(one["code"]) for one in quarantined),
        ),
        Verdict("no gap is open without a reason", total(samples, "cgi_gaps", explained="no") == 0, "0 gaps"),
        Verdict("the search finds a secret that is planted", blindness.finds_planted(stack.broker.data, secrets), ""),
        _blind("the broker's files", in_files),
        _blind("any topic", in_topics),
        *(Verdict(f"refused by the broker: {one.attempt}", one.refused, one.words) for one in tried),
        Verdict(
            "refused by the broker within 30 s: an agency that the custodians have just suspended",
            seconds < suspension.PROMISED_SECONDS,
            f"{SUSPENDED}, {seconds:.1f} s after its suspension was published",
        ),
    )
    return Findings(found, stops, rejected, _denied(samples), quarantined, tried, verdicts)


# --- what was asked of each rule --------------------------------------------------------------------------------------


def _policy_verdicts(found: tuple[Holding, ...]) -> Iterator[Verdict]:
    for agency in ("CCGIU", "RSS"):
        held = [one for one in found if one.recipient == agency and one.event_type == "seizure.report"]
        yield Verdict(
            f"{agency} has seizures, and no persons",
            bool(held) and all("personal" not in one.granted for one in held),
            f"{sum(one.events for one in held)} seizures, with {_compartments(held)}",
        )
    interpol = [one for one in found if one.recipient == "INTERPOL" and one.event_type == "firearm.notice"]
    yield Verdict(
        "INTERPOL has serials of stolen firearms, and no owners",
        bool(interpol) and all("personal" not in one.granted and "sensitive" in one.granted for one in interpol),
        f"{sum(one.events for one in interpol)} notices, with {_compartments(interpol)}",
    )
    asked = {one.publisher: one.events for one in found if one.recipient == "ATF" and one.event_type == "trace.request"}
    answered = Counter(
        {one.recipient: one.events for one in found if one.event_type == "trace.result" and one.recipient in asked}
    )
    yield Verdict(
        "every request that ATF opened is answered, to who asked and whole",
        bool(asked) and dict(answered) == asked,
        ", ".join(f"{agency}: {events}" for agency, events in sorted(answered.items())),
    )
    purchasers = {one.recipient for one in found if one.event_type == "trace.result" and "personal" in one.granted}
    yield Verdict("a purchaser is known to who asked alone", purchasers == set(asked), ", ".join(sorted(purchasers)))


def _compartments(held: list[Holding]) -> str:
    return ", ".join(sorted({compartment for one in held for compartment in one.granted}))


# --- rows -------------------------------------------------------------------------------------------------------------


def rejected_rows(stack: Stack) -> dict[str, dict[str, int]]:
    """For each file that was taken in, how many rows were refused, by code."""
    found = {}
    for agency in AGENCIES:
        for path in sorted((stack.site(agency) / "in" / "done").glob("*.rejected.jsonl")):
            codes = Counter(json.loads(line)["code"] for line in path.read_text(encoding="utf-8").splitlines())
            found[f"{agency}/{path.name.removesuffix('.rejected.jsonl')}"] = dict(sorted(codes.items()))
    return found


def _rows_verdict(rejected: dict[str, dict[str, int]]) -> Verdict:
    """The rows that are bad in themselves, against the list that the examples come with."""
    wanted = {name: len(facts["refused"]) for name, facts in expected_rows().items()}
    got = {name: sum(n for code, n in codes.items() if code.startswith("row.")) for name, codes in rejected.items()}
    ours = {name: got.get(name, 0) for name in wanted}
    return Verdict(
        "every bad row of the examples is reported with its reason, and no good one",
        ours == wanted,
        f"{sum(ours.values())} bad rows in {sum(n > 0 for n in ours.values())} files",
    )


def _mended(samples: list[Sample]) -> tuple[int, int]:
    """What JCF's source made of the mended file: (new events beyond the first reading, duplicates)."""
    published = total(samples, "cgi_events_total", publisher="JCF", event_type="trace.request", outcome="published")
    duplicates = total(samples, "cgi_events_total", publisher="JCF", event_type="trace.request", outcome="duplicate")
    return int(published) - _good_rows(MENDED[1]), int(duplicates)


def _good_rows(name: str) -> int:
    return int(expected_rows()[f"{MENDED[0]}/{name}"]["events"])


def input_secrets() -> Iterator[str]:
    """Serials and names of persons in the examples."""
    for path in sorted(EXAMPLES.glob("*/*.csv")):
        text = path.read_text(encoding=_encoding(path), errors="replace")
        reader = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=text.splitlines()[0].count))
        for row in reader:
            for column, value in row.items():
                if column and isinstance(value, str) and any(word in column.lower() for word in SECRET_COLUMNS):
                    yield value
    for path in sorted(EXAMPLES.glob("*/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from _names(_parsed(line))


def _names(value: Any) -> Iterator[str]:
    """Every item of a ``names`` list, and every raw serial, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "names":
                yield from inner
            elif key == "serial_raw" and inner:
                yield inner
            else:
                yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None  # one of the bad rows: it was never published


def _encoding(path: Path) -> str:
    """Files of the examples are UTF-8 or Windows-1252; a bad row may break the first, so what prevails counts."""
    content = path.read_bytes()
    return "utf-8-sig" if content.decode("utf-8", errors="replace").count("\ufffd") < 5 else "cp1252"


# --- topics -----------------------------------------------------------------------------------------------------------


async def _records(stack: Stack, topic: str) -> AsyncIterator[IncomingRecord]:
    async for record in read_topic(stack.broker.bootstrap, stack.broker.operator, topic):
        yield record


async def _all_records(stack: Stack) -> list[IncomingRecord]:
    async def read(topic: str) -> list[IncomingRecord]:
        return [record async for record in _records(stack, topic)]

    topics = [topic.name for topic in Declaration.load().topics(AGENCIES)]
    return [record for found in await asyncio.gather(*map(read, topics)) for record in found]


def _content(record: IncomingRecord) -> bytes:
    return b"\n".join([record.key or b"", record.value, *(value for _, value in record.headers)])


def _quarantined(record: IncomingRecord) -> dict[str, Any]:
    kept = parse_quarantined(record.value)
    return {"code": kept.code, "reason": kept.reason, "place": f"{kept.topic}/{kept.partition}/{kept.offset}"}


def _denied(samples: list[Sample]) -> dict[str, int]:
    """Events that the hub did not deliver, by publisher, recipient, type and reason."""
    found: Counter[str] = Counter()
    for sample in samples:
        if sample.name == "cgi_events_total" and sample.labels["outcome"] in ("denied", "filtered", "rejected"):
            labels = sample.labels
            where = {"denied": "at the hub", "filtered": "at the recipient", "rejected": "at the originator"}
            parties = labels["publisher"] + (f" to {labels['recipient']}" if labels["recipient"] else "")
            found[f"{where[labels['outcome']]}: {parties}, {labels['event_type']}: {labels['reason']}"] += int(
                sample.value
            )
    return dict(sorted(found.items()))


def _blind(where: str, search: blindness.Search) -> Verdict:
    looked = f"{search.secrets:,} serials and names, {search.bytes:,} bytes"
    stands = "; ".join(f"{one.secret!r} in {one.place}" for one in search.found[:5])
    return Verdict(f"no serial and no name of the input stands in {where}", not search.found, stands or looked)
