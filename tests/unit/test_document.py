"""The JSON form of events: labels, their faults, and the delivered form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.catalog import EventInvalid, TypeUnknown
from hub.document import encode_document, encode_event, parse_document
from hub.errors import RejectedError
from hub.model import AgencyId, Compartment, EventId, EventRef, OpenedEvent, Route, Siena, Tlp
from tests.support.samples import catalog, sample_document, sample_event

EVENT_ID = "01932f5e-7c00-7abc-8def-0123456789ab"


def document(**changes: Any) -> dict[str, Any]:
    return {**sample_document("trace.ack"), **changes}


def refuse(**changes: Any) -> EventInvalid:
    with pytest.raises(EventInvalid) as caught:
        parse_document(document(**changes), catalog())
    return caught.value


def test_all_labels() -> None:
    event = parse_document(
        document(
            handling="TLP:AMBER+STRICT H2",
            expires_at="2027-01-31T12:00:00+01:00",
            event_id=EVENT_ID,
            published_at="2026-11-24T08:00:00.250Z",
            in_reply_to={"publisher": "JCF", "event_id": EVENT_ID},
        ),
        catalog(),
    )
    assert (event.handling.tlp, event.handling.siena) == (Tlp.AMBER_STRICT, Siena.H2)
    assert event.expires_at_ms == 1_801_393_200_000
    assert event.published_at_ms == 1_795_507_200_250
    assert event.in_reply_to == EventRef(AgencyId("JCF"), event.event_id or EventId(b""))
    assert parse_document(json.loads(json.dumps(encode_event(event))), catalog()) == event


def test_a_date_of_expiry_is_the_end_of_that_day() -> None:
    day = parse_document(document(expires_at="2027-01-31"), catalog())
    assert day.expires_at_ms == parse_document(document(expires_at="2027-02-01T00:00:00Z"), catalog()).expires_at_ms


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "handling": ({"handling": "TLP:AMBER "}, "event.code_unknown", "handling"),
    "handling loosened in words": ({"handling": "amber"}, "event.code_unknown", "handling"),
    "priority": ({"priority": "urgent"}, "event.code_unknown", "priority"),
    "purpose": ({"purpose": 5}, "event.field_type", "purpose"),
    "no priority": ({"priority": None}, "event.field_missing", "priority"),
    "expiry": ({"expires_at": "31/01/2027"}, "event.date_invalid", "expires_at"),
    "expiry past the calendar": ({"expires_at": "9999-12-31"}, "event.date_invalid", "expires_at"),
    "local time": ({"published_at": "2026-11-24T08:00:00"}, "event.date_invalid", "published_at"),
    "correlation": ({"correlation_id": "case 12"}, "event.field_pattern", "correlation_id"),
    "event id": ({"event_id": "x" * 500}, "event.field_type", "event_id"),
    "reply without publisher": ({"in_reply_to": {"event_id": EVENT_ID}}, "event.field_type", "in_reply_to"),
    "reply to a malformed agency": (
        {"in_reply_to": {"publisher": "jcf", "event_id": EVENT_ID}}, "event.field_pattern", "in_reply_to.publisher",
    ),
    "reply to a number": (
        {"in_reply_to": {"publisher": "JCF", "event_id": 5}}, "event.field_type", "in_reply_to.event_id",
    ),
    "body": ({"body": []}, "event.field_type", ""),
    "no body": ({"body": None}, "event.field_missing", "body"),
    "unknown label": ({"prioritty": "URGENT"}, "event.field_unknown", "prioritty"),
    "delivered form": ({"granted": ["core"]}, "event.field_unknown", "granted"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_its_field(fault: str) -> None:
    changes, code, field = FAULTS[fault]
    error = refuse(**changes)
    assert isinstance(error, RejectedError)
    assert (error.code, error.details["field"]) == (code, field)


def test_all_faults_come_at_once() -> None:
    error = refuse(priority="soon", handling="TLP:BLUE", body={"status": "OPEN", "hedder": {}})
    assert {problem.field for problem in error.problems} == {"priority", "handling", "status", "hedder"}


def test_did_you_mean() -> None:
    assert "did you mean priority?" in refuse(prioritty="URGENT").message
    assert "did you mean INVESTIGATION?" in refuse(purpose="INVESTIGATE").message


@pytest.mark.parametrize("wrong", [None, [], "x", 7])
def test_a_document_is_an_object(wrong: Any) -> None:
    with pytest.raises(EventInvalid) as caught:
        parse_document(wrong, catalog())
    assert caught.value.code == "event.field_type"


def test_the_type_must_be_known() -> None:
    with pytest.raises(TypeUnknown, match=r"did you mean trace\.ack"):
        parse_document(document(type="trace.ak"), catalog())
    assert refuse(type=5).details["field"] == "type"
    assert refuse(type=None).code == "event.field_missing"


def test_the_delivered_form_names_what_was_withheld() -> None:
    event = sample_event("trace.request")
    event_type = catalog().get("trace.request")
    core = Compartment("core")
    section = event_type.encode(event.body)[0]
    opened = OpenedEvent(
        publisher=AgencyId("JCF"),
        event_id=EventId(bytes(16)),
        route=Route("trace.request", 1, event.handling, event.priority, event.purpose),
        published_at_ms=1_795_507_200_250,
        expires_at_ms=event.expires_at_ms,
        correlation_id=bytes(range(16)),
        in_reply_to=None,
        body=event_type.read({core: section}),
        granted=(core,),
        withheld=(Compartment("personal"), Compartment("sensitive")),
    )
    shown = json.loads(json.dumps(encode_document(opened, catalog())))
    assert shown["publisher"] == "JCF"
    assert shown["version"] == 1
    assert shown["granted"] == ["core"]
    assert shown["withheld"] == ["personal", "sensitive"]
    assert "firearm.serial_raw" in shown["withheld_fields"]
    assert "possessor" in shown["withheld_fields"]
    assert shown["published_at"] == "2026-11-24T08:00:00.250Z"
    assert shown["in_reply_to"] is None
    assert "serial_raw" not in shown["body"]["firearm"]
