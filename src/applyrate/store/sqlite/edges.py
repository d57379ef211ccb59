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

_FEW = 64
_LOOK_UP_COST = 8
"""Looking a reply up costs about as much as reading so many in order of time; few are just done."""


class Span(NamedTuple):
    """A window in microseconds: ``start`` ≤ t < ``end``."""

    start: int
    end: int


class Part(NamedTuple):
    """The usages of a row that lie inside a window, and the times of the first and the last."""

    replies: BitMap
    conversations: BitMap
    first_at: int
    last_at: int


class _Timeline(NamedTuple):
    """Replies in order of time, and their conversations, as ordinals."""

    replies: list[int]
    conversations: list[int]


class Edges:
    """The edges of one organization and window, each read at most once."""

    def __init__(self, db: sqlite3.Connection, org: int, span: Span) -> None:
        self._db = db
        self._org = org
        self._span = span
        self._timelines: dict[int, _Timeline] = {}
        self._looked_up: dict[int, tuple[BitMap, _Timeline]] = {}

    def part(self, day: int, replies: BitMap) -> Part | None:
        """What of a day's replies lies inside the window; None where nothing does."""
        timeline = self._timeline_of(day, replies)
        inside = [reply in replies for reply in timeline.replies]
        found = _Timeline(*(list(compress(column, inside)) for column in timeline))
        if not found.replies:
            return None
        return Part(
            BitMap(found.replies),
            BitMap(found.conversations),
            self._replied_at(found.replies[0]),
            self._replied_at(found.replies[-1]),
        )

    def last_at(self, day: int, replies: BitMap) -> int | None:
        """The time of the last of a day's replies inside the window."""
        newest_first = reversed(self._timeline_of(day, replies).replies)
        last = next((reply for reply in newest_first if reply in replies), None)
        return None if last is None else self._replied_at(last)

    def _timeline_of(self, day: int, replies: BitMap) -> _Timeline:
        """A part of the day that has all of those replies which lie inside the window."""
        if day in self._looked_up and replies <= self._looked_up[day][0]:
            return self._looked_up[day][1]  # what was applied was mostly available just before
        if not self._looks_up(day, replies):
            return self._timeline(day)
        timeline = self._look_up(replies)
        self._looked_up[day] = replies, timeline
        return timeline

    def _looks_up(self, day: int, replies: BitMap) -> bool:
        """Whether to look a day's replies up: the window holds many times more of that day."""
        if len(replies) <= _FEW:
            return True
        limit = _LOOK_UP_COST * len(replies)
        if day in self._timelines:
            return len(self._timelines[day].replies) > limit
        (count,) = self._db.execute(_COUNT, (self._org, *self._bounds(day), limit + 1)).fetchone()
        return bool(count > limit)

    def _timeline(self, day: int) -> _Timeline:
        if day not in self._timelines:
            columns = self._db.execute(_TIMELINE, (self._org, *self._bounds(day))).fetchone()
            self._timelines[day] = _to_timeline(columns)
        return self._timelines[day]

    def _look_up(self, replies: BitMap) -> _Timeline:
        ordinals = msgspec.json.encode(list(replies)).decode()
        query = (ordinals, self._org << ORDINAL_BITS, *self._span)
        return _to_timeline(self._db.execute(_LOOK_UP, query).fetchone())

    def _replied_at(self, reply: int) -> int:
        key = (self._org << ORDINAL_BITS | reply,)
        (at,) = self._db.execute("SELECT replied_at FROM reply WHERE id = ?", key).fetchone()
        return int(at)

    def _bounds(self, day: int) -> Span:
        return Span(
            max(self._span.start, day * DAY),
            min(self._span.end, (day + 1) * DAY),
        )


def _to_timeline(columns: tuple[str | None, ...]) -> _Timeline:
    return _Timeline(
        *(msgspec.json.decode(f"[{column or ''}]", type=list[int]) for column in columns)
    )


_COUNT = """
SELECT count(*) FROM
    (SELECT 1 FROM reply WHERE org = ? AND replied_at >= ? AND replied_at < ? LIMIT ?)
"""
# Whole columns as text, which Python turns into numbers in a third of the time that rows take.
_TIMELINE = """
SELECT group_concat(id & 0xFFFFFFFF), group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT id, conversation FROM reply INDEXED BY reply_time
     WHERE org = ? AND replied_at >= ? AND replied_at < ? ORDER BY replied_at)
"""
_LOOK_UP = """
SELECT group_concat(id & 0xFFFFFFFF), group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT reply.id, conversation FROM json_each(?1) AS ordinal CROSS JOIN reply
     WHERE reply.id = ?2 | ordinal.value AND replied_at >= ?3 AND replied_at < ?4
     ORDER BY replied_at)
"""
