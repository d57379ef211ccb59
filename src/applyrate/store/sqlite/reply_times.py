"""Reply times: when replies were sent, and in which conversations.

The bitmaps of a day know which replies used a resource, not when they were. Those times are the
same for every resource of an organization, so a day that is read once stays in memory. It holds as
long as no usage was added to the day. What was erased since may still be in it: no bitmap has it.
"""

import sqlite3
from array import array
from bisect import bisect_left
from itertools import compress
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.kept import Kept
from applyrate.store.sqlite.rows import DAY

REPLY_BYTES = 16
"""What a reply takes in memory."""

_KEPT_REPLIES = 100_000
"""A day with more replies than that is read anew each time, and of it only what is asked for."""


class Span(NamedTuple):
    """A window in microseconds: ``start`` ≤ t < ``end``."""

    start: int
    end: int


class Timeline(NamedTuple):
    """Replies in the order of their times (microseconds), and their conversations, as ordinals."""

    times: "array[int]"
    replies: "array[int]"
    conversations: "array[int]"

    def cut(self, span: Span) -> "Timeline":
        """What lies inside a span."""
        first = bisect_left(self.times, span.start)
        end = bisect_left(self.times, span.end, first)
        return Timeline(*(column[first:end] for column in self))

    def choose(self, replies: BitMap) -> "Timeline":
        """What is of those replies."""
        if BitMap(self.replies) <= replies:
            return self
        inside = [reply in replies for reply in self.replies]
        # An array takes a list at once, and an iterator item by item.
        return Timeline(
            *(array(column.typecode, list(compress(column, inside))) for column in self)
        )

    def choose_all(self, replies: BitMap) -> "Timeline | None":
        """The same, or None where it lacks one of them."""
        chosen = self.choose(replies)
        return chosen if len(chosen.replies) == len(replies) else None


class ReplyTimes:
    """The days of one file, shared by all threads of a process."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: Kept[Timeline] = Kept(max_bytes)

    @property
    def kept_bytes(self) -> int:
        """What the days that are kept take, about."""
        return self._kept.bytes

    def clear(self) -> None:
        """Forget all days."""
        self._kept.clear()

    def find(self, db: sqlite3.Connection, org: int, day: int) -> Timeline | None:
        """The replies of an organization's day, where they are kept."""
        return self._kept.find((org, day), _version(db, org, day))

    def read(self, db: sqlite3.Connection, org: int, day: int, span: Span) -> Timeline:
        """The replies of an organization's day that lie inside a span; those of all day are kept.

        Of a day with too many no more is read than is asked for.
        """
        bounds = Span(day * DAY, (day + 1) * DAY)
        (count,) = db.execute(_COUNT, (org, *bounds, _KEPT_REPLIES + 1)).fetchone()
        if count > _KEPT_REPLIES:
            return _read(db, org, Span(max(span.start, bounds.start), min(span.end, bounds.end)))
        whole = _read(db, org, bounds)
        self._kept.keep((org, day), _version(db, org, day), whole, REPLY_BYTES * count)
        return whole.cut(span)


def _version(db: sqlite3.Connection, org: int, day: int) -> int:
    """That of the newest commit that changed any usage of a day."""
    (version,) = db.execute(_VERSION, (org, day)).fetchone()
    return int(version)


def _read(db: sqlite3.Connection, org: int, span: Span) -> Timeline:
    return to_timeline(db.execute(_REPLIES, (org, *span)).fetchone())


def to_timeline(columns: tuple[str | None, ...]) -> Timeline:
    """Columns that come as text, which turns into numbers in a third of the time of rows."""
    times, replies, conversations = (
        msgspec.json.decode(f"[{column or ''}]", type=list[int]) for column in columns
    )
    return Timeline(array("q", times), array("I", replies), array("I", conversations))


_VERSION = """
SELECT coalesce(max(version), 0) FROM type_day
WHERE org = ? AND type IN ('action', 'instruction', 'knowledge') AND kind IN (0, 1) AND day = ?
"""
_COUNT = """
SELECT count(*) FROM
    (SELECT 1 FROM reply WHERE org = ? AND replied_at >= ? AND replied_at < ? LIMIT ?)
"""
_REPLIES = """
SELECT group_concat(replied_at), group_concat(id & 0xFFFFFFFF),
       group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT replied_at, id, conversation FROM reply INDEXED BY reply_time
     WHERE org = ? AND replied_at >= ? AND replied_at < ? ORDER BY replied_at)
"""
