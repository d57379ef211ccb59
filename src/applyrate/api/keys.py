"""API keys: made, listed and revoked by whoever holds the scopes of the organization."""

from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import msgspec
from litestar import delete, get, post

from applyrate.answers import IssuedKey, KeyList, NewKey
from applyrate.api.bodies import read_json
from applyrate.api.operations import BODY_ERRORS, EVERY_KEY, OPERATION, Operation
from applyrate.api.parameters import KEY_ID
from applyrate.api.reading import at_once
from applyrate.api.request import Request
from applyrate.errors import InvalidInput, NotFound, Unavailable
from applyrate.intake.decoding import decode, shown
from applyrate.keys import SCOPES, ApiKey, checked_scopes, digest, issue_key
from applyrate.usage import utc

_KEY_EXAMPLE: Final = {
    "key_id": "key_9f2c4e1ab03d5c77",
    "org": "default",
    "name": "reporting",
    "hint": "Qw0B",
    "scopes": ["chat-sessions:read", "training:read"],
    "created_at": "2026-03-01T09:00:00Z",
    "last_used_at": None,
    "expires_at": None,
    "revoked_at": None,
}


@post(
    "/keys",
    status_code=HTTPStatus.CREATED,
    opt={
        OPERATION: Operation(
            operation_id="createKey",
            tag="Keys",
            summary="Make a key",
            description=(
                "Makes an API key for the caller's organization. The key is shown in this answer"
                " and never again: only a SHA-256 of it is stored. Without `scopes` it has full"
                f" access; they are {', '.join(f'`{scope}`' for scope in SCOPES)}. A caller can"
                " only give what it holds itself."
            ),
            scopes=("org:write",),
            body=NewKey,
            body_example={"name": "reporting", "scopes": ["chat-sessions:read", "training:read"]},
            status=HTTPStatus.CREATED,
            answer=IssuedKey,
            answer_description="The key, this once.",
            example={**_KEY_EXAMPLE, "key": "apr_live_0Zk3Tq8vXn5LbW2rYd7HsJ4cMf9PgAe6uK1dQw0B"},
            errors=(
                HTTPStatus.BAD_REQUEST,
                *BODY_ERRORS,
                *EVERY_KEY,
            ),
        )
    },
)
async def create_key(request: Request) -> IssuedKey:
    """Make a key that can do no more than the caller."""
    wanted = decode(await read_json(request), _NEW_KEY, "the body")
    scopes = None if wanted.scopes is None else checked_scopes(wanted.scopes)
    request.caller.require_to_grant(scopes)
    now = datetime.now(UTC)
    key, kept = issue_key(
        request.caller.org,
        wanted.name,
        scopes=scopes,
        created_at=now,
        expires_at=_expiry(wanted.expires_at, now),
    )
    services = request.services
    await services.commits.write(
        lambda: services.store.add_key(kept, digest(key), request.caller.actor)
    )
    return IssuedKey(key=key, **msgspec.structs.asdict(kept))


@get(
    "/keys",
    opt={
        OPERATION: Operation(
            operation_id="listKeys",
            tag="Keys",
            summary="List the keys",
            description=(
                "The organization's keys, oldest first, revoked ones too. `scopes` is null for full"
                " access; `hint` is the key's last four characters."
            ),
            scopes=("org:read",),
            answer=KeyList,
            answer_description="The keys, without what opens.",
            example={"items": [_KEY_EXAMPLE]},
            errors=EVERY_KEY,
        )
    },
)
async def list_keys(request: Request) -> KeyList:
    """List them with the last use of each, this request's too."""
    services = request.services
    with suppress(Unavailable):  # the times of the last minute are then missing, no more
        await services.key_uses.write()
    return KeyList(await at_once(request, lambda: services.store.keys(request.caller.org)))


@delete(
    "/keys/{key_id:str}",
    status_code=HTTPStatus.OK,
    opt={
        OPERATION: Operation(
            operation_id="revokeKey",
            tag="Keys",
            summary="Revoke a key",
            description=(
                "Revokes a key for good; from the next request on it opens nothing (on several"
                " machines, on the others within ten seconds). Revoking it again changes nothing."
            ),
            scopes=("org:write",),
            parameters=(KEY_ID,),
            answer=ApiKey,
            answer_description="The key as it is now.",
            example={**_KEY_EXAMPLE, "revoked_at": "2026-04-01T09:00:00Z"},
            errors=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, *EVERY_KEY),
        )
    },
)
async def revoke_key(request: Request) -> ApiKey:
    """Revoke a key of the caller's organization."""
    key_id = request.path_text("key_id")
    services, org, actor = request.services, request.caller.org, request.caller.actor
    now = datetime.now(UTC)
    key = await services.commits.write(lambda: services.store.revoke_key(org, key_id, now, actor))
    if key is None:
        raise NotFound(f"key_id: {key_id!r} is no key of this organization")
    services.known_keys.forget(key_id)
    return key


_NEW_KEY: Final = msgspec.json.Decoder(NewKey)


def _expiry(wanted: datetime | None, now: datetime) -> datetime | None:
    if wanted is None:
        return None
    told = shown(wanted.isoformat())
    try:
        expires_at = utc(wanted)
    except OverflowError:
        raise InvalidInput(f"expires_at: {told} lies outside the years 1 to 9999 in UTC") from None
    if expires_at <= now:
        raise InvalidInput(f"expires_at: {told} is past")
    return expires_at
