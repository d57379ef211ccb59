"""What changed is told exactly, whichever process recorded it, and after a restart."""

import multiprocessing
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applyrate.store import Store, open_store
from applyrate.usage import Available, Recording, Reply, ResourceType

AT = datetime(2026, 3, 1, tzinfo=UTC)
COMMITS = 40


def record(store: Store, number: int, *resource_ids: str) -> None:
    offered = Available(knowledge=list(resource_ids))
    store.record([Recording("acme", [Reply(f"r_{number}", "s_1", AT, available=offered)])])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as store:
        record(store, 0, "kb_0")
        yield store


def record_elsewhere(folder: Path, first: int) -> None:
    with closing(open_store(folder)) as store:
        for number in range(first, first + COMMITS):
            record(store, number, f"kb_{number}")


def test_followed_while_two_processes_record_each_change_is_told_once(
    store: Store, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=record_elsewhere, args=(tmp_path, first)) for first in (100, 200)
    ]
    for writer in writers:
        writer.start()
    version, told = store.changes("acme").version, list[str]()
    deadline = time.monotonic() + 60
    while len(told) < 2 * COMMITS and time.monotonic() < deadline:
        changes = store.changes("acme", version)
        version, told = changes.version, told + [name for _, name in changes.resources]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert sorted(told) == sorted(
        f"kb_{first + number}" for first in (100, 200) for number in range(COMMITS)
    )


def test_what_changed_while_nobody_looked_is_told_after_a_restart(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        record(store, 1, "kb_1", "kb_2")
        version = store.changes("acme").version
        record(store, 2, "kb_2")
    with closing(open_store(tmp_path)) as store:
        changes = store.changes("acme", version)
    assert changes.resources == [(ResourceType.KNOWLEDGE, "kb_2")]


def test_a_file_brought_back_from_a_backup_tells_everything(store: Store, tmp_path: Path) -> None:
    backup = tmp_path / "backup" / "applyrate.db"
    backup.parent.mkdir()
    with (
        closing(sqlite3.connect(tmp_path / "applyrate.db")) as db,
        closing(sqlite3.connect(backup)) as copy,
    ):
        db.backup(copy)
    record(store, 1, "kb_1")
    version = store.changes("acme").version
    with closing(open_store(backup.parent)) as restored:
        assert restored.changes("acme", version).resources == [(ResourceType.KNOWLEDGE, "kb_0")]
