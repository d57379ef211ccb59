"""What all dialects have in common: rules, joining, bounds, and that nothing raises."""

import json
import re
from itertools import permutations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from applyrate.errors import InvalidInput
from applyrate.intake.conventions import MAX_LABELS, MAX_OUTPUT, Rules, joining, observe
from applyrate.intake.spans import Evidence, ObservedSpan, ToolCall, Value
from applyrate.settings import Settings
from tests.spans import RULES, evidence_of, make_span
from tests.test_conventions_docs import CODE, DIALECTS, named_in_code


def test_the_place_in_the_trace_is_kept() -> None:
    span = make_span({"applyrate.session_id": "conv_1"}, name="refund")
    observed = observe(span, RULES)
    for field in (
        "trace_id",
        "span_id",
        "parent_id",
        "name",
        "started_at",
        "ended_at",
        "service",
        "is_entry",
    ):
        assert getattr(observed, field) == getattr(span, field)


def test_a_span_of_no_dialect_tells_nothing_but_its_labels() -> None:
    found = evidence_of({"http.route": "/chat", "http.response.status_code": 200})
    assert found == Evidence(labels={"http.route": "/chat", "http.response.status_code": "200"})


def test_the_conversation_is_the_spans_before_it_is_the_emitters() -> None:
    span = make_span(
        {"session.id": "conv_1", "gen_ai.conversation.id": " "},
        emitter={"session.id": "conv_2", "gen_ai.conversation.id": 7},
    )
    found = observe(span, RULES).evidence
    assert found.conversation == {"gen_ai.conversation.id": "7", "session.id": "conv_1"}
    assert found.labels == {}


def test_labels_are_words_and_whole_numbers_and_no_content() -> None:
    span = make_span(
        {
            "chat.id": "c-1",
            "number": 7,
            "flag": True,
            "ratio": 0.5,
            "input.value": "Can I have a refund?",
            "lines": "a\nb",
            "json": '{"a":1}',
            "array": ["a"],
            "empty": "",
            "long": "x" * 129,
            "x" * 129: "a",
        },
        emitter={"service.name": "support-agent", "chat.id": "not this"},
    )
    labels = observe(span, RULES).evidence.labels
    assert labels == {"chat.id": "c-1", "number": "7", "service.name": "support-agent"}
    many: dict[str, Value] = {f"name.{number}": "a" for number in range(100)}
    assert len(evidence_of(many).labels) == MAX_LABELS


@pytest.mark.parametrize(
    ("rule", "value", "excluded"),
    [
        ("env", "anything", True),
        ("env=test", "test", True),
        ("env=test", "production", False),
        ("env = test", ["production", "test"], True),
        ("env=true", True, True),
        ("env=7", 7, True),
        ("env=0.5", 0.5, True),
        ("env=", "", True),
        ("other", "test", False),
    ],
)
def test_an_attribute_of_span_or_emitter_excludes(rule: str, value: Value, excluded: bool) -> None:  # noqa: FBT001
    rules = Rules.of(Settings(exclude_attributes=(rule,)))
    for span in (make_span({"env": value}), make_span({}, emitter={"env": value})):
        assert observe(span, rules).evidence.is_excluded is excluded


def test_an_excluded_attribute_has_a_name() -> None:
    with pytest.raises(InvalidInput, match="APPLYRATE_EXCLUDE_ATTRIBUTES: '=x' names no attribute"):
        Rules.of(Settings(exclude_attributes=("=x",)))


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [("(", "is no regular expression: missing )"), (r"\[\w+\]", "has no group")],
)
def test_a_citation_pattern_that_cannot_work_is_refused(pattern: str, fault: str) -> None:
    told = re.escape(f"APPLYRATE_CITATION_PATTERN: {pattern!r} {fault}")
    with pytest.raises(InvalidInput, match=told):
        Rules.of(Settings(citation_pattern=pattern))


def test_citations_are_found_by_the_pattern_before_the_output_is_cut() -> None:
    text = "[kb-1] [kb-1] (kb-2) " + "x" * MAX_OUTPUT + " [kb-3]"
    span = make_span({"gen_ai.operation.name": "chat", "gen_ai.output.messages": text})
    found = observe(span, RULES).evidence
    assert (len(found.output), found.cited) == (MAX_OUTPUT, ("kb-1", "kb-3"))
    rules = Rules.of(Settings(citation_pattern=r"\((\w+-\d)\)|nothing"))
    assert observe(span, rules).evidence.cited == ("kb-2",)
    assert observe(span, Rules.of(Settings(citation_pattern=""))).evidence.cited == ()


def test_two_dialects_count_one_call_once() -> None:
    found = evidence_of(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "a"}]}]
            ),
            "openinference.span.kind": "LLM",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "a",
            "llm.output_messages.0.message.tool_calls.1.tool_call.function.name": "b",
        }
    )
    assert found.requested == (ToolCall("a", "c"), ToolCall("b"))
    assert found.dialects == ("genai", "openinference")


def test_two_dialects_tell_of_one_execution_by_its_call_id() -> None:
    found = evidence_of(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "a",
            "openinference.span.kind": "TOOL",
            "tool.name": "a",
            "tool.id": "c",
        }
    )
    assert found.executed == ToolCall("a", "c")


CALLS = st.lists(
    st.builds(ToolCall, st.sampled_from("ab"), st.none() | st.sampled_from("123")), max_size=5
).map(tuple)


@given(st.lists(CALLS, min_size=1, max_size=3))
def test_joined_calls_are_those_of_the_dialect_that_tells_of_most(
    told: list[tuple[ToolCall, ...]],
) -> None:
    ids = {call for calls in told for call in calls if call.call_id}
    most = {
        name: max(
            len({call for call in calls if call.name == name and call.call_id})
            + sum(call.name == name and not call.call_id for call in calls)
            for calls in told
        )
        for name in "ab"
    }
    for order in permutations(told):
        joined = joining.join([Evidence(requested=calls) for calls in order]).requested
        assert {call for call in joined if call.call_id} == ids
        for name in "ab":
            known = sum(call.name == name for call in ids)
            assert sum(call.name == name for call in joined) == max(known, most[name])


def test_an_instruction_keeps_the_name_that_any_dialect_has() -> None:
    joined = joining.join([Evidence(instructions={"a": ""}), Evidence(instructions={"a": "A"})])
    assert joined.instructions == {"a": "A"}


@pytest.mark.parametrize("given_id", ["x" * 513, "a\0b", "a\ud800b", "x" * 513 + "\ud800", 7])
def test_any_id_becomes_one_that_can_be_recorded(given_id: str | int) -> None:
    (found,) = evidence_of({"applyrate.applied.knowledge": [given_id]}).applied_knowledge
    assert 1 <= len(found) <= 512
    assert not re.search("[\0\ud800-\udfff]", found)


# Whatever stands in whatever attribute: names that are read, with any value, and values that have
# the keys that are looked for.
NAMES = sorted({name for dialect in DIALECTS for name in named_in_code(dialect)})
SPELLED = [
    f"{prefix}.{number}.{name}"
    for prefix in ("llm.output_messages", "llm.input_messages", "llm.tools", "retrieval.documents")
    for number in ("0", "x", "")
    for name in (
        "message.role",
        "message.content",
        "message.tool_calls.0.tool_call.id",
        "tool.name",
    )
] + ["gen_ai.prompt.0.role", "gen_ai.completion.0.role", "gen_ai.completion.0.content"]
WORDS = sorted(
    {
        word
        for path in Path(CODE).glob("*.py")
        for word in re.findall(r'"(\w+)"', path.read_text(encoding="utf-8"))
    }
)
TEXTS = (
    st.sampled_from(WORDS)
    | st.sampled_from(["chat", "invoke_agent", "LLM", "AGENT", "RETRIEVER", "ai.streamText"])
    | st.text(st.characters(exclude_categories=()), max_size=20)
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=5)
NATIVE: st.SearchStrategy[Value] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)
VALUES = NATIVE | NATIVE.map(lambda value: json.dumps(value, default=str))
ATTRIBUTES = st.dictionaries(
    st.sampled_from(NAMES + SPELLED) | st.sampled_from(RULES.conversation_attributes) | TEXTS,
    VALUES,
    max_size=8,
)
OPERATIONS = st.sampled_from(
    [
        {},
        {"gen_ai.operation.name": "chat"},
        {"gen_ai.operation.name": "execute_tool"},
        {"gen_ai.operation.name": "retrieval"},
        {"openinference.span.kind": "LLM"},
        {"openinference.span.kind": "RETRIEVER"},
        {"traceloop.span.kind": "tool"},
        {"traceloop.span.kind": "task"},
        {"llm.request.type": "chat"},
        {"ai.operationId": "ai.streamText"},
        {"ai.operationId": "ai.rerank.doRerank"},
        {"langfuse.observation.type": "generation"},
        {"langfuse.observation.type": "retriever"},
    ]
)
EVENTS = st.lists(st.tuples(st.sampled_from(NAMES) | TEXTS, ATTRIBUTES), max_size=2)


@settings(max_examples=120, deadline=None)
@given(ATTRIBUTES, OPERATIONS, EVENTS, ATTRIBUTES, TEXTS)
def test_no_input_raises_and_all_that_is_found_can_be_stored(
    attributes: dict[str, Value],
    operation: dict[str, Value],
    events: list[tuple[str, dict[str, Value]]],
    emitter: dict[str, Value],
    name: str,
) -> None:
    span = make_span(attributes | operation, *events, name=name, emitter=emitter)
    observed = observe(span, RULES)
    assert msgspec.json.decode(msgspec.json.encode(observed), type=ObservedSpan) == observed
    found = observed.evidence
    calls = [call for call in (found.executed, *found.requested) if call is not None]
    for identifier in (
        *found.instructions,
        *found.actions,
        *found.retrieved,
        *found.reranked,
        *found.cited,
        *found.available_knowledge,
        *found.applied_knowledge,
        *found.applied_instructions,
        *found.conversation.values(),
        *(call.name for call in calls),
        *(call.call_id for call in calls if call.call_id is not None),
    ):
        assert 1 <= len(identifier) <= 512
        assert "\0" not in identifier


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "[1" + "0" * 5000 + "]"],
)
def test_json_nested_too_deeply_or_too_long_is_passed_over(text: str) -> None:
    for name in NAMES:
        evidence_of({"gen_ai.operation.name": "chat", name: text})
