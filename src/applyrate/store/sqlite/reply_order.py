"""The order of a day's replies: which come before which, the same for every resource.

The bitmaps of a day know which replies used a resource, not when they were. What lies inside a part
of a day is a piece of the organization's replies in the order of their times. A piece that was read
stays in memory, and grows to the parts of that day that are asked for. It holds as long as no usage
was added to the day. What was erased since may still be in it, and is in no bitmap any more.
"""

import sqlite3
from array import array
from bisect import bisect_left
from typing import NamedTuple

import msgspec

from applyrate.store.sqlite.kept import Kept
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import ORDINAL_BITS

_REPLY_BYTES = 8
_MOST_KEPT = 100_000
"""The most replies of one day that stay in memory."""


class InOrder(NamedTuple):
    """Replies in the order of their times, and their conversations, as ordinals."""

    replies: "array[int]"
    conversations: "array[int]"

    def then(self, others: "InOrder") -> "InOrder":
        """These, and after them others."""
        return InOrder(self.replies + others.replies, self.conversations + others.conversations)


class _Piece(NamedTuple):
    """All replies of an organization inside a span."""

    span: Span
    in_order: InOrder


class ReplyOrder:
    """The days of one file, shared by all threads of a process."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: Kept[_Piece] = Kept(max_bytes)

    @property
    def kept_bytes(self) -> int:
        """What is kept takes, about."""
        return self._kept.bytes

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def read(self, db: sqlite3.Connection, org: int, day: int, span: Span) -> InOrder:
        """The replies of an organization's day that lie inside a span."""
        asked = span.on(day)
        (version,) = db.execute(_VERSION, (org, day)).fetchone()
        known = self._kept.find((org, day), version)
        if known is None:
            piece = _Piece(asked, _read(db, org, asked))
        else:
            piece = _grown(db, org, known, asked)
        if piece is not known and len(piece.in_order.replies) <= _MOST_KEPT:
            size = _REPLY_BYTES * len(piece.in_order.replies)
            self._kept.keep((org, day), version, piece, size)
        return _cut(db, org, piece, asked)


def replied_at(db: sqlite3.Connection, org: int, reply: int) -> int:
    """The time of a reply. Raises LookupError where it was erased."""
    found = db.execute(_REPLIED_AT, (org << ORDINAL_BITS | reply,)).fetchone()
    if found is None:
        raise LookupError(reply)
    return int(found[0])


def _grown(db: sqlite3.Connection, org: int, piece: _Piece, asked: Span) -> _Piece:
    (start, end), in_order = piece
    if asked.start < start:
        in_order = _read(db, org, Span(asked.start, start)).then(in_order)
    if asked.end > end:
        in_order = in_order.then(_read(db, org, Span(end, asked.end)))
    if in_order is piece.in_order:
        return piece
    return _Piece(Span(min(start, asked.start), max(end, asked.end)), in_order)


def _cut(db: sqlite3.Connection, org: int, piece: _Piece, asked: Span) -> InOrder:
    if piece.span == asked:
        return piece.in_order

    def place(at: int) -> int:
        return bisect_left(piece.in_order.replies, at, key=lambda one: replied_at(db, org, one))

    try:
        first = place(asked.start) if piece.span.start < asked.start else 0
        end = place(asked.end) if piece.span.end > asked.end else None
    except LookupError:
        return _read(db, org, asked)
    return InOrder(*(column[first:end] for column in piece.in_order))


def _read(db: sqlite3.Connection, org: int, span: Span) -> InOrder:
    replies, conversations = map(_to_array, db.execute(_IN_ORDER, (org, *span)).fetchone())
    return InOrder(replies, conversations)


def _to_array(column: str | None) -> "array[int]":
    """Numbers that come as text, which takes a third of the time of rows."""
    return array("I", msgspec.json.decode(f"[{column or ''}]", type=list[int]))


_VERSION = """
SELECT coalesce(max(version), 0) FROM type_day
WHERE org = ? AND type IN ('action', 'instruction', 'knowledge') AND kind IN (0, 1) AND day = ?
"""
_REPLIED_AT = "SELECT replied_at FROM reply WHERE id = ?"
_IN_ORDER = """
SELECT group_concat(id & 0xFFFFFFFF), group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT id, conversation FROM reply INDEXED BY reply_time
     WHERE org = ? AND replied_at >= ? AND replied_at < ? ORDER BY replied_at)
"""
