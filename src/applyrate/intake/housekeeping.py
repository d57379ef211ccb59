"""Housekeeping: what is to go goes everywhere, and the files show nothing of it afterwards.

An erased conversation is gone from every answer with one commit of the store. Its spans in the
inbox, and its bytes in the write-ahead logs, go after it. The store knows what is still to be done,
so that a process that was killed in between finishes when it starts again.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from applyrate.errors import Unavailable
from applyrate.intake.group_commit import GroupCommit
from applyrate.intake.inbox import Inbox
from applyrate.intake.journal import Journal
from applyrate.intake.traces import Traces
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.store import Store
from applyrate.store.sqlite.rows import to_micros
from applyrate.usage import SERVICE, AuditAction, Erasure

LOOK_EVERY_SECONDS: Final = 60
"""How often the service looks for replies past their age, and for what was left to be done."""

_SCRUB_SECONDS: Final = 2
_SCRUB_PAUSE_SECONDS: Final = 0.05


def finish_erasures(store: Store, inbox: Inbox) -> bool:
    """Remove from the inbox what the store has erased, and scrub both.

    False where a reader of an earlier moment keeps a write-ahead log from being emptied for longer
    than two seconds; it is to be asked again then.
    """
    unfinished = store.unfinished_erasures()
    for one in unfinished:
        inbox.erase(one.org, one.session_id, one.reply_ids)
    if unfinished:
        store.finish_erasures([one.erasure_id for one in unfinished])
    if not store.needs_scrub():
        return True
    until = time.monotonic() + _SCRUB_SECONDS
    # The inbox first: it is the store that remembers that both are to be scrubbed.
    while not (inbox.scrub() and store.scrub()):
        if time.monotonic() > until:
            return False
        time.sleep(_SCRUB_PAUSE_SECONDS)
    return True


class Pace:
    """How much is removed in one commit: as much as takes some 8 ms, and never long."""

    def __init__(self) -> None:
        self.limit = 4

    def take(self, step: Callable[[int], int]) -> tuple[int, float]:
        """Take one step of at most ``limit``; how much it removed, and in how many seconds."""
        started_at = time.perf_counter()
        removed = step(self.limit)
        seconds = time.perf_counter() - started_at
        if seconds > _LONG_STEP_SECONDS:
            self.limit = max(1, self.limit // 2)
        elif seconds < _SHORT_STEP_SECONDS and removed == self.limit:
            self.limit = min(_MOST_REPLIES, self.limit + self.limit // 4 + 1)
        return removed, seconds


_SHORT_STEP_SECONDS: Final = 0.006
_LONG_STEP_SECONDS: Final = 0.01
_MOST_REPLIES: Final = 4_000


def expire(store: Store, inbox: Inbox, org: str) -> Iterator[int]:
    """Remove what is older than the organization keeps; yields how many replies it was so far.

    Who writes meanwhile waits for a step at most, and has as long again before the next one.
    """
    before, pace, total = store.oldest_kept(org), Pace(), 0
    if before is None:
        return
    inbox.expire(org, to_micros(before))
    while True:
        removed, seconds = pace.take(partial(store.expire, org, before))
        if not removed:
            break
        total += removed
        yield total
        time.sleep(seconds)
    if total:
        note_expiry(store, org, before, total)


def note_expiry(store: Store, org: str, before: datetime, removed: int) -> None:
    """Note in the audit log what retention has removed."""
    told = f"{removed} replies from before {before:%Y-%m-%d}"
    store.note_act(org, SERVICE, AuditAction.REPLIES_EXPIRE, detail=told)


class Housekeeping:
    """Erasing and retention while the service runs. It belongs to one event loop.

    ``changed`` is told of the organization whose usages became fewer.
    """

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        traces: Traces,
        journal: Journal,
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._commits = commits
        self._traces = traces
        self._journal = journal
        self._changed = changed

    async def erase(self, org: str, session_ids: Sequence[str], actor: str) -> Erasure:
        """Erase conversations; returns once nothing shows them any more.

        Where something is still reading an earlier moment, the bytes of the files follow within a
        minute or so. Raises Unavailable where it cannot be written now.
        """
        erase = partial(self._store.erase, org, session_ids, actor)
        erasure = await self._commits.write(erase)
        self._changed(org)
        await self._journal.write()  # so that the inbox has all that was noted of them
        await self._finish()
        return erasure

    async def run(self) -> None:
        """Finish what was begun, and remove what is too old, until cancelled."""
        while True:
            try:
                await self._finish()
                for org in await asyncio.to_thread(self._store.organizations):
                    await self._expire(org)
                await self._finish()
            except Exception as error:  # noqa: BLE001 (whatever it is, the next look finds the same)
                unexpected = None if isinstance(error, Unavailable) else error
                tell(Event.REMOVAL_FAILING, unexpected, problem=str(error))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _finish(self) -> None:
        await self._traces.remove(partial(finish_erasures, self._store))

    async def _expire(self, org: str) -> None:
        """Remove what is older than an organization keeps, step by step between other writes."""
        store = self._store
        before = await asyncio.to_thread(store.oldest_kept, org)
        if before is None:
            return
        await self._traces.remove(lambda inbox: inbox.expire(org, to_micros(before)))
        if not await asyncio.to_thread(store.has_expired, org, before):
            return
        pace, total = Pace(), 0
        step = partial(pace.take, partial(store.expire, org, before))
        while True:
            removed, seconds = await self._commits.write(step)
            if not removed:
                break
            total += removed
            self._changed(org)
            # Whoever records has four fifths of the time.
            await asyncio.sleep(4 * seconds)
        if total:
            await self._commits.write(partial(note_expiry, store, org, before, total))
            tell(Event.REPLIES_EXPIRED, org=org, reply_count=total, before=f"{before:%Y-%m-%d}")
