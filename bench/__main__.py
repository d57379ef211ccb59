"""Measure the store and the service beside what a user could take instead.

python -m bench [--quick] [--replies N] [--parts PART,...] [--keep] [--write]
"""

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from applyrate.store import open_store
from bench.asking import ask_all, tell_questions
from bench.building import Cache, Loading, copied, copies_beside
from bench.footprint import measure_disk, measure_import, measure_service
from bench.growth import GROWTHS, measure_growth
from bench.organizations import Data, draw_data
from bench.over_http import EFFORT, QUICK_EFFORT, Effort, measure_http
from bench.peers import Peer
from bench.peers.every import PEERS, POSTGRES, Kind
from bench.prototype.measuring import measure_prototype
from bench.prototype.telling import tell_prototype
from bench.recording import (
    QUICK_STRETCHES,
    STRETCHES,
    Stretch,
    measure_recording,
    tell_recording,
)
from bench.results import (
    Circumstances,
    print_bars,
    print_part,
    tell_circumstances,
    write_readme,
    write_results,
)
from bench.tables import Part, Table
from bench.timing import Patience
from bench.trace_table import tell_traces
from bench.traces import measure_traces
from bench.warmth import Warmth

WIDTH = 240

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench"


class Scale(NamedTuple):
    """How much is measured, and how patiently."""

    replies: int
    growth_replies: int
    patience: Patience
    stretches: Sequence[Stretch]
    effort: Effort
    trace_requests: int


FULL = Scale(1_000_000, 1_000_000, Patience(8, 3, 201), STRETCHES, EFFORT, 400)
QUICK = Scale(16_000, 1_000, Patience(0.1, 2, 10), QUICK_STRETCHES, QUICK_EFFORT, 16)

PARTS = (
    *("engines", "prototype", "http", "service", "import", "traces"),
    *(f"growth-{name}" for name in GROWTHS),
)


class Run(NamedTuple):
    """What a run works with."""

    scale: Scale
    cache: Cache
    data: Data
    progress: Progress


def main() -> None:
    """Build what is not built yet, measure the parts that are asked for, print their tables."""
    arguments = _parse_arguments()
    # Told to end, the run ends the servers that it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    scale = QUICK if arguments.quick else FULL
    if arguments.replies:
        scale = scale._replace(replies=arguments.replies)
    if arguments.growth_replies:
        scale = scale._replace(growth_replies=arguments.growth_replies)
    began, (load_before, *_) = time.monotonic(), os.getloadavg()
    missing = {kind.name: reason for kind in PEERS if (reason := kind.missing())}
    progress = Progress(
        SpinnerColumn(),
        *Progress.get_default_columns(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with progress:
        task = progress.add_task("Drawing the replies", total=None)
        data = draw_data(scale.replies)
        # Millions of objects that no service has: keep the collector from walking them.
        gc.collect()
        gc.freeze()
        progress.remove_task(task)
        cache = Cache(_CACHE / str(scale.replies), keep=arguments.keep)
        run = Run(scale, cache, data, progress)
        measured: dict[str, list[Part]] = {}
        for name in arguments.parts:
            measured[name] = []
            for part in _measure(run, name):
                print_part(console, part)
                measured[name].append(part)
    parts = list(chain(*measured.values()))
    told = tell_circumstances(
        data,
        Circumstances(
            " ".join(["python -m bench", *sys.argv[1:]]),
            time.monotonic() - began,
            load_before,
            [f"{name} ({reason})" for name, reason in missing.items()],
        ),
    )
    print_bars(console, told, parts, judged=_is_full(scale))
    if _is_full(scale) and not arguments.quick and POSTGRES.name not in missing:
        for part in measured.get("prototype", ()):
            write_readme(told, part)
    if arguments.write or (scale == FULL and set(arguments.parts) == set(PARTS)):
        write_results(told, parts)


def _is_full(scale: Scale) -> bool:
    """Little data tell nothing of a bar."""
    return scale.replies >= FULL.replies


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="little data, few rounds: 2 minutes")
    parser.add_argument(
        "--replies", type=int, metavar="N", help=f"default {FULL.replies:,} ({QUICK.replies:,})"
    )
    parser.add_argument(
        "--growth-replies",
        type=int,
        metavar="N",
        help=f"what grows tenfold; default {FULL.growth_replies:,} ({QUICK.growth_replies:,})",
    )
    parser.add_argument(
        "--parts",
        type=_parts,
        default=PARTS,
        metavar="PART,...",
        help=f"only these of {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--keep", action="store_true", help="use built data although the code has changed since"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write bench/results.md, as a whole run at full size does without being told",
    )
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {PARTS}")
    return names


def _measure(run: Run, name: str) -> Iterator[Part]:
    task = run.progress.add_task(f"Measuring: {name}", total=None)
    if name == "engines":
        yield from _measure_engines(run)
    elif name == "prototype":
        measured = measure_prototype(run.cache, run.data, run.scale.patience, run.progress)
        yield tell_prototype(measured, judged=_is_full(run.scale))
    elif name == "traces":
        yield _measure_traces(run)
    elif name.startswith("growth-"):
        yield measure_growth(
            _CACHE,
            GROWTHS[name.removeprefix("growth-")],
            run.scale.growth_replies,
            run.scale.patience,
            run.progress,
            keep=run.cache.keep,
        )
    else:
        yield _measure_served(run, name)
    run.progress.remove_task(task)


def _measure_engines(run: Run) -> Iterator[Part]:
    """The store and every peer at the same time, each on a copy of what was built for it."""
    built, loading = run.cache.store(run.data, run.progress)
    kinds = [kind for kind in PEERS if not kind.missing()]
    folders = {kind: run.cache.peer(kind, run.data, run.progress) for kind in kinds}
    with ExitStack() as stack:
        folder = stack.enter_context(copied(built))
        store = stack.enter_context(closing(open_store(folder)))
        peers = {
            kind.name: _open(kind, stack.enter_context(copied(folders[kind])), stack)
            for kind in kinds
        }
        keep_warm = Warmth(copies_beside(folder)).keep
        yield tell_recording(
            measure_recording(store, peers, run.data, run.scale.stretches, keep_warm)
        )
        yield _loading(loading)
        sizes = {name: peer.settle() for name, peer in peers.items()}
        task = run.progress.add_task("Asking", total=None)
        asked = ask_all(
            run.data.workload,
            store,
            peers,
            run.scale.patience,
            lambda question: run.progress.update(task, description=question),
            keep_warm,
        )
        run.progress.remove_task(task)
        yield tell_questions(asked)
        store.close()
        yield measure_disk(folder, run.data, sizes)


def _open(kind: Kind, folder: Path, stack: ExitStack) -> Peer:
    return stack.enter_context(closing(kind.open(folder)))


def _loading(loading: Loading) -> Part:
    rate = loading.replies / loading.seconds
    return Part(
        [
            Table(
                "Filling the store",
                ("", "measured"),
                [
                    [
                        f"replies a second, the first {loading.replies:,} in batches of 1,000",
                        f"{rate:,.0f}",
                    ]
                ],
            )
        ]
    )


def _measure_served(run: Run, name: str) -> Part:
    """What is served, or imported into, with a store on a folder of its own beside it."""
    built, _ = run.cache.store(run.data, run.progress)
    with (
        copied(built, "served") as served,
        copied(built, "beside") as beside,
        closing(open_store(beside)) as store,
    ):
        if name == "http":
            return measure_http(served, store, run.data, run.scale.effort)
        if name == "service":
            return measure_service(served, run.data)
        return measure_import(served, store, run.data)


def _measure_traces(run: Run) -> Part:
    run.cache.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=run.cache.folder, prefix="traces-") as folder:
        return tell_traces(measure_traces(Path(folder), run.scale.trace_requests))


if __name__ == "__main__":
    main()
