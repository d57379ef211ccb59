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

QUESTION = Question("resources", "action", window=Window())
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


def forged(value: object) -> str:
    """A cursor with the true mark of the question, around something of our own."""
    true = QUESTION.cursor(ResourcePosition(AT, False, "x")) or ""  # noqa: FBT003 (a struct's field)
    mark = base64.urlsafe_b64decode(true + "=" * (-len(true) % 4))[:8]
    return base64.urlsafe_b64encode(mark + msgspec.msgpack.encode(value)).decode().rstrip("=")


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
def test_a_forged_position_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        QUESTION.position(forged(value), ResourcePosition)


def test_a_forged_time_without_offset_is_utc() -> None:
    position = QUESTION.position(forged(["2026-03-01T10:00:00", False, "x"]), ResourcePosition)
    assert position is not None
    assert position.last_used_at == AT.replace(microsecond=0)


def test_a_cursor_of_another_question_is_refused() -> None:
    cursor = Question("conversations", "action", window=Window()).cursor(
        ConversationPosition(AT, "s")
    )
    for other in (
        QUESTION,
        Question("conversations", "knowledge", window=Window()),
        Question("conversations", "action", window=Window(AT)),
        Question("conversationsaction", window=Window()),
    ):
        with pytest.raises(InvalidInput, match="belongs to another question"):
            other.position(cursor, ConversationPosition)
