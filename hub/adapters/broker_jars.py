"""The jars of the Kafka node: exactly those that deploy/broker/jars.sha256 lists, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from hub.errors import ConfigError

_WAY_OUT: Final = "remove the folder and run `make broker` again"


class JarMissing(ConfigError):
    """A jar that the node needs is not there."""

    code = "broker.jar_missing"


class JarCorrupt(ConfigError):
    """A jar is not the one that was pinned."""

    code = "broker.jar_corrupt"


def verify_jars(folder: Path, pins: Path) -> tuple[Path, ...]:
    """The class path: each jar that ``pins`` (lines of ``sha256sum``) lists, after its bytes were checked.

    Other files in ``folder`` are not used. Raises :class:`JarMissing`, :class:`JarCorrupt`, :class:`ConfigError`.
    """
    try:
        lines = pins.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError("the list of jars cannot be read", file=pins, reason=error.strerror) from error
    if not lines:
        raise ConfigError("the list of jars is empty", file=pins)
    jars: list[Path] = []
    for number, line in enumerate(lines, 1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or "/" in name or not name.endswith(".jar"):
            raise ConfigError("not a line of sha256sum", file=pins, line=number)
        jar = folder / name
        try:
            with jar.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise JarMissing(f"a jar is missing; {_WAY_OUT}", jar=jar) from None
        if found != digest:
            raise JarCorrupt(f"a jar is not the pinned one; {_WAY_OUT}", jar=jar, expected=digest, found=found)
        jars.append(jar)
    return tuple(jars)
