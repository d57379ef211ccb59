"""Listing: the resources of a type in the order of most recent use, one page of them counted.

The order needs the last application of every resource inside the window, the counts are needed for
the page alone. The stored sums mostly know that last time: the last application of all time lies
inside the window, or the first one after it. What they cannot know is read from the days.
"""

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from applyrate.store.sqlite.counting import Counter, counts_of, to_span
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.edges import Span
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import (
    APPLIED,
    AVAILABLE,
    DAY,
    from_micros,
    resource_range,
    to_micros,
)
from applyrate.usage import Page, ResourcePosition, ResourceType, ResourceUsage, Window


def list_resources(
    db: sqlite3.Connection,
    org: str,
    resource_type: ResourceType,
    window: Window,
    limit: int,
    after: ResourcePosition | None,
) -> Page[ResourceUsage, ResourcePosition]:
    """A page of the resources with a fact in the window."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return Page([], None)
    (org_id,) = found
    span = to_span(window)
    counter = Counter(db, org_id, span)
    ordered = _ordered(db, counter, resource_range(org_id, resource_type), span, after)
    entries = list(islice(ordered, limit + 1))
    handoffs = handed_off(db, org_id)
    items = []
    for entry in entries[:limit]:
        available = counter.tally(entry.resource, AVAILABLE)
        applied = counter.tally(entry.resource, APPLIED)
        items.append(
            ResourceUsage(
                resource_id=entry.resource_id,
                handoff_count=(
                    applied.handoff_count
                    if applied.conversations is None
                    else applied.conversations.intersection_cardinality(handoffs)
                ),
                **counts_of(available, applied),
            )
        )
    return Page(items, entries[limit - 1].position() if len(entries) > limit else None)


class _Entry(NamedTuple):
    """A resource's place in the order. ``last_at`` is None where it was available only."""

    resource: int
    resource_id: str
    last_at: int | None

    def position(self) -> ResourcePosition:
        last_used_at = None if self.last_at is None else from_micros(self.last_at)
        return ResourcePosition(last_used_at, without_fact=False, resource_id=self.resource_id)


def _ordered(
    db: sqlite3.Connection,
    counter: Counter,
    ids: tuple[int, int],
    span: Span,
    after: ResourcePosition | None,
) -> Iterator[_Entry]:
    """The resources after a position: those applied by their last time, then those available."""
    names: dict[int, str] = dict(db.execute(_NAMES, ids).fetchall())
    last_applied = _last_applied(db, counter, ids, span)
    if after is None or after.last_used_at is not None:
        applied = sorted((-at, names[resource], resource) for resource, at in last_applied.items())
        passed = (
            (-to_micros(after.last_used_at), after.resource_id)
            if after and after.last_used_at
            else None
        )
        for at, name, resource in applied:
            if passed is None or (at, name) > passed:
                yield _Entry(resource, name, -at)
    passed_name = after.resource_id if after and after.last_used_at is None else ""
    for resource, name in sorted(names.items(), key=lambda entry: entry[1]):
        if name <= passed_name or resource in last_applied:
            continue
        if counter.tally(resource, AVAILABLE).usage_count:
            yield _Entry(resource, name, None)


def _last_applied(
    db: sqlite3.Connection, counter: Counter, ids: tuple[int, int], span: Span
) -> dict[int, int]:
    """When each resource was last applied inside the window; those that were not are left out."""
    known, unknown, first_day = dict[int, int](), set[int](), span.end // DAY
    for resource, first_at, last_at in db.execute(_APPLIED, (*ids, *span)):
        if last_at < span.end:
            known[resource] = last_at
        else:
            unknown.add(resource)
            first_day = min(first_day, first_at // DAY)
    if not unknown:
        return known
    days = (max(first_day, span.start // DAY), (span.end - 1) // DAY)
    for resource, last_at in db.execute(_LAST_ON_WHOLE_DAYS, (*days, *ids, *span)):
        if resource in unknown:
            known[resource] = last_at
    for resource, replies in db.execute(_ON_LAST_DAY, (days[1], *ids, span.end)):
        if resource in unknown:
            inside = counter.edges.last_at(days[1], unpack(replies))
            if inside is not None:
                known[resource] = max(inside, known.get(resource, inside))
    return known


_NAMES = "SELECT id, resource_id FROM resource WHERE id BETWEEN ? AND ?"
_APPLIED = """
SELECT resource, first_at, last_at FROM usage_total
WHERE kind = 1 AND resource BETWEEN ?1 AND ?2 AND first_at < ?4 AND last_at >= ?3
"""
_LAST_ON_WHOLE_DAYS = """
WITH RECURSIVE days (day) AS (VALUES (?1) UNION ALL SELECT day + 1 FROM days WHERE day < ?2)
SELECT resource, max(last_at) FROM days CROSS JOIN usage_day USING (day)
WHERE kind = 1 AND resource BETWEEN ?3 AND ?4 AND last_at >= ?5 AND last_at < ?6
GROUP BY resource
"""
_ON_LAST_DAY = """
SELECT resource, replies FROM usage_day
WHERE day = ?1 AND kind = 1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?4 AND last_at >= ?4
"""
