"""Ranking: a type's resources as a table, by any of its columns.

By last use the table is read like the list, backwards in time, until the page is full. Any other
order needs a number of every resource; the other columns of a row are counted for the page alone.
What has no value in the column comes last, whichever way the table is turned.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeAlias

from applyrate.store.sqlite.columns import Columns
from applyrate.store.sqlite.counting import Counter, to_span
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.handoff_shares import handoff_shares
from applyrate.store.sqlite.last_use import last_applied
from applyrate.store.sqlite.resource_rows import count_resources
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE
from applyrate.store.sqlite.type_counting import TypeCounter
from applyrate.usage import RankedResources, ResourceSort, ResourceType, Window

Names: TypeAlias = Mapping[int, tuple[str, str]]
"""The ids of resources, and the names by which they are shown."""

Value: TypeAlias = int | float | str


def rank_resources(
    db: sqlite3.Connection,
    days: Days,
    columns: Columns,
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
    """Some rows of the table, from the one at ``offset`` on."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return RankedResources([], 0)
    (org_id,) = found
    span = to_span(window)
    counter = Counter(db, days, org_id, span)
    of_type = TypeCounter(db, columns, org_id, resource_type, span)
    names = _matching(db, of_type, search)
    if sort is ResourceSort.LAST_USED:
        ordered = _by_last_use(db, counter, of_type, names, descending=descending)
    else:
        values = _values(db, org_id, of_type, names, sort)
        ordered = iter(_by_value(names, values, descending=descending))
    page = {resource: names[resource][0] for resource in islice(ordered, offset, offset + limit)}
    return RankedResources(count_resources(db, org_id, counter, page), len(names))


def _matching(db: sqlite3.Connection, of_type: TypeCounter, search: str) -> Names:
    """The resources with a text in their id or name, in any case."""
    wanted = search.casefold()
    return {
        resource: (resource_id, name)
        for resource, resource_id, name in db.execute(_NAMES, of_type.ids)
        if not wanted or wanted in resource_id.casefold() or wanted in name.casefold()
    }


def _by_last_use(
    db: sqlite3.Connection,
    counter: Counter,
    of_type: TypeCounter,
    names: Names,
    *,
    descending: bool,
) -> Iterator[int]:
    """Those applied by their last time, then those that were available, then the others."""
    applied = set[int]()
    by_day: Iterable[dict[int, int]] = last_applied(db, counter.edges, of_type.ids, of_type.span)
    for on_day in by_day if descending else reversed(list(by_day)):
        applied.update(on_day)
        of_day = {resource: names[resource] for resource in on_day if resource in names}
        yield from _by_value(of_day, on_day, descending=descending)
    available = of_type.used(AVAILABLE)
    others = {resource: name for resource, name in names.items() if resource not in applied}
    yield from _by_value(others, dict.fromkeys(available, 0), descending=descending)


def _by_value(names: Names, values: Mapping[int, Value], *, descending: bool) -> list[int]:
    """The resources by a value, those without one at the end; ties by ``resource_id``."""
    by_id = sorted(names, key=lambda resource: names[resource][0])
    valued = [resource for resource in by_id if resource in values]
    valued.sort(key=values.__getitem__, reverse=descending)
    return [*valued, *(resource for resource in by_id if resource not in values)]


def _values(
    db: sqlite3.Connection, org: int, of_type: TypeCounter, names: Names, sort: ResourceSort
) -> Mapping[int, Value]:
    """What the resources are ordered by."""
    match sort:
        case ResourceSort.NAME:
            return {resource: name.casefold() for resource, (_, name) in names.items()}
        case ResourceSort.HANDOFF_SHARE:
            return handoff_shares(db, org, of_type)
        case ResourceSort.APPLIED:
            return dict.fromkeys(names, 0) | of_type.usage_counts(APPLIED)
    available = of_type.usage_counts(AVAILABLE)
    if sort is ResourceSort.AVAILABLE:
        return dict.fromkeys(names, 0) | available
    applied = of_type.usage_counts(APPLIED)
    return {resource: applied.get(resource, 0) / count for resource, count in available.items()}


_NAMES = """
SELECT id, resource_id, coalesce(catalogue_name, name, resource_id) FROM resource
WHERE id BETWEEN ? AND ?
"""
