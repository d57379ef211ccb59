"""Counting: the three questions about the usage of resources."""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

from litestar import get

from applyrate.answers import ConversationUsageList, ResourceUsageList
from applyrate.api.cursors import Question
from applyrate.api.operations import EVERY_KEY, OPERATION, READ_SCOPES, Operation
from applyrate.api.parameters import (
    CURSOR,
    DEFAULT_LIMIT,
    FROM,
    LIMIT,
    MAX_LIMIT,
    RESOURCE_ID,
    RESOURCE_TYPE,
    TO,
    USAGE,
)
from applyrate.api.request import Request
from applyrate.errors import InvalidInput
from applyrate.usage import (
    ConversationPosition,
    ResourcePosition,
    ResourceType,
    UsageKind,
    UsageSummary,
    Window,
)

T = TypeVar("T")


_SCOPES_TOLD: Final = (
    "Needs the scopes `training:read` (`actions:read` for actions) and `chat-sessions:read`."
)

_COUNTS_EXAMPLE: Final = {
    "session_count": 214,
    "applied_sessions": 214,
    "applied_replies": 388,
    "available_sessions": 1250,
    "available_replies": 4410,
    "first_used_at": "2026-03-01T08:12:44.250000Z",
    "last_used_at": "2026-03-31T21:40:03Z",
}


@get(
    "/resource-usage/{resource_type:str}/{resource_id:str}/usage-summary",
    opt={
        OPERATION: Operation(
            operation_id="getResourceUsageSummary",
            tag="Resource usage",
            summary="Count the usage of one resource",
            description=(
                "In how many conversations and replies a resource was applied, in how many it was"
                " available, and when it was first and last applied, inside the window or of all"
                " time. A resource that nobody recorded counts zero."
                f"\n\n{_SCOPES_TOLD}"
            ),
            parameters=(FROM, TO, RESOURCE_TYPE, RESOURCE_ID),
            answer=UsageSummary,
            answer_description="The counts.",
            example=_COUNTS_EXAMPLE,
            as_published=True,
        )
    },
)
async def get_summary(request: Request) -> UsageSummary:
    """Answer inside the event loop: the cost is small and bounded, and no thread is as quick."""
    resource_type = _resource_type(request)
    resource_id = request.path_text("resource_id")
    window = _window(request.query_texts("from", "to"))
    return request.services.store.summary(request.caller.org, resource_type, resource_id, window)


@get(
    "/resource-usage/{resource_type:str}",
    opt={
        OPERATION: Operation(
            operation_id="listResourceUsage",
            tag="Resource usage",
            summary="List the usage of all resources of a type",
            description=(
                "Every resource of the type that was available or applied inside the window, with"
                " its counts, the most recently applied first. `handoff_count`: of the"
                " conversations that applied it, how many were handed off to a person. `name`,"
                " where one is known, is what a person recognises it by."
                "\n\n`applied_signal` is false where no sender is able to report that a resource of"
                " this type was applied: then its zeros do not mean that none was."
                f"\n\n{_SCOPES_TOLD}"
            ),
            parameters=(CURSOR, LIMIT, FROM, TO, RESOURCE_TYPE),
            answer=ResourceUsageList,
            answer_description="A page of resources.",
            example={
                "items": [
                    {
                        "resource_id": "ins_refund",
                        "name": "Refunds",
                        **_COUNTS_EXAMPLE,
                        "handoff_count": 17,
                    }
                ],
                "next": "kNk3rVd0mJOWr2luc190b25lwg",
                "applied_signal": True,
            },
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def list_resources(request: Request) -> ResourceUsageList:
    """Answer from a thread: the question scans."""
    resource_type = _resource_type(request)
    query = request.query_texts("from", "to", "limit", "cursor")
    window = _window(query)
    question = Question("resources", resource_type, window=window)
    limit = _limit(query.get("limit"))
    after = question.position(query.get("cursor"), ResourcePosition)
    store, org = request.services.store, request.caller.org

    def answer() -> ResourceUsageList:
        page = store.resources(org, resource_type, window, limit=limit, after=after)
        # Asked last: a signal never goes away, so an application on the page always has one.
        applied_signal = resource_type in store.applied_signal(org)
        return ResourceUsageList(page.items, question.cursor(page.next), applied_signal)

    return await _in_thread(request, answer)


@get(
    "/resource-usage/{resource_type:str}/{resource_id:str}/conversations",
    opt={
        OPERATION: Operation(
            operation_id="listResourceConversations",
            tag="Resource usage",
            summary="List the conversations that used a resource",
            description=(
                "One row for each conversation that applied the resource inside the window (or,"
                " with `usage=available`, had it available), newest use first. `reply_count` counts"
                " its replies that did."
                f"\n\n{_SCOPES_TOLD}"
            ),
            parameters=(USAGE, CURSOR, LIMIT, FROM, TO, RESOURCE_TYPE, RESOURCE_ID),
            answer=ConversationUsageList,
            answer_description="A page of conversations.",
            example={
                "items": [
                    {
                        "session_id": "conv_7",
                        "reply_count": 2,
                        "ticket_number": 1234,
                        "last_message": "Your refund is on its way.",
                        "first_used_at": "2026-03-01T10:00:00.250000Z",
                        "last_used_at": "2026-03-01T10:03:12Z",
                    }
                ],
                "next": None,
            },
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def list_conversations(request: Request) -> ConversationUsageList:
    """Answer from a thread: the question scans."""
    resource_type = _resource_type(request)
    resource_id = request.path_text("resource_id")
    query = request.query_texts("from", "to", "limit", "cursor", "usage")
    window = _window(query)
    kind = _usage(query.get("usage"))
    question = Question("conversations", resource_type, resource_id, kind, window=window)
    page = await _in_thread(
        request,
        partial(
            request.services.store.conversations,
            request.caller.org,
            resource_type,
            resource_id,
            window,
            kind=kind,
            limit=_limit(query.get("limit")),
            after=question.position(query.get("cursor"), ConversationPosition),
        ),
    )
    return ConversationUsageList(page.items, question.cursor(page.next))


def _resource_type(request: Request) -> ResourceType:
    """The type that the path names, once the caller is known to hold its scopes."""
    text = request.path_text("resource_type")
    try:
        resource_type = ResourceType(text)
    except ValueError:
        raise InvalidInput(
            f"resource_type: {text!r} is not one of {', '.join(ResourceType)}"
        ) from None
    request.caller.require(READ_SCOPES[resource_type])
    return resource_type


def _window(query: dict[str, str]) -> Window:
    return Window.parse(query.get("from"), query.get("to"))


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)):
        limit = int(text)
        if 1 <= limit <= MAX_LIMIT:
            return limit
    raise InvalidInput(f"limit: {text!r} is not a whole number from 1 to {MAX_LIMIT}")


def _usage(text: str | None) -> UsageKind:
    if text is None:
        return UsageKind.APPLIED
    try:
        return UsageKind(text)
    except ValueError:
        raise InvalidInput(f"usage: {text!r} is not one of applied, available") from None


async def _in_thread(request: Request, question: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(request.services.readers, question)
