"""Courses: how often each of some resources was applied in each of many spans of time.

For the few rows of a table, and their counts alone: no conversation is looked at.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import more_calls, to_numbers
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.edges import Span
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import DAY, to_micros
from applyrate.usage import ResourceType


def count_applied(
    db: sqlite3.Connection,
    org: str,
    resource_type: ResourceType,
    resource_ids: Sequence[str],
    bounds: Sequence[datetime],
) -> Mapping[str, list[int]]:
    """The applications of each resource in each span from one of the rising bounds to the next."""
    counts = {resource_id: [0] * (len(bounds) - 1) for resource_id in resource_ids}
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None or len(bounds) < 2:  # noqa: PLR2004 (a span has two ends)
        return counts
    wanted = msgspec.json.encode(resource_ids).decode()
    known = dict(db.execute(_RESOURCES, (found[0], resource_type, wanted)).fetchall())
    first_at, last_at = db.execute(_USED, (_encode(list(known)),)).fetchone()
    if first_at is None:
        return counts
    instants = [to_micros(bound) for bound in bounds]
    course = _Course(db, found[0], list(known), instants)
    start, end = max(instants[0], first_at), min(instants[-1], last_at + 1)
    for resource, place, count in course.count(start // DAY, (end - 1) // DAY):
        counts[known[resource]][place] += count
    return counts


class _Course:
    """The applications of some resources between some instants (microseconds)."""

    def __init__(
        self, db: sqlite3.Connection, org: int, resources: Sequence[int], instants: Sequence[int]
    ) -> None:
        self._db = db
        self._org = org
        self._resources = _encode(resources)
        self._instants = instants

    def count(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """What rows of some days count: of which resource, and in which span; parts of a sum."""
        cut = {instant // DAY for instant in self._instants if instant % DAY}
        places: dict[int, int] = {}
        for day in range(first, last + 1):
            if day in cut:
                yield from self._count_parts(day)
                continue
            place = self._place(day * DAY)
            if 0 <= place < len(self._instants) - 1:
                places[day] = place
        asked = _encode(list(places))
        for resource, day, count in self._db.execute(_DAYS, (asked, self._resources)):
            yield resource, places[day], count

    def _count_parts(self, day: int) -> Iterator[tuple[int, int, int]]:
        """The same of a day that has a bound inside it."""
        bounds = [max(day * DAY, instant) for instant in self._instants]
        bounds = [min((day + 1) * DAY, instant) for instant in bounds]
        parts = [
            (place, Span(*ends)) for place, ends in enumerate(pairwise(bounds)) if ends[0] < ends[1]
        ]
        inside = {place: self._replies(part) for place, part in parts}
        for resource, usage_count, packed in self._db.execute(_ROWS, (day, self._resources)):
            replies = unpack(packed)
            for place, _ in parts:
                count = replies.intersection_cardinality(inside[place])
                if count and usage_count > len(replies):
                    count += more_calls(self._db, self._org, resource, replies & inside[place])
                if count:
                    yield resource, place, count

    def _replies(self, part: Span) -> BitMap:
        (text,) = self._db.execute(_REPLIES, (self._org, *part)).fetchone()
        return BitMap(to_numbers(text))

    def _place(self, instant: int) -> int:
        return bisect_right(self._instants, instant) - 1


def _encode(numbers: Sequence[int]) -> str:
    return msgspec.json.encode(numbers).decode()


_RESOURCES = """
SELECT resource.id, resource_id FROM json_each(?3) AS wanted CROSS JOIN resource
WHERE org = ?1 AND resource.type = ?2 AND resource_id = wanted.value
"""
_USED = """
SELECT min(first_at), max(last_at) FROM json_each(?1) AS asked CROSS JOIN usage_total
WHERE kind = 1 AND resource = asked.value
"""
# In the order in which the rows lie: by day, then by resource.
_DAYS = """
SELECT resource, day, usage_count
FROM json_each(?1) AS wanted CROSS JOIN json_each(?2) AS asked CROSS JOIN usage_day
WHERE day = wanted.value AND kind = 1 AND resource = asked.value
"""
_ROWS = """
SELECT resource, usage_count, replies FROM json_each(?2) AS asked CROSS JOIN usage_day
WHERE day = ?1 AND kind = 1 AND resource = asked.value
"""
_REPLIES = """
SELECT group_concat(id & 0xFFFFFFFF) FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
"""
