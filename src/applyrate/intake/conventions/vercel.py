"""The Vercel AI SDK's own attributes, ``ai.*``, from before it spoke OpenTelemetry's.

https://ai-sdk.dev/docs/ai-sdk-core/telemetry
"""

from typing import Final

from applyrate.intake.conventions import documents
from applyrate.intake.conventions.instructions import read_instructions
from applyrate.intake.conventions.messages import read_calls, read_system
from applyrate.intake.conventions.tools import tool_names
from applyrate.intake.conventions.values import distinct, identifier_of, objects, parsed, text_of
from applyrate.intake.spans import Evidence, Span, ToolCall, Value

_REPLIES: Final = frozenset(
    {"ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject"}
)
_MODEL_CALLS: Final = (".doGenerate", ".doStream")
_RERANKINGS: Final = (".doRerank",)


def read(span: Span) -> Evidence | None:
    """What a span tells by these conventions."""
    operation = span.attributes.get("ai.operationId")
    if not isinstance(operation, str):
        return None
    if operation == "ai.toolCall":
        return _execution(span)
    if operation in _REPLIES:
        return _generation(span, is_reply=True)
    if operation.endswith(_MODEL_CALLS):
        return _generation(span)
    return _reranking(span) if operation.endswith(_RERANKINGS) else None


def _execution(span: Span) -> Evidence:
    given = span.attributes
    name = identifier_of(given.get("ai.toolCall.name"))
    return Evidence(
        dialects=("vercel",),
        is_work=True,
        executed=None
        if name is None
        else ToolCall(name, identifier_of(given.get("ai.toolCall.id"))),
        retrieved=documents.in_result(given.get("ai.toolCall.result")),
    )


def _generation(span: Span, *, is_reply: bool = False) -> Evidence:
    given = span.attributes
    prompt = parsed(given.get("ai.prompt"))
    contents: list[Value] = read_system(given.get("ai.prompt.messages"))
    if isinstance(prompt, dict):
        contents += [prompt.get("system"), *read_system(prompt.get("messages"))]
    calls = read_calls(given.get("ai.response.toolCalls", given.get("ai.result.toolCalls")))
    said = given.get("ai.response.text", given.get("ai.result.text"))
    return Evidence(
        dialects=("vercel",),
        is_reply=is_reply,
        is_work=True,
        instructions=read_instructions(span, contents),
        actions=tool_names(given.get("ai.prompt.tools")),
        requested=tuple(call for call in calls if call.call_id is not None or not is_reply),
        output=text_of(said)
        or text_of(given.get("ai.response.object", given.get("ai.result.object"))),
    )


def _reranking(span: Span) -> Evidence:
    given = span.attributes
    candidates = documents.documents(given.get("ai.documents"))
    chosen = (rank.get("index") for rank in objects(given.get("ai.ranking")))
    ids = (
        documents.identify(candidates[index])
        for index in chosen
        if isinstance(index, int) and 0 <= index < len(candidates)
    )
    return Evidence(
        dialects=("vercel",),
        is_work=True,
        reranked=distinct(ids),
    )
