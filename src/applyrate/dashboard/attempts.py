"""Failed sign-ins, limited for each address: a guess costs time."""

import math
import time
from functools import cache
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from applyrate.api.request import Request
from applyrate.errors import TooManyRequests

MOST_FAILURES: Final = 10
PER_MINUTES: Final = 5

_LIMIT: Final[RateLimitItem] = RateLimitItemPerMinute(MOST_FAILURES, PER_MINUTES)


class Attempts:
    """The attempts of one address. A success costs none."""

    def __init__(self, limiter: MovingWindowRateLimiter, address: str) -> None:
        self._limiter = limiter
        self._address = address

    @classmethod
    def of(cls, request: Request) -> "Attempts":
        """Those of the address that a request comes from; behind a proxy, of the proxy."""
        client = request.client
        return cls(_limiter(), client.host if client else "")

    def require_one_left(self) -> None:
        """Raise TooManyRequests where the address has failed too often."""
        if self._limiter.test(_LIMIT, self._address):
            return
        reset_at, _ = self._limiter.get_window_stats(_LIMIT, self._address)
        seconds = max(1, math.ceil(reset_at - time.time()))
        raise TooManyRequests(
            f"{MOST_FAILURES} sign-ins from this address failed within {PER_MINUTES} minutes;"
            f" try again in {seconds} s",
            retry_after_seconds=seconds,
            limit="sign_ins",
        )

    def count_failure(self) -> None:
        """Note that an attempt failed."""
        self._limiter.hit(_LIMIT, self._address)


@cache
def _limiter() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())
