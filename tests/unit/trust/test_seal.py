"""hub/trust/seal.py: what a Sealer makes, how it splits, numbers, chains, and when it refuses."""

import os
import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest

from hub.model import AgencyId, Compartment, Priority
from hub.trust.directory import RecipientSuspended
from hub.trust.seal import (
    DraftInvalid,
    Group,
    SealerExhausted,
    SealerForked,
    SealerKeyUnusable,
    check_draft,
)
from hub.trust.sections import LARGEST, SectionTooLarge
from hub.wire.avro import LimitExceeded
from hub.wire.bundle import parse_ingest
from hub.wire.frames import NO_HASH, Flush, Lane, parse_entry, parse_flush, parse_head
from tests.support.authority import NOW_MS, World
from tests.support.sealed import (
    ATF,
    CCGIU,
    COMPARTMENTS,
    CORE,
    GRANTS,
    INTERPOL,
    JCF,
    ROUTE,
    SENSITIVE,
    Stage,
    draft,
    group,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def lane_of(value: bytes) -> Lane:
    return parse_head(parse_ingest(value).head).core.lane


def flush_of(value: bytes) -> Flush:
    return parse_flush(parse_ingest(value).proof.flush)


def numbers_of(value: bytes) -> dict[AgencyId, int]:
    entries = [parse_entry(raw) for raw in parse_ingest(value).entries]
    return {entry.agency: entry.recipient_seq for entry in entries}


def test_a_record_tells_its_events_its_recipients_and_its_key(stage: Stage) -> None:
    sealer, events = stage.sealer(), group(3)
    sealed = sealer.seal([events], now_ms=NOW_MS)
    (record,) = sealed.records
    assert record.key == sealer.instance
    assert record.events == tuple(d.event_id for d in events.drafts)
    assert record.recipients == (ATF, CCGIU, INTERPOL)
    assert sealed.sequences == {ATF: 1, CCGIU: 1, INTERPOL: 1}
    assert numbers_of(record.value) == sealed.sequences


def test_numbers_count_entries_and_go_on(stage: Stage) -> None:
    sealer = stage.sealer()
    sealer.seal([group(5)], now_ms=NOW_MS)
    some = group(1, grants=((ATF, (CORE,)),))
    sealed = sealer.seal([some, group(1)], now_ms=NOW_MS)
    assert sealed.sequences == {ATF: 3, CCGIU: 2, INTERPOL: 2}
    assert [numbers_of(record.value)[ATF] for record in sealed.records] == [2, 3]
    cores = [parse_head(parse_ingest(record.value).head).core for record in sealed.records]
    assert [core.bundle_seq for core in cores] == [2, 3]


def test_flushes_chain(stage: Stage) -> None:
    sealer = stage.sealer()
    flushes = [flush_of(sealer.seal([group(1)], now_ms=NOW_MS + n).records[0].value) for n in range(3)]
    assert [flush.flush_seq for flush in flushes] == [1, 2, 3]
    assert [flush.prev_flush for flush in flushes] == [NO_HASH, flushes[0].hash, flushes[1].hash]
    assert {flush.directory_version for flush in flushes} == {stage.directory.version}
    assert [flush.time_ms for flush in flushes] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


def test_a_flush_signs_several_bundles(stage: Stage) -> None:
    sealed = stage.seal([group(1), group(2, route=replace(ROUTE, priority=Priority.URGENT)), group(3)])
    assert len({parse_ingest(record.value).proof.signature for record in sealed.records}) == 1
    assert [stage.verify(record.value).n for record in sealed.records] == [1, 2, 3]


def test_at_most_512_events_a_bundle_and_a_flush(stage: Stage) -> None:
    sealed = stage.seal([group(513, grants=((ATF, (CORE,)),), size=1)])
    assert [len(record.events) for record in sealed.records] == [512, 1]
    assert [flush_of(record.value).flush_seq for record in sealed.records] == [1, 2]
    two = stage.seal([group(300, size=1), group(212, size=1), group(1, size=1)])
    assert [flush_of(record.value).bundles for record in two.records] == [2, 2, 1]


def test_no_record_is_larger_than_may_be(stage: Stage) -> None:
    events = Group(ROUTE, COMPARTMENTS, GRANTS, [draft(size=LARGEST) for _ in range(10)])
    sealed = stage.seal([events])
    assert [len(record.events) for record in sealed.records] == [4, 4, 2]
    for record in sealed.records:
        assert len(record.value) <= 900_000
        stage.verify(record.value)


def test_lanes_are_reused_for_an_hour(stage: Stage) -> None:
    sealer = stage.sealer()

    def lane(at: int, **changes: object) -> bytes:
        return lane_of(sealer.seal([replace(group(1), **changes)], now_ms=at).records[0].value).lane_id

    first = lane(NOW_MS)
    assert lane(NOW_MS + 3_599_999) == first
    assert lane(NOW_MS, grants=GRANTS[:1]) != first
    assert lane(NOW_MS, route=replace(ROUTE, priority=Priority.URGENT)) != first
    assert sealer.lanes == 3
    assert lane(NOW_MS + 3_600_000) != first
    assert sealer.lanes == 3


def test_lanes_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.LANES_KEPT", 2)
    sealer = stage.sealer()
    for version in range(1, 5):
        sealer.seal([group(1, route=replace(ROUTE, schema_version=version))], now_ms=NOW_MS)
        assert sealer.lanes <= 2


def test_the_lane_used_longest_ago_goes_first(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.LANES_KEPT", 2)
    sealer = stage.sealer()

    def lane(version: int) -> bytes:
        made = group(1, route=replace(ROUTE, schema_version=version))
        return lane_of(sealer.seal([made], now_ms=NOW_MS).records[0].value).lane_id

    first, second = lane(1), lane(2)
    assert lane(1) == first
    lane(3)
    assert lane(1) == first
    assert lane(2) != second


def change_nothing(world: World) -> None:
    world.version += 1


def change_key(world: World) -> None:
    world.rotate_kem_key(CCGIU)


def change_agreement(world: World) -> None:
    world.agree(JCF, CCGIU, "trace.request")


def change_status(world: World) -> None:
    world.suspend(CCGIU)


def change_another(world: World) -> None:
    world.rotate_kem_key(INTERPOL)
    world.agree(CCGIU, JCF, "trace.request")


@pytest.mark.parametrize(
    ("change", "kept"),
    [(change_nothing, 2), (change_key, 1), (change_agreement, 1), (change_status, 1), (change_another, 2)],
)
def test_a_new_directory_closes_the_lanes_it_touches(change: Callable[[World], None], kept: int) -> None:
    stage = Stage()
    sealer = stage.sealer()
    only_atf = group(1, grants=GRANTS[:1])
    sealer.seal([group(1, grants=GRANTS[:2]), only_atf], now_ms=NOW_MS)
    assert sealer.lanes == 2
    change(stage.world)
    sealer.update_directory(stage.world.directory(), NOW_MS)
    assert sealer.lanes == kept
    sealed = sealer.seal([only_atf], now_ms=NOW_MS)
    assert flush_of(sealed.records[0].value).directory_version == stage.world.version == sealer.directory_version


def test_a_suspended_recipient_stops_the_flush() -> None:
    stage = Stage()
    sealer = stage.sealer()
    stage.world.suspend(CCGIU)
    sealer.update_directory(stage.world.directory(), NOW_MS)
    with pytest.raises(RecipientSuspended):
        sealer.seal([group(1)], now_ms=NOW_MS)


def test_a_site_key_that_is_not_listed_signs_nothing() -> None:
    stage = Stage()
    sealer = stage.sealer()
    stage.world.revoke_signing_key(JCF)
    sealer.update_directory(stage.world.directory(), NOW_MS)
    for call in (lambda: sealer.seal([group(1)], now_ms=NOW_MS), lambda: sealer.heartbeat([ATF], now_ms=NOW_MS)):
        with pytest.raises(SealerKeyUnusable, match="revoked"):
            call()


def test_a_fork_stops_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = stage.sealer()
    sealer.seal([group(1)], now_ms=NOW_MS)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for call in (lambda: sealer.seal([group(1)], now_ms=NOW_MS), lambda: sealer.heartbeat([ATF], now_ms=NOW_MS)):
        with pytest.raises(SealerForked):
            call()


def test_a_real_fork_stops_the_child(stage: Stage) -> None:
    sealer = stage.sealer()
    with warnings.catch_warnings():  # Python 3.12 warns where another test has left a thread; the child only exits
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            sealer.seal([group(1)], now_ms=NOW_MS)
        except SealerForked:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_it_ends_with_its_numbers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.wire.limits.BUNDLE_SEQ", 1)
    sealer = stage.sealer()
    sealer.seal([group(1)], now_ms=NOW_MS)
    with pytest.raises(SealerExhausted):
        sealer.seal([group(1)], now_ms=NOW_MS)


def test_two_instances_differ_and_name_what_came_before(stage: Stage) -> None:
    first = stage.sealer()
    sealed = first.seal([group(1), group(1)], now_ms=NOW_MS)
    previous = {agency: (first.instance, number) for agency, number in sealed.sequences.items()}
    second = stage.sealer(previous=previous)
    assert second.instance != first.instance
    record = second.seal([group(1)], now_ms=NOW_MS).records[0]
    for entry in (parse_entry(raw) for raw in parse_ingest(record.value).entries):
        assert (entry.prev_instance, entry.prev_seq, entry.recipient_seq) == (first.instance, 2, 1)


def test_a_heartbeat_uses_no_number(stage: Stage) -> None:
    sealer = stage.sealer()
    assert sealer.heartbeat([], now_ms=NOW_MS).records == ()
    sealer.seal([group(1, grants=GRANTS[:1]), group(1, grants=GRANTS[:1])], now_ms=NOW_MS)
    beat = sealer.heartbeat([CCGIU, ATF, ATF], now_ms=NOW_MS)
    (record,) = beat.records
    assert record.events == ()
    assert record.recipients == (ATF, CCGIU)
    assert numbers_of(record.value) == {ATF: 2, CCGIU: 0}
    assert beat.sequences == {ATF: 2}
    assert stage.verify(record.value).is_heartbeat
    assert sealer.seal([group(1)], now_ms=NOW_MS).sequences == {ATF: 3, CCGIU: 1, INTERPOL: 1}


def test_a_heartbeat_to_many_is_several_bundles(stage: Stage) -> None:
    many = [AgencyId(f"A{n:03}") for n in range(300)]
    beat = stage.sealer().heartbeat(many, now_ms=NOW_MS)
    assert [len(record.recipients) for record in beat.records] == [256, 44]
    for record in beat.records:
        assert stage.verify(record.value).is_heartbeat


def test_a_draft_that_fits_nowhere_is_told_beforehand() -> None:
    check_draft(draft(size=LARGEST), COMPARTMENTS, GRANTS)
    with pytest.raises(SectionTooLarge):
        check_draft(draft(size=LARGEST + 1), COMPARTMENTS, GRANTS)
    with pytest.raises(LimitExceeded, match="9999"):
        check_draft(replace(draft(), expires_at_ms=253_402_300_800_000), COMPARTMENTS, GRANTS)
    many = tuple((AgencyId(f"A{n:03}"), (CORE,)) for n in range(257))
    with pytest.raises(LimitExceeded, match="recipients"):
        check_draft(draft(), COMPARTMENTS, many)
    eight = tuple(compartment(n) for n in range(8))
    all_eight = tuple((agency, eight) for agency, _ in many[:256])
    with pytest.raises(LimitExceeded, match="record"):
        check_draft(draft(size=LARGEST, compartments=8), eight, all_eight)


def compartment(number: int) -> Compartment:
    return Compartment(f"c{number}")


@pytest.mark.parametrize(
    "grants",
    [
        (),
        ((ATF, ()),),
        ((ATF, (CORE,)), (ATF, (CORE,))),
        ((ATF, (SENSITIVE, CORE)),),
        ((ATF, (CORE, CORE)),),
        ((ATF, ("other",)),),
    ],
)
def test_grants_that_a_caller_should_not_make(stage: Stage, grants: object) -> None:
    bad = replace(group(1), grants=grants)
    with pytest.raises(DraftInvalid):
        check_draft(bad.drafts[0], COMPARTMENTS, bad.grants)
    with pytest.raises(DraftInvalid):
        stage.seal([bad])


def test_drafts_that_a_caller_should_not_make() -> None:
    for bad in (
        draft(compartments=2),
        replace(draft(), event_id=b"short"),
        replace(draft(), correlation_id=b"short"),
    ):
        with pytest.raises(DraftInvalid):
            check_draft(bad, COMPARTMENTS, GRANTS)
    for names in ((), (CORE, CORE), tuple(compartment(n) for n in range(9))):
        with pytest.raises(DraftInvalid, match="compartments"):
            check_draft(draft(compartments=len(names)), names, ((ATF, names[:1]),))


def test_a_nonce_never_comes_twice_under_a_key(stage: Stage) -> None:
    sealer = stage.sealer()
    plain = group(1)
    values = [sealer.seal([plain], now_ms=NOW_MS).records[0].value for _ in range(3)]
    assert len({lane_of(value).lane_id for value in values}) == 1  # the same DEKs
    cores = [parse_head(parse_ingest(value).head).core for value in values]
    assert len({core.bundle_seq for core in cores}) == 3
    assert len({core.event_root for core in cores}) == 3  # fresh salts: also where bundle_seq were the same
    assert len({parse_ingest(value).ciphertexts[0] for value in values}) == 3
