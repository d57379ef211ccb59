"""What one follower is told, on the real store, whatever comes between two steps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from applyrate.api.changes import Feed, Feeds
from applyrate.api.telling import Follower, Telling, Write
from applyrate.store import Store
from applyrate.store.sqlite import SQLiteStore
from applyrate.usage import Applied, Recording, Reply, ResourceType, UsageSummary, Window

ORG = "acme"
STEP_SECONDS = 10

_numbers = count()


def record(store: Store, *actions: str) -> None:
    """Record a new reply that applied these."""
    number = next(_numbers)
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    applied = Applied(action=list(actions))
    store.record([Recording(ORG, [Reply(f"r{number}", f"s{number}", at, applied=applied)])])


@asynccontextmanager
async def telling(store: Store, write: Write) -> AsyncIterator[Feed]:
    """The feed of somebody who is told all changes from now on, as long as the block lasts."""
    with ThreadPoolExecutor(1) as readers:
        async with Feeds(store, readers).follow(ORG) as feed:
            follower = Follower(
                org=ORG, identity="k", admit=asyncio.Event().wait, types=frozenset(ResourceType)
            )
            task = asyncio.create_task(Telling(follower, feed, write).run())
            try:
                yield feed
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


class Reader:
    """Who reads what is told; each event only once it ``may_read``."""

    def __init__(self) -> None:
        self.text = b""
        self.may_read = asyncio.Event()
        self._condition = asyncio.Condition()

    async def write(self, text: bytes) -> None:
        async with self._condition:
            self.text += text
            self._condition.notify_all()
        if b"event: usage" in text:
            await self.may_read.wait()

    async def has_come(self, mark: bytes) -> None:
        """Wait until something stands in the text."""
        async with asyncio.timeout(STEP_SECONDS), self._condition:
            await self._condition.wait_for(lambda: mark in self.text)


def test_what_changes_while_a_reader_is_busy_is_told_once(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "applyrate.db")

    async def follow() -> tuple[bytes, bytes]:
        reader = Reader()
        async with telling(store, reader.write) as feed:
            await reader.has_come(b"retry")
            record(store, "look", "a1")
            await feed.look()
            await reader.has_come(b'"a1"')
            early = reader.text
            for number in range(2, 6):
                record(store, "look", f"a{number}")
                await feed.look()
            reader.may_read.set()
            await reader.has_come(b'"a5"')
        return early, reader.text.removeprefix(early)

    early, late = asyncio.run(follow())
    store.close()
    assert early.count(b"event: usage") == 2
    assert late.count(b"event: usage") == 5
    assert late.count(b'"look"') == 1
    assert b'"applied_replies":5' in late


class BusyStore(SQLiteStore):
    """The real store, in which something may happen before a count is read."""

    before_count: Callable[[], None] = staticmethod(lambda: None)

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        self.before_count()
        return super().summary(org, resource_type, resource_id, window)


def test_counts_that_were_told_before_their_change_was_listed_are_not_told_again(
    tmp_path: Path,
) -> None:
    store = BusyStore(tmp_path / "applyrate.db")

    def record_once_more() -> None:
        store.before_count = lambda: None
        record(store, "look", "other")

    async def follow() -> bytes:
        reader = Reader()
        reader.may_read.set()
        async with telling(store, reader.write) as feed:
            await reader.has_come(b"retry")
            store.before_count = record_once_more
            record(store, "look")
            await feed.look()
            await reader.has_come(b'"other"')
        return reader.text

    told = asyncio.run(follow())
    store.close()
    assert told.count(b'"look"') == 1
    assert b'"applied_replies":2' in told
