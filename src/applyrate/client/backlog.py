"""What waits to be sent: replies as lines of JSON, the oldest first, never more than so many."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol, Self

MAX_BATCH_LINES: Final = 1000
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""What is sent at once; a longer line is never added."""


class Backlog(Protocol):
    """Lines in the order in which they were added. Whoever calls takes care of turns."""

    @property
    def count(self) -> int:
        """How many lines wait."""
        ...

    def add(self, line: bytes) -> bool:
        """Put a line at the end; False where there is no room. Raises OSError."""
        ...

    def first(self, max_bytes: int) -> list[bytes]:
        """The first lines: one at least where there are any, and no more than a batch holds."""
        ...

    def remove(self, lines: Sequence[bytes]) -> None:
        """Forget these, which are the first: they were sent, or never will be."""
        ...

    def keep(self) -> None:
        """See to it that what waits outlives the machine, as far as it can. Raises OSError."""
        ...

    def leave(self) -> int:
        """Let go of everything for good; how many lines are lost by it."""
        ...

    def start_over(self) -> Self:
        """An empty one for a forked child, to whom nothing of this belongs."""
        ...


class MemoryBacklog:
    """In memory, gone with the process."""

    def __init__(self, max_lines: int, max_bytes: int) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0

    @property
    def count(self) -> int:
        """As in Backlog."""
        return len(self._lines)

    def add(self, line: bytes) -> bool:
        """As in Backlog."""
        if len(self._lines) >= self._max_lines or self._bytes + len(line) > self._max_bytes:
            return False
        self._lines.append(line)
        self._bytes += len(line)
        return True

    def first(self, max_bytes: int) -> list[bytes]:
        """As in Backlog."""
        return fitting(list(islice(self._lines, MAX_BATCH_LINES)), max_bytes)

    def remove(self, lines: Sequence[bytes]) -> None:
        """As in Backlog."""
        for _ in lines:
            self._bytes -= len(self._lines.popleft())

    def keep(self) -> None:
        """As in Backlog: memory does not."""

    def leave(self) -> int:
        """As in Backlog."""
        lost = len(self._lines)
        self._lines.clear()
        self._bytes = 0
        return lost

    def start_over(self) -> Self:
        """As in Backlog."""
        return type(self)(self._max_lines, self._max_bytes)


def fitting(lines: list[bytes], max_bytes: int) -> list[bytes]:
    """As many of the first lines as fit, and one in any case."""
    length = 0
    for place, line in enumerate(lines):
        length += len(line) + 1
        if length > max_bytes and place:
            return lines[:place]
    return lines
