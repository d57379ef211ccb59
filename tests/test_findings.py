"""Findings: which attribute is proposed as the one that holds the conversation."""

from applyrate.intake.findings import describe, rank_candidates
from tests.observed import AT, agent, noise, observed


def ranked(*traces: dict[str, str]) -> list[str]:
    return [candidate.name for candidate in rank_candidates(traces)]


def test_the_attribute_of_most_traces_that_differs_between_them_comes_first() -> None:
    traces = [
        {"region": "eu", "app.chat": f"c_{n // 2}", "rare": f"r{n}"}
        if n % 2
        else {"region": "eu", "app.chat": f"c_{n // 2}"}
        for n in range(6)
    ]
    assert ranked(*traces) == ["app.chat", "rare", "region"]


def test_of_equals_the_name_that_speaks_of_conversations_comes_first() -> None:
    assert ranked(*({"a.id": f"{n}", "b.threadId": f"{n}"} for n in range(3)))[0] == "b.threadId"
    assert ranked({"a.id": "1", "ticket": "2"})[0] == "ticket"


def test_what_the_conventions_use_for_something_else_comes_last() -> None:
    traces = [{"gen_ai.response.id": f"r{n}", "service.instance.id": "i", "x": "1"} for n in "ab"]
    assert ranked(*traces)[0] == "x"
    assert ranked({"gen_ai.agent.name": "a", "gen_ai.chat_id": "c"})[0] == "gen_ai.chat_id"


def test_a_candidate_shows_up_to_three_values_the_newest_first() -> None:
    (candidate,) = rank_candidates([{"chat": value} for value in "ccabdc"])
    assert (candidate.trace_count, candidate.examples) == (6, ["c", "a", "b"])


def test_an_attribute_with_several_values_in_one_trace_is_no_conversation() -> None:
    finding = describe(
        "acme",
        [
            agent("a", labels={"call": "1", "chat": "c"}),
            observed("b", "a", labels={"call": "2", "chat": "c"}),
        ],
    )
    assert finding.attributes == {"chat": "c"}


def test_a_finding_tells_of_the_agents_service_and_of_the_whole_time() -> None:
    finding = describe(
        "acme",
        [
            noise("http", service="gateway", at=(0, 9)),
            agent("a", "http", service="agent", at=(1, 8), dialects=("vercel", "genai")),
        ],
        missing=["conversation"],
    )
    assert finding.service == "agent"
    assert finding.dialects == ["genai", "vercel"]
    assert (finding.started_at, finding.ended_at) == (AT, AT + 9_000_000)
