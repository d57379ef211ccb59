"""Langfuse's SDKs, which keep an observation's type, input and output in attributes of their own.

https://langfuse.com/integrations/native/opentelemetry
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from applyrate.intake.conventions import documents
from applyrate.intake.conventions.instructions import read_instructions
from applyrate.intake.conventions.messages import read_output, read_system
from applyrate.intake.conventions.tools import tool_names
from applyrate.intake.conventions.values import identifier_of, parsed
from applyrate.intake.spans import Evidence, Span, ToolCall, Value


def read(span: Span) -> Evidence | None:
    """What a span tells by these conventions."""
    kind = span.attributes.get("langfuse.observation.type")
    if not isinstance(kind, str):
        return _mention(span) if "langfuse.observation.prompt.name" in span.attributes else None
    return _READERS.get(kind.lower(), _mention)(span)


def _mention(span: Span) -> Evidence | None:
    """What an observation of any other type may say: the prompt's name."""
    prompt = _prompt(span)
    return Evidence(dialects=("langfuse",), instructions=prompt) if prompt else None


def _generation(span: Span, *, is_reply: bool = False) -> Evidence:
    given = span.attributes
    asked = parsed(given.get("langfuse.observation.input"))
    contents: list[Value] = read_system(asked)
    offered: Value = None
    if isinstance(asked, dict):
        contents.append(asked.get("system"))
        offered = asked.get("tools", asked.get("functions"))
    said = read_output(given.get("langfuse.observation.output"))
    return Evidence(
        dialects=("langfuse",),
        is_reply=is_reply,
        is_work=True,
        instructions=_prompt(span) | read_instructions(span, contents),
        actions=tool_names(offered),
        # An agent's output repeats the calls that its generations asked for.
        requested=() if is_reply else said.calls,
        output=said.text,
    )


def _execution(span: Span) -> Evidence:
    name = identifier_of(span.name)
    return Evidence(
        dialects=("langfuse",),
        is_work=True,
        instructions=_prompt(span),
        executed=None if name is None else ToolCall(name),
        retrieved=documents.in_result(span.attributes.get("langfuse.observation.output")),
    )


def _retrieval(span: Span) -> Evidence:
    return Evidence(
        dialects=("langfuse",),
        is_work=True,
        instructions=_prompt(span),
        retrieved=documents.retrieved(span.attributes.get("langfuse.observation.output")),
    )


def _prompt(span: Span) -> dict[str, str]:
    return read_instructions(span, (), span.attributes.get("langfuse.observation.prompt.name"))


_READERS: Final[Mapping[str, Callable[[Span], Evidence | None]]] = {
    "agent": partial(_generation, is_reply=True),
    "generation": _generation,
    "tool": _execution,
    "retriever": _retrieval,
}
