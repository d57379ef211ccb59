"""Handoff shares: of the conversations that applied a resource, how many were handed off.

Asked of all resources of a type. A conversation counts once for a resource, however many days of
the window it has replies on, so inside a window the days' bitmaps are united.
"""

import sqlite3
from collections import defaultdict

from pyroaring import BitMap

from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import APPLIED
from applyrate.store.sqlite.type_counting import TypeCounter


def handoff_shares(db: sqlite3.Connection, org: int, of_type: TypeCounter) -> dict[int, float]:
    """The share of each resource that was applied inside the window."""
    shares, cut = dict[int, float](), False
    for resource, count, handoff_count, first_at, last_at in db.execute(
        _TOTALS, (APPLIED, *of_type.ids, *of_type.span)
    ):
        if of_type.covers(first_at, last_at):
            shares[resource] = handoff_count / count
        else:
            cut = True
    if cut:
        handoffs = handed_off(db, org)
        for resource, bitmaps in _conversations(db, org, of_type).items():
            if resource not in shares:
                together = BitMap.union(*bitmaps)
                shares[resource] = together.intersection_cardinality(handoffs) / len(together)
    return shares


def _conversations(
    db: sqlite3.Connection, org: int, of_type: TypeCounter
) -> dict[int, list[BitMap]]:
    """The conversations that applied each resource inside the window, in parts."""
    found: defaultdict[int, list[BitMap]] = defaultdict(list)
    for day in of_type.type_days(APPLIED):
        conversation_of: dict[int, int] | None = None
        for resource, conversations, replies in db.execute(
            _ROWS, (day, APPLIED, *of_type.ids, *of_type.span)
        ):
            if replies is None:
                found[resource].append(unpack(conversations))
                continue
            if conversation_of is None:
                part = of_type.part(day)
                conversation_of = dict(db.execute(_REPLIES, (org, *part)).fetchall())
            inside = [conversation_of[one] for one in unpack(replies) if one in conversation_of]
            if inside:
                found[resource].append(BitMap(inside))
    return found


_TOTALS = """
SELECT resource, conversation_count, handoff_count, first_at, last_at FROM usage_total
WHERE kind = ?1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?5 AND last_at >= ?4
"""
# The replies are read only of a day that the window covers in part.
_ROWS = """
SELECT resource, conversations, CASE WHEN first_at < ?5 OR last_at >= ?6 THEN replies END
FROM usage_day
WHERE day = ?1 AND kind = ?2 AND resource BETWEEN ?3 AND ?4 AND first_at < ?6 AND last_at >= ?5
"""
_REPLIES = """
SELECT id & 0xFFFFFFFF, conversation & 0xFFFFFFFF FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
"""
