"""Removing replies: the other way round of recording.

Each touched row is read, its bits are cleared, and it is written once, or goes with its last bit.
Whatever the rows add up to loses what they lost. A conversation that has replies elsewhere still
counts for a resource as long as any row of it says so, and these rows are asked (``remaining``).

Whoever writes waits meanwhile. So no removal takes more than it can do in some milliseconds,
however many replies it is given, and whatever day, conversation or resource they belong to.
"""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct, field
from pyroaring import BitMap

from applyrate.store.sqlite.conversation_days import forget_conversation_days
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.emptied import note_emptied
from applyrate.store.sqlite.ends import End, end_of_all, end_of_row
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.ids import retire
from applyrate.store.sqlite.packing import pack, unpack
from applyrate.store.sqlite.places import Place, place_of
from applyrate.store.sqlite.remaining import Remaining
from applyrate.store.sqlite.replies import delete_replies
from applyrate.store.sqlite.rows import APPLIED, DAY, ORDINAL_BITS, ordinal_range
from applyrate.store.sqlite.type_days import take_away, type_of


class StoredReply(NamedTuple):
    """A reply and its conversation, as ordinals, and its time in microseconds."""

    reply: int
    conversation: int
    replied_at: int

    @property
    def place(self) -> Place:
        """The rows of which day and block hold it."""
        return place_of(self.reply, self.replied_at)


class Removed(NamedTuple):
    """What one removal took: replies, and the conversations (ordinals) that have none left."""

    replies: Sequence[StoredReply]
    bare: BitMap


def remove_replies(
    db: sqlite3.Connection, days: Days, org: int, replies: Iterable[StoredReply]
) -> Removed:
    """Remove replies of an organization, from the first on, as many as may go at once.

    That is as many as touch MOST_ROWS rows, and as are found within a few milliseconds, but at
    least one: whoever writes waits for it. It runs inside the caller's write transaction, which
    gave the usages a new version.
    """
    removal = _Removal(db, days, org)
    removal.take(replies)
    return removal.carry_out()


MOST_ROWS = 300
"""The rows of days that one removal rewrites, unless a single reply has more usages."""


class _Row(NamedTuple):
    """A stored row of a place, of which some replies go."""

    kind: int
    resource: int
    usage_count: int
    first_at: int
    last_at: int
    conversations: bytes
    replies: BitMap


class _Loss(Struct):
    """What a resource loses: usages between two times, conversations out of some of its rows."""

    usage_count: int = 0
    first_at: int = 2**62
    last_at: int = -(2**62)
    conversations: BitMap = field(default_factory=BitMap)


class _Removal:
    """One removal: what goes is taken, then carried out."""

    def __init__(self, db: sqlite3.Connection, days: Days, org: int) -> None:
        self._db = db
        self._days = days
        self._org = org
        self._replies: dict[int, StoredReply] = {}
        self._rows: dict[Place, list[_Row]] = {}
        self._losses: defaultdict[tuple[int, int], _Loss] = defaultdict(_Loss)
        self._lost_at: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)

    def take(self, replies: Iterable[StoredReply]) -> None:
        """Take replies in, place by place, until there is enough to do."""
        by_place: defaultdict[Place, list[StoredReply]] = defaultdict(list)
        for one in replies:
            by_place[one.place].append(one)
        until, left = time.perf_counter() + _LOOK_SECONDS, MOST_ROWS
        for place, going in by_place.items():
            rows = self._read_rows(place, going)
            count = len(going)
            while len(touched := _touched(rows, going[:count])) > left and count > 1:
                count //= 2
            if self._replies and len(touched) > left:
                return
            self._replies.update((one.reply, one) for one in going[:count])
            self._rows[place] = touched
            left -= len(touched)
            if count < len(going) or time.perf_counter() > until:
                return

    def carry_out(self) -> Removed:
        """Remove what was taken."""
        org = self._org << ORDINAL_BITS
        delete_replies(self._db, self._org, [org | reply for reply in self._replies])
        if self._replies:
            retire(self._db, "reply", org, org | max(self._replies))
        replies = list(self._replies.values())
        self._remaining = Remaining(
            self._db, self._org, BitMap([one.conversation for one in replies])
        )
        for place, rows in self._rows.items():
            self._clear(place, rows)
        take_away(self._db, self._lost_at, self._days.version)
        self._reduce_totals()
        self._forget_days()
        return Removed(replies, self._remaining.bare)

    def _read_rows(self, place: Place, going: Sequence[StoredReply]) -> list[_Row]:
        """The rows of a place that may hold some replies, by their times."""
        times = [one.replied_at for one in going]
        of_org = ordinal_range(self._org)
        query = (place.day, *of_org, place.block, min(times), max(times))
        return [
            _Row._make((*row, unpack(packed_replies)))
            for *row, packed_replies in self._db.execute(_ROWS, query)
        ]

    def _clear(self, place: Place, rows: Iterable[_Row]) -> None:
        """Clear the bits of the replies in the rows of a place."""
        going = BitMap(list(self._replies))
        for row in rows:
            kind, resource, usage_count, first_at, last_at, packed, replies = row
            cleared = replies & going
            calls = self._take_calls(resource, cleared) if kind == APPLIED else {}
            lost_at = [
                self._replies[reply].replied_at
                for reply in cleared
                for _ in range(calls.get(reply, 1))
            ]
            kept = replies - cleared
            leaving = BitMap([self._replies[reply].conversation for reply in cleared])
            leaving -= self._remaining.in_row(place, kept, leaving)
            self._note(kind, resource, place, lost_at, leaving)
            row_key = (place.day, kind, resource, place.block)
            if not kept:
                self._db.execute(_DELETE_ROW, row_key)
                continue
            times = first_at, last_at
            if min(lost_at) <= first_at:
                first_at = end_of_row(self._db, self._org, kept, times, End.FIRST)
            if max(lost_at) >= last_at:
                last_at = end_of_row(self._db, self._org, kept, times, End.LAST)
            counts = (usage_count - len(lost_at), first_at, last_at)
            bitmaps = (pack(unpack(packed) - leaving), pack(kept))
            self._db.execute(_WRITE_ROW, (*counts, *bitmaps, *row_key))
        self._days.forget(place.day, [row.resource for row in rows])

    def _note(
        self, kind: int, resource: int, place: Place, lost_at: list[int], leaving: BitMap
    ) -> None:
        loss = self._losses[kind, resource]
        loss.usage_count += len(lost_at)
        loss.first_at, loss.last_at = min(loss.first_at, *lost_at), max(loss.last_at, *lost_at)
        loss.conversations |= leaving
        self._lost_at[type_of(resource), kind, place.day] += lost_at

    def _forget_days(self) -> None:
        """Note the days on which a conversation has no reply any more."""
        last_at: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for one in self._replies.values():
            of_day = last_at[one.replied_at // DAY]
            of_day[one.conversation] = max(one.replied_at, of_day.get(one.conversation, _EVER))
        gone = [
            (day, conversation)
            for day, of_day in last_at.items()
            for conversation in BitMap(list(of_day)) - self._remaining.on_day(day, of_day)
        ]
        forget_conversation_days(self._db, self._org, gone)

    def _take_calls(self, resource: int, replies: BitMap) -> dict[int, int]:
        """Take the invocations that a bit alone does not tell; how many of each reply."""
        wanted = msgspec.json.encode(list(replies)).decode()
        query = (wanted, resource, self._org << ORDINAL_BITS)
        calls = dict(self._db.execute(_CALLS, query).fetchall())
        org = self._org << ORDINAL_BITS
        self._db.executemany(_DELETE_CALLS, [(resource, org | reply) for reply in calls])
        return calls

    def _reduce_totals(self) -> None:
        lost_by = {key: loss.conversations for key, loss in self._losses.items()}
        for key, conversations in self._remaining.elsewhere(lost_by):
            self._losses[key].conversations -= conversations
        handoffs = handed_off(
            self._db, self._org, {one.conversation for one in self._replies.values()}
        )
        emptied = []
        for (kind, resource), loss in self._losses.items():
            usage_count, first_at, last_at = self._db.execute(
                _READ_TOTAL, (kind, resource)
            ).fetchone()
            if usage_count == loss.usage_count:
                self._db.execute(_DELETE_TOTAL, (kind, resource))
                emptied.append(resource)
                continue
            if loss.first_at <= first_at:
                first_at = end_of_all(self._db, kind, resource, first_at, End.FIRST)
            if loss.last_at >= last_at:
                last_at = end_of_all(self._db, kind, resource, last_at, End.LAST)
            lost_handoffs = loss.conversations & handoffs if kind == APPLIED else BitMap()
            lost = (len(loss.conversations), len(lost_handoffs), loss.usage_count)
            self._db.execute(_REDUCE_TOTAL, (*lost, first_at, last_at, kind, resource))
        note_emptied(self._db, emptied)


def _touched(rows: Iterable[_Row], going: Iterable[StoredReply]) -> list[_Row]:
    """The rows that hold any of some replies."""
    replies = BitMap([one.reply for one in going])
    return [row for row in rows if row.replies.intersect(replies)]


_LOOK_SECONDS = 0.01
_EVER = -(2**62)

_ROWS = """
SELECT kind, resource, usage_count, first_at, last_at, conversations, replies FROM usage_day
WHERE day = ? AND kind IN (0, 1) AND resource BETWEEN ? AND ? AND block = ?
    AND last_at >= ? AND first_at <= ?
"""
_WRITE_ROW = """
UPDATE usage_day SET usage_count = ?, first_at = ?, last_at = ?, conversations = ?, replies = ?
WHERE day = ? AND kind = ? AND resource = ? AND block = ?
"""
_DELETE_ROW = "DELETE FROM usage_day WHERE day = ? AND kind = ? AND resource = ? AND block = ?"
_CALLS = """
SELECT wanted.value, count(*) FROM json_each(?1) AS wanted CROSS JOIN invocation
WHERE resource = ?2 AND invocation.reply = ?3 | wanted.value GROUP BY invocation.reply
"""
_DELETE_CALLS = "DELETE FROM invocation WHERE resource = ? AND reply = ?"
_READ_TOTAL = """
SELECT usage_count, first_at, last_at FROM usage_total WHERE kind = ? AND resource = ?
"""
_REDUCE_TOTAL = """
UPDATE usage_total SET conversation_count = conversation_count - ?,
    handoff_count = handoff_count - ?, usage_count = usage_count - ?, first_at = ?, last_at = ?,
    version = (SELECT number FROM usage_version)
WHERE kind = ? AND resource = ?
"""
_DELETE_TOTAL = "DELETE FROM usage_total WHERE kind = ? AND resource = ?"
