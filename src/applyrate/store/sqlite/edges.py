"""The edges of a window: which usages of a day lie inside, where the window covers only a part.

A row of a day knows its replies, not their times. Either those replies are looked up one by one, or
all replies of the organization in that part of the day are read, by time: whichever is less work.
"""

import sqlite3
from itertools import compress
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.rows import DAY, ORDINAL_BITS

_LOOK_UP_COST = 8
"""Looking one reply up costs about as much as reading so many in order of time."""


class Span(NamedTuple):
    """A window in microseconds: ``start`` ≤ t < ``end``."""

    start: int
    end: int


class Part(NamedTuple):
    """The usages of a row that lie inside a window: replies and conversations in order of time."""

    replies: list[int]
    conversations: list[int]
    first_at: int
    last_at: int


class _Timeline(NamedTuple):
    """Replies in order of time, as columns: ordinals, times, conversations' ordinals."""

    replies: tuple[int, ...] = ()
    replied_at: tuple[int, ...] = ()
    conversations: tuple[int, ...] = ()


class Edges:
    """The edges of one organization and window, each read at most once."""

    def __init__(self, db: sqlite3.Connection, org: int, span: Span) -> None:
        self._db = db
        self._org = org
        self._span = span
        self._timelines: dict[int, _Timeline] = {}

    def part(self, day: int, replies: BitMap) -> Part | None:
        """What of a day's replies lies inside the window; None where nothing does."""
        times: tuple[int, ...] | list[int]
        if self._is_longer(day, _LOOK_UP_COST * len(replies)):
            ordinals, times, conversations = map(list, self._look_up(replies))
        else:
            timeline = self._timeline(day)
            inside = [reply in replies for reply in timeline.replies]
            ordinals = list(compress(timeline.replies, inside))
            times = list(compress(timeline.replied_at, inside))
            conversations = list(compress(timeline.conversations, inside))
        return Part(ordinals, conversations, times[0], times[-1]) if times else None

    def last_at(self, day: int, replies: BitMap) -> int | None:
        """The time of the last of a day's replies inside the window."""
        if self._is_longer(day, _LOOK_UP_COST * len(replies)):
            return max(self._look_up(replies).replied_at, default=None)
        timeline = self._timeline(day)
        newest_first = zip(reversed(timeline.replies), reversed(timeline.replied_at), strict=True)
        return next((at for reply, at in newest_first if reply in replies), None)

    def _is_longer(self, day: int, limit: int) -> bool:
        """Whether the window holds more than so many replies of a day."""
        if day in self._timelines:
            return len(self._timelines[day].replies) > limit
        (count,) = self._db.execute(_COUNT, (self._org, *self._bounds(day), limit + 1)).fetchone()
        return bool(count > limit)

    def _timeline(self, day: int) -> _Timeline:
        if day not in self._timelines:
            rows = self._db.execute(_TIMELINE, (self._org, *self._bounds(day))).fetchall()
            self._timelines[day] = _Timeline(*zip(*rows, strict=True))
        return self._timelines[day]

    def _look_up(self, replies: BitMap) -> _Timeline:
        ordinals = msgspec.json.encode(list(replies)).decode()
        rows = self._db.execute(_LOOK_UP, (ordinals, self._org << ORDINAL_BITS, *self._span))
        return _Timeline(*zip(*rows, strict=True))

    def _bounds(self, day: int) -> Span:
        return Span(
            max(self._span.start, day * DAY),
            min(self._span.end, (day + 1) * DAY),
        )


_COUNT = """
SELECT count(*) FROM
    (SELECT 1 FROM reply WHERE org = ? AND replied_at >= ? AND replied_at < ? LIMIT ?)
"""
_TIMELINE = """
SELECT id & 0xFFFFFFFF, replied_at, conversation & 0xFFFFFFFF
FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
ORDER BY replied_at
"""
_LOOK_UP = """
SELECT reply.id & 0xFFFFFFFF, replied_at, conversation & 0xFFFFFFFF
FROM json_each(?1) AS ordinal CROSS JOIN reply
WHERE reply.id = ?2 | ordinal.value AND replied_at >= ?3 AND replied_at < ?4
ORDER BY replied_at
"""
