"""A CSV file's bytes as rows under the profile's own column names. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.mapping.plan import fold
from connectors.mapping.profile import FileForm, Profile
from connectors.toolkit.csv_records import Record, read_records
from connectors.toolkit.errors import (
    ColumnsMiscounted,
    FileUndecodable,
    HeaderMissing,
    HeaderRepeated,
    HeaderUnknown,
    RowRejected,
)
from connectors.toolkit.suggest import suggest

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row. ``cells`` are by the profile's column names; ``raw`` by the file's. ``fault`` excludes ``cells``."""

    row: int
    line: int
    cells: dict[str, str]
    raw: dict[str, str]
    fault: RowRejected | None = None


def decode(data: bytes, form: FileForm) -> str:
    """The text without its byte order mark. In UTF-8 a wrong byte becomes a lone surrogate, so that one cell is
    refused and not the file. Raises ``FileUndecodable``."""
    if data.startswith(_WIDE_MARKS) and form.encoding != "utf-16":
        raise FileUndecodable('the file is UTF-16 (Excel\'s "Unicode text"): say encoding: utf-16, or save it as CSV')
    if data.startswith(codecs.BOM_UTF8):
        if form.encoding != "utf-8":
            raise FileUndecodable(f"the file is UTF-8 by its mark, the profile says {form.encoding}")
        data = data[len(codecs.BOM_UTF8) :]
    errors = "surrogateescape" if form.encoding == "utf-8" else "strict"
    try:
        return data.decode(form.encoding, errors)
    except UnicodeError as error:
        raise FileUndecodable(f"the file is not in {form.encoding}: {error}") from error


def read_table(data: bytes, profile: Profile, used: tuple[str, ...]) -> Iterator[TableRow]:
    """Every row that is not empty, in order; broken ones with ``fault``. Raises ``FileRejected`` at the first step."""
    form = profile.file
    records = read_records(decode(data, form), delimiter=form.delimiter, quote=form.quote)
    header = next((record for record in records if record.row == form.header_row), None)
    if header is None or header.broken is not None:
        raise HeaderMissing(f"the file has no header in row {form.header_row}")
    names = [cell.strip() for cell in header.cells]
    while names and not names[-1]:
        names.pop()
    places = _places(names, profile, used)
    for record in records:
        if record.broken is None and not any(cell.strip() for cell in record.cells):
            continue
        yield _row(record, names, places)


def _places(names: list[str], profile: Profile, used: tuple[str, ...]) -> dict[str, int]:
    """The profile's columns -> their places in the file."""
    answers = {fold(name): column for column in used for name in (column, *profile.columns.get(column, ()))}
    ignored = {fold(name) for name in profile.file.ignore}
    places: dict[str, int] = {}
    strange: list[str] = []
    for index, name in enumerate(names):
        column = answers.get(fold(name))
        if column is None:
            if fold(name) not in ignored:
                strange.append(name or f"(column {index + 1} without a name)")
        elif column in places:
            raise HeaderRepeated(f"the columns {names[places[column]]!r} and {name!r} are both {column!r}", column=name)
        else:
            places[column] = index
    for column in used:
        if column not in places:
            aka = profile.columns.get(column, ())
            also = f" (or {', '.join(repr(name) for name in aka)})" if aka else ""
            raise HeaderMissing(
                f"the file has no column {column!r}{also}{suggest(column, strange)}; "
                "other names of it go into the profile's columns",
                column=column,
            )
    if strange and profile.file.unknown_columns == "refuse":
        raise HeaderUnknown(
            f"the profile does not know the column {strange[0]!r}: map it, or name it in file.ignore", column=strange[0]
        )
    return places


def _row(record: Record, names: list[str], places: dict[str, int]) -> TableRow:
    if record.broken is not None:
        return TableRow(record.row, record.line, {}, {"line": record.cells[0]}, record.broken)
    cells = record.cells
    raw = dict(zip(names, cells, strict=False))
    surplus = cells[len(names) :]
    if any(cell.strip() for cell in surplus):
        raw["(surplus)"] = "\t".join(surplus)
        counted = f"{len(cells)} cells under {len(names)} columns"
        fault = ColumnsMiscounted(f"{counted}: a cell with a delimiter in it needs quotes")
        return TableRow(record.row, record.line, {}, raw, fault)
    if len(cells) < len(names):
        fault = ColumnsMiscounted(f"{len(cells)} cells under {len(names)} columns: the row is cut off")
        return TableRow(record.row, record.line, {}, raw, fault)
    return TableRow(record.row, record.line, {column: cells[place] for column, place in places.items()}, raw)
