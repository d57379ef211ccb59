"""What a stream tells: the counts of resources as they change, as server-sent events.

The format is that of the HTML standard, chapter "Server-sent events". An event's id is the version
of the usages up to which its reader has been told everything. So of several that changed together
only the last one carries the new version, and whoever breaks off between them is told them again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from applyrate.api.changes import Feed, Resource
from applyrate.usage import ResourceType

EVENT_SECONDS: Final = 1.0
"""A stream tells of the same resource at most once in so long."""

COMMENT_SECONDS: Final = 15.0
"""After so long without an event, a comment keeps proxies from closing the connection."""

RETRY_MILLISECONDS: Final = 2_000
"""After how long a browser connects again."""

_RESOURCES_AT_ONCE: Final = 100

Write: TypeAlias = Callable[[bytes], Awaitable[None]]


class Follower(Struct, frozen=True, kw_only=True):
    """Who follows an organization's changes, and which.

    ``identity`` is that of its key, whose streams are counted together. ``admit`` raises an
    ApplyrateError once it may read no more. It follows one ``resource``, or all of the ``types``.
    ``after``: the version up to which it was told everything before; None for one that comes new.
    """

    org: str
    identity: str
    admit: Callable[[], Awaitable[object]]
    types: frozenset[ResourceType]
    resource: Resource | None = None
    after: int | None = None

    def pick(self, changed: Mapping[Resource, None]) -> Sequence[Resource]:
        """Those of the resources that it follows."""
        if self.resource:
            return [self.resource] if self.resource in changed else []
        return [resource for resource in changed if resource[0] in self.types]


class Telling:
    """What one follower was told, and how it goes on. ``write`` returns once there is room again.

    One that comes new is told the state of the resource that it follows. Of all it is told nothing
    but what changes.
    """

    def __init__(self, follower: Follower, feed: Feed, write: Write) -> None:
        self._follower = follower
        self._feed = feed
        self._send = write
        self._version = -1
        self._told_early: Mapping[Resource, bytes] = {}
        self._comment_at = 0.0

    async def run(self) -> None:
        """Tell until cancelled."""
        loop = asyncio.get_running_loop()
        await self._begin()
        while True:
            if await self._feed.wait(self._version, max(0, self._comment_at - loop.time())):
                await self._tell_changes()
            else:
                self._version = max(self._version, self._feed.seen)
            if loop.time() >= self._comment_at:
                await self._write(b":\nid: %d\n\n" % self._version)

    async def _begin(self) -> None:
        retry = b"retry: %d\n" % RETRY_MILLISECONDS
        if self._follower.after is None:
            await self._feed.look()
            self._version = self._feed.seen
            await self._write(retry + b"id: %d\n\n" % self._version)
            if self._follower.resource:
                await self._tell([self._follower.resource], self._version)
        else:
            self._version = self._follower.after
            await self._write(retry + b"\n")
            await self._tell_changes()

    async def _tell_changes(self) -> None:
        since = await self._feed.changes(self._version)
        await self._tell(self._follower.pick(since.resources), since.version)

    async def _tell(self, resources: Sequence[Resource], version: int) -> None:
        """Tell the state of resources, with which everything up to a version is told."""
        told_early: dict[Resource, bytes] = {}
        for start in range(0, len(resources), _RESOURCES_AT_ONCE):
            some = resources[start : start + _RESOURCES_AT_ONCE]
            states = await self._feed.states(some)
            # Counts are read after the list of what changed. They may be those of a later moment
            # already, and the next list names them again: then there is nothing new to tell.
            new = [states[one] for one in some if states[one] != self._told_early.get(one)]
            if self._feed.changed > version:
                told_early |= {one: states[one] for one in some}
            ids = [self._version] * len(new)
            if new and start + len(some) == len(resources):
                ids[-1] = version
            await self._write(b"".join(map(_event, ids, new)))
        self._version = version
        self._told_early = told_early
        if resources:
            await asyncio.sleep(EVENT_SECONDS)

    async def _write(self, text: bytes) -> None:
        if text:
            await self._send(text)
            self._comment_at = asyncio.get_running_loop().time() + COMMENT_SECONDS


def _event(version: int, state: bytes) -> bytes:
    return b"id: %d\nevent: usage\ndata: %b\n\n" % (version, state)
