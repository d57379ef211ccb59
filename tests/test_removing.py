"""Removing in steps: after each everything adds up, and no step is longer than another."""

import random
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from applyrate.store import Store, open_store
from applyrate.store.sqlite import SQLiteStore, erasing, remaining, removing
from applyrate.usage import (
    Applied,
    Available,
    ConversationFacts,
    Erasure,
    Invocation,
    Recording,
    Reply,
    ResourceType,
    Window,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
NOTHING = Erasure(0, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as store:
        yield store


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is short, and every conversation but the shortest a long one."""
    monkeypatch.setattr(erasing, "ERASED_AT_ONCE", 2)
    monkeypatch.setattr(remaining, "_MANY", 3)
    monkeypatch.setattr(remaining, "_SOME", 1)
    monkeypatch.setattr(removing, "MOST_ROWS", 9)


def go_on_at(folder: Path, ordinal: int) -> None:
    """Let the next reply have this number, as if there had been others."""
    open_store(folder).close()
    with closing(sqlite3.connect(folder / "applyrate.db")) as db, db:
        row = ("reply", 1 << 32, 1 << 32 | (ordinal - 1))
        db.execute("REPLACE INTO highest_erased VALUES (?, ?, ?)", row)


def draw(chance: random.Random) -> list[Reply]:
    """Replies of a few long conversations and many short ones, over some days."""
    names = [f"long_{n}" for n in range(3)] * 12 + [f"short_{n}" for n in range(12)]
    replies = []
    for number, session_id in enumerate(chance.sample(names, len(names)) * 2):
        calls = [Invocation("act_1", f"call {n}") for n in range(chance.randrange(3))]
        used = [f"kb_{min(chance.randrange(9), chance.randrange(9))}"]
        replies.append(
            Reply(
                f"r_{number}",
                session_id,
                AT + timedelta(hours=chance.randrange(100), minutes=number),
                available=Available(instruction=["tone"] * chance.randrange(2), knowledge=used),
                applied=Applied(knowledge=used * chance.randrange(2), action=["act_0", *calls]),
            )
        )
    return replies


def record(store: Store, replies: Sequence[Reply]) -> None:
    for start in range(0, len(replies), 25):  # in the order of arrival, not of their times
        store.record([Recording("acme", replies[start : start + 25])])


def answers(store: Store) -> list[object]:
    """Whatever is told of usages, but for versions."""
    windows = (Window(), Window(AT + timedelta(hours=13), AT + timedelta(hours=61)))
    told: list[object] = [list(store.usages("acme", Window()))]
    for resource_type in ResourceType:
        for window in windows:
            page = store.resources("acme", resource_type, window, limit=99)
            told += [page.items, store.type_totals("acme", resource_type, window)]
            for row in page.items:
                of = store.conversations("acme", resource_type, row.resource_id, window, limit=99)
                told.append(of.items)
    return told


def set_outcomes(store: Store, replies: Sequence[Reply], gone: Collection[str] = ()) -> None:
    """Let every second of the conversations have ended somehow, but for those that are gone."""
    sessions = sorted({reply.session_id for reply in replies})
    known = ConversationFacts(handed_off_at=AT, status="resolved", csat=3)
    store.set_conversations("acme", {one: known for one in sessions[::2] if one not in gone})


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(4))
def test_after_each_step_of_erasing_everything_adds_up(tmp_path: Path, seed: int) -> None:
    replies = draw(random.Random(seed))  # noqa: S311 (no secret)
    go_on_at(tmp_path / "one", 65_536 - 40)
    with closing(open_store(tmp_path / "one")) as store:
        record(store, replies)
        set_outcomes(store, replies)
        gone = {"long_0", "short_3", "unknown"}
        steps = [store.erase("acme", sorted(gone))]
        assert list(store.check()) == []
        while (step := store.continue_erasing("acme", 5)) != NOTHING:
            steps.append(step)
            assert list(store.check()) == []
        assert len(steps) > 4
        assert sum(step.session_count for step in steps) == 2
        assert sum(step.reply_count for step in steps) == 26
        told = answers(store)
    left = [reply for reply in replies if reply.session_id not in gone]
    with closing(open_store(tmp_path / "other")) as other:
        record(other, left)
        set_outcomes(other, replies, gone)
        assert answers(other) == told


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(4))
def test_after_each_step_of_retention_everything_adds_up(tmp_path: Path, seed: int) -> None:
    replies = draw(random.Random(seed))  # noqa: S311 (no secret)
    before = AT + timedelta(days=2)
    go_on_at(tmp_path / "one", 65_536 - 40)
    with closing(open_store(tmp_path / "one")) as store:
        record(store, replies)
        set_outcomes(store, replies)
        steps = []
        while step := store.expire("acme", before, 5):
            steps.append(step)
            assert list(store.check()) == []
        assert max(steps) <= 5
        told = answers(store)
    left = [reply for reply in replies if reply.replied_at >= before]
    with closing(open_store(tmp_path / "other")) as other:
        record(other, left)
        known = {reply.session_id for reply in left}
        set_outcomes(other, replies, {reply.session_id for reply in replies} - known)
        assert answers(other) == told


def rows_of_days(folder: Path) -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "applyrate.db")) as db:
        return set(db.execute("SELECT * FROM usage_day"))


@pytest.mark.usefixtures("small_steps")
def test_a_step_rewrites_few_rows_but_takes_at_least_one_reply(
    store: Store, tmp_path: Path
) -> None:
    few = [Available(knowledge=[f"kb_{n}_{m}" for m in range(4)]) for n in range(20)]
    many = Available(knowledge=[f"kb_{n}" for n in range(30)])
    used = [*few, many]
    record(store, [Reply(f"r_{n}", "s_1", AT, available=one) for n, one in enumerate(used)])
    store.erase("acme", ["s_1"])
    rewritten, before = list[int](), rows_of_days(tmp_path)
    while (gone := store.continue_erasing("acme", 50)) != NOTHING:
        after = rows_of_days(tmp_path)
        rewritten.append(len(before - after))
        assert gone.reply_count == (1 if rewritten[-1] == 30 else rewritten[-1] / 4)
        before = after
    assert set(rewritten) <= {4, 8, 30}
    assert sum(rewritten) + 8 == 20 * 4 + 30  # the first step had two replies


@pytest.mark.usefixtures("small_steps")
def test_what_is_being_erased_takes_nothing_more(store: Store) -> None:
    replies = [Reply(f"r_{n}", "s_1", AT, applied=Applied(action=["look"])) for n in range(9)]
    record(store, replies)
    store.set_conversations("acme", {"s_1": ConversationFacts(last_message="whispered")})
    store.erase("acme", ["s_1"])
    half = store.conversation("acme", "s_1")
    assert half is not None
    assert (len(half.replies), half.last_message) == (7, None)
    more = [
        Reply("r_8", "s_1", AT, applied=Applied(knowledge=["kb_1"]), last_message="again"),
        Reply("r_0", "s_1", AT, applied=Applied(action=["look"])),
        Reply("r_new", "s_1", AT),
        Reply("r_8", "s_2", AT),
    ]
    (receipt,) = store.record([Recording("acme", more)])
    assert receipt.accepted == 0
    assert [refusal.is_gone for refusal in receipt.refused] == [True] * 4
    assert store.set_conversations("acme", {"s_1": ConversationFacts(csat=3)}) == ["s_1"]
    assert list(store.check()) == []
    store.erase("acme", ["s_1"])  # again: that is the next step of it
    while store.continue_erasing("acme", 2) != NOTHING:
        assert list(store.check()) == []
    assert store.conversation("acme", "s_1") is None
    (receipt,) = store.record([Recording("acme", more[:3])])
    assert receipt.accepted == 0


@pytest.mark.usefixtures("small_steps")
def test_check_tells_what_is_wrong_with_an_erasure_half_done(store: Store, tmp_path: Path) -> None:
    record(store, [Reply(f"r_{n}", "s_1", AT) for n in range(9)])
    store.erase("acme", ["s_1"])
    assert list(store.check()) == []
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db, db:
        db.execute("INSERT INTO erasing VALUES (77)")
        db.execute("DELETE FROM tombstone")
    assert list(store.check()) == [
        "erasing 77: there is no such conversation",
        "conversation s_1: it is being erased, and has no tombstone",
    ]


def work_of(store: Store, step: Callable[[], object]) -> int:
    """How much SQLite does in a step, in thousands of instructions; no clock tells it."""
    assert isinstance(store, SQLiteStore)
    worked = 0

    def count() -> int:
        nonlocal worked
        worked += 1
        return 0

    writer = store._database._open_file.writer  # noqa: SLF001 (nobody else can tell)
    writer.set_progress_handler(count, 1_000)
    try:
        step()
    finally:
        writer.set_progress_handler(None, 0)
    return worked


BLOCK = 65_536


def record_long(folder: Path, size: int, spread: timedelta) -> None:
    """Record a conversation of so many replies, 250 of them in each block of numbers."""
    used = Applied(action=["look"], knowledge=["kb_1"])
    for block in range(size // 250):
        go_on_at(folder, block * BLOCK)
        with closing(open_store(folder)) as store:
            numbers = range(250 * block, 250 * (block + 1))
            times = (AT + number * spread / size for number in numbers)
            of_it = [
                Reply(f"r_{n}", "s_1", at, applied=used)
                for n, at in zip(numbers, times, strict=True)
            ]
            other = Reply(f"o_{block}", f"s {block}", of_it[-1].replied_at, applied=used)
            store.record([Recording("acme", [*of_it, other])])


@pytest.mark.parametrize("spread", [timedelta(hours=20), timedelta(days=40)], ids=str)
@pytest.mark.parametrize("kind", ["erase", "expire"])
def test_a_step_is_no_longer_in_a_longer_conversation(
    tmp_path: Path, kind: str, spread: timedelta
) -> None:
    work = []
    for size in (1_000, 8_000):
        record_long(tmp_path / f"{size}", size, spread * size / 8_000)
        with closing(open_store(tmp_path / f"{size}")) as store:
            if kind == "erase":
                store.erase("acme", ["s_1"])
                step: Callable[[], object] = partial(store.continue_erasing, "acme", 50)
            else:
                step = partial(store.expire, "acme", AT + spread, 50)
            work.append(work_of(store, step))
            assert list(store.check()) == []
    assert work[1] < 1.5 * work[0] + 3
