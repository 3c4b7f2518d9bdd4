"""The value types: their forms, their order, and what they must not show."""

from __future__ import annotations

import dataclasses

import pytest

from hub.model import (
    AgencyId,
    EventId,
    Handling,
    NameInvalid,
    OpenedEvent,
    Siena,
    Tlp,
    format_event_id,
    new_event_id,
    parse_agency_id,
    parse_compartment,
    parse_event_id,
    parse_handling,
)
from tests.support.samples import sample_event


@pytest.mark.parametrize("text", ["ATF", "JM-JCF", "A1", "A" * 32])
def test_an_agency_code(text: str) -> None:
    assert parse_agency_id(text) == text


@pytest.mark.parametrize("text", ["", "A", "atf", "1TF", "A.B", "A_B", "ATF\n", "A" * 33, "ÄTF"])
def test_what_is_no_agency_code(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_agency_id(text)


@pytest.mark.parametrize("text", ["", "Core", "1core", "core ", "c" * 17, "co-re"])
def test_what_is_no_compartment(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_compartment(text)


def test_an_event_id_is_a_uuid_of_version_7_that_starts_with_the_time() -> None:
    event_id = new_event_id(0x0192_0000_0001, bytes(10))
    assert format_event_id(event_id) == "01920000-0001-7000-8000-000000000000"
    assert parse_event_id(format_event_id(event_id)) == event_id


@pytest.mark.parametrize("text", ["", "x", "01920000-0001-7000-8000-00000000000g"])
def test_what_is_no_event_id(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_event_id(text)


@pytest.mark.parametrize("tlp", Tlp)
@pytest.mark.parametrize("siena", [None, *Siena])
def test_a_handling_label_is_its_text(tlp: Tlp, siena: Siena | None) -> None:
    handling = Handling(tlp, siena)
    assert parse_handling(str(handling)) == handling


@pytest.mark.parametrize(
    "text", ["", "AMBER", "TLP:amber", "TLP:AMBER ", "TLP:AMBER  H1", "TLP:AMBER H4", "TLP:AMBER_STRICT"]
)
def test_what_is_no_handling_label(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_handling(text)


@pytest.mark.parametrize(
    ("label", "ceiling", "within"),
    [
        ("TLP:AMBER", "TLP:AMBER", True),
        ("TLP:AMBER+STRICT", "TLP:AMBER", False),
        ("TLP:GREEN H2", "TLP:RED", False),
        ("TLP:GREEN H2", "TLP:RED H1", False),
        ("TLP:GREEN H2", "TLP:GREEN H2", True),
        ("TLP:CLEAR", "TLP:GREEN H0", True),
        ("TLP:RED H0", "TLP:AMBER H3", False),
    ],
)
def test_a_label_is_within_a_ceiling_in_both_schemes(label: str, ceiling: str, within: bool) -> None:
    assert parse_handling(label).within(parse_handling(ceiling)) is within


def test_content_is_in_no_repr() -> None:
    event = sample_event("trace.request")
    serial = event.body["firearm"]["serial_raw"]
    opened = OpenedEvent(
        publisher=AgencyId("JCF"),
        event_id=EventId(bytes(16)),
        route=None,  # type: ignore[arg-type]  # it has none of the content
        published_at_ms=0,
        expires_at_ms=0,
        correlation_id=bytes(16),
        in_reply_to=None,
        body=event.body,
        granted=(),
        withheld=(),
    )
    assert serial not in repr(event)
    assert serial not in repr(opened)
    assert serial in str(dataclasses.asdict(opened)["body"])
