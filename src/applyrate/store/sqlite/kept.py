"""What was read of whole days stays in memory, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by a key, each of the version of what it was read from; shared by all threads.

    Where they come to more than ``max_bytes``, those go that were not asked for the longest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[int, Value, int]] = OrderedDict()
        self.bytes = 0

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._values.clear()
            self.bytes = 0

    def find(self, key: Hashable, version: int) -> Value | None:
        """The value of that version; None where there is none."""
        with self._lock:
            kept = self._values.get(key)
            if kept is None or kept[0] != version:
                return None
            self._values.move_to_end(key)
            return kept[1]

    def keep(self, key: Hashable, version: int, value: Value, size: int) -> None:
        """Keep a value that takes so many bytes, about."""
        with self._lock:
            kept = self._values.get(key)
            if kept and kept[0] > version:
                return  # a reader of an older moment must not take the place of a newer one
            if kept:
                self.bytes -= kept[2]
            self._values[key] = version, value, size
            self._values.move_to_end(key)
            self.bytes += size
            while self.bytes > self._max_bytes:
                _, (_, _, unasked) = self._values.popitem(last=False)
                self.bytes -= unasked
