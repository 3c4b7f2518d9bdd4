"""``python -m deploy.demo [run | up | down]``: the demo, or its stack kept running. Called by ``make``."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from deploy.demo import findings, report, scenario
from deploy.demo.flow import StillFlowing, scrape, total
from deploy.demo.stack import ROOT, Say, Stack, stop_described
from hub import log_words
from hub.cli.main import report as report_error

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends this process from outside: the keyboard, a supervisor, a terminal that was closed."""

DEMO = ROOT / "build" / "demo"
STACK = ROOT / "build" / "stack"


def main(arguments: list[str]) -> int:
    """The exit code: 0; 1 where something that must hold does not; the command line's codes for errors."""
    command = arguments[0] if arguments else "run"
    commands = {"run": run_demo, "up": start_stack, "down": stop_stack}
    if command not in commands or len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    log_words.configure(json=False, level=logging.CRITICAL)  # what we provoke is told in the report
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    _at_endings(_interrupt)
    try:
        return commands[command]()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  the outermost place: one message for a person, and a code
        return report_error(error)


def run_demo() -> int:
    """Starts everything, runs the scenario, tells what happened, stops everything."""
    began = time.monotonic()
    say = _saying(began)
    stack = Stack(DEMO, say)
    try:
        stack.start()
        samples = scenario.run_scenario(stack, say)
        say("whoever runs the broker tampers with three bundles")
        attempts = asyncio.run(scenario.tamper(stack))
        _wait_for_quarantine(stack, len(attempts))
        say("looking at sinks, topics, the broker's files, and at who is refused")
        found = asyncio.run(findings.gather(stack, samples, attempts))
        path = report.write_json(found, stack, time.monotonic() - began)
        report.show(found, stack, path)
    finally:
        _at_endings(signal.SIG_IGN)  # what runs is stopped to its end, however often that is asked for
        say("stopping everything")
        stack.stop()
    say("done")
    return 0 if all(verdict.holds for verdict in found.verdicts) else 1


def start_stack() -> int:
    """Starts the stack, runs the scenario into it and leaves it running."""
    say = _saying(time.monotonic())
    if (STACK / "stack.json").exists():
        stop_described(STACK, say)
    stack = Stack(STACK, say, detached=True)
    try:
        stack.start()
        scenario.run_scenario(stack, say)
        path = stack.write_description()
    except BaseException:
        _at_endings(signal.SIG_IGN)
        stack.stop()
        raise
    print(f"the stack is up: {stack.broker.bootstrap}; everything needed to connect is in {path}; make down stops it")
    return 0


def stop_stack() -> int:
    """Stops what :func:`start_stack` left running."""
    stop_described(STACK, _saying(time.monotonic()))
    return 0


def _at_endings(handler: Callable[..., Any] | signal.Handlers) -> None:
    """``handler`` for each of :data:`ENDINGS`, but for those that whoever started us had us ignore (nohup)."""
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _wait_for_quarantine(stack: Stack, records: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while total(scrape(stack.services.values()), "cgi_quarantined_total") < records:
        if time.monotonic() > deadline:
            raise StillFlowing("the tampered bundles did not reach the quarantine in time", log=stack.folder / "logs")
        time.sleep(0.2)


def _saying(began: float) -> Say:
    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {text}", file=sys.stderr, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
