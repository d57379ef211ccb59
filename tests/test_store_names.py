"""Names are found in whichever of the two indexes they are, and no name is taken for another."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from applyrate.store import Store, open_store
from applyrate.store.sqlite import names
from applyrate.usage import (
    Applied,
    Available,
    RecordedReply,
    Recording,
    Reply,
    ResourceType,
    Window,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
_COUNTED = """
SELECT (SELECT count(*) FROM recent_{0}_digest), (SELECT count(*) FROM {0}_digest)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """One in which names move on early."""
    monkeypatch.setattr(names, "_RECENT", {"conversation": 10, "reply": 20})
    monkeypatch.setattr(names, "_AT_ONCE", 5)
    with closing(open_store(tmp_path)) as store:
        yield store


def reply(number: int) -> Reply:
    return Reply(f"r_{number}", f"s_{number // 3}", AT + number * HOUR)


def record(store: Store, *numbers: int, org: str = "acme") -> tuple[int, int]:
    (receipt,) = store.record([Recording(org, [reply(number) for number in numbers])])
    assert receipt.refused == []
    return receipt.accepted, receipt.duplicates


def kept(folder: Path, of: str) -> tuple[int, int]:
    """How many digests are recent, and how many have moved on."""
    with closing(sqlite3.connect(folder / "applyrate.db")) as db:
        recent, others = db.execute(_COUNTED.format(of)).fetchone()
    return recent, others


@pytest.mark.parametrize("at_once", [1, 7, 300])
def test_what_comes_again_is_known_wherever_its_name_has_moved(
    store: Store, tmp_path: Path, at_once: int
) -> None:
    for start in range(0, 300, at_once):
        numbers = range(start, min(start + at_once, 300))
        assert record(store, *numbers) == (len(numbers), 0)
        again = range(0, numbers.stop, 11)
        assert record(store, *again) == (0, len(again))
    for of, most, number in (("conversation", 10, 100), ("reply", 20, 300)):
        recent, others = kept(tmp_path, of)
        assert 0 < recent <= most + 5 + at_once
        assert recent + others == number
    assert record(store, *range(300)) == (0, 300)
    assert list(store.check()) == []


def test_what_is_fixed_stays_fixed_wherever_the_name_is(store: Store) -> None:
    record(store, *range(100))
    moved = [Reply(f"r_{number}", "s_other", AT) for number in range(100)]
    (receipt,) = store.record([Recording("acme", moved)])
    assert len(receipt.refused) == 100
    known = store.replies("acme", ["r_0", "r_99", "r_100"])
    assert known == {
        "r_0": RecordedReply("s_0", AT),
        "r_99": RecordedReply("s_33", AT + 99 * HOUR),
    }


def test_what_is_erased_leaves_neither_index_with_a_word_of_it(
    store: Store, tmp_path: Path
) -> None:
    record(store, *range(150))
    sessions = [f"s_{number}" for number in range(50)]
    store.erase("acme", sessions[:25])
    assert list(store.check()) == []
    assert [store.conversation("acme", one) is None for one in sessions] == [True] * 25 + [
        False
    ] * 25
    store.erase("acme", sessions)
    assert (kept(tmp_path, "conversation"), kept(tmp_path, "reply")) == ((0, 0), (0, 0))
    assert list(store.check()) == []


def test_names_go_with_what_is_too_old(store: Store, tmp_path: Path) -> None:
    record(store, *range(90))
    while store.expire("acme", AT + 45 * HOUR, limit=10):
        assert list(store.check()) == []
    assert sum(kept(tmp_path, "reply")) == 45
    assert record(store, *range(45, 90)) == (0, 45)


def test_names_that_share_a_digest_are_told_apart(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "digest_names", lambda _db, _org, some: [len(name) for name in some])
    assert record(store, *range(60)) == (60, 0)
    assert record(store, *range(60)) == (0, 60)
    assert record(store, *range(60), org="globex") == (60, 0)
    assert kept(tmp_path, "reply")[1] > 0
    conversation = store.conversation("acme", "s_7")
    assert conversation is not None
    assert [one.reply_id for one in conversation.replies] == ["r_21", "r_22", "r_23"]
    assert store.conversation("acme", "s_x") is None
    store.erase("acme", ["s_7"])
    assert store.conversation("acme", "s_7") is None
    assert record(store, *range(21), *range(24, 60)) == (0, 57)
    assert record(store, *range(60), org="globex") == (0, 60)


def test_two_processes_find_the_names_of_each_other(store: Store, tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as other:
        for start in range(0, 200, 10):
            first, second = (store, other) if start % 20 else (other, store)
            assert record(first, *range(start, start + 10)) == (10, 0)
            assert record(second, *range(start + 10)) == (0, start + 10)
        assert list(other.check()) == []


def test_an_undone_record_leaves_no_name(store: Store, tmp_path: Path) -> None:
    record(store, *range(30))
    before = kept(tmp_path, "reply")
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db, db:
        db.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON conversation_day"
            " BEGIN SELECT raise(ABORT, 'stopped'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="stopped"):
        record(store, *range(1000, 1100))
    assert kept(tmp_path, "reply") == before
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db, db:
        db.execute("DROP TRIGGER stop")
    assert record(store, *range(1000, 1100)) == (100, 0)
    assert list(store.check()) == []


def test_a_resource_that_a_reply_names_twice_counts_once(store: Store) -> None:
    twice = Reply(
        "r_1",
        "s_1",
        AT,
        Available(instruction=["tone", "tone"], knowledge=["kb", "kb"], action=["look", "look"]),
        Applied(instruction=["tone", "tone"], knowledge=["other", "other"]),
    )
    once = Reply("r_2", "s_1", AT + HOUR, Available(instruction=["tone"]))
    for accepted in (2, 0):
        (receipt,) = store.record([Recording("acme", [twice, once])])
        assert receipt.accepted == accepted
    tone = store.summary("acme", ResourceType.INSTRUCTION, "tone", Window())
    assert (tone.available_replies, tone.applied_replies) == (2, 1)
    other = store.summary("acme", ResourceType.KNOWLEDGE, "other", Window())
    assert (other.available_replies, other.applied_replies) == (1, 1)
    assert list(store.check()) == []
