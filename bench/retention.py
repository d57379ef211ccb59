"""Measure what retention costs whoever writes: ``python -m bench.retention [--replies N]``.

Half of the replies are older than is kept. They are removed step by step, as the service does it,
and between the steps one reply is recorded at a time: what each had to wait is its own commit and
the rest of a step.
"""

import argparse
import tempfile
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from applyrate.intake.housekeeping import Pace
from applyrate.store import Store, open_store
from applyrate.usage import Applied, Recording, Reply
from bench.generator import ORG, Workload

_RECORDED_AT_ONCE = 2_000


def main() -> None:
    """Fill a store, remove half of it, and print the longest step and the longest wait."""
    parser = argparse.ArgumentParser(prog="python -m bench.retention", description=main.__doc__)
    parser.add_argument("--replies", type=int, default=200_000, metavar="N")
    count = parser.parse_args().replies
    with tempfile.TemporaryDirectory() as folder, closing(open_store(Path(folder))) as store:
        middle = _fill(store, count)
        steps, waits = _expire_while_recording(store, middle)
        faults = list(store.check())
    removed = sum(size for size, _ in steps)
    spent = sum(seconds for _, seconds in steps)
    table = Table("", "count", "median ms", "99 % ms", "longest ms")
    for name, seconds in (
        ("steps of retention", sorted(seconds for _, seconds in steps)),
        ("commits of one reply beside it", sorted(waits)),
    ):
        table.add_row(
            name,
            f"{len(seconds):,}",
            f"{median(seconds) * 1e3:.1f}",
            f"{seconds[int(len(seconds) * 0.99)] * 1e3:.1f}",
            f"{seconds[-1] * 1e3:.1f}",
        )
    console = Console()
    console.print(table)
    console.print(f"{removed:,} of {count:,} replies removed, {removed / spent:,.0f} a second")
    console.print(f"faults found by check: {len(faults)}")


def _fill(store: Store, count: int) -> datetime:
    """Record replies in the order of their times; the time in the middle of them."""
    times: list[datetime] = []
    for batch in Workload(count).batches(0, count, _RECORDED_AT_ONCE):
        store.record([Recording(ORG, batch)])
        times += [reply.replied_at for reply in batch]
    return sorted(times)[count // 2]


def _expire_while_recording(
    store: Store, before: datetime
) -> tuple[list[tuple[int, float]], list[float]]:
    steps: list[tuple[int, float]] = []
    waits: list[float] = []
    done = threading.Event()

    def record() -> None:
        number = 0
        while not done.is_set():
            number += 1
            at = datetime.now(UTC) + timedelta(microseconds=number)
            reply = Reply(f"b_{number}", f"b_{number % 99}", at, applied=Applied(action=["look"]))
            began = time.perf_counter()
            store.record([Recording(ORG, [reply])])
            waits.append(time.perf_counter() - began)
            time.sleep(0.005)

    writer = threading.Thread(target=record)
    writer.start()
    pace = Pace()
    while True:
        removed, seconds = pace.take(lambda limit: store.expire(ORG, before, limit))
        if not removed:
            break
        steps.append((removed, seconds))
        time.sleep(4 * seconds)
    done.set()
    writer.join()
    return steps, waits


if __name__ == "__main__":
    main()
