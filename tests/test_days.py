"""Days that stay decoded are never older than what is stored."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from applyrate.store import open_store
from applyrate.store.sqlite import SQLiteStore
from applyrate.store.sqlite.database import Database
from applyrate.store.sqlite.days import MAX_KEPT_BYTES, Days, days_worth_asking
from applyrate.store.sqlite.directory import Directory
from applyrate.store.sqlite.recording import record as write_replies
from applyrate.store.sqlite.rows import DAY as DAY_MICROS
from applyrate.store.sqlite.rows import to_micros
from applyrate.usage import Applied, Available, Keeping, Recording, Reply, ResourceType, Window
from tests.contract.suite import StoreContract

DAY = datetime(2026, 3, 1, tzinfo=UTC)
# Neither end is a bound of what is recorded: the days are read, and both edges.
WINDOW = Window(DAY + timedelta(hours=1), DAY + timedelta(days=2, hours=12))


class TestSQLiteStoreThatKeepsLittle(StoreContract):
    """What is kept is thrown out all the time."""

    def open(self, folder: Path) -> SQLiteStore:
        return SQLiteStore(folder / "applyrate.db", max_kept_bytes=6_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    with closing(cast("SQLiteStore", open_store(tmp_path))) as store:
        for number in range(6):  # one before the window and one after it
            record(store, number, DAY + timedelta(hours=11 * number))
        yield store


def reply(number: int, replied_at: datetime) -> Reply:
    return Reply(
        reply_id=f"r{number}",
        session_id=f"c{number}",
        replied_at=replied_at,
        available=Available(knowledge=["kb"]),
        applied=Applied(knowledge=["kb"]),
    )


def record(store: SQLiteStore, number: int, replied_at: datetime) -> None:
    store.record([Recording("acme", [reply(number, replied_at)])])


def count(store: SQLiteStore) -> int:
    return store.summary("acme", ResourceType.KNOWLEDGE, "kb", WINDOW).applied_replies


def test_a_reply_shows_in_the_next_answer(store: SQLiteStore) -> None:
    before = count(store)
    for number, hours in enumerate((1, 20, 30, 59), 10):  # at both edges and between
        record(store, number, DAY + timedelta(hours=hours))
        assert count(store) == before + 1 + number - 10


def record_elsewhere(folder: Path) -> None:
    with closing(open_store(folder)) as store:
        store.record([Recording("acme", [reply(99, DAY + timedelta(hours=20))])])


def test_a_reply_that_another_process_records_shows_in_the_next_answer(
    store: SQLiteStore, tmp_path: Path
) -> None:
    before = count(store)
    process = multiprocessing.get_context("spawn").Process(
        target=record_elsewhere, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert count(store) == before + 1


def test_a_commit_of_our_own_does_not_hide_one_of_another_process(
    store: SQLiteStore, tmp_path: Path
) -> None:
    before = count(store)
    with closing(open_store(tmp_path)) as other:
        other.record([Recording("acme", [reply(99, DAY + timedelta(hours=20))])])
    record(store, 100, DAY - timedelta(days=9))
    assert count(store) == before + 1


def test_a_recording_that_is_undone_leaves_nothing_in_the_answers(store: SQLiteStore) -> None:
    before = count(store)
    broken = Recording("acme", cast("Any", [None]))
    good = Recording("acme", [reply(99, DAY + timedelta(hours=20))])
    with pytest.raises(AttributeError):
        store.record([good, broken])
    assert count(store) == before
    store.record([good])
    assert count(store) == before + 1


def test_an_undone_recording_does_not_hide_what_another_process_then_records(
    store: SQLiteStore, tmp_path: Path
) -> None:
    before = count(store)
    with pytest.raises(AttributeError):
        store.record([Recording("acme", cast("Any", [None]))])
    with closing(open_store(tmp_path)) as other:
        other.record([Recording("acme", [reply(99, DAY + timedelta(hours=20))])])
    assert count(store) == before + 1


@pytest.mark.usefixtures("store")
def test_a_question_that_began_before_a_commit_does_not_see_it(tmp_path: Path) -> None:
    days, day = Days(MAX_KEPT_BYTES), to_micros(DAY) // DAY_MICROS
    with closing(sqlite3.connect(tmp_path / "applyrate.db", isolation_level=None)) as earlier:
        earlier.execute("BEGIN")
        at_first = days.at(earlier)
        with closing(Database(tmp_path / "applyrate.db")) as database:
            with database.writing() as db:
                days.advance(db)
                one = Recording("acme", [reply(99, DAY + timedelta(hours=20))])
                write_replies(db, Directory(), days, [one], Keeping())
            with database.reading() as db:
                (resource,) = db.execute("SELECT id FROM resource").fetchone()
                after = days.at(db).read([resource], day, day)[resource]
        assert [row.usage_count for row in after[day].applied] == [4]
        before = at_first.read([resource], day, day)[resource]
        assert [row.usage_count for row in before[day].applied] == [3]


def test_answers_given_while_replies_are_recorded_are_of_their_moment(
    store: SQLiteStore,
) -> None:
    start, recorded, faults = count(store), [0], list[str]()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            least = start + recorded[0]
            answer = count(store)
            most = start + recorded[0] + 1  # one may be on disk and not counted here yet
            if not least <= answer <= most:
                faults.append(f"{answer} is not between {least} and {most}")

    readers = [threading.Thread(target=ask) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(300):
        record(store, 1000 + number, DAY + timedelta(hours=1 + number % 55))
        recorded[0] += 1
    done.set()
    for reader in readers:
        reader.join()
    assert not faults
    assert count(store) == start + 300


def test_what_is_kept_stays_within_its_bound(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "applyrate.db", max_kept_bytes=10_000)) as store:
        for number in range(60):
            at = DAY + timedelta(hours=number)
            applied = Applied(knowledge=[f"kb{number % 20}"])
            one = Reply(f"r{number}", "c", at, applied=applied)
            store.record([Recording("acme", [one])])
        for number in range(20):
            window = Window(None, DAY + timedelta(hours=30))
            store.summary("acme", ResourceType.KNOWLEDGE, f"kb{number}", window)
        assert 0 < store.kept_bytes <= 5_000


def test_of_thousands_of_days_only_those_with_a_usage_are_asked(tmp_path: Path) -> None:
    times = [
        datetime(1, 1, 1, 5, tzinfo=UTC),
        DAY - timedelta(days=3),
        DAY,
        DAY + timedelta(hours=9),
    ]
    store = SQLiteStore(tmp_path / "applyrate.db")
    store.record([Recording("acme", [reply(number, at) for number, at in enumerate(times)])])
    days = [to_micros(at) // DAY_MICROS for at in times[:3]]
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db:
        assert days_worth_asking(db, days[0], days[2]) == days
        assert days_worth_asking(db, days[0] + 1, days[2] + 9) == days[1:]
        assert days_worth_asking(db, days[0] - 9, days[1] - 1) == days[:1]
        assert days_worth_asking(db, days[2] + 1, days[2] + 9_999) == []
    from_within = Window(times[0] + timedelta(minutes=1), times[3])
    asked = ("acme", ResourceType.KNOWLEDGE, "kb", from_within)
    assert store.summary(*asked).applied_replies == 2
    (listed,) = store.resources(*asked[:2], from_within, limit=9).items
    assert (listed.applied_replies, listed.last_used_at) == (2, DAY)
    store.close()
