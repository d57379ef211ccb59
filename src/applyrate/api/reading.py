"""What several routes read from their requests, and the thread in which they answer."""

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from applyrate.api.operations import READ_SCOPES
from applyrate.api.parameters import DEFAULT_LIMIT, MAX_LIMIT
from applyrate.api.request import Request
from applyrate.errors import InvalidInput, Unavailable
from applyrate.observability.context import in_this_context
from applyrate.usage import ResourceType, Window

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)


class TableFormat(StrEnum):
    """How a table is answered."""

    JSON = "json"
    CSV = "csv"


class Compare(StrEnum):
    """What a window is compared with."""

    PREVIOUS = "previous"


def readable_type(request: Request, text: str, name: str = "resource_type") -> ResourceType:
    """The type of that name, once the caller is known to hold its scopes.

    Raises InvalidInput that tells the parameter, or Forbidden.
    """
    resource_type = read_choice(ResourceType, name, text)
    request.caller.require(READ_SCOPES[resource_type])
    return resource_type


def path_type(request: Request) -> ResourceType:
    """The type that the path names, once the caller is known to hold its scopes."""
    return readable_type(request, request.path_text("resource_type"))


def read_window(query: Mapping[str, str]) -> Window:
    """The window from ``from`` to ``to``. Raises InvalidInput."""
    return Window.parse(query.get("from"), query.get("to"))


def read_limit(query: Mapping[str, str]) -> int:
    """How many rows a page may have. Raises InvalidInput."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)):
        limit = int(text)
        if 1 <= limit <= MAX_LIMIT:
            return limit
    raise InvalidInput(f"limit: {text!r} is not a whole number from 1 to {MAX_LIMIT}")


def read_format(query: Mapping[str, str]) -> TableFormat:
    """How the table is wanted. Raises InvalidInput."""
    return read_choice(TableFormat, "format", query.get("format", TableFormat.JSON))


def read_compare(query: Mapping[str, str]) -> Compare | None:
    """What the window should be compared with, if anything. Raises InvalidInput."""
    text = query.get("compare")
    return None if text is None else read_choice(Compare, "compare", text)


def read_choice(kind: type[Choice], name: str, text: str) -> Choice:
    """The one of several values that a text names. Raises InvalidInput that tells all of them."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(kind)
        told = f"one of {known}" if len(kind) > 1 else known
        raise InvalidInput(f"{name}: {text!r} is not {told}") from None


async def at_once(request: Request, question: Callable[[], T]) -> T:
    """The answer to a question of a small, bounded cost, inside the event loop.

    No thread is as quick; but of a store on other machines nobody waits there.
    """
    if request.services.store.is_remote:
        return await in_thread(request, question)
    return question()


async def in_thread(request: Request, question: Callable[[], T]) -> T:
    """The answer to a question that scans, so that no other request waits for it.

    Raises Unavailable where a store on other machines takes more than REMOTE_SECONDS.
    """
    services = request.services
    run = asyncio.get_running_loop().run_in_executor
    answer = run(services.readers, in_this_context(question))
    if not services.store.is_remote:
        return await answer
    try:
        async with asyncio.timeout(REMOTE_SECONDS):
            return await answer
    except TimeoutError:
        raise Unavailable(
            f"the store has not answered within {REMOTE_SECONDS} s; try again",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        ) from None


REMOTE_SECONDS: Final = 30
"""How long a store on other machines may take for an answer, with the wait for a thread."""

_RETRY_AFTER_SECONDS: Final = 5
