"""Last use: when resources were last applied inside a window, read from its days backwards."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import to_numbers
from applyrate.store.sqlite.days import days_worth_asking
from applyrate.store.sqlite.edges import Edges
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import DAY

_FEW = 200
"""So many resources are looked up one by one, rather than all of a type read."""


def last_applied(
    db: sqlite3.Connection,
    edges: Edges,
    ids: tuple[int, int],
    span: Span,
    wanted: BitMap | None = None,
) -> Iterator[dict[int, int]]:
    """When each resource was last applied inside the window, day by day, backwards.

    Of those from one id to another, or of those of them whose numbers (counted from the first id)
    are wanted. It goes back no further than it is asked: a page is mostly full after a day or two.
    """
    (numbers,) = db.execute(_APPLIED, (*ids, *span)).fetchone()
    remaining = BitMap(to_numbers(numbers))
    if wanted is not None:
        remaining &= wanted
    known: defaultdict[int, dict[int, int]] = defaultdict(dict)
    if len(remaining) <= _FEW:
        for number, last_at in db.execute(_LAST_OF_SOME, (ids[0], _encode(remaining), span.end)):
            known[last_at // DAY][ids[0] + number] = last_at
            remaining.remove(number)
    first_at, last_at = db.execute(_BOUNDS, (*ids, *span)).fetchone() if remaining else (0, -1)
    first, last = max(first_at, span.start) // DAY, min(last_at, span.end - 1) // DAY
    for day in sorted(known.keys() | set(days_worth_asking(db, first, last)), reverse=True):
        found = known[day]
        if remaining:
            on_day = applied_on_day(db, edges, ids, span, day, remaining)
            remaining -= BitMap(resource - ids[0] for resource in on_day)
            found |= on_day
        if found:
            yield found


def applied_on_day(
    db: sqlite3.Connection,
    edges: Edges,
    ids: tuple[int, int],
    span: Span,
    day: int,
    wanted: BitMap,
) -> dict[int, int]:
    """When each of the wanted resources was last applied on a day, inside the window."""
    if not span.covers(day):
        return _applied_on_part(db, edges, ids, span, day, wanted)
    if len(wanted) <= _FEW:
        columns = db.execute(_SOME_ON_DAY, (day, ids[0], _encode(wanted))).fetchone()
    else:
        columns = db.execute(_ON_DAY, (day, *ids)).fetchone()
    first, found = ids[0], dict[int, int]()
    for number, at in zip(*map(to_numbers, columns), strict=True):
        if number in wanted:
            resource = first + number
            found[resource] = max(at, found.get(resource, at))
    return found


def _applied_on_part(
    db: sqlite3.Connection,
    edges: Edges,
    ids: tuple[int, int],
    span: Span,
    day: int,
    wanted: BitMap,
) -> dict[int, int]:
    found = dict[int, int]()
    for resource, last_at, replies in db.execute(_ON_PART, (day, *ids, *span)):
        if resource - ids[0] not in wanted:
            continue
        inside = last_at if replies is None else edges.last_at(day, unpack(replies))
        if inside is not None:
            found[resource] = max(inside, found.get(resource, inside))
    return found


def _encode(numbers: BitMap) -> str:
    return msgspec.json.encode(list(numbers)).decode()


_APPLIED = """
SELECT group_concat(resource - ?1) FROM usage_total
WHERE kind = 1 AND resource BETWEEN ?1 AND ?2 AND first_at < ?4 AND last_at >= ?3
"""
_BOUNDS = """
SELECT min(first_at), max(last_at) FROM usage_total
WHERE kind = 1 AND resource BETWEEN ?1 AND ?2 AND first_at < ?4 AND last_at >= ?3
"""
# The sums of all time know the last application where it lies before the window's end.
_LAST_OF_SOME = """
SELECT wanted.value, last_at FROM json_each(?2) AS wanted CROSS JOIN usage_total
WHERE kind = 1 AND resource = ?1 + wanted.value AND last_at < ?3
"""
_ON_DAY = """
SELECT group_concat(resource - ?2), group_concat(last_at) FROM usage_day
WHERE day = ?1 AND kind = 1 AND resource BETWEEN ?2 AND ?3
"""
_SOME_ON_DAY = """
SELECT group_concat(wanted.value), group_concat(last_at)
FROM json_each(?3) AS wanted CROSS JOIN usage_day
WHERE day = ?1 AND kind = 1 AND resource = ?2 + wanted.value
"""
# The replies are read only of a day that the window ends in.
_ON_PART = """
SELECT resource, last_at, CASE WHEN last_at >= ?5 THEN replies END FROM usage_day
WHERE day = ?1 AND kind = 1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?5 AND last_at >= ?4
"""
