"""Erasing: a conversation that its owner wants gone."""

from http import HTTPStatus

from litestar import delete

from applyrate.api.operations import EVERY_KEY, OPERATION, Operation
from applyrate.api.parameters import SESSION_ID
from applyrate.api.request import Request


@delete(
    "/conversations/{session_id:str}",
    status_code=HTTPStatus.NO_CONTENT,
    opt={
        OPERATION: Operation(
            operation_id="eraseConversation",
            tag="Recording",
            summary="Erase a conversation",
            description=(
                "Erases the conversation, its replies and every trace of them: from counts, lists,"
                " exports and the spans that are kept, from the files, and from backups made later."
                " What is sent of it again is rejected. It cannot be undone.\n\n"
                "The answer is the same where nothing was known of it: then what is still on its"
                " way is rejected, too."
            ),
            scopes=("chat-sessions:write",),
            parameters=(SESSION_ID,),
            status=HTTPStatus.NO_CONTENT,
            answer_description="It is gone.",
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def erase_conversation(request: Request) -> None:
    """Erase one conversation; answers once nothing shows it any more."""
    session_id = request.path_text("session_id")
    caller = request.caller
    await request.services.housekeeping.erase(caller.org, [session_id], caller.actor)
