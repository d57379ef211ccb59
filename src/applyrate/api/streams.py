"""Streams: counts as they change, told to whoever stays connected."""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Final

from litestar import get
from litestar.types import ASGIApp

from applyrate.api.changes import Resource
from applyrate.api.event_streams import EVENTS
from applyrate.api.limits import Rate
from applyrate.api.operations import (
    EVERY_KEY,
    OPERATION,
    READ_SCOPES,
    SCOPES_TOLD,
    Operation,
    Parameter,
)
from applyrate.api.parameters import RESOURCE_ID, RESOURCE_TYPE
from applyrate.api.reading import path_type
from applyrate.api.request import Request
from applyrate.api.telling import Follower
from applyrate.errors import Forbidden, InvalidInput
from applyrate.usage import ResourceType

_LAST_EVENT_ID: Final = Parameter(
    name="last_event_id",
    place="query",
    schema={"type": "integer", "minimum": 0},
    description=(
        "The id of the last event that was read from such a stream before; what changed since is"
        " told first. The header `Last-Event-ID`, which a browser sends by itself when it connects"
        " again, comes before it."
    ),
)
_LARGEST_ID: Final = 2**63 - 1

_HOW_IT_GOES: Final = (
    "An event `usage` has the counts of all time of one resource, after they changed; of several"
    " changes within a second it has the last. Its id is the version of the usages up to which all"
    " changes were told. Every 15 seconds without an event there is a comment. The stream ends when"
    " the key is revoked or expires and when the service stops."
)

_EXAMPLE: Final = """\
id: 4711
event: usage
data: {"resource_type":"instruction","resource_id":"ins_refund","summary":{"session_count":214,\
"applied_sessions":214,"applied_replies":388,"available_sessions":1250,"available_replies":4410,\
"first_used_at":"2026-03-01T08:12:44.25Z","last_used_at":"2026-03-31T21:40:03Z"}}

"""


@get(
    "/resource-usage/{resource_type:str}/{resource_id:str}/stream",
    opt={
        OPERATION: Operation(
            operation_id="streamResourceUsage",
            tag="Resource usage",
            summary="Follow the usage of one resource",
            description=(
                "Server-sent events: first the resource's present counts, unless the stream is a"
                f" continuation, then each change. {_HOW_IT_GOES}\n\n{SCOPES_TOLD}"
            ),
            rate=Rate.STREAMING,
            parameters=(_LAST_EVENT_ID, RESOURCE_TYPE, RESOURCE_ID),
            answer_types=(EVENTS,),
            answer_description="Events, until either side ends the connection.",
            example=_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def stream_resource(request: Request) -> ASGIApp:
    """Answer with the changes of one resource."""
    resource = path_type(request), request.path_text("resource_id")
    return open_stream(request, _admission(request), resource)


@get(
    "/stream",
    opt={
        OPERATION: Operation(
            operation_id="streamUsage",
            tag="Resource usage",
            summary="Follow the usage of all resources",
            description=(
                "Server-sent events: each change of any resource that the key may read, from now"
                f" on or as a continuation. {_HOW_IT_GOES}\n\nNeeds the scope `chat-sessions:read`,"
                " and `training:read` for instructions and knowledge, `actions:read` for actions;"
                " resources of a type that the key may not read are left out."
            ),
            scopes=("chat-sessions:read",),
            rate=Rate.STREAMING,
            parameters=(_LAST_EVENT_ID,),
            answer_types=(EVENTS,),
            answer_description="Events, until either side ends the connection.",
            example=_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def stream_all(request: Request) -> ASGIApp:
    """Answer with the changes of all resources."""
    return open_stream(request, _admission(request))


def open_stream(
    request: Request, admit: Callable[[], Awaitable[object]], resource: Resource | None = None
) -> ASGIApp:
    """The answer that goes on with what changes: of one resource, or of all that may be read.

    ``admit`` raises an ApplyrateError once the caller may read no more. Raises InvalidInput,
    Forbidden, TooManyRequests, Unavailable.
    """
    return request.services.streams.open(
        Follower(
            org=request.caller.org,
            identity=request.caller.identity,
            admit=admit,
            types=_readable_types(request),
            resource=resource,
            after=_last_event_id(request),
        )
    )


def _admission(request: Request) -> Callable[[], Awaitable[object]]:
    headers = request.scope["headers"]
    credential = [(name, value) for name, value in headers if name == b"authorization"]
    return partial(request.services.authenticator.authenticate, credential)


def _readable_types(request: Request) -> frozenset[ResourceType]:
    held = request.caller.scopes
    if held is None:
        return frozenset(ResourceType)
    readable = frozenset(kind for kind, scopes in READ_SCOPES.items() if held.issuperset(scopes))
    if not readable:
        raise Forbidden("the key lacks the scope training:read or actions:read")
    return readable


def _last_event_id(request: Request) -> int | None:
    asked = request.query_texts(_LAST_EVENT_ID.name)
    if text := request.headers.get("last-event-id", ""):
        return read_event_id("Last-Event-ID", text)
    return read_event_id(_LAST_EVENT_ID.name, asked.get(_LAST_EVENT_ID.name, ""))


def read_event_id(name: str, text: str) -> int | None:
    """The id of an event that a text means, None where it is empty.

    Raises InvalidInput, which tells the ``name`` of what holds it.
    """
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_ID)):
        return min(int(text), _LARGEST_ID)
    raise InvalidInput(f"{name}: {text!r} is not the id of an event of this service")
