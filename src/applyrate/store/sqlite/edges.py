"""The edges of a window: which usages of a day lie inside, where the window covers only a part.

A row of a day knows its replies, not their times. Either those replies are looked up one by one,
which tells their times for every window; or all replies of the organization in that part of the day
are read, by time, which tells only what lies inside. Whichever is less work.
"""

import sqlite3
from itertools import compress
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.reply_order import InOrder, ReplyOrder, replied_at
from applyrate.store.sqlite.reply_times import Span, Timeline, to_timeline
from applyrate.store.sqlite.rows import DAY, ORDINAL_BITS

_FEW = 64
_LOOK_UP_COST = 8
"""Looking a reply up costs about as much as reading so many in order of time; few are just done."""


class Part(NamedTuple):
    """What of a row lies inside a window; the times are of the first and the last reply."""

    replies: BitMap
    conversations: BitMap
    first_at: int
    last_at: int


class Edges:
    """The edges of one organization and window; what all resources share is read at most once."""

    def __init__(self, db: sqlite3.Connection, order: ReplyOrder, org: int, span: Span) -> None:
        self._db = db
        self._order = order
        self._org = org
        self._span = span
        self._in_order: dict[int, InOrder] = {}
        self._together: dict[int, BitMap] = {}
        self._places: dict[int, dict[int, int]] = {}

    def cut(self, timeline: Timeline) -> Part | None:
        """What of a timeline lies inside the window; None where nothing does."""
        times, replies, conversations = timeline.cut(self._span)
        if not times:
            return None
        return Part(BitMap(replies), BitMap(conversations), times[0], times[-1])

    def pick(self, day: int, replies: BitMap) -> Part | None:
        """What of a day's replies lies inside the window, found among all that do."""
        in_order, conversations = self._replies_of(day)
        if day not in self._together:
            self._together[day] = BitMap(in_order)
        found = self._together[day] & replies
        if not found:
            return None
        first, last = 0, len(in_order) - 1
        if len(found) == len(self._together[day]):
            of_found = BitMap(conversations)
        else:
            inside = [reply in found for reply in in_order]
            of_found = BitMap(list(compress(conversations, inside)))
            first, last = inside.index(True), last - inside[::-1].index(True)
        return Part(found, of_found, *map(self._replied_at, (in_order[first], in_order[last])))

    def last_at(self, day: int, replies: BitMap) -> int | None:
        """The time of the last of a day's replies inside the window, asked of many resources."""
        in_order, _ = self._replies_of(day)
        if day not in self._places:
            self._places[day] = {reply: place for place, reply in enumerate(in_order)}
        places = self._places[day]
        last = max((places[reply] for reply in replies if reply in places), default=None)
        return None if last is None else self._replied_at(in_order[last])

    def is_busy(self, day: int, replies: BitMap) -> bool:
        """Whether a day's replies are better picked from all of them than looked up."""
        if len(replies) <= _FEW:
            return False
        limit = _LOOK_UP_COST * len(replies)
        if day in self._in_order:
            return len(self._in_order[day].replies) <= limit
        (count,) = self._db.execute(_COUNT, (self._org, *self._bounds(day), limit + 1)).fetchone()
        return bool(count <= limit)

    def look_up(self, replies: BitMap) -> Timeline:
        """The times and conversations of replies, one by one."""
        ordinals = msgspec.json.encode(list(replies)).decode()
        rows = self._db.execute(_LOOK_UP, (ordinals, self._org << ORDINAL_BITS))
        return to_timeline(rows.fetchone())

    def _replies_of(self, day: int) -> InOrder:
        if day not in self._in_order:
            self._in_order[day] = self._order.read(self._db, self._org, day, self._span)
        return self._in_order[day]

    def _replied_at(self, reply: int) -> int:
        return replied_at(self._db, self._org, reply)

    def _bounds(self, day: int) -> Span:
        return Span(
            max(self._span.start, day * DAY),
            min(self._span.end, (day + 1) * DAY),
        )


_COUNT = """
SELECT count(*) FROM
    (SELECT 1 FROM reply WHERE org = ? AND replied_at >= ? AND replied_at < ? LIMIT ?)
"""
_LOOK_UP = """
SELECT group_concat(replied_at), group_concat(id & 0xFFFFFFFF),
       group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT replied_at, reply.id, conversation FROM json_each(?1) AS ordinal CROSS JOIN reply
     WHERE reply.id = ?2 | ordinal.value ORDER BY replied_at)
"""
