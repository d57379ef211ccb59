"""What changes: seen once for each organization, however many streams follow it.

A feed knows up to which version of the usages it has seen all changes. It looks when this process
has recorded, and once a second for what others have. A stream stands at a version of its own and
asks the feed for what changed since, when it has room for it: so what a slow reader has not taken
is kept nowhere but in the store, which tells each resource once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from applyrate.answers import UsageChange
from applyrate.errors import Unavailable
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.store import Store
from applyrate.usage import ResourceType, Window

POLL_SECONDS: Final = 1.0
"""How often commits of other processes are looked for."""

Resource: TypeAlias = tuple[ResourceType, str]


class Since(NamedTuple):
    """What changed since a version, and the version up to which that is everything."""

    version: int
    resources: Mapping[Resource, None]


_PAUSE_SECONDS: Final = 0.1
_KEPT_STATES: Final = 20_000
_KEPT_CHANGES: Final = 8

T = TypeVar("T")


class Feeds:
    """The feeds of the organizations that somebody follows. They belong to one event loop."""

    def __init__(self, store: Store, readers: Executor) -> None:
        self._store = store
        self._readers = readers
        self._feeds: dict[str, Feed] = {}
        self._recorded: set[str] = set()
        self._woken = asyncio.Event()

    def wake(self, org: str) -> None:
        """This process recorded for an organization: look at once."""
        if org in self._feeds:
            self._recorded.add(org)
            self._woken.set()

    @asynccontextmanager
    async def follow(self, org: str) -> AsyncIterator["Feed"]:
        """The organization's feed, which is kept for as long as anybody follows it."""
        if org not in self._feeds:
            version = await read_version(self._store, org, self._readers)
            self._feeds.setdefault(org, Feed(org, self._store, self._readers, version))
        feed = self._feeds[org]
        feed.follower_count += 1
        try:
            yield feed
        finally:
            feed.follower_count -= 1
            if not feed.follower_count:
                del self._feeds[org]

    async def watch(self) -> None:
        """Look for changes until cancelled. A look that fails is repeated with the next."""
        loop = asyncio.get_running_loop()
        poll_at = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(poll_at):
                    await self._woken.wait()
            self._woken.clear()
            orgs, self._recorded = self._recorded, set()
            if loop.time() >= poll_at:
                orgs = set(self._feeds)
                poll_at = loop.time() + POLL_SECONDS
            for feed in [self._feeds[org] for org in orgs if org in self._feeds]:
                try:
                    await feed.look()
                except Unavailable:
                    pass  # the log has it from whoever found it so
                except Exception as error:  # noqa: BLE001 (whatever it is, the next look finds the same)
                    tell(Event.CHANGES_UNREADABLE, error, org=feed.org)
            await asyncio.sleep(_PAUSE_SECONDS)


async def read_version(store: Store, org: str, readers: Executor) -> int:
    """The present version of an organization's usages.

    It is read inside the event loop, since no thread is as quick, unless the store is on other
    machines.
    """
    if not store.is_remote:
        return store.changes(org).version
    changes = await asyncio.get_running_loop().run_in_executor(readers, store.changes, org)
    return changes.version


class Feed:
    """The changes of one organization's usages, for all that follow them.

    All changes up to the version ``seen`` are known, and none came after ``changed``. Of what is
    kept in memory, the counts are those of the version ``seen``.
    """

    def __init__(self, org: str, store: Store, readers: Executor, version: int) -> None:
        self.org = org
        self.follower_count = 0
        self._store = store
        self._readers = readers
        self._lock = asyncio.Lock()
        self.seen = self.changed = version
        self._quiet = range(0)
        self._known: dict[int, Since] = {}
        self._states: dict[Resource, bytes] = {}
        self._next_change = asyncio.get_running_loop().create_future()

    async def wait(self, version: int, seconds: float) -> bool:
        """Whether anything changed after a version; waits for that, but no longer than told."""
        if self.changed <= version:
            await asyncio.wait((self._next_change,), timeout=seconds)
        return self.changed > version

    async def look(self) -> None:
        """See what was recorded since the last look."""
        if await read_version(self._store, self.org, self._readers) == self.seen:
            return  # most looks find nothing
        async with self._lock:
            self._see(await self._read(self._changes, self.seen))

    async def changes(self, after: int) -> Since:
        """What changed after a version, as far as it is seen."""
        async with self._lock:
            asked = self._quiet[-1] if after in self._quiet else after
            if asked not in self._known:
                found = await self._read(self._changes, asked)
                if found.version > self.seen:
                    self._see(await self._read(self._changes, self.seen))
                if len(self._known) >= _KEPT_CHANGES:
                    del self._known[next(iter(self._known))]
                self._known[asked] = found
            return self._known[asked]

    async def states(self, resources: Sequence[Resource]) -> Mapping[Resource, bytes]:
        """The present state of resources as JSON; the resources should be few.

        It is that of ``seen`` or of a later moment; in the latter case ``changed`` tells, as soon
        as this returns.
        """
        async with self._lock:
            known = self._states
            missing = [resource for resource in resources if resource not in known]
            if not missing:
                return known
            read, since = await self._read(self._count, missing, self.seen)
            self._see(since)
            if self._states is known and len(known) + len(read) <= _KEPT_STATES:
                known |= read
            return {resource: known.get(resource) or read[resource] for resource in resources}

    def _see(self, since: Since) -> None:
        """Take in what changed after ``seen``."""
        before, self.seen = self.seen, since.version
        if not since.resources:
            return
        # Nothing changed in this range, so that whoever stands in it stands at its end.
        self._quiet = range(self.changed, before + 1)
        self.changed = since.version
        self._known = {before: since}
        self._states = {}
        self._next_change.set_result(None)
        self._next_change = asyncio.get_running_loop().create_future()

    def _changes(self, after: int) -> Since:
        changes = self._store.changes(self.org, after)
        return Since(changes.version, dict.fromkeys(changes.resources))

    def _count(
        self, resources: Sequence[Resource], seen: int
    ) -> tuple[dict[Resource, bytes], Since]:
        """The state of resources, and what changed until it was read."""
        read = {(kind, name): self._state(kind, name) for kind, name in resources}
        return read, self._changes(seen)

    def _state(self, resource_type: ResourceType, resource_id: str) -> bytes:
        summary = self._store.summary(self.org, resource_type, resource_id, Window())
        return msgspec.json.encode(UsageChange(resource_type, resource_id, summary))

    async def _read(self, question: Callable[..., T], *parts: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, question, *parts)
