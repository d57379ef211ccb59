"""Every error the service answers with, and the one body they share.

    ApplyrateError            500
    ├── InvalidInput          400  the input breaks a rule
    ├── Unauthenticated       401  no key, or one that is not valid
    ├── Forbidden             403  a valid key without the scope
    ├── NotFound              404
    ├── RequestTimeout        408  the body came too slowly
    ├── PayloadTooLarge       413
    ├── UriTooLong            414
    ├── UnsupportedMediaType  415
    ├── TooManyRequests       429  with the seconds to wait
    ├── HeadersTooLarge       431  too many header fields, or too long
    ├── Unavailable           503  with the seconds to wait
    └── Unreachable           of the client alone: no answer came

A message names the input, the rule it breaks and the way out.
"""

from http import HTTPStatus

import msgspec


class ApplyrateError(Exception):
    """The root: whatever can go wrong in a way that a caller should read about.

    ``request_id`` is what the service's log calls the request, where a client got this answer.
    ``limit`` names the setting whose limit it is, for the service's metrics.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    request_id: str | None = None

    def __init__(self, message: str, *, limit: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.limit = limit


class InvalidInput(ApplyrateError):
    """The input breaks a rule; the message names both."""

    status = HTTPStatus.BAD_REQUEST


class Unauthenticated(ApplyrateError):
    """No key came with the request, or one that is unknown, revoked or expired."""

    status = HTTPStatus.UNAUTHORIZED


class Forbidden(ApplyrateError):
    """The key is valid and lacks the scope."""

    status = HTTPStatus.FORBIDDEN


class NotFound(ApplyrateError):
    """There is no such thing for this caller."""

    status = HTTPStatus.NOT_FOUND


class RequestTimeout(ApplyrateError):
    """The body came too slowly; what is left of it was not waited for."""

    status = HTTPStatus.REQUEST_TIMEOUT


class PayloadTooLarge(ApplyrateError):
    """A body, a line or an array is longer than the settings allow."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UriTooLong(ApplyrateError):
    """The path and the query are longer than the settings allow."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class UnsupportedMediaType(ApplyrateError):
    """The body's Content-Type or Content-Encoding is none that the route reads."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class HeadersTooLarge(ApplyrateError):
    """The request has more header fields, or longer ones, than the settings allow."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class _Delayed(ApplyrateError):
    """An error that says after how many seconds to try again (``Retry-After``)."""

    def __init__(self, message: str, *, retry_after_seconds: int, limit: str | None = None) -> None:
        super().__init__(message, limit=limit)
        self.retry_after_seconds = retry_after_seconds


class TooManyRequests(_Delayed):
    """The key has used up its requests for this minute."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(_Delayed):
    """The service cannot do it now; nothing of the request was taken."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class Unreachable(ApplyrateError):
    """No answer came: the connection failed, broke or timed out. Perhaps the request arrived."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every error: the status, a sentence, the status's own name."""

    statusCode: int  # noqa: N815 (the contract's name)
    message: str
    error: str


def error_body(status: int, message: str) -> ErrorBody:
    """The one error body for an HTTP status."""
    return ErrorBody(status, message, HTTPStatus(status).phrase)
