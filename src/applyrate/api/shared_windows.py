"""Moving windows that several services share: the events of each name, counted in one Redis.

One script counts, grants and notes, so that no two services grant the same event. Time is that of
Redis. While Redis is away nobody waits for it: who asks is told so, and counts by itself.
"""

import hashlib
import math
import time
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from applyrate.api.moving_window import Spent
from applyrate.observability.events import Event
from applyrate.observability.logs import tell

PATIENCE_SECONDS: Final = 0.5
"""A Redis that has not answered for so long is away."""

RETRY_SECONDS: Final = 1.0
"""How often a Redis that is away is asked again, by one request."""

_MAX_CONNECTIONS: Final = 32
_PREFIX: Final = "applyrate:limit:"


class SharedWindows:
    """The events of the last ``window_seconds`` by name. They belong to one event loop."""

    def __init__(self, url: str, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._spend = self._redis.register_script(_SPEND)
        self._is_away = False
        self._ask_at = -math.inf

    async def spend(self, name: str, quota: int) -> Spent | None:
        """Note an event of a name, at most ``quota`` in a window; None while Redis is away."""
        now = time.monotonic()
        if now < self._ask_at:
            return None
        if self._is_away:
            self._ask_at = now + RETRY_SECONDS  # others need not try what this request tries
        micros = round(self._window_seconds * 1_000_000)
        try:
            granted, remaining, left = await self._spend([_key_of(name)], [quota, micros])
        except (RedisError, OSError) as error:
            self._leave(error)
            return None
        self._come_back()
        reset_seconds = min(max(math.ceil(left / 1_000_000), 1), math.ceil(self._window_seconds))
        return Spent(bool(granted), max(0, remaining), reset_seconds)

    async def close(self) -> None:
        """End the connections."""
        await self._redis.aclose()

    def _leave(self, error: Exception) -> None:
        self._ask_at = time.monotonic() + RETRY_SECONDS
        if not self._is_away:
            self._is_away = True
            tell(Event.LIMITS_NOT_SHARED, problem=str(error))

    def _come_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._ask_at = -math.inf
            tell(Event.LIMITS_SHARED)


def _key_of(name: str) -> str:
    """The key of a name, which may be of any length and name somebody."""
    return _PREFIX + hashlib.sha256(name.encode()).hexdigest()


# A list of the times of the events, oldest first, in microseconds. A key that is not used expires
# with its last event.
_SPEND: Final = """
local quota, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local oldest = redis.call('LINDEX', KEYS[1], 0)
while oldest and tonumber(oldest) <= now - window do
    redis.call('LPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], 0)
end
local count = redis.call('LLEN', KEYS[1])
local granted = 0
if count < quota then
    redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
    redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
    count = count + 1
    granted = 1
end
local left = window
if oldest then
    left = tonumber(oldest) + window - now
end
return {granted, quota - count, left}
"""
