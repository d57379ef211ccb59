"""OpenTelemetry's conventions for generative AI, present and older."""

import json

import pytest

from applyrate.intake.spans import ToolCall, Value
from tests.spans import evidence_of

ASKED: list[Value] = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
CALL: Value = {"type": "tool_call", "id": "call_1", "name": "lookup_order", "arguments": {}}


def said(*parts: Value) -> Value:
    return [{"role": "assistant", "parts": list(parts)}]


@pytest.mark.parametrize("operation", ["invoke_agent", "invoke_workflow"])
def test_an_agent_and_a_workflow_are_replies(operation: str) -> None:
    found = evidence_of({"gen_ai.operation.name": operation})
    assert (found.is_reply, found.is_work, found.dialects) == (True, True, ("genai",))


@pytest.mark.parametrize("operation", ["embeddings", "execute_task", "agent_step", "", 3, ["chat"]])
def test_any_other_operation_tells_nothing(operation: Value) -> None:
    found = evidence_of({"gen_ai.operation.name": operation})
    assert (found.is_reply, found.is_work, found.dialects) == (False, False, ())


def test_an_unknown_operation_with_messages_is_a_model_call() -> None:
    found = evidence_of(
        {"gen_ai.operation.name": "chat.completions", "gen_ai.output.messages": said(CALL)}
    )
    assert (found.is_work, found.requested) == (True, (ToolCall("lookup_order", "call_1"),))


@pytest.mark.parametrize("native", [True, False])
def test_structured_attributes_are_json_or_native(native: bool) -> None:  # noqa: FBT001
    structures: dict[str, Value] = {
        "gen_ai.tool.definitions": [{"type": "function", "name": "lookup_order"}],
        "gen_ai.system_instructions": [{"type": "text", "content": "# Tone"}],
        "gen_ai.output.messages": said({"type": "text", "content": "See [kb-1]."}, CALL),
    }
    found = evidence_of(
        {"gen_ai.operation.name": "chat"}
        | {name: value if native else json.dumps(value) for name, value in structures.items()}
    )
    assert found.actions == ("lookup_order",)
    assert found.instructions == {"tone": "Tone"}
    assert found.requested == (ToolCall("lookup_order", "call_1"),)
    assert (found.output, found.cited) == ("See [kb-1].", ("kb-1",))


def test_calls_in_what_a_model_was_given_are_of_earlier_replies() -> None:
    history: Value = [*ASKED, {"role": "assistant", "parts": [CALL]}]
    found = evidence_of({"gen_ai.operation.name": "chat", "gen_ai.input.messages": history})
    assert found.requested == ()


def test_a_call_that_is_told_twice_is_one() -> None:
    found = evidence_of(
        {"gen_ai.operation.name": "chat", "gen_ai.output.messages": said(CALL, CALL)}
    )
    assert found.requested == (ToolCall("lookup_order", "call_1"),)


def test_calls_without_an_id_count_as_often_as_the_model_makes_them() -> None:
    call: Value = {"type": "tool_call", "name": "lookup_order"}
    told: dict[str, Value] = {"gen_ai.output.messages": said(call, call)}
    found = evidence_of({"gen_ai.operation.name": "chat"} | told)
    assert found.requested == (ToolCall("lookup_order"), ToolCall("lookup_order"))
    repeated = evidence_of({"gen_ai.operation.name": "invoke_agent"} | told)
    assert repeated.requested == ()


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "refund"}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "name": "refund"}]},
        {"role": "model", "parts": [{"type": "server_tool_call", "id": "c", "name": "refund"}]},
        {"content": [{"type": "tool_use", "id": "c", "name": "refund"}]},
        {"content": '[{"type": "tool_use", "id": "c", "name": "refund"}]'},
        {"content": [{"toolUse": {"toolUseId": "c", "name": "refund"}}]},
        {"content": [{"type": "tool-call", "toolCallId": "c", "toolName": "refund"}]},
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "refund"},
    ],
)
def test_a_call_is_read_in_each_providers_form(message: Value) -> None:
    found = evidence_of({"gen_ai.operation.name": "chat", "gen_ai.output.messages": [message]})
    assert found.requested == (ToolCall("refund", "c"),)


def test_the_output_is_the_last_text_that_the_model_said() -> None:
    messages: Value = [
        {"role": "assistant", "parts": [{"type": "text", "content": "First."}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "[kb-0]"},
                {"type": "text", "content": "Then"},
                {"type": "text", "content": "this."},
                CALL,
            ],
        },
        {"role": "tool", "parts": [{"type": "text", "content": "A result."}]},
    ]
    found = evidence_of({"gen_ai.operation.name": "chat", "gen_ai.output.messages": messages})
    assert found.output == "Then\nthis."
    assert evidence_of(
        {"gen_ai.operation.name": "chat", "gen_ai.output.messages": "[kb-1] says so."}
    ).cited == ("kb-1",)


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ("# Tone\n# Refunds", {"tone": "Tone", "refunds": "Refunds"}),
        (
            [{"type": "text", "content": "# Tone"}, "# Refunds"],
            {"tone": "Tone", "refunds": "Refunds"},
        ),
        ({"type": "text", "content": "# Tone"}, {"tone": "Tone"}),
        ([{"type": "text", "id": "ins_1", "content": "Be  kind."}], {"ins_1": "Be kind."}),
        ([{"type": "text", "id": 7, "name": "Tone", "content": "x"}], {"7": "Tone"}),
        ([{"type": "text", "content": "Not seen.", "visible": False}], {}),
        ([{"type": "text"}], {}),
        ([{"type": "uri", "uri": "https://example.com"}], {}),
    ],
)
def test_instructions_have_an_id_of_their_own_or_by_their_text(
    instructions: Value, expected: dict[str, str]
) -> None:
    told: dict[str, Value] = {"gen_ai.operation.name": "chat"}
    assert evidence_of(told | {"gen_ai.system_instructions": instructions}).instructions == expected
    encoded = instructions if isinstance(instructions, str) else json.dumps(instructions)
    assert evidence_of(told | {"gen_ai.system_instructions": encoded}).instructions == expected


def test_a_named_prompt_is_one_instruction_and_its_text_none() -> None:
    found = evidence_of(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.prompt.name": "support",
            "gen_ai.system_instructions": [
                {"type": "text", "content": "# Tone"},
                {"type": "text", "content": "Be kind.", "id": "ins_1"},
            ],
        }
    )
    assert found.instructions == {"support": "", "ins_1": "Be kind."}


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "parts": [{"type": "text", "content": "# Tone"}]}, *ASKED],
        [{"role": "system", "content": "# Tone"}, {"role": "user", "content": "Hi"}],
        [{"role": "developer", "content": [{"type": "text", "text": "# Tone"}]}],
        {"messages": [{"role": "system", "content": "# Tone"}]},
        [{"no": "role"}, {"role": "system", "content": "# Tone"}],
    ],
)
def test_system_messages_are_instructions(messages: Value) -> None:
    told: dict[str, Value] = {"gen_ai.operation.name": "chat"}
    for given in (messages, json.dumps(messages)):
        assert evidence_of(told | {"gen_ai.input.messages": given}).instructions == {"tone": "Tone"}


@pytest.mark.parametrize(
    "definitions",
    [
        [{"name": "a"}, {"type": "function", "function": {"name": "b"}}],
        ['{"name": "a"}', "b"],
        {"tools": [{"toolSpec": {"name": "a"}}, {"toolSpec": {"name": "b"}}]},
        [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}],
        [{"name": "a"}, {"name": "b"}, {"name": "a"}, {"type": "web_search"}, 5, None],
    ],
)
def test_tools_are_read_in_each_providers_form(definitions: Value) -> None:
    told: dict[str, Value] = {"gen_ai.operation.name": "chat"}
    for given in (definitions, json.dumps(definitions)):
        assert evidence_of(told | {"gen_ai.tool.definitions": given}).actions == ("a", "b")


@pytest.mark.parametrize("told", [{"gen_ai.operation.name": "execute_tool"}, {}])
def test_a_tools_span_is_an_execution(told: dict[str, Value]) -> None:
    found = evidence_of(told | {"gen_ai.tool.name": "refund", "gen_ai.tool.call.id": "call_1"})
    assert (found.is_work, found.executed) == (True, ToolCall("refund", "call_1"))


@pytest.mark.parametrize(
    ("result", "documents"),
    [
        ([{"id": "kb-1", "text": "..."}, {"id": "kb-2", "score": 0.4}], ("kb-1", "kb-2")),
        ({"results": [{"id": 7, "snippet": "..."}]}, ("7",)),
        ({"chunks": [{"document_id": "kb-1", "content": "..."}]}, ("kb-1",)),
        ({"output": {"kwargs": {"content": '[{"id": "kb-1", "text": ""}]'}}}, ("kb-1",)),
        ('[{"id": "kb-1", "score": NaN}]', ("kb-1",)),
        ({"id": "A-1001", "status": "delivered"}, ()),
        ({"items": [{"id": "A-1001", "status": "delivered"}]}, ()),
        ([{"id": "msg_1", "role": "user", "content": "Hi"}], ()),
        ([{"id": None, "text": "..."}, {"id": {}, "text": "..."}, {"text": "..."}], ()),
        ("delivered", ()),
    ],
)
def test_a_tools_result_holds_documents_where_they_look_like_it(
    result: Value, documents: tuple[str, ...]
) -> None:
    told: dict[str, Value] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    for given in (result, result if isinstance(result, str) else json.dumps(result)):
        assert evidence_of(told | {"gen_ai.tool.call.result": given}).retrieved == documents


def test_an_agents_output_tells_what_tools_returned() -> None:
    response: Value = {
        "type": "tool_call_response",
        "id": "c",
        "response": [{"id": "kb-1", "text": ""}],
    }
    found = evidence_of(
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.output.messages": said(response)}
    )
    assert found.retrieved == ("kb-1",)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"id": "kb-1", "metadata": {"source": "x.md"}}, "kb-1"),
        ({"metadata": {"id": "kb-1", "source": "x.md"}}, "kb-1"),
        ({"metadata": '{"source": "policies/refunds.md"}'}, "policies/refunds"),
        ({"metadata": {"file_name": "a.b.html"}}, "a.b"),
        ({"source": "https://example.com/refunds.html"}, "https://example.com/refunds.html"),
        ({"source": "release 1.2"}, "release 1.2"),
        ({"source": ".env"}, ".env"),
        ({"document": {"id": "kb-1"}, "score": 0.4}, "kb-1"),
    ],
)
def test_a_document_has_an_id_or_a_source(document: Value, expected: str) -> None:
    found = evidence_of(
        {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": [document]}
    )
    assert found.retrieved == (expected,)


def test_a_citation_event_applies_the_document() -> None:
    found = evidence_of(
        {"gen_ai.operation.name": "chat"},
        ("gen_ai.citation.document", {"id": "kb-1"}),
        ("gen_ai.citation.document", {"gen_ai.event.content": '{"uri": "https://example.com"}'}),
        ("gen_ai.citation.document", {}),
    )
    assert found.applied_knowledge == ("kb-1", "https://example.com")
    assert evidence_of({}, ("gen_ai.citation.document", {"id": "kb-1"})).applied_knowledge


@pytest.mark.parametrize(
    ("system", "choice"),
    [
        (
            {"gen_ai.event.content": '{"role": "system", "content": "# Tone"}'},
            {
                "gen_ai.event.content": json.dumps(
                    {
                        "index": 0,
                        "message": {
                            "content": "See [kb-1].",
                            "tool_calls": [{"id": "c", "function": {"name": "refund"}}],
                        },
                    }
                )
            },
        ),
        (
            {"content": '[{"text": "# Tone"}]'},
            {
                "message": json.dumps(
                    [{"text": "See [kb-1]."}, {"toolUse": {"toolUseId": "c", "name": "refund"}}]
                )
            },
        ),
        (
            {"content": "# Tone"},
            {"content": "See [kb-1].", "tool_calls": [{"id": "c", "name": "refund"}]},
        ),
    ],
)
def test_older_events_tell_the_same(system: dict[str, Value], choice: dict[str, Value]) -> None:
    found = evidence_of(
        {"gen_ai.operation.name": "chat"},
        ("gen_ai.system.message", system),
        ("gen_ai.choice", choice),
    )
    assert found.instructions == {"tone": "Tone"}
    assert (found.output, found.cited) == ("See [kb-1].", ("kb-1",))
    assert found.requested == (ToolCall("refund", "c"),)


def test_a_choice_may_be_its_text_alone() -> None:
    for attribute in ("message", "message.content"):
        found = evidence_of({"gen_ai.request.model": "m"}, ("gen_ai.choice", {attribute: "Hi."}))
        assert (found.is_work, found.output) == (True, "Hi.")


def test_the_oldest_events_hold_all_messages() -> None:
    found = evidence_of(
        {"gen_ai.request.model": "m"},
        ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role": "system", "content": "# Tone"}]'}),
        (
            "gen_ai.content.completion",
            {"gen_ai.completion": '[{"role": "assistant", "content": "Hi."}]'},
        ),
    )
    assert (found.instructions, found.output) == ({"tone": "Tone"}, "Hi.")


def test_events_may_stand_in_an_attribute() -> None:
    events = [
        {"event.name": "gen_ai.system.message", "role": "system", "content": "# Tone"},
        {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": "Hi."}},
        {"event.name": 3},
    ]
    found = evidence_of({"gen_ai.operation.name": "chat", "events": json.dumps(events)})
    assert (found.instructions, found.output) == ({"tone": "Tone"}, "Hi.")


def test_the_details_of_an_operation_may_stand_in_an_event() -> None:
    found = evidence_of(
        {"gen_ai.operation.name": "chat"},
        (
            "gen_ai.client.inference.operation.details",
            {
                "gen_ai.system_instructions": '[{"type": "text", "content": "# Tone"}]',
                "gen_ai.tool.definitions": '[{"name": "refund"}]',
                "gen_ai.output.messages": json.dumps(said(CALL)),
            },
        ),
    )
    assert (found.instructions, found.actions) == ({"tone": "Tone"}, ("refund",))
    assert found.requested == (ToolCall("lookup_order", "call_1"),)
