"""Limits on requests: so many a minute for each key, in a moving window.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
import time
from enum import StrEnum
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from msgspec import Struct

from applyrate.settings import Settings

_WINDOW_SECONDS: Final = 60


class Rate(StrEnum):
    """Which of the two limits a route spends from."""

    STANDARD = "standard"
    STREAMING = "streaming"


class Allowance(Struct, frozen=True):
    """What is left of a limit after a request, and in how many seconds there is more."""

    rate: Rate
    quota: int
    granted: bool
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The two headers that tell a client of it."""
        policy = f'"{self.rate}";q={self.quota};w={_WINDOW_SECONDS}'
        state = f'"{self.rate}";r={self.remaining};t={self.reset_seconds}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


class RateLimits:
    """The two limits, counted in the memory of this process."""

    def __init__(self, settings: Settings) -> None:
        self._items: dict[Rate, RateLimitItem] = {
            rate: RateLimitItemPerMinute(quota)
            for rate, quota in (
                (Rate.STANDARD, settings.standard_limit),
                (Rate.STREAMING, settings.streaming_limit),
            )
            if quota
        }
        self._limiter = MovingWindowRateLimiter(MemoryStorage()) if self._items else None

    def spend(self, rate: Rate, identity: str) -> Allowance | None:
        """Count one request of an identity, unless it has none left; None where no limit is set."""
        item = self._items.get(rate)
        if item is None or self._limiter is None:
            return None
        granted = self._limiter.hit(item, rate, identity)
        reset_at, remaining = self._limiter.get_window_stats(item, rate, identity)
        reset_seconds = math.ceil(reset_at - time.time())
        return Allowance(
            rate, item.amount, granted, remaining, min(max(reset_seconds, 1), _WINDOW_SECONDS)
        )
