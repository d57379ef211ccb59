"""Group commit: writes that arrive while one commit runs share the next one.

A commit waits for the disk once, however many replies it holds. Sharing it is what makes many small
requests both durable and fast.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar, cast

from msgspec import Struct

from applyrate.errors import Unavailable
from applyrate.store import Store
from applyrate.usage import Receipt, Recording, Reply

T = TypeVar("T")

MAX_REPLIES_PER_COMMIT: Final = 4_000
"""A commit takes no further recording beyond this, so that none waits long for its neighbours."""

RETRY_AFTER_SECONDS: Final = 1


class GroupCommit:
    """The one writer of a process, in a thread of its own. It belongs to one event loop."""

    def __init__(
        self, store: Store, *, max_replies_per_commit: int = MAX_REPLIES_PER_COMMIT
    ) -> None:
        self._store = store
        self._max_replies = max_replies_per_commit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._waiting: deque[_Write] = deque()
        self._commits: asyncio.Task[None] | None = None
        self._closed = False

    async def join(self, org: str, replies: Sequence[Reply]) -> Receipt:
        """Record replies of one organization; returns once they are on disk.

        Raises Unavailable where the store cannot take them now; none of them is recorded then.
        """
        return cast("Receipt", await self._answer_to(Recording(org, replies)))

    async def write(self, change: Callable[[], T]) -> T:
        """Do any other write of the store in the writer's thread, in its turn.

        Raises what it raises, and Unavailable as ``join`` does.
        """
        return cast("T", await self._answer_to(change))

    async def close(self) -> None:
        """Finish what was accepted, take nothing more, end the thread."""
        self._closed = True
        if self._commits:
            await self._commits
        self._thread.shutdown()

    async def _answer_to(self, change: "_Change") -> object:
        if self._closed:
            raise Unavailable(
                "the service is stopping; send it again", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        write = _Write(change, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self._commits is None:
            self._commits = asyncio.create_task(self._commit_until_none_waits())
        return await write.answer

    async def _commit_until_none_waits(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            writes = self._take()
            outcomes = await loop.run_in_executor(
                self._thread, _carry_out, self._store, [write.change for write in writes]
            )
            for write, outcome in zip(writes, outcomes, strict=True):
                if write.answer.done():
                    continue  # whoever asked has gone
                if isinstance(outcome, Exception):
                    write.answer.set_exception(outcome)
                else:
                    write.answer.set_result(outcome)
        self._commits = None

    def _take(self) -> "list[_Write]":
        """The next writes in their order: as many as one commit may hold, but at least one."""
        writes: list[_Write] = []
        reply_count = 0
        while self._waiting:
            reply_count += self._waiting[0].reply_count
            if writes and reply_count > self._max_replies:
                break
            writes.append(self._waiting.popleft())
        return writes


_Change: TypeAlias = Recording | Callable[[], object]


class _Write(Struct):
    """A change that waits for its turn, and the future that its request waits for."""

    change: _Change
    answer: asyncio.Future[Any]

    @property
    def reply_count(self) -> int:
        return len(self.change.replies) if isinstance(self.change, Recording) else 0


def _carry_out(store: Store, changes: Sequence[_Change]) -> list[object]:
    """What each change returned, or the exception that it raised; all recordings in one commit."""
    receipts = iter(_record(store, [one for one in changes if isinstance(one, Recording)]))
    return [
        next(receipts) if isinstance(change, Recording) else _attempt(change) for change in changes
    ]


def _record(store: Store, recordings: list[Recording]) -> Sequence[object]:
    if not recordings:
        return ()
    receipts = _attempt(lambda: store.record(recordings))
    if not isinstance(receipts, Exception):
        return receipts
    if len(recordings) == 1 or isinstance(receipts, Unavailable):
        return [receipts] * len(recordings)
    # One of them broke the commit that they shared: alone, it fails alone.
    return [outcome for one in recordings for outcome in _record(store, [one])]


def _attempt(change: Callable[[], T]) -> T | Exception:
    try:
        return change()
    except sqlite3.OperationalError as error:
        return Unavailable(
            f"the store cannot write now ({error}); send it again",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    except Exception as error:  # noqa: BLE001 (whoever asked for the change is answered with it)
        return error
