"""Whatever goes wrong, as an answer: one body, its status, the headers that belong to it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import litestar
from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from msgspec import Struct

from applyrate.api.edge import REQUEST_ID
from applyrate.api.observed import UNMATCHED
from applyrate.api.redaction import redact
from applyrate.api.request import SERVICES, Services
from applyrate.errors import (
    ApplyrateError,
    ErrorBody,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    error_body,
)
from applyrate.observability.events import Event
from applyrate.observability.logs import tell


class Failure(Struct, frozen=True):
    """What went wrong, as far as whoever asked should know."""

    status: HTTPStatus
    message: str
    headers: Mapping[str, str]


def answer_failure(
    request: litestar.Request[Any, Any, Any], error: Exception
) -> Response[ErrorBody]:
    """The answer to a request that failed."""
    failure = read_failure(request, error)
    return Response(
        error_body(failure.status, failure.message),
        status_code=failure.status,
        headers=dict(failure.headers),
    )


def read_failure(request: litestar.Request[Any, Any, Any], error: Exception) -> Failure:
    """What an exception means for its request; what nobody expected is logged with its id."""
    if isinstance(error, MethodNotAllowedException):
        allowed = _allowed_methods(error)
        path = redact(request.scope["path"])
        message = f"{path}: the path takes {allowed} and nothing else"
        return Failure(HTTPStatus.METHOD_NOT_ALLOWED, message, {"Allow": allowed})
    if isinstance(error, HTTPException) and not isinstance(error, NotFoundException):
        return Failure(HTTPStatus(error.status_code), redact(error.detail), error.headers or {})
    known = error if isinstance(error, ApplyrateError) else _translate(request, error)
    if known.limit:
        services: Services = request.app.state[SERVICES]
        services.metrics.hit_limit(known.limit)
        tell(Event.LIMIT_HIT, limit=known.limit, route=_route(request))
    return Failure(known.status, redact(known.message), _headers(known))


def _translate(request: litestar.Request[Any, Any, Any], error: Exception) -> ApplyrateError:
    path, request_id = redact(request.scope["path"]), request.scope[REQUEST_ID]  # type: ignore[typeddict-item]  # a key of our own
    if isinstance(error, NotFoundException):
        return NotFound(f"{path}: there is no such path; /docs shows those there are")
    tell(Event.REQUEST_FAILED, error, method=request.scope["method"], route=_route(request))
    return ApplyrateError(f"something went wrong here; the service's log has it as {request_id}")


def _route(request: litestar.Request[Any, Any, Any]) -> str:
    """The route rather than the path, which may hold ids and, of a link, a secret."""
    return request.scope.get("path_template") or UNMATCHED


def _headers(error: ApplyrateError) -> Mapping[str, str]:
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, TooManyRequests | Unavailable):
        return {"Retry-After": str(error.retry_after_seconds)}
    return {}


def _allowed_methods(error: MethodNotAllowedException) -> str:
    methods = (error.headers or {}).get("allow", "").split(", ")
    return ", ".join(sorted(method for method in methods if method != "OPTIONS"))
