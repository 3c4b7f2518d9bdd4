"""The languages of the pages: a strict catalog of words for each. Codes (of errors, decisions, alerts) stay codes.

Every language has the same keys with the same places (``{name}``); that is checked when they are loaded, so no page can
be half in one language. A word that is not in the catalog is our own bug, not a gap on the page.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from hub.errors import InvariantError

LanguageCode = Literal["en", "es", "fr"]
LANGUAGES: Final[tuple[LanguageCode, ...]] = get_args(LanguageCode)
DEFAULT: Final[LanguageCode] = "en"


class LanguageIncomplete(InvariantError):
    """A language lacks a word, or has it with other places."""

    code = "console.language_incomplete"


class Words:
    """One language's catalog."""

    def __init__(self, code: LanguageCode, words: Mapping[str, str]) -> None:
        self.code = code
        self._words = dict(words)

    def __call__(self, key: str, /, **names: object) -> str:
        """The word ``key`` with its places filled. Raises :class:`LanguageIncomplete`."""
        try:
            return self._words[key].format(**names)
        except (KeyError, IndexError) as error:
            raise LanguageIncomplete(
                "no such word, or a place that nothing fills", key=key, place=str(error)
            ) from error

    def has(self, key: str) -> bool:
        """Whether there is such a word."""
        return key in self._words

    def keys(self) -> frozenset[str]:
        """Every key."""
        return frozenset(self._words)

    def places(self, key: str) -> frozenset[str]:
        """The names of the word's places."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self._words[key]) if name)

    # --- numbers and times ------------------------------------------------------------------------------------------

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number as the language writes it; unknown as a dash."""
        if value is None:
            return self("unknown")
        if digits == 0 and 0 < abs(value) < 10 and value != int(value):
            digits = 1
        text = f"{value:,.{digits}f}"
        return "".join({",": self("number.group"), ".": self("number.point")}.get(char, char) for char in text)

    def duration(self, seconds: float | None) -> str:
        """A duration in its two largest units; unknown as a dash."""
        if seconds is None:
            return self("unknown")
        if abs(seconds) < 1:
            return self("duration.ms", n=self.number(round(seconds * 1000)))
        if abs(seconds) < 10:
            return self("duration.s", n=self.number(round(seconds, 1)))
        units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
        rest, parts = int(abs(seconds)), list[tuple[str, int]]()
        for unit, size in units:
            n, rest = divmod(rest, size)
            if n or parts:
                parts.append((unit, n))
        shown = " ".join(self(f"duration.{unit}", n=n) for unit, n in parts[:2] if n)
        return f"-{shown}" if seconds < 0 else shown

    def ago(self, at_ms: int | None, now_ms: int) -> str:
        """How long ago, or in how long; unknown as a dash."""
        if at_ms is None:
            return self("unknown")
        seconds = (now_ms - at_ms) / 1000
        if abs(seconds) < 1:
            return self("now")
        return (
            self("ago", duration=self.duration(seconds))
            if seconds > 0
            else self("in", duration=self.duration(-seconds))
        )


@cache
def load_languages() -> Mapping[LanguageCode, Words]:
    """Every language. Raises :class:`LanguageIncomplete` where they do not have the same keys and places."""
    folder = files("hub.console") / "languages"
    found = {
        code: Words(code, flatten(tomllib.loads((folder / f"{code}.toml").read_text("utf-8")))) for code in LANGUAGES
    }
    check_same(found)
    return found


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables as dotted keys; a table's own word is called ``_`` in it."""
    words: dict[str, str] = {}
    for key, value in table.items():
        name = prefix.removesuffix(".") if key == "_" else f"{prefix}{key}"
        if isinstance(value, dict):
            words |= flatten(value, f"{name}.")
        else:
            words[name] = str(value)
    return words


def check_same(languages: Mapping[LanguageCode, Words]) -> None:
    """Raises :class:`LanguageIncomplete` unless all have what the default has, and nothing else."""
    wanted = languages[DEFAULT]
    for code, words in languages.items():
        if missing := sorted(wanted.keys() ^ words.keys()):
            raise LanguageIncomplete("a word is not in every language", language=code, keys=", ".join(missing[:5]))
        for key in wanted.keys():  # noqa: SIM118  not a mapping
            if words.places(key) != wanted.places(key):
                raise LanguageIncomplete("a word has other places than in English", language=code, key=key)


def choose_language(asked: str, remembered: str, accepted: str) -> LanguageCode:
    """The language of a request: what the person chose now, or before, or else what the browser prefers."""
    for choice in (asked, remembered):
        if choice in LANGUAGES:
            return choice
    ranked = []
    for position, part in enumerate(accepted[:500].split(",")):
        tag, _, rest = part.strip().partition(";")
        found = re.fullmatch(r"\s*q=([01](?:\.\d{1,3})?)\s*", rest)
        weight = float(found.group(1)) if found else 1.0
        primary = tag.split("-")[0].lower()
        if primary in LANGUAGES and weight > 0:
            ranked.append((-weight, position, primary))
    return min(ranked)[2] if ranked else DEFAULT
