"""Limits on requests: so many a minute for each key, in a moving window.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from applyrate.api.moving_window import MovingWindow
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
        self._windows = {
            rate: MovingWindow(quota, _WINDOW_SECONDS)
            for rate, quota in (
                (Rate.STANDARD, settings.standard_limit),
                (Rate.STREAMING, settings.streaming_limit),
            )
            if quota
        }

    def spend(self, rate: Rate, identity: str) -> Allowance | None:
        """Count one request of an identity, unless it has none left; None where no limit is set."""
        window = self._windows.get(rate)
        if window is None:
            return None
        granted = window.spend(identity)
        remaining, reset_seconds = window.remaining(identity), window.reset_seconds(identity)
        return Allowance(rate, window.quota, granted, remaining, reset_seconds)
