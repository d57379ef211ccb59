"""The edges of a window: which usages of a day lie inside, where the window covers only a part.

A row of a day knows its replies, not their times. Either those replies are looked up one by one,
which tells their times for every window; or all replies of the organization in that part of the day
are read, by time, which tells only what lies inside. Whichever is less work.
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
    """What of a row lies inside a window; the times are of the first and the last reply."""

    replies: BitMap
    conversations: BitMap
    first_at: int
    last_at: int


class Edges:
    """The edges of one organization and window; what all resources share is read at most once."""

    def __init__(self, db: sqlite3.Connection, org: int, span: Span) -> None:
        self._db = db
        self._org = org
        self._span = span
        self._all_replies: dict[int, _Replies] = {}
        self._places: dict[int, dict[int, int]] = {}

    def cut(self, timeline: Timeline) -> Part | None:
        """What of a timeline lies inside the window; None where nothing does."""
        first = bisect_left(timeline.times, self._span.start)
        end = bisect_left(timeline.times, self._span.end, first)
        if first == end:
            return None
        return Part(
            BitMap(timeline.replies[first:end]),
            BitMap(timeline.conversations[first:end]),
            timeline.times[first],
            timeline.times[end - 1],
        )

    def pick(self, day: int, replies: BitMap) -> Part | None:
        """What of a day's replies lies inside the window, found among all that do."""
        all_replies = self._replies_of(day)
        inside = [reply in replies for reply in all_replies.replies]
        found = _Replies(*(list(compress(column, inside)) for column in all_replies))
        if not found.replies:
            return None
        return Part(
            BitMap(found.replies),
            BitMap(found.conversations),
            self._replied_at(found.replies[0]),
            self._replied_at(found.replies[-1]),
        )

    def last_at(self, day: int, replies: BitMap) -> int | None:
        """The time of the last of a day's replies inside the window, asked of many resources."""
        if day not in self._places:
            in_order = self._replies_of(day).replies
            self._places[day] = {reply: place for place, reply in enumerate(in_order)}
        places = self._places[day]
        last = max((places[reply] for reply in replies if reply in places), default=None)
        return None if last is None else self._replied_at(self._replies_of(day).replies[last])

    def is_busy(self, day: int, replies: BitMap) -> bool:
        """Whether a day's replies are better picked from all of them than looked up."""
        if len(replies) <= _FEW:
            return False
        limit = _LOOK_UP_COST * len(replies)
        if day in self._all_replies:
            return len(self._all_replies[day].replies) <= limit
        (count,) = self._db.execute(_COUNT, (self._org, *self._bounds(day), limit + 1)).fetchone()
        return bool(count <= limit)

    def look_up(self, replies: BitMap) -> Timeline:
        """The times and conversations of replies, one by one."""
        ordinals = msgspec.json.encode(list(replies)).decode()
        rows = self._db.execute(_LOOK_UP, (ordinals, self._org << ORDINAL_BITS))
        times, found, conversations = _to_columns(rows.fetchone())
        return Timeline(array("q", times), array("I", found), array("I", conversations))

    def _replies_of(self, day: int) -> "_Replies":
        if day not in self._all_replies:
            rows = self._db.execute(_ALL_REPLIES, (self._org, *self._bounds(day)))
            self._all_replies[day] = _Replies(*_to_columns(rows.fetchone()))
        return self._all_replies[day]

    def _replied_at(self, reply: int) -> int:
        key = (self._org << ORDINAL_BITS | reply,)
        (at,) = self._db.execute("SELECT replied_at FROM reply WHERE id = ?", key).fetchone()
        return int(at)

    def _bounds(self, day: int) -> Span:
        return Span(
            max(self._span.start, day * DAY),
            min(self._span.end, (day + 1) * DAY),
        )


class _Replies(NamedTuple):
    """Replies in order of time, and their conversations, as ordinals."""

    replies: list[int]
    conversations: list[int]


def choose(timeline: Timeline, replies: BitMap) -> Timeline | None:
    """The part of a timeline that is of those replies; None where it lacks one of them."""
    inside = [reply in replies for reply in timeline.replies]
    count = sum(inside)
    if count < len(replies):
        return None
    if count == len(inside):
        return timeline
    # An array takes a list at once, and an iterator item by item.
    return Timeline(
        *(array(column.typecode, list(compress(column, inside))) for column in timeline)
    )


def _to_columns(columns: tuple[str | None, ...]) -> list[list[int]]:
    """Columns that come as text, which turns into numbers in a third of the time of rows."""
    return [msgspec.json.decode(f"[{column or ''}]", type=list[int]) for column in columns]


_COUNT = """
SELECT count(*) FROM
    (SELECT 1 FROM reply WHERE org = ? AND replied_at >= ? AND replied_at < ? LIMIT ?)
"""
_ALL_REPLIES = """
SELECT group_concat(id & 0xFFFFFFFF), group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT id, conversation FROM reply INDEXED BY reply_time
     WHERE org = ? AND replied_at >= ? AND replied_at < ? ORDER BY replied_at)
"""
_LOOK_UP = """
SELECT group_concat(replied_at), group_concat(id & 0xFFFFFFFF),
       group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT replied_at, reply.id, conversation FROM json_each(?1) AS ordinal CROSS JOIN reply
     WHERE reply.id = ?2 | ordinal.value ORDER BY replied_at)
"""
