"""What happens before every page: whose session it is, and whether the page is what sent a form."""

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from litestar import Response
from litestar.response import Redirect

from applyrate.api.auth import Caller
from applyrate.api.reading import at_once
from applyrate.api.request import Request
from applyrate.dashboard.forms import require_csrf_token
from applyrate.dashboard.policy import SECURITY_HEADERS, SESSION_COOKIE, read_cookie
from applyrate.dashboard.sessions import find_session

OPEN: Final = "open_page"
"""The key under which a handler's ``opt`` says that its page needs no session."""

SEE_OTHER: Final = 303
"""The status of an answer to a form that leads to a page."""

SIGN_IN: Final = "/dashboard/sign-in"

_SAFE: Final = ("GET", "HEAD")


async def admit_reader(request: Request) -> Response[Any] | None:
    """Let a request pass to its page; whoever has no session is led to the sign-in.

    Raises Forbidden for a form that does not belong to the session, InvalidInput for two sessions.
    """
    request.add_answer_headers(SECURITY_HEADERS)
    token = session_token(request)
    now = datetime.now(UTC)
    services = request.services
    key = None
    if token is not None:
        key = await at_once(request, partial(find_session, services.store, token, now))
    if key is not None:
        services.key_uses.note(key.key_id, now)
        scopes = None if key.scopes is None else frozenset(key.scopes)
        request.scope["user"] = Caller(key.org, key.key_id, scopes, f"session:{key.key_id}")
    if request.route_handler.opt.get(OPEN):
        return None
    if key is None or token is None:
        return _lead_to_sign_in(request)
    if request.method not in _SAFE:
        await require_csrf_token(request, token)
    return None


def session_token(request: Request) -> str | None:
    """The token that the browser sent, whether or not it is of a session.

    Raises InvalidInput for several.
    """
    return read_cookie(request, SESSION_COOKIE)


def is_signed_in(request: Request) -> bool:
    """Whether the request has a session."""
    return request.scope.get("user") is not None


def _lead_to_sign_in(request: Request) -> Response[Any]:
    if is_partial(request):  # htmx would put the sign-in into the page; let it load it instead
        return Response(b"", status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": SIGN_IN})
    if request.method not in _SAFE:
        return Redirect(SIGN_IN, status_code=SEE_OTHER)
    query = request.scope["query_string"].decode("latin-1")
    wanted = request.scope["path"] + (f"?{query}" if query else "")
    return Redirect(f"{SIGN_IN}?next={quote(wanted, safe='')}", status_code=SEE_OTHER)


def is_partial(request: Request) -> bool:
    """Whether a page's own script asks, to replace a part of it."""
    return request.headers.get("hx-request") == "true"
