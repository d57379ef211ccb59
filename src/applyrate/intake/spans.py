"""Spans as OpenTelemetry means them, whatever encoding they came in, and what one of them tells.

What OpenTelemetry calls a *resource* (whatever emitted a span) is an *emitter* here, since a
resource is something else in this house.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

Value: TypeAlias = "bool | int | float | str | bytes | Sequence[Value] | Mapping[str, Value] | None"
"""The value of an attribute."""


class SpanEvent(Struct, frozen=True):
    """Something that happened while a span was open."""

    name: str
    attributes: Mapping[str, Value]


class Span(Struct, frozen=True):
    """One finished operation of a trace.

    ``trace_id`` has 32 hexadecimal digits, ``span_id`` and ``parent_id`` 16, in lower case.
    ``parent_id`` is None for the root. Times are microseconds since 1970 in UTC. ``service`` is
    the emitter's ``service.name``, ``emitter`` has all of the emitter's attributes. ``is_entry``:
    its parent is said to be in another process.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    started_at: int
    ended_at: int
    attributes: Mapping[str, Value]
    events: Sequence[SpanEvent] = ()
    service: str = ""
    emitter: Mapping[str, Value] = {}
    is_entry: bool = False


class ToolCall(Struct, frozen=True, array_like=True, omit_defaults=True):
    """One call of an action; ``call_id`` is the source's, where it gives one."""

    name: str
    call_id: str | None = None


class Evidence(Struct, frozen=True, kw_only=True, array_like=True):
    """What one span tells of the reply that it belongs to. All empty: nothing.

    - ``dialects``: the conventions that found something in it.
    - ``is_reply``: it is an agent or workflow span; the outermost of a trace is a reply.
    - ``is_work``: it is part of answering (an agent, model, tool or retrieval span), and not of
      setting an agent up.
    - ``instructions``: available instructions by id, with the text that names each for a person
      (empty where there is none).
    - ``actions``: available actions.
    - ``executed``: the call that the span is the execution of.
    - ``requested``: calls that the model's output asks for; they count where no execution does.
    - ``retrieved`` and ``reranked``: documents that were found; a reranker's choice supersedes.
    - ``cited``: ids that the output cites; they count where the document was retrieved.
    - ``available_knowledge``, ``applied_knowledge``, ``applied_instructions``: said in so many
      words.
    - ``output``: what the agent says to the person, the last text of it.
    - ``conversation``: the attributes found that hold a conversation's id, by name.
    - ``labels``: the span's short attributes, for a person who looks for the conversation's id;
      left empty where ``conversation`` has it.
    - ``is_excluded``: it is evaluation or test traffic.
    """

    dialects: tuple[str, ...] = ()
    is_reply: bool = False
    is_work: bool = False
    instructions: dict[str, str] = {}
    actions: tuple[str, ...] = ()
    executed: ToolCall | None = None
    requested: tuple[ToolCall, ...] = ()
    retrieved: tuple[str, ...] = ()
    reranked: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()
    available_knowledge: tuple[str, ...] = ()
    applied_knowledge: tuple[str, ...] = ()
    applied_instructions: tuple[str, ...] = ()
    output: str = ""
    conversation: dict[str, str] = {}
    labels: dict[str, str] = {}
    is_excluded: bool = False


class ObservedSpan(Struct, frozen=True, array_like=True):
    """A span's place in its trace and what it tells: all that is kept of it."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    started_at: int
    ended_at: int
    service: str
    is_entry: bool
    evidence: Evidence
