"""Client and AsyncClient: every operation of the API, typed, with retries."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from applyrate.client.answers import AnswerLines, read_answer, unreachable
from applyrate.client.calls import Call, Lines, Rows, Stream
from applyrate.client.events import Reading
from applyrate.client.methods import Methods
from applyrate.client.requests import checked_url, delay_before_next, request_headers
from applyrate.errors import (
    ApplyrateError,
)

T = TypeVar("T")
Row = TypeVar("Row")
Outcome = TypeVar("Outcome")


class Client(Methods):
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
        return self._persist(call, lambda: self._try(call))

    def iterate(self, rows: Rows[Row] | Lines[Row] | Stream[Row]) -> Iterator[Row]:
        """All rows of a list, page after page or line after line, or as they come."""
        if isinstance(rows, Lines):
            yield from self._read_lines(rows.call)
            return
        if isinstance(rows, Stream):
            yield from self._follow(rows)
            return
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

    def _persist(self, call: Call[T], attempt: Callable[[], Outcome]) -> Outcome:
        """What an attempt at a call comes to, tried again as long as that may help."""
        for number in count():
            try:
                return attempt()
            except ApplyrateError as error:
                delay_seconds = delay_before_next(call, error, number, self._max_retries)
                if delay_seconds is None:
                    raise
            time.sleep(delay_seconds)
        raise AssertionError

    def _try(self, call: Call[T]) -> T:
        try:
            answer = self._http.request(call.method, self._url + call.path, **_parts(call))
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        return read_answer(call, answer)

    def _read_lines(self, call: Call[Row]) -> Iterator[Row]:
        answer = self._persist(call, lambda: self._open(call))
        try:
            lines = AnswerLines(call, answer)
            for piece in answer.iter_bytes():
                yield from lines.feed(piece)
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        finally:
            answer.close()

    def _follow(self, stream: Stream[Row]) -> Iterator[Row]:
        reading = Reading(stream)
        patience = reading.patience(self._http.timeout)
        while True:
            call = reading.call()
            answer = self._persist(call, partial(self._open, call, patience))
            reading.begin(answer)
            try:
                for piece in answer.iter_bytes():
                    yield from reading.feed(piece)
            except httpx.RequestError:
                pass  # it goes on where it broke off
            finally:
                answer.close()
            time.sleep(reading.pause_seconds())

    def _open(self, call: Call[T], patience: httpx.Timeout | None = None) -> httpx.Response:
        """An answer whose body is still to be read."""
        request = self._http.build_request(
            call.method,
            self._url + call.path,
            timeout=patience or self._http.timeout,
            **_parts(call),
        )
        try:
            answer = self._http.send(request, stream=True)
            if not answer.is_success:
                answer.read()
                read_answer(call, answer)
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        return answer


class AsyncClient(Methods):
    """The same for asyncio: every method is awaited, every list iterated with ``async for``."""

    def __init__(
        self, url: str, key: str | None = None, *, timeout_seconds: float = 30, max_retries: int = 3
    ) -> None:
        self._url = checked_url(url)
        self._max_retries = max_retries
        self._http = httpx.AsyncClient(headers=request_headers(key), timeout=timeout_seconds)

    async def carry_out(self, call: Call[T]) -> T:
        """The result of a call; what every method goes through."""
        return await self._persist(call, lambda: self._try(call))

    async def iterate(self, rows: Rows[Row] | Lines[Row] | Stream[Row]) -> AsyncIterator[Row]:
        """All rows of a list, page after page or line after line, or as they come."""
        if isinstance(rows, Lines):
            async with aclosing(self._read_lines(rows.call)) as lines:
                async for row in lines:
                    yield row
            return
        if isinstance(rows, Stream):
            async with aclosing(self._follow(rows)) as events:
                async for row in events:
                    yield row
            return
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

    async def _persist(self, call: Call[T], attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
        for number in count():
            try:
                return await attempt()
            except ApplyrateError as error:
                delay_seconds = delay_before_next(call, error, number, self._max_retries)
                if delay_seconds is None:
                    raise
            await asyncio.sleep(delay_seconds)
        raise AssertionError

    async def _try(self, call: Call[T]) -> T:
        try:
            answer = await self._http.request(call.method, self._url + call.path, **_parts(call))
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        return read_answer(call, answer)

    async def _read_lines(self, call: Call[Row]) -> AsyncGenerator[Row, None]:
        answer = await self._persist(call, lambda: self._open(call))
        try:
            lines = AnswerLines(call, answer)
            async for piece in answer.aiter_bytes():
                for row in lines.feed(piece):
                    yield row
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        finally:
            await answer.aclose()

    async def _follow(self, stream: Stream[Row]) -> AsyncGenerator[Row, None]:
        reading = Reading(stream)
        patience = reading.patience(self._http.timeout)
        while True:
            call = reading.call()
            answer = await self._persist(call, partial(self._open, call, patience))
            reading.begin(answer)
            try:
                async for piece in answer.aiter_bytes():
                    for row in reading.feed(piece):
                        yield row
            except httpx.RequestError:
                pass  # it goes on where it broke off
            finally:
                await answer.aclose()
            await asyncio.sleep(reading.pause_seconds())

    async def _open(self, call: Call[T], patience: httpx.Timeout | None = None) -> httpx.Response:
        request = self._http.build_request(
            call.method,
            self._url + call.path,
            timeout=patience or self._http.timeout,
            **_parts(call),
        )
        try:
            answer = await self._http.send(request, stream=True)
            if not answer.is_success:
                await answer.aread()
                read_answer(call, answer)
        except httpx.RequestError as error:
            raise unreachable(call, error) from error
        return answer


def _parts(call: Call[object]) -> dict[str, Any]:
    return {"params": call.query, "content": call.body, "headers": call.headers}
