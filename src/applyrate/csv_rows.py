"""Rows as CSV (RFC 4180), safe to open in a spreadsheet.

A text that a spreadsheet would run as a formula gets an apostrophe before it, which tells the
spreadsheet that it is a text (OWASP, "CSV Injection").
"""

import csv
from collections.abc import Iterable
from datetime import datetime
from io import StringIO
from typing import Final

from msgspec import UnsetType

Cell = str | int | float | bool | datetime | UnsetType | None
"""What may stand in a row. A time is written in ISO 8601 with its offset; nothing, as nothing."""


def encode_rows(rows: Iterable[Iterable[Cell]]) -> bytes:
    """The lines of these rows, in UTF-8, each ending in CR and LF."""
    lines = StringIO()
    csv.writer(lines, lineterminator="\r\n").writerows(map(_write, row) for row in rows)
    return lines.getvalue().encode()


_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def _write(cell: Cell) -> str:
    match cell:
        case str():
            return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else str(cell)
        case bool():
            return "true" if cell else "false"
        case None | UnsetType():
            return ""
        case datetime():
            return cell.isoformat().replace("+00:00", "Z")
    return str(cell)
