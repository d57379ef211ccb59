"""Counting: how often resources are used, and in which conversations."""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
from litestar import Response, get
from litestar.response.base import ASGIResponse
from msgspec import UNSET

from applyrate.answers import ConversationUsageList, ResourceUsageList, UsageComparison
from applyrate.api.bodies import CSV, JSON
from applyrate.api.csv_answers import answer_csv
from applyrate.api.operations import EVERY_KEY, OPERATION, SCOPES_TOLD, Operation
from applyrate.api.parameters import (
    COMPARE,
    CURSOR,
    FORMAT,
    FROM,
    LIMIT,
    RESOURCE_ID,
    RESOURCE_TYPE,
    TO,
    USAGE,
)
from applyrate.api.reading import (
    TableFormat,
    at_once,
    in_thread,
    path_type,
    read_choice,
    read_compare,
    read_format,
    read_limit,
    read_window,
)
from applyrate.api.request import Request
from applyrate.store import Store
from applyrate.usage import (
    ConversationPosition,
    ResourcePosition,
    ResourceType,
    ResourceUsage,
    UsageKind,
    UsageSummary,
    Window,
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
                " time. A resource that nobody recorded counts zero. With `compare=previous` the"
                " answer is that of `compareResourceUsage`."
                f"\n\n{SCOPES_TOLD}"
            ),
            parameters=(FROM, TO, RESOURCE_TYPE, RESOURCE_ID),
            answer=UsageSummary,
            answer_description="The counts.",
            example=_COUNTS_EXAMPLE,
            as_published=True,
        )
    },
)
async def get_summary(request: Request) -> ASGIResponse:
    """Answer at once: the cost is small and bounded.

    An answer stays ready to be sent for as long as it holds, for whoever may ask the same.
    """
    caller, asked = request.caller, (request.scope["raw_path"], request.scope["query_string"])
    key = (caller.org, caller.scopes, *asked)
    kept, answer = request.services.summaries, partial(_answer_summary, request)
    return await at_once(request, partial(kept.read, key, answer))


def _answer_summary(request: Request) -> ASGIResponse:
    resource_type = path_type(request)
    resource_id = request.path_text("resource_id")
    query = request.query_texts("from", "to", "compare")
    window = read_window(query)
    count = _compare if read_compare(query) else _count
    counted = count(request, resource_type, resource_id, window)
    return ASGIResponse(body=msgspec.json.encode(counted), media_type=JSON)


def _count(
    request: Request, resource_type: ResourceType, resource_id: str, window: Window
) -> UsageSummary:
    return request.services.store.summary(request.caller.org, resource_type, resource_id, window)


@get(
    "/resource-usage/{resource_type:str}/{resource_id:str}/comparison",
    opt={
        OPERATION: Operation(
            operation_id="compareResourceUsage",
            tag="Resource usage",
            summary="Compare the usage of one resource with that of the window before",
            description=(
                "The counts of the summary, and as `previous` those of the window of the same"
                " length that ends where this one starts. Both `from` and `to` are needed."
                f"\n\n{SCOPES_TOLD}"
            ),
            parameters=(
                msgspec.structs.replace(FROM, required=True),
                msgspec.structs.replace(TO, required=True),
                RESOURCE_TYPE,
                RESOURCE_ID,
            ),
            answer=UsageComparison,
            answer_description="The counts of both windows.",
            example={
                **_COUNTS_EXAMPLE,
                "previous": {
                    "session_count": 190,
                    "applied_sessions": 190,
                    "applied_replies": 341,
                    "available_sessions": 1191,
                    "available_replies": 4102,
                    "first_used_at": "2026-01-29T09:02:11Z",
                    "last_used_at": "2026-02-28T20:15:40Z",
                },
                "previous_window": {
                    "from_at": "2026-01-29T00:00:00Z",
                    "to_at": "2026-03-01T00:00:00Z",
                },
            },
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def compare(request: Request) -> UsageComparison:
    """Answer at once: two summaries."""
    window = read_window(request.query_texts("from", "to"))
    resource = path_type(request), request.path_text("resource_id")
    return await at_once(request, partial(_compare, request, *resource, window))


def _compare(
    request: Request, resource_type: ResourceType, resource_id: str, window: Window
) -> UsageComparison:
    before = window.before()
    count = partial(request.services.store.summary, request.caller.org, resource_type, resource_id)
    return UsageComparison(
        **msgspec.structs.asdict(count(window)), previous=count(before), previous_window=before
    )


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
                f"\n\n{SCOPES_TOLD}"
            ),
            parameters=(CURSOR, LIMIT, FROM, TO, COMPARE, FORMAT, RESOURCE_TYPE),
            answer=ResourceUsageList,
            answer_types=(JSON, CSV),
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
async def list_resources(request: Request) -> ResourceUsageList | Response[bytes]:
    """Answer from a thread: the question scans."""
    resource_type = path_type(request)
    query = request.query_texts("from", "to", "limit", "cursor", "compare", "format")
    window = read_window(query)
    before = window.before() if read_compare(query) else None
    form = read_format(query)
    question = request.question("resources", resource_type, window=window)
    limit = read_limit(query)
    after = question.position(query.get("cursor"), ResourcePosition)
    store, org = request.services.store, request.caller.org

    def answer() -> ResourceUsageList:
        page = store.resources(org, resource_type, window, limit=limit, after=after)
        items = page.items
        if before:
            items = _beside(store, org, resource_type, items, before)
        # Asked last: a signal never goes away, so an application on the page always has one.
        applied_signal = resource_type in store.applied_signal(org)
        return ResourceUsageList(items, question.cursor(page.next), applied_signal, before or UNSET)

    page = await in_thread(request, answer)
    if form is TableFormat.CSV:
        return answer_csv(
            request,
            f"{resource_type}-usage",
            ResourceUsage,
            page.items,
            nested=[("previous", UsageSummary)] if before else [],
            cursor=page.next,
        )
    return page


def _beside(
    store: Store,
    org: str,
    resource_type: ResourceType,
    items: Sequence[ResourceUsage],
    window: Window,
) -> list[ResourceUsage]:
    """The rows with their counts in another window beside them."""
    return [
        msgspec.structs.replace(
            item, previous=store.summary(org, resource_type, item.resource_id, window)
        )
        for item in items
    ]


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
                f"\n\n{SCOPES_TOLD}"
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
    resource_type = path_type(request)
    resource_id = request.path_text("resource_id")
    query = request.query_texts("from", "to", "limit", "cursor", "usage")
    window = read_window(query)
    kind = read_choice(UsageKind, "usage", query.get("usage", UsageKind.APPLIED))
    question = request.question("conversations", resource_type, resource_id, kind, window=window)
    page = await in_thread(
        request,
        partial(
            request.services.store.conversations,
            request.caller.org,
            resource_type,
            resource_id,
            window,
            kind=kind,
            limit=read_limit(query),
            after=question.position(query.get("cursor"), ConversationPosition),
        ),
    )
    return ConversationUsageList(page.items, question.cursor(page.next))
