"""Counting over time: the usages of one resource in each of many spans that follow one another.

A row of a day that lies in one span is counted as it is. One that several spans share is cut by the
times of its replies, which stay decoded with the row.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from msgspec import Struct
from pyroaring import BitMap

from applyrate.store.sqlite.counting import FIND_RESOURCE, Tallies, Tally, counts_of
from applyrate.store.sqlite.days import Days, Row
from applyrate.store.sqlite.edges import Edges
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_order import ReplyOrder
from applyrate.store.sqlite.reply_times import Span, Timeline, to_timeline
from applyrate.store.sqlite.rows import (
    APPLIED,
    AVAILABLE,
    DAY,
    ORDINAL_BITS,
    ORDINAL_MASK,
    to_micros,
)
from applyrate.usage import ResourceType, UsageSummary

_MOST_KEPT = 1_300_000
"""Usages whose times are kept for one resource: half of what all decoded days may take."""


def count_spans(
    db: sqlite3.Connection,
    days: Days,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    bounds: Sequence[datetime],
) -> list[UsageSummary]:
    """The counts of one resource in each span from one of the rising bounds to the next."""
    edges = [to_micros(bound) for bound in bounds]
    spans: tuple[_Spans, _Spans] = (_Spans(edges), _Spans(edges))
    found = db.execute(FIND_RESOURCE, (org, resource_type, resource_id)).fetchone()
    if found and len(edges) > 1:
        resource, org_id = found
        within = _within(db, resource, Span(edges[0], edges[-1]))
        if within.start < within.end:
            rows = _Rows(db, days, org_id, resource, within)
            for row in rows:
                spans[row.kind].add(row, rows)
    return [
        UsageSummary(**counts_of(Tallies(available, applied)))
        for available, applied in zip(*(of_kind.tallies() for of_kind in spans), strict=True)
    ]


def _within(db: sqlite3.Connection, resource: int, span: Span) -> Span:
    """The part of a span from a resource's first usage to its last."""
    first_at, last_at = db.execute(_USED, (resource,)).fetchone()
    if first_at is None:
        return Span(0, 0)
    return Span(max(span.start, first_at), min(span.end, last_at + 1))


class _DayRow(NamedTuple):
    """A row with the day that it is of."""

    day: "_Day"
    kind: int
    row: Row


class _Rows:
    """The rows of one resource on the days that a span touches."""

    def __init__(
        self, db: sqlite3.Connection, days: Days, org: int, resource: int, span: Span
    ) -> None:
        self._db = db
        self._days = days
        self._org = org
        self._resource = resource
        first, last = span.start // DAY, (span.end - 1) // DAY
        self._read = days.at(db).read([resource], first, last)[resource]
        usage_count = sum(
            row.usage_count for day in self._read.values() for row in day.available + day.applied
        )
        self._keeps_times = usage_count <= _MOST_KEPT

    def __iter__(self) -> Iterator[_DayRow]:
        """The rows day by day, those of available usages first."""
        for number, read in self._read.items():
            day = _Day(self._db, self._days.reply_order, self._org, number)
            for kind in (AVAILABLE, APPLIED):
                for row in read.rows(kind):
                    yield _DayRow(day, kind, row)

    def timeline(self, one: _DayRow) -> Timeline:
        """The times of a row's replies, which stay with the row where they are not too many."""
        day, kind, row = one
        timeline = row.timeline
        if timeline is None:
            place = (day.number, kind, self._resource, row.block)
            (packed,) = self._db.execute(_REPLIES, place).fetchone()
            replies = unpack(packed)
            timeline = day.timeline(row.block, replies)
            if self._keeps_times:
                row.reply_count = len(replies)
                self._days.keep_timeline(self._resource, day.number, row, timeline)
        day.found[row.block] = timeline
        return timeline

    def more_calls(self, timeline: Timeline) -> dict[int, int]:
        """By reply the invocations of an action beyond one, where there are any."""
        org = self._org << ORDINAL_BITS
        place = (self._resource, org | min(timeline.replies), org | max(timeline.replies))
        return {reply & ORDINAL_MASK: more for reply, more in self._db.execute(_MORE_CALLS, place)}


class _Day:
    """A day of an organization; all of its replies are read at most once, and then let go."""

    def __init__(self, db: sqlite3.Connection, order: ReplyOrder, org: int, number: int) -> None:
        self._db = db
        self._org = org
        self.number = number
        self._span = Span(number * DAY, (number + 1) * DAY)
        self._edges = Edges(db, order, org, self._span)
        self.found: dict[int, Timeline] = {}

    def timeline(self, block: int, replies: BitMap) -> Timeline:
        """The times of some of the day's replies, which are of one block."""
        known = self.found.get(block)  # what was applied was mostly available
        timeline = known.choose_all(replies) if known else None
        if timeline is None and self._edges.is_busy(self.number, replies):
            timeline = self._all_replies.choose_all(replies)
        return timeline or self._edges.look_up(replies)

    @cached_property
    def _all_replies(self) -> Timeline:
        return to_timeline(self._db.execute(_ALL_REPLIES, (self._org, *self._span)).fetchone())


class _Spans:
    """What is counted in each span, of one kind of usage."""

    def __init__(self, bounds: Sequence[int]) -> None:
        self._bounds = bounds
        self._gathered = [_Gathered() for _ in bounds[1:]]

    def add(self, one: _DayRow, rows: _Rows) -> None:
        """Count a row where it lies."""
        row, bounds = one.row, self._bounds
        place = bisect_right(bounds, row.first_at) - 1
        if 0 <= place < len(bounds) - 1 and row.last_at < bounds[place + 1]:
            gathered = self._gathered[place]
            gathered.add(row.usage_count, row.first_at, row.last_at, row.conversations)
            return
        timeline = rows.timeline(one)
        times, replies, conversations = timeline
        more = rows.more_calls(timeline) if row.usage_count > len(replies) else {}
        first, stop = bisect_left(times, bounds[0]), bisect_left(times, bounds[-1])
        while first < stop:
            place = bisect_right(bounds, times[first]) - 1
            end = bisect_left(times, bounds[place + 1], first)
            count = end - first
            if more:
                count += sum(more.get(reply, 0) for reply in replies[first:end])
            self._gathered[place].add(
                count, times[first], times[end - 1], BitMap(conversations[first:end])
            )
            first = end

    def tallies(self) -> list[Tally]:
        return [gathered.tally() for gathered in self._gathered]


class _Gathered(Struct):
    """What was counted in one span; the conversations of each part are distinct in it alone."""

    usage_count: int = 0
    first_at: int | None = None
    last_at: int | None = None
    conversations: list[BitMap] = []

    def add(self, usage_count: int, first_at: int, last_at: int, conversations: BitMap) -> None:
        self.usage_count += usage_count
        self.first_at = first_at if self.first_at is None else min(self.first_at, first_at)
        self.last_at = last_at if self.last_at is None else max(self.last_at, last_at)
        self.conversations.append(conversations)

    def tally(self) -> Tally:
        together = BitMap.union(BitMap(), *self.conversations) if self.conversations else ()
        return Tally(len(together), self.usage_count, self.first_at, self.last_at)


_USED = """
SELECT min(first_at), max(last_at) FROM usage_total WHERE kind IN (0, 1) AND resource = ?
"""
_REPLIES = """
SELECT replies FROM usage_day WHERE day = ? AND kind = ? AND resource = ? AND block = ?
"""
_ALL_REPLIES = """
SELECT group_concat(replied_at), group_concat(id & 0xFFFFFFFF),
       group_concat(conversation & 0xFFFFFFFF) FROM
    (SELECT replied_at, id, conversation FROM reply INDEXED BY reply_time
     WHERE org = ? AND replied_at >= ? AND replied_at < ? ORDER BY replied_at)
"""
_MORE_CALLS = """
SELECT reply, count(*) - 1 FROM invocation
WHERE resource = ? AND reply BETWEEN ? AND ? GROUP BY reply HAVING count(*) > 1
"""
