"""The ends of what is left: when a row, or a resource in all, has its first and last usage now.

They are asked for where the usage that was the first or the last has gone.
"""

import sqlite3
from enum import IntEnum

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.rows import DAY, ORDINAL_BITS
from applyrate.store.sqlite.type_days import org_and_type, type_of


class End(IntEnum):
    """Which of two times, and its place among them."""

    FIRST = 0
    LAST = 1


def end_of_row(
    db: sqlite3.Connection, org: int, replies: BitMap, times: tuple[int, int], end: End
) -> int:
    """The time of the first or last of the replies that a row keeps, which lie between two times.

    One of many is soon met in the order of time. Where it is not, each is looked up.
    """
    limit = 4 * len(replies) if len(replies) > _FEW else 0
    for reply, at in db.execute(_IN_ORDER[end], (org, *times, limit)):
        if reply in replies:
            return int(at)
    wanted = msgspec.json.encode(list(replies)).decode()
    return int(db.execute(_TIMES, (wanted, org << ORDINAL_BITS)).fetchone()[end])


def end_of_all(db: sqlite3.Connection, kind: int, resource: int, at: int, end: End) -> int:
    """The time of the first or last usage that a resource keeps, going from the day of the old."""
    bounds = db.execute(_DAY_BOUNDS, (at // DAY, kind, resource)).fetchone()
    if bounds[end] is None:
        query = (*org_and_type(type_of(resource)), kind, at // DAY, resource)
        (day,) = db.execute(_NEAREST_DAY[end], query).fetchone()
        bounds = db.execute(_DAY_BOUNDS, (day, kind, resource)).fetchone()
    return int(bounds[end])


_FEW = 256

_TIMES = """
SELECT min(replied_at), max(replied_at) FROM json_each(?1) AS wanted CROSS JOIN reply
WHERE reply.id = ?2 | wanted.value
"""
_IN_ORDER = tuple(
    f"""
    SELECT id & 0xFFFFFFFF, replied_at FROM reply INDEXED BY reply_time
    WHERE org = ? AND replied_at BETWEEN ? AND ? ORDER BY replied_at {order} LIMIT ?
    """  # noqa: S608 (words of our own)
    for order in ("ASC", "DESC")
)
# The days of its type are in order, and few of them are passed over until one has the resource.
_NEAREST_DAY = tuple(
    f"""
    SELECT type_day.day FROM type_day CROSS JOIN usage_day
    WHERE org = ?1 AND type = ?2 AND type_day.kind = ?3 AND type_day.day {side} ?4
        AND usage_day.day = type_day.day AND usage_day.kind = ?3 AND resource = ?5
    ORDER BY type_day.day {order} LIMIT 1
    """  # noqa: S608 (words of our own)
    for side, order in ((">=", "ASC"), ("<=", "DESC"))
)
_DAY_BOUNDS = """
SELECT min(first_at), max(last_at) FROM usage_day WHERE day = ? AND kind = ? AND resource = ?
"""
