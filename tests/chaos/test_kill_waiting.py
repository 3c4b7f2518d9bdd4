"""kill -9 while events wait for a directory, and while they are sealed: nothing lost, nothing twice, the order kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.trust.seal import Sealer
from tests.chaos.processes import (
    PUBLISHER,
    Death,
    draw_moment,
    publish,
    publish_without_directory,
    received_serials,
    subscribe,
    wanted_serials,
)
from tests.chaos.test_kill import SIGKILL, assert_exact, finish, route, run
from tests.support.file_bus import FileProducer

TOTAL = 60


def bring_to_the_end(folder: Path, total: int) -> None:
    finish(publish, folder, total)
    asyncio.run(route(folder))
    finish(subscribe, folder, total)
    assert_exact(folder, total)
    assert received_serials(folder) == wanted_serials(total), "in the order of the source"
    outbox = SqliteOutbox(folder / "outbox.sqlite", agency=PUBLISHER)
    outbox.open()
    try:
        assert (outbox.depth().waiting, outbox.depth().records, list(outbox.refused(1))) == (0, 0, [])
    finally:
        outbox.close()


TAKING_DEATHS: list[Death] = [
    (SqliteOutbox, "commit", 3, False),  # taken, not stored
    (SqliteOutbox, "commit", 3, True),  # stored, nobody told
    (SqliteOutbox, "find_waiting", 3, True),  # looked up
]


@pytest.mark.parametrize("death", TAKING_DEATHS, ids=lambda death: f"{death[0].__name__}.{death[1]}-{death[3]}")
def test_killed_while_events_are_taken(tmp_path: Path, death: Death) -> None:
    process = run(publish_without_directory, tmp_path, TOTAL, None, death)
    process.join(60)
    assert process.exitcode == SIGKILL
    finish(publish_without_directory, tmp_path, TOTAL)
    assert not list(tmp_path.glob("*.topic")), "nothing was sent"
    bring_to_the_end(tmp_path, TOTAL)


SEALING_DEATHS: list[Death] = [
    (SqliteOutbox, "read_waiting", 2, True),  # read
    (Sealer, "seal", 2, True),  # sealed, not stored
    (SqliteOutbox, "commit", 2, False),
    (SqliteOutbox, "commit", 2, True),  # stored and out of the queue
    (SqliteOutbox, "_scrub", 3, False),  # not yet out of the write-ahead log
    (FileProducer, "send", 2, True),  # sent, not deleted
    (SqliteOutbox, "acknowledge", 2, True),
]


@pytest.mark.parametrize("death", SEALING_DEATHS, ids=lambda death: f"{death[0].__name__}.{death[1]}-{death[3]}")
def test_killed_while_what_waited_is_sealed(tmp_path: Path, death: Death) -> None:
    finish(publish_without_directory, tmp_path, TOTAL)
    process = run(publish, tmp_path, TOTAL, None, death)
    process.join(60)
    assert process.exitcode == SIGKILL
    bring_to_the_end(tmp_path, TOTAL)


@pytest.mark.timeout(120)
def test_a_directory_that_comes_and_goes_under_kills(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = random.randrange(10**6)
    record_property("seed", seed)
    chance = random.Random(seed)
    total, kills = 200, 0
    for _ in range(12):
        step = chance.choice([publish, publish_without_directory])
        process = run(step, tmp_path, total, None, draw_moment(chance))
        process.join(60)
        assert process.exitcode in (0, SIGKILL)
        kills += process.exitcode == SIGKILL
    record_property("kills", kills)
    bring_to_the_end(tmp_path, total)
