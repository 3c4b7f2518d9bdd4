"""The JSONL sink beyond the contract: torn writes, foreign files, rotation, who may read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from connectors import jsonl_sink
from connectors.jsonl_sink import JsonlSink, JsonlSinkSettings, SinkFileShorter
from connectors.toolkit.files import FileUnavailable
from tests.support.opened import connector_context, opened_event
from tests.support.samples import catalog

EVENTS = [opened_event("trace.result", number) for number in range(1, 7)]


def sink_at(path: Path, rotate: int | None = None) -> JsonlSink:
    return JsonlSink("out", path, rotate, catalog())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def event_ids(path: Path) -> list[int]:
    return [int(json.loads(line)["event_id"][-4:], 16) for line in path.read_text().splitlines()]


async def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = sink_at(path)
    await sink.open(None)
    state = await sink.write(EVENTS[:1])
    await sink.close()
    with path.open("ab") as file:
        file.write(b'{"event_id": "half')
    await sink.open(state)
    assert event_ids(path) == [1]
    await sink.write(EVENTS[1:2])
    await sink.close()
    assert event_ids(path) == [1, 2]


async def test_a_write_that_failed_half_way_leaves_nothing_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "out.jsonl", os.pwrite
    sink = sink_at(path)
    await sink.open(None)
    await sink.write(EVENTS[:1])

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        real(descriptor, data[:-10], offset)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(jsonl_sink.os, "pwrite", full)
        with pytest.raises(FileUnavailable, match="cannot write"):
            await sink.write(EVENTS[1:4])
    await sink.write(EVENTS[4:5])
    await sink.close()
    assert event_ids(path) == [1, 5]


async def test_a_file_that_nothing_was_marked_of_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("someone's notes\n")
    sink = sink_at(path)
    await sink.open(None)
    await sink.write(EVENTS[:1])
    await sink.close()
    assert event_ids(path) == [1]
    assert (tmp_path / "out.unmarked-1.jsonl").read_text() == "someone's notes\n"


async def test_a_file_that_is_shorter_than_was_marked_stops_the_sink(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = sink_at(path)
    await sink.open(None)
    state = await sink.write(EVENTS[:2])
    await sink.close()
    os.truncate(path, 10)
    with pytest.raises(SinkFileShorter, match="put the file back"):
        await sink.open(state)
    path.unlink()
    with pytest.raises(SinkFileShorter):
        await sink.open(state)


async def test_rotation_begins_a_new_file_and_drops_what_was_not_marked(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "out.jsonl", rotate=1)
    await sink.open(None)
    state = None
    for event in EVENTS[:3]:
        state = await sink.write([event])
    await sink.write(EVENTS[3:4])
    await sink.write(EVENTS[4:5])
    await sink.close()
    assert names(tmp_path) == [f"out.00000{n}.jsonl" for n in range(1, 6)]
    await sink.open(state)
    await sink.write(EVENTS[3:4])
    await sink.close()
    assert names(tmp_path) == [f"out.00000{n}.jsonl" for n in range(1, 5)]
    assert [event_ids(tmp_path / name)[0] for name in names(tmp_path)] == [1, 2, 3, 4]


async def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.jsonl"
    sink = sink_at(path)
    await sink.open(None)
    await sink.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_line_is_one_line_for_every_reader() -> None:
    document = {"text": "Né\u2028a\u2029b\x85c\nd\re\x0bf"}
    line = jsonl_sink.encode_line(document)
    assert len(line.splitlines()) == 1
    assert "Né" in line
    assert json.loads(line) == document


def test_it_is_built_of_settings(tmp_path: Path) -> None:
    sink = jsonl_sink.connector.build({"path": "out.jsonl"}, connector_context(tmp_path, "files"))
    assert isinstance(sink, JsonlSink)
    assert sink.name == "files"
    assert JsonlSinkSettings(path=Path("x")).rotate_bytes is None
