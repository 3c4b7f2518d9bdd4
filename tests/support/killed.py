"""A piece of work that is killed at its n-th change of the disk, as by kill -9: nothing is cleaned up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

_KILLED = 137
_CHANGES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_at(step: int, folder: Path, work: Callable[[], object]) -> bool:
    """Run ``work`` in a process of its own, which ends just before its change number ``step`` below ``folder``.

    Whether it was killed; False: the work was done before.
    """
    child = os.fork()
    if child == 0:
        try:
            _install(step, str(folder))
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == _KILLED


def _install(step: int, folder: str) -> None:
    left = step

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event == "open":
            changes = isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)
        else:
            changes = event in _CHANGES
        if changes and os.path.abspath(str(arguments[0])).startswith(folder):
            if left == 0:
                os._exit(_KILLED)
            left -= 1

    sys.addaudithook(hook)
