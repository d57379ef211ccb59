"""OpenInference, as Arize's instrumentors and Phoenix speak it.

https://arize-ai.github.io/openinference/spec/
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Final

from applyrate.intake.conventions import documents
from applyrate.intake.conventions.instructions import read_instructions
from applyrate.intake.conventions.messages import SYSTEM_ROLES, read_calls
from applyrate.intake.conventions.tools import tool_names
from applyrate.intake.conventions.values import distinct, identifier_of, indexed, text_of
from applyrate.intake.spans import Evidence, Span, ToolCall, Value

_Given = Mapping[str, Value]
_ABSENT: Final[dict[str, Value]] = {}


def read(span: Span) -> Evidence | None:
    """What a span tells by these conventions."""
    kind = span.attributes.get("openinference.span.kind")
    if not isinstance(kind, str):
        return None
    return _READERS.get(kind.upper(), _mention)(span)


def _generation(span: Span, *, is_reply: bool = False) -> Evidence:
    given = span.attributes
    output = indexed(given, "llm.output_messages.")
    texts = [text for message in output if (text := _text(message))]
    calls = [call for message in output for call in _calls(message)]
    calls += read_calls(given.get("llm.function_call"))
    return Evidence(
        dialects=("openinference",),
        is_reply=is_reply,
        is_work=True,
        instructions=read_instructions(span, _system(given), given.get("prompt.id")),
        actions=distinct(
            name for tool in indexed(given, "llm.tools.") for name in _tool_names(tool)
        ),
        requested=tuple(call for call in calls if call.call_id is not None or not is_reply),
        output=texts[-1] if texts else _plain_output(given),
    )


def _execution(span: Span) -> Evidence:
    return Evidence(
        dialects=("openinference",),
        is_work=True,
        executed=_executed(span.attributes),
        retrieved=documents.in_result(span.attributes.get("output.value")),
    )


def _retrieval(span: Span) -> Evidence:
    return Evidence(
        dialects=("openinference",),
        is_work=True,
        # A retriever that the model calls as a tool is both.
        executed=_executed(span.attributes),
        retrieved=_documents(span.attributes, "retrieval.documents."),
    )


def _reranking(span: Span) -> Evidence:
    return Evidence(
        dialects=("openinference",),
        is_work=True,
        reranked=_documents(span.attributes, "reranker.output_documents."),
    )


def _mention(span: Span) -> Evidence | None:
    """What a span of any other kind may say: the prompt's name."""
    instructions = read_instructions(span, (), span.attributes.get("prompt.id"))
    return (
        Evidence(dialects=("openinference",), instructions=instructions) if instructions else None
    )


def _executed(given: _Given) -> ToolCall | None:
    # Without a tool's name it is a handoff between agents, whose call the model's output tells.
    name = identifier_of(given.get("tool.name"))
    if name is None:
        return None
    call_id = identifier_of(given.get("tool.id")) or identifier_of(given.get("tool_call.id"))
    return ToolCall(name, call_id)


def _documents(given: _Given, prefix: str) -> tuple[str, ...]:
    spelled = indexed(given, prefix)
    own = [identifier_of(document.get("document.id")) for document in spelled]
    if own and None not in own:
        return distinct(own)
    # Instrumentors leave out ids that the framework's own output has.
    returned: Sequence[_Given] = documents.documents(given.get("output.value"))
    return distinct(
        identifier_of(document.get("document.id"))
        or documents.identify(twin)
        or documents.identify(
            {"metadata": document.get("document.metadata"), "url": document.get("document.url")}
        )
        for document, twin in zip_longest(spelled, returned, fillvalue=_ABSENT)
    )


def _system(given: _Given) -> list[Value]:
    """The contents of the system messages. A long history is passed over by its roles alone."""
    prefixes = [
        name.removesuffix("message.role")
        for name, value in given.items()
        if value in SYSTEM_ROLES and name.startswith("llm.input_messages.")
    ]
    contents: list[Value] = []
    for prefix in prefixes:
        if (content := given.get(prefix + "message.content")) is not None:
            contents.append(content)
        else:
            parts = indexed(given, prefix + "message.contents.")
            contents += [part.get("message_content.text") for part in parts]
    return contents


def _tool_names(tool: _Given) -> tuple[str, ...]:
    name = identifier_of(tool.get("tool.name"))
    return tool_names(tool.get("tool.json_schema")) if name is None else (name,)


def _text(message: _Given) -> str:
    if text := text_of(message.get("message.content")):
        return text
    parts = indexed(message, "message.contents.")
    return "\n".join(text for part in parts if (text := text_of(part.get("message_content.text"))))


def _calls(message: _Given) -> list[ToolCall]:
    calls = [
        ToolCall(name, identifier_of(call.get("tool_call.id")))
        for call in indexed(message, "message.tool_calls.")
        if (name := identifier_of(call.get("tool_call.function.name"))) is not None
    ]
    name = identifier_of(message.get("message.function_call_name"))
    return calls if name is None else [*calls, ToolCall(name)]


def _plain_output(given: _Given) -> str:
    if given.get("output.mime_type", "text/plain") != "text/plain":
        return ""
    return text_of(given.get("output.value"))


_READERS: Final[Mapping[str, Callable[[Span], Evidence | None]]] = {
    "AGENT": partial(_generation, is_reply=True),
    "LLM": _generation,
    "TOOL": _execution,
    "RETRIEVER": _retrieval,
    "RERANKER": _reranking,
}
