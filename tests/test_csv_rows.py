"""CSV: any program reads back what was written, and none runs it."""

import csv
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from applyrate.csv_rows import encode_rows


def read(encoded: bytes) -> list[list[str]]:
    return list(csv.reader(StringIO(encoded.decode(), newline=""), strict=True))


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2)))
def test_what_is_written_is_read_back_but_for_an_apostrophe(rows: list[list[str]]) -> None:
    rows = [[cell.replace("\0", "") for cell in row] for row in rows]
    back = read(encode_rows(rows))
    assert [[cell.removeprefix("'") for cell in row] for row in back] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert all(
        not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in back for cell in row
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_a_spreadsheet_would_run_is_marked_as_a_text(text: str) -> None:
    assert read(encode_rows([["x", text]])) == [["x", f"'{text}"]]


def test_a_line_ends_in_cr_and_lf_and_a_cell_is_quoted_where_it_must_be() -> None:
    assert encode_rows([["a", "b c"], ['d"e', "f,g\nh"]]) == b'a,b c\r\n"d""e","f,g\nh"\r\n'


def test_numbers_times_and_nothing_are_written_plainly() -> None:
    at = datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC)
    assert encode_rows([[-5, 0.25, True, None, UNSET, at, "☕"]]) == (
        "-5,0.25,true,,,2026-03-01T10:00:00.250000Z,☕\r\n".encode()
    )
