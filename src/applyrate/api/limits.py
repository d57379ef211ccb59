"""Limits on requests: so many a minute for each key, in a moving window.

Services on several machines share them through Redis. While that is away each counts by itself:
then a key has its limit on each of them, so that nobody is locked out, and nobody is without one.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from applyrate.api.moving_window import MovingWindow, Spent
from applyrate.errors import InvalidInput
from applyrate.observability.metrics import Metrics
from applyrate.settings import Settings

if TYPE_CHECKING:
    from applyrate.api.shared_windows import SharedWindows

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
    """The two limits, counted in the memory of this process, and with others in Redis if set.

    Raises InvalidInput where Redis is set and its client is not installed.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self._windows = {
            rate: MovingWindow(quota, _WINDOW_SECONDS)
            for rate, quota in (
                (Rate.STANDARD, settings.standard_limit),
                (Rate.STREAMING, settings.streaming_limit),
            )
            if quota
        }
        self._metrics = metrics
        self._shared = _shared_windows(settings)

    async def spend(self, rate: Rate, identity: str) -> Allowance | None:
        """Count one request of an identity, unless it has none left; None where no limit is set."""
        window = self._windows.get(rate)
        if window is None:
            return None
        spent = await self._spend_shared(rate, identity, window)
        if spent is None:
            spent = Spent(
                window.spend(identity), window.remaining(identity), window.reset_seconds(identity)
            )
        return Allowance(rate, window.quota, spent.granted, spent.remaining, spent.reset_seconds)

    async def close(self) -> None:
        """End the connections to Redis."""
        if self._shared:
            await self._shared.close()

    async def _spend_shared(self, rate: Rate, identity: str, window: MovingWindow) -> Spent | None:
        """Count a request together with the others; None where that cannot be done."""
        if self._shared is None:
            return None
        spent = await self._shared.spend(f"{rate}:{identity}", window.quota)
        if spent is None and self._metrics:
            self._metrics.limits_not_shared.inc()
        if spent and spent.granted:
            window.spend(identity)  # so that nobody begins anew once Redis is away
        return spent


def _shared_windows(settings: Settings) -> "SharedWindows | None":
    if settings.redis is None:
        return None
    try:
        from applyrate.api.shared_windows import SharedWindows
    except ImportError:
        raise InvalidInput(
            "APPLYRATE_REDIS: the client of Redis is not installed; install applyrate[cluster]"
        ) from None
    try:
        return SharedWindows(settings.redis, _WINDOW_SECONDS)
    except ValueError as error:  # of the port, or of an option in the query
        raise InvalidInput(f"APPLYRATE_REDIS: {error}") from None
