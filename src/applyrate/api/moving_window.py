"""Moving windows: so many events in any stretch of so many seconds, for each of many names.

Time is the monotonic clock's: setting the machine's clock gives nobody more and takes from nobody.
"""

import math
import time
from collections import deque

from msgspec import Struct


class Spent(Struct, frozen=True):
    """Whether an event was granted, how many are left, and in how many seconds there is more."""

    granted: bool
    remaining: int
    reset_seconds: int


class MovingWindow:
    """The events of the last ``window_seconds`` by name, at most ``quota`` of each. In memory."""

    def __init__(self, quota: int, window_seconds: float) -> None:
        self.quota = quota
        self.window_seconds = window_seconds
        self._events: dict[str, deque[float]] = {}
        self._swept_at = time.monotonic()

    def spend(self, name: str) -> bool:
        """Note an event of a name; where it has none left, False, and nothing is noted."""
        now = time.monotonic()
        self._sweep(now)
        events = self._current(name, now)
        if len(events) >= self.quota:
            return False
        self._events.setdefault(name, events).append(now)
        return True

    def remaining(self, name: str) -> int:
        """How many events a name has left."""
        return self.quota - len(self._current(name, time.monotonic()))

    def reset_seconds(self, name: str) -> int:
        """In how many seconds a name has one more, at least 1."""
        now = time.monotonic()
        events = self._current(name, now)
        left = events[0] + self.window_seconds - now if events else self.window_seconds
        return min(max(math.ceil(left), 1), math.ceil(self.window_seconds))

    def _current(self, name: str, now: float) -> deque[float]:
        events = self._events.get(name)
        if events is None:
            return deque()
        while events and events[0] <= now - self.window_seconds:
            events.popleft()
        return events

    def _sweep(self, now: float) -> None:
        """Forget the names of which nothing was heard for a whole window."""
        if now < self._swept_at + self.window_seconds:
            return
        self._swept_at = now
        for name in list(self._events):
            if not self._current(name, now):
                del self._events[name]
