"""Browsing: the conversations that used a resource, those of the most recent use first.

The days are walked backwards from the end of the window, or from where the last page ended, and the
walk stops when the page is full.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.counting import FIND_RESOURCE, Counter, to_span
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.outcomes import conversations_of
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import (
    APPLIED,
    BLOCK_BITS,
    DAY,
    KIND_CODE,
    ORDINAL_BITS,
    from_micros,
    to_micros,
)
from applyrate.usage import (
    ConversationPosition,
    ConversationUsage,
    Page,
    ResourceType,
    UsageKind,
    Window,
)

_FEW_REPLIES = 2_000
"""So many replies of a day are looked up one by one; more are met often enough among all of the
organization's, read backwards in time."""


def list_conversations(
    db: sqlite3.Connection,
    days: Days,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    window: Window,
    kind: UsageKind,
    limit: int,
    after: ConversationPosition | None,
    *,
    unapplied: bool,
) -> Page[ConversationUsage, ConversationPosition]:
    """A page of the conversations that used a resource inside a window.

    With ``unapplied`` those that applied it there are left out.
    """
    found = db.execute(FIND_RESOURCE, (org, resource_type, resource_id)).fetchone()
    if found is None:
        return Page([], None)
    resource, org_id = found
    usages = _Usages(db, org_id, resource, KIND_CODE[kind], to_span(window))
    left_out = BitMap()
    if unapplied:
        tallies = Counter(db, days, org_id, to_span(window)).tally(resource)
        left_out = conversations_of(days.at(db), resource, APPLIED, tallies.applied)
    rows = _newest(usages, limit + 1, after, left_out)
    items = [row.usage() for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, ConversationPosition(items[-1].last_used_at, items[-1].session_id))


class _Row(NamedTuple):
    """A conversation and its uses of the resource inside the window.

    Rows are ordered as tuples are: newest use first, ties by ``session_id``. ``before`` is the time
    of the last use, negated.
    """

    before: int
    session_id: str
    reply_count: int
    first_at: int
    ticket_number: int | None
    last_message: str | None

    def usage(self) -> ConversationUsage:
        return ConversationUsage(
            session_id=self.session_id,
            reply_count=self.reply_count,
            ticket_number=self.ticket_number,
            last_message=self.last_message,
            first_used_at=from_micros(self.first_at),
            last_used_at=from_micros(-self.before),
        )


def _newest(
    usages: "_Usages", count: int, after: ConversationPosition | None, left_out: BitMap
) -> list[_Row]:
    """The first conversations after a position, but those left out (ordinals)."""
    passed = (-to_micros(after.last_used_at), after.session_id) if after else None

    def following(conversations: Sequence[int]) -> Iterator[_Row]:
        rows = usages.of_conversations(conversations)
        return rows if passed is None else (row for row in rows if row[:2] > passed)

    rows, seen, met = list[_Row](), BitMap(), list[int]()
    oldest_at = 0
    for replied_at, conversation in usages.backwards(-passed[0] if passed else None):
        if len(rows) + len(met) >= count and replied_at < oldest_at:
            # Every conversation with the time of the last one was met.
            rows += following(met)
            met = []
            if len(rows) >= count:
                break
        if conversation in seen or conversation in left_out:
            continue
        seen.add(conversation)
        met.append(conversation)
        oldest_at = replied_at
    rows += following(met)
    return sorted(rows)[:count]


class _Usages:
    """The usages of one kind of one resource inside a window."""

    def __init__(
        self, db: sqlite3.Connection, org: int, resource: int, kind: int, span: Span
    ) -> None:
        self._db = db
        self._org = org
        self._resource = resource
        self._kind = kind
        self._span = span
        self._rows: dict[tuple[int, int], BitMap] = {}

    def backwards(self, last_at: int | None) -> Iterator[tuple[int, int]]:
        """Times and conversations (ordinals) of the replies, newest first, from a time on."""
        total = self._db.execute(_BOUNDS, (self._kind, self._resource)).fetchone()
        if total is None:
            return
        start = max(self._span.start, total[0])
        end = min(self._span.end, total[1] + 1, self._span.end if last_at is None else last_at + 1)
        if start >= end:
            return
        rows = self._db.execute(
            _DAYS_BACKWARDS,
            ((end - 1) // DAY, start // DAY, self._kind, self._resource, start, end),
        )
        for day, blocks in groupby(rows, lambda row: row[0]):
            replies = BitMap.union(*(unpack(packed) for _, packed in blocks))
            bounds = (max(start, day * DAY), min(end, (day + 1) * DAY))
            if len(replies) <= _FEW_REPLIES:
                ordinals = msgspec.json.encode(list(replies)).decode()
                yield from self._db.execute(
                    _LOOK_UP, (ordinals, self._org << ORDINAL_BITS, *bounds)
                )
            else:
                for replied_at, conversation, reply in self._db.execute(
                    _ALL_BACKWARDS, (self._org, *bounds)
                ):
                    if reply in replies:
                        yield replied_at, conversation

    def of_conversations(self, conversations: Sequence[int]) -> Iterator[_Row]:
        """What conversations (ordinals) used, which have at least one usage each."""
        wanted, org = msgspec.json.encode(conversations).decode(), self._org << ORDINAL_BITS
        times = defaultdict[int, list[int]](list)
        for conversation, reply, replied_at in self._db.execute(
            _REPLIES_OF, (wanted, org, *self._span)
        ):
            place = (replied_at // DAY, reply >> BLOCK_BITS)
            if reply in (self._rows[place] if place in self._rows else self._read(*place)):
                times[conversation].append(replied_at)
        for conversation, session_id, ticket_number, last_message in self._db.execute(
            _FACTS, (wanted, org)
        ):
            used_at = times[conversation]
            uses = (-max(used_at), session_id, len(used_at), min(used_at))
            yield _Row(*uses, ticket_number, last_message)

    def _read(self, day: int, block: int) -> BitMap:
        """The replies of a row, which stay at hand."""
        place = (day, self._kind, self._resource, block)
        row = self._db.execute(_REPLIES, place).fetchone()
        self._rows[day, block] = unpack(row[0]) if row else BitMap()
        return self._rows[day, block]


_BOUNDS = "SELECT first_at, last_at FROM usage_total WHERE kind = ? AND resource = ?"
_DAYS_BACKWARDS = """
WITH RECURSIVE days (day) AS (VALUES (?1) UNION ALL SELECT day - 1 FROM days WHERE day > ?2)
SELECT day, replies FROM days CROSS JOIN usage_day USING (day)
WHERE kind = ?3 AND resource = ?4 AND first_at < ?6 AND last_at >= ?5
"""
_LOOK_UP = """
SELECT replied_at, conversation & 0xFFFFFFFF FROM json_each(?1) AS ordinal CROSS JOIN reply
WHERE reply.id = ?2 | ordinal.value AND replied_at >= ?3 AND replied_at < ?4
ORDER BY replied_at DESC
"""
_ALL_BACKWARDS = """
SELECT replied_at, conversation & 0xFFFFFFFF, id & 0xFFFFFFFF
FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
ORDER BY replied_at DESC
"""
_REPLIES_OF = """
SELECT wanted.value, reply.id & 0xFFFFFFFF, replied_at
FROM json_each(?1) AS wanted CROSS JOIN reply INDEXED BY reply_conversation
WHERE conversation = ?2 | wanted.value AND replied_at >= ?3 AND replied_at < ?4
"""
_REPLIES = """
SELECT replies FROM usage_day WHERE day = ? AND kind = ? AND resource = ? AND block = ?
"""
_FACTS = """
SELECT wanted.value, session_id, ifnull(ticket_number, reply_ticket_number),
       ifnull(last_message, reply_last_message)
FROM json_each(?1) AS wanted CROSS JOIN conversation
WHERE conversation.id = ?2 | wanted.value
"""
