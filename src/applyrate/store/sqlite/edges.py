"""The edges of a window: which usages of a day lie inside, where the window covers only a part.

A row of a day knows its replies, not their times. Either those replies are looked up one by one,
which tells their times for every window; or all replies of the organization in that part of the day
are read, by time, which tells only what lies inside. Whichever is less work.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice
from operator import lt
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.reply_order import InOrder, ReplyOrder, replied_at
from applyrate.store.sqlite.reply_times import Span, Timeline, to_timeline
from applyrate.store.sqlite.rows import ORDINAL_BITS

_FEW = 64
_LOOK_UP_COST = 8
"""Looking a reply up costs about as much as reading so many in order of time; few are just done."""


class Part(NamedTuple):
    """What of a row lies inside a window; the times are of the first and the last reply."""

    replies: BitMap
    conversations: BitMap
    first_at: int
    last_at: int


class Inside:
    """Replies inside a window, in order of time, among which those of many rows are found.

    ``time_at`` tells the time (microseconds) of the one at a place.
    """

    def __init__(self, in_order: InOrder, time_at: Callable[[int], int]) -> None:
        self._replies, self._conversations = in_order
        self._together = BitMap(self._replies)
        self._time_at = time_at

    def __len__(self) -> int:
        """How many they are."""
        return len(self._replies)

    def find(self, replies: BitMap) -> Part | None:
        """Those of a row that are inside; None where none is."""
        found = self._together & replies
        if not found:
            return None
        if len(found) == len(self):
            first, last, conversations = 0, len(self) - 1, BitMap(self._conversations)
        else:
            places = list(map(self._places.__getitem__, found))
            first, last = min(places), max(places)
            conversations = BitMap([self._conversations[place] for place in places])
        return Part(found, conversations, self._time_at(first), self._time_at(last))

    def last_at(self, replies: BitMap) -> int | None:
        """The time of the last of those of a row that are inside."""
        found = self._together & replies
        if not found:
            return None
        if self._is_rising:  # replies mostly come in the order of their times
            return self._time_at(self._places[found.max()])
        return self._time_at(max(map(self._places.__getitem__, found)))

    @cached_property
    def _places(self) -> dict[int, int]:
        return {reply: place for place, reply in enumerate(self._replies)}

    @cached_property
    def _is_rising(self) -> bool:
        return all(map(lt, self._replies, islice(self._replies, 1, None)))


class Edges:
    """The edges of one organization and window; what all resources share is read at most once."""

    def __init__(self, db: sqlite3.Connection, order: ReplyOrder, org: int, span: Span) -> None:
        self._db = db
        self._order = order
        self._org = org
        self.span = span
        self._all_inside: dict[int, Inside] = {}

    def cut(self, timeline: Timeline) -> Part | None:
        """What of a timeline lies inside the window; None where nothing does."""
        times, replies, conversations = timeline.cut(self.span)
        if not times:
            return None
        return Part(BitMap(replies), BitMap(conversations), times[0], times[-1])

    def pick(self, day: int, replies: BitMap) -> Part | None:
        """What of a day's replies lies inside the window, found among all that do."""
        return self._read(day).find(replies)

    def last_at(self, day: int, replies: BitMap) -> int | None:
        """The time of the last of a day's replies inside the window, asked of many resources."""
        return self._read(day).last_at(replies)

    def inside(self, day: int, rows: Sequence[BitMap]) -> Inside:
        """What of a day's replies lies inside the window, enough to find those of some rows."""
        together = BitMap.union(BitMap(), *rows)
        if self.is_busy(day, together):
            return self._read(day)
        times, *in_order = self.look_up(together).cut(self.span)
        return Inside(InOrder(*in_order), times.__getitem__)

    def is_busy(self, day: int, replies: BitMap) -> bool:
        """Whether a day's replies are better picked from all of them than looked up."""
        if len(replies) <= _FEW:
            return False
        limit = _LOOK_UP_COST * len(replies)
        if day in self._all_inside:
            return len(self._all_inside[day]) <= limit
        (count,) = self._db.execute(_COUNT, (self._org, *self.span.on(day), limit + 1)).fetchone()
        return bool(count <= limit)

    def look_up(self, replies: BitMap) -> Timeline:
        """The times and conversations of replies, one by one."""
        ordinals = msgspec.json.encode(list(replies)).decode()
        rows = self._db.execute(_LOOK_UP, (ordinals, self._org << ORDINAL_BITS))
        return to_timeline(rows.fetchone())

    def _read(self, day: int) -> Inside:
        """All of a day's replies that lie inside the window."""
        if day not in self._all_inside:
            in_order = self._order.read(self._db, self._org, day, self.span)
            self._all_inside[day] = Inside(
                in_order, lambda place: replied_at(self._db, self._org, in_order.replies[place])
            )
        return self._all_inside[day]


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
