"""RFC 4180 records out of a text, with recovery: one broken quotation mark costs one line, not the rest of the file.

``csv.reader`` in strict mode does the parsing; around it, a record that breaks is given back as its first line alone,
and reading goes on with the next line. Line ends inside quotes are data.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.toolkit.errors import QuoteBroken

MAX_RECORD_LINES = 1000
"""No cell of an agency's register runs over more lines; an unclosed quotation mark does."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``row`` counts records from 1 (empty lines too), ``line`` is the first physical line, from 1."""

    row: int
    line: int
    cells: tuple[str, ...]
    broken: QuoteBroken | None = None
    """Set where the line could not be parsed; ``cells`` is then the line itself."""


def split_lines(text: str) -> list[str]:
    """Physical lines with their ends: ``\\r\\n``, ``\\n`` or ``\\r``, and nothing else.

    ``str.splitlines`` would also split at U+2028, U+0085 and form feeds, which are data.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    last = lines.pop()
    kept = [line + "\n" for line in lines]
    if last:
        kept.append(last)
    return kept


class _Feed:
    """Gives a reader lines from ``start`` on and counts them; stops a record that runs away."""

    def __init__(self, lines: list[str], start: int) -> None:
        self.lines = lines
        self.next = start
        self.first = start

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.next - self.first >= MAX_RECORD_LINES:
            raise csv.Error("a quotation mark is opened and not closed")
        if self.next >= len(self.lines):
            raise StopIteration
        line = self.lines[self.next]
        self.next += 1
        return line


def read_records(text: str, *, delimiter: str, quote: str) -> Iterator[Record]:
    """The records of ``text`` in order. Never raises: a broken one is a :class:`Record` with ``broken``."""
    lines = split_lines(text)
    feed = _Feed(lines, 0)
    reader = csv.reader(feed, delimiter=delimiter, quotechar=quote, doublequote=True, strict=True)
    row = 0
    while feed.next < len(lines):
        feed.first = begin = feed.next
        row += 1
        try:
            cells = next(reader)
        except (csv.Error, StopIteration) as error:
            reason = str(error) or "a quotation mark is opened and not closed"
            broken = QuoteBroken(f"{reason}; write a quotation mark inside a cell twice", column=None)
            yield Record(row, begin + 1, (lines[begin].rstrip("\n"),), broken)
            feed = _Feed(lines, begin + 1)
            reader = csv.reader(feed, delimiter=delimiter, quotechar=quote, doublequote=True, strict=True)
            continue
        yield Record(row, begin + 1, tuple(cells))
