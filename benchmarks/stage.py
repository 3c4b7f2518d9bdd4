"""One stage in a process of its own: ``python -m benchmarks.stage WORLD IMPLEMENTATION STAGE EVENTS RATE [AGENCY]``.

It prints ``ready`` when it is connected, waits for a line on standard input, works, and prints its result as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator

from benchmarks import plaintext, sealed
from benchmarks.result import StageResult
from benchmarks.world import World
from hub import log_words

IMPLEMENTATIONS = {"plaintext": plaintext, "sealed": sealed}


async def run(steps: AsyncIterator[StageResult | None]) -> StageResult:
    """Takes a stage through its two steps: connected, done."""
    await anext(steps)
    gc.freeze()  # as hub.app.process does; for the peer too
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    result = await anext(steps)
    async for _ in steps:
        raise RuntimeError("a stage has two steps")
    if result is None:
        raise RuntimeError("the stage measured nothing")
    return result


def main(arguments: list[str]) -> None:
    log_words.configure(json=False)  # to standard error: standard output is the protocol with the parent
    world_file, implementation, stage, events, rate, *agency = arguments
    world = World.load(world_file)
    work = getattr(IMPLEMENTATIONS[implementation], stage)
    print(json.dumps(asyncio.run(run(work(world, int(events), float(rate), *agency))).to_json()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
