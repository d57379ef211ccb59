"""OpenTelemetry's semantic conventions for generative AI, in their present and older forms.

https://github.com/open-telemetry/semantic-conventions-genai
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from applyrate.intake.conventions import documents
from applyrate.intake.conventions.instructions import read_instructions
from applyrate.intake.conventions.messages import Said, read_output, read_system
from applyrate.intake.conventions.tools import tool_names
from applyrate.intake.conventions.values import (
    distinct,
    first_identifier,
    identifier_of,
    objects,
    parsed,
)
from applyrate.intake.spans import Evidence, Span, SpanEvent, ToolCall, Value

_MESSAGES: Final = frozenset({"gen_ai.input.messages", "gen_ai.output.messages"})
_MARKS: Final = _MESSAGES | {
    "gen_ai.operation.name",
    "gen_ai.request.model",
    "gen_ai.tool.name",
    "gen_ai.retrieval.documents",
    "gen_ai.prompt.name",
}


def read(span: Span) -> Evidence | None:
    """What a span tells by these conventions."""
    given = span.attributes
    if _MARKS.isdisjoint(given) and not span.events:
        return None
    named = given.get("gen_ai.operation.name")
    reader = _READERS.get(named if isinstance(named, str) else _implied_operation(given))
    if reader is None:
        reader = _mention if _MESSAGES.isdisjoint(given) else _generation
    return reader(span)


def _implied_operation(given: Mapping[str, Value]) -> str:
    """The operation of a span from before operations had names."""
    if "gen_ai.tool.name" in given:
        return "execute_tool"
    if "gen_ai.retrieval.documents" in given:
        return "retrieval"
    return "chat" if "gen_ai.request.model" in given else ""


def _execution(span: Span) -> Evidence:
    given = span.attributes
    name = identifier_of(given.get("gen_ai.tool.name"))
    call_id = identifier_of(given.get("gen_ai.tool.call.id"))
    result = given.get("gen_ai.tool.call.result", given.get("tool_response"))
    return Evidence(
        dialects=("genai",),
        is_work=True,
        instructions=read_instructions(span, (), given.get("gen_ai.prompt.name")),
        executed=None if name is None else ToolCall(name, call_id),
        retrieved=documents.in_result(result),
        applied_knowledge=_cited(span),
    )


def _retrieval(span: Span) -> Evidence:
    return Evidence(
        dialects=("genai",),
        is_work=True,
        retrieved=documents.retrieved(span.attributes.get("gen_ai.retrieval.documents")),
        applied_knowledge=_cited(span),
    )


def _generation(span: Span, *, is_reply: bool = False, is_work: bool = True) -> Evidence:
    given = span.attributes
    told = [given]
    contents = []
    said = []
    if span.events or "events" in given:
        for name, body in _events(span):
            if name == "gen_ai.client.inference.operation.details":
                told.append(body)
            elif name == "gen_ai.system.message":
                contents.append(body.get("content"))
            elif name == "gen_ai.content.prompt":
                contents += read_system(body.get("gen_ai.prompt"))
            elif name == "gen_ai.content.completion":
                said.append(read_output(body.get("gen_ai.completion")))
            elif name == "gen_ai.choice":
                said.append(_choice(body))
    for holder in told:
        contents.append(holder.get("gen_ai.system_instructions"))
        contents += read_system(holder.get("gen_ai.input.messages"))
        said.append(read_output(holder.get("gen_ai.output.messages")))
    return Evidence(
        dialects=("genai",),
        is_reply=is_reply,
        is_work=is_work,
        instructions=read_instructions(span, contents, given.get("gen_ai.prompt.name")),
        actions=distinct(
            name for holder in told for name in tool_names(holder.get("gen_ai.tool.definitions"))
        ),
        # An agent repeats what its model calls asked for; only call ids tell that it does.
        requested=tuple(
            call for each in said for call in each.calls if call.call_id is not None or not is_reply
        ),
        retrieved=distinct(
            found
            for each in said
            for result in each.results
            for found in documents.in_result(result)
        ),
        applied_knowledge=_cited(span),
        output=next((each.text for each in reversed(said) if each.text), ""),
    )


def _mention(span: Span) -> Evidence | None:
    """What any span may say beside its operation: a prompt's name, and citations."""
    instructions = read_instructions(span, (), span.attributes.get("gen_ai.prompt.name"))
    cited = _cited(span)
    if not instructions and not cited:
        return None
    return Evidence(dialects=("genai",), instructions=instructions, applied_knowledge=cited)


def _events(span: Span) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """The events of a span, with the attributes and the body of each as one."""
    for event in span.events:
        body = parsed(event.attributes.get("gen_ai.event.content"))
        yield (
            event.name,
            {**event.attributes, **body} if isinstance(body, dict) else event.attributes,
        )
    # Some kept the events in an attribute of the span.
    for entry in objects(span.attributes.get("events")):
        if isinstance(name := entry.get("event.name"), str):
            yield name, entry


def _choice(body: Mapping[str, Value]) -> Said:
    message = body.get("message", body.get("message.content"))
    if message is None:
        return read_output(body)
    blocks = parsed(message)
    return read_output({"content": blocks} if isinstance(blocks, list | tuple) else message)


_DOCUMENT: Final = ("id", "document.id", "gen_ai.document.id", "uri", "url")


def _cited(span: Span) -> tuple[str, ...]:
    if not span.events:
        return ()
    return distinct(
        _document(event) for event in span.events if event.name == "gen_ai.citation.document"
    )


def _document(event: SpanEvent) -> str | None:
    body = parsed(event.attributes.get("gen_ai.event.content"))
    return first_identifier(event.attributes, _DOCUMENT) or (
        first_identifier(body, _DOCUMENT) if isinstance(body, dict) else None
    )


_READERS: Final[Mapping[str, Callable[[Span], Evidence | None]]] = {
    "invoke_agent": partial(_generation, is_reply=True),
    "invoke_workflow": partial(_generation, is_reply=True),
    "chat": _generation,
    "generate_content": _generation,
    "text_completion": _generation,
    "create_agent": partial(_generation, is_work=False),
    "execute_tool": _execution,
    "retrieval": _retrieval,
}
