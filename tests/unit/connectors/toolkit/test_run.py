"""The runner: publish, report, position, in that order; kills at any place leave each event once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connectors.toolkit import Begin, Mark, Origin, Position, ProgressFile, Refused, SourceRun, Step, Taken, run
from connectors.toolkit.errors import CellMissing
from connectors.toolkit.files import FileUnavailable
from connectors.toolkit.testkit import (
    CheckFailed,
    Killed,
    MemoryPublisher,
    SilentObserver,
    check_source,
    read_reports,
    run_source,
)
from hub.catalog import FieldMissing
from hub.errors import ConfigError, RejectedError
from hub.model import Event
from tests.support.samples import sample_event


class Numbers:
    """Yields the numbers from the position on; every fifth is refused."""

    name = "numbers"

    def __init__(self, report: Path, count: int = 20) -> None:
        self.report = report
        self.count = count
        self.away = 0
        self.flushes: list[int] = []

    async def steps(self, position: Position | None) -> AsyncGenerator[Step, None]:
        start = int(position["next"]) if position else 0
        if start == 0:
            yield Begin(self.report)
        for number in range(start, self.count):
            if number == 7 and self.away:
                self.away -= 1
                raise FileUnavailable("away", path="x")
            origin = Origin(self.report, number + 2, number + 2, {"number": str(number)}, {"ori": "ORI"})
            if number % 5 == 4:
                yield Refused(origin, CellMissing("is empty", column="Number"))
            else:
                yield Taken(f"numbers:{number}", sample_event("trace.request"), (origin,))
            yield Mark({"next": number + 1}, flush=number == 9)
            if number == 9:
                self.flushes.append(number)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BATCH", 4)
    monkeypatch.setattr(run, "FIRST_WAIT_SECONDS", 0.001)


async def test_the_rules_of_a_source_hold(tmp_path: Path) -> None:
    await check_source(lambda: Numbers(tmp_path / "n.rejected.jsonl"), tmp_path, events=16, refused_rows=4)


async def test_the_check_finds_a_source_that_doubles(tmp_path: Path) -> None:
    class Doubling(Numbers):
        async def steps(self, position: Position | None) -> AsyncGenerator[Step, None]:
            fresh = object()
            async for step in super().steps(position):
                yield Taken(f"{id(fresh)}:{step.key}", step.event, step.origins) if isinstance(step, Taken) else step

    with pytest.raises(CheckFailed):
        await check_source(lambda: Doubling(tmp_path / "n.rejected.jsonl"), tmp_path, events=16, refused_rows=4)


async def test_a_flush_returns_when_all_before_it_is_durable(tmp_path: Path) -> None:
    source, publisher = Numbers(tmp_path / "n.rejected.jsonl"), MemoryPublisher()
    published: list[int] = []

    class Watching(Numbers):
        async def steps(self, position: Position | None) -> AsyncGenerator[Step, None]:
            async for step in source.steps(position):
                yield step
                if isinstance(step, Mark) and step.flush:
                    published.append(len(publisher.events))
                    assert ProgressFile(tmp_path / "p.json").load()["position"] == step.position

    await run_source(Watching(tmp_path), publisher, ProgressFile(tmp_path / "p.json"))
    assert published == [8]


async def test_a_kill_between_publishing_and_the_position_repeats_without_effect(tmp_path: Path) -> None:
    publisher, progress = MemoryPublisher(), ProgressFile(tmp_path / "p.json")
    publisher.kill_after_calls = 2
    with pytest.raises(Killed):
        await run_source(Numbers(tmp_path / "n.rejected.jsonl"), publisher, progress)
    publisher.kill_after_calls = None
    totals = await run_source(Numbers(tmp_path / "n.rejected.jsonl"), publisher, progress)
    assert totals.duplicates > 0
    assert len(publisher.events) == 16
    assert len(read_reports(tmp_path)) == 4


async def test_what_is_away_is_tried_again_from_the_last_mark(tmp_path: Path) -> None:
    source, publisher, observer = Numbers(tmp_path / "n.rejected.jsonl"), MemoryPublisher(), SilentObserver()
    source.away = 2
    with capture_logs() as said:
        totals = await SourceRun(source, ProgressFile(tmp_path / "p.json"), observer).run(publisher)
    assert len(publisher.events) == 16
    assert totals.rejected_rows == 4
    assert observer.counters["cgi_unavailable_total", (("code", "unavailable.file"), ("operation", "poll"))] == 2
    assert [(line["event"], line["source"], line["code"]) for line in said] == [
        ("source.unavailable", "numbers", "unavailable.file")
    ] * 2
    assert len(read_reports(tmp_path)) == 4


async def test_a_refusal_by_the_publisher_is_reported_with_the_column(tmp_path: Path) -> None:
    publisher = MemoryPublisher()

    def refuse(event: Event) -> RejectedError:
        del event
        return FieldMissing("trace.request: ori: it is missing", field="ori")

    publisher.refuse = refuse
    await run_source(Numbers(tmp_path / "n.rejected.jsonl", 1), publisher, ProgressFile(tmp_path / "p.json"))
    (line,) = read_reports(tmp_path)
    assert (line["code"], line["event_code"], line["field"], line["column"], line["row"]) == (
        "row.field",
        "event.field_missing",
        "ori",
        "ORI",
        2,
    )
    assert line["raw"] == {"number": "0"}


async def test_outcomes_are_counted(tmp_path: Path) -> None:
    observer = SilentObserver()
    await SourceRun(Numbers(tmp_path / "n.rejected.jsonl"), ProgressFile(tmp_path / "p.json"), observer).run(
        MemoryPublisher()
    )
    rows = {dict(labels)["outcome"]: n for (name, labels), n in observer.counters.items() if name == "cgi_rows_total"}
    assert rows == {"published": 16, "rejected": 4}


async def test_a_row_after_the_last_mark_is_reported_once(tmp_path: Path) -> None:
    report = tmp_path / "n.rejected.jsonl"

    class Careless(Numbers):
        async def steps(self, position: Position | None) -> AsyncGenerator[Step, None]:
            if position is None:
                yield Begin(report)
                yield Mark({"next": 1})
            yield Refused(Origin(report, 2, 2), CellMissing("is empty", column="Number"))

    for _ in range(3):
        await run_source(Careless(report), MemoryPublisher(), ProgressFile(tmp_path / "p.json"))
    assert len(read_reports(tmp_path)) == 1


async def test_a_config_error_stops_the_run(tmp_path: Path) -> None:
    class Broken(MemoryPublisher):
        async def publish_many(self, items: Any) -> Any:
            raise ConfigError("no")

    with pytest.raises(ConfigError):
        await run_source(Numbers(tmp_path / "n.rejected.jsonl"), Broken(), ProgressFile(tmp_path / "p.json"))


async def test_cancelling_is_safe(tmp_path: Path) -> None:
    class Slow(MemoryPublisher):
        async def publish_many(self, items: Any) -> Any:
            answers = await super().publish_many(items)
            await asyncio.sleep(0.01)
            return answers

    publisher, progress = Slow(), ProgressFile(tmp_path / "p.json")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.015):
            await run_source(Numbers(tmp_path / "n.rejected.jsonl"), publisher, progress)
    await run_source(Numbers(tmp_path / "n.rejected.jsonl"), publisher, progress)
    assert len(publisher.events) == 16
    assert len(read_reports(tmp_path)) == 4
