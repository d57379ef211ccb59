"""The streams that are open: how many there may be, and what ends them."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Executor
from typing import Any, Final

from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from applyrate.api.changes import Feeds
from applyrate.api.telling import Follower, Telling
from applyrate.errors import ApplyrateError, TooManyRequests, Unavailable
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.settings import Settings
from applyrate.store import Store

EVENTS: Final = "text/event-stream"

CHECK_SECONDS: Final = 5.0
"""How often it is looked whether those who follow may still read."""

_RETRY_AFTER_SECONDS: Final = 5


class Streams:
    """The open streams of this process. They belong to one event loop."""

    def __init__(self, settings: Settings, store: Store, readers: Executor) -> None:
        self._max_streams = settings.max_streams
        self._max_key_streams = settings.max_key_streams
        self._open: set[EventStream] = set()
        self._ended = False
        self.feeds = Feeds(store, readers)

    @property
    def open_count(self) -> int:
        """How many are open."""
        return len(self._open)

    def open(self, follower: Follower) -> "EventStream":
        """The answer to a follower, which is a stream.

        Raises TooManyRequests or Unavailable where as many as may be are open already.
        """
        own = sum(stream.follower.identity == follower.identity for stream in self._open)
        if own >= self._max_key_streams:
            raise TooManyRequests(
                f"the key has {own} streams open, which is the most; close one of them",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
                limit="max_key_streams",
            )
        if len(self._open) >= self._max_streams:
            raise Unavailable(
                f"{len(self._open)} streams are open, which is the most; try again",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
                limit="max_streams",
            )
        if self._ended:
            raise Unavailable(
                "the service is stopping; connect again", retry_after_seconds=_RETRY_AFTER_SECONDS
            )
        return EventStream(follower, self.feeds, self._open)

    async def check(self) -> None:
        """End the streams of those who may read no more, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for stream in list(self._open):
                try:
                    await stream.follower.admit()
                except ApplyrateError:
                    stream.end()
                except Exception as error:  # noqa: BLE001 (whatever it is, the next check asks again)
                    tell(Event.STREAM_CHECK_FAILED, error)

    async def end_when(self, stopping: asyncio.Event) -> None:
        """End all streams, and open none any more, once the service is told to stop."""
        await stopping.wait()
        self._ended = True
        for stream in self._open:
            stream.end()


class EventStream(ASGIResponse):
    """An answer that goes on until its reader leaves or it is ended; ``open_`` has it meanwhile."""

    _should_set_content_length = False

    def __init__(self, follower: Follower, feeds: Feeds, open_: "set[EventStream]") -> None:
        super().__init__(
            media_type=EVENTS,
            # Neither a cache nor a proxy should hold events back.
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
        self.follower = follower
        self._feeds = feeds
        self._open = open_
        self._ending = asyncio.Event()

    def end(self) -> None:
        """End it, wherever it is."""
        self._ending.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (as ASGI has it)
        """Answer the request."""

        async def write(text: bytes) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": True})

        self._open.add(self)
        try:
            async with self._feeds.follow(self.follower.org) as feed:
                await self.start_response(send)
                telling = Telling(self.follower, feed, write)
                await _first_of(telling.run(), self._ending.wait(), _leave(receive))
        finally:
            self._open.discard(self)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _first_of(*ways: Coroutine[Any, Any, object]) -> None:
    """Go all ways at once until one of them ends. One that fails is logged."""
    tasks = [asyncio.create_task(way) for way in ways]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            tell(Event.STREAM_BROKEN, outcome)


async def _leave(receive: Receive) -> None:
    """Wait until the reader has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
