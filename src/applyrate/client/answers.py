"""An HTTP answer, or its absence, as a typed result or as an error of the tree."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Generic, TypeVar

import httpx
import msgspec

from applyrate.client.calls import Call
from applyrate.errors import (
    ApplyrateError,
    ErrorBody,
    Forbidden,
    HeadersTooLarge,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unreachable,
    UnsupportedMediaType,
    UriTooLong,
)

T = TypeVar("T")


def read_answer(call: Call[T], answer: httpx.Response) -> T:
    """What the answer to a call means. Raises the ApplyrateError that it is."""
    if not answer.is_success:
        raise _failure(answer)
    try:
        return call.read(answer.content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise foreign_answer(answer, str(error)) from None


class AnswerLines(Generic[T]):
    """The rows of an answer that comes in pieces, one on each line."""

    def __init__(self, call: Call[T], answer: httpx.Response) -> None:
        self._call = call
        self._answer = answer
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[T]:
        """The rows that end in this piece. Raises ApplyrateError where one is none of ours."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            try:
                yield self._call.read(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise foreign_answer(self._answer, str(error)) from None


def unreachable(call: Call[object], error: httpx.RequestError) -> Unreachable:
    """The error for a request that nothing answered."""
    reason = str(error) or type(error).__name__
    return Unreachable(f"{call.method} {call.path}: no answer came: {reason}")


_ERRORS: Final[Mapping[int, type[ApplyrateError]]] = {
    kind.status: kind
    for kind in (
        InvalidInput,
        Unauthenticated,
        Forbidden,
        NotFound,
        RequestTimeout,
        PayloadTooLarge,
        UriTooLong,
        UnsupportedMediaType,
        HeadersTooLarge,
    )
}
_DELAYED: Final[Mapping[int, type[TooManyRequests | Unavailable]]] = {
    kind.status: kind for kind in (TooManyRequests, Unavailable)
}
_SHOWN_CHARACTERS: Final = 200
_DEFAULT_DELAY_SECONDS: Final = 1


def _failure(answer: httpx.Response) -> ApplyrateError:
    status = answer.status_code
    known = _ERRORS.get(status, ApplyrateError)
    try:
        message = msgspec.json.decode(answer.content, type=ErrorBody).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # A 400 that is not the service's own says nothing of the input.
        known = ApplyrateError if known is InvalidInput else known
        told = " ".join(answer.text.split())[:_SHOWN_CHARACTERS]
        message = f"{answer.request.url}: {status} {answer.reason_phrase}: {told}".rstrip(": ")
    error: ApplyrateError
    if delayed := _DELAYED.get(status):
        error = delayed(message, retry_after_seconds=_retry_after_seconds(answer))
    else:
        error = known(message)
        with suppress(ValueError):  # a status that no standard knows stays a 500
            error.status = HTTPStatus(status)
    error.request_id = answer.headers.get("x-request-id")
    return error


def foreign_answer(answer: httpx.Response, reason: str) -> ApplyrateError:
    """The error for an answer that cannot be the service's."""
    url, status = answer.request.url, answer.status_code
    error = ApplyrateError(f"{url}: the answer ({status}) is none of Applyrate's: {reason}")
    error.status = HTTPStatus.BAD_GATEWAY
    error.request_id = answer.headers.get("x-request-id")
    return error


def _retry_after_seconds(answer: httpx.Response) -> int:
    """``Retry-After`` in either of its forms, seconds or a date (RFC 9110, 10.2.3)."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return int(given[:_LONGEST_DIGITS])
    try:
        at = parsedate_to_datetime(given)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0, round((at - datetime.now(UTC)).total_seconds()))
    except (ValueError, OverflowError):
        return _DEFAULT_DELAY_SECONDS


_LONGEST_DIGITS: Final = 9
