"""Signing in with a key or by a link that opens once, and signing out."""

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from applyrate.api.reading import at_once
from applyrate.api.request import Request
from applyrate.dashboard import sessions
from applyrate.dashboard.admission import OPEN, SEE_OTHER, SIGN_IN, is_signed_in, session_token
from applyrate.dashboard.attempts import Attempts
from applyrate.dashboard.forms import read_form, require_csrf_token
from applyrate.dashboard.pages import render
from applyrate.dashboard.policy import SESSION_COOKIE, VISITOR_COOKIE, make_cookie, read_cookie
from applyrate.dashboard.tokens import new_token
from applyrate.errors import Forbidden
from applyrate.keys import digest, is_well_formed

HOME: Final = "/dashboard"

_LONGEST_KEY: Final = 4_096


@get(SIGN_IN, opt={OPEN: True})
async def show_sign_in(request: Request) -> Response[Any]:
    """The form; whoever is signed in already goes where they wanted to."""
    wanted = _checked_path(request.query_texts("next").get("next", ""))
    if is_signed_in(request):
        return _lead_to(wanted)
    return _form(request, wanted)


@post(SIGN_IN, opt={OPEN: True})
async def sign_in(request: Request) -> Response[Any]:
    """Exchange a key for a new session, in place of the one that the browser may have.

    Raises Forbidden for another site's form, TooManyRequests after too many wrong keys.
    """
    form = await read_form(request)
    wanted = _checked_path(form.text("next", longest=4_096))
    visitor = read_cookie(request, VISITOR_COOKIE)
    if not visitor:
        raise Forbidden("the browser sent no cookie; allow cookies for this address and try again")
    await require_csrf_token(request, visitor)
    attempts = Attempts.of(request)
    attempts.require_one_left()
    key_text = form.text("key", longest=_LONGEST_KEY)
    services, now = request.services, datetime.now(UTC)
    key = await at_once(request, partial(services.store.find_key, digest(key_text)))
    if key is None or not key.valid_at(now):
        attempts.count_failure()
        return _form(request, wanted, complaint=_complaint(key_text))
    services.key_uses.note(key.key_id, now)
    token = await services.commits.write(
        partial(sessions.begin_session, services.store, key, now, ended=session_token(request))
    )
    return _signed_in(request, token, wanted)


@post("/dashboard/sign-out")
async def sign_out(request: Request) -> Response[Any]:
    """End the session, here and in the store."""
    services, token = request.services, session_token(request)
    if token is not None:
        await services.commits.write(partial(sessions.end_session, services.store, token))
    answer = Redirect(SIGN_IN, status_code=SEE_OTHER)
    answer.set_cookie(make_cookie(request, SESSION_COOKIE, "", 0))
    return answer


@get("/dashboard/open/{link:str}", opt={OPEN: True})
async def open_link(request: Request) -> Response[Any]:
    """Sign in whoever is the first to open a link, within five minutes of its making."""
    attempts = Attempts.of(request)
    attempts.require_one_left()
    services, link = request.services, request.path_text("link")
    now = datetime.now(UTC)
    token = await services.commits.write(partial(sessions.open_link, services.store, link, now))
    if token is None:
        attempts.count_failure()
        return _form(
            request,
            HOME,
            complaint="This link was opened before, or is older than five minutes. Sign in with a"
            " key, or start the demo again for a new link.",
        )
    return _signed_in(request, token, HOME)


def _form(request: Request, wanted: str, complaint: str = "") -> Response[Any]:
    """The page with the form, which belongs to the visitor's cookie that comes with it."""
    visitor = read_cookie(request, VISITOR_COOKIE) or new_token()
    request.cookies[VISITOR_COOKIE] = visitor
    page = render(
        request,
        "sign_in.html",
        status=HTTPStatus.UNAUTHORIZED if complaint else HTTPStatus.OK,
        complaint=complaint,
        wanted=wanted,
    )
    page.set_cookie(make_cookie(request, VISITOR_COOKIE, visitor, None))
    return page


def _signed_in(request: Request, token: str, wanted: str) -> Response[Any]:
    answer = _lead_to(wanted)
    seconds = int(sessions.SESSION_LIFETIME.total_seconds())
    answer.set_cookie(make_cookie(request, SESSION_COOKIE, token, seconds))
    answer.set_cookie(make_cookie(request, VISITOR_COOKIE, "", 0))
    return answer


def _lead_to(wanted: str) -> Response[Any]:
    return Redirect(wanted, status_code=SEE_OTHER, headers={"Cache-Control": "no-store"})


def _complaint(key: str) -> str:
    if not key:
        return "Enter a key."
    if not is_well_formed(key):
        return "This is not a key, or one that is mistyped: its checksum is wrong."
    return "This key is unknown, revoked or expired."


def _checked_path(path: str) -> str:
    """Where to go after the sign-in: a page of the dashboard and nowhere else."""
    inside = path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))
    return path if inside and path.isprintable() and "\\" not in path else HOME
