"""Sections are taken in their one encoding only, and nothing is expanded before it is counted."""

from __future__ import annotations

from typing import Any

import pytest

from hub.catalog import (
    CompartmentUnknown,
    EventInvalid,
    EventType,
    RuleBroken,
    SectionMalformed,
    SectionTooLarge,
    VersionUnknown,
)
from hub.catalog.emitter import Emitter
from hub.catalog.primitives import encode_long
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
    "more items than the schema takes": notice(encode_long(1_025)),
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
    changed = bytearray(ack[CORE])
    changed[place] = 0x0A
    with pytest.raises(EventInvalid):
        ACK.read({**ack, CORE: bytes(changed)})


def test_compartments_that_do_not_agree_are_refused() -> None:
    seizure = catalog().get("seizure.report")
    first, second = sections(seizure, 0), sections(seizure, 1)
    with pytest.raises(SectionMalformed, match="do not agree"):
        seizure.read({**first, SENSITIVE: second[SENSITIVE]})
    with pytest.raises(SectionMalformed):
        seizure.read({**first, PERSONAL: second[PERSONAL]})


def test_a_long_list_is_refused_before_it_is_made() -> None:
    with pytest.raises(SectionMalformed, match="more items"):
        NOTICE.read(notice(encode_long(2**40)))


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
        ACK.decode(sections(ACK), ACK.version + 1)
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


def test_the_emitter_makes_functions_only() -> None:
    emitter = Emitter("double(x)")
    emitter.line("return x * TWO")
    emitter.constant("TWO", 2)
    assert emitter.compile("double")(21) == 42
