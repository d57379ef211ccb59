"""Shared commits: writes that arrive while one commit runs share the next one.

A commit waits for the disk once, however much it holds. Sharing it is what makes many small
requests both durable and fast.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, TypeVar, cast

from msgspec import Struct

from applyrate.errors import Unavailable
from applyrate.observability.observer import Observer

T = TypeVar("T")
Entry = TypeVar("Entry")
Receipt = TypeVar("Receipt")

RETRY_AFTER_SECONDS: Final = 1


class SharedCommits(Generic[Entry, Receipt]):
    """One writer in a thread of its own. It belongs to one event loop.

    ``commit`` writes entries in one transaction and gives a receipt for each. No commit takes a
    further entry once the ``size_of`` its entries is ``max_size``. ``observer`` is told of them by
    the name of the database.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Entry]], Sequence[Receipt]],
        *,
        size_of: Callable[[Entry], int],
        max_size: int,
        database: str,
        observer: Observer | None = None,
    ) -> None:
        self._commit = commit
        self._size_of = size_of
        self._max_size = max_size
        self._database = database
        self._observer = observer or Observer()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=database)
        self._waiting: deque[_Write] = deque()
        self._commits: asyncio.Task[None] | None = None
        self._closed = False

    async def share(self, entry: Entry) -> Receipt:
        """Write an entry together with what else waits; returns once it is on disk.

        Raises Unavailable where it cannot be written now, and what its commit raised of it alone.
        """
        return cast("Receipt", await self._answer_to(_Entry(entry, self._size_of(entry))))

    async def write(self, change: Callable[[], T]) -> T:
        """Do any other write in the writer's thread, in its turn.

        Raises what it raises, and Unavailable as ``share`` does.
        """
        return cast("T", await self._answer_to(change))

    async def close(self) -> None:
        """Finish what was accepted, take nothing more, end the thread."""
        self._closed = True
        if self._commits:
            await self._commits
        self._thread.shutdown()

    async def _answer_to(self, change: "_Entry | Callable[[], object]") -> object:
        if self._closed:
            raise Unavailable(
                "the service is stopping; send it again", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        write = _Write(change, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self._commits is None:
            self._commits = asyncio.create_task(self._commit_until_none_waits())
        with self._observer.waiting(self._database):
            return await write.answer

    async def _commit_until_none_waits(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            writes = self._take()
            outcomes = await loop.run_in_executor(self._thread, self._carry_out, writes)
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
        size = 0
        while self._waiting:
            size += self._waiting[0].size
            if writes and size > self._max_size:
                break
            writes.append(self._waiting.popleft())
        return writes

    def _carry_out(self, writes: "Sequence[_Write]") -> list[object]:
        """What each change returned, or the exception that it raised; all entries in one commit."""
        changes = [write.change for write in writes]
        receipts = iter(
            self._commit_together([change for change in changes if isinstance(change, _Entry)])
        )
        return [
            next(receipts) if isinstance(change, _Entry) else self._attempt(change)
            for change in changes
        ]

    def _commit_together(self, entries: "Sequence[_Entry]") -> Sequence[object]:
        if not entries:
            return ()
        began_at = time.perf_counter()
        receipts = self._attempt(lambda: self._commit([entry.value for entry in entries]))
        if not isinstance(receipts, Exception):
            size = sum(entry.size for entry in entries)
            self._observer.committed(self._database, size, time.perf_counter() - began_at)
            return receipts
        if isinstance(receipts, Unavailable):
            # One for each, since whoever is answered may add to its message.
            told, seconds, limit = receipts.message, receipts.retry_after_seconds, receipts.limit
            return [Unavailable(told, retry_after_seconds=seconds, limit=limit) for _ in entries]
        if len(entries) == 1:
            return [receipts]
        # One of them broke the commit that they shared: alone, it fails alone.
        return [outcome for one in entries for outcome in self._commit_together([one])]

    def _attempt(self, change: Callable[[], T]) -> T | Exception:
        try:
            return change()
        except Unavailable as error:
            if error.limit is None:  # one that is full can be written to
                self._observer.failed(self._database)
            return error
        except Exception as error:  # noqa: BLE001 (whoever asked for the change is answered with it)
            return error


class _Entry(Struct):
    """What shares a commit, and how much room it takes there."""

    value: Any
    size: int


class _Write(Struct):
    """A change that waits for its turn, and the future that its request waits for."""

    change: _Entry | Callable[[], object]
    answer: asyncio.Future[Any]

    @property
    def size(self) -> int:
        return self.change.size if isinstance(self.change, _Entry) else 0
