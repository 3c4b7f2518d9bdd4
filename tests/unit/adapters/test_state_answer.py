"""SIGUSR1 on real processes: what they answer, that they go on, and that one whose loop is stuck answers too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.adapters.state_answer import STACKS_FILE, STATE_FILE, StateFacts

MARKER = "QX-MARKER-7731"

PROGRAM = f"""
import asyncio, os, signal, sys, threading, time
from pathlib import Path
from hub.adapters.state_answer import StateFacts, answering, hold_back
from hub.log_words import configure, say

configure(json=True)

async def deeper(serial):
    await asyncio.Event().wait()

async def waiting(serial):
    await deeper(serial)

async def main(how):
    facts = StateFacts()
    facts.tell("queue", lambda: {{"records": 3}})
    facts.tell("broken", lambda: int("{MARKER}"))
    hold_back()
    early = threading.Thread(target=time.sleep, args=(1000,), daemon=True, name="early")
    early.start()  # as a library may have one
    os.kill(os.getpid(), signal.SIGUSR1)  # before it can be answered: it waits
    with answering(Path(sys.argv[1]), role="test", agency="JCF", facts=facts):
        task = asyncio.create_task(waiting("{MARKER}"), name="source-x")
        await asyncio.sleep(0)
        print("ready", flush=True)
        if how == "sleep":
            await asyncio.sleep(1000)
        elif how == "spin":
            while True:
                pass
        else:
            time.sleep(1000)

asyncio.run(main(sys.argv[2]))
"""


@contextmanager
def running(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def until(path: Path, holds: str = "") -> str:
    end = time.monotonic() + 60
    while not path.exists() or holds not in path.read_text():
        assert time.monotonic() < end, path
        time.sleep(0.02)
    return path.read_text()


@pytest.mark.parametrize("how", ["sleep", "spin", "block"])
def test_answers_also_with_a_stuck_loop(tmp_path: Path, how: str) -> None:
    with running(tmp_path, how) as process:
        until(tmp_path / STATE_FILE)  # it was asked before it could answer, and maybe before its loop was stuck
        (tmp_path / STATE_FILE).unlink()
        process.send_signal(signal.SIGUSR1)
        answer: dict[str, Any] = json.loads(until(tmp_path / STATE_FILE))
        assert answer["role"] == "test"
        assert answer["loop"]["answers"] is (how == "sleep")
        assert answer["queue"] == {"records": 3}
        assert answer["broken"] == {"failed": "ValueError"}
        assert answer["memory"]["resident_bytes"] > 1_000_000
        [task] = [task for task in answer["tasks"] if task["name"] == "source-x"]
        assert [place.split()[-1] for place in task["at"]] == ["waiting", "deeper", "Event.wait", "FutureIter"]
        [main] = [thread for thread in answer["threads"] if thread["name"] == "MainThread"]
        assert main["at"]
        # it goes on, and answers anew
        (tmp_path / STATE_FILE).unlink()
        os.kill(process.pid, signal.SIGUSR1)
        until(tmp_path / STATE_FILE)
        assert process.poll() is None
        process.kill()
        _, said = process.communicate()
        lines = [json.loads(line) for line in said.splitlines()]
        assert [line["event"] for line in lines] == ["state.written"] * 3
        assert {line["process"] for line in lines} == {lines[0]["process"]}
        assert MARKER not in said
        assert MARKER not in json.dumps(answer)
        assert (tmp_path / STATE_FILE).stat().st_mode & 0o077 == 0


def test_sigusr2_writes_stacks(tmp_path: Path) -> None:
    with running(tmp_path, "spin") as process:
        process.send_signal(signal.SIGUSR2)
        stacks = until(tmp_path / STACKS_FILE, "in main")
        assert MARKER not in stacks
        assert process.poll() is None


def test_a_part_is_told_while_it_lives() -> None:
    facts = StateFacts()
    with facts.told("sender", lambda: 1):
        assert facts.gather() == {"sender": 1}
    assert facts.gather() == {}
