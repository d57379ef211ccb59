"""Assembly: which spans make a reply, and what they tell together."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.intake.assembly import WHOLE, AssembledReply, assemble, is_complete
from applyrate.intake.spans import ObservedSpan
from tests.observed import TRACE, agent, executed, noise, observed, requested, span_id

NAMES = ("gen_ai.conversation.id", "session.id")
MIDNIGHT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def replies_of(
    *spans: ObservedSpan, pins: Mapping[str, str] | None = None, names: Sequence[str] = NAMES
) -> list[AssembledReply]:
    """The replies, which must not depend on the order of the spans."""
    first = assemble(spans, pins or {}, names)
    assert assemble(spans[::-1], pins or {}, names) == first
    return first


def reply_of(*spans: ObservedSpan, names: Sequence[str] = NAMES) -> AssembledReply:
    (reply,) = replies_of(*spans, names=names)
    return reply


def calls_of(*spans: ObservedSpan) -> dict[str, int]:
    return dict(Counter(map(str, reply_of(*spans).applied.action)))


def second(seconds: int) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


def test_the_outermost_agent_span_is_the_reply_with_all_that_lies_inside() -> None:
    reply = reply_of(
        noise("http"),
        agent("outer", "http", at=(1, 8)),
        agent("inner", "outer", at=(2, 4)),
        executed("tool", "inner", "look"),
    )
    assert (reply.reply_id, reply.head) == (TRACE, span_id("outer"))
    assert reply.replied_at == second(8)
    assert reply.applied.action == ["look"]


def test_two_outermost_agent_spans_are_two_replies() -> None:
    first, later = replies_of(
        noise("http"),
        agent("b", "http", at=(1, 3)),
        agent("a", "http", at=(4, 6)),
        executed("t1", "a", "write"),
        executed("t2", "b", "look"),
    )
    assert (first.reply_id, later.reply_id) == (TRACE, f"{TRACE}-{span_id('a')}")
    assert (first.applied.action, later.applied.action) == (["look"], ["write"])
    assert (first.replied_at, later.replied_at) == (second(3), second(6))


def test_without_an_agent_span_the_whole_trace_is_the_reply() -> None:
    reply = reply_of(observed("chat", at=(0, 5)), executed("tool", "chat", "look"))
    assert (reply.reply_id, reply.head) == (TRACE, WHOLE)
    assert reply.replied_at == second(5)


def test_without_a_root_the_latest_end_is_the_time() -> None:
    spans = observed("chat", "lost", at=(0, 5)), observed("tool", "lost", at=(1, 9))
    assert reply_of(*spans).replied_at == second(9)


def test_a_span_outside_goes_to_the_first_agent_that_ends_after_it_starts_else_to_the_last() -> (
    None
):
    first, later = replies_of(
        agent("a", at=(2, 4)),
        agent("b", at=(6, 8)),
        observed("before", at=(0, 1), retrieved=("kb_before",)),
        observed("during", "lost", at=(3, 9), retrieved=("kb_during",)),
        observed("between", at=(4, 5), retrieved=("kb_between",)),
        observed("after", at=(8, 9), retrieved=("kb_after",)),
    )
    assert first.available.knowledge == ["kb_before", "kb_during"]
    assert later.available.knowledge == ["kb_after", "kb_between"]


def test_the_conversation_is_that_of_the_first_attribute_that_the_replys_own_spans_have() -> None:
    early = {"gen_ai.conversation.id": "a", "session.id": "b"}
    assert reply_of(agent("a", conversation=early)).session_id == "a"
    own = reply_of(
        observed("root", conversation={"gen_ai.conversation.id": "of the root"}),
        agent("a", "root", conversation={"session.id": "own"}),
    )
    assert own.session_id == "own"
    nested = reply_of(
        agent("a", conversation={"session.id": "agent"}, at=(5, 9)),
        observed("t", "a", conversation={"session.id": "tool"}, at=(0, 1)),
    )
    assert nested.session_id == "agent"


def test_the_conversation_may_stand_on_any_span_of_the_trace() -> None:
    root = noise("root", conversation={"session.id": "conv"})
    assert reply_of(root, agent("a", "root", conversation={})).session_id == "conv"


def test_a_mapped_attribute_is_read_from_what_was_kept_of_the_spans() -> None:
    span = agent("a", conversation={}, labels={"app.chat": "c_7", "app.user": "u_1"})
    assert reply_of(span).session_id is None
    assert reply_of(span, names=[*NAMES, "app.chat"]).session_id == "c_7"


def test_what_was_available_is_what_its_spans_say_together() -> None:
    reply = reply_of(
        agent("a", instructions={"tone": "", "refunds": "Refunds"}, actions=("look",)),
        observed("b", "a", instructions={"tone": "Be kind"}, actions=("look", "write")),
        observed("c", "a", retrieved=("kb_2", "kb_1"), available_knowledge=("kb_3",)),
    )
    assert reply.available.instruction == ["refunds", "tone"]
    assert reply.available.action == ["look", "write"]
    assert reply.available.knowledge == ["kb_1", "kb_2", "kb_3"]
    assert reply.instruction_names == {"refunds": "Refunds", "tone": "Be kind"}


def test_a_rerankers_choice_takes_the_place_of_what_was_retrieved() -> None:
    reply = reply_of(
        agent("a", available_knowledge=("kb_9",)),
        observed("r", "a", retrieved=("kb_1", "kb_2", "kb_3")),
        observed("rr", "a", reranked=("kb_2",)),
    )
    assert reply.available.knowledge == ["kb_2", "kb_9"]


def test_a_citation_counts_only_for_a_document_of_the_same_reply() -> None:
    first, later = replies_of(
        noise("root"),
        agent("a", "root", at=(0, 4), cited=("kb_1", "kb_2", "kb_3", "footnote")),
        observed("r", "a", retrieved=("kb_1",), available_knowledge=("kb_3",)),
        agent("b", "root", at=(5, 9), cited=("kb_1",), applied_knowledge=("kb_4",)),
        observed("s", "b", retrieved=("kb_2",)),
    )
    assert first.applied.knowledge == ["kb_1", "kb_3"]
    assert later.applied.knowledge == ["kb_4"]


def test_what_is_said_in_so_many_words_is_applied() -> None:
    reply = reply_of(agent("a", applied_instructions=("tone",), applied_knowledge=("kb_1",)))
    assert (reply.applied.instruction, reply.applied.knowledge) == (["tone"], ["kb_1"])


def test_the_message_is_the_agents_own_or_the_latest_one() -> None:
    chats = [observed(f"c{n}", "a", at=(n, n + 1), output=f"said {n}") for n in range(3)]
    assert reply_of(agent("a"), *chats).last_message == "said 2"
    assert reply_of(agent("a", output="the end"), *chats).last_message == "the end"
    assert reply_of(agent("a")).last_message is None


@pytest.mark.parametrize(
    ("spans", "calls"),
    [
        pytest.param([executed("x", "a", "look")], {"look": 1}, id="an execution"),
        pytest.param(
            [executed("x", "a", "look"), executed("y", "a", "look")],
            {"look": 2},
            id="executions without ids are told apart by their spans",
        ),
        pytest.param(
            [executed("x", "a", "look", "c1"), executed("y", "a", "look", "c1")],
            {"look": 1},
            id="two executions with one id are one",
        ),
        pytest.param(
            [executed("x", "a", "look"), noise("h", "x"), executed("y", "h", "look")],
            {"look": 1},
            id="an execution inside one of the same name is the same",
        ),
        pytest.param(
            [executed("x", "a", "look"), executed("y", "x", "look", "c1")],
            {"look": 1},
            id="whichever of the two has the id",
        ),
        pytest.param(
            [executed("x", "a", "look"), executed("y", "x", "write")],
            {"look": 1, "write": 1},
            id="an execution inside one of another name is its own",
        ),
        pytest.param(
            [requested("m", "a", ("look", "c1")), executed("x", "a", "look", "c1")],
            {"look": 1},
            id="a request that was executed is no second call",
        ),
        pytest.param(
            [requested("m", "a", ("look", "c1"), ("look", "c2")), executed("x", "a", "look")],
            {"look": 2},
            id="an execution without id answers one of the requests",
        ),
        pytest.param(
            [requested("m", "a", ("look", "c1"), ("look", None))],
            {"look": 2},
            id="a request counts where no execution does",
        ),
        pytest.param(
            [
                requested("g", "a", ("look", "c1"), ("write", None), ("write", None)),
                requested("m", "g", ("look", "c1"), ("write", None)),
                requested("n", "g", ("write", None)),
            ],
            {"look": 1, "write": 2},
            id="an agent that repeats its model's requests asks for nothing more",
        ),
    ],
)
def test_no_invocation_is_counted_twice(spans: list[ObservedSpan], calls: dict[str, int]) -> None:
    assert calls_of(agent("a"), *spans) == calls


@given(st.lists(st.tuples(st.sampled_from(["execution", "call", "request"]), st.integers(0, 9))))
def test_the_count_of_invocations_only_grows_as_spans_arrive(
    kinds: list[tuple[str, int]],
) -> None:
    """Whatever is nested, and in whatever order requests and executions come."""
    spans = [agent("a")]
    for number, (kind, other) in enumerate(kinds):
        name, parent = f"s{number}", spans[other % len(spans)].name
        if kind == "request":
            spans.append(requested(name, "a", ("look", f"c{other}")))
        else:
            call_id = f"c{number}" if kind == "call" else None
            spans.append(executed(name, parent, "look", call_id))
    counts = [calls_of(*spans[: end + 1]).get("look", 0) for end in range(len(spans))]
    assert counts == sorted(counts)


def test_a_whole_trace_that_was_recorded_stays_one_reply() -> None:
    (reply,) = replies_of(agent("a", at=(0, 4)), agent("b", at=(5, 9)), pins={WHOLE: TRACE})
    assert (reply.reply_id, reply.head) == (TRACE, WHOLE)


def test_a_span_that_was_recorded_as_a_reply_stays_one() -> None:
    inner = agent("inner", "outer", at=(2, 4))
    (first,) = replies_of(inner)
    pins = {first.head: first.reply_id}
    (again,) = replies_of(
        agent("outer", at=(0, 9)), inner, executed("t", "outer", "look"), pins=pins
    )
    assert (again.reply_id, again.head) == (first.reply_id, first.head)
    assert again.applied.action == ["look"]


def test_spans_around_two_recorded_replies_go_to_the_first() -> None:
    b, c = agent("b", "a", at=(2, 4)), agent("c", "a", at=(5, 6))
    pins = {reply.head: reply.reply_id for reply in replies_of(b, c)}
    first, later = replies_of(
        *(agent("a", at=(0, 9)), b, c, executed("t", "a", "look")),
        agent("d", "a", at=(7, 8), retrieved=("kb",)),
        pins=pins,
    )
    assert {first.head: first.reply_id, later.head: later.reply_id} == pins
    assert (first.applied.action, first.available.knowledge) == (["look"], ["kb"])
    assert later.applied.action == []


def test_an_earlier_agent_span_that_comes_late_takes_no_recorded_id() -> None:
    b = agent("b", at=(5, 9))
    pins = {reply.head: reply.reply_id for reply in replies_of(b)}
    first, later = replies_of(agent("a", at=(0, 4)), b, pins=pins)
    assert (first.reply_id, later.reply_id) == (f"{TRACE}-{span_id('a')}", TRACE)


@pytest.mark.parametrize(
    "spans",
    [
        [agent("a", "a")],
        [agent("a", "b"), agent("b", "a")],
        [agent("a", "b"), noise("b", "c"), executed("c", "b", "look")],
        [executed("a", "b", "look"), executed("b", "a", "look")],
    ],
)
def test_a_circle_of_parents_ends(spans: list[ObservedSpan]) -> None:
    assert replies_of(*spans)


def test_a_trace_of_great_depth_is_assembled() -> None:
    names = [f"{number:08}" for number in range(5_000)]
    spans = [executed(name, above, "look") for name, above in zip(names[1:], names, strict=False)]
    assert calls_of(agent(names[0]), *spans)["look"] == 1


COMPLETE: Iterable[tuple[str, list[ObservedSpan], bool]] = [
    ("a root with all below it", [agent("a"), observed("b", "a"), observed("c", "b")], True),
    ("no root", [agent("a", "lost"), observed("b", "a")], False),
    ("a gap below the root", [agent("a"), observed("c", "b")], False),
    ("an agent called from elsewhere", [agent("a", "x", is_entry=True), observed("b", "a")], True),
    ("a server called from elsewhere", [noise("a", "x", is_entry=True), agent("b", "a")], False),
]


@pytest.mark.parametrize(("spans", "complete"), [(s, c) for _, s, c in COMPLETE])
def test_a_trace_is_complete_with_its_top_and_no_gap(
    spans: list[ObservedSpan],
    complete: bool,  # noqa: FBT001 (pytest hands it over by name)
) -> None:
    assert is_complete(spans) is complete
