"""hub/trust/lane.py: one DEK a compartment, one wrap a recipient, bound to all that it is for (docs/spec 6.1, 6.6)."""

import pytest

from hub.model import HUB, AgencyId
from hub.trust.directory import RecipientUnknown
from hub.trust.kem import WrapUnopenable
from hub.trust.lane import LaneOwner, wrap_info
from hub.wire import labels
from hub.wire.frames import HEARTBEAT, NO_HASH, parse_entry, parse_lane
from hub.wire.labels import lp
from tests.support.authority import NOW_MS, kem_key
from tests.support.sealed import ATF, CCGIU, COMPARTMENTS, CORE, GRANTS, JCF, ROUTE, SENSITIVE, world_directory

OWNER = LaneOwner(HUB, JCF, b"i" * 16, "sha256:test")
BEFORE = {ATF: (b"p" * 16, 12)}


def test_a_lane_wraps_what_each_is_granted() -> None:
    lane = OWNER.open(ROUTE, COMPARTMENTS, GRANTS, previous=BEFORE, directory=world_directory(), now_ms=NOW_MS)
    parsed = parse_lane(lane.frame)
    assert (parsed.publisher, parsed.route, parsed.compartments) == (JCF, ROUTE, COMPARTMENTS)
    opened = {}
    for entry, (agency, granted) in zip(lane.entries, GRANTS, strict=True):
        frame = parse_entry(entry.start + b"\x02" + entry.end)
        assert (frame.agency, frame.compartments, frame.recipient_seq) == (agency, granted, 1)
        assert frame.kem_id == kem_key(agency).public.kem_id
        deks = kem_key(agency).open(wrap_info(parsed.hash, agency, frame.kem_id, granted), frame.wrap)
        assert len(deks) == 32 * len(granted)
        opened[agency] = (frame, deks)
    atf, ccgiu = opened[ATF], opened[CCGIU]
    assert ccgiu[1] == atf[1][:32] + atf[1][64:]
    assert (atf[0].prev_instance, atf[0].prev_seq) == BEFORE[ATF]
    assert (ccgiu[0].prev_instance, ccgiu[0].prev_seq) == (bytes(16), 0)


def test_a_wrap_opens_under_its_own_info_alone() -> None:
    lane = OWNER.open(ROUTE, COMPARTMENTS, GRANTS, previous={}, directory=world_directory(), now_ms=NOW_MS)
    frame = parse_entry(lane.entries[1].start + b"\x02" + lane.entries[1].end)
    key, lane_hash = kem_key(CCGIU), parse_lane(lane.frame).hash
    for info in (
        wrap_info(bytes(32), CCGIU, frame.kem_id, frame.compartments),
        wrap_info(lane_hash, ATF, frame.kem_id, frame.compartments),
        wrap_info(lane_hash, CCGIU, bytes(32), frame.compartments),
        wrap_info(lane_hash, CCGIU, frame.kem_id, (CORE,)),
        wrap_info(lane_hash, CCGIU, frame.kem_id, (SENSITIVE, CORE)),
    ):
        with pytest.raises(WrapUnopenable):
            key.open(info, frame.wrap)


def test_wrap_info_is_the_specifications() -> None:
    assert wrap_info(b"h" * 32, ATF, b"k" * 32, (CORE, SENSITIVE)) == lp(
        labels.WRAP, b"h" * 32, b"ATF", b"k" * 32, b"core", b"sensitive"
    )


def test_every_lane_has_keys_and_an_id_of_its_own() -> None:
    one, two = (
        OWNER.open(ROUTE, COMPARTMENTS, GRANTS, previous={}, directory=world_directory(), now_ms=NOW_MS)
        for _ in range(2)
    )
    assert one.frame != two.frame
    assert one.ciphers[0].encrypt(bytes(12), b"x", None) != two.ciphers[0].encrypt(bytes(12), b"x", None)
    assert one.ciphers[0].encrypt(bytes(12), b"x", None) != one.ciphers[1].encrypt(bytes(12), b"x", None)


def test_a_lane_lives_one_hour_and_not_backwards() -> None:
    lane = OWNER.open(ROUTE, COMPARTMENTS, GRANTS, previous={}, directory=world_directory(), now_ms=NOW_MS)
    assert lane.is_open(NOW_MS)
    assert lane.is_open(NOW_MS + 3_599_999)
    assert not lane.is_open(NOW_MS + 3_600_000)
    assert not lane.is_open(NOW_MS - 1)


def test_a_recipient_that_is_not_listed_is_refused() -> None:
    grants = ((AgencyId("NOBODY"), (CORE,)),)
    with pytest.raises(RecipientUnknown):
        OWNER.open(ROUTE, COMPARTMENTS, grants, previous={}, directory=world_directory(), now_ms=NOW_MS)


def test_a_heartbeats_entries_have_no_wrap() -> None:
    lane = OWNER.open_heartbeat((ATF, CCGIU), previous=BEFORE, now_ms=NOW_MS)
    assert parse_lane(lane.frame).route == HEARTBEAT
    frame = parse_entry(lane.entries[0].start + b"\x00" + lane.entries[0].end)
    assert (frame.kem_id, frame.compartments, frame.wrap) == (NO_HASH, (), b"")
    assert (frame.prev_instance, frame.prev_seq) == BEFORE[ATF]


def test_no_key_in_its_repr() -> None:
    lane = OWNER.open(ROUTE, COMPARTMENTS, GRANTS, previous={}, directory=world_directory(), now_ms=NOW_MS)
    assert repr(lane) == "Lane(trace.request, 3 entries)"
