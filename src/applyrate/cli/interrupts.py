"""Ctrl-C, when it comes in the middle of work that should end in good order."""

import signal
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import TypeVar

Item = TypeVar("Item")


class Interrupt:
    """While it is entered, Ctrl-C ends the items that ``until_asked`` gives, and nothing else.

    What was given by then can be finished. A second Ctrl-C ends everything at once.
    """

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False

    def __enter__(self) -> "Interrupt":
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def until_asked(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, up to the first Ctrl-C, which also ends the wait for one."""
        iterator = iter(items)
        while not self.asked:
            self._waiting = True
            try:
                item = next(iterator)
            except (StopIteration, KeyboardInterrupt):
                return
            finally:
                self._waiting = False
            yield item

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        if self.asked or self._waiting:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True
