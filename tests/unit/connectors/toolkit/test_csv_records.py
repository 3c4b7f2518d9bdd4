"""Records out of a text: line ends inside quotes are data, and a broken quotation mark costs one line."""

from __future__ import annotations

from connectors.toolkit.csv_records import MAX_RECORD_LINES, read_records, split_lines


def cells(text: str, delimiter: str = ",") -> list[tuple[int, int, tuple[str, ...], bool]]:
    return [(r.row, r.line, r.cells, r.broken is not None) for r in read_records(text, delimiter=delimiter, quote='"')]


def test_plain_records() -> None:
    assert cells("a,b\r\n1,2\r\n") == [(1, 1, ("a", "b"), False), (2, 2, ("1", "2"), False)]


def test_a_last_line_without_an_end() -> None:
    assert cells("a,b\n1,2")[-1] == (2, 2, ("1", "2"), False)


def test_line_ends_and_delimiters_inside_quotes_are_data() -> None:
    assert cells('a;"x;\n""y"""\nb;2\n', ";") == [(1, 1, ("a", 'x;\n"y"'), False), (2, 3, ("b", "2"), False)]


def test_rows_and_lines_are_counted_apart() -> None:
    assert [(row, line) for row, line, _, _ in cells('"1\n2\n3",x\ny,z\n')] == [(1, 1), (2, 4)]


def test_an_unclosed_quote_costs_its_line_alone() -> None:
    text = 'a,b\n"1,2\n3,4\n5,6\n'
    assert cells(text) == [
        (1, 1, ("a", "b"), False),
        (2, 2, ('"1,2',), True),
        (3, 3, ("3", "4"), False),
        (4, 4, ("5", "6"), False),
    ]


def test_an_unclosed_quote_before_a_quoted_cell_costs_its_line_alone() -> None:
    text = 'a,b\n"1,2\n"Smith, J",4\n5,6\n'
    assert [(c, broken) for _, _, c, broken in cells(text)] == [
        (("a", "b"), False),
        (('"1,2',), True),
        (("Smith, J", "4"), False),
        (("5", "6"), False),
    ]


def test_text_after_a_closing_quote_costs_its_line_alone() -> None:
    assert [broken for *_, broken in cells('"a"x,b\nc,d\n')] == [True, False]


def test_a_quote_inside_an_unquoted_cell_is_data() -> None:
    assert cells('5" barrel,x\n')[0][2] == ('5" barrel', "x")


def test_a_runaway_quote_stops_at_the_limit() -> None:
    text = 'a,"b\n' + "c,d\n" * (MAX_RECORD_LINES * 2)
    found = cells(text)
    assert found[0][3]
    assert len(found) == MAX_RECORD_LINES * 2 + 1


def test_a_quote_that_is_closed_far_away_is_taken_for_unclosed() -> None:
    text = 'a,"b\n' + "c,d\n" * MAX_RECORD_LINES + '"\n'
    assert cells(text)[0] == (1, 1, ('a,"b',), True)
    assert cells(text)[1] == (2, 2, ("c", "d"), False)


def test_only_real_line_ends_split() -> None:
    assert split_lines("a\u2028b\x0cc\x85d\re\nf\r\n") == ["a\u2028b\x0cc\x85d\n", "e\n", "f\n"]
