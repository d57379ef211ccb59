"""Timelines of a type: the usages of all its resources in one span of time after another."""

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate, pairwise

from applyrate.store.sqlite.columns import ColumnKey, Columns
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE, DAY, to_micros
from applyrate.store.sqlite.type_days import QUARTER, read_type_days
from applyrate.usage import ResourceType, UsageBucket


def type_timeline(
    db: sqlite3.Connection,
    columns: Columns,
    org: str,
    resource_type: ResourceType,
    bounds: Sequence[datetime],
) -> list[UsageBucket]:
    """The usages of all resources of a type in each span from one bound to the next."""
    instants = [to_micros(bound) for bound in bounds]
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None or not instants:
        return [UsageBucket(0, 0) for _ in instants[1:]]
    span = Span(min(instants), max(instants))
    available, applied = (
        _TypeUsages(db, columns, ColumnKey(found[0], resource_type, kind, 0), span)
        for kind in (AVAILABLE, APPLIED)
    )
    return [
        UsageBucket(had, used)
        for had, used in zip(available.between(instants), applied.between(instants), strict=True)
    ]


class _TypeUsages:
    """The usages of one type and kind, as they came in since the day that a window starts on."""

    def __init__(
        self, db: sqlite3.Connection, columns: Columns, key: ColumnKey, span: Span
    ) -> None:
        self._db = db
        self._columns = columns
        self._key = key
        days = read_type_days(
            db, key.org, key.resource_type, key.kind, span.start // DAY, span.end // DAY
        )
        self._days = list(days)
        self._rows = list(days.values())
        self._before_day = list(accumulate((row.usage_count for row in self._rows), initial=0))

    def between(self, instants: Sequence[int]) -> list[int]:
        """How many came in from each of the instants (microseconds) to the next."""
        before = [self._before(instant) for instant in instants]
        return [end - start for start, end in pairwise(before)]

    def _before(self, instant: int) -> int:
        """How many came in before an instant; only inside a quarter of an hour it must be asked."""
        day = instant // DAY
        place = bisect_left(self._days, day)
        count = self._before_day[place]
        if place == len(self._days) or self._days[place] != day:
            return count
        row = self._rows[place]
        quarter, rest = divmod(instant % DAY, QUARTER)
        count += sum(row.usage_counts[:quarter])
        if rest and row.usage_counts[quarter]:
            key = self._key._replace(day=day, part=Span(instant - rest, instant))
            count += self._columns.read(self._db, key, row.version).usage_count
        return count
