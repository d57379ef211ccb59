"""Measure the embedded store beside its neighbours: ``python -m bench [--replies N] [--quick]``."""

import argparse
import gc
import os
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from applyrate.store import open_store
from bench.building import Cache, copied
from bench.generator import ORG, Workload
from bench.peers.postgres.asking import PlainPostgreSQL, PostgreSQL
from bench.peers.postgres.recording import Recorder
from bench.peers.postgres.server import find_programs, serve_cluster
from bench.prototype import Prototype
from bench.questions import Engines, questions
from bench.recording import measure_recording
from bench.report import Disk, Measured, print_tables, write_readme
from bench.timing import Patience, ask_in_turns
from bench.traces import measure_traces

FULL_REPLIES, QUICK_REPLIES = 1_000_000, 20_000
LAST_STRETCH = 50_000
SINGLES = 220
REQUESTS, QUICK_REQUESTS = 400, 32
WIDTH = 180

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench"


def main() -> None:
    """Build what is not built yet, record, ask, and print the tables."""
    arguments = _parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    replies = arguments.replies or (QUICK_REPLIES if arguments.quick else FULL_REPLIES)
    patience = Patience(1, 3, 20) if arguments.quick else Patience(8, 5, 201)
    programs = None if arguments.without_postgres else find_programs()
    if programs is None:
        console.print("PostgreSQL is not installed, or not wanted: it is not measured.")
    measured = _measure(replies, patience, programs, keep=arguments.keep, console=console)
    print_tables(console, measured)
    if replies == FULL_REPLIES and programs:
        write_readme(measured)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--replies", type=int, metavar="N", help=f"default {FULL_REPLIES}")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_REPLIES} replies and few rounds"
    )
    parser.add_argument("--without-postgres", action="store_true", help="measure the store alone")
    parser.add_argument(
        "--keep", action="store_true", help="use built data although the code has changed since"
    )
    return parser.parse_args()


def _measure(
    replies: int, patience: Patience, programs: Path | None, *, keep: bool, console: Console
) -> Measured:
    began, (load_before, *_) = time.monotonic(), os.getloadavg()
    progress = Progress(
        SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn(), console=console
    )
    with ExitStack() as stack:
        stack.enter_context(progress)
        task = progress.add_task("Drawing the replies", total=1)
        workload = Workload(replies)
        # Millions of objects that no service has: keep the collector from walking them.
        gc.collect()
        gc.freeze()
        usage_count = workload.usage_count()
        progress.update(task, completed=1)

        stop = replies - min(LAST_STRETCH, replies // 4)
        cache = Cache(_CACHE / str(replies), keep=keep)
        built, loading = cache.store(workload, stop, progress)
        folder = stack.enter_context(copied(built))
        connection = None
        if programs:
            built = cache.postgres(programs, workload, stop, progress)
            cluster = stack.enter_context(copied(built)) / "data"
            address = stack.enter_context(serve_cluster(programs, cluster))
            connection = stack.enter_context(psycopg.connect(address, autocommit=True))

        task = progress.add_task("Recording in turns", total=1)
        with closing(open_store(folder)) as store:
            recorder = Recorder(connection, ORG) if connection else None
            recorded = measure_recording(store, recorder, workload, stop, SINGLES)
        progress.update(task, completed=1)
        disk = Disk(
            sum(file.stat().st_size for file in folder.glob("applyrate.db*")),
            _settle(connection) if connection else None,
        )

        store = stack.enter_context(closing(open_store(folder)))
        task = progress.add_task("Filling the prototype's days", total=1)
        prototype = stack.enter_context(
            closing(Prototype(folder / "applyrate.db", folder / "prototype.db"))
        )
        progress.update(task, completed=1)
        engines = Engines(
            store,
            prototype,
            PostgreSQL(connection) if connection else None,
            PlainPostgreSQL(connection) if connection else None,
        )
        asked = []
        task = progress.add_task("Asking in turns", total=None)
        for question in (all_questions := questions(workload, engines)):
            progress.update(task, description=question.name, total=len(all_questions))
            asked.append((question, ask_in_turns(question.ask, question.windows(), patience)))
            progress.advance(task)
        task = progress.add_task("Sending traces", total=1)
        tracing = measure_traces(
            folder / "traces", QUICK_REQUESTS if replies < FULL_REPLIES else REQUESTS
        )
        progress.update(task, completed=1)
        return Measured(
            workload=workload,
            usage_count=usage_count,
            loading=loading,
            recorded=recorded,
            asked=asked,
            disk=disk,
            tracing=tracing,
            postgres_version=_version(connection) if connection else None,
            command=" ".join(["python -m bench", *sys.argv[1:]]),
            seconds=time.monotonic() - began,
            load_before=load_before,
        )


def _settle(connection: psycopg.Connection) -> int:
    """Bring the tables into the order that PostgreSQL answers best in; their size in bytes."""
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def _version(connection: psycopg.Connection) -> str:
    number = connection.info.server_version
    return f"{number // 10_000}.{number % 10_000}"


if __name__ == "__main__":
    main()
