"""Removing replies: the other way round of recording.

Each touched row is read, its bits are cleared, and it is written once, or goes with its last bit.
Whatever the rows add up to loses what they lost. A conversation that has replies elsewhere still
counts for a resource as long as any row of it says so, and these rows are asked.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct, field
from pyroaring import BitMap

from applyrate.store.sqlite.conversation_days import forget_conversation_days
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.emptied import note_emptied
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.ids import retire
from applyrate.store.sqlite.packing import pack, unpack
from applyrate.store.sqlite.places import Place, place_of
from applyrate.store.sqlite.rows import APPLIED, DAY, ORDINAL_BITS, ordinal_range
from applyrate.store.sqlite.type_days import org_and_type, take_away, type_of


class StoredReply(NamedTuple):
    """A reply and its conversation, as ordinals, and its time in microseconds."""

    reply: int
    conversation: int
    replied_at: int

    @property
    def place(self) -> Place:
        """The rows of which day and block hold it."""
        return place_of(self.reply, self.replied_at)


def remove_replies(
    db: sqlite3.Connection, days: Days, org: int, replies: Iterable[StoredReply]
) -> BitMap:
    """Remove replies of an organization; the conversations (ordinals) that have none left.

    It runs inside the caller's write transaction, which gave the usages a new version.
    """
    removal = _Removal(db, days, org, {one.reply: one for one in replies})
    removal.carry_out()
    return removal.bare


class _Loss(Struct):
    """What a resource loses: usages between two times, conversations out of some of its rows."""

    usage_count: int = 0
    first_at: int = 2**62
    last_at: int = -(2**62)
    conversations: BitMap = field(default_factory=BitMap)


class _Removal:
    """One removal. ``bare`` are the conversations that lose their last reply."""

    def __init__(
        self, db: sqlite3.Connection, days: Days, org: int, replies: Mapping[int, StoredReply]
    ) -> None:
        self._db = db
        self._days = days
        self._org = org
        self._replies = replies
        self._touched = BitMap([one.conversation for one in replies.values()])
        self._left = self._replies_left()
        self._left_of = {one.reply: one.conversation for one in self._left}
        self.bare = self._touched - BitMap(list(self._left_of.values()))
        self._losses: defaultdict[tuple[int, int], _Loss] = defaultdict(_Loss)
        self._lost_at: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)

    def carry_out(self) -> None:
        org = self._org << ORDINAL_BITS
        self._db.executemany("DELETE FROM reply WHERE id = ?", [(org | r,) for r in self._replies])
        if self._replies:
            retire(self._db, "reply", org, org | max(self._replies))
        by_place: defaultdict[Place, BitMap] = defaultdict(BitMap)
        for one in self._replies.values():
            by_place[one.place].add(one.reply)
        still_there = BitMap(list(self._left_of))
        for place, going in by_place.items():
            self._clear(place, going, still_there)
        take_away(self._db, self._lost_at, self._days.version)
        self._reduce_totals()
        forget_conversation_days(
            self._db,
            self._org,
            {(one.replied_at // DAY, one.conversation) for one in self._replies.values()}
            - {(one.replied_at // DAY, one.conversation) for one in self._left},
        )

    def _replies_left(self) -> list[StoredReply]:
        """What the touched conversations keep."""
        wanted = msgspec.json.encode(list(self._touched)).decode()
        rows = self._db.execute(_REPLIES, (wanted, self._org << ORDINAL_BITS))
        return [one for row in rows if (one := StoredReply(*row)).reply not in self._replies]

    def _clear(self, place: Place, going: BitMap, still_there: BitMap) -> None:
        """Clear the bits of some replies in the rows of their place."""
        times = [self._replies[reply].replied_at for reply in going]
        of_org = ordinal_range(self._org)
        query = (place.day, *of_org, place.block, min(times), max(times))
        touched = list[int]()
        for kind, resource, *row in self._db.execute(_ROWS, query).fetchall():
            usage_count, first_at, last_at, packed_conversations, packed_replies = row
            replies = unpack(packed_replies)
            cleared = replies & going
            if not cleared:
                continue
            touched.append(resource)
            calls = self._take_calls(resource, cleared) if kind == APPLIED else {}
            lost_at = [
                self._replies[reply].replied_at
                for reply in cleared
                for _ in range(calls.get(reply, 1))
            ]
            conversations = unpack(packed_conversations)
            kept = replies - cleared
            leaving = BitMap([self._replies[reply].conversation for reply in cleared])
            leaving -= BitMap([self._left_of[reply] for reply in kept & still_there])
            self._note(kind, resource, place, lost_at, leaving)
            row_key = (place.day, kind, resource, place.block)
            if not kept:
                self._db.execute(_DELETE_ROW, row_key)
                continue
            if min(lost_at) <= first_at or max(lost_at) >= last_at:
                first_at, last_at = self._bounds(kept, first_at, last_at)
            counts = (usage_count - len(lost_at), first_at, last_at)
            bitmaps = (pack(conversations - leaving), pack(kept))
            self._db.execute(_WRITE_ROW, (*counts, *bitmaps, *row_key))
        self._days.forget(place.day, touched)

    def _note(
        self, kind: int, resource: int, place: Place, lost_at: list[int], leaving: BitMap
    ) -> None:
        loss = self._losses[kind, resource]
        loss.usage_count += len(lost_at)
        loss.first_at, loss.last_at = min(loss.first_at, *lost_at), max(loss.last_at, *lost_at)
        loss.conversations |= leaving
        self._lost_at[type_of(resource), kind, place.day] += lost_at

    def _take_calls(self, resource: int, replies: BitMap) -> dict[int, int]:
        """Take the invocations that a bit alone does not tell; how many of each reply."""
        wanted = msgspec.json.encode(list(replies)).decode()
        query = (wanted, resource, self._org << ORDINAL_BITS)
        calls = dict(self._db.execute(_CALLS, query).fetchall())
        org = self._org << ORDINAL_BITS
        self._db.executemany(_DELETE_CALLS, [(resource, org | reply) for reply in calls])
        return calls

    def _bounds(self, replies: BitMap, first_at: int, last_at: int) -> tuple[int, int]:
        """The times of the first and the last of a row's replies, which lie between two times."""
        if len(replies) <= _FEW:
            wanted = msgspec.json.encode(list(replies)).decode()
            row: tuple[int, int] = self._db.execute(
                _TIMES, (wanted, self._org << ORDINAL_BITS)
            ).fetchone()
            return row
        first, last = (
            next(at for reply, at in self._db.execute(query, bounds) if reply in replies)
            for query in (_IN_ORDER, _BACKWARDS)
            for bounds in [(self._org, first_at, last_at)]
        )
        return first, last

    def _reduce_totals(self) -> None:
        self._keep_those_elsewhere()
        handoffs = handed_off(self._db, self._org, self._touched)
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
                first_at = self._edge(_FIRST, kind, resource, first_at)
            if loss.last_at >= last_at:
                last_at = self._edge(_LAST, kind, resource, last_at)
            lost_handoffs = loss.conversations & handoffs if kind == APPLIED else BitMap()
            lost = (len(loss.conversations), len(lost_handoffs), loss.usage_count)
            self._db.execute(_REDUCE_TOTAL, (*lost, first_at, last_at, kind, resource))
        note_emptied(self._db, emptied)

    def _keep_those_elsewhere(self) -> None:
        """Let a resource lose no conversation that still is in another of its rows."""
        places: defaultdict[Place, BitMap] = defaultdict(BitMap)
        for one in self._left:
            places[one.place].add(one.conversation)
        for place, conversations in places.items():
            asked: defaultdict[int, list[int]] = defaultdict(list)
            for (kind, resource), loss in self._losses.items():
                if loss.conversations & conversations:
                    asked[kind].append(resource)
            for kind, resources in asked.items():
                wanted = msgspec.json.encode(resources).decode()
                query = (wanted, place.day, kind, place.block)
                for resource, packed in self._db.execute(_CONVERSATIONS, query):
                    self._losses[kind, resource].conversations -= unpack(packed)

    def _edge(self, query: str, kind: int, resource: int, at: int) -> int:
        """The time of the first or last usage that is left, going from the day of the old one."""
        of_type = org_and_type(type_of(resource))
        (day,) = self._db.execute(query, (*of_type, kind, at // DAY, resource)).fetchone()
        first_at, last_at = self._db.execute(_DAY_BOUNDS, (day, kind, resource)).fetchone()
        return int(first_at if query is _FIRST else last_at)


_FEW = 256
"""So many replies are looked up one by one; the first of more is soon met in the order of time."""

_REPLIES = """
SELECT reply.id & 0xFFFFFFFF, conversation & 0xFFFFFFFF, replied_at
FROM json_each(?1) AS wanted CROSS JOIN reply WHERE conversation = ?2 | wanted.value
"""
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
_TIMES = """
SELECT min(replied_at), max(replied_at) FROM json_each(?1) AS wanted CROSS JOIN reply
WHERE reply.id = ?2 | wanted.value
"""
_IN_ORDER = """
SELECT id & 0xFFFFFFFF, replied_at FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at BETWEEN ? AND ? ORDER BY replied_at
"""
_BACKWARDS = f"{_IN_ORDER} DESC"
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
_CONVERSATIONS = """
SELECT resource, conversations FROM json_each(?1) AS wanted CROSS JOIN usage_day
WHERE day = ?2 AND kind = ?3 AND resource = wanted.value AND block = ?4
"""
# The days of its type are in order, and few of them are passed over until one has the resource.
_FIRST = """
SELECT type_day.day FROM type_day CROSS JOIN usage_day
WHERE org = ?1 AND type = ?2 AND type_day.kind = ?3 AND type_day.day >= ?4
    AND usage_day.day = type_day.day AND usage_day.kind = ?3 AND resource = ?5
ORDER BY type_day.day LIMIT 1
"""
_LAST = """
SELECT type_day.day FROM type_day CROSS JOIN usage_day
WHERE org = ?1 AND type = ?2 AND type_day.kind = ?3 AND type_day.day <= ?4
    AND usage_day.day = type_day.day AND usage_day.kind = ?3 AND resource = ?5
ORDER BY type_day.day DESC LIMIT 1
"""
_DAY_BOUNDS = """
SELECT min(first_at), max(last_at) FROM usage_day WHERE day = ? AND kind = ? AND resource = ?
"""
