"""Whatever goes wrong on a page, as a page."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import litestar
from litestar import Response

from applyrate.api.edge import REQUEST_ID
from applyrate.api.failures import read_failure
from applyrate.dashboard.pages import render

if TYPE_CHECKING:
    from applyrate.api.request import Request

_TITLES: Final = {
    HTTPStatus.BAD_REQUEST: "This address does not make sense",
    HTTPStatus.FORBIDDEN: "You may not see this",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now",
}


def show_failure(request: litestar.Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The page that says what happened and what to do next."""
    failure = read_failure(request, error)
    page = render(
        cast("Request", request),  # the app makes every request ours
        "error.html",
        status=failure.status,
        failure_title=_TITLES.get(failure.status, failure.status.phrase),
        failure=failure,
        request_id=request.scope[REQUEST_ID],  # type: ignore[typeddict-item]  # a key of our own
    )
    for name in _KEPT:
        if name in failure.headers:
            page.set_header(name, failure.headers[name])
    return page


_KEPT: Final = ("Allow", "Retry-After")
