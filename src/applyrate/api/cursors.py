"""Cursors: a place in a list as an opaque text, good only for the question that it came from.

A cursor is signed with a secret of the store, so nobody makes one up: not of another question, and
not of another organization, whose rows it could not reach anyway.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final, TypeVar

import msgspec

from applyrate.errors import InvalidInput
from applyrate.intake.rejections import RejectedPosition
from applyrate.usage import (
    AuditPosition,
    ConversationPosition,
    ResourcePosition,
    UnusedPosition,
    Window,
    utc,
)

Position = TypeVar(
    "Position",
    ResourcePosition,
    ConversationPosition,
    UnusedPosition,
    AuditPosition,
    RejectedPosition,
)

_LONGEST_CURSOR: Final = 4096
_SIGNATURE_BYTES: Final = 16


class Question:
    """What a list was asked for: whose it is, the operation, its subject, its window.

    ``secret`` is what cursors are signed with, 16 to 64 bytes (keyed BLAKE2b, RFC 7693).
    """

    def __init__(self, secret: bytes, org: str, *subject: str, window: Window) -> None:
        self._secret = secret
        told = msgspec.json.encode([org, subject, window])
        self._told = hashlib.blake2b(told).digest()

    def cursor(
        self,
        position: ResourcePosition
        | ConversationPosition
        | UnusedPosition
        | AuditPosition
        | RejectedPosition
        | None,
    ) -> str | None:
        """The text that stands for a position; None, the end of the list, stays None."""
        if position is None:
            return None
        packed = msgspec.msgpack.encode(position)
        return base64.urlsafe_b64encode(self._sign(packed) + packed).rstrip(b"=").decode()

    def position(self, cursor: str | None, kind: type[Position]) -> Position | None:
        """The position that a cursor of this very question stands for.

        Raises InvalidInput for any other text.
        """
        if cursor is None:
            return None
        signature, packed = _unwrap(cursor)
        if not hmac.compare_digest(signature, self._sign(packed)):
            raise InvalidInput(
                "cursor: it belongs to another question; send it as it is, with the path, window"
                " and usage of the answer that it came from"
            )
        try:
            return _in_utc(msgspec.msgpack.decode(packed, type=kind))
        except (msgspec.DecodeError, ValueError, OverflowError):  # of another version of ours
            raise _foreign(cursor) from None

    def _sign(self, packed: bytes) -> bytes:
        """The signature of a packed position; what the question is made of has a fixed length."""
        return hashlib.blake2b(
            self._told + packed, digest_size=_SIGNATURE_BYTES, key=self._secret
        ).digest()


def _unwrap(cursor: str) -> tuple[bytes, bytes]:
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise _foreign(cursor)
        padded = cursor + "=" * (-len(cursor) % 4)
        packed = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _foreign(cursor) from None
    if len(packed) <= _SIGNATURE_BYTES:
        raise _foreign(cursor)
    return packed[:_SIGNATURE_BYTES], packed[_SIGNATURE_BYTES:]


def _in_utc(position: Position) -> Position:
    at = getattr(position, "last_used_at", None)  # not every list is by time
    return position if at is None else msgspec.structs.replace(position, last_used_at=utc(at))


def _foreign(cursor: str) -> InvalidInput:
    return InvalidInput(
        f"cursor: {cursor[:40]!r} is not the `next` of an earlier answer; leave it out to start"
    )
