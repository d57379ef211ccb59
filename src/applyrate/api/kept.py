"""What was read from the store stays in memory for as long as it holds: until the next commit."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from applyrate.store import Store

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """What questions were answered with, the newest ``max_count`` of them, by any key.

    All of them are of one moment of the store, and all are forgotten as soon as anything is
    committed, by whichever process: nobody is answered with less than was acknowledged before.
    It belongs to one thread.
    """

    def __init__(self, store: Store, max_count: int) -> None:
        self._store = store
        self._max_count = max_count
        self._moment: Hashable | None = None
        self._values: dict[Hashable, Value] = {}

    def read(self, key: Hashable, ask: Callable[[], Value]) -> Value:
        """What is kept of a question, or what ``ask`` reads. Raises what that raises."""
        moment = self._store.moment()
        if moment is None or moment != self._moment:
            self._values.clear()
            self._moment = moment
        elif key in self._values:
            return self._values[key]
        # Asked after the moment: it may be newer, and is then forgotten with the next question.
        value = ask()
        if moment is not None:
            if len(self._values) >= self._max_count:
                del self._values[next(iter(self._values))]
            self._values[key] = value
        return value
