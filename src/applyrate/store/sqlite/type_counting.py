"""Counting all resources of a type inside a window, at once."""

import sqlite3
from collections.abc import Iterator
from functools import cached_property, reduce

from pyroaring import BitMap

from applyrate.store.sqlite.columns import Column, ColumnKey, Columns, add_up, subtract, to_numbers
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import DAY, resource_range
from applyrate.store.sqlite.type_days import TypeDay, read_type_days
from applyrate.usage import ResourceType


class TypeCounter:
    """Counts the usages of one type of one organization inside one window."""

    def __init__(
        self,
        db: sqlite3.Connection,
        columns: Columns,
        org: int,
        resource_type: ResourceType,
        span: Span,
    ) -> None:
        self._db = db
        self._columns = columns
        self.org = org
        self.resource_type = resource_type
        self.span = span
        self.ids = resource_range(org, resource_type)

    @cached_property
    def resource_count(self) -> int:
        """How many resources there are, seen or catalogued."""
        (count,) = self._db.execute(_COUNT, (self.org, self.resource_type)).fetchone()
        return int(count)

    @cached_property
    def number_count(self) -> int:
        """How many numbers go up to the last resource; those of removed ones are of none."""
        (count,) = self._db.execute(_NUMBERS, self.ids).fetchone()
        return int(count)

    def usage_counts(self, kind: int) -> list[int]:
        """The usages of each resource, by its number among those of the type."""
        if not self.is_all_time(kind):
            return add_up(self._read_columns(kind), self.number_count)
        counts = [0] * self.number_count
        numbers, totals = self._db.execute(_TOTALS, (kind, *self.ids)).fetchone()
        for number, count in zip(to_numbers(numbers), to_numbers(totals), strict=True):
            counts[number] = count
        return counts

    def used_numbers(self, kind: int) -> BitMap:
        """The numbers of the resources with a usage inside the window.

        Mostly the sums of all time know it: the first or the last usage lies inside. Of those that
        were used before and after it, the days are asked until all are found.
        """
        certain, others = self._db.execute(_USED, (kind, *self.ids, *self.span)).fetchone()
        used, unknown = BitMap(to_numbers(certain)), BitMap(to_numbers(others))
        days = self.type_days(kind) if unknown else {}
        # The parts last, since they cost the most.
        for day in sorted(days, key=self.span.covers, reverse=True):
            if not unknown:
                break
            found = self._read(kind, day, days[day]).used & unknown
            used |= found
            unknown -= found
        return used

    def used(self, kind: int) -> set[int]:
        """The ids of the resources with a usage inside the window."""
        first, _ = self.ids
        return {first + number for number in self.used_numbers(kind)}

    def last_used(self, kind: int) -> dict[int, BitMap]:
        """By day, in their order, the numbers of those whose last usage in the window is on it."""
        later = BitMap()
        last_used: dict[int, BitMap] = {}
        for day, column in reversed(list(self._columns_by_day(kind))):
            last_used[day] = column.used - later
            later |= column.used
        return dict(reversed(last_used.items()))

    def type_days(self, kind: int) -> dict[int, TypeDay]:
        """The days that the window has a part of, and the type a usage on."""
        first, last = self.span.start // DAY, (self.span.end - 1) // DAY
        return read_type_days(self._db, self.org, self.resource_type, kind, first, last)

    def is_all_time(self, kind: int) -> bool:
        """Whether the window holds each day with a usage."""
        first, last = self._db.execute(_DAYS, (self.org, self.resource_type, kind)).fetchone()
        if first is None:
            return True
        return self.span.covers(first) and self.span.covers(last)

    def _read_columns(self, kind: int) -> Iterator[Column]:
        return (column for _, column in self._columns_by_day(kind))

    def _columns_by_day(self, kind: int) -> Iterator[tuple[int, Column]]:
        for day, type_day in self.type_days(kind).items():
            yield day, self._read(kind, day, type_day)

    def _read(self, kind: int, day: int, type_day: TypeDay) -> Column:
        """What of a day lies inside the window: all but what lies outside, where that is less."""

        def read(part: Span | None = None) -> Column:
            key = ColumnKey(self.org, self.resource_type, kind, day, part)
            return self._columns.read(self._db, key, type_day.version)

        if self.span.covers(day):
            return read()
        part, start, end = self.span.on(day), day * DAY, (day + 1) * DAY
        outside = [
            span
            for span in (Span(start, part.start), Span(part.end, end))
            if type_day.may_have(span.start - start, span.end - start)
        ]
        if sum(span.end - span.start for span in outside) < part.end - part.start:
            whole = read()
            if not whole.beyond:
                return reduce(subtract, map(read, outside), whole)
        return read(part)


_COUNT = "SELECT count(*) FROM resource WHERE org = ? AND type = ?"
_NUMBERS = "SELECT ifnull(max(id) + 1 - ?1, 0) FROM resource WHERE id BETWEEN ?1 AND ?2"
_DAYS = """
SELECT (SELECT min(day) FROM type_day WHERE org = ?1 AND type = ?2 AND kind = ?3),
       (SELECT max(day) FROM type_day WHERE org = ?1 AND type = ?2 AND kind = ?3)
"""
_TOTALS = """
SELECT group_concat(resource - ?2), group_concat(usage_count) FROM usage_total
WHERE kind = ?1 AND resource BETWEEN ?2 AND ?3
"""
_USED = """
SELECT group_concat(CASE WHEN last_at < ?5 OR first_at >= ?4 THEN resource - ?2 END),
       group_concat(CASE WHEN last_at >= ?5 AND first_at < ?4 THEN resource - ?2 END)
FROM usage_total
WHERE kind = ?1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?5 AND last_at >= ?4
"""
