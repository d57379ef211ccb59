"""The totals of a type inside a window."""

import sqlite3

from applyrate.store.sqlite.columns import Columns
from applyrate.store.sqlite.conversation_days import conversations_inside
from applyrate.store.sqlite.counting import to_span
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.rows import APPLIED
from applyrate.store.sqlite.type_counting import TypeCounter
from applyrate.usage import ResourceType, TypeTotals, Window


def count_type(
    db: sqlite3.Connection,
    columns: Columns,
    org: str,
    resource_type: ResourceType,
    window: Window,
) -> TypeTotals:
    """How many resources and conversations there are, and how many of them were applied."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return TypeTotals(resource_count=0, applied_count=0, session_count=0, handoff_count=0)
    (org_id,) = found
    span = to_span(window)
    counter = TypeCounter(db, columns, org_id, resource_type, span)
    conversations = conversations_inside(db, org_id, span)
    return TypeTotals(
        resource_count=counter.resource_count,
        applied_count=len(counter.used(APPLIED)),
        session_count=len(conversations),
        handoff_count=conversations.intersection_cardinality(handed_off(db, org_id)),
    )
