"""No changed record is taken: flips, cuts, insertions and mixes, anywhere (docs/spec 9 and 10).

tests/vectors try every single bit of one record of each kind; here the places are drawn, on records of many shapes.
"""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import RejectedError
from hub.model import HUB, AgencyId, EventRef
from hub.trust.stub import verify_stub
from tests.support.authority import NOW_MS
from tests.support.sealed import ATF, CCGIU, COMPARTMENTS, CORE, GRANTS, INTERPOL, Stage, draft, group

SHAPES = {
    "one": group(1, grants=((ATF, (CORE,)),)),
    "several": group(3),
    "replies": replace(group(0), drafts=[draft(reply=EventRef(ATF, draft().event_id)), draft(size=300)]),
    "heartbeat": None,
}


@cache
def records(shape: str) -> tuple[Stage, bytes, dict[AgencyId, bytes], dict[AgencyId, bytes]]:
    """The stage, an ingest record, and its deliveries and stubs. The record is the second of two in its flush."""
    stage = Stage()
    sealer = stage.sealer()
    made = SHAPES[shape]
    sealed = (
        sealer.heartbeat([ATF, CCGIU, INTERPOL], now_ms=NOW_MS)
        if made is None
        else sealer.seal([group(1), made], now_ms=NOW_MS)
    )
    value = sealed.records[-1].value
    bundle = stage.verify(value)
    agencies = [entry.agency for entry in bundle.entries]
    return stage, value, {a: bundle.delivery(a) for a in agencies}, {a: bundle.stub(a) for a in agencies}


def changes(data: st.DataObject, raw: bytes) -> bytes:
    at = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "remove", "swap"]))
    if how == "flip":
        return raw[:at] + bytes([raw[at] ^ 1 << data.draw(st.integers(0, 7))]) + raw[at + 1 :]
    if how == "cut":
        return raw[:at]
    if how == "insert":
        return raw[:at] + data.draw(st.binary(min_size=1, max_size=40)) + raw[at:]
    if how == "remove":
        return raw[:at] + raw[at + data.draw(st.integers(1, 40)) :]
    other = data.draw(st.integers(0, len(raw) - 1))
    low, high = sorted((at, other))
    return raw[:low] + raw[high : high + 1] + raw[low + 1 : high] + raw[low : low + 1] + raw[high + 1 :]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.data())
def test_a_changed_ingest_record_is_refused(shape: str, data: st.DataObject) -> None:
    stage, value, _, _ = records(shape)
    changed = changes(data, value)
    if changed != value:
        with pytest.raises(RejectedError):
            stage.verify(changed)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.sampled_from([a for a, _ in GRANTS]), st.data())
def test_a_changed_delivered_record_is_refused(shape: str, agency: AgencyId, data: st.DataObject) -> None:
    stage, _, deliveries, _ = records(shape)
    value = deliveries.get(agency, deliveries[ATF])
    changed = changes(data, value)
    if changed != value:
        with pytest.raises(RejectedError):
            stage.opener(agency).verify(changed, directory=stage.directory, now_ms=NOW_MS)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.data())
def test_a_changed_stub_is_refused(shape: str, data: st.DataObject) -> None:
    stage, _, _, stubs = records(shape)
    changed = changes(data, stubs[ATF])
    if changed != stubs[ATF]:
        with pytest.raises(RejectedError):
            verify_stub(changed, hub=HUB, recipient=ATF, directory=stage.directory, now_ms=NOW_MS)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=200), min_size=3, max_size=3), min_size=1, max_size=8))
def test_what_is_sealed_is_opened(contents: list[list[bytes]]) -> None:
    stage = Stage()
    drafts = [replace(draft(), sections=tuple(sections)) for sections in contents]
    value = stage.verify(stage.seal([replace(group(0), drafts=drafts)]).records[0].value)
    for agency, granted in GRANTS:
        opener = stage.opener(agency)
        delivered = opener.verify(value.delivery(agency), directory=stage.directory, now_ms=NOW_MS)
        for event, sections in zip(opener.open(delivered), contents, strict=True):
            assert event.sections == {name: sections[COMPARTMENTS.index(name)] for name in granted}
