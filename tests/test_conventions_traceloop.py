"""Traceloop, in its present and its older form."""

import json

import pytest

from applyrate.intake.spans import ToolCall, Value
from tests.spans import evidence_of

FOUND = json.dumps({"documents": [{"metadata": {"source": "kb-1.md"}}, {"id": "kb-2"}]})


@pytest.mark.parametrize("kind", ["workflow", "agent"])
def test_a_workflow_and_an_agent_are_replies(kind: str) -> None:
    found = evidence_of({"traceloop.span.kind": kind})
    assert (found.is_reply, found.is_work) == (True, True)


def test_a_tools_span_is_an_execution() -> None:
    found = evidence_of(
        {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "search",
            "traceloop.entity.output": '{"output": [{"id": "kb-1", "text": "..."}]}',
        }
    )
    assert (found.executed, found.retrieved) == (ToolCall("search"), ("kb-1",))


def test_a_retrieval_finds_documents_by_id_or_source() -> None:
    found = evidence_of(
        {
            "traceloop.span.kind": "task",
            "gen_ai.operation.name": "vector_db_retrieve",
            "traceloop.entity.output": FOUND,
        }
    )
    assert (found.is_work, found.retrieved) == (True, ("kb-1", "kb-2"))


@pytest.mark.parametrize(("operation", "retrieved"), [(None, True), ("execute_task", False)])
def test_a_task_finds_documents_only_from_before_operations_had_names(
    operation: str | None,
    retrieved: bool,  # noqa: FBT001
) -> None:
    told: dict[str, Value] = {} if operation is None else {"gen_ai.operation.name": operation}
    found = evidence_of(told | {"traceloop.span.kind": "task", "traceloop.entity.output": FOUND})
    assert (found.is_work, bool(found.retrieved)) == (retrieved, retrieved)


@pytest.mark.parametrize("event", ["db.query.result", "db.search.result"])
def test_a_vector_databases_answer_is_an_event_for_each_document(event: str) -> None:
    found = evidence_of(
        {"db.system": "chroma"}, (event, {f"{event}.id": "kb-1"}), (event, {}), ("other", {})
    )
    assert (found.is_work, found.retrieved) == (True, ("kb-1",))


def test_the_older_form_tells_of_a_model_call() -> None:
    found = evidence_of(
        {
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "# Tone",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": "# Not this",
            "gen_ai.prompt.2.role": "assistant",
            "gen_ai.prompt.2.tool_calls.0.name": "earlier",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "See [kb-1].",
            "gen_ai.completion.0.tool_calls.0.id": "call_1",
            "gen_ai.completion.0.tool_calls.0.name": "refund",
            "llm.request.functions.0.name": "refund",
            "llm.request.functions.1.name": "search",
        }
    )
    assert found.is_work
    assert found.instructions == {"tone": "Tone"}
    assert found.actions == ("refund", "search")
    assert found.requested == (ToolCall("refund", "call_1"),)
    assert (found.output, found.cited) == ("See [kb-1].", ("kb-1",))


def test_an_embedding_is_no_work() -> None:
    assert not evidence_of({"llm.request.type": "embedding"}).is_work


def test_the_key_of_a_prompt_names_the_instruction() -> None:
    found = evidence_of(
        {
            "llm.request.type": "chat",
            "traceloop.prompt.key": "support",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "# Tone",
        }
    )
    assert found.instructions == {"support": ""}
    assert evidence_of({"traceloop.prompt.key": "support"}).instructions == {"support": ""}
