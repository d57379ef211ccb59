"""Listing: the resources of a type in the order of most recent use, one page of them counted.

The order needs the last application of every resource inside the window, the counts are needed for
the page alone. After those that were applied come those that were only available, and at last
those of the catalogue that have no usage in the window.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

from applyrate.store.sqlite.columns import Columns
from applyrate.store.sqlite.counting import Counter, to_span
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.last_use import last_applied
from applyrate.store.sqlite.resource_rows import count_resources
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE, from_micros, to_micros
from applyrate.store.sqlite.type_counting import TypeCounter
from applyrate.usage import Page, ResourcePosition, ResourceType, ResourceUsage, Window


def list_resources(
    db: sqlite3.Connection,
    days: Days,
    columns: Columns,
    org: str,
    resource_type: ResourceType,
    window: Window,
    limit: int,
    after: ResourcePosition | None,
) -> Page[ResourceUsage, ResourcePosition]:
    """A page of the resources with a fact in the window, and of the catalogued ones without."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return Page([], None)
    (org_id,) = found
    span = to_span(window)
    counter = Counter(db, days, org_id, span)
    of_type = TypeCounter(db, columns, org_id, resource_type, span)
    entries = list(islice(_ordered(db, counter, of_type, after), limit + 1))
    return Page(
        count_resources(
            db, org_id, counter, {entry.resource: entry.resource_id for entry in entries[:limit]}
        ),
        entries[limit - 1].position() if len(entries) > limit else None,
    )


class _Rank(IntEnum):
    """What a resource is listed for, in the order of the list."""

    APPLIED = 0
    AVAILABLE = 1
    CATALOGUED = 2


class _Entry(NamedTuple):
    """A resource in its place: entries are ordered as tuples are.

    ``before`` is the time of the last application, negated; 0 where it was not applied.
    """

    rank: _Rank
    before: int
    resource_id: str
    resource: int

    @classmethod
    def after(cls, position: ResourcePosition) -> "_Entry":
        """What comes before every resource that follows a position."""
        at = position.last_used_at
        if at is not None:
            return cls(_Rank.APPLIED, -to_micros(at), position.resource_id, _FAR_AHEAD)
        rank = _Rank.CATALOGUED if position.without_fact else _Rank.AVAILABLE
        return cls(rank, 0, position.resource_id, _FAR_AHEAD)

    def position(self) -> ResourcePosition:
        last_used_at = from_micros(-self.before) if self.rank == _Rank.APPLIED else None
        return ResourcePosition(last_used_at, self.rank == _Rank.CATALOGUED, self.resource_id)


def _ordered(
    db: sqlite3.Connection, counter: Counter, of_type: TypeCounter, after: ResourcePosition | None
) -> Iterator[_Entry]:
    """The resources after a position: those applied by their last time, then the others by id."""
    passed = _Entry.after(after) if after else None
    skips_applied = after is not None and after.last_used_at is None
    for lot in _in_turn(db, counter, of_type, skips_applied=skips_applied):
        yield from sorted(entry for entry in lot if passed is None or entry > passed)


def _in_turn(
    db: sqlite3.Connection, counter: Counter, of_type: TypeCounter, *, skips_applied: bool
) -> Iterator[Iterable[_Entry]]:
    """The resources in lots, each after the one before: those applied on a day, then the others."""
    resource_ids: dict[int, str] = dict(db.execute(_RESOURCE_IDS, of_type.ids).fetchall())
    applied = of_type.used(APPLIED) if skips_applied else set[int]()
    if not skips_applied:
        for on_day in last_applied(db, counter.edges, of_type.ids, of_type.span):
            applied.update(on_day)
            yield [
                _Entry(_Rank.APPLIED, -last_at, resource_ids[one], one)
                for one, last_at in on_day.items()
            ]
    available = of_type.used(AVAILABLE)
    catalogued = {resource for (resource,) in db.execute(_CATALOGUED, of_type.ids)}
    yield [
        _Entry(_Rank.AVAILABLE if one in available else _Rank.CATALOGUED, 0, resource_ids[one], one)
        for one in (available | catalogued) - applied
    ]


_FAR_AHEAD = 2**63

_RESOURCE_IDS = "SELECT id, resource_id FROM resource WHERE id BETWEEN ? AND ?"
_CATALOGUED = "SELECT id FROM resource WHERE id BETWEEN ? AND ? AND catalogued"
