"""For whoever writes a connector: a Publisher that remembers, and checks that every source must pass.

    async def test_my_source(tmp_path):
        await check_source(lambda: MySource(...), tmp_path, events=12, refused_rows=2)

It runs the source, runs it again, and kills it at each of its durable writes in turn: every event must have been
published once, and every refused row reported once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.toolkit.progress import ProgressFile
from connectors.toolkit.run import SourceRun, Totals
from connectors.toolkit.source import Source
from hub.client.published import Published
from hub.document import encode_event
from hub.errors import RejectedError
from hub.model import AgencyId, Event, EventId, EventRef


class Killed(BaseException):
    """Stands for a kill -9: nothing catches it."""


class CheckFailed(AssertionError):
    """The source broke a rule; the message says which."""


class SilentObserver:
    """Keeps ``counters`` by name and labels, and the last of each gauge."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.gauges: dict[str, float] = {}

    def increment(self, name: str, amount: float = 1, /, **labels: str) -> None:
        place = (name, tuple(sorted(labels.items())))
        self.counters[place] = self.counters.get(place, 0) + amount

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        del name, value, labels

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.gauges[" ".join([name, *labels.values()])] = value


class MemoryPublisher:
    """Keeps what a Publisher would seal, with its rules for keys: the same is a duplicate, other content amends."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []
        self.amended: list[str] = []
        self.refuse: Callable[[Event], RejectedError | None] = lambda _: None
        self.kill_after_calls: int | None = None
        self._known: dict[str, tuple[str, EventId]] = {}
        self._calls = 0

    async def publish_many(self, items: Iterable[tuple[Event, str | None]]) -> Sequence[Published | RejectedError]:
        answers = [self._publish(event, key or "") for event, key in items]
        self._calls += 1
        if self.kill_after_calls is not None and self._calls >= self.kill_after_calls:
            raise Killed
        return answers

    def _publish(self, event: Event, key: str) -> Published | RejectedError:
        refusal = self.refuse(event)
        if refusal is not None:
            return refusal
        content = json.dumps(encode_event(event), sort_keys=True)
        known = self._known.get(key)
        if known is not None and known[0] == content:
            return Published(known[1], 0, (), duplicate=True)
        event_id = EventId((len(self.events) + 1).to_bytes(16, "big"))
        self._known[key] = (content, event_id)
        self.events.append((key, event))
        if known is None:
            return Published(event_id, 0, ())
        self.amended.append(key)
        return Published(event_id, 0, (), amends=EventRef(AgencyId("TEST"), known[1]))


class FragileProgress(ProgressFile):
    """A progress file that is killed before or after one of its writes."""

    def __init__(self, path: Path, *, kill_at: int | None = None, after: bool = False) -> None:
        super().__init__(path)
        self._kill_at = kill_at
        self._after = after
        self.writes = 0

    def store(self, state: dict[str, Any]) -> None:
        self.writes += 1
        if self.writes == self._kill_at and not self._after:
            raise Killed
        super().store(state)
        if self.writes == self._kill_at and self._after:
            raise Killed


async def run_source(source: Source, publisher: MemoryPublisher, progress: ProgressFile) -> Totals:
    """Runs a source to its end."""
    return await SourceRun(source, progress, SilentObserver()).run(publisher)


def read_reports(folder: Path) -> list[Mapping[str, Any]]:
    """Every line of every report below ``folder``."""
    lines: list[Mapping[str, Any]] = []
    for path in sorted(folder.rglob("*.rejected.jsonl")):
        lines += [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return lines


async def check_source(
    make: Callable[[], Source], folder: Path, *, events: int, refused_rows: int, reset: Callable[[], None] | None = None
) -> None:
    """The rules of a source that ends.

    ``folder`` holds its reports; ``reset`` brings its input back where a run moves it.

    Raises :class:`CheckFailed`.
    """
    state = folder / "state"

    async def complete(publisher: MemoryPublisher, progress: ProgressFile, case: str) -> None:
        await run_source(make(), publisher, progress)
        keys = [key for key, _ in publisher.events]
        _demand(len(keys) == events, case, f"{len(keys)} events were published, {events} are expected")
        _demand(len(set(keys)) == len(keys), case, "a key was published twice with different content")
        rows = [(line["row"], line["code"]) for line in read_reports(folder)]
        _demand(len(rows) == refused_rows, case, f"{len(rows)} rows are reported, {refused_rows} are expected")

    publisher = MemoryPublisher()
    whole = FragileProgress(state / "whole.json")
    await complete(publisher, whole, "a run")
    _again(reset)
    await complete(publisher, ProgressFile(state / "lost.json"), "a run whose position was lost")
    for kill_at in range(1, whole.writes + 1):
        for after in (False, True):
            _again(reset)
            publisher = MemoryPublisher()
            path = state / f"{kill_at}-{after}.json"
            case = f"a run that was killed {'after' if after else 'before'} its write {kill_at} of the position"
            try:
                await run_source(make(), publisher, FragileProgress(path, kill_at=kill_at, after=after))
            except Killed:
                await complete(publisher, ProgressFile(path), case)


def _again(reset: Callable[[], None] | None) -> None:
    if reset is not None:
        reset()


def _demand(held: bool, case: str, message: str) -> None:
    if not held:
        raise CheckFailed(f"{case}: {message}")
