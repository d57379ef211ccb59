"""Client and AsyncClient: every operation of the API, typed, with retries."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from functools import cache
from importlib.metadata import version
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx

from applyrate.client import operations
from applyrate.client.answers import read_answer, unreachable
from applyrate.client.backoff import backoff_seconds
from applyrate.client.calls import Call, Listing, Operation, Rows
from applyrate.errors import (
    ApplyrateError,
    InvalidInput,
    TooManyRequests,
    Unavailable,
    Unreachable,
)

T = TypeVar("T")
Row = TypeVar("Row")


class _Operations:
    """The methods of both clients."""

    summary = Operation(operations.summary)
    resources = Listing(operations.resources)
    resource_page = Operation(operations.resource_page)
    conversations = Listing(operations.conversations)
    conversation_page = Operation(operations.conversation_page)
    record = Operation(operations.record)
    set_conversation = Operation(operations.set_conversation)
    unattributed = Operation(operations.unattributed)
    create_key = Operation(operations.create_key)
    keys = Operation(operations.keys)
    revoke_key = Operation(operations.revoke_key)
    health = Operation(operations.health)
    document = Operation(operations.document)


class Client(_Operations):
    """The API, for code that waits. Usable from any thread, and as a context manager.

    Every method raises the ApplyrateError that the service answered with, or Unreachable. After
    429, 503 and a broken connection it tries again, at most ``max_retries`` times and as late as
    ``Retry-After`` says, but raises at once where that is more than a minute. ``timeout_seconds``
    is for each step of one try: connecting, sending, waiting for the answer. Raises InvalidInput
    for a ``url`` that is no http or https address.
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout_seconds: float = 30, max_retries: int = 3
    ) -> None:
        self._url = checked_url(url)
        self._max_retries = max_retries
        self._http = httpx.Client(headers=request_headers(key), timeout=timeout_seconds)

    def carry_out(self, call: Call[T]) -> T:
        """The result of a call; what every method goes through."""
        for attempt in count():
            try:
                return self._try(call)
            except ApplyrateError as error:
                delay_seconds = _delay_seconds(call, error, attempt, self._max_retries)
                if delay_seconds is None:
                    raise
            time.sleep(delay_seconds)
        raise AssertionError

    def iterate(self, rows: Rows[Row]) -> Iterator[Row]:
        """All rows of a list, page after page."""
        cursor = None
        while True:
            page = self.carry_out(rows.page(cursor))
            yield from page.items
            if (cursor := page.next) is None:
                return

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _try(self, call: Call[T]) -> T:
        try:
            answer = self._http.request(call.method, self._url + call.path, **_parts(call))
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        return read_answer(call, answer)


class AsyncClient(_Operations):
    """The same for asyncio: every method is awaited, every list iterated with ``async for``."""

    def __init__(
        self, url: str, key: str | None = None, *, timeout_seconds: float = 30, max_retries: int = 3
    ) -> None:
        self._url = checked_url(url)
        self._max_retries = max_retries
        self._http = httpx.AsyncClient(headers=request_headers(key), timeout=timeout_seconds)

    async def carry_out(self, call: Call[T]) -> T:
        """The result of a call; what every method goes through."""
        for attempt in count():
            try:
                return await self._try(call)
            except ApplyrateError as error:
                delay_seconds = _delay_seconds(call, error, attempt, self._max_retries)
                if delay_seconds is None:
                    raise
            await asyncio.sleep(delay_seconds)
        raise AssertionError

    async def iterate(self, rows: Rows[Row]) -> AsyncIterator[Row]:
        """All rows of a list, page after page."""
        cursor = None
        while True:
            page = await self.carry_out(rows.page(cursor))
            for row in page.items:
                yield row
            if (cursor := page.next) is None:
                return

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _try(self, call: Call[T]) -> T:
        try:
            answer = await self._http.request(call.method, self._url + call.path, **_parts(call))
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        return read_answer(call, answer)


def checked_url(url: str) -> str:
    """The address of a service, without a slash at its end. Raises InvalidInput."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidInput(f"url: {url!r} is no address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidInput(f"url: {url!r} is no http or https address")
    return url.rstrip("/")


def request_headers(key: str | None) -> dict[str, str]:
    """What every request carries. Raises InvalidInput for what cannot be a key or token."""
    headers = {"User-Agent": _user_agent()}
    if key is not None:
        if not (key.isascii() and key.isprintable() and key.strip() == key != ""):
            raise InvalidInput("key: it is empty, or has characters that no key or token has")
        headers["Authorization"] = f"Bearer {key}"
    return headers


_FIRST_DELAY_SECONDS: Final = 0.25
_LONGEST_DELAY_SECONDS: Final = 60


def _delay_seconds(
    call: Call[object], error: ApplyrateError, attempt: int, max_retries: int
) -> float | None:
    """How long to wait before another try; None where there should be none."""
    if attempt >= max_retries:
        return None
    jitter = backoff_seconds(attempt, first=_FIRST_DELAY_SECONDS, longest=_LONGEST_DELAY_SECONDS)
    match error:
        case TooManyRequests() | Unavailable():
            # Neither took anything of the request.
            delay_seconds = error.retry_after_seconds + jitter
            return delay_seconds if error.retry_after_seconds <= _LONGEST_DELAY_SECONDS else None
        case Unreachable() if call.repeatable:
            return jitter
    return None


def _parts(call: Call[object]) -> dict[str, Any]:
    return {"params": call.query, "content": call.body, "headers": call.headers}


@cache
def _user_agent() -> str:
    return f"applyrate-python/{version('applyrate')}"
