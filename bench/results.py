"""What a run found: on the terminal, as bench/results.md, and in bench/README.md."""

import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from bench.generator import CATALOGUES
from bench.organizations import Data
from bench.peers.postgres.server import find_programs
from bench.tables import Part, bars_table, markdown, print_table

RESULTS = Path(__file__).parent / "results.md"
README = Path(__file__).parent / "README.md"
FIGURES = "<!-- the prototype's figures -->\n", "<!-- end of the prototype's figures -->\n"
"""Between which lines of the README they stand."""

_PACKAGES = ("pyroaring", "duckdb", "chdb", "psycopg")


class Circumstances(NamedTuple):
    """What a run was, and where."""

    command: str
    seconds: float
    load_before: float
    missing: Sequence[str]


def print_part(console: Console, part: Part) -> None:
    """Show a part's tables as soon as it is measured."""
    for table in part.tables:
        print_table(console, table)


def print_bars(console: Console, told: str, parts: Sequence[Part], *, judged: bool) -> None:
    """Show last what is asked for, and of what run that is."""
    bars = [bar for part in parts for bar in part.bars]
    print_table(console, bars_table(bars, judged=judged))
    console.print(told)


def write_results(told: str, parts: Sequence[Part]) -> None:
    """Write them as a page, with what is asked for first."""
    tables = [
        bars_table([bar for part in parts for bar in part.bars]),
        *(table for part in parts for table in part.tables),
    ]
    text = "\n".join(["# Results", "", told, "", *map(markdown, tables)])
    RESULTS.write_text(text.rstrip() + "\n", encoding="utf-8")


def write_readme(told: str, part: Part, readme: Path = README) -> None:
    """Put the prototype's tables between the README's markers, with what run they are of.

    Raises ValueError where the markers are not there.
    """
    before, start, rest = readme.read_text(encoding="utf-8").partition(FIGURES[0])
    _, end, after = rest.partition(FIGURES[1])
    if not end:
        raise ValueError(f"{readme} has no place for the prototype's figures")
    figures = "\n".join([told, "", *(markdown(table, level=3) for table in part.tables)])
    text = f"{before}{start}\n{figures}\n{end}{after}"
    readme.write_text(text, encoding="utf-8")


def tell_circumstances(data: Data, run: Circumstances) -> str:
    """The data, the machine, the versions, the command and the day."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    conversations = sum(one.conversation_count for one in (data.workload, *data.small))
    resources = sum(catalogue.size for catalogue in CATALOGUES)
    told = (
        f"`{run.command}` on {datetime.now(UTC):%Y-%m-%d}, {run.seconds / 60:.1f} minutes. "
        f"{data.reply_count:,} replies, {data.usage_count():,} usages, {conversations:,} "
        f"conversations; one organization with {resources:,} resources and {len(data.small)} small "
        f"ones; {data.workload.days} days. {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB "
        f"of memory, {platform.system()} {platform.release().split('-')[0]}; "
        f"{', '.join(_versions())}. Load of the machine before the run: {run.load_before:.1f}."
    )
    return " ".join([told, *(f"Not measured: {missing}." for missing in run.missing)])


def _versions() -> list[str]:
    found = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    if programs := find_programs():
        told = subprocess.run([programs / "postgres", "--version"], capture_output=True, check=True)
        found.append(f"PostgreSQL {told.stdout.decode().split()[2]}")
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
