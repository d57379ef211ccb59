"""Unused: the resources of a type without an application in a window, and why."""

import sqlite3
import sys
from collections.abc import Iterator
from heapq import nsmallest
from typing import NamedTuple

import msgspec

from applyrate.store.sqlite.columns import Columns
from applyrate.store.sqlite.counting import LONG_AGO, Counter, to_span
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.edges import Edges, Span
from applyrate.store.sqlite.last_use import last_applied
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE, from_micros
from applyrate.store.sqlite.type_counting import TypeCounter
from applyrate.usage import (
    Page,
    ResourceType,
    UnusedPosition,
    UnusedReason,
    UnusedResource,
    Window,
)


def list_unused(
    db: sqlite3.Connection,
    days: Days,
    columns: Columns,
    org: str,
    resource_type: ResourceType,
    window: Window,
    limit: int,
    after: UnusedPosition | None,
) -> Page[UnusedResource, UnusedPosition]:
    """A page of the resources without an application in the window, the most available first."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return Page([], None)
    (org_id,) = found
    span = to_span(window)
    of_type = TypeCounter(db, columns, org_id, resource_type, span)
    places = _following(db, of_type, limit + 1, after)
    page = [place.resource for place in places[:limit]]
    tallies = Counter(db, days, org_id, span).tally_all(page)
    before = Span(LONG_AGO, span.end)
    edges = Edges(db, org_id, before)
    items = []
    for known in _read(db, page):
        days_back = last_applied(db, edges, (known.resource, known.resource), before)
        last_at = next((at for on_day in days_back for at in on_day.values()), None)
        available, _ = tallies[known.resource]
        items.append(
            UnusedResource(
                resource_id=known.resource_id,
                name=known.name,
                url=known.url,
                reason=_reason(known, last_at, span),
                available_replies=available.usage_count,
                available_sessions=available.conversation_count,
                last_used_at=None if last_at is None else from_micros(last_at),
            )
        )
    return Page(items, places[limit - 1].position() if len(places) > limit else None)


class _Place(NamedTuple):
    """A resource's place in the list: most available first, ties by id."""

    less_available: int
    resource_id: str
    resource: int

    def position(self) -> UnusedPosition:
        return UnusedPosition(-self.less_available, self.resource_id)


class _Known(NamedTuple):
    """What is stored of a resource."""

    resource: int
    resource_id: str
    name: str | None
    url: str | None
    keep: int
    first_available_at: int | None


def _following(
    db: sqlite3.Connection, of_type: TypeCounter, count: int, after: UnusedPosition | None
) -> list[_Place]:
    """The first places after a position."""
    passed = (-after.available_replies, after.resource_id) if after else (-sys.maxsize, "")
    applied = of_type.used(APPLIED)
    available = of_type.usage_counts(AVAILABLE)
    unused = (
        _Place(-available.get(resource, 0), resource_id, resource)
        for resource, resource_id in db.execute(_RESOURCE_IDS, of_type.ids)
        if resource not in applied
    )
    return nsmallest(count, (place for place in unused if place[:2] > passed))


def _read(db: sqlite3.Connection, resources: list[int]) -> Iterator[_Known]:
    wanted = msgspec.json.encode(resources).decode()
    return (_Known(*row) for row in db.execute(_KNOWN, (wanted,)).fetchall())


def _reason(known: _Known, last_used_at: int | None, span: Span) -> UnusedReason:
    """Why nothing was applied: "never" is of all time before the window's end."""
    if known.keep:
        return UnusedReason.KEPT
    if last_used_at is not None:
        return UnusedReason.STOPPED
    if known.first_available_at is not None and known.first_available_at < span.end:
        return UnusedReason.NEVER_APPLIED
    return UnusedReason.NEVER_AVAILABLE


_RESOURCE_IDS = "SELECT id, resource_id FROM resource WHERE id BETWEEN ? AND ?"
_KNOWN = """
SELECT resource.id, resource_id, ifnull(catalogue_name, name), url, keep, first_at
FROM json_each(?1) AS wanted CROSS JOIN resource ON resource.id = wanted.value
LEFT JOIN usage_total ON usage_total.kind = 0 AND usage_total.resource = resource.id
ORDER BY wanted.key
"""
