"""Usage counts: how often each of some resources was used in each of many spans of time.

For charts and for the few rows of a table: counts alone, no conversation is looked at. A day that
several spans share is cut by the times of its replies. The longest part of it is what the other
parts leave, and is never read: a day of another time zone costs the hours by which it differs.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import more_calls, to_numbers
from applyrate.store.sqlite.days import days_worth_asking
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import DAY, KIND_CODE, to_micros
from applyrate.usage import ResourceType, UsageKind


def count_usages(
    db: sqlite3.Connection,
    org: str,
    resource_type: ResourceType,
    resource_ids: Sequence[str],
    bounds: Sequence[datetime],
    kind: UsageKind,
) -> Mapping[str, list[int]]:
    """The usages of each resource in each span from one of the rising bounds to the next."""
    spans = [Span(*map(to_micros, ends)) for ends in pairwise(bounds)]
    counts = {resource_id: [0] * len(spans) for resource_id in resource_ids}
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None or not spans:
        return counts
    (org_id,) = found
    asked = msgspec.json.encode(resource_ids).decode()
    known: dict[int, str] = dict(db.execute(_RESOURCES, (org_id, resource_type, asked)).fetchall())
    rows = _Rows(db, org_id, KIND_CODE[kind], list(known))
    for resource, place, count in rows.count(spans):
        counts[known[resource]][place] += count
    return counts


def count_inside(
    db: sqlite3.Connection, org: int, kind: int, resources: Sequence[int], span: Span
) -> dict[int, int]:
    """The usages of each resource, by id, inside a window."""
    counts = dict.fromkeys(resources, 0)
    cut = list[int]()
    for resource, count, is_inside in db.execute(_TOTALS, (kind, _encode(resources), *span)):
        if is_inside:
            counts[resource] = count
        else:
            cut.append(resource)
    for resource, _, count in _Rows(db, org, kind, sorted(cut)).count([span]):
        counts[resource] += count
    return counts


class _Part(NamedTuple):
    """What a span has of a day; ``place`` is that of the span, None for what lies in no span."""

    place: int | None
    span: Span


class _Counted(NamedTuple):
    """Some usages of a resource in one of the spans."""

    resource: int
    place: int
    usage_count: int


class _Rows:
    """The rows of some resources, of one kind of usage."""

    def __init__(
        self, db: sqlite3.Connection, org: int, kind: int, resources: Sequence[int]
    ) -> None:
        self._db = db
        self._org = org
        self._kind = kind
        self._resources = _encode(resources)

    def count(self, spans: Sequence[Span]) -> Iterator[_Counted]:
        """The usages in each of the spans that follow one another, as parts of sums."""
        first_at, last_at = self._db.execute(_USED, (self._kind, self._resources)).fetchone()
        if first_at is None:
            return
        start, end = max(spans[0].start, first_at), min(spans[-1].end, last_at + 1)
        whole = list[tuple[int, int]]()
        for day in days_worth_asking(self._db, start // DAY, (end - 1) // DAY):
            parts = _divide(day, spans)
            if len(parts) > 1:
                yield from self._count_parts(day, parts)
            elif parts[0].place is not None:
                whole.append((day, parts[0].place))
        asked = msgspec.json.encode(whole).decode()
        yield from map(
            _Counted._make, self._db.execute(_DAYS, (asked, self._kind, self._resources))
        )

    def _count_parts(self, day: int, parts: Sequence[_Part]) -> Iterator[_Counted]:
        """The same of a day that has a bound inside it."""
        longest = max(parts, key=lambda part: part.span.end - part.span.start)
        others = [(part.place, self._replies(part.span)) for part in parts if part is not longest]
        for resource, usage_count, packed in self._db.execute(
            _ROWS, (day, self._kind, self._resources)
        ):
            replies, left = unpack(packed), usage_count
            for place, inside in others:
                count = replies.intersection_cardinality(inside)
                if count and usage_count > len(replies):
                    count += more_calls(self._db, self._org, resource, replies & inside)
                left -= count
                if count and place is not None:
                    yield _Counted(resource, place, count)
            if left and longest.place is not None:
                yield _Counted(resource, longest.place, left)

    def _replies(self, part: Span) -> BitMap:
        (text,) = self._db.execute(_REPLIES, (self._org, *part)).fetchone()
        return BitMap(to_numbers(text))


def _divide(day: int, spans: Sequence[Span]) -> list[_Part]:
    """A day from its start to its end, cut where the spans begin and end."""
    at, end = day * DAY, (day + 1) * DAY
    parts = []
    place = bisect_right(spans, at, key=lambda span: span.start) - 1
    while at < end:
        if place < 0:
            until = min(end, spans[0].start)
            parts.append(_Part(None, Span(at, until)))
        elif place == len(spans):
            until = end
            parts.append(_Part(None, Span(at, until)))
        else:
            until = min(end, spans[place].end)
            if at < until:
                parts.append(_Part(place, Span(at, until)))
        at, place = max(at, until), place + 1
    return parts


def _encode(numbers: Sequence[int]) -> str:
    return msgspec.json.encode(numbers).decode()


_RESOURCES = """
SELECT resource.id, resource_id FROM json_each(?3) AS wanted CROSS JOIN resource
WHERE org = ?1 AND resource.type = ?2 AND resource_id = wanted.value
"""
_USED = """
SELECT min(first_at), max(last_at) FROM json_each(?2) AS asked CROSS JOIN usage_total
WHERE kind = ?1 AND resource = asked.value
"""
_TOTALS = """
SELECT resource, usage_count, first_at >= ?3 AND last_at < ?4
FROM json_each(?2) AS asked CROSS JOIN usage_total
WHERE kind = ?1 AND resource = asked.value AND first_at < ?4 AND last_at >= ?3
"""
# In the order in which the rows lie: by day, then by resource.
_DAYS = """
WITH wanted AS MATERIALIZED (
    SELECT json_extract(value, '$[0]') AS day, json_extract(value, '$[1]') AS place
    FROM json_each(?1)
)
SELECT resource, place, sum(usage_count)
FROM wanted CROSS JOIN json_each(?3) AS asked CROSS JOIN usage_day
WHERE usage_day.day = wanted.day AND kind = ?2 AND resource = asked.value
GROUP BY resource, place
"""
_ROWS = """
SELECT resource, usage_count, replies FROM json_each(?3) AS asked CROSS JOIN usage_day
WHERE day = ?1 AND kind = ?2 AND resource = asked.value
"""
_REPLIES = """
SELECT group_concat(id & 0xFFFFFFFF) FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
"""
