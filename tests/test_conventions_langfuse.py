"""Langfuse's observations."""

import json

import pytest

from applyrate.intake.spans import ToolCall, Value
from tests.spans import evidence_of


def observation(kind: str, **attributes: object) -> dict[str, Value]:
    found: dict[str, Value] = {"langfuse.observation.type": kind}
    for name, value in attributes.items():
        text = value if isinstance(value, str) else json.dumps(value)
        found[f"langfuse.observation.{name}"] = text
    return found


@pytest.mark.parametrize(
    ("kind", "is_reply", "is_work"),
    [
        ("agent", True, True),
        ("AGENT", True, True),
        ("generation", False, True),
        ("tool", False, True),
        ("retriever", False, True),
        ("span", False, False),
        ("chain", False, False),
        ("evaluator", False, False),
    ],
)
def test_the_type_says_what_an_observation_is(kind: str, is_reply: bool, is_work: bool) -> None:  # noqa: FBT001
    found = evidence_of(observation(kind))
    assert (found.is_reply, found.is_work) == (is_reply, is_work)


def test_a_generation_tells_tools_instructions_calls_and_text() -> None:
    found = evidence_of(
        observation(
            "generation",
            input={
                "messages": [{"role": "system", "content": "# Tone"}],
                "tools": [{"type": "function", "function": {"name": "refund"}}],
            },
            output={
                "role": "assistant",
                "content": "See [kb-1].",
                "tool_calls": [{"id": "call_1", "function": {"name": "refund"}}],
            },
        )
    )
    assert found.instructions == {"tone": "Tone"}
    assert found.actions == ("refund",)
    assert found.requested == (ToolCall("refund", "call_1"),)
    assert (found.output, found.cited) == ("See [kb-1].", ("kb-1",))


def test_messages_may_be_the_whole_input_and_text_the_whole_output() -> None:
    found = evidence_of(
        observation(
            "generation", input=[{"role": "system", "content": "# Tone"}], output="See [kb-1]."
        )
    )
    assert (found.instructions, found.output) == ({"tone": "Tone"}, "See [kb-1].")


def test_an_agents_output_repeats_the_calls_of_its_history() -> None:
    messages = [{"role": "assistant", "content": "Hi.", "tool_calls": [{"id": "c", "name": "a"}]}]
    found = evidence_of(observation("agent", output={"messages": messages}))
    assert (found.requested, found.output) == ((), "Hi.")


def test_the_name_of_a_tools_span_is_the_action() -> None:
    found = evidence_of(observation("tool", output=[{"id": "kb-1", "text": ""}]), name="search")
    assert (found.executed, found.retrieved) == (ToolCall("search"), ("kb-1",))


def test_a_retriever_finds_documents_by_id_or_source() -> None:
    documents = [{"id": "kb-1"}, {"id": None, "metadata": {"source": "kb-2.md"}}]
    assert evidence_of(observation("retriever", output=documents)).retrieved == ("kb-1", "kb-2")


def test_the_name_of_a_prompt_names_the_instruction_whatever_dialect_has_the_text() -> None:
    prompt: dict[str, Value] = {"langfuse.observation.prompt.name": "support"}
    assert evidence_of(prompt).instructions == {"support": ""}
    system: dict[str, Value] = {"gen_ai.system_instructions": "# Tone"}
    found = evidence_of(
        observation("generation") | prompt | system | {"gen_ai.operation.name": "chat"}
    )
    assert found.instructions == {"support": ""}
    assert found.dialects == ("genai", "langfuse")
