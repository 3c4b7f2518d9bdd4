"""What every sink holds to (hub/client/sink.py): JSONL, SQLite and webhook alike.

The test plays the Subscriber: it stores a state with its marks, or is killed before it does; afterwards it opens the
sink with the state that was stored last and writes again what came after it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from connectors.jsonl_sink import JsonlSink
from connectors.sqlite_sink import SqliteSink
from connectors.webhook_sink import WebhookSettings, WebhookSink
from hub.client.sink import Sink
from hub.errors import UnavailableError
from hub.model import OpenedEvent
from tests.support.opened import connector_context, opened_event
from tests.support.receiver import Receiver
from tests.support.samples import catalog

EVENTS = [opened_event("trace.request", number, index=number) for number in range(1, 9)]


class Bench(Protocol):
    """A sink and what its reader sees."""

    def make(self) -> Sink: ...

    def seen(self) -> list[str]:
        """Event ids that the reader has, in its order, each as often as it counts for it."""


class JsonlBench:
    def __init__(self, folder: Path, rotate: int | None) -> None:
        self.path, self.rotate = folder / "out.jsonl", rotate

    def make(self) -> Sink:
        return JsonlSink("out", self.path, self.rotate, catalog())

    def text(self) -> str:
        files = sorted(p for p in self.path.parent.glob("out*.jsonl") if "unmarked" not in p.name)
        return "".join(path.read_text() for path in files)

    def seen(self) -> list[str]:
        return [json.loads(line)["event_id"] for line in self.text().splitlines()]


class SqliteBench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "out.db"

    def make(self) -> Sink:
        return SqliteSink("out", self.path, catalog())

    def seen(self) -> list[str]:
        with sqlite3.connect(self.path) as connection:
            rows = connection.execute("SELECT event_id FROM trace_request ORDER BY event_id").fetchall()
        connection.close()
        return [row[0] for row in rows]


class WebhookBench:
    def __init__(self, folder: Path, receiver: Receiver) -> None:
        secret = folder / "secret"
        secret.write_text("whsec_" + base64.b64encode(b"k" * 32).decode())
        secret.chmod(0o600)
        self.receiver = receiver
        self.settings = WebhookSettings(url=receiver.url, secret=secret, retry_seconds=0)
        self.context = connector_context(folder)

    def make(self) -> Sink:
        return WebhookSink("out", self.settings, self.context, first_wait=0.01)

    def seen(self) -> list[str]:
        return [json.loads(body)["event_id"] for body in self.receiver.accepted.values()]


@pytest.fixture(params=["jsonl", "jsonl-rotated", "sqlite", "webhook"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "webhook":
        async with Receiver() as receiver:
            yield WebhookBench(tmp_path, receiver)
    elif request.param == "sqlite":
        yield SqliteBench(tmp_path)
    else:
        yield JsonlBench(tmp_path, 4000 if request.param == "jsonl-rotated" else None)


def ids(events: Sequence[OpenedEvent]) -> list[str]:
    return [f"00000000-0000-0000-0000-{int.from_bytes(e.event_id, 'big'):012x}" for e in events]


State = Mapping[str, Any] | None


async def deliver(bench: Bench, events: Sequence[OpenedEvent], state: State) -> State:
    sink = bench.make()
    await sink.open(state)
    new = await sink.write(events)
    await sink.close()
    return new


async def test_what_is_written_is_there(bench: Bench) -> None:
    await deliver(bench, EVENTS, None)
    assert bench.seen() == ids(EVENTS)


async def test_states_are_json_objects(bench: Bench) -> None:
    state = await deliver(bench, EVENTS[:2], None)
    assert state is None or json.loads(json.dumps(state)) == state


async def test_batches_follow_each_other_across_restarts(bench: Bench) -> None:
    state: State = None
    for start in range(0, 8, 2):
        state = await deliver(bench, EVENTS[start : start + 2], state)
    assert bench.seen() == ids(EVENTS)


@pytest.mark.parametrize("marked", [0, 1, 3])
async def test_a_crash_between_the_write_and_the_mark_leaves_each_event_once(bench: Bench, marked: int) -> None:
    state: State = None
    for number in range(marked):
        state = await deliver(bench, EVENTS[number : number + 1], state)
    await deliver(bench, EVENTS[marked : marked + 3], state)  # written, and then killed: the state is lost
    await deliver(bench, EVENTS[marked:], state)  # batches are cut otherwise the second time
    assert bench.seen() == ids(EVENTS)


async def test_a_crash_after_several_unmarked_writes_leaves_each_event_once(bench: Bench) -> None:
    state = await deliver(bench, EVENTS[:1], None)
    sink = bench.make()
    await sink.open(state)
    for number in range(1, 6):
        await sink.write(EVENTS[number : number + 1])
    await sink.close()
    await deliver(bench, EVENTS[1:], state)
    assert bench.seen() == ids(EVENTS)


async def test_it_may_be_opened_again_without_being_closed(bench: Bench) -> None:
    sink = bench.make()
    await sink.open(None)
    state = await sink.write(EVENTS[:2])
    await sink.open(state)
    await sink.write(EVENTS[2:4])
    await sink.close()
    assert bench.seen() == ids(EVENTS[:4])


async def test_closing_twice_and_unopened_is_no_error(bench: Bench) -> None:
    sink = bench.make()
    await sink.close()
    await sink.open(None)
    await sink.close()
    await sink.close()


async def test_writing_unopened_is_unavailable(bench: Bench) -> None:
    with pytest.raises(UnavailableError):
        await bench.make().write(EVENTS[:1])


async def test_withheld_fields_are_named(bench: Bench) -> None:
    event = opened_event("trace.request", 9, granted=["core"])
    await deliver(bench, [event], None)
    if isinstance(bench, SqliteBench):
        with sqlite3.connect(bench.path) as connection:
            row = connection.execute("SELECT withheld, firearm_serial_raw FROM trace_request").fetchone()
            shown = connection.execute("SELECT firearm_serial_raw FROM trace_request_shown").fetchone()
        connection.close()
        assert (row, shown) == (("personal sensitive affiliation", None), ("[withheld]",))
        return
    if isinstance(bench, WebhookBench):
        text = next(iter(bench.receiver.accepted.values())).decode()
    else:
        assert isinstance(bench, JsonlBench)
        text = bench.text()
    document = json.loads(text)
    assert document["withheld"] == ["personal", "sensitive", "affiliation"]
    assert "firearm.serial_raw" in document["withheld_fields"]
    assert "serial_raw" not in document["body"]["firearm"]


async def test_the_loop_is_not_held_up(bench: Bench) -> None:
    """While a batch is written, others run."""
    sink = bench.make()
    await sink.open(None)
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        await sink.write(EVENTS * 4)
        ticking.cancel()
    await sink.close()
    assert len(ticks) > 2
