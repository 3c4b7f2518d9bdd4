"""Drawing from a seed: weighted choices, days, persons. The same on every Python."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A stream of choices of its own for each file, so that a change in one file leaves the others as they are."""

    def __init__(self, name: str) -> None:
        digest = hashlib.sha256(f"cgi-hub examples {name}".encode()).digest()
        self._random = random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311 - examples, not keys

    def chance(self, percent: float) -> bool:
        return self._random.random() * 100 < percent

    def below(self, limit: int) -> int:
        """0 to limit - 1."""
        return int(self._random.random() * limit)

    def between(self, low: int, high: int) -> int:
        """low to high, both included."""
        return low + self.below(high - low + 1)

    def one(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        point = self._random.random() * sum(weights.values())
        for item, weight in weights.items():
            point -= weight
            if point < 0:
                return item
        return list(weights)[-1]

    def digits(self, count: int) -> str:
        return "".join(str(self.below(10)) for _ in range(count))

    def letters(self, count: int) -> str:
        return "".join(self.one("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(count))

    def day(self, first: date, last: date) -> date:
        return first + timedelta(days=self.below((last - first).days + 1))


_FIRST = {
    "en": (
        ["Da", "Ke", "Ro", "Sha", "Tre", "Ma", "Lo", "Je", "Ne", "Vi", "Ty", "Or"],
        ["vo", "lle", "ni", "ka", "zu", "ri", "mo", "dda", "xe", "lu"],
        ["n", "ran", "sha", "lt", "ke", "ston", "ra", "nique"],
    ),
    "fr": (
        ["Jé", "Ri", "Wi", "Fré", "Da", "Ma", "Clé", "Ro", "Gu", "Ys"],
        ["vo", "ne", "li", "dy", "ra", "mo", "ckel", "be"],
        ["line", "nel", "son", "das", "rette", "lito", "nie"],
    ),
    "es": (
        ["Yo", "Ra", "Mi", "Le", "Da", "Wi", "Jo", "Ni"],
        ["ñe", "li", "fa", "na", "du", "ro", "sé"],
        ["lbis", "ardo", "xel", "íno", "mar", "elys"],
    ),
}
_LAST = {
    "en": (
        ["Brin", "Cal", "Dor", "Fen", "Gar", "Hol", "Kes", "Mor", "Pel", "Tam", "Wex", "Yar"],
        ["ta", "wi", "do", "ra", "ve", "lo", "zi", "mu"],
        ["ndale", "shaw", "rook", "vish", "mpton", "quist", "bray", "lstone"],
    ),
    "fr": (
        ["Bel", "Cha", "Dor", "Fé", "Lau", "Mé", "Pré", "Sé", "Va", "To"],
        ["vi", "lé", "ru", "ma", "no", "zi", "di"],
        ["laire", "court", "stin", "ncel", "zor", "gène", "vert"],
    ),
    "es": (
        ["Bar", "Ces", "Del", "Fuen", "Gal", "Mon", "Pe", "Quin", "Zar"],
        ["ta", "ri", "va", "ño", "lu", "dé"],
        ["rrez", "lvo", "mendi", "bán", "sca", "gorta", "núñez"],
    ),
}


class People:
    """Names put together of syllables at random: no one bears them, and they stand nowhere else in the world."""

    def __init__(self, draw: Draw, language: str) -> None:
        self._draw = draw
        self._language = language

    def _word(self, syllables: tuple[list[str], list[str], list[str]]) -> str:
        first, middle, last = syllables
        word = self._draw.one(first) + self._draw.one(middle)
        if self._draw.chance(40):
            word += self._draw.one(middle)
        return word + self._draw.one(last)

    def given(self) -> str:
        return self._word(_FIRST[self._language])

    def surname(self) -> str:
        return self._word(_LAST[self._language])

    def full(self) -> str:
        """``SURNAME, Given``, as registers have it."""
        return f"{self.surname().upper()}, {self.given()}"

    def birth(self) -> date:
        return self._draw.day(date(1962, 1, 1), date(2006, 12, 31))
