"""The pace of a body: how long its sender may let the service wait.

Only the time that the service waits counts, never what it needs itself for what has come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from applyrate.errors import RequestTimeout
from applyrate.settings import Settings

Message: TypeAlias = Mapping[str, Any]
"""An ASGI message."""


class Pace:
    """The pace of one body.

    No wait is longer than ``max_pause_seconds``. All waits together are no longer than that and the
    time which the bytes so far take at ``min_body_rate``: a sender that is merely slow is waited
    for, and one that sends a byte now and then is not.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_pause_seconds = settings.max_pause_seconds
        self._min_rate = settings.min_body_rate
        self._waited_seconds = 0.0
        self._byte_count = 0

    async def wait_for(self, receive: Callable[[], Awaitable[Message]]) -> Message:
        """The next message of the body. Raises RequestTimeout where it takes too long."""
        now = asyncio.get_running_loop().time
        started_at = now()
        left_seconds = self._left_seconds()
        try:
            async with asyncio.timeout(min(left_seconds, self._max_pause_seconds)):
                message = await receive()
        except TimeoutError:
            raise self._fault(left_seconds) from None
        self._waited_seconds += now() - started_at
        self._byte_count += len(message.get("body", b""))
        return message

    def _left_seconds(self) -> float:
        if not self._min_rate:
            return self._max_pause_seconds
        may_take = self._max_pause_seconds + self._byte_count / self._min_rate
        return may_take - self._waited_seconds

    def _fault(self, left_seconds: float) -> RequestTimeout:
        if left_seconds < self._max_pause_seconds:
            return RequestTimeout(
                f"the body: it comes at less than {self._min_rate} bytes a second; send it faster,"
                " or less at once"
            )
        return RequestTimeout(
            f"the body: nothing of it came for {self._max_pause_seconds:g} s; send it again"
        )
