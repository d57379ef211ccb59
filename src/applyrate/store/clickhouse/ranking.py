"""Ranking: a type's resources as a table, by any of its columns.

An order needs a number of every resource; the other columns of a row are counted for the page
alone.
What has no value in the column comes last, whichever way the table is turned.
"""

from typing import Any

from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.counting import count_resources
from applyrate.store.clickhouse.names import read_names
from applyrate.store.clickhouse.type_counting import (
    TypeCounts,
    count_all,
    count_handoff_shares,
    read_ids,
)
from applyrate.usage import (
    RankedResource,
    RankedResources,
    ResourceSort,
    ResourceType,
    ResourceUsage,
    Window,
)


def rank_resources(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    window: Window,
    *,
    sort: ResourceSort,
    descending: bool,
    search: str,
    limit: int,
    offset: int,
) -> RankedResources:
    """Some rows of the table, from the one at ``offset`` on; ties by ``resource_id``."""
    matching = read_ids(db, org, resource_type)
    names = read_names(db, org, resource_type) if search or sort is ResourceSort.NAME else {}
    if search:
        part = search.casefold()
        matching = [
            one
            for one in matching
            if part in one.casefold() or part in names.get(one, "").casefold()
        ]
    counts = {} if sort is ResourceSort.NAME else count_all(db, org, resource_type, window)
    keys: dict[str, Any]
    match sort:
        case ResourceSort.NAME:
            keys = {one: names.get(one, one).casefold() for one in matching}
        case ResourceSort.HANDOFF_SHARE:
            keys = count_handoff_shares(db, org, resource_type, window)
        case _:
            values = {one: _value(sort, counts.get(one, TypeCounts())) for one in matching}
            keys = {one: value for one, value in values.items() if value is not None}
    ordered = sorted(
        (one for one in matching if one in keys), key=keys.__getitem__, reverse=descending
    )
    others = [one for one in matching if one not in keys]
    if sort is ResourceSort.LAST_USED:
        others.sort(key=lambda one: one not in counts)
    page = [*ordered, *others][offset : offset + limit]
    rows = count_resources(db, org, resource_type, page, window)
    return RankedResources([_ranked(row) for row in rows], len(matching))


def _ranked(row: ResourceUsage) -> RankedResource:
    return RankedResource(
        resource_id=row.resource_id,
        name=row.name or None,
        applied_sessions=row.applied_sessions,
        applied_replies=row.applied_replies,
        available_replies=row.available_replies,
        handoff_count=row.handoff_count,
        last_used_at=row.last_used_at,
    )


def _value(sort: ResourceSort, counts: TypeCounts) -> float | None:
    match sort:
        case ResourceSort.APPLIED:
            return counts.applied_replies
        case ResourceSort.AVAILABLE:
            return counts.available_replies
        case ResourceSort.APPLY_RATE:
            available = counts.available_replies
            return counts.applied_replies / available if available else None
        case _:
            return counts.last_at
