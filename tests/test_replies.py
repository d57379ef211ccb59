"""Replies as they are sent: bytes in, replies or sentences out."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.errors import InvalidInput
from applyrate.intake.replies import (
    LineSplitter,
    OverlongLine,
    decode_facts,
    decode_reply,
    read_reply_id,
    split_replies,
)
from applyrate.usage import Applied, Available, Invocation, Reply


def reply(**changes: Any) -> bytes:
    fields = {"reply_id": "r_1", "session_id": "s_1", "replied_at": "2026-03-01T10:00:00Z"}
    return json.dumps(fields | changes).encode()


def test_a_reply_holds_what_was_sent() -> None:
    decoded = decode_reply(
        reply(
            replied_at="2026-03-01T10:00:00.250Z",
            available={"instruction": ["ins_tone"], "knowledge": ["kb_7"], "action": ["look"]},
            applied={"action": ["look", {"id": "look", "call_id": "call_2"}]},
            ticket_number=1234,
            last_message="On its way.",
        )
    )
    assert decoded == Reply(
        reply_id="r_1",
        session_id="s_1",
        replied_at=datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC),
        available=Available(["ins_tone"], ["kb_7"], ["look"]),
        applied=Applied([], [], ["look", Invocation("look", "call_2")]),
        ticket_number=1234,
        last_message="On its way.",
    )


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-03-01T10:00:00", 10), ("2026-03-01 12:00:00+02:00", 10), ("2026-03-01T10:00:00z", 10)],
)
def test_times_are_taken_in_utc(text: str, hour: int) -> None:
    at = decode_reply(reply(replied_at=text)).replied_at
    assert at == datetime(2026, 3, 1, hour, tzinfo=UTC)
    assert at.tzinfo is UTC


A_DATE_TIME = "is not an ISO 8601 date-time such as 2026-03-01T10:00:00Z"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (reply(replied_at="2026-13-01"), f"replied_at: '2026-13-01' {A_DATE_TIME}"),
        (reply(replied_at=5), f"replied_at: 5 {A_DATE_TIME}"),
        (
            reply(replied_at="0001-01-01T00:00:00+14:00"),
            "replied_at: '0001-01-01T00:00:00+14:00' lies outside the years 1 to 9999 in UTC",
        ),
        (
            reply(replied_at="9999-12-31T23:59:59-01:00"),
            "replied_at: '9999-12-31T23:59:59-01:00' lies outside the years 1 to 9999 in UTC",
        ),
        (reply(reply_id=""), "reply_id: '' is shorter than 1 character"),
        (reply(reply_id=7), "reply_id: 7 is not a string"),
        (
            reply(applied={"instruction": ["a", "b", 5]}),
            "applied.instruction[2]: 5 is not a string",
        ),
        (
            reply(applied={"action": ["a", {"id": "a"}]}),
            "applied.action[1].call_id: required, and missing",
        ),
        (reply(applied={"action": [None]}), "applied.action[0]: null is not a string or an object"),
        (reply(applied={"action": "a"}), "applied.action: 'a' is not an array"),
        (reply(available=None), "available: null is not an object"),
        (reply(available={"tool": []}), "available.tool: there is no such field"),
        (reply(ticket_number=-1), "ticket_number: -1 is less than 0"),
        (reply(ticket_number=2**53), f"ticket_number: {2**53} is greater than {2**53 - 1}"),
        (reply(ticket_number="12"), "ticket_number: '12' is not a whole number or null"),
        (b"{}", "reply_id: required, and missing"),
        (b"[]", "the reply: [] is not an object"),
        (b"", "the reply: not JSON: it ends too early"),
        (b'{"reply_id":', "the reply: not JSON: it ends too early"),
        (b"{nope}", "the reply: not JSON: object keys must be strings at byte 1"),
        (b'{"reply_id": "\xff"}', "the reply: not UTF-8"),
        (
            reply(session_id="a\0b"),
            "session_id: 'a\\x00b' contains the character U+0000, which no text may",
        ),
        (
            reply(applied={"action": [{"id": "a", "call_id": "\0"}]}),
            "applied.action[0].call_id: '\\x00' contains the character U+0000, which no text may",
        ),
        (
            reply(session_id="\ud800"),
            "session_id: '\\ud800' contains half a surrogate pair, which no text may",
        ),
        (
            reply(applied={"knowledge": ["ok", "a\udc00b"]}),
            "applied.knowledge[1]: 'a\\udc00b' contains half a surrogate pair, which no text may",
        ),
        (
            b'{"\\ud800": "\\ud800"}',
            "\\ud800: '\\ud800' contains half a surrogate pair, which no text may",
        ),
        (b'{"deep": ' + b"[" * 100_000, "deep: there is no such field"),
    ],
)
def test_a_bad_reply_is_told_its_field_its_value_and_the_rule(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_reply(raw)
    assert refused.value.message == message


def test_a_message_stays_short_whatever_was_sent() -> None:
    for raw in (
        reply(session_id="s" * 100_000),
        reply(**{"f" * 100_000: 1}),
        reply(available="x" * 100_000),
    ):
        with pytest.raises(InvalidInput) as refused:
            decode_reply(raw)
        assert len(refused.value.message) < 200


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert decode_reply(reply(last_message="\\u0000")).last_message == "\\u0000"


def test_identifiers_may_be_any_text_of_up_to_512_characters() -> None:
    for text in ("a/b c", "😀" * 512, "%2F", "..", "\u202e", "\n"):
        assert decode_reply(reply(reply_id=text)).reply_id == text
    with pytest.raises(InvalidInput, match="is longer than 512 characters"):
        decode_reply(reply(reply_id="😀" * 513))


def test_what_is_known_of_a_conversation_keeps_unset_apart_from_null() -> None:
    facts = decode_facts(b'{"handed_off_at": "2026-03-01T12:00:00+02:00", "csat": null}')
    assert facts.handed_off_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert facts.csat is None
    assert b"status" not in repr(facts).encode() or facts.status is not None
    with pytest.raises(InvalidInput, match="csat: 6 is greater than 5"):
        decode_facts(b'{"csat": 6}')
    with pytest.raises(InvalidInput, match=r"handed_off_at: .* lies outside the years"):
        decode_facts(b'{"handed_off_at": "0001-01-01T00:00:00+01:00"}')


def test_a_body_is_one_reply_or_an_array_of_them() -> None:
    assert split_replies(b' {"a": 1} ') == [b' {"a": 1} ']
    assert split_replies(b'\n[ {"a": 1} , 5, "x"]\t') == [b'{"a": 1}', b"5", b'"x"']
    assert split_replies(b"[]") == []


@pytest.mark.parametrize(
    "body", [b"", b"x", b"5", b'"text"', b"[1", b"[1,]", b"[1] 2", b"[" * 9999]
)
def test_a_body_of_neither_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^the body: "):
        split_replies(body)


def test_a_broken_string_spoils_its_own_reply_alone() -> None:
    body = b'[{"reply_id": "\\ud800"}, %b, {"reply_id": "\x01\xff"}, 7]' % reply()
    items = split_replies(body)
    assert len(items) == 4
    assert decode_reply(items[1]).reply_id == "r_1"
    for bad in (items[0], items[2], items[3]):
        with pytest.raises(InvalidInput):
            decode_reply(bad)


@pytest.mark.parametrize(
    "broken", [b'{"reply_id": "\\u0000\xff"}', b'{"a": "\\u0000", "b": %b}' % (b"1" * 5_000)]
)
@pytest.mark.parametrize("beside", [b'"\\u0000"', b'"\\ud800"'])
def test_whatever_stands_in_a_broken_reply_is_told_of_it_alone(
    broken: bytes, beside: bytes
) -> None:
    items = split_replies(b"[%b, %b, %b]" % (broken, reply(), beside))
    assert decode_reply(items[1]).reply_id == "r_1"
    for bad in (items[0], items[2]):
        with pytest.raises(InvalidInput):
            decode_reply(bad)


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        )
    )
)
def test_splitting_an_array_loses_nothing(items: list[Any]) -> None:
    body = json.dumps(items).encode()
    assert [json.loads(item) for item in split_replies(body)] == items


def test_the_id_of_a_bad_reply_is_told_where_it_can_be() -> None:
    assert read_reply_id(reply(replied_at="nope")) == "r_1"
    for raw in (b"{}", b"[1]", b"", reply(reply_id=5), b'{"reply_id": "\xff"}', b"[" * 9999):
        assert read_reply_id(raw) is None
    assert read_reply_id(reply(reply_id="x" * 513)) is None


def split(pieces: list[bytes], max_bytes: int = 1000) -> list[bytes | OverlongLine]:
    splitter = LineSplitter(max_bytes)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, *splitter.finish()]


def test_lines_end_with_lf_or_crlf_or_with_the_stream() -> None:
    assert split([b"one\ntwo\r\n\n   \r\nthree"]) == [b"one", b"two", b"three"]
    assert split([b""]) == split([]) == split([b"\n\n"]) == []


@given(st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"\n")), st.data())
def test_lines_do_not_depend_on_how_the_stream_is_cut(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)))))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert split(pieces, 7) == split([data], 7)


def test_a_line_is_overlong_by_its_own_bytes() -> None:
    for end in (b"", b"\n", b"\r\n"):
        assert split([b"12345" + end], 5) == [b"12345"]
        assert split([b"123456" + end, b"ok"][: 1 + bool(end)], 5) == [
            OverlongLine(5),
            *([b"ok"] if end else []),
        ]


def test_an_overlong_line_is_not_held_in_memory() -> None:
    splitter = LineSplitter(10)
    for _ in range(100):
        assert list(splitter.feed(b"x" * 1000)) == []
        assert sum(map(len, splitter._parts)) <= 11  # noqa: SLF001 (what it holds is the promise)
    assert list(splitter.feed(b"\nok\n")) == [OverlongLine(10), b"ok"]
