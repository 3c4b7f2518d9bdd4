"""The whole chain: publish, route, receive three times, each a process, all at once or one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks.result import StageResult
from benchmarks.world import World


class StageFailed(RuntimeError):
    """A stage's process ended without a result; its standard error is in the message."""


@dataclass(slots=True)
class Stage:
    """A stage's process, connected and waiting for its start."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    @classmethod
    def connect(
        cls, world: World, implementation: str, stage: str, events: int, rate: float = 0, agency: str = ""
    ) -> Stage:
        """Starts the process and waits until it says ``ready``."""
        name = f"{implementation}-{stage}-{agency or world.publisher}"
        log = world.folder / f"{name}.log"
        command = [
            sys.executable,
            "-m",
            "benchmarks.stage",
            str(world.file),
            implementation,
            stage,
            str(events),
            str(rate),
        ]
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*command, agency] if agency else command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        started = cls(name, process, log)
        if started._line() != "ready":
            raise StageFailed(f"{name} did not become ready: {log.read_text()[-2000:]}")
        return started

    def go(self) -> None:
        if self.process.stdin is None:
            raise StageFailed(f"{self.name} has no standard input")
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> StageResult:
        line = self._line()
        self.process.wait(timeout=60)
        if not line:
            raise StageFailed(f"{self.name} ended without a result: {self.log.read_text()[-2000:]}")
        known = {field.name for field in fields(StageResult)}
        return StageResult(**{name: value for name, value in json.loads(line).items() if name in known})

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _line(self) -> str:
        if self.process.stdout is None:
            raise StageFailed(f"{self.name} has no standard output")
        return self.process.stdout.readline().strip()


@dataclass(frozen=True, slots=True)
class ChainResult:
    """``seconds`` from the publisher's start to the last receiver's end."""

    implementation: str
    stages: tuple[StageResult, ...]
    events: int

    @property
    def seconds(self) -> float:
        return max(stage.finished_at for stage in self.stages) - min(
            stage.started_at for stage in self.stages if stage.stage == "publish"
        )

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    def stage(self, name: str) -> StageResult:
        return next(stage for stage in self.stages if stage.stage == name)

    def steady_latencies_ms(self, skip: int) -> list[float]:
        """The ages at every receiver, without the first ``skip`` events of each."""
        return [value for stage in self.stages for value in stage.latencies_ms[skip:]]


def all_at_once(world: World, implementation: str, events: int, rate: float = 0) -> ChainResult:
    """Every stage at the same time on this machine; the receivers and the router are connected before the start."""
    plan = [("receive", agency) for agency in world.recipients] + [("route", ""), ("publish", "")]
    return _run(world, implementation, events, rate, plan, together=True)


def each_alone(world: World, implementation: str, events: int) -> ChainResult:
    """One stage after the other, each on what the one before left in the broker."""
    plan = [("publish", ""), ("route", "")] + [("receive", agency) for agency in world.recipients]
    return _run(world, implementation, events, 0, plan, together=False)


def _run(
    world: World, implementation: str, events: int, rate: float, plan: Sequence[tuple[str, str]], *, together: bool
) -> ChainResult:
    stages: list[Stage] = []
    results: list[StageResult] = []
    try:
        for stage, agency in plan:
            stages.append(Stage.connect(world, implementation, stage, events, rate, agency))
            if not together:
                stages[-1].go()
                results.append(stages[-1].result())
        if together:
            for started in stages:
                started.go()
            results = [started.result() for started in stages]
    finally:
        for started in stages:
            started.kill()
    return ChainResult(implementation, tuple(results), events)
