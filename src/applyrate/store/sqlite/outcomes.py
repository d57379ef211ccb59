"""Outcomes: what became of the conversations with a resource, and of those without it.

With it are those that applied it inside the window; without it are those that had it available
inside the window and applied it in none of their replies there. Either is a bitmap, and what became
of it are its intersections with the bitmaps of those handed off, and of each outcome.
"""

import sqlite3

from pyroaring import BitMap

from applyrate.store.sqlite.counting import FIND_RESOURCE, Counter, Tally, to_span
from applyrate.store.sqlite.days import Days, DaysAt
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.outcome_rows import RESOLVED, Outcome, read_outcomes
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE, DAY
from applyrate.usage import OutcomeGroup, Outcomes, ResourceType, Window


def count_outcomes(
    db: sqlite3.Connection,
    days: Days,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    window: Window,
) -> Outcomes:
    """What became of the conversations with the resource and without it; zeros where unknown."""
    found = db.execute(FIND_RESOURCE, (org, resource_type, resource_id)).fetchone()
    if found is None:
        return Outcomes(_group(BitMap(), BitMap(), []), _group(BitMap(), BitMap(), []))
    resource, org_id = found
    tallies = Counter(db, days, org_id, to_span(window)).tally(resource)
    days_at = days.at(db)
    available = conversations_of(days_at, resource, AVAILABLE, tallies.available)
    applied = conversations_of(days_at, resource, APPLIED, tallies.applied)
    handoffs, outcomes = handed_off(db, org_id), list(read_outcomes(db, org_id))
    return Outcomes(
        _group(applied, handoffs, outcomes), _group(available - applied, handoffs, outcomes)
    )


def conversations_of(days_at: DaysAt, resource: int, kind: int, tally: Tally) -> BitMap:
    """The conversations that were counted, which the sums of all time do not name."""
    if tally.conversations is not None:
        return tally.conversations
    if tally.first_at is None or tally.last_at is None:
        return BitMap()
    days = days_at.read([resource], tally.first_at // DAY, tally.last_at // DAY)[resource]
    return BitMap.union(
        BitMap(), *(row.conversations for day in days.values() for row in day.rows(kind))
    )


def _group(
    conversations: BitMap, handoffs: BitMap, outcomes: list[tuple[Outcome, BitMap]]
) -> OutcomeGroup:
    status_count = resolved_count = csat_count = 0
    csat_sum = 0.0
    for (fact, value), ended in outcomes:
        count = conversations.intersection_cardinality(ended)
        if fact == "csat":
            csat_count += count
            csat_sum += float(value) * count
        else:
            status_count += count
            resolved_count += count if value == RESOLVED else 0
    return OutcomeGroup(
        session_count=len(conversations),
        handoff_count=conversations.intersection_cardinality(handoffs),
        status_count=status_count,
        resolved_count=resolved_count,
        csat_count=csat_count,
        csat_mean=csat_sum / csat_count if csat_count else None,
    )
