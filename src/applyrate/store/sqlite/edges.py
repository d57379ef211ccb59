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

from applyrate.store.sqlite.reply_times import ReplyTimes, Span, Timeline, to_timeline
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

    def __init__(self, db: sqlite3.Connection, times: ReplyTimes, org: int, span: Span) -> None:
        self._db = db
        self._times = times
        self._org = org
        self._span = span
        self._all_replies: dict[int, Timeline | None] = {}
        self._together: dict[int, BitMap] = {}
        self._places: dict[int, dict[int, int]] = {}

    def cut(self, timeline: Timeline) -> Part | None:
        """What of a timeline lies inside the window; None where nothing does."""
        inside = timeline.cut(self._span)
        if not inside.times:
            return None
        return Part(
            BitMap(inside.replies),
            BitMap(inside.conversations),
            inside.times[0],
            inside.times[-1],
        )

    def pick(self, day: int, replies: BitMap) -> Part | None:
        """What of a day's replies lies inside the window, found among all that do."""
        all_replies = self._replies_of(day)
        if day not in self._together:
            self._together[day] = BitMap(all_replies.replies)
        together = self._together[day]
        found = together & replies
        if not found:
            return None
        times, conversations = all_replies.times, all_replies.conversations
        if len(found) == len(together):
            return Part(found, BitMap(conversations), times[0], times[-1])
        inside = [reply in found for reply in all_replies.replies]
        first, last = inside.index(True), len(inside) - 1 - inside[::-1].index(True)
        chosen = BitMap(list(compress(conversations, inside)))
        return Part(found, chosen, times[first], times[last])

    def timeline(self, day: int, replies: BitMap) -> Timeline:
        """The times and conversations of a day's replies, all of which lie inside the window."""
        if self.is_busy(day, replies):
            return self._replies_of(day).choose(replies)
        return self.look_up(replies)

    def last_at(self, day: int, replies: BitMap) -> int | None:
        """The time of the last of a day's replies inside the window, asked of many resources."""
        all_replies = self._replies_of(day)
        if day not in self._places:
            self._places[day] = {reply: place for place, reply in enumerate(all_replies.replies)}
        places = self._places[day]
        last = max((places[reply] for reply in replies if reply in places), default=None)
        return None if last is None else all_replies.times[last]

    def is_busy(self, day: int, replies: BitMap) -> bool:
        """Whether a day's replies are better picked from all of them than looked up."""
        if len(replies) <= _FEW:
            return False
        limit = _LOOK_UP_COST * len(replies)
        if known := self._known_replies_of(day):
            return len(known.replies) <= limit
        (count,) = self._db.execute(_COUNT, (self._org, *self._bounds(day), limit + 1)).fetchone()
        return bool(count <= limit)

    def look_up(self, replies: BitMap) -> Timeline:
        """The times and conversations of replies, one by one."""
        ordinals = msgspec.json.encode(list(replies)).decode()
        rows = self._db.execute(_LOOK_UP, (ordinals, self._org << ORDINAL_BITS))
        return to_timeline(rows.fetchone())

    def _replies_of(self, day: int) -> Timeline:
        known = self._known_replies_of(day)
        if known is None:
            known = self._times.read(self._db, self._org, day, self._span)
            self._all_replies[day] = known
        return known

    def _known_replies_of(self, day: int) -> Timeline | None:
        if day not in self._all_replies:
            kept = self._times.find(self._db, self._org, day)
            self._all_replies[day] = kept and kept.cut(self._span)
        return self._all_replies[day]

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
