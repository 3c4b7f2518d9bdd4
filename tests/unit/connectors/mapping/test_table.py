"""A file's bytes as rows: encodings, marks, headers, counts of cells."""

from __future__ import annotations

import pytest

from connectors.mapping.profile import FileForm
from connectors.mapping.table import decode
from connectors.toolkit.errors import FileUndecodable, HeaderMissing, HeaderRepeated, HeaderUnknown
from tests.support.profiles import HEADER, changed, lines_of, mapper_of, read_all

ROW = "R1,,Stolen,03/04/2025,BKT482,GLOCK,,"


def test_the_mark_of_utf8_is_not_part_of_the_first_column() -> None:
    taken, refused = read_all(mapper_of(), b"\xef\xbb\xbf" + f"{HEADER}\n{ROW}\n".encode())
    assert (len(taken), refused) == (1, [])


def test_utf16_is_named_and_can_be_declared() -> None:
    data = f"{HEADER}\n{ROW}\n".encode("utf-16")
    with pytest.raises(FileUndecodable, match="utf-16"):
        read_all(mapper_of(), data)
    assert len(read_all(mapper_of(changed("encoding: utf-8", "encoding: utf-16")), data)[0]) == 1


def test_a_file_whose_mark_contradicts_the_profile_is_refused() -> None:
    with pytest.raises(FileUndecodable, match="by its mark"):
        decode(b"\xef\xbb\xbfa", FileForm(encoding="cp1252"))


def test_a_byte_that_windows_1252_does_not_have_refuses_the_file() -> None:
    with pytest.raises(FileUndecodable):
        decode(b"a\x81b", FileForm(encoding="cp1252"))


def test_a_wrong_byte_in_utf8_refuses_its_row_alone() -> None:
    taken, refused = read_all(mapper_of(), f"{HEADER}\n".encode() + b"R0,,Stolen,03/04/2025,B,G\xe9,,\n" + ROW.encode())
    assert lines_of(refused) == [(2, "row.encoding", "Make")]
    assert len(taken) == 1


def test_a_wrong_byte_in_a_column_that_is_not_used_is_no_matter() -> None:
    mapper = mapper_of(changed("  encoding: utf-8", "  encoding: utf-8\n  ignore: [Note]"))
    taken, refused = read_all(mapper, f"{HEADER},Note\n{ROW},".encode() + b"\xe9\n")
    assert (len(taken), refused) == (1, [])


def test_columns_are_found_by_other_names_in_any_case_and_order() -> None:
    header = "dealer,Others,MAKE,serial  no.,Date,Kind,Urgent,ref"
    taken, _ = read_all(mapper_of(), f"{header}\n,,GLOCK,BKT482,03/04/2025,Stolen,,R1\n")
    assert taken[0].event.body["firearm"]["serial_raw"] == "BKT482"


def test_a_missing_column_names_the_nearest() -> None:
    with pytest.raises(HeaderMissing, match="did you mean 'Mke'"):
        read_all(mapper_of(), HEADER.replace("Make", "Mke") + f"\n{ROW}\n")


def test_two_columns_for_one_are_refused() -> None:
    with pytest.raises(HeaderRepeated):
        read_all(mapper_of(), f"{HEADER},S/N\n{ROW},x\n")


def test_an_unknown_column_is_refused_until_it_is_ignored() -> None:
    data = f"{HEADER},Do not share\n{ROW},yes\n"
    with pytest.raises(HeaderUnknown, match="Do not share"):
        read_all(mapper_of(), data)
    for setting in ("ignore: [Do not share]", "unknown_columns: ignore"):
        assert len(read_all(mapper_of(changed("  encoding: utf-8", f"  {setting}")), data)[0]) == 1


def test_a_header_further_down() -> None:
    mapper = mapper_of(changed("  encoding: utf-8", "  header_row: 3"))
    taken, _ = read_all(mapper, f"Register of firearms\n\n{HEADER}\n{ROW}\n")
    assert taken[0].origins[0].row == 4


def test_an_empty_file_has_no_header() -> None:
    for data in (b"", b"\n", b"\xef\xbb\xbf"):
        with pytest.raises(HeaderMissing):
            read_all(mapper_of(), data)


def test_too_many_and_too_few_cells() -> None:
    short, long = "R2,,Stolen,03/04/2025", ROW.replace("R1", "R3") + ",surplus"
    padded = ROW.replace("R1", "R4") + ",,,"
    taken, refused = read_all(mapper_of(), "\n".join([HEADER, short, long, padded, "", ",,,", ROW]))
    assert lines_of(refused) == [(2, "row.columns", None), (3, "row.columns", None)]
    assert len(taken) == 2
