"""Troubles in the log: at once, and then once a minute with how many there were since."""

import logging
import time
from typing import Final

EVERY_SECONDS: Final = 60

_log = logging.getLogger("applyrate")


class Complaint:
    """One kind of trouble. ``text`` has places for the number since it was last told, and for why.

    It takes no lock, so that it may be used wherever an agent's code may be; at worst two threads
    tell the same number.
    """

    def __init__(self, level: int, text: str) -> None:
        self._level = level
        self._text = text
        self._untold = 0
        self._last_reason = ""
        self._silent_until = 0.0

    def add(self, reason: str, count: int = 1) -> None:
        """Note it, and log it unless something was logged within the last minute."""
        self._untold += count
        self._last_reason = reason
        if time.monotonic() >= self._silent_until:
            self.tell()

    def tell(self) -> None:
        """Log what was not logged yet."""
        if self._untold:
            told, self._untold = self._untold, 0
            self._silent_until = time.monotonic() + EVERY_SECONDS
            _log.log(self._level, self._text, told, self._last_reason)
