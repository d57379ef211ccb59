"""Tables and bars, for the terminal and for Markdown."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

from bench.timing import Spread

NOTHING = "-"


class Table(NamedTuple):
    """A table with its heading and the sentences below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Bar(NamedTuple):
    """What is to be reached, and what was; ``reached`` is None where this run cannot tell."""

    what: str
    asked: str
    measured: str
    reached: bool | None


class Part(NamedTuple):
    """A part of the benchmark: its tables, and the bars that they are held to."""

    tables: Sequence[Table]
    bars: Sequence[Bar] = ()


def at_most(what: str, bound: float, value: float | None, unit: str = "times") -> Bar:
    """A bar that a value must not pass."""
    reached = None if value is None else value <= bound
    return Bar(what, f"at most {bound:g} {unit}", _measured(value, unit), reached)


def at_least(what: str, bound: float, value: float | None, unit: str = "times") -> Bar:
    """A bar that a value must come up to."""
    reached = None if value is None else value >= bound
    return Bar(what, f"at least {bound:g} {unit}", _measured(value, unit), reached)


def bars_table(bars: Sequence[Bar], *, judged: bool = True) -> Table:
    """All of them."""
    return Table(
        "What is asked for",
        ("what", "bar", "measured", "reached"),
        [
            [bar.what, bar.asked, bar.measured, verdict(reached=bar.reached, judged=judged)]
            for bar in bars
        ],
    )


def verdict(*, reached: bool | None, judged: bool) -> str:
    """Whether it is reached; little data tell nothing of that, and are not judged."""
    return {True: "yes", False: "no", None: NOTHING}[reached if judged else None]


def print_table(console: Console, table: Table) -> None:
    """Show it on the terminal."""
    shown = RichTable(title=table.title, caption=table.note or None, title_justify="left")
    for column in table.columns:
        shown.add_column(column, justify="left" if column == table.columns[0] else "right")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)


def markdown(table: Table, *, level: int = 2) -> str:
    """The same as a section of a page."""
    lines = [f"{'#' * level} {table.title}", ""]
    lines += [_row(table.columns), _row(["---", *["--:"] * (len(table.columns) - 1)])]
    lines += [_row(row) for row in table.rows]
    return "\n".join([*lines, "", *([table.note, ""] if table.note else [])])


def milliseconds(spread: Spread | None) -> str:
    """The median, with the least and the most."""
    if spread is None:
        return NOTHING
    median, least, most = (significant(1000 * value) for value in spread[:3])
    return f"{median} ({least} to {most})"


def significant(value: float) -> str:
    """Three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(ratio: float | None) -> str:
    """A ratio."""
    return NOTHING if ratio is None else f"{significant(ratio)}x"


def _measured(value: float | None, unit: str) -> str:
    return NOTHING if value is None else f"{significant(value)} {unit}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
