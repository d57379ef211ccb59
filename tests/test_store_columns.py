"""Counts of all resources that stay in memory are never older than what is stored."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from applyrate.store import Store, open_store
from applyrate.store.sqlite import SQLiteStore
from applyrate.store.sqlite.columns import add_up, make_column, subtract
from applyrate.usage import (
    Applied,
    ConversationFacts,
    Recording,
    Reply,
    ResourceSort,
    ResourceType,
    Window,
)

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
# Neither end is a bound of what is recorded, so that the sums of all time do not know the counts.
WINDOW = Window(DAY + HOUR, DAY + 60 * HOUR)


def record(store: Store, number: int, hours: int, *resource_ids: str) -> None:
    applied = Applied(knowledge=list(resource_ids))
    reply = Reply(f"r_{number}", f"s_{number}", DAY + hours * HOUR, applied=applied)
    store.record([Recording("acme", [reply])])


def counts(store: Store, sort: ResourceSort = ResourceSort.APPLIED) -> list[tuple[str, int]]:
    table = store.ranked("acme", ResourceType.KNOWLEDGE, WINDOW, sort=sort, limit=20)
    return [(row.resource_id, row.applied_replies) for row in table.items]


def test_a_table_shows_what_another_process_has_recorded(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as first, closing(open_store(tmp_path)) as second:
        for number, hours in enumerate((0, 2, 30, 90)):
            record(first, number, hours, "kb_1")
        record(first, 8, 31, "kb_2")
        assert counts(first) == counts(second) == [("kb_1", 2), ("kb_2", 1)]
        for number, hours in enumerate((1, 31, 59), 10):  # at both edges and between
            record(second, number, hours, "kb_2")
        assert counts(first) == counts(second) == [("kb_2", 4), ("kb_1", 2)]
        record(second, 20, 31, "kb_3")
        assert counts(first)[2] == ("kb_3", 1)


def test_a_handoff_shows_in_the_next_table(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        for number, hours in enumerate((0, 2, 30, 90)):
            record(store, number, hours, "kb_1", "kb_2")
        record(store, 8, 31, "kb_2")
        by_share = ResourceSort.HANDOFF_SHARE
        assert counts(store, by_share) == [("kb_1", 2), ("kb_2", 3)]
        store.set_conversations("acme", {"s_8": ConversationFacts(handed_off_at=DAY)})
        assert counts(store, by_share) == [("kb_2", 3), ("kb_1", 2)]


def test_columns_that_are_kept_stay_within_their_bound(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "applyrate.db", max_kept_bytes=16_000)) as store:
        for hours in range(0, 80, 2):
            record(store, hours, hours, f"kb_{hours}", "kb")
        for minutes in range(1, 40):
            instants = [DAY + timedelta(minutes=minutes), DAY + timedelta(minutes=minutes + 1)]
            store.type_timeline("acme", ResourceType.KNOWLEDGE, instants)
        assert 0 < store.kept_bytes <= 16_000
        assert counts(store)[0] == ("kb", 29)
        assert counts(store, ResourceSort.HANDOFF_SHARE)[0] == ("kb", 29)
        assert 0 < store.kept_bytes <= 16_000


@given(
    st.lists(st.dictionaries(st.integers(0, 5), st.integers(1, 2**32 - 1), min_size=1), max_size=6)
)
def test_columns_add_up_however_high_the_counts_are(days: list[dict[int, int]]) -> None:
    columns = [make_column(list(day), list(day.values())) for day in days]
    expected = [sum(day.get(number, 0) for day in days) for number in range(6)]
    assert add_up(columns, 6) == expected
    assert [column.usage_count for column in columns] == [sum(day.values()) for day in days]


@given(
    st.dictionaries(st.integers(0, 9), st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)))
)
def test_a_column_without_a_part_of_it_is_the_rest(counts: dict[int, tuple[int, int]]) -> None:
    day = {number: max(pair) for number, pair in counts.items()}
    part = {number: min(pair) for number, pair in counts.items()}
    rest = subtract(
        make_column(list(day), list(day.values())), make_column(list(part), list(part.values()))
    )
    left = {number: day[number] - part[number] for number in day}
    assert rest == make_column(list(left), list(left.values()))


def test_a_conversation_that_comes_back_counts_once_in_a_handoff_share(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:

        def shares(window: Window) -> list[tuple[str, int, int]]:
            table = store.ranked(
                "acme", ResourceType.KNOWLEDGE, window, sort=ResourceSort.HANDOFF_SHARE, limit=9
            )
            return [
                (row.resource_id, row.handoff_count, row.applied_sessions) for row in table.items
            ]

        def apply(name: str, session: str, day: int) -> None:
            reply = Reply(
                f"{name} {session} {day}",
                session,
                DAY + timedelta(days=day),
                applied=Applied(knowledge=[name]),
            )
            store.record([Recording("acme", [reply])])

        for session in ("s_x", "t_0", "t_1"):
            handed_off = ConversationFacts(handed_off_at=DAY)
            store.set_conversations("acme", {session: handed_off})
        for name, letter, count in (("kb_1", "s", 3), ("kb_2", "s", 2), ("kb_3", "t", 9)):
            for number in range(count):
                apply(name, f"{letter}_{number}", 1)
        apply("kb_1", "s_x", 1)
        apply("kb_2", "s_x", 1)
        apply("kb_1", "s_x", 40)
        month = Window(DAY, DAY + timedelta(days=30))
        once = [("kb_2", 1, 3), ("kb_1", 1, 4), ("kb_3", 2, 9)]
        assert shares(month) == once
        # Counted on each of its days, s_x would put kb_1 with 2 of 5 first; with 1 of 5, last.
        apply("kb_1", "s_x", 2)
        assert shares(month) == once
        assert shares(Window(DAY, DAY + timedelta(days=2))) == once
        since = Window(DAY + timedelta(days=2), DAY + timedelta(days=30))
        assert shares(since) == [("kb_1", 1, 1), ("kb_2", 0, 0), ("kb_3", 0, 0)]
