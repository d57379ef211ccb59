"""Listing: the resources of a type in the order of most recent use, one page of them counted.

The order needs the last application of every resource inside the window, the counts are needed for
the page alone. After those that were applied come those that were only available, and at last
those of the catalogue that have no usage in the window.
"""

import sqlite3
from collections.abc import Iterable, Iterator
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


class _Entry(NamedTuple):
    """A resource's place in the order. ``last_at`` is None where it was not applied."""

    resource: int
    resource_id: str
    last_at: int | None = None
    without_fact: bool = False

    @classmethod
    def at(cls, position: ResourcePosition) -> "_Entry":
        last_at = None if position.last_used_at is None else to_micros(position.last_used_at)
        return cls(0, position.resource_id, last_at, position.without_fact)

    @property
    def place(self) -> tuple[bool, bool, int, str]:
        return self.without_fact, self.last_at is None, -(self.last_at or 0), self.resource_id

    def position(self) -> ResourcePosition:
        last_used_at = None if self.last_at is None else from_micros(self.last_at)
        return ResourcePosition(last_used_at, self.without_fact, self.resource_id)


def _ordered(
    db: sqlite3.Connection, counter: Counter, of_type: TypeCounter, after: ResourcePosition | None
) -> Iterator[_Entry]:
    """The resources after a position: those applied by their last time, then the others by id."""
    passed = _Entry.at(after).place if after else None
    skips_applied = after is not None and after.last_used_at is None
    for lot in _in_turn(db, counter, of_type, skips_applied=skips_applied):
        following = [entry for entry in lot if passed is None or entry.place > passed]
        yield from sorted(following, key=lambda entry: entry.place)


def _in_turn(
    db: sqlite3.Connection, counter: Counter, of_type: TypeCounter, *, skips_applied: bool
) -> Iterator[Iterable[_Entry]]:
    """The resources in lots, each after the one before: those applied on a day, then the others."""
    resource_ids: dict[int, str] = dict(db.execute(_RESOURCE_IDS, of_type.ids).fetchall())
    applied = of_type.used(APPLIED) if skips_applied else set[int]()
    if not skips_applied:
        for on_day in last_applied(db, counter.edges, of_type.ids, of_type.span):
            applied.update(on_day)
            yield [_Entry(one, resource_ids[one], last_at) for one, last_at in on_day.items()]
    available = of_type.used(AVAILABLE)
    catalogued = {resource for (resource,) in db.execute(_CATALOGUED, of_type.ids)}
    yield [
        _Entry(one, resource_ids[one], without_fact=one not in available)
        for one in (available | catalogued) - applied
    ]


_RESOURCE_IDS = "SELECT id, resource_id FROM resource WHERE id BETWEEN ? AND ?"
_CATALOGUED = "SELECT id FROM resource WHERE id BETWEEN ? AND ? AND catalogued"
