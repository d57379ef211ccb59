"""Handoff shares: of the conversations that applied a resource, how many were handed off.

Asked of all resources of a type. A conversation counts once for a resource, however many days of
the window it has replies on: what its days add up to is too much by those that came back.
"""

import sqlite3
from collections.abc import Mapping

from applyrate.store.sqlite.columns import ColumnKey, add_up, to_numbers
from applyrate.store.sqlite.conversation_columns import ConversationColumns
from applyrate.store.sqlite.conversation_days import returning_conversations
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.rows import APPLIED, ORDINAL_BITS, ORDINAL_MASK
from applyrate.store.sqlite.type_counting import TypeCounter


def handoff_shares(
    db: sqlite3.Connection, columns: ConversationColumns, of_type: TypeCounter
) -> Mapping[int, float]:
    """The share of each resource that was applied inside the window, by its number."""
    if of_type.is_all_time(APPLIED):
        counts, handoff_counts, numbers = map(
            to_numbers, db.execute(_TOTALS, (APPLIED, *of_type.ids)).fetchone()
        )
        rows = zip(numbers, handoff_counts, counts, strict=True)
    else:
        counts, handoff_counts = _count(db, columns, of_type)
        rows = zip(range(len(counts)), handoff_counts, counts, strict=True)
    return {number: handoffs / count for number, handoffs, count in rows if count}


def _count(
    db: sqlite3.Connection, columns: ConversationColumns, of_type: TypeCounter
) -> tuple[list[int], list[int]]:
    """The conversations that applied each resource, and how many of them were handed off."""
    days = of_type.type_days(APPLIED)
    first, last = min(days, default=0), max(days, default=0)
    handoffs = handed_off(db, of_type.org)
    returning = returning_conversations(db, of_type.org, first, last)
    read = []
    for day, type_day in days.items():
        part = None if of_type.span.covers(day) else of_type.span.on(day)
        key = ColumnKey(of_type.org, of_type.resource_type, APPLIED, day, part)
        read.append(columns.read(db, key, type_day.version, handoffs, returning))
    counts = add_up((column.counts for column in read), of_type.number_count)
    handoff_counts = add_up((column.handoff_counts for column in read), of_type.number_count)
    seen = set[int]()
    for column in read:
        for pair in seen.intersection(column.pairs):
            number = pair >> ORDINAL_BITS
            counts[number] -= 1
            handoff_counts[number] -= pair & ORDINAL_MASK in handoffs
        seen.update(column.pairs)
    return counts, handoff_counts


_TOTALS = """
SELECT group_concat(conversation_count), group_concat(handoff_count), group_concat(resource - ?2)
FROM usage_total WHERE kind = ?1 AND resource BETWEEN ?2 AND ?3
"""
