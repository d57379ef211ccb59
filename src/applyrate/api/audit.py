"""The audit log: who did what."""

from http import HTTPStatus
from typing import Final

from litestar import get

from applyrate.answers import AuditList
from applyrate.api.operations import EVERY_KEY, OPERATION, Operation
from applyrate.api.parameters import CURSOR, LIMIT
from applyrate.api.reading import in_thread, read_limit
from applyrate.api.request import Request
from applyrate.usage import AuditPosition, Window

_EXAMPLE: Final = {
    "items": [
        {
            "at": "2026-03-02T09:12:44.250000Z",
            "actor": "key:key_9f2c4e1ab03d5c77",
            "action": "conversation.erase",
            "target": "6f1ed002ab5595859014ebf0951522d9",
            "detail": None,
        },
        {
            "at": "2026-03-01T09:00:00.104233Z",
            "actor": "session:key_9f2c4e1ab03d5c77",
            "action": "key.create",
            "target": "key_04d1b2c3a4f5e697",
            "detail": "reporting: chat-sessions:read, training:read",
        },
    ],
    "next": None,
}


@get(
    "/audit",
    opt={
        OPERATION: Operation(
            operation_id="listAudit",
            tag="Keys",
            summary="List who did what",
            description=(
                "The organization's audit log, newest first: keys made and revoked, conversations"
                " and messages erased, replies that retention removed, exports, and settings"
                " changed. No entry is ever changed or removed, and none holds a key's secret or an"
                " erased id."
            ),
            scopes=("org:read",),
            parameters=(CURSOR, LIMIT),
            answer=AuditList,
            answer_description="A page of the log.",
            example=_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def list_audit(request: Request) -> AuditList:
    """Answer a page."""
    query = request.query_texts("limit", "cursor")
    question = request.question("audit", window=Window())
    limit = read_limit(query)
    after = question.position(query.get("cursor"), AuditPosition)
    store, org = request.services.store, request.caller.org
    page = await in_thread(request, lambda: store.audit(org, limit=limit, after=after))
    return AuditList(page.items, question.cursor(page.next))
