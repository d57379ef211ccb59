"""Conversations in the OpenAI chat form give the replies that they hold."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.errors import InvalidInput
from applyrate.intake.transcripts import Transcript, read_transcript
from applyrate.usage import Invocation, Reply, ResourceType

START = 1_767_225_600  # 2026-01-01T00:00:00Z

Message = dict[str, Any]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def said(role: str, seconds: float | None = None, content: Any = "...", **more: Any) -> Message:
    created_at = {} if seconds is None else {"created_at": START + seconds}
    return {"role": role, "content": content, **created_at, **more}


def called(seconds: float | None, *calls: tuple[str, str | None], content: Any = None) -> Message:
    tool_calls = [
        {"type": "function", "function": {"name": name, "arguments": "{}"}}
        | ({"id": call_id} if call_id else {})
        for name, call_id in calls
    ]
    return said("assistant", seconds, content, tool_calls=tool_calls)


def read(*messages: Message, **conversation: Any) -> Transcript:
    return read_transcript(
        json.dumps({"id": "c_1", "messages": list(messages)} | conversation).encode()
    )


def replies(*messages: Message, **conversation: Any) -> list[Reply]:
    return list(read(*messages, **conversation).replies)


def test_a_reply_is_what_the_agent_says_between_two_user_messages() -> None:
    first, second = replies(
        said("system", 0, "# Tone"),
        said("user", 1),
        called(2, ("look_up", "call_1"), content="One moment."),
        said("tool", 3, "{}", tool_call_id="call_1"),
        said("assistant", 4, "It is on its way."),
        said("user", 5),
        said("assistant", 6, "You are welcome."),
        said("user", 7),
    )
    assert (first.session_id, first.replied_at) == ("c_1", at(4))
    assert first.applied.action == [Invocation("look_up", "call_1")]
    assert first.available.instruction == ["tone"]
    assert first.last_message == "It is on its way."
    assert (second.replied_at, second.applied.action) == (at(6), [])
    assert second.last_message == "You are welcome."
    assert first.ticket_number is None


def test_the_agent_may_speak_first_and_last() -> None:
    greeting, farewell = replies(
        said("assistant", 0, "Hello!"), said("user", 1), said("assistant", 2, "Bye.")
    )
    assert (greeting.replied_at, farewell.replied_at) == (at(0), at(2))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [said("system", 0)],
        [said("user", 0), said("user", 1)],
        [said("user", 0), said("tool", 1), said("user", 2)],
    ],
)
def test_without_an_assistant_message_there_is_no_reply(messages: list[Message]) -> None:
    assert replies(*messages) == []


def test_the_time_of_a_reply_is_that_of_its_last_assistant_message() -> None:
    (reply,) = replies(said("user", 0), called(1, ("look_up", None)), said("tool", 9))
    assert reply.replied_at == at(1)


def test_a_message_without_a_time_takes_the_last_one_known() -> None:
    (reply,) = replies(said("user", 3), said("assistant"), said("user", 8))
    assert reply.replied_at == at(3)
    (reply,) = replies(said("assistant"), created_at=START)
    assert reply.replied_at == at(0)


def test_a_reply_without_any_time_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"messages\[1\]: .* created_at"):
        replies(said("user"), said("assistant"), said("user", 5))


@pytest.mark.parametrize(
    "created_at",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T02:00:00+02:00",
        "2026-01-01 00:00:00",
        START,
        float(START),
    ],
)
def test_times_are_iso_8601_or_unix_seconds(created_at: Any) -> None:
    (reply,) = replies(said("assistant") | {"created_at": created_at})
    assert reply.replied_at == at(0)


@pytest.mark.parametrize("created_at", ["yesterday", START * 1000, -1e15, True])
def test_a_time_that_cannot_be_is_named(created_at: Any) -> None:
    with pytest.raises(InvalidInput, match=r"messages\[0\]\.created_at: "):
        replies(said("assistant") | {"created_at": created_at})


def test_every_tool_call_is_an_invocation_of_its_own() -> None:
    (reply,) = replies(
        said("user", 0),
        called(1, ("look_up", "call_0"), ("look_up", "call_0"), ("refund", "call_0")),
        called(2, ("look_up", "call_0"), ("look_up", None), ("look_up", None)),
    )
    assert reply.applied.action == [
        Invocation("look_up", "call_0"),
        Invocation("look_up", "call_0#2"),
        Invocation("refund", "call_0"),
        Invocation("look_up", "call_0#3"),
        "look_up",
        "look_up",
    ]


def test_a_call_of_the_older_form_counts_once() -> None:
    legacy = {"function_call": {"name": "look_up", "arguments": "{}"}}
    (reply,) = replies(said("assistant", 0, None, **legacy), said("function", 1, name="look_up"))
    assert reply.applied.action == ["look_up"]
    (reply,) = replies(called(0, ("look_up", "call_1")) | legacy)
    assert reply.applied.action == [Invocation("look_up", "call_1")]


def test_a_custom_tool_is_an_action_too() -> None:
    call = {"id": "call_1", "type": "custom", "custom": {"name": "run_sql", "input": "SELECT 1"}}
    (reply,) = replies(said("assistant", 0, None, tool_calls=[call]))
    assert reply.applied.action == [Invocation("run_sql", "call_1")]


def test_offered_tools_are_available_actions() -> None:
    tools = [
        {"type": "function", "function": {"name": "refund", "parameters": {}}},
        {"type": "function", "function": {"name": "look_up"}},
        {"type": "web_search"},
    ]
    (reply,) = replies(said("assistant", 0), tools=tools)
    assert reply.available.action == ["look_up", "refund"]


def test_instructions_are_available_from_their_system_message_on() -> None:
    first, second, third = replies(
        said("system", 0, "# Tone\n# Refunds"),
        said("assistant", 1),
        said("user", 2),
        said("assistant", 3),
        said("developer", 4, [{"type": "text", "text": "# Shipping"}, {"text": "# Tone"}]),
        said("assistant", 5),
        said("system", 6, "# Too late"),
        said("user", 7),
        said("assistant", 8),
    )
    assert first.available.instruction == ["tone", "refunds"]
    assert second.available.instruction == ["tone", "refunds", "shipping"]
    assert third.available.instruction == ["tone", "refunds", "shipping", "too-late"]
    assert third.applied.instruction == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Done.", "Done."),
        (["Do", {"type": "text", "text": "ne."}], "Do\nne."),
        ([{"type": "refusal", "refusal": "I cannot."}], "I cannot."),
        ([{"type": "image_url", "image_url": {"url": "x"}}], None),
        ("  \n", None),
        (None, None),
    ],
)
def test_the_last_message_is_the_text_of_the_reply(content: Any, text: str | None) -> None:
    (reply,) = replies(said("assistant", 0, content))
    assert reply.last_message == text


def test_the_last_message_is_the_last_one_with_a_text() -> None:
    (reply,) = replies(
        said("assistant", 0, "Hello."),
        called(1, ("look_up", None), content="I transfer you."),
        called(2, ("transfer", None)),
    )
    assert reply.last_message == "I transfer you."


def test_a_long_last_message_is_cut_and_kept() -> None:
    (reply,) = replies(said("assistant", 0, "x" * 70_000))
    assert reply.last_message == "x" * 65_535 + "…"


def test_text_that_no_store_keeps_is_replaced() -> None:
    (reply,) = replies(said("assistant", 0, "nul: \0"), said("tool", 1, "\0"))
    assert reply.last_message == "nul: \ufffd"


@pytest.mark.parametrize("action", ["transfer_to_human_agents", "escalate_to_human"])
def test_a_handoff_action_hands_the_conversation_off_when_it_is_first_called(action: str) -> None:
    transcript = read(
        said("assistant", 0),
        said("user", 1),
        called(2, (action, "call_1")),
        said("assistant", 3),
        said("user", 4),
        called(5, (action, "call_2")),
    )
    assert transcript.handed_off_at == at(3)


def test_other_handoff_actions_can_be_named() -> None:
    raw = json.dumps({"id": "c", "messages": [called(0, ("to_a_person", None))]}).encode()
    assert read_transcript(raw).handed_off_at is None
    assert read_transcript(raw, ["to_a_person"]).handed_off_at == at(0)
    assert read_transcript(raw, []).handed_off_at is None


def test_the_instructions_of_a_transcript_are_named_as_it_names_them() -> None:
    transcript = read(
        said("system", 0, "# Tone of voice\n# Refunds (EU)"),
        said("assistant", 1),
        said("developer", 2, "Be   brief."),
        said("assistant", 3),
        said("system", 4, "# Too late"),
    )
    assert list(transcript.instruction_names.values()) == [
        "Tone of voice",
        "Refunds (EU)",
        "Be brief.",
    ]
    available = transcript.replies[0].available.instruction
    assert list(transcript.instruction_names) == available
    assert transcript.reports == {ResourceType.ACTION}


def test_reply_ids_are_made_of_the_conversation_and_the_place_or_the_messages_own_id() -> None:
    messages = [
        said("assistant", 0),
        said("user", 1),
        said("assistant", 2, id="msg_7"),
        said("assistant", 3, id="msg_8"),
        said("user", 4),
        said("assistant", 5),
    ]
    assert [reply.reply_id for reply in replies(*messages)] == ["c_1#1", "c_1:msg_7", "c_1#3"]
    assert [reply.session_id for reply in replies(said("assistant", 0), id=7)] == ["7"]


def test_a_message_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="2 replies have the id 'c_1:m'"):
        replies(said("assistant", 0, id="m"), said("user", 1), said("assistant", 2, id="m"))


@given(
    st.lists(st.sampled_from(["system", "user", "assistant", "tool"]), max_size=12),
    st.integers(0, 12),
)
def test_a_longer_version_only_adds_to_a_shorter_one(roles: list[str], length: int) -> None:
    messages = [said(role, second, f"# {role}") for second, role in enumerate(roles)]
    shorter = replies(*messages[:length], said("user", length))
    longer = replies(*messages[:length], said("user", length), *messages[length:])
    assert longer[: len(shorter)] == shorter
    assert len({reply.reply_id for reply in longer}) == len(longer)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"", "not JSON"),
        (b"[]", "is not an object"),
        (b"{}", "id: required, and missing"),
        (b'{"id": "c"}', "messages: required, and missing"),
        (b'{"id": "", "messages": []}', "id: "),
        (b'{"id": "c", "messages": [{"role": "bot"}]}', r"messages\[0\].role: 'bot'"),
        (b'{"id": "c", "messages": [{"content": "x"}]}', r"messages\[0\].role: required"),
        (b'{"id": "c", "messages": ["x"]}', r"messages\[0\]: 'x' is not an object"),
        (b'{"id": "\xff", "messages": []}', "not UTF-8"),
        (b'{"id": "c", "messages": [], "x": ' + b"[" * 100_000, "nested too deeply"),
        (
            b'{"id": 1, "messages": [{"role": "assistant", "created_at": 1, "tool_calls": [{}]}]}',
            "a call has neither",
        ),
    ],
)
def test_a_bad_conversation_is_refused_with_the_place_and_the_rule(line: bytes, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        read_transcript(line)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "text", "function", "custom", "refusal"]), inner
        )
    ),
    max_leaves=6,
)
FIELDS = ("content", "tool_calls", "function_call", "created_at", "id", "refusal")
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
    optional=dict.fromkeys(FIELDS, VALUES),
)


@given(VALUES, st.lists(MESSAGES, max_size=5), VALUES)
def test_any_conversation_is_read_or_refused(
    name: Any, messages: list[Message], tools: Any
) -> None:
    line = json.dumps({"id": name, "messages": messages, "tools": tools}).encode()
    with suppress(InvalidInput):
        for reply in read_transcript(line).replies:
            assert 1 <= len(reply.reply_id) <= 512
            assert reply.replied_at.tzinfo is UTC


@given(st.binary())
def test_any_bytes_are_a_conversation_or_a_fault(line: bytes) -> None:
    with suppress(InvalidInput):
        read_transcript(line)
