"""CSV torture: whatever stands in the cells arrives or is refused, and one bad line never costs another."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from connectors.jsonl_file import JsonlReader
from connectors.mapping.serials import SerialWords, derive_pattern, derive_raw, derive_status
from connectors.mapping.values import parse_date, parse_number
from connectors.toolkit import Taken
from connectors.toolkit.csv_records import read_records
from connectors.toolkit.errors import DateRefused, FileRejected, NumberRefused
from connectors.toolkit.report import encode_refusal
from tests.support.profiles import HEADER, mapper_of, read_all
from tests.support.samples import catalog

CELL = st.text(st.characters(blacklist_categories=("Cs",)), max_size=24)
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=24)
MAPPER = mapper_of()
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def encode(rows: list[list[str]], delimiter: str = ",", line_end: str = "\r\n") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue()


@QUICK
@given(st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=6), st.sampled_from(",;\t|"))
def test_quoted_cells_come_back_as_they_were(rows: list[list[str]], delimiter: str) -> None:
    found = list(read_records(encode(rows, delimiter), delimiter=delimiter, quote='"'))
    assert [record.broken for record in found] == [None] * len(rows)
    as_lines = [[cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row] for row in rows]
    assert [list(record.cells) for record in found] == as_lines


@QUICK
@given(st.text(st.sampled_from('a,"\n\r;'), max_size=60))
def test_any_text_is_read_to_its_end_line_by_line(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = list(read_records(text, delimiter=",", quote='"'))
    assert [record.row for record in found] == list(range(1, len(found) + 1))
    assert [record.line for record in found] == sorted({record.line for record in found})
    assert all(record.line <= len(lines) for record in found)


@QUICK
@given(
    st.lists(TEXT, min_size=1, max_size=6), st.integers(0, 5), st.sampled_from(['"', 'a"b,"', '"x"y', ',"', '""","'])
)
def test_a_broken_line_between_sound_ones_costs_them_nothing(makes: list[str], place: int, broken: str) -> None:
    assume(all(make.strip() and make.strip().casefold() != "n/a" for make in makes))
    rows = [[f"R{n}", "", "Stolen", "03/04/2025", f"AB12{n}", make, "", ""] for n, make in enumerate(makes)]
    lines = [encode([row], line_end="\n") for row in rows]
    lines.insert(min(place, len(lines)), broken + "\n")
    taken, refused = read_all(MAPPER, HEADER + "\n" + "".join(lines))
    assert [item.event.body["firearm"]["make_text"] for item in taken] == [make.strip() for make in makes]
    assert len(refused) == 1


@QUICK
@given(TEXT)
def test_any_text_is_data(make: str) -> None:
    assume(make.strip() and make.strip().casefold() != "n/a")
    row = ["R1", "", "Stolen", "03/04/2025", "AB123", make, "", ""]
    (taken,), refused = read_all(MAPPER, HEADER + "\n" + encode([row]))
    assert refused == []
    assert taken.event.body["firearm"]["make_text"] == make.strip()
    assert catalog().get("firearm.notice").validate(taken.event.body) == taken.event.body


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_taken_and_never_break_it(data: bytes) -> None:
    for whole in (data, HEADER.encode() + b"\n" + data):
        try:
            _, refused = read_all(MAPPER, whole)
        except FileRejected:
            continue
        for item in refused:
            encode_refusal(item.origin, item.error)
    for unit in JsonlReader("x", (), catalog()).read(
        data.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff"), Path("r")
    ):
        assert isinstance(unit, Taken | list)


@QUICK
@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_a_date_reads_back_in_its_own_order_alone(day: date) -> None:
    assert parse_date(day.strftime("%d/%m/%Y"), ["%d/%m/%Y"]) == day
    assert parse_date(day.strftime("%m/%d/%Y"), ["%m/%d/%Y"]) == day
    if day.day > 12:
        with pytest.raises(DateRefused):
            parse_date(day.strftime("%d/%m/%Y"), ["%m/%d/%Y"])


@QUICK
@given(st.decimals(-(10**9), 10**9, places=2), st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'")]))
def test_a_number_reads_back_and_never_in_another_form(number: object, signs: tuple[str, str]) -> None:
    decimal, thousands = signs
    plain = f"{number:,.2f}"
    written = plain.replace(",", "\x00").replace(".", decimal).replace("\x00", thousands)
    assert parse_number(written, decimal=decimal, thousands=thousands) == f"{number:.2f}"
    swapped = "," if decimal == "." else "."
    with pytest.raises(NumberRefused):
        parse_number(written, decimal=swapped, thousands="")


@QUICK
@given(st.text(max_size=24))
def test_a_serial_is_never_changed_and_its_pattern_fits_the_schema(cell: str) -> None:
    words = SerialWords()
    status, raw, pattern = derive_status(cell, words), derive_raw(cell, words), derive_pattern(cell, words)
    assert raw in (None, cell)
    assert (pattern is not None) == (status in ("PARTIAL", "RESTORED_PARTIAL"))
    if status in ("LEGIBLE", "PARTIAL", "RESTORED_FULL", "RESTORED_PARTIAL", "SUSPECT_MARK"):
        assert raw == cell
    if status == "NONE":
        assert raw is None
