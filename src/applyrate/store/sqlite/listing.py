"""Listing: the resources of a type in the order of most recent use, one page of them counted.

The order needs the last application of every resource inside the window, the counts are needed for
the page alone. The stored sums mostly know that last time: the last application of all time lies
inside the window, or the first one after it. What they cannot know is read from the days,
backwards until the page is full.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
from msgspec import UNSET
from pyroaring import BitMap

from applyrate.store.sqlite.counting import Counter, counts_of, to_span
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.edges import Span
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import (
    DAY,
    from_micros,
    resource_range,
    to_micros,
)
from applyrate.usage import Page, ResourcePosition, ResourceType, ResourceUsage, Window


def list_resources(
    db: sqlite3.Connection,
    days: Days,
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
    counter = Counter(db, days, org_id, span)
    ordered = _ordered(db, counter, resource_range(org_id, resource_type), span, after)
    entries = list(islice(ordered, limit + 1))
    return Page(
        _rows(db, org_id, counter, entries[:limit]),
        entries[limit - 1].position() if len(entries) > limit else None,
    )


class _Entry(NamedTuple):
    """A resource's place in the order. ``last_at`` is None where it was available only."""

    resource: int
    resource_id: str
    last_at: int | None

    def position(self) -> ResourcePosition:
        last_used_at = None if self.last_at is None else from_micros(self.last_at)
        return ResourcePosition(last_used_at, without_fact=False, resource_id=self.resource_id)


def _rows(
    db: sqlite3.Connection, org: int, counter: Counter, entries: Sequence[_Entry]
) -> list[ResourceUsage]:
    """The resources with their names and counts."""
    wanted = msgspec.json.encode([entry.resource for entry in entries]).decode()
    names: dict[int, str] = dict(db.execute(_NAMES, (wanted,)).fetchall())
    tallies_of = counter.tally_all([entry.resource for entry in entries])
    # Of all time the sums know the handoffs, and the bitmaps need not be read.
    of_window = any(one.applied.conversations is not None for one in tallies_of.values())
    handoffs = handed_off(db, org) if of_window else BitMap()
    return [
        ResourceUsage(
            resource_id=entry.resource_id,
            name=names.get(entry.resource, UNSET),
            handoff_count=(
                tallies.applied.handoff_count
                if tallies.applied.conversations is None
                else tallies.applied.conversations.intersection_cardinality(handoffs)
            ),
            **counts_of(tallies),
        )
        for entry in entries
        for tallies in (tallies_of[entry.resource],)
    ]


def _ordered(
    db: sqlite3.Connection,
    counter: Counter,
    ids: tuple[int, int],
    span: Span,
    after: ResourcePosition | None,
) -> Iterator[_Entry]:
    """The resources after a position: those applied by their last time, then those available."""
    resource_ids: dict[int, str] = dict(db.execute(_RESOURCE_IDS, ids).fetchall())
    applied = set[int]()
    passed = (
        (-to_micros(after.last_used_at), after.resource_id)
        if after and after.last_used_at
        else None
    )
    for last_applied in _last_applied(db, counter, ids, span):
        applied.update(last_applied)
        newest_first = sorted(
            (-at, resource_ids[resource], resource) for resource, at in last_applied.items()
        )
        for at, resource_id, resource in newest_first:
            if not after or (passed and (at, resource_id) > passed):
                yield _Entry(resource, resource_id, -at)
    passed_id = after.resource_id if after and after.last_used_at is None else ""
    for resource, resource_id in sorted(resource_ids.items(), key=lambda entry: entry[1]):
        if resource_id <= passed_id or resource in applied:
            continue
        if counter.tally(resource).available.usage_count:
            yield _Entry(resource, resource_id, None)


def _last_applied(
    db: sqlite3.Connection, counter: Counter, ids: tuple[int, int], span: Span
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
                inside = last_at if replies is None else counter.edges.last_at(day, unpack(replies))
                if inside is not None:
                    found[resource] = max(inside, found.get(resource, inside))
            unknown.difference_update(found)
        yield found


_NAMES = """
SELECT resource.id, name FROM json_each(?) AS wanted CROSS JOIN resource
WHERE resource.id = wanted.value AND name IS NOT NULL
"""
_RESOURCE_IDS = "SELECT id, resource_id FROM resource WHERE id BETWEEN ? AND ?"
_APPLIED = """
SELECT resource, first_at, last_at FROM usage_total
WHERE kind = 1 AND resource BETWEEN ?1 AND ?2 AND first_at < ?4 AND last_at >= ?3
"""
# The replies are read only of a day that the window ends in.
_ON_DAY = """
SELECT resource, last_at, CASE WHEN last_at >= ?5 THEN replies END FROM usage_day
WHERE day = ?1 AND kind = 1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?5 AND last_at >= ?4
"""
