"""The report of refused rows: one line a row, private, and cut back with the position."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from connectors.toolkit import ErrorReport, Origin, report_path
from connectors.toolkit.errors import CellMissing, FieldRefused, RowRejected, first_of
from connectors.toolkit.files import FileUnavailable
from connectors.toolkit.report import encode_refusal


def origin(path: Path, row: int) -> Origin:
    return Origin(path, row, row, {"Né le": "x\ud83d"}, {"firearms[].make_text": "Make", "place": "Place"})


def test_it_lies_beside_the_file() -> None:
    assert report_path(Path("a/b.csv")) == Path("a/b.csv.rejected.jsonl")


def test_only_its_owner_reads_it_and_any_text_can_stand_in_it(tmp_path: Path) -> None:
    path, report = tmp_path / "x.rejected.jsonl", ErrorReport()
    report.begin(path)
    report.write([(origin(path, 2), CellMissing("is empty", column="Né le"))])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    line = json.loads(path.read_text("ascii"))
    assert line == {
        "row": 2,
        "line": 2,
        "column": "Né le",
        "code": "row.cell_missing",
        "reason": "is empty",
        "raw": {"Né le": "x\ud83d"},
    }


def test_what_was_written_after_a_state_is_cut_off(tmp_path: Path) -> None:
    path, report = tmp_path / "x.rejected.jsonl", ErrorReport()
    report.begin(path)
    report.write([(origin(path, 2), CellMissing("a", column=None))])
    state = report.state()
    report.write([(origin(path, 3), CellMissing("b", column=None))])
    again = ErrorReport()
    again.resume(state)
    again.write([(origin(path, 3), CellMissing("b", column=None))])
    assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [2, 3]


def test_a_file_from_its_beginning_has_a_fresh_report(tmp_path: Path) -> None:
    path, report = tmp_path / "x.rejected.jsonl", ErrorReport()
    path.write_text("old\n")
    report.begin(path)
    assert not path.exists()
    report.write([(origin(path, 2), CellMissing("a", column=None))])
    assert len(path.read_text().splitlines()) == 1


def test_a_report_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path, report = tmp_path / "x.rejected.jsonl", ErrorReport()
    report.begin(path)
    report.write([(origin(path, 2), CellMissing("a", column=None))])
    state = report.state()
    path.rename(tmp_path / "y")
    again = ErrorReport()
    again.resume(state)
    assert again.state() is None
    again.write([(origin(path, 9), CellMissing("a", column=None))])
    assert len(path.read_text().splitlines()) == 1


def test_a_field_is_named_by_its_column_or_by_the_nearest_above(tmp_path: Path) -> None:
    found = encode_refusal(
        origin(tmp_path, 1), FieldRefused("x", event_code="event.field_type", field="firearms[3].make_text")
    )
    assert found["column"] == "Make"
    found = encode_refusal(origin(tmp_path, 1), FieldRefused("x", event_code="event.field_type", field="place.country"))
    assert found["column"] == "Place"


def test_all_faults_of_a_row_stand_in_its_line(tmp_path: Path) -> None:
    error = first_of([CellMissing("a", column="A", field="a"), CellMissing("b", column="B", field="b")])
    found = encode_refusal(origin(tmp_path, 1), error)
    assert found["column"] == "A"
    assert [item["column"] for item in found["also"]] == ["B"]


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    one, other = (report_path(Path("a") / ("é" * 120 + end)) for end in ("1.csv", "2.csv"))
    assert one != other
    assert max(len(os.fsencode(path.name)) for path in (one, other)) == 255


def test_no_link_is_followed(tmp_path: Path) -> None:
    """Whoever may write into the folder must not have another file of ours overwritten or cut."""
    other = tmp_path / "other"
    other.write_text("kept")
    path = tmp_path / "a.csv.rejected.jsonl"
    path.symlink_to(other)
    report = ErrorReport()
    report.resume({"path": str(path), "bytes": 0})
    with pytest.raises(FileUnavailable):
        report.write([(origin(path, 1), RowRejected("no", column=None))])
    report.begin(path)
    report.write([(origin(path, 1), RowRejected("no", column=None))])
    assert other.read_text() == "kept"
    assert not path.is_symlink()
