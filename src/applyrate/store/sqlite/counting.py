"""Counting: how often a resource was used inside a window, and in how many conversations.

Of all time the stored sums are the answer. Of a window it is the union of its days' bitmaps, and of
the days that it covers only in part, what the edges say.
"""

import sqlite3
from typing import Any, NamedTuple

from pyroaring import BitMap

from applyrate.store.sqlite.edges import Edges, Span
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import (
    APPLIED,
    AVAILABLE,
    DAY,
    ORDINAL_BITS,
    from_micros,
    to_micros,
)
from applyrate.usage import ResourceType, UsageSummary, Window

_LONG_AGO, _FAR_AHEAD = -(2**62), 2**62


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


def to_span(window: Window) -> Span:
    """A window in microseconds."""
    return Span(
        _LONG_AGO if window.from_at is None else to_micros(window.from_at),
        _FAR_AHEAD if window.to_at is None else to_micros(window.to_at),
    )


def count_resource(
    db: sqlite3.Connection, org: str, resource_type: ResourceType, resource_id: str, window: Window
) -> UsageSummary:
    """The counts of one resource inside a window; zeros where nobody recorded it."""
    found = db.execute(FIND_RESOURCE, (org, resource_type, resource_id)).fetchone()
    if found is None:
        return UsageSummary(**counts_of(Tally(), Tally()))
    resource, org_id = found
    counter = Counter(db, org_id, to_span(window))
    return UsageSummary(
        **counts_of(counter.tally(resource, AVAILABLE), counter.tally(resource, APPLIED))
    )


def counts_of(available: Tally, applied: Tally) -> dict[str, Any]:
    """The fields of a summary from the tallies of both kinds."""
    return {
        "session_count": applied.conversation_count,
        "applied_sessions": applied.conversation_count,
        "applied_replies": applied.usage_count,
        "available_sessions": available.conversation_count,
        "available_replies": available.usage_count,
        "first_used_at": None if applied.first_at is None else from_micros(applied.first_at),
        "last_used_at": None if applied.last_at is None else from_micros(applied.last_at),
    }


class Counter:
    """Counts the usages of one organization inside one window."""

    def __init__(self, db: sqlite3.Connection, org: int, span: Span) -> None:
        self._db = db
        self._org = org
        self._span = span
        self.edges = Edges(db, org, span)

    def tally(self, resource: int, kind: int) -> Tally:
        """The counts of one kind of usage of a resource."""
        total = self._db.execute(_TOTAL, (kind, resource)).fetchone()
        if total is None:
            return Tally()
        _, _, first_at, last_at, _ = total
        start, end = max(self._span.start, first_at), min(self._span.end, last_at + 1)
        if start >= end:
            return Tally()
        if (start, end) == (first_at, last_at + 1):
            return Tally(*total)
        return self._tally_days(resource, kind, Span(start, end))

    def _tally_days(self, resource: int, kind: int, span: Span) -> Tally:
        usage_count, bitmaps = 0, list[BitMap]()
        first_at, last_at = _FAR_AHEAD, _LONG_AGO
        days = (span.start // DAY, (span.end - 1) // DAY)
        for row in self._db.execute(_DAYS, (*days, kind, resource, *span)):
            day, row_count, row_first_at, row_last_at, conversations, replies = row
            if replies is None:
                bitmaps.append(unpack(conversations))
            else:
                inside = unpack(replies)
                part = self.edges.part(day, inside)
                if part is None:
                    continue
                calls = row_count > len(inside)
                row_count = len(part.replies)
                if calls:
                    row_count += self._more_calls(resource, part.replies)
                row_first_at, row_last_at = part.first_at, part.last_at
                bitmaps.append(part.conversations)
            usage_count += row_count
            first_at, last_at = min(first_at, row_first_at), max(last_at, row_last_at)
        if not bitmaps:
            return Tally()
        together = BitMap.union(*bitmaps)
        return Tally(len(together), usage_count, first_at, last_at, conversations=together)

    def _more_calls(self, action: int, replies: BitMap) -> int:
        """The invocations of an action in those replies, beyond one for each."""
        org = self._org << ORDINAL_BITS
        rows = self._db.execute(_MORE_CALLS, (action, org | replies.min(), org | replies.max()))
        return sum(more for reply, more in rows if reply ^ org in replies)


FIND_RESOURCE = """
SELECT resource.id, organization.id
FROM organization JOIN resource ON resource.org = organization.id
WHERE organization.name = ? AND type = ? AND resource_id = ?
"""
_TOTAL = """
SELECT conversation_count, usage_count, first_at, last_at, handoff_count FROM usage_total
WHERE kind = ? AND resource = ?
"""
# The replies are read only where the window covers a row in part.
_DAYS = """
WITH RECURSIVE days (day) AS (VALUES (?1) UNION ALL SELECT day + 1 FROM days WHERE day < ?2)
SELECT day, usage_count, first_at, last_at, conversations,
       CASE WHEN first_at >= ?5 AND last_at < ?6 THEN NULL ELSE replies END
FROM days CROSS JOIN usage_day USING (day)
WHERE kind = ?3 AND resource = ?4 AND first_at < ?6 AND last_at >= ?5
"""
_MORE_CALLS = """
SELECT reply, count(*) - 1 FROM invocation
WHERE resource = ? AND reply BETWEEN ? AND ? GROUP BY reply HAVING count(*) > 1
"""
