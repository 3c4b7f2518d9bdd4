"""Where a passphrase or a token's PIN comes from: a file, a service manager's credentials, or a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Final

from hub.adapters.key_files import read_secret
from hub.trust.keys import PassphraseSource
from hub.trust.passphrase import MAX_PASSPHRASE, Passphrase, PassphraseInvalid, PassphraseNeeded

PASSPHRASE_CREDENTIAL: Final = "cgi-hub.passphrase"  # noqa: S105  a name
PIN_CREDENTIAL: Final = "cgi-hub.pin"
"""Names in the folder that ``CREDENTIALS_DIRECTORY`` names (systemd.exec(5), "Credentials")."""

Ask = Callable[[str], str]
"""Asks somebody, shows nothing of the answer."""


def passphrase_source(
    file: Path | None = None, *, ask: Ask | None = None, what: str = "passphrase"
) -> PassphraseSource:
    """Where the passphrase is looked for, when it is needed: ``file``; else the credential; else whoever is there.

    The source gives one object, read once. It raises ``PassphraseNeeded``, ``PassphraseInvalid``, ``KeyFileExposed``
    and ``FileUnreadable``. ``ask`` is for tests; without it a terminal is asked, where standard input is one.
    """
    found: list[Passphrase] = []

    def source() -> Passphrase:
        if not found:
            found.append(Passphrase(find_secret(file, PASSPHRASE_CREDENTIAL, what, ask=ask)))
        return found[0]

    return source


def find_secret(file: Path | None, credential: str, what: str, *, ask: Ask | None = None) -> str:
    """The text of ``file``, of the credential, or of whoever is at the terminal. Raises as its source does."""
    if file is None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
        given = Path(folder, credential)
        file = given if folder and given.exists() else None
    if file is not None:
        return read_secret_line(file, what)
    if ask is None and sys.stdin is not None and sys.stdin.isatty():
        ask = getpass
    if ask is None:
        raise PassphraseNeeded(
            f"a {what} is needed, and there is none: name its file, or give the service the credential {credential}"
        )
    return ask(f"{what.capitalize()}: ")


def read_secret_line(file: Path, what: str) -> str:
    """The one line of a secret's file. Raises ``PassphraseInvalid`` and as ``read_secret`` does."""
    raw = read_secret(file, what)
    if len(raw) > MAX_PASSPHRASE + 2:
        raise PassphraseInvalid(f"the {what} is longer than {MAX_PASSPHRASE} bytes", file=file)
    try:
        text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise PassphraseInvalid(f"the {what} is not UTF-8", file=file) from None
    if not text or "\n" in text or "\0" in text:
        raise PassphraseInvalid(f"the file holds the {what} in one line, and nothing else", file=file)
    return text


def new_passphrase(file: Path | None, *, ask: Ask | None = None) -> Passphrase:
    """A passphrase for something new: asked for twice, where it is asked for. Raises as its source does."""
    told: list[str] = []

    def twice(prompt: str) -> str:
        asking = ask or getpass
        told.append(asking(prompt))
        if asking(f"{prompt.removesuffix(': ')} again: ") != told[-1]:
            raise PassphraseInvalid("the two are not the same")
        return told[-1]

    can_ask = ask is not None or (sys.stdin is not None and sys.stdin.isatty())
    return Passphrase(find_secret(file, PASSPHRASE_CREDENTIAL, "passphrase", ask=twice if can_ask else None))
