"""Measure what removing costs whoever writes: ``python -m bench.retention``.

Half of ``--replies`` are older than is kept, and one conversation has ``--long`` of its own. The
former are removed step by step as the service does it, then the long conversation is erased as the
command does it. Between the steps one reply is recorded at a time: what each had to wait is its own
commit and the rest of a step. A busy machine makes any of them wait; so what a step takes of the
processor stands beside what the clock says.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from applyrate.intake.housekeeping import NOTHING_GONE, OTHERS_SHARE, Pace, rest
from applyrate.store import Store, open_store
from applyrate.usage import Applied, Available, Erasure, Recording, Reply
from bench.generator import ORG, Workload

_RECORDED_AT_ONCE = 2_000
_LONG_AT_ONCE = 100_000
_LONG = "long"


class Step(NamedTuple):
    """A transaction that removed replies: how many, and its seconds by clock and processor."""

    removed: int
    seconds: float
    processor_seconds: float


def main() -> None:
    """Fill a store, remove half of it and the long conversation, and print what that took."""
    parser = argparse.ArgumentParser(prog="python -m bench.retention", description=main.__doc__)
    parser.add_argument("--replies", type=int, default=20_000, metavar="N")
    parser.add_argument(
        "--long", type=int, default=100_000, metavar="N", help="in one conversation"
    )
    given = parser.parse_args()
    console = Console()
    table = Table("", "count", "median ms", "99 % ms", "longest ms")
    with tempfile.TemporaryDirectory() as folder, closing(open_store(Path(folder))) as store:
        middle = _fill(store, given.replies)
        _fill_long(store, given.long)
        for name, removing in (
            ("retention", partial(_expire, store, middle)),
            ("erasing", partial(_erase, store)),
        ):
            with _recording(store) as waits:
                steps = list(removing())
            _add_row(table, f"steps of {name}", [step.seconds for step in steps])
            _add_row(table, "  on the processor", [step.processor_seconds for step in steps])
            _add_row(table, "  commits of one reply meanwhile", waits)
            removed, spent = sum(one.removed for one in steps), sum(one.seconds for one in steps)
            told = f"{name}: {removed:,} replies removed, {removed / spent:,.0f} a second of steps"
            console.print(told, highlight=False)
        faults = list(store.check())
    console.print(table)
    console.print(f"faults found by check: {len(faults)}")


def _add_row(table: Table, name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    shown = (median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])
    table.add_row(name, f"{len(ordered):,}", *(f"{one * 1e3:.1f}" for one in shown))


def _fill(store: Store, count: int) -> datetime:
    """Record replies in the order of their times; the time in the middle of them."""
    times: list[datetime] = []
    for batch in Workload(count).batches(0, count, _RECORDED_AT_ONCE):
        store.record([Recording(ORG, batch)])
        times += [reply.replied_at for reply in batch]
    return sorted(times)[count // 2]


def _fill_long(store: Store, count: int) -> None:
    """Record one conversation, on the last days of which the others are."""
    began_at = datetime(2026, 6, 1, tzinfo=UTC)
    for start in range(0, count, _LONG_AT_ONCE):
        replies = [
            Reply(
                f"{_LONG} {number}",
                _LONG,
                began_at + timedelta(seconds=number),
                available=Available(knowledge=[f"kb_{number % 50}", f"kb_{number % 997}"]),
                applied=Applied(action=["look"]),
            )
            for number in range(start, min(count, start + _LONG_AT_ONCE))
        ]
        store.record([Recording(ORG, replies)])


def _expire(store: Store, before: datetime) -> Iterator[Step]:
    pace = Pace()
    while True:
        began = time.thread_time()
        removed, seconds = pace.take(lambda limit: store.expire(ORG, before, limit))
        if not removed:
            return
        yield Step(removed, seconds, time.thread_time() - began)
        rest(store, OTHERS_SHARE * seconds)


def _erase(store: Store) -> Iterator[Step]:
    def begin(_: int) -> Erasure:
        return store.erase(ORG, [_LONG])

    pace, step = Pace(), begin
    while True:
        began = time.thread_time()
        gone, seconds = pace.take(step)
        if gone == NOTHING_GONE:
            return
        yield Step(gone.reply_count, seconds, time.thread_time() - began)
        rest(store, seconds)
        step = partial(store.continue_erasing, ORG)


@contextmanager
def _recording(store: Store) -> Iterator[list[float]]:
    """Record one reply after the other while the block runs; what each of them took."""
    waits: list[float] = []
    done = threading.Event()

    def record() -> None:
        number = 0
        while not done.is_set():
            number += 1
            at = datetime.now(UTC) + timedelta(microseconds=number)
            name = f"b_{at.timestamp()}_{number}"
            reply = Reply(name, f"b_{number % 99}", at, applied=Applied(action=["look"]))
            began = time.perf_counter()
            store.record([Recording(ORG, [reply])])
            waits.append(time.perf_counter() - began)
            time.sleep(0.005)

    writer = threading.Thread(target=record)
    writer.start()
    try:
        yield waits
    finally:
        done.set()
        writer.join()


if __name__ == "__main__":
    main()
