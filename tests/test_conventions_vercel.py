"""The Vercel AI SDK's own attributes."""

import json

import pytest

from applyrate.intake.spans import ToolCall, Value
from tests.spans import RULES, evidence_of

MESSAGES = [{"role": "system", "content": "# Tone"}, {"role": "user", "content": "Hi"}]
CALLS = [{"toolCallId": "call_1", "toolName": "refund", "input": "{}"}]


@pytest.mark.parametrize(
    ("operation", "is_reply", "is_work"),
    [
        ("ai.generateText", True, True),
        ("ai.streamText", True, True),
        ("ai.generateText.doGenerate", False, True),
        ("ai.streamText.doStream", False, True),
        ("ai.toolCall", False, True),
        ("ai.rerank.doRerank", False, True),
        ("ai.rerank", False, False),
        ("ai.embed", False, False),
    ],
)
def test_the_operation_says_what_a_span_is(operation: str, is_reply: bool, is_work: bool) -> None:  # noqa: FBT001
    found = evidence_of({"ai.operationId": operation})
    assert (found.is_reply, found.is_work) == (is_reply, is_work)


@pytest.mark.parametrize("place", ["response", "result"])
def test_a_model_call_tells_tools_instructions_calls_and_text(place: str) -> None:
    found = evidence_of(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.messages": json.dumps(MESSAGES),
            "ai.prompt.tools": ['{"type": "function", "name": "refund"}', '{"name": "search"}'],
            f"ai.{place}.toolCalls": json.dumps(CALLS),
            f"ai.{place}.text": "See [kb-1].",
        }
    )
    assert found.instructions == {"tone": "Tone"}
    assert found.actions == ("refund", "search")
    assert found.requested == (ToolCall("refund", "call_1"),)
    assert (found.output, found.cited) == ("See [kb-1].", ("kb-1",))


@pytest.mark.parametrize(
    "prompt",
    [
        {"system": "# Tone", "prompt": "Hi"},
        {"system": {"role": "system", "content": "# Tone"}, "messages": []},
        {"messages": MESSAGES},
    ],
)
def test_the_whole_operation_tells_its_system_prompt(prompt: Value) -> None:
    found = evidence_of({"ai.operationId": "ai.streamText", "ai.prompt": json.dumps(prompt)})
    assert found.instructions == {"tone": "Tone"}


def test_an_execution_tells_what_the_tool_returned() -> None:
    found = evidence_of(
        {
            "ai.operationId": "ai.toolCall",
            "ai.toolCall.name": "search",
            "ai.toolCall.id": "call_1",
            "ai.toolCall.result": '[{"id": "kb-1", "text": "..."}]',
        }
    )
    assert (found.executed, found.retrieved) == (ToolCall("search", "call_1"), ("kb-1",))


def test_a_reranker_chooses_among_its_documents() -> None:
    found = evidence_of(
        {
            "ai.operationId": "ai.rerank.doRerank",
            "ai.documents": ['{"id": "kb-1"}', '{"id": "kb-2"}', '{"id": "kb-3"}'],
            "ai.ranking": ['{"index": 2, "relevanceScore": 0.9}', '{"index": 0}', '{"index": 9}'],
        }
    )
    assert (found.retrieved, found.reranked) == ((), ("kb-3", "kb-1"))


@pytest.mark.parametrize(
    "name", ["ai.telemetry.metadata.sessionId", "ai.settings.context.sessionId"]
)
def test_what_the_caller_passes_holds_the_conversation(name: str) -> None:
    assert name in RULES.conversation_attributes
    assert evidence_of({"ai.operationId": "ai.toolCall", name: "conv_1"}).conversation == {
        name: "conv_1"
    }
