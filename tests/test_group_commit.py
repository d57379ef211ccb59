"""Group commit on the real store: what shares a commit, and what becomes of each write."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from applyrate.errors import Unavailable
from applyrate.intake.group_commit import GroupCommit
from applyrate.store.sqlite import SQLiteStore
from applyrate.usage import (
    Applied,
    ConversationFacts,
    Receipt,
    Recording,
    Reply,
    ResourceType,
    Window,
)


class WatchedStore(SQLiteStore):
    """The real store, which notes how large each commit is and may be held up before one."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits: list[list[int]] = []
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.before_commit: Callable[[Sequence[Recording]], None] = lambda _: None

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        assert self.may_commit.wait(10)
        self.before_commit(recordings)
        receipts = super().record(recordings)
        self.commits.append([len(recording.replies) for recording in recordings])
        return receipts

    def count(self, org: str) -> int:
        return self.summary(org, ResourceType.ACTION, "look", Window()).applied_replies


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    store = WatchedStore(tmp_path / "applyrate.db")
    yield store
    store.close()


def replies(*reply_ids: str) -> list[Reply]:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return [Reply(one, f"s-{one}", at, applied=Applied(action=["look"])) for one in reply_ids]


def receipt(accepted: int, duplicates: int = 0) -> Receipt:
    return Receipt(accepted, duplicates, [])


def run(
    store: WatchedStore, scene: Callable[[GroupCommit], Any], *, max_replies: int = 1000
) -> Any:
    async def play() -> Any:
        commits = GroupCommit(store, max_replies_per_commit=max_replies)
        try:
            return await scene(commits)
        finally:
            await commits.close()

    return asyncio.run(play())


def test_what_is_answered_is_in_the_store(store: WatchedStore) -> None:
    async def scene(commits: GroupCommit) -> None:
        assert await commits.join("acme", replies("a", "b")) == receipt(2)
        assert store.count("acme") == 2
        assert await commits.join("acme", replies("b", "c")) == receipt(1, 1)

    run(store, scene)


def test_requests_that_arrive_while_a_commit_runs_share_the_next_one(store: WatchedStore) -> None:
    async def scene(commits: GroupCommit) -> list[Receipt]:
        store.may_commit.clear()
        joins = [asyncio.create_task(commits.join("acme", replies("first")))]
        await asyncio.sleep(0.05)
        joins += [asyncio.create_task(commits.join("acme", replies(f"r{n}"))) for n in range(20)]
        await asyncio.sleep(0.05)
        store.may_commit.set()
        return await asyncio.gather(*joins)

    assert run(store, scene) == [receipt(1)] * 21
    assert store.commits == [[1], [1] * 20]


def test_each_is_answered_with_what_became_of_its_own(store: WatchedStore) -> None:
    async def scene(commits: GroupCommit) -> list[Receipt]:
        await commits.join("acme", replies("known"))
        store.may_commit.clear()
        sent = (replies("a", "b"), replies("known"), replies("c", "known"))
        joins = [asyncio.create_task(commits.join("acme", each)) for each in sent]
        await asyncio.sleep(0.05)
        store.may_commit.set()
        return await asyncio.gather(*joins)

    assert run(store, scene) == [receipt(2), receipt(0, 1), receipt(1, 1)]
    assert len(store.commits) < 4


def test_a_commit_is_bounded_and_a_larger_recording_stands_alone(store: WatchedStore) -> None:
    async def scene(commits: GroupCommit) -> None:
        await asyncio.gather(
            *(commits.join("acme", replies(f"{n}a", f"{n}b", f"{n}c")) for n in range(3)),
            commits.join("acme", replies(*map(str, range(50)))),
        )

    run(store, scene, max_replies=7)
    assert store.commits == [[3, 3], [3], [50]]


def test_a_recording_that_breaks_its_commit_breaks_no_neighbour(store: WatchedStore) -> None:
    def refuse_poison(recordings: Sequence[Recording]) -> None:
        if any(one.reply_id == "poison" for recording in recordings for one in recording.replies):
            raise ValueError("poison")

    async def scene(commits: GroupCommit) -> list[Receipt | BaseException]:
        store.before_commit = refuse_poison
        return await asyncio.gather(
            *(commits.join("acme", replies(name)) for name in ("a", "poison", "b")),
            return_exceptions=True,
        )

    first, poisoned, last = run(store, scene)
    assert first == last == receipt(1)
    assert isinstance(poisoned, ValueError)
    assert store.count("acme") == 2


def test_a_store_that_cannot_write_makes_every_waiting_request_unavailable(
    store: WatchedStore,
) -> None:
    def fail(_: Sequence[Recording]) -> None:
        raise Unavailable("its disk is full", retry_after_seconds=5)

    async def scene(commits: GroupCommit) -> None:
        store.before_commit = fail
        outcomes = await asyncio.gather(
            *(commits.join("acme", replies(name)) for name in "ab"), return_exceptions=True
        )
        for outcome in outcomes:
            assert isinstance(outcome, Unavailable)
            assert "its disk is full" in outcome.message
        store.before_commit = lambda _: None
        assert await commits.join("acme", replies("a")) == receipt(1)

    run(store, scene)


def test_a_request_that_goes_away_takes_no_other_with_it(store: WatchedStore) -> None:
    async def scene(commits: GroupCommit) -> Receipt:
        store.may_commit.clear()
        leaving = asyncio.create_task(commits.join("acme", replies("leaving")))
        staying = asyncio.create_task(commits.join("acme", replies("staying")))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await asyncio.wait((leaving,))
        store.may_commit.set()
        return await staying

    assert run(store, scene) == receipt(1)
    assert store.count("acme") == 2


def test_closing_finishes_what_was_accepted_and_takes_nothing_more(store: WatchedStore) -> None:
    async def play() -> None:
        commits = GroupCommit(store)
        store.may_commit.clear()
        joins = [asyncio.create_task(commits.join("acme", replies(f"r{n}"))) for n in range(5)]
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(commits.close())
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="stopping"):
            await commits.join("acme", replies("late"))
        assert not closing.done()
        store.may_commit.set()
        assert await asyncio.gather(*joins) == [receipt(1)] * 5
        await closing

    asyncio.run(play())
    assert store.count("acme") == 5


def test_what_comes_with_replies_is_recorded_with_them(store: WatchedStore) -> None:
    async def scene(commits: GroupCommit) -> None:
        (reply,) = replies("a")
        await commits.join(
            "acme",
            [reply],
            names={ResourceType.ACTION: {"look": "Look it up"}},
            reports=frozenset({ResourceType.KNOWLEDGE}),
            handed_off={reply.session_id: reply.replied_at},
        )

    run(store, scene)
    (row,) = store.resources("acme", ResourceType.ACTION, Window(), limit=5).items
    assert (row.name, row.handoff_count) == ("Look it up", 1)
    assert store.applied_signal("acme") == {ResourceType.ACTION, ResourceType.KNOWLEDGE}


def test_other_writes_take_their_turn_and_raise_to_whoever_asked(store: WatchedStore) -> None:
    async def scene(commits: GroupCommit) -> None:
        def fail() -> None:
            raise LookupError("no such thing")

        outcomes = await asyncio.gather(
            commits.join("acme", replies("a")),
            commits.write(
                lambda: store.set_conversations("acme", {"s-a": ConversationFacts(ticket_number=7)})
            ),
            commits.write(fail),
            commits.join("acme", replies("b")),
            return_exceptions=True,
        )
        assert outcomes[0] == outcomes[3] == receipt(1)
        assert outcomes[1] == []
        assert isinstance(outcomes[2], LookupError)

    run(store, scene)
    assert store.commits == [[1, 1]]
    page = store.conversations("acme", ResourceType.ACTION, "look", Window(), limit=9)
    assert {row.ticket_number for row in page.items} == {7, None}
