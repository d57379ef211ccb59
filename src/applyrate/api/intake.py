"""The intake: what came in and gave no reply."""

from typing import Final

from litestar import get

from applyrate.answers import UnattributedList
from applyrate.api.operations import EVERY_KEY, OPERATION, Operation
from applyrate.api.request import Request

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
