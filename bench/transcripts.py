"""Transcripts of the workload's replies: what was said in their conversations, made up."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from applyrate.usage import Invocation, Reply

_RULE = (
    "Do this only once the customer has confirmed it. Otherwise explain why it cannot be done now,"
    " and offer a person. "
)


def transcripts(replies: Sequence[Reply]) -> Iterator[dict[str, Any]]:
    """A conversation in the OpenAI chat form for each session, with its prompt and its tools."""

    def session_of(reply: Reply) -> str:
        return reply.session_id

    for session_id, of_session in groupby(sorted(replies, key=session_of), session_of):
        yield _transcript(session_id, list(of_session))


def _transcript(session_id: str, replies: Sequence[Reply]) -> dict[str, Any]:
    first = replies[0].available
    prompt = "\n".join(f"## {name}\n{2 * _RULE}" for name in first.instruction)
    messages: list[dict[str, Any]] = [{"role": "system", "content": prompt}]
    for reply in replies:
        messages.append({"role": "user", "content": _RULE})
        for invocation in reply.applied.action:
            name = invocation.id if isinstance(invocation, Invocation) else invocation
            messages.append(
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": name, "arguments": "{}"}}],
                    "created_at": reply.replied_at,
                }
            )
            messages.append({"role": "tool", "content": 3 * _RULE})
        messages.append({"role": "assistant", "content": 2 * _RULE, "created_at": reply.replied_at})
    tools = [{"function": {"name": name, "description": _RULE}} for name in first.action]
    return {"id": session_id, "messages": messages, "tools": tools}
