"""A marker in every field and every malformed way: it comes out in no log, no metric and on no standard error.

Where it may stand: in the report of refused rows and in the inbox, which are the site's own files.
"""

from __future__ import annotations

import asyncio
import copy
import csv
import gc
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from connectors.csv_file import CsvSettings, make_csv
from connectors.jsonl_file import JsonlSettings, make_jsonl
from connectors.jsonl_sink import JsonlSink
from connectors.sqlite_sink import SqliteSink
from connectors.toolkit.progress import ProgressFile
from connectors.toolkit.run import SourceRun
from connectors.toolkit.source import Source
from hub import log_words
from hub.adapters.memory_observer import MemoryObserver
from hub.cli.main import report
from hub.cli.options import run_until_signalled
from hub.errors import ConfigError, HubError, RejectedError, UnavailableError
from hub.log_words import nothing_printed_beside
from hub.model import OpenedEvent
from hub.ports import OutgoingRecord
from hub.topics import deliver_topic
from tests.support.opened import connector_context
from tests.support.samples import catalog, sample_document
from tests.support.sites import ATF, JCF, ListSink, Net, trace, until

MARKER = "QX7731MARKER"
TYPES = [name for name in catalog().names() if name != "hub.notice"]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Iterator[Told]:
    """The log as a process writes it, and all that stands on standard error."""
    before = logging.root.handlers[:]
    log_words.configure(json=True, level=logging.DEBUG)
    with nothing_printed_beside():
        yield Told(capfd)
    structlog.reset_defaults()
    logging.root.handlers = before


class Told:
    """What came out."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.lines: list[dict[str, Any]] = []

    def has_nothing_of_it(self, *observers: MemoryObserver) -> None:
        out, err = self._capfd.readouterr()
        assert MARKER.lower() not in (out + err).lower()
        self.lines += [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        for observer in observers:
            assert MARKER.lower() not in repr(vars(observer)).lower()
        # nor in what SIGUSR1 would write of the last warnings
        assert MARKER.lower() not in repr(log_words.recent_warnings()).lower()

    def words(self) -> set[str]:
        return {line["event"] for line in self.lines}


# --- a document, spoilt at every place --------------------------------------------------------------------------------


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document, of records and lists too."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*at, name))


def spoilt(document: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    inner: Any = made
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = value
    return made


def every_spoilt(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    wrong: list[Any] = [MARKER, MARKER * 1_000, {MARKER: MARKER}, [MARKER], [[MARKER]], {"a": {MARKER: [MARKER]}}]
    for number, at in enumerate(places(document)):
        for turn in range(3):  # not each at each place: that takes minutes
            yield spoilt(document, at, wrong[(number + 2 * turn) % len(wrong)])
        inner: Any = document
        for name in at[:-1]:
            inner = inner[name]
        if isinstance(inner, dict):
            yield spoilt(document, (*at[:-1], MARKER), 1)


BROKEN = [
    f'{{"type": "{MARKER}"',
    f'{{"{MARKER}": 1, "{MARKER}": 2}}',
    f'{{"body": {MARKER}}}',
    f'["{MARKER}"]',
    f'"{MARKER}"',
    f'{{"{MARKER}": NaN}}',
    f'{{"{MARKER}": ' + "[" * 3_000,
    f'{{"a": "\\ud800{MARKER}"}}',
    MARKER,
    f'{{"type": "trace.request", "body": "{MARKER}"}}',
    f'{{"x": 1e999999, "{MARKER}": 99999999999999999999999999}}',
]


async def publish_all(net: Net, source: Source, folder: Path) -> Any:
    run = SourceRun(source, ProgressFile(folder / "progress.json"), net.observer)
    async with net.publisher(JCF) as publisher:
        return await run.run(publisher)


@pytest.mark.parametrize("event_type", TYPES)
async def test_a_document_spoilt_at_every_place(event_type: str, told: Told, tmp_path: Path) -> None:
    net = Net()
    lines = [json.dumps(each) for each in every_spoilt(sample_document(event_type, 0))]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    totals = await publish_all(
        net, make_jsonl(JsonlSettings(path=Path("in.jsonl")), connector_context(tmp_path)), tmp_path
    )
    assert totals.rejected_rows > len(lines) / 3
    assert MARKER in (tmp_path / "in.jsonl.rejected.jsonl").read_text()
    told.has_nothing_of_it(net.observer)


async def test_lines_that_are_no_documents(told: Told, tmp_path: Path) -> None:
    net = Net()
    data = "\n".join(BROKEN).encode() + b"\n" + MARKER.encode() + b"\xff\xfe\n" + MARKER.encode() * 200_000 + b"\n"
    (tmp_path / "in.jsonl").write_bytes(data)
    totals = await publish_all(
        net, make_jsonl(JsonlSettings(path=Path("in.jsonl")), connector_context(tmp_path)), tmp_path
    )
    assert totals.rejected_rows == len(BROKEN) + 2
    told.has_nothing_of_it(net.observer)


HOW = {
    "plain": lambda cell: MARKER,
    "more": lambda cell: f"{cell}{MARKER}",
    "control": lambda cell: f"{MARKER}\x01",
    "quotes": lambda cell: f'a"{MARKER}"b',
    "line": lambda cell: f"{MARKER}\n{MARKER}",
    "long": lambda cell: MARKER * 500,
    "nul": lambda cell: f"{MARKER}\0",
    "formula": lambda cell: f"=cmd|{MARKER}",
}
FILES = [
    ("JCF/traces-2020-2024.csv", "etrace-register"),
    ("TTPS/seizures.csv", "seizure-register"),
    ("CBP/export-screening.csv", "export-screening"),
    ("NCA/stolen-firearms.csv", "stolen-firearms"),
]


@pytest.mark.parametrize(("file", "profile"), FILES)
async def test_a_table_spoilt_in_every_cell(file: str, profile: str, told: Told, tmp_path: Path) -> None:
    net = Net()
    text = (Path("examples") / file).read_text("utf-8-sig", errors="replace")
    delimiter = ";" if text.partition("\n")[0].count(";") > 3 else ","
    header, *rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))[:2]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    for row in rows:
        for place in range(len(row)):
            writer.writerows([[*row[:place], spoil(row[place]), *row[place + 1 :]] for spoil in HOW.values()])
        writer.writerow([*row, MARKER])
        writer.writerow([MARKER])
    out.write(f'"{MARKER}{delimiter}{MARKER}\n{MARKER}"{MARKER}\n"{MARKER}')
    (tmp_path / "in.csv").write_bytes(out.getvalue().encode() + b"\xff" + MARKER.encode())
    settings = CsvSettings(path=Path("in.csv"), profile=profile)
    totals = await publish_all(net, make_csv(settings, connector_context(tmp_path)), tmp_path)
    assert totals.rejected_rows > 50
    told.has_nothing_of_it(net.observer)


async def test_a_table_whose_header_is_spoilt(told: Told, tmp_path: Path) -> None:
    net = Net()
    (tmp_path / "in.csv").write_text(f"{MARKER},{MARKER},Serial Number\n{MARKER},{MARKER},{MARKER}\n")
    settings = CsvSettings(path=Path("in.csv"), profile="etrace-register")
    await publish_all(net, make_csv(settings, connector_context(tmp_path)), tmp_path)
    told.has_nothing_of_it(net.observer)


# --- a recipient ------------------------------------------------------------------------------------------------------


def quoting(event: OpenedEvent) -> str:
    return f"cannot take {event.body['special_instructions']}"


class FailingSink(ListSink):
    """Raises an error of a class that quotes the event, the first time."""

    def __init__(self, kind: type[Exception]) -> None:
        super().__init__("failing")
        self._kind = kind
        self._failed = False

    async def write(self, events: Any) -> Any:
        if not self._failed:
            self._failed = True
            raise self._kind(quoting(events[0]))
        return await super().write(events)


async def delivered(net: Net) -> None:
    async with net.publisher(JCF) as publisher:
        await publisher.publish(trace(body={"special_instructions": MARKER}))
        await publisher.drain()
    await net.route()


async def test_a_sink_that_quotes_what_it_refuses(told: Told) -> None:
    net = Net()
    await delivered(net)
    await net.receive(FailingSink(RejectedError))
    told.has_nothing_of_it(net.observer)


@pytest.mark.parametrize("kind", [ValueError, KeyError, OSError, RuntimeError])
def test_a_sink_with_a_bug_ends_the_process_and_quotes_nothing(kind: type[Exception], told: Told) -> None:
    net = Net()

    async def work(_stop: Any) -> None:
        await delivered(net)
        await net.receive(FailingSink(kind))

    with pytest.raises((ExceptionGroup, kind)) as caught:
        run_until_signalled(work)
    assert report(caught.value) == 4
    told.has_nothing_of_it(net.observer)
    assert "process.failed" in told.words()


async def test_records_of_noise(told: Told) -> None:
    net = Net()
    await delivered(net)
    [good] = net.delivered()
    producer = net.broker.producer("HUB")
    await producer.start()
    noise = [MARKER.encode(), MARKER.encode() * 5_000, good.value + MARKER.encode(), b"DEL1" + MARKER.encode() * 20]
    noise += [good.value[:cut] + MARKER.encode() + good.value[cut:] for cut in range(0, len(good.value), 97)]
    await producer.send([OutgoingRecord(deliver_topic(ATF), MARKER.encode(), value) for value in noise])
    sink = ListSink()
    await net.receive(sink)
    assert len(sink.events) == 1
    told.has_nothing_of_it(net.observer)
    assert "bundle.quarantined" in told.words()


async def test_sinks_that_cannot_write(told: Told, tmp_path: Path) -> None:
    """A database that is none, a folder that is a file: what they say names no value."""
    (tmp_path / "no.db").write_text(MARKER * 1_000)
    for sink in (
        SqliteSink("db", tmp_path / "no.db", catalog()),
        JsonlSink("lines", tmp_path / "no.db" / "out.jsonl", None, catalog()),
    ):
        net = Net()
        await delivered(net)
        try:
            await _receive_until_it_fails(net, sink)
        except (HubError, ExceptionGroup) as error:
            report(error)
        told.has_nothing_of_it(net.observer)


async def _receive_until_it_fails(net: Net, sink: Any) -> None:
    async with asyncio.timeout(60), net.subscriber(sink) as subscriber, asyncio.TaskGroup() as group:
        running = group.create_task(subscriber.run())
        await until(lambda: running.done() or net.observer.total("cgi_unavailable_total") > 0)
        subscriber.stop()


# --- errors that were raised with a value in them ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ValueError(MARKER),
        ExceptionGroup(MARKER, [KeyError(MARKER), ExceptionGroup(MARKER, [OSError(5, MARKER, MARKER)])]),
        UnicodeDecodeError("utf-8", MARKER.encode(), 0, 1, MARKER),
        json.JSONDecodeError(MARKER, MARKER, 0),
    ],
)
def test_whatever_ends_a_process(error: Exception, told: Told) -> None:
    async def work(_stop: Any) -> None:
        try:
            int(MARKER)
        except ValueError as cause:
            raise error from cause

    with pytest.raises(type(error)) as caught:
        run_until_signalled(work)
    report(caught.value)
    told.has_nothing_of_it()


def test_a_task_that_nobody_waited_for(told: Told) -> None:
    async def fails() -> None:
        raise ValueError(MARKER)

    async def work(_stop: Any) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(fails(), name="lost")
        loop.call_soon(lambda value: int(value), MARKER)
        await asyncio.sleep(0.01)
        del task
        gc.collect()

    run_until_signalled(work)
    told.has_nothing_of_it()
    assert told.words() == {"library.warned"}


def test_ours_that_say_what_the_operator_gave(told: Told) -> None:
    """A setting that is wrong is named: it is the operator's own, and no content."""
    assert report(ConfigError("no such file", file="site.toml")) == 2
    assert report(UnavailableError("away")) == 3
    told.has_nothing_of_it()
