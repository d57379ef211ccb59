"""Insights: what of an agent is dead weight."""

from http import HTTPStatus
from typing import Final

from litestar import Response, get

from applyrate.answers import UnusedList
from applyrate.api.bodies import CSV, JSON
from applyrate.api.csv_answers import answer_csv
from applyrate.api.operations import EVERY_KEY, OPERATION, SCOPES_TOLD, Operation
from applyrate.api.parameters import CURSOR, FORMAT, FROM, LIMIT, TO, TYPE
from applyrate.api.reading import (
    TableFormat,
    in_thread,
    read_format,
    read_limit,
    read_window,
    readable_type,
)
from applyrate.api.request import Request
from applyrate.errors import InvalidInput
from applyrate.usage import ResourceType, UnusedPosition, UnusedResource

_EXAMPLE: Final = {
    "items": [
        {
            "resource_id": "ins_fax",
            "name": "Orders by fax",
            "url": "https://wiki.example.com/agent/fax",
            "reason": "stopped",
            "available_replies": 4410,
            "available_sessions": 1250,
            "last_used_at": "2025-11-02T14:08:31Z",
        },
        {
            "resource_id": "ins_outage",
            "name": "While the shop is down",
            "url": None,
            "reason": "kept",
            "available_replies": 4102,
            "available_sessions": 1191,
            "last_used_at": None,
        },
    ],
    "next": None,
    "applied_signal": True,
}


@get(
    "/insights/unused",
    opt={
        OPERATION: Operation(
            operation_id="listUnused",
            tag="Insights",
            summary="List the resources that nothing was applied of",
            description=(
                "Every resource of the type, seen or catalogued, without an application inside the"
                " window, and why. First those that were in context the most often for nothing."
                "\n\n`reason` is the first that holds: `kept` on purpose, as the catalogue says;"
                " `stopped`, applied before the window's end and not inside it; `never_applied`,"
                " available inside the window; `never_available`."
                "\n\n`applied_signal` is false where no sender is able to report that a resource of"
                " this type was applied: then nobody knows what is unused."
                f"\n\n{SCOPES_TOLD}"
            ),
            parameters=(TYPE, CURSOR, LIMIT, FROM, TO, FORMAT),
            answer=UnusedList,
            answer_types=(JSON, CSV),
            answer_description="A page of resources.",
            example=_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def list_unused(request: Request) -> UnusedList | Response[bytes]:
    """Answer from a thread: the question scans."""
    query = request.query_texts("type", "from", "to", "limit", "cursor", "format")
    if "type" not in query:
        raise InvalidInput(f"type: missing; send one of {', '.join(ResourceType)}")
    resource_type = readable_type(request, query["type"], "type")
    window = read_window(query)
    form = read_format(query)
    question = request.question("unused", resource_type, window=window)
    limit = read_limit(query)
    after = question.position(query.get("cursor"), UnusedPosition)
    store, org = request.services.store, request.caller.org

    def answer() -> UnusedList:
        # Asked first: a signal never goes away, so where there is one, nothing here lacked it.
        applied_signal = resource_type in store.applied_signal(org)
        page = store.unused(org, resource_type, window, limit=limit, after=after)
        return UnusedList(page.items, question.cursor(page.next), applied_signal)

    page = await in_thread(request, answer)
    if form is TableFormat.CSV:
        name = f"unused-{resource_type}"
        return answer_csv(request, name, UnusedResource, page.items, cursor=page.next)
    return page
