"""The intake: what came in and gave no reply, and what was not taken at all."""

from http import HTTPStatus
from typing import Final

from litestar import get

from applyrate.answers import RejectedList, UnattributedList
from applyrate.api.operations import EVERY_KEY, OPERATION, Operation
from applyrate.api.parameters import CURSOR, LIMIT
from applyrate.api.reading import in_thread, read_limit
from applyrate.api.request import Request
from applyrate.intake.rejections import RejectedPosition
from applyrate.usage import Window

_EXAMPLE: Final = {
    "items": [
        {
            "service": "support-agent",
            "trace_count": 214,
            "first_at": "2026-03-01T08:12:44.250000Z",
            "last_at": "2026-03-31T21:40:03Z",
            "missing": ["conversation"],
            "problem": None,
            "dialects": ["genai"],
            "attributes": [
                {"name": "app.chat_id", "trace_count": 214, "examples": ["c_812", "c_809", "c_7"]},
                {"name": "service.version", "trace_count": 214, "examples": ["1.4.2", "1.4.1"]},
            ],
            "newest_trace_id": "5b8efff798038103d269b633813fc60c",
        }
    ],
    "mapped_attributes": [],
    "waiting_count": 2,
    "excluded_count": 31,
}


@get(
    "/intake/unattributed",
    opt={
        OPERATION: Operation(
            operation_id="listUnattributed",
            tag="Recording",
            summary="List the traces that gave no reply",
            description=(
                "The traces of agents that were taken and counted nowhere, by service and by what"
                " is missing: most often an attribute that names the conversation. `attributes` are"
                " those that might hold it, the most promising first; `applyrate attribute` maps"
                " one, and the traces become replies. The 100 largest groups are listed."
            ),
            scopes=("chat-sessions:read",),
            answer=UnattributedList,
            answer_description="The traces, and how many others there are.",
            example=_EXAMPLE,
            errors=EVERY_KEY,
        )
    },
)
async def list_unattributed(request: Request) -> UnattributedList:
    """Answer from a thread: the question scans."""
    return await request.services.traces.unattributed(request.caller.org)


_REJECTED_EXAMPLE: Final = {
    "items": [
        {
            "rejected_at": "2026-03-31T21:40:03.125000Z",
            "source": "replies",
            "reason": "replied_at: is not an ISO 8601 date-time such as 2026-03-01T10:00:00Z",
            "message": "replied_at: '2026-13-01' is not an ISO 8601 date-time such as"
            " 2026-03-01T10:00:00Z",
            "index": 1,
            "line": None,
            "reply_id": "r_82",
            "trace_id": None,
        }
    ],
    "next": None,
    "reasons": [
        {
            "source": "replies",
            "reason": "replied_at: is not an ISO 8601 date-time such as 2026-03-01T10:00:00Z",
            "rejected_count": 12,
            "last_at": "2026-03-31T21:40:03.125000Z",
            "days": [
                {"day": "2026-03-30", "rejected_count": 11},
                {"day": "2026-03-31", "rejected_count": 1},
            ],
        }
    ],
}


@get(
    "/intake/rejected",
    opt={
        OPERATION: Operation(
            operation_id="listRejected",
            tag="Recording",
            summary="List what was rejected, and why",
            description=(
                "What came in and was not taken: replies, spans, lines of imported files, and whole"
                " requests whose body could not be read. `items` are the newest 100, one by one."
                " `reasons` counts all of the last 30 days by source, reason and UTC day, the 100"
                " most frequent reasons first; a reason is the rule that was broken, without the"
                " value."
                "\n\nWhoever sent it was answered the same when it came; this is for whoever looks"
                " afterwards. It shows within about a second."
            ),
            scopes=("chat-sessions:read",),
            parameters=(CURSOR, LIMIT),
            answer=RejectedList,
            answer_description="A page of what was rejected, and all reasons.",
            example=_REJECTED_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def list_rejected(request: Request) -> RejectedList:
    """Answer from a thread: the question reads a file."""
    query = request.query_texts("limit", "cursor")
    question = request.question("rejected", window=Window())
    limit = read_limit(query)
    after = question.position(query.get("cursor"), RejectedPosition)
    inbox, org = request.services.traces.inbox, request.caller.org
    page, reasons = await in_thread(
        request, lambda: inbox.rejections(org, limit=limit, after=after)
    )
    return RejectedList(page.items, question.cursor(page.next), reasons)
