"""Counting all resources of a type inside a window, at once."""

import sqlite3
from collections.abc import Iterator
from functools import cached_property

from pyroaring import BitMap

from applyrate.store.sqlite.columns import Column, ColumnKey, Columns, add_up, to_numbers
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

        Mostly the sums of all time know it: the first or the last usage lies inside. Only where
        some were used before and after, the days are asked.
        """
        certain, has_others = self._db.execute(_USED, (kind, *self.ids, *self.span)).fetchone()
        if not has_others:
            return BitMap(to_numbers(certain))
        return BitMap.union(BitMap(), *(column.used for column in self._read_columns(kind)))

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

    def part(self, day: int) -> Span:
        """What of a day lies inside the window."""
        return Span(max(self.span.start, day * DAY), min(self.span.end, (day + 1) * DAY))

    def covers(self, first_at: int, last_at: int) -> bool:
        """Whether usages with these first and last times (microseconds) all lie inside."""
        return self.span.start <= first_at and last_at < self.span.end

    def is_all_time(self, kind: int) -> bool:
        """Whether the window holds each day with a usage."""
        first, last = self._db.execute(_DAYS, (self.org, self.resource_type, kind)).fetchone()
        return first is None or self.covers(first * DAY, (last + 1) * DAY - 1)

    def _read_columns(self, kind: int) -> Iterator[Column]:
        return (column for _, column in self._columns_by_day(kind))

    def _columns_by_day(self, kind: int) -> Iterator[tuple[int, Column]]:
        for day, type_day in self.type_days(kind).items():
            key = ColumnKey(self.org, self.resource_type, kind, day)
            column = self._columns.read(self._db, key, type_day.version)
            if self.covers(column.first_at, column.last_at):
                yield day, column
            elif column.first_at < self.span.end and column.last_at >= self.span.start:
                key = key._replace(part=self.part(day))
                yield day, self._columns.read(self._db, key, type_day.version)


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
       ifnull(max(last_at >= ?5 AND first_at < ?4), 0)
FROM usage_total
WHERE kind = ?1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?5 AND last_at >= ?4
"""
