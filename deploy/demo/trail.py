"""One event followed along its whole way, with each decision and its reason."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Self

from deploy.demo.received import rows
from deploy.demo.stack import Stack
from hub.adapters.kafka_reader import read_topic
from hub.adapters.tuf_reader import load_directory
from hub.catalog import Catalog
from hub.document import parse_document
from hub.model import HUB, AgencyId, Decision, Event, EventId, format_event_id, parse_event_id
from hub.policy.decide import ReleasePolicy
from hub.policy.release import load_release
from hub.policy.subscription import Subscriptions
from hub.ports import IncomingRecord
from hub.routing import Routed, route_bundle
from hub.topics import deliver_topic, ingest_topic
from hub.trust.directory import Directory
from hub.trust.verify import FlushCache

PUBLISHER = AgencyId("JCF")
ANSWERER = AgencyId("ATF")
EVENT_TYPE = "trace.request"
_WITH_PERSONS = "outcome = 'PURCHASER_IDENTIFIED' AND possessor_names IS NOT NULL ORDER BY event_id LIMIT 1"


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision for an agency, for machines."""

    agency: str
    allowed: bool
    code: str
    reason: str
    clause: str

    @classmethod
    def of(cls, agency: AgencyId, decision: Decision) -> Self:
        return cls(agency, decision.allowed, decision.code, decision.reason, decision.clause)

    def __str__(self) -> str:
        verdict = "yes" if self.allowed else "no"
        where = f"{self.code}; {self.clause}" if self.clause else self.code
        return f"{self.agency}: {verdict}, {self.reason} [{where}]"


@dataclass(frozen=True, slots=True)
class Stop:
    """A place on the way, and what is to be said of it, one line each; the decisions among that also by themselves."""

    place: str
    lines: tuple[str, ...]
    decisions: tuple[Decided, ...] = ()


async def follow(stack: Stack, catalog: Catalog) -> list[Stop]:
    """The first trace request of JCF's whose firearm ATF traced to a purchaser."""
    now_ms = int(time.time() * 1000)
    directory = load_directory(stack.folder / "directory", stack.folder / "root.json", now_ms=now_ms).directory
    answer = rows(stack, PUBLISHER, "trace.result", _WITH_PERSONS)[0]
    event_id = parse_event_id(answer["reply_to_event_id"])
    event = _as_opened(stack, catalog, event_id)
    record, routed = await _on_ingest(stack, catalog, directory, event_id, now_ms)
    recipients = sorted(delivery.agency for delivery in routed.deliveries)
    return [
        _at_source(event),
        _at_release(stack, catalog, directory, event, now_ms),
        _at_ingest(record, routed, event_id),
        _at_router(routed),
        *[await _at_recipient(stack, agency, event_id) for agency in recipients],
        _at_answer(stack, answer),
    ]


def _as_opened(stack: Stack, catalog: Catalog, event_id: EventId) -> Event:
    """The event as the recipient with every compartment has it: what JCF sealed."""
    wanted = f'"{format_event_id(event_id)}"'
    with (stack.site(ANSWERER) / "received.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            if wanted in line and (document := json.loads(line))["event_id"] == format_event_id(event_id):
                kept = ("type", "handling", "priority", "purpose", "expires_at", "event_id", "published_at", "body")
                return parse_document({name: document[name] for name in kept}, catalog)
    raise LookupError(f"{ANSWERER} has no event {wanted}")


def _at_source(event: Event) -> Stop:
    firearm: dict[str, Any] = event.body["firearm"]
    return Stop(
        "JCF's register, traces-2020-2024.csv",
        (
            f"case {event.body['header']['originator_case_ref']}: {firearm['make_text']} {firearm['model'] or ''}"
            f" {firearm['caliber_text']}, serial {firearm['serial_raw']}",
            f"becomes {event.event_type} {format_event_id(event.event_id or b'')},"
            f" {event.handling}, {event.priority.value}, {event.purpose.value}",
        ),
    )


def _at_release(stack: Stack, catalog: Catalog, directory: Directory, event: Event, now_ms: int) -> Stop:
    policy = ReleasePolicy(load_release(stack.site(PUBLISHER) / "release.yaml", catalog), PUBLISHER)
    reasons = policy.explain(event, catalog.get(event.event_type), directory, now_ms)
    decided = tuple(Decided.of(agency, decision) for agency, found in sorted(reasons.items()) for decision in found)
    place = "JCF's Publisher: release rules and agreements, then sealed into the outbox"
    return Stop(place, tuple(map(str, decided)), decided)


async def _on_ingest(
    stack: Stack, catalog: Catalog, directory: Directory, event_id: EventId, now_ms: int
) -> tuple[IncomingRecord, Routed]:
    """The bundle on JCF's topic, and what the router decides of it: the same pure function, the same files."""
    subscriptions = Subscriptions.load_folder(stack.site(HUB) / "subscriptions", catalog)
    async for record in read_topic(stack.broker.bootstrap, stack.broker.operator, ingest_topic(PUBLISHER)):
        if bytes(event_id) in record.value:
            routed = route_bundle(
                record.value,
                owner=PUBLISHER,
                hub=HUB,
                directory=directory,
                subscriptions=subscriptions,
                now_ms=now_ms,
                flushes=FlushCache(),
            )
            return record, routed
    raise LookupError("the event is on no record of its ingest topic")


def _at_ingest(record: IncomingRecord, routed: Routed, event_id: EventId) -> Stop:
    bundle = routed.bundle
    place = bundle.event_ids.index(event_id) + 1
    return Stop(
        f"{record.topic}, partition {record.partition}, offset {record.offset}",
        (
            f"event {place} of {bundle.n} in a bundle of {len(record.value):,} bytes, signed by JCF's site",
            f"what the hub can read: {bundle.publisher}, {bundle.route.event_type}, {bundle.route.handling},"
            f" {bundle.route.priority.value}, {bundle.route.purpose.value}, event ids, times, sizes;"
            f" entries for {', '.join(sorted(entry.agency for entry in bundle.entries))}",
        ),
    )


def _at_router(routed: Routed) -> Stop:
    delivered = sorted(routed.deliveries, key=lambda found: found.agency)
    decided = [Decided.of(found.agency, decision) for found in delivered for decision in found.decisions]
    decided += [Decided.of(denial.agency, denial.decision) for denial in routed.denials]
    place = "the router: signature, hashes and topic are right; agreement and subscription on labels"
    return Stop(place, tuple(map(str, decided)), tuple(decided))


async def _at_recipient(stack: Stack, agency: AgencyId, event_id: EventId) -> Stop:
    async for record in read_topic(stack.broker.bootstrap, stack.broker.operator, deliver_topic(agency)):
        if bytes(event_id) in record.value:
            break
    else:
        raise LookupError(f"the event is on no record of deliver.{agency}")
    row = rows(stack, agency, EVENT_TYPE, "event_id = ?", format_event_id(event_id))[0]
    seen = {"serial": row["firearm_serial_raw"], "possessor": row["possessor_names"]}
    shown = ", ".join(f"{name}: {'withheld' if value is None else value}" for name, value in seen.items())
    return Stop(
        f"{record.topic}, partition {record.partition}, offset {record.offset}: {len(record.value):,} bytes",
        (f"{agency} opened {row['granted']}" + (f"; withheld: {row['withheld']}" if row["withheld"] else ""), shown),
    )


def _at_answer(stack: Stack, answer: dict[str, Any]) -> Stop:
    regional = rows(stack, AgencyId("CCGIU"), "trace.result", "event_id = ?", answer["event_id"])[0]
    return Stop(
        f"ATF's answer, trace.result {answer['event_id']}, in reply to the request, same correlation id",
        (
            f"JCF opened {answer['granted']}: purchaser {answer['purchaser_names']}, dealer {answer['ffl_name']}",
            f"CCGIU opened {regional['granted']}: outcome {regional['outcome']}, time to crime {regional['ttc_band']};"
            f" purchaser: {'withheld' if regional['purchaser_names'] is None else 'SHOWN'}",
        ),
    )
