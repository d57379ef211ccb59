"""A store whose questions are spans of the requests that ask them."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, cast

from applyrate.observability.tracing import Tracing
from applyrate.store import Store


def trace_questions(store: Store, tracing: Tracing) -> Store:
    """The same store, with a span around each question that a request asks."""
    return cast("Store", _TracedStore(store, tracing))


class _TracedStore:
    def __init__(self, store: Store, tracing: Tracing) -> None:
        self._store = store
        self._tracing = tracing

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in _QUESTIONS:
            found = self._traced(name, found)
        setattr(self, name, found)
        return found

    def _traced(self, name: str, question: Callable[..., object]) -> Callable[..., object]:
        span_name = f"store {name}"

        @wraps(question)
        def ask(*parts: object, **more: object) -> object:
            with self._tracing.within(span_name):
                return question(*parts, **more)

        return ask


_QUESTIONS: Final = frozenset(
    (
        *("summary", "resources", "conversations", "used_window", "replies", "applied_signal"),
        *("type_timeline", "type_totals", "ranked", "unused", "catalogue", "timeline"),
        *("outcomes", "conversation", "changes", "keys", "audit", "find_key", "find_session"),
    )
)
"""Those that answer at once; ``usages`` goes on while it is read."""
