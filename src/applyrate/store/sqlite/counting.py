"""Counting: how often a resource was used inside a window, and in how many conversations.

Of all time the stored sums are the answer. Of a window it is the union of its days' bitmaps, and of
the days that it covers only in part, what the edges say.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import more_calls
from applyrate.store.sqlite.days import Day, Days, DaysAt, Row
from applyrate.store.sqlite.edges import Edges, Part
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import (
    APPLIED,
    AVAILABLE,
    DAY,
    from_micros,
    to_micros,
)
from applyrate.usage import ResourceType, UsageSummary, Window

LONG_AGO, _FAR_AHEAD = -(2**62), 2**62


class Tally(NamedTuple):
    """The counts of one kind of usage; times in microseconds, None when there is none.

    Of all time the handoffs are known and the conversations are not read; of a window it is the
    other way round.
    """

    conversation_count: int = 0
    usage_count: int = 0
    first_at: int | None = None
    last_at: int | None = None
    handoff_count: int = 0
    conversations: BitMap | None = None


class Tallies(NamedTuple):
    """The counts of both kinds of usage of a resource."""

    available: Tally = Tally()
    applied: Tally = Tally()


def to_span(window: Window) -> Span:
    """A window in microseconds."""
    return Span(
        LONG_AGO if window.from_at is None else to_micros(window.from_at),
        _FAR_AHEAD if window.to_at is None else to_micros(window.to_at),
    )


def count_resource(
    db: sqlite3.Connection,
    days: Days,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    window: Window,
) -> UsageSummary:
    """The counts of one resource inside a window; zeros where nobody recorded it."""
    found = db.execute(FIND_RESOURCE, (org, resource_type, resource_id)).fetchone()
    if found is None:
        return UsageSummary(**counts_of(Tallies()))
    resource, org_id = found
    return UsageSummary(**counts_of(Counter(db, days, org_id, to_span(window)).tally(resource)))


def counts_of(tallies: Tallies) -> dict[str, Any]:
    """The fields of a summary."""
    available, applied = tallies
    return {
        "session_count": applied.conversation_count,
        "applied_sessions": applied.conversation_count,
        "applied_replies": applied.usage_count,
        "available_sessions": available.conversation_count,
        "available_replies": available.usage_count,
        "first_used_at": None if applied.first_at is None else from_micros(applied.first_at),
        "last_used_at": None if applied.last_at is None else from_micros(applied.last_at),
    }


class _CutRow(NamedTuple):
    """What of a row lies inside a window."""

    usage_count: int
    first_at: int
    last_at: int
    conversations: BitMap


class Counter:
    """Counts the usages of one organization inside one window."""

    def __init__(self, db: sqlite3.Connection, days: Days, org: int, span: Span) -> None:
        self._db = db
        self._days = days
        self._org = org
        self._span = span
        self._cut_days = {time // DAY for time in span if time % DAY}
        self.edges = Edges(db, days.reply_order, org, span)

    def tally(self, resource: int) -> Tallies:
        """The counts of a resource, of both kinds."""
        return self.tally_all([resource])[resource]

    def tally_all(self, resources: Sequence[int]) -> dict[int, Tallies]:
        """The counts of resources, of both kinds."""
        tallies = {resource: [Tally(), Tally()] for resource in resources}
        cut = list[tuple[int, int]]()
        first, last = _FAR_AHEAD, LONG_AGO
        wanted = msgspec.json.encode(resources).decode()
        for resource, kind, *total in self._db.execute(_TOTALS, (wanted,)):
            _, _, first_at, last_at, _ = total
            start, end = max(self._span.start, first_at), min(self._span.end, last_at + 1)
            if (start, end) == (first_at, last_at + 1):
                tallies[resource][kind] = Tally(*total)
            elif start < end:
                cut.append((resource, kind))
                first, last = min(first, start // DAY), max(last, (end - 1) // DAY)
        if cut:
            asked = list(dict.fromkeys(resource for resource, _ in cut))
            days = self._days_at.read(asked, first, last)
            for resource, kind in cut:
                tallies[resource][kind] = self._tally_days(resource, kind, days[resource])
        return {resource: Tallies(*kinds) for resource, kinds in tallies.items()}

    @cached_property
    def _days_at(self) -> DaysAt:
        return self._days.at(self._db)

    def _tally_days(self, resource: int, kind: int, days: Mapping[int, Day]) -> Tally:
        inside: list[Row | _CutRow] = [
            row
            for day, of_day in days.items()
            if day not in self._cut_days
            for row in of_day.rows(kind)
        ]
        for day in self._cut_days & days.keys():
            inside += self._cut(resource, kind, day, days[day])
        if not inside:
            return Tally()
        together = BitMap.union(*[row.conversations for row in inside])
        return Tally(
            len(together),
            sum([row.usage_count for row in inside]),
            min([row.first_at for row in inside]),
            max([row.last_at for row in inside]),
            conversations=together,
        )

    def _cut(self, resource: int, kind: int, day: int, rows: Day) -> Iterator[Row | _CutRow]:
        """What lies inside the window of a day that it covers only in part."""
        start, end = self._span
        for row in rows.rows(kind):
            if row.first_at >= start and row.last_at < end:
                yield row
                continue
            part = (
                self.edges.cut(row.timeline)
                if row.timeline
                else self._part(resource, kind, day, rows, row)
            )
            if part is None:
                continue
            usage_count = len(part.replies)
            if row.reply_count != row.usage_count:
                usage_count += more_calls(self._db, self._org, resource, part.replies)
            yield _CutRow(usage_count, part.first_at, part.last_at, part.conversations)

    def _part(self, resource: int, kind: int, day: int, rows: Day, row: Row) -> Part | None:
        """What of a row lies inside the window; the times of few replies then stay with the row."""
        (packed,) = self._db.execute(_REPLIES, (day, kind, resource, row.block)).fetchone()
        replies = unpack(packed)
        row.reply_count = len(replies)
        if self.edges.is_busy(day, replies):
            return self.edges.pick(day, replies)
        timeline = None
        if kind == APPLIED:  # what was applied was mostly available
            known = next((r.timeline for r in rows.rows(AVAILABLE) if r.block == row.block), None)
            timeline = known.choose_all(replies) if known else None
        timeline = timeline or self.edges.look_up(replies)
        self._days.keep_timeline(resource, day, row, timeline)
        return self.edges.cut(timeline)


FIND_RESOURCE = """
SELECT resource.id, organization.id
FROM organization JOIN resource ON resource.org = organization.id
WHERE organization.name = ? AND type = ? AND resource_id = ?
"""
_TOTALS = """
SELECT resource, kind, conversation_count, usage_count, first_at, last_at, handoff_count
FROM json_each(?) AS asked CROSS JOIN usage_total
WHERE kind IN (0, 1) AND resource = asked.value
"""
_REPLIES = """
SELECT replies FROM usage_day WHERE day = ? AND kind = ? AND resource = ? AND block = ?
"""
