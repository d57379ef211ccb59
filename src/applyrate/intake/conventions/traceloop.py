"""Traceloop's OpenLLMetry, in its present form and in the one before it spoke OpenTelemetry's.

https://github.com/traceloop/openllmetry
"""

from collections.abc import Mapping, Sequence
from typing import Final

from applyrate.intake.conventions import documents
from applyrate.intake.conventions.instructions import read_instructions
from applyrate.intake.conventions.messages import SYSTEM_ROLES, read_output
from applyrate.intake.conventions.values import distinct, identifier_of, indexed
from applyrate.intake.spans import Evidence, Span, SpanEvent, ToolCall, Value

_Given = Mapping[str, Value]
_MARKS: Final = frozenset(
    {
        "traceloop.span.kind",
        "traceloop.entity.output",
        "traceloop.prompt.key",
        "llm.request.type",
        "gen_ai.prompt.0.role",
        "gen_ai.completion.0.role",
    }
)
_REPLIES: Final = ("workflow", "agent")
_MODEL_CALLS: Final = ("chat", "completion")
_FOUND: Final = {
    "db.query.result": "db.query.result.id",
    "db.search.result": "db.search.result.id",
}


def read(span: Span) -> Evidence | None:
    """What a span tells by these conventions."""
    given = span.attributes
    if _MARKS.isdisjoint(given):
        return _task(span) if span.events else None
    kind = given.get("traceloop.span.kind")
    if kind in _REPLIES:
        return Evidence(
            dialects=("traceloop",), is_reply=True, is_work=True, instructions=_prompt(span)
        )
    if kind == "tool":
        return _execution(span)
    if kind is None and _calls_a_model(given):
        return _generation(span)
    return _task(span)


def _execution(span: Span) -> Evidence:
    given = span.attributes
    name = identifier_of(given.get("traceloop.entity.name"))
    is_told = "gen_ai.tool.call.result" in given
    return Evidence(
        dialects=("traceloop",),
        is_work=True,
        instructions=_prompt(span),
        executed=None if name is None else ToolCall(name),
        retrieved=() if is_told else documents.in_result(given.get("traceloop.entity.output")),
    )


def _task(span: Span) -> Evidence | None:
    """A step of a graph tells nothing, but for the documents that it found."""
    given = span.attributes
    operation = given.get("gen_ai.operation.name")
    is_retrieval = operation == "vector_db_retrieve"
    found = _search(span.events)
    if is_retrieval or (operation is None and _holds_documents(given)):
        found += documents.retrieved(given.get("traceloop.entity.output"))
    instructions = _prompt(span)
    if not is_retrieval and not found and not instructions:
        return None
    return Evidence(
        dialects=("traceloop",),
        is_work=is_retrieval or bool(found),
        instructions=instructions,
        retrieved=distinct(found),
    )


def _search(events: Sequence[SpanEvent]) -> tuple[str, ...]:
    """A vector database's answer is one event for each document."""
    return distinct(
        identifier_of(event.attributes.get(_FOUND[event.name]))
        for event in events
        if event.name in _FOUND
    )


def _generation(span: Span) -> Evidence:
    given = span.attributes
    prompts = indexed(given, "gen_ai.prompt.")
    completions = indexed(given, "gen_ai.completion.")
    contents = [each.get("content") for each in prompts if each.get("role") in SYSTEM_ROLES]
    texts = [text for each in completions if (text := read_output(each).text)]
    offered = (identifier_of(f.get("name")) for f in indexed(given, "llm.request.functions."))
    return Evidence(
        dialects=("traceloop",),
        is_work=True,
        instructions=_prompt(span) | read_instructions(span, contents),
        actions=distinct(offered),
        requested=tuple(
            ToolCall(name, identifier_of(call.get("id")))
            for each in completions
            for call in indexed(each, "tool_calls.")
            if (name := identifier_of(call.get("name"))) is not None
        ),
        output=texts[-1] if texts else "",
    )


def _prompt(span: Span) -> dict[str, str]:
    return read_instructions(span, (), span.attributes.get("traceloop.prompt.key"))


def _calls_a_model(given: _Given) -> bool:
    return (
        given.get("llm.request.type") in _MODEL_CALLS
        or "gen_ai.prompt.0.role" in given
        or "gen_ai.completion.0.role" in given
    )


def _holds_documents(given: _Given) -> bool:
    output = given.get("traceloop.entity.output")
    return isinstance(output, str) and '"documents"' in output
