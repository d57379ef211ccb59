"""Real requests of real frameworks give the ground truth that they were made with."""

from collections import Counter, defaultdict

import pytest

from applyrate.intake.conventions import observe
from applyrate.intake.otlp import decode_json
from applyrate.intake.spans import ObservedSpan
from tests.otlp_fixtures import captured_json, fixture_names
from tests.spans import RULES, invocations

FIXTURES = [
    "langchain_openinference",
    "langchain_traceloop",
    "llama_index_openinference",
    "pydantic_ai_nocontent",
    "pydantic_ai_v5",
    "vercel_ai_sdk_semconv",
]
CONVERSATION = "conv_fixture_0001"
TOOLS = {"search_knowledge", "lookup_order", "escalate_to_human"}
CALLED = Counter({"search_knowledge": 1, "lookup_order": 1})
DOCUMENTS = {"kb-refund-policy", "kb-shipping-times", "kb-warranty"}
INSTRUCTION = {
    "sha256-92e4d52490cf": "You are a support agent. Rule R1: refunds only within 30 days."
    " Rule R2: never promise a delivery date."
}


def observe_fixture(name: str) -> list[ObservedSpan]:
    assert f"{name}.0" in fixture_names()
    return [observe(span, RULES) for span in decode_json(captured_json(f"{name}.0")).spans]


def traces(name: str) -> list[list[ObservedSpan]]:
    """The traces that have work in them."""
    by_id = defaultdict(list)
    for observed in observe_fixture(name):
        by_id[observed.trace_id].append(observed)
    return [spans for spans in by_id.values() if any(each.evidence.is_work for each in spans)]


def test_every_fixture_is_tested() -> None:
    assert fixture_names() == [f"{name}.0" for name in FIXTURES]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("langchain_openinference", 1),
        ("langchain_traceloop", 1),
        ("pydantic_ai_nocontent", 2),
        ("pydantic_ai_v5", 2),
        ("vercel_ai_sdk_semconv", 1),
    ],
)
def test_each_reply_invoked_two_actions_once(name: str, count: int) -> None:
    found = traces(name)
    assert len(found) == count
    for spans in found:
        evidence = [each.evidence for each in spans]
        assert invocations(evidence) == CALLED
        assert {action for each in evidence for action in each.actions} == TOOLS
        assert any(each.is_reply for each in evidence)


def test_a_tool_called_outside_of_any_model_is_invoked() -> None:
    found = traces("llama_index_openinference")
    assert [invocations(each.evidence for each in spans) for spans in found] == [
        Counter(),
        Counter({"lookup_order": 1}),
    ]


@pytest.mark.parametrize("name", FIXTURES)
def test_the_documents_are_those_that_were_retrieved(name: str) -> None:
    (_, *others) = found = [
        {document for each in spans for document in each.evidence.retrieved}
        for spans in traces(name)
    ]
    assert found[0] == DOCUMENTS
    assert all(others) == (name != "llama_index_openinference")


@pytest.mark.parametrize("name", FIXTURES)
def test_the_instructions_have_one_id_and_name_in_every_dialect(name: str) -> None:
    told: dict[str, str] = {}
    for observed in observe_fixture(name):
        told |= observed.evidence.instructions
    silent = name in {"pydantic_ai_nocontent", "llama_index_openinference"}
    assert told == ({} if silent else INSTRUCTION)


@pytest.mark.parametrize("name", FIXTURES)
def test_the_text_cites_one_document(name: str) -> None:
    silent = name in {"pydantic_ai_nocontent", "llama_index_openinference"}
    for spans in traces(name):
        cited = {each for observed in spans for each in observed.evidence.cited}
        assert cited == (set() if silent else {"kb-refund-policy"})


@pytest.mark.parametrize("name", FIXTURES)
def test_the_conversation_is_on_some_span_of_the_trace(name: str) -> None:
    for spans in traces(name):
        held = {value for each in spans for value in each.evidence.conversation.values()}
        assert held == (set() if name == "vercel_ai_sdk_semconv" else {CONVERSATION})


def test_setting_an_agent_up_tells_what_is_available_and_is_no_work() -> None:
    (created,) = [
        observed.evidence
        for observed in observe_fixture("langchain_traceloop")
        if observed.name.startswith("create_agent")
    ]
    assert (created.is_work, created.is_reply) == (False, False)
    assert set(created.actions) == TOOLS
    assert created.instructions == INSTRUCTION


def test_two_dialects_on_one_span_tell_of_one_execution() -> None:
    both = [
        observed.evidence
        for observed in observe_fixture("langchain_traceloop")
        if observed.evidence.dialects == ("genai", "traceloop") and observed.evidence.executed
    ]
    assert [each.executed and each.executed.name for each in both] == [
        "search_knowledge",
        "lookup_order",
    ]


def test_a_step_of_a_graph_tells_nothing() -> None:
    steps = [
        observed.evidence
        for observed in observe_fixture("langchain_traceloop")
        if observed.name.startswith("execute_task")
    ]
    assert steps
    assert not any(each.dialects or each.is_work or each.output for each in steps)
