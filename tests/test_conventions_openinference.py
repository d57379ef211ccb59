"""OpenInference: messages, tools and documents spelled out in attributes."""

import json

import pytest

from applyrate.intake.spans import ToolCall, Value
from tests.spans import evidence_of

CALLS = "llm.output_messages.0.message.tool_calls"


def kind(name: str, **attributes: Value) -> dict[str, Value]:
    return {"openinference.span.kind": name, **attributes}


def documents(prefix: str, *found: dict[str, Value]) -> dict[str, Value]:
    return {
        f"{prefix}.{number}.document.{name}": value
        for number, document in enumerate(found)
        for name, value in document.items()
    }


@pytest.mark.parametrize(
    ("name", "is_reply", "is_work"),
    [
        ("AGENT", True, True),
        ("agent", True, True),
        ("LLM", False, True),
        ("TOOL", False, True),
        ("RETRIEVER", False, True),
        ("RERANKER", False, True),
        ("CHAIN", False, False),
        ("EMBEDDING", False, False),
        ("EVALUATOR", False, False),
    ],
)
def test_the_kind_says_what_a_span_is(name: str, is_reply: bool, is_work: bool) -> None:  # noqa: FBT001
    found = evidence_of(kind(name))
    assert (found.is_reply, found.is_work) == (is_reply, is_work)


def test_a_model_call_tells_tools_instructions_calls_and_text() -> None:
    found = evidence_of(
        kind("LLM")
        | {
            "llm.input_messages.1.message.role": "system",
            "llm.input_messages.1.message.content": "# Tone",
            "llm.input_messages.2.message.role": "assistant",
            "llm.input_messages.2.message.tool_calls.0.tool_call.function.name": "earlier",
            "llm.input_messages.3.message.role": "developer",
            "llm.input_messages.3.message.contents.0.message_content.text": "# Refunds",
            "llm.tools.0.tool.name": "a",
            "llm.tools.0.tool.json_schema": '{"name": "not this"}',
            "llm.tools.1.tool.json_schema": '{"type": "function", "function": {"name": "b"}}',
            "llm.tools.10.tool.json_schema": '{"name": "d"}',
            "llm.tools.2.tool.json_schema": '{"name": "c"}',
            "llm.output_messages.0.message.content": "One moment.",
            f"{CALLS}.0.tool_call.id": "call_1",
            f"{CALLS}.0.tool_call.function.name": "a",
            f"{CALLS}.1.tool_call.function.name": "b",
            "llm.output_messages.1.message.contents.0.message_content.text": "See [kb-1].",
            "llm.output_messages.1.message.function_call_name": "c",
        }
    )
    assert found.instructions == {"tone": "Tone", "refunds": "Refunds"}
    assert found.actions == ("a", "b", "c", "d")
    assert set(found.requested) == {ToolCall("a", "call_1"), ToolCall("b"), ToolCall("c")}
    assert (found.output, found.cited) == ("See [kb-1].", ("kb-1",))


def test_an_agent_repeats_the_calls_that_have_no_id() -> None:
    told: dict[str, Value] = {f"{CALLS}.0.tool_call.function.name": "a"}
    assert evidence_of(kind("AGENT") | told).requested == ()
    assert evidence_of(kind("LLM") | told).requested == (ToolCall("a"),)
    assert evidence_of(
        kind("LLM") | {"llm.function_call": '{"name": "a", "arguments": "{}"}'}
    ).requested == (ToolCall("a"),)


@pytest.mark.parametrize(
    ("mime_type", "output"), [(None, "See [kb-1]."), ("text/plain", "See [kb-1]."), ("other", "")]
)
def test_plain_text_is_the_output_where_there_are_no_messages(
    mime_type: str | None, output: str
) -> None:
    told = {} if mime_type is None else {"output.mime_type": mime_type}
    found = evidence_of(kind("AGENT") | {"output.value": "See [kb-1]."} | told)
    assert found.output == output


@pytest.mark.parametrize("call_id", ["tool.id", "tool_call.id"])
def test_a_tools_span_is_an_execution(call_id: str) -> None:
    found = evidence_of(kind("TOOL") | {"tool.name": "refund", call_id: "call_1"})
    assert found.executed == ToolCall("refund", "call_1")


def test_a_tools_span_without_a_name_is_a_handoff_between_agents() -> None:
    found = evidence_of(kind("TOOL"), name="handoff to Billing")
    assert (found.executed, found.is_work) == (None, True)


def test_a_tools_output_holds_documents() -> None:
    inner = json.dumps([{"id": "kb-1", "text": "..."}])
    output = json.dumps({"type": "tool", "data": {"content": inner, "id": None}})
    found = evidence_of(kind("TOOL") | {"tool.name": "search", "output.value": output})
    assert found.retrieved == ("kb-1",)


def test_a_retriever_that_is_a_tool_is_executed() -> None:
    found = evidence_of(
        kind("RETRIEVER")
        | {"tool.name": "search"}
        | documents("retrieval.documents", {"id": "kb-1"}, {"id": 7})
    )
    assert (found.executed, found.retrieved) == (ToolCall("search"), ("kb-1", "7"))


def test_documents_without_ids_have_those_of_the_output() -> None:
    output = json.dumps({"documents": [{"id": "kb-1", "page_content": "..."}, {"id": "kb-2"}]})
    found = evidence_of(
        kind("RETRIEVER")
        | {"output.value": output}
        | documents(
            "retrieval.documents",
            {"content": "...", "metadata": '{"source": "kb-1.md"}'},
            {"content": "...", "metadata": '{"source": "kb-2.md"}'},
            {"content": "...", "metadata": '{"source": "kb-3.md"}'},
            {"content": "...", "url": "https://example.com/4"},
            {"content": "..."},
        )
    )
    assert found.retrieved == ("kb-1", "kb-2", "kb-3", "https://example.com/4")


def test_documents_may_stand_in_the_output_alone() -> None:
    output = '[{"id": "kb-1"}, {"metadata": {"file_name": "kb-2.md"}}]'
    assert evidence_of(kind("RETRIEVER") | {"output.value": output}).retrieved == ("kb-1", "kb-2")


def test_a_rerankers_documents_are_kept_apart() -> None:
    found = evidence_of(
        kind("RERANKER")
        | documents("reranker.input_documents", {"id": "kb-1"}, {"id": "kb-2"})
        | documents("reranker.output_documents", {"id": "kb-2"})
    )
    assert (found.retrieved, found.reranked) == ((), ("kb-2",))


def test_a_named_prompt_is_an_instruction_on_a_span_of_any_kind() -> None:
    assert evidence_of(kind("PROMPT") | {"prompt.id": "support"}).instructions == {"support": ""}
    found = evidence_of(
        kind("LLM")
        | {
            "prompt.id": "support",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "# Tone",
        }
    )
    assert found.instructions == {"support": ""}
