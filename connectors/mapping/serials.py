"""What a register's own word for a serial number says about it (domain: serial realities). Pure.

The number itself is never changed: ``serial_raw`` is the cell as it is, or nothing where the cell has no number but a
word such as NONE. Derived are the status and, where some characters could not be read, a pattern with ``?`` for them.
"""

from __future__ import annotations

import re
import unicodedata

from pydantic import BaseModel, ConfigDict

_NOT_ALPHANUMERIC = re.compile(r"[^A-Z0-9?]")
_ONE_CHARACTER = re.compile(r"(.)\1{2,}")


class SerialWords(BaseModel):
    """A profile's ``serial``: the agency's words. Letter case and outer spaces do not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    none: tuple[str, ...] = ("NONE", "NO SERIAL", "N/A", "NIL")
    """The firearm never had one, or the cell says so."""
    obliterated: tuple[str, ...] = ("OBLITERATED", "ERASED", "DEFACED", "FILED OFF")
    """Whole-cell words, or parts of a longer note."""
    restored: tuple[str, ...] = ("(RESTORED)",)
    """A note after a number that a laboratory brought back."""
    unread: str = "?*_#"
    """Characters that stand for one that could not be read."""


STATUSES = ("LEGIBLE", "PARTIAL", "OBLITERATED", "RESTORED_FULL", "RESTORED_PARTIAL", "NONE", "SUSPECT_MARK")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().upper()


def derive_status(text: str, words: SerialWords) -> str:
    """LEGIBLE, PARTIAL, OBLITERATED, RESTORED_FULL, RESTORED_PARTIAL, NONE or SUSPECT_MARK for a cell's text.

    SUSPECT_MARK is a run of one character or zeros alone: no maker stamps those, and NCIC refuses them.
    """
    plain = _plain(text)
    if not plain or plain in {_plain(word) for word in words.none}:
        return "NONE"
    restored = any(_plain(word) in plain for word in words.restored)
    number = without_notes(text, words)
    partial = any(mark in number for mark in words.unread)
    if restored:
        return "RESTORED_PARTIAL" if partial else "RESTORED_FULL"
    if any(_plain(word) in plain for word in words.obliterated):
        return "OBLITERATED"
    if partial:
        return "PARTIAL" if re.search(r"[A-Z0-9]", _plain(number)) else "OBLITERATED"
    stripped = _NOT_ALPHANUMERIC.sub("", _plain(number))
    if not stripped:
        return "OBLITERATED"
    return "SUSPECT_MARK" if _ONE_CHARACTER.fullmatch(stripped) else "LEGIBLE"


def derive_raw(text: str, words: SerialWords) -> str | None:
    """The cell as it is, outer spaces and all; ``None`` where it is a word (NONE, OBLITERATED) and not a number."""
    status = derive_status(text, words)
    if status == "NONE" or (status == "OBLITERATED" and not any(character.isdigit() for character in text)):
        return None
    return text


def derive_pattern(text: str, words: SerialWords) -> str | None:
    """``?`` for each unread character, the kept ones in their places: ``GL*-4__2`` -> ``GL?4??2``; else ``None``."""
    if derive_status(text, words) not in ("PARTIAL", "RESTORED_PARTIAL"):
        return None
    marked = "".join("?" if character in words.unread else character for character in without_notes(text, words))
    return _NOT_ALPHANUMERIC.sub("", _plain(marked)) or None


def without_notes(text: str, words: SerialWords) -> str:
    """The cell without a note such as ``(RESTORED)``."""
    number = text
    for word in words.restored:
        number = re.sub(re.escape(word), "", number, flags=re.IGNORECASE)
    return number.strip()
