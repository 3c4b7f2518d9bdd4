"""Whatever ends the demo, nothing of it is left running."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import signal, sys, time
import deploy.demo.__main__ as demo

for number in demo.ENDINGS:  # whatever this test was started with
    signal.signal(number, signal.SIG_DFL if sys.argv[2] == "heard" else signal.SIG_IGN)

class Stack:
    def __init__(self, *_, **__): pass
    def start(self):
        print("started", flush=True)
        time.sleep(30 if sys.argv[2] == "heard" else 1)
        raise KeyboardInterrupt
    def stop(self):
        print("stopping", flush=True)
        time.sleep(1)
        print("stopped", flush=True)

demo.Stack = Stack
sys.exit(demo.main([sys.argv[1]]))
"""


def begin(command: str, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, command, how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize(
    ("command", "number"), [("run", signal.SIGINT), ("run", signal.SIGTERM), ("up", signal.SIGHUP)]
)
def test_it_stops_what_it_started_and_a_second_signal_does_not_stop_that(command: str, number: signal.Signals) -> None:
    with begin(command, "heard") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopped\n"
    assert process.returncode == 130


def test_a_signal_that_it_was_told_to_ignore_stays_ignored() -> None:
    with begin("run", "ignored") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.read() == "stopping\nstopped\n"
    assert process.returncode == 130
