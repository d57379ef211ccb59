"""What is known of the request that is being answered, wherever in the code that is."""

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Final, TypeVar

T = TypeVar("T")

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the request, None outside of any."""


def in_this_context(work: Callable[[], T]) -> Callable[[], T]:
    """The work with what is known here, for a thread that would not know it."""
    return partial(copy_context().run, work)
