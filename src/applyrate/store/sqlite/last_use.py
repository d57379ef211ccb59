"""Last use: when resources were last applied inside a window, read backwards in time.

The stored sums mostly know it: the last application of all time lies inside the window, or the
first one after it. What they cannot know is read from the days, backwards, as far as it is asked.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator

from applyrate.store.sqlite.edges import Edges, Span
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import DAY


def last_applied(
    db: sqlite3.Connection, edges: Edges, ids: tuple[int, int], span: Span
) -> Iterator[dict[int, int]]:
    """When each resource was last applied inside the window, day by day, backwards.

    It goes back no further than it is asked: a page is mostly full after a day or two.
    """
    known: defaultdict[int, dict[int, int]] = defaultdict(dict)
    unknown, first_day = set[int](), span.end // DAY
    for resource, first_at, last_at in db.execute(_APPLIED, (*ids, *span)):
        if last_at < span.end:
            known[last_at // DAY][resource] = last_at
        else:
            unknown.add(resource)
            first_day = min(first_day, max(first_at, span.start) // DAY)
    last_day = (span.end - 1) // DAY
    days = known.keys() if not unknown else known.keys() | set(range(first_day, last_day + 1))
    for day in sorted(days, reverse=True):
        found = known[day]
        if unknown:
            for resource, last_at, replies in db.execute(_ON_DAY, (day, *ids, *span)):
                if resource not in unknown:
                    continue
                inside = last_at if replies is None else edges.last_at(day, unpack(replies))
                if inside is not None:
                    found[resource] = max(inside, found.get(resource, inside))
            unknown.difference_update(found)
        yield found


_APPLIED = """
SELECT resource, first_at, last_at FROM usage_total
WHERE kind = 1 AND resource BETWEEN ?1 AND ?2 AND first_at < ?4 AND last_at >= ?3
"""
# The replies are read only of a day that the window ends in.
_ON_DAY = """
SELECT resource, last_at, CASE WHEN last_at >= ?5 THEN replies END FROM usage_day
WHERE day = ?1 AND kind = 1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?5 AND last_at >= ?4
"""
