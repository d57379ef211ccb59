"""One conversation: what each of its replies had and applied."""

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
from litestar import get

from applyrate.api.operations import EVERY_KEY, OPERATION, READ_SCOPES, Operation
from applyrate.api.parameters import SESSION_ID
from applyrate.api.reading import in_thread
from applyrate.api.request import Request
from applyrate.errors import NotFound
from applyrate.usage import Conversation, ResourceType

_EXAMPLE: Final = {
    "session_id": "conv_7",
    "ticket_number": 1234,
    "last_message": "Your refund is on its way.",
    "handed_off_at": None,
    "status": "resolved",
    "csat": 4.5,
    "replies": [
        {
            "reply_id": "r_81",
            "replied_at": "2026-03-01T10:00:00.250000Z",
            "available": {
                "action": ["lookup_order"],
                "instruction": ["ins_tone", "ins_refund"],
                "knowledge": ["kb_7", "kb_9"],
            },
            "applied": {
                "action": ["lookup_order", "lookup_order"],
                "instruction": ["ins_refund"],
                "knowledge": ["kb_7"],
            },
        }
    ],
}


@get(
    "/conversations/{session_id:str}/usage",
    opt={
        OPERATION: Operation(
            operation_id="getConversationUsage",
            tag="Resource usage",
            summary="Show what each reply of a conversation had and applied",
            description=(
                "What is known of the conversation, and its replies in the order of their times"
                " with the resources that each had available and applied, an action once for each"
                " invocation."
                "\n\nNeeds the scope `chat-sessions:read`. Types that the key may not read"
                " (`training:read` for instructions and knowledge, `actions:read` for actions) are"
                " left out."
            ),
            scopes=("chat-sessions:read",),
            parameters=(SESSION_ID,),
            answer=Conversation,
            answer_description="The conversation.",
            example=_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, *EVERY_KEY),
        )
    },
)
async def get_conversation_usage(request: Request) -> Conversation:
    """Answer from a thread: a conversation has as many replies as it likes."""
    session_id = request.path_text("session_id")
    ask = request.services.store.conversation
    found = await in_thread(request, partial(ask, request.caller.org, session_id))
    if found is None:
        raise NotFound(f"session_id: nothing is recorded of a conversation {session_id!r}")
    return _only(found, _readable_types(request))


def _readable_types(request: Request) -> list[ResourceType]:
    scopes = request.caller.scopes
    return [
        resource_type
        for resource_type in ResourceType
        if scopes is None or scopes.issuperset(READ_SCOPES[resource_type])
    ]


def _only(conversation: Conversation, types: Sequence[ResourceType]) -> Conversation:
    """The conversation with the resources of these types alone."""

    def pick(usages: Mapping[ResourceType, Sequence[str]]) -> dict[ResourceType, Sequence[str]]:
        return {resource_type: usages.get(resource_type, ()) for resource_type in types}

    replies = [
        msgspec.structs.replace(reply, available=pick(reply.available), applied=pick(reply.applied))
        for reply in conversation.replies
    ]
    return msgspec.structs.replace(conversation, replies=replies)
