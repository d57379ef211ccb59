"""The tables, for the terminal and for the README."""

import os
import platform
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

from bench.building import Loading
from bench.generator import CATALOGUES, DAYS, Workload
from bench.questions import OURS, PLAIN, POSTGRES, PROTOTYPE, Question
from bench.recording import Recorded
from bench.timing import Spread
from bench.traces import EXPORTERS, SPANS_A_REQUEST, Tracing

BYTES_A_USAGE = 9
RECORDING_RATIO = 2.3
SPANS_A_SECOND = 20_000

_README = Path(__file__).parent / "README.md"
_START, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"
_NOTHING = "-"


class Table(NamedTuple):
    """A table with its heading and the sentence below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Disk(NamedTuple):
    """Bytes on disk, everything included."""

    ours: int
    postgres: int | None


class Measured(NamedTuple):
    """Everything that one run measured."""

    workload: Workload
    usage_count: int
    loading: Loading
    recorded: Sequence[Recorded]
    asked: Sequence[tuple[Question, dict[str, Spread]]]
    disk: Disk
    tracing: Tracing
    postgres_version: str | None
    command: str
    seconds: float
    load_before: float


def tables(measured: Measured) -> list[Table]:
    """What a run measured."""
    return [_recording(measured), _questions(measured), _prototype(measured), _traces(measured)]


def print_tables(console: Console, measured: Measured) -> None:
    """Show them on the terminal."""
    console.print(circumstances(measured))
    for table in tables(measured):
        shown = RichTable(title=table.title, caption=table.note or None, title_justify="left")
        for column in table.columns:
            shown.add_column(column, justify="left" if column == table.columns[0] else "right")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def write_readme(measured: Measured) -> None:
    """Put them into the README, between its markers."""
    text = _README.read_text(encoding="utf-8")
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    figures = "\n".join(
        [circumstances(measured), "", *(_markdown(table) for table in tables(measured))]
    )
    _README.write_text(before + _START + "\n" + figures + "\n" + _END + after, encoding="utf-8")


def circumstances(measured: Measured) -> str:
    """The data, the machine, the versions, the command and the day."""
    workload = measured.workload
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        f"pyroaring {version('pyroaring')}",
    ]
    if measured.postgres_version:
        parts += [f"PostgreSQL {measured.postgres_version}", f"psycopg {version('psycopg')}"]
    resource_count = sum(catalogue.size for catalogue in CATALOGUES)
    minutes = measured.seconds / 60
    return (
        f"`{measured.command}` on {datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes. "
        f"{workload.reply_count:,} replies, {measured.usage_count:,} usages, "
        f"{workload.conversation_count:,} conversations, {resource_count:,} resources, "
        f"{DAYS} days. {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB of memory, "
        f"{platform.system()} {platform.release().split('-')[0]}; {', '.join(parts)}. "
        f"Load of the machine before the run: {measured.load_before:.1f}."
    )


def _recording(measured: Measured) -> Table:
    rows = []
    for recorded in measured.recorded:
        many = recorded.replies_a_commit > 1
        asked = RECORDING_RATIO if many else None
        replies = f"{recorded.replies_a_commit:,} replies" if many else "one reply"
        ratio = (
            recorded.rate(OURS) / recorded.rate(POSTGRES) if POSTGRES in recorded.spreads else None
        )
        rows.append(
            [
                f"{replies} a commit",
                _rate(recorded, OURS),
                _rate(recorded, POSTGRES),
                _times(ratio),
                _times(asked),
                _verdict(measured, ratio, asked),
            ]
        )
    rows.append(_disk(measured))
    loading = measured.loading
    return Table(
        "Recording and disk",
        ("durable, deduplicated, at full size", OURS, POSTGRES, "ratio", "asked for", "reached"),
        rows,
        "Replies a second; in brackets a commit's median, shortest and longest. Before that the "
        f"store recorded its first {loading.replies:,} replies at "
        f"{loading.replies / loading.seconds:,.0f} a second.",
    )


def _disk(measured: Measured) -> list[str]:
    ours, postgres = measured.disk
    count = measured.usage_count
    return [
        "disk, bytes a usage",
        f"{ours / count:.2f} ({ours / 1e6:,.0f} MB)",
        _NOTHING if postgres is None else f"{postgres / count:.1f} ({postgres / 1e6:,.0f} MB)",
        _NOTHING if postgres is None else _times(postgres / ours),
        f"≤ {BYTES_A_USAGE}",
        _verdict(measured, BYTES_A_USAGE, ours / count),
    ]


def _questions(measured: Measured) -> Table:
    rows = []
    for question, spreads in measured.asked:
        ours = spreads[OURS]
        neighbour = spreads.get(PLAIN, spreads.get(POSTGRES))
        ratio = _ratio(neighbour, ours)
        rows.append(
            [
                question.name,
                _milliseconds(ours),
                _milliseconds(spreads.get(POSTGRES)),
                _times(_ratio(spreads.get(POSTGRES), ours)),
                _milliseconds(spreads.get(PLAIN)),
                _times(_ratio(spreads.get(PLAIN), ours)),
                _times(question.postgres_ratio),
                _verdict(measured, ratio, question.postgres_ratio),
            ]
        )
    return Table(
        "Questions",
        (
            *("p50 (least to most), ms", OURS, POSTGRES, "ratio", PLAIN, "ratio"),
            *("asked for", "reached"),
        ),
        rows,
        "Warm, in turns, each answer compared with the others' before it counts; a different "
        "window each time. Asked for is the prototype's ratio to PostgreSQL, which was asked "
        "plainly then: every row computed before the page is cut.",
    )


def _prototype(measured: Measured) -> Table:
    rows = [
        [
            question.name,
            _milliseconds(spreads[OURS]),
            _milliseconds(spreads[PROTOTYPE]),
            _times(ratio := _ratio(spreads[PROTOTYPE], spreads[OURS])),
            _times(question.prototype_ratio),
            _verdict(measured, ratio, question.prototype_ratio),
        ]
        for question, spreads in measured.asked
        if PROTOTYPE in spreads
    ]
    return Table(
        "Beside the prototype's ways",
        ("p50 (least to most), ms", OURS, PROTOTYPE, "ratio", "asked for", "reached"),
        rows,
    )


def _traces(measured: Measured) -> Table:
    tracing = measured.tracing
    ours, empty = tracing.ours, tracing.empty
    counted = ours.spans / tracing.counted_seconds

    def acknowledged(share: float) -> list[str]:
        cells = (1000 * traced.percentile(share) for traced in (ours, empty))
        return [*map(_significant, cells), _NOTHING, _NOTHING]

    return Table(
        "Traces over HTTP",
        ("durable, deduplicated", OURS, "empty handler", "ratio", "asked for"),
        [
            [
                "spans a second, acknowledged",
                *(f"{traced.rate:,.0f}" for traced in (ours, empty)),
                _times(ours.rate / empty.rate),
                f"{SPANS_A_SECOND:,}",
            ],
            [
                "spans a second until every reply of them is counted",
                *(f"{counted:,.0f}", _NOTHING, _NOTHING, _NOTHING),
            ],
            ["acknowledgement, p50, ms", *acknowledged(0.5)],
            ["acknowledgement, p99, ms", *acknowledged(0.99)],
        ],
        f"{EXPORTERS} exporters at once, {SPANS_A_REQUEST} spans a request, {ours.spans:,} spans; "
        f"{tracing.bytes_a_span:,.0f} bytes a span of protobuf, {tracing.packed_bytes_a_span:,.0f} "
        "of it packed with gzip. The empty handler is the same server and framework, reads the "
        "same bodies and does nothing, in turns; the exporters run on the same cores.",
    )


def _markdown(table: Table) -> str:
    lines = [f"### {table.title}", ""]
    lines += [_row(table.columns), _row(["---", *["--:"] * (len(table.columns) - 1)])]
    lines += [_row(row) for row in table.rows]
    return "\n".join([*lines, "", *([table.note, ""] if table.note else [])])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(recorded: Recorded, engine: str) -> str:
    if engine not in recorded.spreads:
        return _NOTHING
    return f"{recorded.rate(engine):,.0f} ({_milliseconds(recorded.spreads[engine])} ms)"


def _milliseconds(spread: Spread | None) -> str:
    if spread is None:
        return _NOTHING
    median, least, most = (_significant(1000 * value) for value in spread[:3])
    return f"{median} ({least} to {most})"


def _significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(neighbour: Spread | None, ours: Spread) -> float | None:
    return None if neighbour is None else neighbour.median / ours.median


def _times(ratio: float | None) -> str:
    return _NOTHING if ratio is None else f"{_significant(ratio)}x"


def _verdict(measured: Measured, ratio: float | None, asked: float | None) -> str:
    """Whether it is reached; at another size than the one that was asked for, nothing is said."""
    if ratio is None or asked is None or measured.workload.reply_count != 1_000_000:
        return _NOTHING
    return "yes" if ratio >= asked else "no"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
