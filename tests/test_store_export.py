"""An export takes its time and holds up nobody."""

import sqlite3
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from applyrate.store import open_store
from applyrate.usage import Available, Recording, Reply, Window

AT = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = [f"kb_{number}" for number in range(20)]


def replies(count: int) -> list[Reply]:
    return [
        Reply(
            f"r_{number}",
            f"s_{number // 4}",
            AT + timedelta(minutes=number),
            available=Available(knowledge=NAMES),
        )
        for number in range(count)
    ]


def test_between_its_parts_an_export_keeps_nothing_open(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.record([Recording("acme", replies(1_200))])
        rows = store.usages("acme", Window())
        next(rows)
        store.record([Recording("acme", [Reply("r_new", "s_new", AT)])])
        with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db:
            blocked, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not blocked
        assert sum(1 for _ in rows) == 1_200 * len(NAMES) - 1


def test_an_export_holds_a_part_in_memory_however_long_it_is(tmp_path: Path) -> None:
    peaks = []
    for count in (2_000, 10_000):
        with closing(open_store(tmp_path / str(count))) as store:
            store.record([Recording("acme", replies(count))])
            tracemalloc.start()
            try:
                assert sum(1 for _ in store.usages("acme", Window())) == count * len(NAMES)
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_an_export_may_go_on_in_another_thread(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.record([Recording("acme", replies(1_200))])
        rows = store.usages("acme", Window())
        next(rows)
        with ThreadPoolExecutor(1) as elsewhere:
            assert elsewhere.submit(sum, (1 for _ in rows)).result() == 1_200 * len(NAMES) - 1
