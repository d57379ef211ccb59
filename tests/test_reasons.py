"""The reason of a rejection: one name for each rule, whatever value broke it."""

import pytest

from applyrate.errors import InvalidInput
from applyrate.intake.reasons import reason_of
from applyrate.intake.replies import decode_reply
from applyrate.intake.transcripts import read_transcript


def refused(reply: str) -> str:
    """The message that rejects a reply."""
    with pytest.raises(InvalidInput) as caught:
        decode_reply(reply.encode())
    return caught.value.message


def reply(**fields: str) -> str:
    given = {"reply_id": '"r"', "session_id": '"s"', "replied_at": '"2026-03-01T10:00:00Z"'}
    return "{" + ",".join(f'"{name}":{raw}' for name, raw in {**given, **fields}.items()) + "}"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"replied_at": '"2026-13-01"'}, "replied_at: is not an ISO 8601 date-time such as "),
        ({"replied_at": '"it is not is longer than"'}, "replied_at: is not an ISO 8601 date-time"),
        ({"applied": '{"action": ["a", 5]}'}, "applied.action[]: "),
        ({"reply_id": '"' + "r" * 600 + '"'}, "reply_id: is longer than 512 characters"),
        ({"reply_id": '""'}, "reply_id: is shorter than 1 character"),
        ({"session_id": '"a is b\\u0000"'}, "session_id: contains the character U+0000, "),
        ({"is": '"x is y"'}, "is: there is no such field"),
        ({"replied_at": '"0001-01-01T00:00:00+14:00"'}, "replied_at: lies outside the years "),
        ({"applied": "{"}, "the reply: not JSON: "),
    ],
)
def test_a_reason_is_the_rule_without_the_value(fields: dict[str, str], reason: str) -> None:
    assert reason_of(refused(reply(**fields))).startswith(reason)


def test_the_same_fault_has_the_same_reason_wherever_it_is_made() -> None:
    messages = {refused(reply(applied=f'{{"action": [{"1," * place}2]}}')) for place in range(1, 9)}
    messages |= {refused(reply(applied=f'{{"action": [{value}]}}')) for value in (3, 4, "[5]")}
    assert len(messages) > 3
    assert len(set(map(reason_of, messages))) == 1


def test_a_reason_quotes_nothing_of_a_transcript_either() -> None:
    told = '{"id": "c", "messages": [{"role": "assistant", "content": "x", "created_at": "soon"}]}'
    with pytest.raises(InvalidInput) as caught:
        read_transcript(told.encode())
    assert "soon" in caught.value.message
    assert "soon" not in reason_of(caught.value.message)


def test_a_reason_is_short() -> None:
    assert len(reason_of("x" * 100_000)) == 200
