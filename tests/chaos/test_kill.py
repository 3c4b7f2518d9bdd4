"""kill -9 anywhere: nothing is lost, nothing is applied twice. Real processes, real SQLite files, a bus in files.

The router's part is played here between the two (``hub.routing``); the chaos of the router is its own test.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing.process
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.jsonl_sink import JsonlSink
from hub.adapters.sqlite_inbox import SqliteInbox
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.model import HUB
from hub.ports import OutgoingRecord
from hub.routing import route_bundle
from hub.topics import deliver_topic, ingest_topic
from hub.trust.checks import FlushCache
from hub.trust.seal import Sealer
from hub.trust.sequence import Streams
from tests.chaos.processes import (
    PUBLISHER,
    RECIPIENT,
    Death,
    draw_moment,
    make_net,
    publish,
    received_serials,
    server,
    subscribe,
    wanted_serials,
)
from tests.support.file_bus import FileConsumer, FileProducer, read_records
from tests.support.routing import Asking

SIGKILL = -9


def run(target: Callable[..., None], *args: object) -> multiprocessing.process.BaseProcess:
    process = server().Process(target=target, args=args)
    process.start()
    return process


def finish(target: Callable[..., None], *args: object) -> None:
    """One more process, that nobody kills."""
    process = run(target, *args)
    process.join(60)
    assert process.exitcode == 0, "the last process did not bring it to an end"


def run_to_the_end(target: Callable[..., None], folder: Path, total: int, chance: random.Random, done: str) -> int:
    """One process after the other, each killed at some moment, until one gets to the end; how many were killed."""
    kills = 0
    while not (folder / done).exists():
        process = run(target, folder, total, None, draw_moment(chance))
        process.join(60)
        assert process.exitcode in (0, SIGKILL)
        kills += process.exitcode == SIGKILL
    return kills


async def route(folder: Path) -> None:
    """Everything on the ingest topic, once, to the delivery topic of the recipient: as the router would."""
    net, flushes = make_net(), FlushCache()
    producer = FileProducer(folder)
    for key, value, _ in read_records(folder / f"{ingest_topic(PUBLISHER)}.topic"):
        routed = route_bundle(
            value,
            owner=PUBLISHER,
            hub=HUB,
            directory=net.directory.current(),
            subscriptions=Asking(RECIPIENT),
            now_ms=net.clock.now_ms(),
            flushes=flushes,
        )
        await producer.send(
            [OutgoingRecord(deliver_topic(RECIPIENT), key, d.value) for d in routed.deliveries if d.agency == RECIPIENT]
        )


def assert_exact(folder: Path, total: int) -> None:
    assert sorted(received_serials(folder)) == wanted_serials(total)
    inbox = SqliteInbox(folder / "inbox.sqlite", agency=RECIPIENT)
    inbox.open()
    try:
        assert list(inbox.rejected(10)) == []
        assert Streams.from_state(inbox.load().streams).gaps() == ()
    finally:
        inbox.close()


@pytest.mark.timeout(120)
def test_killed_at_random_moments(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    seed = random.randrange(10**6)
    record_property("seed", seed)
    chance = random.Random(seed)
    total, kills = 250, 0
    for attempt in range(5):  # a quick machine may get to the end before its moment comes: then once more
        folder = tmp_path / str(attempt)
        folder.mkdir()
        kills += run_to_the_end(publish, folder, total, chance, "published")
        asyncio.run(route(folder))
        kills += run_to_the_end(subscribe, folder, total, chance, "received")
        assert_exact(folder, total)
        if kills >= 5:
            return
    pytest.fail("the processes lived too long for this test to say anything")


PUBLISHER_DEATHS: list[Death] = [
    (Sealer, "seal", 3, True),  # sealed, not stored
    (SqliteOutbox, "commit", 3, True),  # stored, nobody told
    (FileProducer, "send", 2, True),  # sent, not deleted
    (SqliteOutbox, "acknowledge", 2, True),  # deleted
    (Sealer, "heartbeat", 1, True),
]


@pytest.mark.parametrize("death", PUBLISHER_DEATHS, ids=lambda death: f"{death[0].__name__}.{death[1]}")
def test_a_publisher_killed_at_a_step(tmp_path: Path, death: Death) -> None:
    total = 60
    process = run(publish, tmp_path, total, None, death)
    process.join(60)
    assert process.exitcode == SIGKILL
    finish(publish, tmp_path, total)
    asyncio.run(route(tmp_path))
    finish(subscribe, tmp_path, total)
    assert_exact(tmp_path, total)


SUBSCRIBER_DEATHS: list[Death] = [
    (FileConsumer, "poll", 2, True),  # read
    (JsonlSink, "write", 1, True),  # written, not marked: the very first
    (JsonlSink, "write", 2, True),  # written, not marked
    (SqliteInbox, "commit", 2, True),  # marked, not committed
    (FileConsumer, "commit", 2, True),  # committed
]


@pytest.mark.parametrize("death", SUBSCRIBER_DEATHS, ids=lambda death: f"{death[0].__name__}.{death[1]}-{death[2]}")
def test_a_subscriber_killed_at_a_step(tmp_path: Path, death: Death) -> None:
    total = 60
    finish(publish, tmp_path, total)
    asyncio.run(route(tmp_path))
    process = run(subscribe, tmp_path, total, None, death)
    process.join(60)
    assert process.exitcode == SIGKILL
    finish(subscribe, tmp_path, total)
    assert_exact(tmp_path, total)


def test_what_was_sent_twice_is_what_makes_the_test_worth_something(tmp_path: Path) -> None:
    """Killed between the acknowledgement and the deletion, the publisher sends again: the wire has doubles."""
    death: Death = (FileProducer, "send", 2, True)
    run(publish, tmp_path, 60, None, death).join(60)
    finish(publish, tmp_path, 60)
    values = [value for _, value, _ in read_records(tmp_path / f"{ingest_topic(PUBLISHER)}.topic")]
    assert len(values) > len(set(values))
    assert json.loads((tmp_path / "source.progress").read_text()) == 60
