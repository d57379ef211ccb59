"""Cursors: opaque texts that stand for a place in one list, and for nothing else."""

import base64
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.api.cursors import Question
from applyrate.errors import InvalidInput
from applyrate.usage import ConversationPosition, ResourcePosition, Window

SECRET = bytes(range(32))


def ask(*subject: str, window: Window | None = None, org: str = "acme") -> Question:
    return Question(SECRET, org, *subject, window=window or Window())


QUESTION = ask("resources", "action")
AT = datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC)

positions = st.builds(
    ResourcePosition,
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(positions)
def test_a_cursor_stands_for_its_position(position: ResourcePosition) -> None:
    cursor = QUESTION.cursor(position)
    assert cursor is not None
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum(), "it needs no encoding in a query"
    assert QUESTION.position(cursor, ResourcePosition) == position


def test_the_end_of_a_list_has_no_cursor_and_no_cursor_is_its_start() -> None:
    assert QUESTION.cursor(None) is None
    assert QUESTION.position(None, ResourcePosition) is None


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        QUESTION.position(text, ResourcePosition)


def signed(value: object) -> str:
    """A cursor with the true signature of the question, around something that is no position."""
    packed = msgspec.msgpack.encode(value)
    return base64.urlsafe_b64encode(QUESTION._sign(packed) + packed).decode().rstrip("=")  # noqa: SLF001 (nobody else can sign)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [AT, False],
        [AT, False, "x", "more"],
        [AT, 0, "x"],
        ["yesterday", False, "x"],
        ["0001-01-01T00:00:00+14:00", False, "x"],
        {"last_used_at": AT, "without_fact": False, "resource_id": "x"},
    ],
)
def test_what_is_signed_and_no_position_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        QUESTION.position(signed(value), ResourcePosition)


def test_a_time_without_offset_is_utc() -> None:
    position = QUESTION.position(signed(["2026-03-01T10:00:00", False, "x"]), ResourcePosition)
    assert position is not None
    assert position.last_used_at == AT.replace(microsecond=0)


def test_a_cursor_of_another_question_is_refused() -> None:
    position = ConversationPosition(AT, "s")
    cursor = ask("conversations", "action").cursor(position)
    for other in (
        QUESTION,
        ask("conversations", "knowledge"),
        ask("conversations", "action", window=Window(AT)),
        ask("conversations", "action", org="other"),
        ask("conversationsaction"),
        ask("action", org="conversations"),
        Question(bytes(32), "acme", "conversations", "action", window=Window()),
    ):
        with pytest.raises(InvalidInput, match="belongs to another question"):
            other.position(cursor, ConversationPosition)


@given(st.data())
def test_no_character_of_a_cursor_can_be_changed(data: st.DataObject) -> None:
    cursor = QUESTION.cursor(data.draw(positions)) or ""
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(codec="ascii"))
    changed = cursor[:place] + other + cursor[place + 1 :]
    if base64.urlsafe_b64decode(padded(cursor)) == lenient(changed):
        return  # the last character has bits to spare
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        QUESTION.position(changed, ResourcePosition)


def padded(cursor: str) -> str:
    return cursor + "=" * (-len(cursor) % 4)


def lenient(cursor: str) -> bytes | None:
    try:
        return base64.b64decode(padded(cursor), altchars=b"-_", validate=True)
    except ValueError:
        return None
