"""The actions on a refused record: in the audit log before they are done, once, by who may, for a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.console.actions import ActionImpossible, AlreadyDecided, ReasonMissing, RecordGone
from hub.console.audit import AuditBroken, parse_entry
from hub.console.people import Person, RoleTooLow
from hub.console.quarantine import held_page, quarantine_page
from hub.errors import BusUnavailable
from hub.ports import OutgoingRecord
from hub.topics import AUDIT, QUARANTINE, RETRY
from tests.console.stage import Stage
from tests.support.authority import NOW_MS

OPERATOR = Person("Hub operations", "Operations desk", "ab" * 32, "operator")
VIEWER = Person("Hub operations", "Duty room", "cd" * 32, "viewer")


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.prepare()
    return stage


def audited(stage: Stage) -> list[str]:
    return [parse_entry(record.value).what for record in stage.broker.records(AUDIT)]


async def decided(stage: Stage, number: int) -> list[str]:
    await stage.watch.look("audit")
    return [each.what for each in held_page(stage.watch.facts, stage.held(number), NOW_MS).held.decisions]


async def test_retry_gives_the_record_to_the_routers_as_it_was(stage: Stage) -> None:
    raw = await stage.actions.act("retry", OPERATOR, stage.held(0), reason="", decisions_seen=0)
    (given,) = stage.broker.records(RETRY)
    assert given.value == raw == stage.broker.records(QUARANTINE)[0].value
    assert audited(stage) == ["quarantine.retried"]
    assert await decided(stage, 0) == ["retried"]


async def test_discard_and_hand_back_write_nothing_but_the_log(stage: Stage) -> None:
    await stage.actions.act("discard", OPERATOR, stage.held(1), reason="  sent\n by mistake ", decisions_seen=0)
    raw = await stage.actions.act("hand-back", OPERATOR, stage.held(2), reason="", decisions_seen=0)
    assert raw == stage.broker.records(QUARANTINE)[2].value
    assert not stage.broker.records(RETRY)
    entries = [parse_entry(record.value) for record in stage.broker.records(AUDIT)]
    assert [(entry.what, entry.place, entry.reason) for entry in entries] == [
        ("quarantine.discarded", "0-1", "sent by mistake"),
        ("quarantine.handed_back", "0-2", ""),
    ]
    assert {entry.who for entry in entries} == {"Operations desk (Hub operations)"}
    await stage.watch.look("audit")
    assert quarantine_page(stage.watch.facts, NOW_MS).undecided == 2


async def test_a_viewer_does_nothing(stage: Stage) -> None:
    with pytest.raises(RoleTooLow):
        await stage.actions.act("discard", VIEWER, stage.held(0), reason="why", decisions_seen=0)
    assert audited(stage) == []


@pytest.mark.parametrize("reason", ["", " \n\t ", "x" * 501])
async def test_a_discard_needs_a_reason(stage: Stage, reason: str) -> None:
    with pytest.raises(ReasonMissing):
        await stage.actions.act("discard", OPERATOR, stage.held(0), reason=reason, decisions_seen=0)
    assert audited(stage) == []


@pytest.mark.parametrize("number", [2, 3])
async def test_what_the_routers_cannot_verify_is_not_retried(stage: Stage, number: int) -> None:
    with pytest.raises(ActionImpossible):
        await stage.actions.act("retry", OPERATOR, stage.held(number), reason="", decisions_seen=0)
    assert audited(stage) == []


async def test_two_who_decide_at_once_do_not_both_decide(stage: Stage) -> None:
    await stage.actions.act("discard", OPERATOR, stage.held(0), reason="mine", decisions_seen=0)
    with pytest.raises(AlreadyDecided):
        await stage.actions.act("retry", OPERATOR, stage.held(0), reason="", decisions_seen=0)
    assert not stage.broker.records(RETRY)
    await stage.actions.act("retry", OPERATOR, stage.held(0), reason="after all", decisions_seen=1)
    assert await decided(stage, 0) == ["discarded", "retried"]


async def test_a_record_that_is_gone_or_another_is_not_acted_on(stage: Stage) -> None:
    for held in (replace(stage.held(0), offset=99), replace(stage.held(0), digest="00" * 32)):
        with pytest.raises(RecordGone):
            await stage.actions.act("retry", OPERATOR, held, reason="", decisions_seen=0)
    assert audited(stage) == []
    assert not stage.broker.records(RETRY)


class Failing:
    """A producer to whose ``topic`` nothing can be written."""

    def __init__(self, stage: Stage, topic: str) -> None:
        self._inner = stage.producer
        self._topic = topic

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, records: list[OutgoingRecord]) -> int | None:
        if any(record.topic == self._topic for record in records):
            raise BusUnavailable("no")
        return await self._inner.send(records)


async def test_what_cannot_be_logged_is_not_done(stage: Stage) -> None:
    stage.log._producer = Failing(stage, AUDIT)  # type: ignore[assignment]
    with pytest.raises(BusUnavailable):
        await stage.actions.act("retry", OPERATOR, stage.held(0), reason="", decisions_seen=0)
    assert not stage.broker.records(RETRY)


async def test_what_was_logged_and_not_done_is_logged_as_failed_and_waits_again(stage: Stage) -> None:
    stage.actions._producer = Failing(stage, RETRY)  # type: ignore[assignment]
    with pytest.raises(BusUnavailable):
        await stage.actions.act("retry", OPERATOR, stage.held(0), reason="", decisions_seen=0)
    assert audited(stage) == ["quarantine.retried", "quarantine.failed"]
    await stage.watch.look("audit")
    assert quarantine_page(stage.watch.facts, NOW_MS).undecided == 4


async def test_a_log_that_does_not_hold_stops_every_action(stage: Stage) -> None:
    await stage.actions.act("discard", OPERATOR, stage.held(0), reason="first", decisions_seen=0)
    await stage.producer.send([OutgoingRecord(AUDIT, b"x", b"not an entry")])
    with pytest.raises(AuditBroken):
        await stage.actions.act("discard", OPERATOR, stage.held(1), reason="second", decisions_seen=0)


async def test_a_new_start_goes_on_with_the_chain_and_notices_a_cut_one(stage: Stage, tmp_path: Path) -> None:
    await stage.actions.act("discard", OPERATOR, stage.held(0), reason="first", decisions_seen=0)
    written = [record.value for record in stage.broker.records(AUDIT)]
    again = Stage(tmp_path)  # the same memory
    await again.prepare()
    with pytest.raises(AuditBroken, match="not there"):
        await again.actions.act("discard", OPERATOR, again.held(1), reason="second", decisions_seen=0)
    await again.producer.send([OutgoingRecord(AUDIT, b"console-1", value) for value in written])
    await again.actions.act("discard", OPERATOR, again.held(1), reason="second", decisions_seen=0)
    assert [parse_entry(record.value).number for record in again.broker.records(AUDIT)] == [1, 2]
