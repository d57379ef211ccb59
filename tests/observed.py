"""Spans as the inbox keeps them, made up in few words."""

from typing import Any

from applyrate.intake.spans import Evidence, ObservedSpan, ToolCall

TRACE = "ab" * 16
AT = 1_772_359_200_000_000
"""2026-03-01T10:00:00Z in microseconds since 1970."""


def observed(
    name: str,
    parent: str | None = None,
    *,
    at: tuple[int, int] = (0, 10),
    trace_id: str = TRACE,
    service: str = "agent",
    is_entry: bool = False,
    **evidence: Any,
) -> ObservedSpan:
    """A span by its name, which is its id, too; ``at`` has its start and end in seconds.

    It is work of an agent, and tells what ``evidence`` says.
    """
    told = {"dialects": ("genai",), "is_work": True, **evidence}
    return ObservedSpan(
        trace_id=trace_id,
        span_id=span_id(name),
        parent_id=None if parent is None else span_id(parent),
        name=name,
        started_at=AT + at[0] * 1_000_000,
        ended_at=AT + at[1] * 1_000_000,
        service=service,
        is_entry=is_entry,
        evidence=Evidence(**told),
    )


def agent(name: str, parent: str | None = None, **more: Any) -> ObservedSpan:
    """An agent's span, in the conversation ``conv`` unless it is said otherwise."""
    return observed(
        name, parent, **{"is_reply": True, "conversation": {"session.id": "conv"}, **more}
    )


def executed(
    name: str, parent: str | None, action: str, call_id: str | None = None
) -> ObservedSpan:
    """The execution of an action."""
    return observed(name, parent, executed=ToolCall(action, call_id))


def requested(name: str, parent: str | None, *calls: tuple[str, str | None]) -> ObservedSpan:
    """A model's span that asks for actions."""
    return observed(name, parent, requested=tuple(ToolCall(*call) for call in calls))


def noise(name: str, parent: str | None = None, **more: Any) -> ObservedSpan:
    """A span that no agent made, of HTTP or a database."""
    return observed(name, parent, **{"dialects": (), "is_work": False, **more})


def span_id(name: str) -> str:
    """Sixteen hexadecimal digits for a name."""
    return name.encode().hex().ljust(16, "0")[:16]
