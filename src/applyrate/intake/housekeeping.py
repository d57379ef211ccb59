"""Housekeeping: what is to go goes everywhere, and the files show nothing of it afterwards.

An erased conversation is gone from every answer with one commit of the store, or with a few if it
is a long one. Its spans in the inbox, and its bytes in the write-ahead logs, go after it. The store
knows what is still to be done, so that a process that was killed in between finishes when it starts
again.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

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

T = TypeVar("T")

LOOK_EVERY_SECONDS: Final = 60
"""How often the service looks for replies past their age."""

_FINISH_EVERY_SECONDS: Final = 1

_SCRUB_SECONDS: Final = 2
_SCRUB_PAUSE_SECONDS: Final = 0.05


def finish_erasures(store: Store, inbox: Inbox) -> bool:
    """Remove from the inbox what the store has erased, and scrub both.

    False where a reader of an earlier moment keeps a write-ahead log from being emptied for longer
    than two seconds; it is to be asked again then.
    """
    while unfinished := store.unfinished_erasures():
        of_conversation: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for one in unfinished:
            of_conversation[one.org, one.session_id] += one.reply_ids
        for (org, session_id), reply_ids in of_conversation.items():
            inbox.erase(org, session_id, reply_ids)
        store.finish_erasures([one.erasure_id for one in unfinished])
    if not (inbox.needs_scrub or store.needs_scrub()):
        return True
    until = time.monotonic() + _SCRUB_SECONDS
    # The inbox first: it is the store that remembers that both are to be scrubbed.
    while not (inbox.scrub() and store.scrub()):
        if time.monotonic() > until:
            return False
        time.sleep(_SCRUB_PAUSE_SECONDS)
    return True


class Pace:
    """How many replies are removed in one commit: as many as take some 12 ms, and never long."""

    def __init__(self) -> None:
        self.limit = 64

    def take(self, step: Callable[[int], T]) -> tuple[T, float]:
        """Take one step of at most ``limit``; what it removed, and in how many seconds."""
        started_at = time.perf_counter()
        removed = step(self.limit)
        seconds = time.perf_counter() - started_at
        if seconds > _LONG_STEP_SECONDS:
            self.limit = max(_FEWEST_REPLIES, self.limit // 2)
        elif seconds < _SHORT_STEP_SECONDS:
            self.limit = min(_MOST_REPLIES, self.limit + self.limit // 4 + 1)
        return removed, seconds


_SHORT_STEP_SECONDS: Final = 0.008
_LONG_STEP_SECONDS: Final = 0.016
_FEWEST_REPLIES: Final = 64
_MOST_REPLIES: Final = 2_000


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
        rest(store, seconds)
    if total:
        note_expiry(store, org, before, total)


def erase(store: Store, org: str, session_ids: Sequence[str], actor: str) -> Iterator[Erasure]:
    """Erase conversations; yields what is gone so far. ``finish_erasures`` is to follow.

    Who writes meanwhile waits for a step at most, and has as long again before the next one.
    """
    pace, total = Pace(), store.erase(org, session_ids, actor)
    while True:
        yield total
        more, seconds = pace.take(partial(store.continue_erasing, org))
        if more == NOTHING_GONE:
            return
        total = join(total, more)
        rest(store, seconds)


def rest(store: Store, seconds: float) -> None:
    """Leave the store for so many seconds to whoever writes, and fold its log meanwhile.

    Else it grows until the commit that makes it long has to do all of that.
    """
    until = time.monotonic() + seconds
    store.fold()
    time.sleep(max(0, until - time.monotonic()))


def join(one: Erasure, other: Erasure) -> Erasure:
    """What is gone with either of them."""
    return Erasure(one.session_count + other.session_count, one.reply_count + other.reply_count)


NOTHING_GONE: Final = Erasure(0, 0)


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
        self._is_removing = False

    async def erase(self, org: str, session_ids: Sequence[str], actor: str) -> Erasure:
        """Erase conversations; returns once nothing shows them any more.

        Where something is still reading an earlier moment, the bytes of the files follow within a
        minute or so. What is begun is finished also where whoever asked has gone. Raises
        Unavailable where it cannot be written now.
        """
        erase = partial(self._store.erase, org, session_ids, actor)
        erasure = await self._commits.write(erase)
        self._changed(org)
        erasure = join(erasure, await self._continue_erasing(org))
        await self._finish()
        return erasure

    async def run(self) -> None:
        """Finish what was begun, and remove what is too old, until cancelled."""
        await asyncio.gather(
            self._repeat(self._finish_others, _FINISH_EVERY_SECONDS),
            self._repeat(self._remove, LOOK_EVERY_SECONDS),
        )

    async def _repeat(self, work: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 (whatever it is, the next look finds the same)
                unexpected = None if isinstance(error, Unavailable) else error
                tell(Event.REMOVAL_FAILING, unexpected, problem=str(error))
                await asyncio.sleep(LOOK_EVERY_SECONDS)
            await asyncio.sleep(pause_seconds)

    async def _finish_others(self) -> None:
        """Finish what another process has erased, or one that was killed."""
        if await asyncio.to_thread(self._is_unfinished) and not await self._finish():
            await asyncio.sleep(LOOK_EVERY_SECONDS)  # somebody reads for long

    def _is_unfinished(self) -> bool:
        if self._is_removing:  # what that removes is scrubbed at its end
            return bool(self._store.unfinished_erasures())
        return self._traces.inbox.needs_scrub or self._store.needs_scrub()

    async def _remove(self) -> None:
        """Remove what is still being erased, and what is too old."""
        self._is_removing = True
        try:
            for org in await asyncio.to_thread(self._store.organizations):
                await self._continue_erasing(org)
                await self._expire(org)
        finally:
            self._is_removing = False

    async def _finish(self) -> bool:
        await self._journal.write()  # so that the inbox has all that was noted of what is gone
        return await self._traces.remove(partial(finish_erasures, self._store))

    async def _continue_erasing(self, org: str) -> Erasure:
        """Remove the rest of what is being erased, between other writes; what is gone."""
        pace, total = Pace(), NOTHING_GONE
        step = partial(pace.take, partial(self._store.continue_erasing, org))
        while True:
            more, seconds = await self._commits.write(step)
            if more == NOTHING_GONE:
                return total
            total = join(total, more)
            self._changed(org)
            await asyncio.to_thread(rest, self._store, seconds)

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
            await asyncio.to_thread(rest, store, OTHERS_SHARE * seconds)
        if total:
            await self._commits.write(partial(note_expiry, store, org, before, total))
            tell(Event.REPLIES_EXPIRED, org=org, reply_count=total, before=f"{before:%Y-%m-%d}")


OTHERS_SHARE: Final = 4
"""Whoever records has four fifths of the time, while nobody waits for what is removed."""
