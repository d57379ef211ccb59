"""Counting all resources of a type inside a window, at once."""

import sqlite3
from collections.abc import Iterator
from functools import cached_property

from applyrate.store.sqlite.columns import Column, ColumnKey, Columns, add_up
from applyrate.store.sqlite.edges import Span
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
        self._org = org
        self._type = resource_type
        self.span = span
        self.ids = resource_range(org, resource_type)

    @cached_property
    def resource_count(self) -> int:
        """How many resources there are, seen or catalogued; they are numbered without a gap."""
        (count,) = self._db.execute(_COUNT, self.ids).fetchone()
        return int(count)

    def usage_counts(self, kind: int) -> dict[int, int]:
        """The usages of each resource that has any, by its id."""
        first, _ = self.ids
        totals = self._db.execute(_TOTALS, (kind, *self.ids)).fetchall()
        if all(self.covers(first_at, last_at) for _, _, first_at, last_at in totals):
            return {resource: usage_count for resource, usage_count, _, _ in totals}
        sums = add_up(self._read_columns(kind), self.resource_count)
        return {first + number: count for number, count in enumerate(sums) if count}

    def used(self, kind: int) -> set[int]:
        """The ids of the resources with a usage inside the window.

        Mostly the sums of all time know it: the first or the last usage lies inside. Only of those
        that were used before and after, the days are asked.
        """
        rows = self._db.execute(_USED, (kind, *self.ids, *self.span)).fetchall()
        used = {resource for resource, is_certain in rows if is_certain}
        if len(used) < len(rows):
            counts = self.usage_counts(kind)
            used.update(resource for resource, _ in rows if resource in counts)
        return used

    def type_days(self, kind: int) -> dict[int, TypeDay]:
        """The days that the window has a part of, and the type a usage on."""
        first, last = self.span.start // DAY, (self.span.end - 1) // DAY
        return read_type_days(self._db, self._org, self._type, kind, first, last)

    def part(self, day: int) -> Span:
        """What of a day lies inside the window."""
        return Span(max(self.span.start, day * DAY), min(self.span.end, (day + 1) * DAY))

    def covers(self, first_at: int, last_at: int) -> bool:
        """Whether usages with these first and last times (microseconds) all lie inside."""
        return self.span.start <= first_at and last_at < self.span.end

    def _read_columns(self, kind: int) -> Iterator[Column]:
        for day, type_day in self.type_days(kind).items():
            key = ColumnKey(self._org, self._type, kind, day)
            column = self._columns.read(self._db, key, type_day.version)
            if self.covers(column.first_at, column.last_at):
                yield column
            elif column.first_at < self.span.end and column.last_at >= self.span.start:
                key = key._replace(part=self.part(day))
                yield self._columns.read(self._db, key, type_day.version)


_COUNT = "SELECT count(*) FROM resource WHERE id BETWEEN ? AND ?"
_TOTALS = """
SELECT resource, usage_count, first_at, last_at FROM usage_total
WHERE kind = ? AND resource BETWEEN ? AND ?
"""
_USED = """
SELECT resource, last_at < ?5 OR first_at >= ?4 FROM usage_total
WHERE kind = ?1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?5 AND last_at >= ?4
"""
