"""Writing a table as an agency's program would, and spoiling some of its rows in a known way."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Bad:
    """A row that must be refused: its number as a spreadsheet counts, and the code and column of the refusal."""

    row: int
    code: str
    column: str | None


@dataclass
class Table:
    """Rows by column, in order. ``raw`` lines replace a row's own encoding where a row is broken as text."""

    columns: list[str]
    delimiter: str = ","
    encoding: str = "utf-8"
    mark: bool = False
    """Begin with a byte order mark, as Excel does."""
    line_end: str = "\r\n"
    rows: list[dict[str, str]] = field(default_factory=list)
    raw: dict[int, Callable[[str], bytes]] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)

    def spoil(self, index: int, column: str, value: str, code: str, blame: str | None = None) -> None:
        """Put a wrong value into a row."""
        self.rows[index][column] = value
        self.bad.append(Bad(index + 2, code, blame or column))

    def expect(self, index: int, code: str, column: str | None = None) -> None:
        """A row that is refused without being changed itself."""
        self.bad.append(Bad(index + 2, code, column))

    def spoil_text(self, index: int, change: Callable[[str], bytes], code: str, column: str | None = None) -> None:
        """Break the text of a row's line."""
        self.raw[index] = change
        self.bad.append(Bad(index + 2, code, column))

    def line(self, row: dict[str, str]) -> str:
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator=self.line_end)
        writer.writerow([row.get(column, "") for column in self.columns])
        return out.getvalue()

    def encode(self) -> bytes:
        header = io.StringIO()
        csv.writer(header, delimiter=self.delimiter, lineterminator=self.line_end).writerow(self.columns)
        parts = [b"\xef\xbb\xbf" if self.mark else b"", header.getvalue().encode(self.encoding)]
        for index, row in enumerate(self.rows):
            text = self.line(row)
            change = self.raw.get(index)
            parts.append(change(text) if change else text.encode(self.encoding))
        return b"".join(parts)


@dataclass
class MadeFile:
    """A file of examples/, and what must become of it."""

    path: str
    data: bytes
    profile: str
    rows: int
    events: int
    bad: list[Bad]
    what: str
