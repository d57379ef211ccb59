"""Measuring what the prototype asks for: store, PostgreSQL and the prototype's ways, in turns."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import NamedTuple

from rich.progress import Progress

from applyrate.store import open_store
from bench.building import Cache, Loading, copied, copies_beside
from bench.organizations import Data
from bench.peers.every import POSTGRES as POSTGRES_KIND
from bench.peers.postgres.covering import Covering, open_covering
from bench.peers.postgres.plain import Plain
from bench.prototype.answering import Prototype
from bench.prototype.demands import POSTGRES, Demand, Engines, demands
from bench.questions import OURS
from bench.recording import WARM, Recorded, Stretch, measure_recording
from bench.timing import Patience, Spread, ask_in_turns
from bench.warmth import Warmth


class Measured(NamedTuple):
    """Everything that was measured; ``disk`` in bytes, of each engine."""

    usage_count: int
    loading: Loading
    recorded: Sequence[Recorded]
    disk: dict[str, int]
    asked: Sequence[tuple[Demand, dict[str, Spread]]]


def measure_prototype(cache: Cache, data: Data, patience: Patience, progress: Progress) -> Measured:
    """Record into the store and PostgreSQL, where it is installed; then ask everybody.

    Raises WrongAnswer.
    """
    built, loading = cache.store(data, progress)
    with ExitStack() as stack:
        folder = stack.enter_context(copied(built))
        postgres = _open_postgres(cache, data, progress, stack)
        keep_warm = Warmth(copies_beside(folder)).keep
        with closing(open_store(folder)) as store:
            peers = {POSTGRES: postgres} if postgres else {}
            _, *recorded = measure_recording(store, peers, data, stretches_of(data), keep_warm)
        disk = {OURS: sum(file.stat().st_size for file in folder.glob("applyrate.db*"))}
        if postgres:
            disk[POSTGRES] = postgres.settle()
        store = stack.enter_context(closing(open_store(folder)))
        prototype = Prototype(folder / "applyrate.db", folder / "days.db")
        engines = Engines(store, stack.enter_context(closing(prototype)))
        if postgres:
            plain = stack.enter_context(closing(Plain(postgres.address, ExitStack())))
            engines = engines._replace(postgres=postgres, plain=plain)
        asked = []
        task = progress.add_task("Asking", total=None)
        for demand in demands(data.workload, engines):
            progress.update(task, description=demand.name)
            spreads = ask_in_turns(demand.ask, demand.windows, patience, keep_warm=keep_warm)
            asked.append((demand, spreads))
        progress.remove_task(task)
    return Measured(data.usage_count(), loading, recorded, disk, asked)


def stretches_of(data: Data) -> tuple[Stretch, Stretch, Stretch]:
    """All that is not built in, from one writer: 1,000 a commit, and the last ones one by one.

    The first stretch is a tenth of those commits, and only warms up.
    """
    left = data.workload.reply_count - data.stop - WARM
    singles = left // 200
    commits = (left - singles) // 1000
    warm = max(1, commits // 10)
    return Stretch(1000, 1, warm), Stretch(1000, 1, commits - warm), Stretch(1, 1, singles)


def _open_postgres(
    cache: Cache, data: Data, progress: Progress, stack: ExitStack
) -> Covering | None:
    if POSTGRES_KIND.missing():
        return None
    folder = stack.enter_context(copied(cache.peer(POSTGRES_KIND, data, progress)))
    return stack.enter_context(closing(open_covering(folder)))
