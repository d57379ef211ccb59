"""Cursors: a place in a list as an opaque text, good only for the question that it came from."""

import base64
import binascii
import hashlib
from typing import Final, TypeVar

import msgspec

from applyrate.errors import InvalidInput
from applyrate.intake.rejections import RejectedPosition
from applyrate.usage import (
    ConversationPosition,
    ResourcePosition,
    UnusedPosition,
    Window,
    utc,
)

Position = TypeVar(
    "Position", ResourcePosition, ConversationPosition, UnusedPosition, RejectedPosition
)

_LONGEST_CURSOR: Final = 4096
_MARK_BYTES: Final = 8


class Question:
    """What a list was asked for: the operation, its subject, its window."""

    def __init__(self, *subject: str, window: Window) -> None:
        told = msgspec.json.encode([subject, window])
        self._mark = hashlib.blake2b(told, digest_size=_MARK_BYTES).digest()

    def cursor(
        self,
        position: ResourcePosition
        | ConversationPosition
        | UnusedPosition
        | RejectedPosition
        | None,
    ) -> str | None:
        """The text that stands for a position; None, the end of the list, stays None."""
        if position is None:
            return None
        packed = self._mark + msgspec.msgpack.encode(position)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    def position(self, cursor: str | None, kind: type[Position]) -> Position | None:
        """The position that a cursor of this very question stands for.

        Raises InvalidInput for any other text.
        """
        if cursor is None:
            return None
        mark, packed = _unwrap(cursor)
        if mark != self._mark:
            raise InvalidInput(
                "cursor: it belongs to another question; send it with the path, window and usage"
                " of the answer that it came from"
            )
        try:
            return _in_utc(msgspec.msgpack.decode(packed, type=kind))
        except (msgspec.DecodeError, ValueError, OverflowError):
            raise _foreign(cursor) from None


def _unwrap(cursor: str) -> tuple[bytes, bytes]:
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise _foreign(cursor)
        padded = cursor + "=" * (-len(cursor) % 4)
        packed = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _foreign(cursor) from None
    if len(packed) <= _MARK_BYTES:
        raise _foreign(cursor)
    return packed[:_MARK_BYTES], packed[_MARK_BYTES:]


def _in_utc(position: Position) -> Position:
    at = getattr(position, "last_used_at", None)  # not every list is by time
    return position if at is None else msgspec.structs.replace(position, last_used_at=utc(at))


def _foreign(cursor: str) -> InvalidInput:
    return InvalidInput(
        f"cursor: {cursor[:40]!r} is not the `next` of an earlier answer; leave it out to start"
    )
