"""Sections are taken in their one encoding only, and nothing is expanded before it is counted."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hub.catalog import (
    CompartmentUnknown,
    EventInvalid,
    EventType,
    FieldRange,
    RuleBroken,
    SectionMalformed,
    SectionTooLarge,
    VersionUnknown,
    texts,
)
from hub.errors import InvariantError
from hub.model import Compartment
from tests.support.samples import catalog, sample_event

CORE, PERSONAL, SENSITIVE = (Compartment(name) for name in ("core", "personal", "sensitive"))
NOTICE = catalog().get("hub.notice")
ACK = catalog().get("trace.ack")
REQUEST = catalog().get("trace.request")


def sections(event_type: EventType, index: int = 0) -> dict[Compartment, bytes]:
    body = sample_event(event_type.name, index).body
    return dict(zip(event_type.compartments, event_type.encode(body), strict=True))


def encode_long(number: int) -> bytes:
    """Zigzag and variable length (Avro 1.12, "Binary Encoding"), as short as can be."""
    value = (number << 1) ^ (number >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def lp(text: str) -> bytes:
    return encode_long(len(text)) + text.encode()


def notice(ranges: bytes) -> dict[Compartment, bytes]:
    return {CORE: lp("ATF") + lp("JCF") + lp("0" * 32) + ranges}


RANGE = encode_long(1) + encode_long(2) + lp("trace.ack") + b"\0\0\0" + lp("agreement.none") + b"\0\0"


def test_a_notice_by_hand() -> None:
    body = NOTICE.read(notice(encode_long(1) + RANGE + b"\0"))
    assert body["ranges"] == [
        {
            "first": 1, "last": 2, "event_type": "trace.ack", "handling": None, "priority": None, "purpose": None,
            "code": "agreement.none", "reason": None, "clause": None,
        }
    ]  # fmt: skip


REFUSED = {
    "two blocks": notice(encode_long(1) + RANGE + encode_long(1) + RANGE + b"\0"),
    "a block with its size": notice(encode_long(-1) + encode_long(len(RANGE)) + RANGE + b"\0"),
    "a list without its end": notice(encode_long(1) + RANGE),
    "an empty block and an end": notice(b"\0\0"),
    "a length that is too long": notice(b"\x82\x00" + RANGE + b"\0"),
    "fewer items than it says": notice(encode_long(1_025) + RANGE),
    "a billion items": notice(encode_long(2**30)),
    "a length past 64 bits": notice(b"\xff" * 10 + b"\x01"),
    "a number past 64 bits": notice(encode_long(1) + b"\xfe" + b"\xff" * 9 + b"\x7f" + RANGE[1:] + b"\0"),
    "a number that never ends": notice(b"\xff" * 30),
    "bytes left over": notice(encode_long(1) + RANGE + b"\0\0"),
    "a text with a negative length": {CORE: b"\x05ATF"},
    "a text that is cut": {CORE: encode_long(40) + b"ATF"},
    "a text that is not UTF-8": notice(encode_long(1) + RANGE.replace(b"trace", b"\xff\xfe\xfd\xfc\xfb") + b"\0"),
    "an overlong UTF-8": notice(encode_long(1) + RANGE.replace(b"tr", b"\xc0\x80") + b"\0"),
    "a branch that is not": notice(encode_long(1) + RANGE[:-1] + b"\4" + b"\0"),
    "a branch counted from the end": notice(encode_long(1) + RANGE[:-1] + b"\3" + b"\0"),
    "a branch of two bytes": notice(encode_long(1) + RANGE[:-1] + b"\x80\x00" + b"\0"),
    "nothing": {CORE: b""},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_the_one_encoding_is_refused(case: str) -> None:
    with pytest.raises(SectionMalformed) as caught:
        NOTICE.read(REFUSED[case])
    assert caught.value.code == "event.section_malformed"
    with pytest.raises(SectionMalformed):
        NOTICE.decode(REFUSED[case])


def test_an_unknown_symbol_and_an_odd_boolean_are_refused() -> None:
    notice_type = catalog().get("firearm.notice")
    good = sections(notice_type)
    core = good[CORE]
    assert core.endswith(b"\0")  # ffl_theft false
    with pytest.raises(SectionMalformed):
        notice_type.read({**good, CORE: core[:-1] + b"\2"})
    ack = sections(ACK)
    place = ack[CORE].rindex(ACK.encode(ACK.validate({"status": "RECEIVED"}))[0][-4:-3])
    for symbol in (0x0A, 0x01, 0x7F):  # past the last, and counted from the end
        changed = bytearray(ack[CORE])
        changed[place] = symbol
        with pytest.raises(EventInvalid):
            ACK.read({**ack, CORE: bytes(changed)})


def test_compartments_that_do_not_agree_are_refused() -> None:
    seizure = catalog().get("seizure.report")
    first, second = sections(seizure, 0), sections(seizure, 1)
    with pytest.raises(SectionMalformed, match="do not agree on the length"):
        seizure.read({**first, SENSITIVE: second[SENSITIVE]})
    with pytest.raises(SectionMalformed):
        seizure.read({**first, PERSONAL: second[PERSONAL]})


def test_a_record_is_there_in_all_its_compartments_or_in_none() -> None:
    body = dict(sample_event("trace.request").body)
    there = {"method": "GROUND", "restoration": None, "detail": None}
    with_it, without = (
        dict(zip(REQUEST.compartments, REQUEST.encode({**body, "obliteration": value}), strict=True))
        for value in (there, None)
    )
    assert REQUEST.decode(with_it)["obliteration"] == there
    assert REQUEST.decode(without)["obliteration"] is None
    for core, sensitive in ((with_it, without), (without, with_it)):
        with pytest.raises(SectionMalformed, match="do not agree whether a record is there"):
            REQUEST.decode({**core, SENSITIVE: sensitive[SENSITIVE]})


def test_more_items_than_the_schema_takes_are_refused() -> None:
    small = RANGE.replace(lp("trace.ack"), lp("a.b")).replace(lp("agreement.none"), lp("a.b"))
    with pytest.raises(FieldRange):
        NOTICE.read(notice(encode_long(1_025) + small * 1_025 + b"\0"))


@pytest.mark.parametrize("count", [2**20, 2**40, 2**62])
def test_a_list_is_no_longer_than_its_section(count: int) -> None:
    with pytest.raises(SectionMalformed, match="EOFError"):
        NOTICE.read(notice(encode_long(count) + RANGE * 100))


@pytest.mark.parametrize(
    ("record", "field", "value", "refused"),
    [
        ("firearm", "barrel_mm", 2**31, FieldRange),
        ("firearm", "barrel_mm", 2**40, FieldRange),
        ("recovery_place", "lat", math.nan, FieldRange),
        ("recovery_place", "lat", math.inf, FieldRange),
        ("recovery_place", "lat", 91.0, FieldRange),
    ],
)
def test_numbers_that_fastavro_takes_and_we_do_not(record: str, field: str, value: Any, refused: type) -> None:
    body = dict(sample_event("trace.request").body)
    body[record] = {**body[record], field: value}
    wrong = dict(zip(REQUEST.compartments, REQUEST.encode(body), strict=True))  # encode asks no questions
    with pytest.raises(refused):
        REQUEST.read(wrong)


@pytest.mark.parametrize("days", [3_000_000, -800_000, 2**40, 2**63 - 1])
def test_a_day_that_is_not_in_the_calendar_is_refused(days: int) -> None:
    body = sample_event("trace.request").body
    day = encode_long(texts.encode_date(body["recovery_date"]))
    good = sections(REQUEST)
    assert good[CORE].count(day) == 1
    with pytest.raises(SectionMalformed):
        REQUEST.decode({CORE: good[CORE].replace(day, encode_long(days))})


def test_sections_over_64_kib_are_refused_both_ways() -> None:
    alert = catalog().get("intel.alert")
    body = dict(sample_event("intel.alert").body)
    assert len(alert.encode({**body, "narrative": "x" * 20_000})[2]) > 20_000
    subjects = [{**body["subjects"][0], "person": {**body["subjects"][0]["person"], "aliases": ["日" * 160] * 16}}] * 30
    with pytest.raises(SectionTooLarge) as caught:
        alert.encode(alert.validate({**body, "subjects": subjects}))
    assert caught.value.details["compartment"] == "personal"
    with pytest.raises(SectionMalformed, match="over 65532 bytes"):
        NOTICE.decode({CORE: b"\0" * 65_533})


def test_the_version_must_be_known() -> None:
    with pytest.raises(VersionUnknown, match="bring the newer schemas") as caught:
        ACK.decode(sections(ACK), 2)
    assert caught.value.code == "event.version_unknown"
    with pytest.raises(VersionUnknown):
        ACK.read(sections(ACK), 0)


@pytest.mark.parametrize("granted", [(), ("secret",), ("core", "secret")])
def test_compartments_of_another_type_are_refused(granted: tuple[str, ...]) -> None:
    with pytest.raises(CompartmentUnknown):
        ACK.decode({Compartment(name): b"" for name in granted})
    with pytest.raises(CompartmentUnknown):
        ACK.validate_granted({}, [Compartment(name) for name in granted])


def test_a_part_shows_nothing_of_another() -> None:
    full = sections(REQUEST)
    seen = REQUEST.read({CORE: full[CORE]})
    assert "possessor" not in seen
    assert "serial_raw" not in seen["firearm"]
    assert seen["firearm"]["make_text"] == "Glock"
    assert b"BKX" not in full[CORE] + full[PERSONAL]
    assert b"Sample Person" not in full[CORE] + full[SENSITIVE]
    persons = REQUEST.read({CORE: full[CORE], PERSONAL: full[PERSONAL]})
    assert persons["possessor"]["names"] == ["Sample Person A"]
    assert "gang" not in persons["possessor"]


def test_a_part_with_a_field_that_was_not_granted_is_refused() -> None:
    event = sample_event("trace.request")
    with pytest.raises(EventInvalid) as caught:
        REQUEST.validate_granted(event.body, (CORE,))
    assert caught.value.code == "event.field_unknown"


def test_reading_refuses_a_broken_rule() -> None:
    body = {**sample_event("trace.ack").body, "status": "NEEDS_INFO", "missing_fields": []}
    held = dict(zip(ACK.compartments, ACK.encode(body), strict=True))
    assert ACK.decode(held) == body
    with pytest.raises(RuleBroken) as caught:
        ACK.read(held)
    assert caught.value.details["field"] == "missing_fields"


def test_withheld_fields() -> None:
    withheld = REQUEST.withheld_fields((CORE, PERSONAL))
    assert "firearm.serial_raw" in withheld
    assert "requester" in withheld
    assert "requester.name" not in withheld  # its record stands for it
    assert "possessor.gang" in withheld
    assert "possessor" not in withheld
    assert REQUEST.withheld_fields(REQUEST.compartments) == ()


def test_what_was_not_validated_is_told_so() -> None:
    body: dict[str, Any] = dict(sample_event("trace.ack").body)
    with pytest.raises(EventInvalid) as caught:
        ACK.encode({**body, "status": "OPEN"})
    assert caught.value.code == "event.code_unknown"
    del body["header"]
    with pytest.raises(InvariantError):
        ACK.encode(body)  # valid, but not what validate gave: its defaults are lacking


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("trace.ack", "header", None),
        (
            "hub.notice",
            "ranges",
            [{**NOTICE.decode(notice(encode_long(1) + RANGE + b"\0"))["ranges"][0], "first": 2**70}],
        ),
        ("export.referral", "value_usd", 412.5),
    ],
)
def test_what_fastavro_or_the_split_cannot_take_is_told_by_the_validator(name: str, field: str, value: Any) -> None:
    with pytest.raises(EventInvalid) as caught:
        catalog().get(name).encode({**sample_event(name).body, field: value})
    assert caught.value.details["field"].startswith(field)
