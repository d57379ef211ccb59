"""Unused: the resources of a type without an application in a window, and why.

The reasons and the order need a number of every resource, which come in bulk. What else a row says
is read for the page alone.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import Columns, to_numbers
from applyrate.store.sqlite.counting import LONG_AGO, to_span
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.edges import Edges
from applyrate.store.sqlite.kind_counting import tally_kind
from applyrate.store.sqlite.last_use import last_applied
from applyrate.store.sqlite.reply_order import ReplyOrder
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE, from_micros
from applyrate.store.sqlite.searching import find_matching
from applyrate.store.sqlite.type_counting import TypeCounter
from applyrate.usage import (
    Page,
    ResourceType,
    UnusedPosition,
    UnusedReason,
    UnusedResource,
    UnusedTable,
    UnusedTotals,
    Window,
)


def list_unused(
    db: sqlite3.Connection,
    order: ReplyOrder,
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
    unused = _Unused(db, order, columns, found[0], resource_type, to_span(window))
    numbers = unused.ordered(after=after)
    items = list(unused.rows(numbers[:limit]))
    if len(numbers) <= limit:
        return Page(items, None)
    return Page(items, UnusedPosition(items[-1].available_replies, items[-1].resource_id))


def tabulate_unused(
    db: sqlite3.Connection,
    order: ReplyOrder,
    columns: Columns,
    org: str,
    resource_type: ResourceType,
    window: Window,
    *,
    reason: UnusedReason | None,
    limit: int,
    offset: int,
) -> UnusedTable:
    """Some of them, from the one at ``offset`` on, and what all of them come to."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return UnusedTable(items=[], totals={}, most_available=0, available_replies=0)
    unused = _Unused(db, order, columns, found[0], resource_type, to_span(window))
    numbers = unused.ordered(reason)[offset : offset + limit]
    counts = unused.available_counts
    return UnusedTable(
        items=list(unused.rows(numbers)),
        totals={
            why: UnusedTotals(len(those), sum(map(counts.__getitem__, those)))
            for why, those in unused.by_reason.items()
            if those
        },
        most_available=max(map(counts.__getitem__, unused.all), default=0),
        available_replies=sum(counts),
    )


class _Known(NamedTuple):
    """What is stored of a resource."""

    number: int
    resource: int
    resource_id: str
    name: str | None
    url: str | None


class _Unused:
    """The unused resources of one type in one window, by their numbers among those of the type."""

    def __init__(
        self,
        db: sqlite3.Connection,
        order: ReplyOrder,
        columns: Columns,
        org: int,
        resource_type: ResourceType,
        span: Span,
    ) -> None:
        self._db = db
        self._order = order
        self._org = org
        self._span = span
        self._of_type = TypeCounter(db, columns, org, resource_type, span)

    @cached_property
    def _by_id(self) -> Sequence[int]:
        """All resources of the type, used or not."""
        return find_matching(self._db, self._of_type)

    @cached_property
    def all(self) -> BitMap:
        """Those without an application."""
        return BitMap(self._by_id) - self._of_type.used_numbers(APPLIED)

    @cached_property
    def available_counts(self) -> list[int]:
        """How often each resource of the type was available, whether or not it is unused."""
        return self._of_type.usage_counts(AVAILABLE)

    @cached_property
    def by_reason(self) -> Mapping[UnusedReason, BitMap]:
        """Why: "never" is of all time before the window's end."""
        kept = self.all & self._read(_KEPT, *self._of_type.ids)
        others = self.all - kept
        stopped = others & self._used_before_end(APPLIED)
        others -= stopped
        never_applied = others & self._used_before_end(AVAILABLE)
        return {
            UnusedReason.KEPT: kept,
            UnusedReason.STOPPED: stopped,
            UnusedReason.NEVER_APPLIED: never_applied,
            UnusedReason.NEVER_AVAILABLE: others - never_applied,
        }

    def ordered(
        self, reason: UnusedReason | None = None, after: UnusedPosition | None = None
    ) -> Sequence[int]:
        """Those of a reason, most available first, ties by id; from a position on."""
        wanted = self.all if reason is None else self.by_reason[reason]
        counts = self.available_counts
        numbers = [number for number in self._by_id if number in wanted]
        if after is not None:
            passed = after.available_replies
            named = (self._of_type.ids[0], self._org, self._of_type.resource_type)
            behind = self._read(_BEHIND, *named, after.resource_id)
            numbers = [
                number
                for number in numbers
                if counts[number] < passed or (counts[number] == passed and number in behind)
            ]
        numbers.sort(key=counts.__getitem__, reverse=True)
        return numbers

    def rows(self, numbers: Sequence[int]) -> Iterator[UnusedResource]:
        """What is said of each."""
        wanted = msgspec.json.encode(numbers).decode()
        first, _ = self._of_type.ids
        page = [_Known(*row) for row in self._db.execute(_KNOWN, (first, wanted)).fetchall()]
        edges = Edges(self._db, self._order, self._org, self._span)
        tallies = tally_kind(
            self._db, edges, self._org, AVAILABLE, [known.resource for known in page]
        )
        last_at = self._last_applied(BitMap(numbers))
        for known in page:
            at = last_at.get(known.resource)
            yield UnusedResource(
                resource_id=known.resource_id,
                name=known.name,
                url=known.url,
                reason=next(why for why, those in self.by_reason.items() if known.number in those),
                available_replies=self.available_counts[known.number],
                available_sessions=tallies[known.resource].conversation_count,
                last_used_at=None if at is None else from_micros(at),
            )

    def _last_applied(self, numbers: BitMap) -> dict[int, int]:
        """When resources were last applied before the window, by id: inside it they were not."""
        before = Span(LONG_AGO, min(self._span))
        edges = Edges(self._db, self._order, self._org, before)
        found = dict[int, int]()
        for on_day in last_applied(self._db, edges, self._of_type.ids, before, numbers):
            found |= on_day
        return found

    def _used_before_end(self, kind: int) -> BitMap:
        return self._read(_USED_BEFORE, kind, *self._of_type.ids, self._span.end)

    def _read(self, query: str, *parameters: int | str) -> BitMap:
        (numbers,) = self._db.execute(query, parameters).fetchone()
        return BitMap(to_numbers(numbers))


# The hint is the index of kept resources, which are few among thousands.
_KEPT = """
SELECT group_concat(id - ?1) FROM resource INDEXED BY resource_kept
WHERE keep AND id BETWEEN ?1 AND ?2
"""
_USED_BEFORE = """
SELECT group_concat(resource - ?2) FROM usage_total
WHERE kind = ?1 AND resource BETWEEN ?2 AND ?3 AND first_at < ?4
"""
_BEHIND = """
SELECT group_concat(id - ?1) FROM resource WHERE org = ?2 AND type = ?3 AND resource_id > ?4
"""
_KNOWN = """
SELECT wanted.value, resource.id, resource_id, ifnull(catalogue_name, name), url
FROM json_each(?2) AS wanted CROSS JOIN resource ON resource.id = ?1 + wanted.value
ORDER BY wanted.key
"""
