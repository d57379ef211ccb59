"""What is read from a store holds until the next commit, whoever commits."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from applyrate.api.kept import Kept
from applyrate.keys import digest, issue_key
from applyrate.store.sqlite import SQLiteStore
from applyrate.usage import Applied, ConversationFacts, Recording, Reply, ResourceType, Window

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "applyrate.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path)) as store:
        yield store


def record(store: SQLiteStore, name: str) -> None:
    used = Applied(action=["look"])
    store.record([Recording("acme", [Reply(name, f"s-{name}", AT, applied=used)])])


def count(store: SQLiteStore) -> int:
    return store.summary("acme", ResourceType.ACTION, "look", Window()).applied_replies


def make_key(store: SQLiteStore) -> None:
    key, kept = issue_key("acme", "a key", scopes=None, created_at=AT)
    store.add_key(kept, digest(key))


CHANGES: list[Callable[[SQLiteStore], object]] = [
    lambda store: record(store, "r"),
    lambda store: store.set_conversations("acme", {"s": ConversationFacts(ticket_number=1)}),
    lambda store: store.erase("acme", ["s"]),
    lambda store: store.set_retention("acme", 30),
    make_key,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_moment_lasts_until_anything_is_committed(
    store: SQLiteStore, path: Path, change: Callable[[SQLiteStore], object], *, is_elsewhere: bool
) -> None:
    moment = store.moment()
    count(store)
    assert store.moment() == moment
    if is_elsewhere:
        with closing(SQLiteStore(path)) as other:
            change(other)
    else:
        change(store)
    assert store.moment() != moment
    assert store.moment() == store.moment()


def test_a_moment_is_of_the_thread_that_asks(store: SQLiteStore) -> None:
    moments: list[Hashable] = []
    thread = Thread(target=lambda: moments.append(store.moment()))
    thread.start()
    thread.join()
    assert moments != [store.moment()]


def test_a_question_is_asked_once_a_moment(store: SQLiteStore) -> None:
    kept, asked = Kept[int](store, max_count=9), list[int]()

    def ask() -> int:
        asked.append(count(store))
        return asked[-1]

    for number in range(5):
        assert kept.read("look", ask) == kept.read("look", ask) == number
        record(store, f"r{number}")
    assert asked == [0, 1, 2, 3, 4]


def test_what_was_committed_while_a_question_was_asked_is_in_the_next_answer(
    store: SQLiteStore, path: Path
) -> None:
    kept = Kept[int](store, max_count=9)

    def ask() -> int:
        found = count(store)
        with closing(SQLiteStore(path)) as other:
            record(other, "meanwhile")
        return found

    assert kept.read("look", ask) == 0
    assert kept.read("look", lambda: count(store)) == 1


def test_a_question_that_fails_is_asked_again(store: SQLiteStore) -> None:
    kept = Kept[int](store, max_count=9)
    with pytest.raises(ZeroDivisionError):
        kept.read("look", lambda: 1 // 0)
    assert kept.read("look", lambda: 7) == 7


def test_the_oldest_answers_make_room_for_new_ones(store: SQLiteStore) -> None:
    kept = Kept[str](store, max_count=2)
    for key in "abc":
        kept.read(key, lambda key=key: key)  # type: ignore[misc]  # a default binds the loop's value
    assert [kept.read(key, lambda: "again") for key in "bca"] == ["b", "c", "again"]


def test_a_store_that_tells_no_moment_is_asked_each_time(path: Path) -> None:
    class Momentless(SQLiteStore):
        def moment(self) -> None:  # type: ignore[override]  # as the protocol allows
            return None

    with closing(Momentless(path)) as store:
        kept = Kept[int](store, max_count=9)
        assert [kept.read("look", lambda: count(store)) for _ in range(2)] == [0, 0]
        record(store, "r")
        assert kept.read("look", lambda: count(store)) == 1
