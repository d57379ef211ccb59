"""The order of a busy day's replies that stays in memory is that of what is stored."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from applyrate.store import Store, open_store
from applyrate.store.sqlite import reply_order
from applyrate.usage import Applied, Available, Recording, Reply, ResourceType, Window

DAY = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window(DAY + timedelta(minutes=30), DAY + timedelta(days=3, minutes=45))
BUSY = range(120)
"""The minutes with a reply: more than are looked up one by one."""


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    with closing(open_store(tmp_path)) as store:
        for day in (0, 3):
            record(store, day, BUSY)
    return tmp_path


@pytest.fixture
def store(filled: Path) -> Iterator[Store]:
    with closing(open_store(filled)) as store:
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


@given(st.lists(st.tuples(st.integers(-5, 130), st.integers(-5, 130)), min_size=2, max_size=6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_of_one_day_are_counted_in_whatever_order_they_are_asked_for(
    filled: Path, parts: list[tuple[int, int]]
) -> None:
    with closing(open_store(filled)) as store:
        for start, end in (sorted(part) for part in parts if part[0] != part[1]):
            inside = range(max(start, 0), max(0, start, min(end, 120)))
            window = Window(DAY + timedelta(minutes=start), DAY + timedelta(minutes=end))
            assert counts(store, window)[:2] == (len(inside), applied(inside))


def test_a_reply_without_a_usage_may_be_erased_at_any_time(store: Store) -> None:
    store.record([Recording("acme", [Reply("bare", "c", DAY + timedelta(minutes=30, seconds=1))])])
    assert counts(store) == BOTH
    store.erase("acme", ["c"])
    for minute in range(31, 60):
        window = Window(DAY + timedelta(minutes=minute), DAY + timedelta(hours=9))
        assert counts(store, window)[0] == 120 - minute


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
    monkeypatch.setattr(reply_order, "_MOST_KEPT", len(BUSY) - 1)
    assert counts(store) == counts(store) == BOTH
