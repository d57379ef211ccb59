"""The page of keys: made, seen and revoked by whoever holds the scopes of the organization."""

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from applyrate.api.reading import at_once
from applyrate.api.request import Request
from applyrate.dashboard.admission import SEE_OTHER
from applyrate.dashboard.forms import Form, read_form
from applyrate.dashboard.pages import render
from applyrate.errors import InvalidInput, NotFound, Unavailable
from applyrate.keys import ApiKey, checked_scopes, digest, issue_key

PATH: Final = "/dashboard/keys"

LONGEST_NAME: Final = 200

SCOPES_TOLD: Final = {
    "usage:write": "record replies and traces",
    "chat-sessions:read": "see conversations; needed for any count",
    "chat-sessions:write": "set what is known of a conversation, or erase it",
    "training:read": "count instructions and knowledge",
    "training:write": "catalogue instructions and knowledge",
    "actions:read": "count actions",
    "actions:write": "catalogue actions",
    "org:read": "list the keys and the audit log",
    "org:write": "make and revoke keys",
    "metrics:read": "read the metrics of the whole service",
}
"""What each scope lets a key do, in the order in which they are offered."""


@get(PATH)
async def show_keys(request: Request) -> Response[Any]:
    """All keys of the organization. Raises Forbidden without ``org:read``."""
    request.caller.require(("org:read",))
    return await _page(request)


@post(PATH)
async def create_key(request: Request) -> Response[Any]:
    """Make a key that can do no more than the caller, and show it this once.

    Raises Forbidden without ``org:read`` and ``org:write``.
    """
    request.caller.require(("org:read", "org:write"))
    form = await read_form(request)
    now = datetime.now(UTC)
    try:
        name = _name(form)
        scopes = _scopes(form)
        expires_at = _expiry(form, now)
    except InvalidInput as error:
        return await _page(request, form=form, complaint=error.message)
    request.caller.require_to_grant(scopes)
    key, kept = issue_key(
        request.caller.org, name, scopes=scopes, created_at=now, expires_at=expires_at
    )
    services = request.services
    await services.commits.write(
        partial(services.store.add_key, kept, digest(key), request.caller.actor)
    )
    return await _page(request, issued=key, issued_name=name)


@post(PATH + "/{key_id:str}/revoke")
async def revoke_key(request: Request) -> Response[Any]:
    """Revoke a key for good; sessions of it end with it.

    Raises Forbidden without ``org:write``, NotFound for a key of nobody here.
    """
    request.caller.require(("org:write",))
    key_id = request.path_text("key_id")
    services, org = request.services, request.caller.org
    now = datetime.now(UTC)
    revoke = partial(services.store.revoke_key, org, key_id, now, request.caller.actor)
    key = await services.commits.write(revoke)
    if key is None:
        raise NotFound(f"key_id: {key_id!r} is no key of this organization")
    services.known_keys.forget(key_id)
    return Redirect(PATH, status_code=SEE_OTHER)


async def _page(
    request: Request,
    *,
    form: Form | None = None,
    complaint: str = "",
    issued: str = "",
    issued_name: str = "",
) -> Response[Any]:
    services, caller = request.services, request.caller
    with suppress(Unavailable):  # the times of the last minute are then missing, no more
        await services.key_uses.write()
    now = datetime.now(UTC)
    found = await at_once(request, partial(services.store.keys, caller.org))
    keys = sorted(found, key=partial(_place, now))
    return render(
        request,
        "keys.html",
        status=HTTPStatus.BAD_REQUEST if complaint else HTTPStatus.OK,
        keys=[(key, _state(key, now)) for key in keys],
        own_key_id=caller.identity,
        may_write=caller.scopes is None or "org:write" in caller.scopes,
        scopes={
            scope: told
            for scope, told in SCOPES_TOLD.items()
            if caller.scopes is None or scope in caller.scopes
        },
        chosen=_chosen(form),
        complaint=complaint,
        issued=issued,
        issued_name=issued_name,
        tomorrow=(now + timedelta(days=1)).date(),
    )


def _place(now: datetime, key: ApiKey) -> tuple[bool, timedelta]:
    """Valid keys come first, and of both the newest."""
    return not key.valid_at(now), now - key.created_at


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.valid_at(now) else "expired"


def _chosen(form: Form | None) -> dict[str, Any]:
    """What the form of a new key holds: what was sent, where that was refused."""
    if form is None:
        return {"name": "", "access": "some", "scopes": frozenset(), "expires": ""}
    return {
        "name": form.texts("name")[0] if form.texts("name") else "",
        "access": "full" if "full" in form.texts("access") else "some",
        "scopes": frozenset(form.texts("scope")),
        "expires": form.texts("expires")[0] if form.texts("expires") else "",
    }


def _name(form: Form) -> str:
    name = form.text("name", longest=LONGEST_NAME)
    if not name:
        raise InvalidInput("name: empty; say what the key is for")
    return name


def _scopes(form: Form) -> tuple[str, ...] | None:
    access = form.text("access")
    if access == "full":
        return None
    if access not in ("", "some"):
        raise InvalidInput(f"access: {access!r} is not one of full, some")
    scopes = checked_scopes(form.texts("scope"))
    if not scopes:
        raise InvalidInput("scopes: none is chosen; a key without any opens nothing")
    return scopes


def _expiry(form: Form, now: datetime) -> datetime | None:
    """The end of the day that was chosen, in UTC."""
    text = form.text("expires")
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        expires_at = datetime.combine(day, time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise InvalidInput(f"expires: {text!r} is not a date such as 2027-03-31") from None
    if expires_at <= now:
        raise InvalidInput(f"expires: {text} is past")
    return expires_at
