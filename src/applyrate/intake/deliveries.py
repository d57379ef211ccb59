"""Deliveries: how a node records where the store is on other machines.

What is sent is acknowledged once the node's inbox has it on disk. A task in the background brings
it to the store, in blocks and in order of arrival, for as long as that takes, and lets go of it
once the store has confirmed. What an earlier process left is delivered by the next one. Of several
processes on one data folder one delivers at a time.
"""

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from applyrate.errors import Unavailable
from applyrate.folders import hold_file
from applyrate.intake.delivery import deliver
from applyrate.intake.inbox import Inbox
from applyrate.intake.sent import Item, Sent, SentFacts, SentReplies, silence
from applyrate.intake.shared_commits import SharedCommits
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.observability.observer import Observer
from applyrate.settings import Settings
from applyrate.store import Store
from applyrate.usage import ConversationFacts, Receipt, Reply

T = TypeVar("T")

LOCK: Final = "delivery.lock"
"""The file in the data folder that the process holds which delivers."""

MAX_REPLIES_PER_COMMIT: Final = 10_000
MAX_REPLIES_PER_BLOCK: Final = 10_000
"""How many replies a block has; stores on other machines like few large ones best."""

GATHER_SECONDS: Final = 0.25
"""What comes within so long shares a block."""

POLL_SECONDS: Final = 1.0
"""How soon is seen what another process has put into the inbox, or that it delivers no more."""

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 15.0
"""A store that fails is tried again after so long at least."""

CLOSE_SECONDS: Final = 3.0
"""How long a process that ends goes on delivering; the rest stays on disk for the next one."""


class Deliveries:
    """The inbox of a node, on its way into the store. It belongs to one event loop.

    ``recorded`` is told for which organization the store has something new.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        inbox: Inbox,
        recorded: Callable[[str], None] = lambda _: None,
        observer: Observer | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._undelivered = inbox.undelivered
        self._recorded = recorded
        self._observer = observer or Observer()
        self._arrivals: SharedCommits[Sent, None] = SharedCommits(
            partial(inbox.undelivered.add, max_replies=settings.inbox_max_replies),
            size_of=lambda sent: sent.size,
            max_size=MAX_REPLIES_PER_COMMIT,
            database="inbox",
            observer=observer,
        )
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="deliver")
        self._lock: int | None = None
        self._failures = 0

    async def join(self, org: str, replies: Sequence[Reply]) -> Receipt:
        """Take replies of one organization; returns once they are on disk.

        All are accepted: what the store knows of them, or refuses, is seen when they are delivered.
        Raises Unavailable where the inbox cannot take them now; none of them is taken then.
        """
        await self._take(org, SentReplies(replies))
        return Receipt(len(replies), 0)

    async def set_conversation(self, org: str, session_id: str, facts: ConversationFacts) -> bool:
        """Take what is known of a conversation, as ``join`` takes replies."""
        await self._take(org, SentFacts(session_id, facts))
        return True

    async def run(self) -> None:
        """Deliver until cancelled. What fails is tried again."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._arrived.wait()
            self._arrived.clear()
            await asyncio.sleep(self._pause_seconds() if self._failures else GATHER_SECONDS)
            await self._deliver_all()

    async def close(self) -> None:
        """Finish what was accepted, take nothing more, and deliver what the store takes at once."""
        await self._arrivals.close()
        if not self._failures:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._deliver_all()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._lock is not None:
            os.close(self._lock)

    async def _take(self, org: str, item: Item) -> None:
        if not self._settings.store_messages:
            item = silence(item)
        await self._arrivals.share(Sent(org, item))
        self._arrived.set()

    async def _deliver_all(self) -> None:
        """Deliver block by block, until what is left fills none, or it fails."""
        try:
            while await self._in_thread(self._holds_lock) and await self._deliver_some():
                pass
        except Exception as error:  # noqa: BLE001 (whatever it is, what waits is still there)
            self._failures += 1
            self._observer.delivery_failed()
            unexpected = None if isinstance(error, Unavailable) else error
            tell(Event.DELIVERY_FAILING, unexpected, problem=str(error), count=self._failures)
            self._arrived.set()

    async def _deliver_some(self) -> bool:
        """Deliver one block; whether it was a full one. Raises Unavailable where that fails now."""
        # Halved with each failure, since it may be the size of a block that is too much.
        most = max(1, MAX_REPLIES_PER_BLOCK >> self._failures)
        block = await self._in_thread(partial(self._undelivered.oldest, most))
        if not block:
            return False
        delivered = await self._in_thread(partial(deliver, self._store, block))
        settle = partial(self._undelivered.settle, block, delivered.refused, delivered.rejected)
        await self._in_thread(settle)
        if self._failures:
            tell(Event.DELIVERY_RESUMED, count=self._failures)
            self._failures = 0
        for refused in delivered.refused:
            tell(Event.DELIVERY_REFUSED, org=refused.sent.org, problem=refused.problem)
        for receipt in delivered.receipts:
            self._observer.recorded(receipt)
        size = sum(waiting.sent.size for waiting in block)
        self._observer.delivered(size)
        for org in {waiting.sent.org for waiting in block}:
            self._recorded(org)
        return size > most // 2

    def _pause_seconds(self) -> float:
        """How long to wait after failures: longer each time, and no two nodes at the same time."""
        longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS)
        return longest * random.uniform(0.5, 1)  # noqa: S311 (no secret)

    def _holds_lock(self) -> bool:
        if self._lock is None:
            self._lock = hold_file(self._settings.data_path / LOCK)
        return self._lock is not None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
