"""The times of a busy day's replies that stay in memory are those of what is stored."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from applyrate.store import Store, open_store
from applyrate.store.sqlite import reply_times
from applyrate.usage import Applied, Available, Recording, Reply, ResourceType, Window

DAY = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window(DAY + timedelta(minutes=30), DAY + timedelta(days=3, minutes=45))
BUSY = range(120)
"""The minutes with a reply: more than are looked up one by one."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as store:
        for day in (0, 3):
            record(store, day, BUSY)
        yield store


def record(store: Store, day: int, minutes: range, name: str = "r") -> None:
    store.record(
        [
            Recording(
                "acme",
                [
                    Reply(
                        f"{name}-{day}-{minute}",
                        f"{name}-{day}-{minute // 2}",
                        DAY + timedelta(days=day, minutes=minute),
                        available=Available(knowledge=["kb"]),
                        applied=Applied(knowledge=["kb"] if minute % 3 else []),
                    )
                    for minute in minutes
                ],
            )
        ]
    )


def counts(store: Store, window: Window = WINDOW) -> tuple[int, int, datetime | None]:
    found = store.summary("acme", ResourceType.KNOWLEDGE, "kb", window)
    return found.available_replies, found.applied_replies, found.last_used_at


def applied(minutes: range) -> int:
    return sum(1 for minute in minutes if minute % 3)


FIRST, LAST = range(30, 120), range(45)
BOTH = len(FIRST) + len(LAST), applied(FIRST) + applied(LAST), DAY + timedelta(days=3, minutes=44)


def test_both_edges_are_cut_at_their_minutes(store: Store) -> None:
    assert counts(store) == counts(store) == BOTH
    within_a_day = Window(DAY + timedelta(minutes=7), DAY + timedelta(minutes=9))
    assert counts(store, within_a_day) == (2, 2, DAY + timedelta(minutes=8))
    assert counts(store, Window(DAY + timedelta(minutes=120), DAY + timedelta(hours=9)))[0] == 0


def test_what_is_recorded_after_a_question_is_in_the_next_answer(
    store: Store, tmp_path: Path
) -> None:
    assert counts(store) == BOTH
    record(store, 0, range(40, 60), "later")
    assert counts(store)[0] == BOTH[0] + 20
    with closing(open_store(tmp_path)) as other:
        record(other, 3, range(40, 60), "of another process")
    assert counts(store)[0] == BOTH[0] + 25


def test_what_is_erased_after_a_question_is_in_no_answer(store: Store) -> None:
    assert counts(store) == BOTH
    store.erase("acme", ["r-0-20", "r-3-22"])  # minutes 40 and 41, 44 and 45
    available, used, last_used_at = counts(store)
    assert (available, used) == (BOTH[0] - 3, BOTH[1] - 3)
    assert last_used_at == DAY + timedelta(days=3, minutes=43)


def test_days_that_are_too_long_to_be_kept_are_counted_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_times, "_KEPT_REPLIES", len(BUSY) - 1)
    assert counts(store) == counts(store) == BOTH
