"""Conversations in the OpenAI chat form, read as replies.

    {"id": "c_1", "messages": [{"role": "user", "content": "Hi", "created_at": 1767225600}, ...]}

- A reply is the run of assistant messages, with the tool results among them, between two user
  messages. Its time is that of its last assistant message; a message without a time takes the last
  one known before it.
- Each tool call in it is one invocation of the action of that name.
- The headings of the system messages that came before are the instructions it had available. A
  system message without headings is one instruction.
- What its transcript offers as ``tools`` are the actions it had available.
- The call of a handoff action hands the conversation off.

Nothing says which instruction was applied, or which knowledge was there.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from applyrate.errors import InvalidInput
from applyrate.intake.decoding import decode
from applyrate.intake.prompts import identifier, instructions
from applyrate.usage import (
    EVERY_TYPE,
    Applied,
    Available,
    Identifier,
    Invocation,
    Reply,
    ResourceType,
    utc,
)

HANDOFF_ACTIONS = ("transfer_to_human_agents", "escalate_to_human")

_REPORTS = frozenset({ResourceType.ACTION})
_MAX_MESSAGE = 65_536

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Named(Struct, frozen=True):
    """The part of a call, or of an offered tool, that names it."""

    name: Identifier


class ToolCall(Struct, frozen=True):
    """One call of a tool by an assistant message."""

    id: str | None = None
    function: Named | None = None
    custom: Named | None = None


class Tool(Struct, frozen=True):
    """A tool that the model was offered; one without a name is the model's own."""

    function: Named | None = None
    custom: Named | None = None


class Part(Struct, frozen=True):
    """A piece of a message's content; an image or a sound has no text."""

    text: str | None = None
    refusal: str | None = None


class ChatMessage(Struct, frozen=True):
    """One message. ``created_at`` is ISO 8601 (UTC where it has no offset) or unix seconds."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[str | Part] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Named | None = None
    created_at: datetime | float | None = None
    id: Identifier | Number | None = None


class Conversation(Struct, frozen=True):
    """A conversation as it stands in a transcript. Fields that are not named here are ignored."""

    id: Identifier | Number
    messages: list[ChatMessage]
    tools: list[Tool] | None = None
    created_at: datetime | float | None = None


class Transcript(Struct, frozen=True):
    """What a transcript says: its replies, when it was handed off, and instructions' names by id.

    ``reports``: the types whose application such a transcript is able to tell.
    """

    session_id: str
    replies: Sequence[Reply]
    handed_off_at: datetime | None = None
    instruction_names: Mapping[str, str] = {}
    reports: frozenset[ResourceType] = EVERY_TYPE


def read_transcript(raw: bytes, handoff_actions: Collection[str] = HANDOFF_ACTIONS) -> Transcript:
    """The replies of one conversation in JSON. Raises InvalidInput that names the fault."""
    # No text that is stored may hold U+0000; what a tool returned may, and is not stored.
    conversation = decode(raw.replace(rb"\u0000", rb"\ufffd"), _CONVERSATION, "the conversation")
    return derive_replies(conversation, handoff_actions)


def derive_replies(
    conversation: Conversation, handoff_actions: Collection[str] = HANDOFF_ACTIONS
) -> Transcript:
    """The replies of one conversation.

    A reply's id is made of the conversation's and that of its first message, or else its place, so
    that a transcript read again, or a longer one of the same conversation, gives the same ids.

    Raises InvalidInput for a reply without a time and for a message id that comes twice.
    """
    session_id = str(conversation.id)
    offered = _offered(conversation)
    runs = list(_runs(conversation))
    replies = [_reply(session_id, place, run, offered) for place, run in enumerate(runs, start=1)]
    for reply_id, count in Counter(reply.reply_id for reply in replies).items():
        if count > 1:
            raise InvalidInput(f"messages: {count} replies have the id {reply_id!r}")
    handoffs = (reply for reply in replies if _names(reply) & set(handoff_actions))
    handoff = next(handoffs, None)
    return Transcript(
        session_id,
        replies,
        handed_off_at=handoff.replied_at if handoff else None,
        instruction_names=runs[-1][-1].instructions if runs else {},
        reports=_REPORTS,
    )


class _Said(Struct, frozen=True):
    """An assistant message with what stood before it: a time, and instructions with names."""

    index: int
    message: ChatMessage
    at: datetime | None
    instructions: Mapping[str, str]


def _runs(conversation: Conversation) -> Iterator[list[_Said]]:
    """The assistant messages between two user messages, run by run."""
    at = _instant("created_at", conversation.created_at)
    named: dict[str, str] = {}
    run: list[_Said] = []
    for index, message in enumerate(conversation.messages):
        at = _instant(f"messages[{index}].created_at", message.created_at) or at
        match message.role:
            case "system" | "developer":
                named = {**named, **instructions(_text(message))}
            case "assistant":
                run.append(_Said(index, message, at, named))
            case "user" if run:
                yield run
                run = []
    if run:
        yield run


def _reply(session_id: str, place: int, run: Sequence[_Said], offered: list[str]) -> Reply:
    first, last = run[0], run[-1]
    if last.at is None:
        raise InvalidInput(
            f"messages[{last.index}]: neither this message nor one before it has a created_at"
        )
    own_id = first.message.id
    texts = (_text(said.message) for said in reversed(run))
    return Reply(
        reply_id=identifier(
            f"{session_id}#{place}" if own_id is None else f"{session_id}:{own_id}"
        ),
        session_id=session_id,
        replied_at=last.at,
        available=Available(instruction=list(last.instructions), action=offered),
        applied=Applied(action=list(_invocations(said.message for said in run))),
        last_message=_shortened(next((text for text in texts if text.strip()), None)),
    )


def _invocations(messages: Iterable[ChatMessage]) -> Iterator[str | Invocation]:
    """Every call of a run as an invocation of its own, also where the source repeats a call id."""
    seen: Counter[tuple[str, str]] = Counter()
    for message in messages:
        for call in message.tool_calls or ():
            name = _name(call)
            if not call.id:
                yield name
                continue
            seen[name, call.id] += 1
            again = seen[name, call.id]
            yield Invocation(name, identifier(call.id if again == 1 else f"{call.id}#{again}"))
        if message.function_call and not message.tool_calls:
            yield message.function_call.name


def _name(call: ToolCall) -> str:
    named = call.function or call.custom
    if named is None:
        raise InvalidInput("tool_calls: a call has neither a `function` nor a `custom` with a name")
    return named.name


def _offered(conversation: Conversation) -> list[str]:
    named = (tool.function or tool.custom for tool in conversation.tools or ())
    return sorted({tool.name for tool in named if tool})


def _names(reply: Reply) -> set[str]:
    return {action if isinstance(action, str) else action.id for action in reply.applied.action}


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    texts = (
        part if isinstance(part, str) else part.text or part.refusal
        for part in message.content or ()
    )
    return "\n".join(text for text in texts if text) or message.refusal or ""


def _shortened(text: str | None) -> str | None:
    if text is None or len(text) <= _MAX_MESSAGE:
        return text
    return text[: _MAX_MESSAGE - 1] + "…"


def _instant(name: str, value: datetime | float | None) -> datetime | None:
    if value is None:
        return None
    try:
        return utc(value) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        shown = value.isoformat() if isinstance(value, datetime) else f"{value:.15g} unix seconds"
        raise InvalidInput(f"{name}: {shown} is outside the years 1 to 9999") from None


_CONVERSATION: Final = msgspec.json.Decoder(Conversation)
