"""The edges of a window: which usages of a day lie inside, where the window covers only a part.

A row of a day knows its replies, not their times. Either those replies are looked up one by one, or
all replies of the organization on that day are read, by time: whichever is less work.
"""

import sqlite3
from array import array
from bisect import bisect_left
from itertools import compress
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.days import Timeline
from applyrate.store.sqlite.rows import DAY, ORDINAL_BITS

_FEW = 64
_LOOK_UP_COST = 8
"""Looking a reply up costs about as much as reading so many in order of time; few are just done."""


class Span(NamedTuple):
    """A window in microseconds: ``start`` ≤ t < ``end``."""

    start: int
    end: int


class Part(NamedTuple):
    """What of a timeline lies inside a window; the times are of the first and the last reply."""

    replies: "array[int]"
    conversations: BitMap
    first_at: int
    last_at: int


class Edges:
    """The edges of one organization and window; whole days are read at most once."""

    def __init__(self, db: sqlite3.Connection, org: int, span: Span) -> None:
        self._db = db
        self._org = org
        self._span = span
        self._whole_days: dict[int, Timeline] = {}

    def part(self, timeline: Timeline) -> Part | None:
        """What of a timeline lies inside the window; None where nothing does."""
        first, end = self._inside(timeline)
        if first == end:
            return None
        return Part(
            timeline.replies[first:end],
            BitMap(timeline.conversations[first:end]),
            timeline.times[first],
            timeline.times[end - 1],
        )

    def last_at(self, day: int, replies: BitMap) -> int | None:
        """The time of the last of a day's replies inside the window, asked of many resources."""
        timeline = self._whole_day(day)
        first, end = self._inside(timeline)
        for place in range(end - 1, first - 1, -1):
            if timeline.replies[place] in replies:
                return timeline.times[place]
        return None

    def timeline(self, day: int, replies: BitMap, known: Timeline | None) -> Timeline:
        """A day's replies by time. ``known`` is a timeline that may have all of them."""
        if known is not None and replies <= BitMap(known.replies):
            return _among(known, replies)  # what was applied was mostly available
        if self._looks_up(day, replies):
            ordinals = msgspec.json.encode(list(replies)).decode()
            return self._read(_LOOK_UP, (ordinals, self._org << ORDINAL_BITS))
        return _among(self._whole_day(day), replies)

    def _inside(self, timeline: Timeline) -> tuple[int, int]:
        first = bisect_left(timeline.times, self._span.start)
        return first, bisect_left(timeline.times, self._span.end, first)

    def _looks_up(self, day: int, replies: BitMap) -> bool:
        """Whether to look a day's replies up: the organization has many times more on it."""
        if len(replies) <= _FEW:
            return True
        limit = _LOOK_UP_COST * len(replies)
        if day in self._whole_days:
            return len(self._whole_days[day].times) > limit
        query = (self._org, day * DAY, (day + 1) * DAY, limit + 1)
        (count,) = self._db.execute(_COUNT, query).fetchone()
        return bool(count > limit)

    def _whole_day(self, day: int) -> Timeline:
        if day not in self._whole_days:
            bounds = (day * DAY, (day + 1) * DAY)
            self._whole_days[day] = self._read(_WHOLE_DAY, (self._org, *bounds))
        return self._whole_days[day]

    def _read(self, query: str, parameters: tuple[int | str, ...]) -> Timeline:
        """The columns of a query, as text, which turns into numbers thrice as fast as rows do."""
        times, replies, conversations = (
            msgspec.json.decode(f"[{column or ''}]", type=list[int])
            for column in self._db.execute(query, parameters).fetchone()
        )
        return Timeline(array("q", times), array("I", replies), array("I", conversations))


def _among(timeline: Timeline, replies: BitMap) -> Timeline:
    """The part of a timeline that is of those replies."""
    if len(replies) == len(timeline.replies):
        return timeline
    inside = [reply in replies for reply in timeline.replies]
    return Timeline(*(array(column.typecode, compress(column, inside)) for column in timeline))


_COUNT = """
SELECT count(*) FROM
    (SELECT 1 FROM reply WHERE org = ? AND replied_at >= ? AND replied_at < ? LIMIT ?)
"""
_WHOLE_DAY = """
SELECT group_concat(replied_at), group_concat(id & 0xFFFFFFFF),
       group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT replied_at, id, conversation FROM reply INDEXED BY reply_time
     WHERE org = ? AND replied_at >= ? AND replied_at < ? ORDER BY replied_at)
"""
_LOOK_UP = """
SELECT group_concat(replied_at), group_concat(id & 0xFFFFFFFF),
       group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT replied_at, reply.id, conversation FROM json_each(?1) AS ordinal CROSS JOIN reply
     WHERE reply.id = ?2 | ordinal.value ORDER BY replied_at)
"""
