"""Unused: the resources of a type without an application in a window, and why."""

from collections.abc import Sequence
from functools import cached_property

from applyrate.store.clickhouse.catalogue import find_kept, read_urls
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.counting import count_resources
from applyrate.store.clickhouse.names import read_names
from applyrate.store.clickhouse.rows import from_micros
from applyrate.store.clickhouse.type_counting import TypeCounts, count_all, read_ids
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

_NOTHING = TypeCounts()


def list_unused(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    window: Window,
    limit: int,
    after: UnusedPosition | None,
) -> Page[UnusedResource, UnusedPosition]:
    """A page of the resources without an application in the window, the most available first."""
    unused = _Unused(db, org, resource_type, window)
    ids = unused.ordered()
    if after is not None:
        place = -after.available_replies, after.resource_id
        ids = [one for one in ids if (-unused.available(one), one) > place]
    items = unused.rows(ids[:limit])
    if len(ids) <= limit:
        return Page(items, None)
    return Page(items, UnusedPosition(items[-1].available_replies, items[-1].resource_id))


def tabulate_unused(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    window: Window,
    *,
    reason: UnusedReason | None,
    limit: int,
    offset: int,
) -> UnusedTable:
    """Some of them, from the one at ``offset`` on, and what all of them come to."""
    unused = _Unused(db, org, resource_type, window)
    every = unused.ordered()
    wanted = [one for one in every if reason in (None, unused.reason(one))]
    totals = dict[UnusedReason, UnusedTotals]()
    for why in UnusedReason:
        if those := [unused.available(one) for one in every if unused.reason(one) is why]:
            totals[why] = UnusedTotals(len(those), sum(those))
    return UnusedTable(
        items=unused.rows(wanted[offset : offset + limit]),
        totals=totals,
        most_available=max(map(unused.available, every), default=0),
        available_replies=sum(one.available_replies for one in unused.inside.values()),
    )


class _Unused:
    """The unused resources of one type in one window."""

    def __init__(
        self, db: Operation, org: str, resource_type: ResourceType, window: Window
    ) -> None:
        self._db = db
        self._of = org, resource_type
        self._window = window
        self.inside = count_all(db, *self._of, window)

    @cached_property
    def _until(self) -> dict[str, TypeCounts]:
        """The counts of all time before the window's end, which "never" is of."""
        if self._window.from_at is None:
            return self.inside
        return count_all(self._db, *self._of, Window(None, self._window.to_at))

    @cached_property
    def _kept(self) -> set[str]:
        return find_kept(self._db, *self._of)

    def available(self, resource_id: str) -> int:
        """How often one was available in the window."""
        return self.inside.get(resource_id, _NOTHING).available_replies

    def ordered(self) -> list[str]:
        """Their ids, the most available first, ties by id."""
        ids = [
            one
            for one in read_ids(self._db, *self._of)
            if not self.inside.get(one, _NOTHING).applied_replies
        ]
        return sorted(ids, key=self.available, reverse=True)

    def reason(self, resource_id: str) -> UnusedReason:
        """Why nothing of one was applied."""
        until = self._until.get(resource_id, _NOTHING)
        if resource_id in self._kept:
            return UnusedReason.KEPT
        if until.applied_replies:
            return UnusedReason.STOPPED
        if until.available_replies:
            return UnusedReason.NEVER_APPLIED
        return UnusedReason.NEVER_AVAILABLE

    def rows(self, resource_ids: Sequence[str]) -> list[UnusedResource]:
        """What is said of each."""
        names = read_names(self._db, *self._of, resource_ids)
        urls = read_urls(self._db, *self._of, resource_ids)
        counted = count_resources(self._db, *self._of, resource_ids, self._window)
        return [
            UnusedResource(
                resource_id=row.resource_id,
                name=names.get(row.resource_id),
                url=urls.get(row.resource_id),
                reason=self.reason(row.resource_id),
                available_replies=row.available_replies,
                available_sessions=row.available_sessions,
                last_used_at=None if last_at is None else from_micros(last_at),
            )
            for row in counted
            for last_at in (self._until.get(row.resource_id, _NOTHING).last_at,)
        ]
