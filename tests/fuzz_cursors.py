"""Throw bytes at cursors: none that was not handed out stands for a place, signed ones included.

An input that begins with a letter is a cursor as it came; of any other the rest is signed first, as
if our own secret were known, so that what is inside is decoded too.
"""

import base64
from datetime import UTC, datetime
from typing import TypeVar

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["applyrate"]):
    from applyrate.api.cursors import Question
    from applyrate.errors import InvalidInput
    from applyrate.usage import ConversationPosition, ResourcePosition, UnusedPosition, Window
    from tests.fuzzing import fuzz

Position = TypeVar("Position", ResourcePosition, ConversationPosition, UnusedPosition)

QUESTION = Question(bytes(32), "acme", "resources", "action", window=Window())
AT = datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC)


def check(data: bytes) -> None:
    """Read an input as the cursor of each list."""
    is_signed = not data[:1].isalpha()
    text = sign(data[1:]) if is_signed else data.decode("latin-1")
    check_of(ResourcePosition, text, is_signed=is_signed)
    check_of(ConversationPosition, text, is_signed=is_signed)
    check_of(UnusedPosition, text, is_signed=is_signed)


def check_of(kind: type[Position], text: str, *, is_signed: bool) -> None:
    """Fail where a text stands for a place, but for a signed one, which is then a sound one."""
    try:
        position = QUESTION.position(text, kind)
    except InvalidInput as error:
        error.message.encode()
        return
    assert is_signed
    at = getattr(position, "last_used_at", None)
    assert at is None or at.tzinfo is UTC
    again = QUESTION.cursor(position)
    assert QUESTION.position(again, kind) == position


def sign(packed: bytes) -> str:
    """A cursor as only the service can make it."""
    signature = QUESTION._sign(packed)  # noqa: SLF001 (nobody else can)
    return base64.urlsafe_b64encode(signature + packed).decode().rstrip("=")


def seeds() -> list[bytes]:
    """Inputs to begin with: what cursors hold, and cursors of another organization."""
    other = Question(bytes(32), "other", "resources", "action", window=Window())
    found = []
    for position in (
        ResourcePosition(AT, without_fact=False, resource_id="a"),
        ResourcePosition(None, without_fact=True, resource_id="ä"),
        ConversationPosition(AT, "s"),
        UnusedPosition(7, "a"),
    ):
        text = QUESTION.cursor(position) or ""
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))[16:]
        found += [b"\0" + packed, (other.cursor(position) or "").encode()]
    return found


if __name__ == "__main__":
    fuzz(check, seeds())
