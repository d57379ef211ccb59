"""The table of resources: one page of it, each row with what it takes to judge a resource."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import UNSET, Struct

from applyrate.dashboard.addresses import OVERVIEW, resource_url, to_anchor
from applyrate.dashboard.comparisons import Change, compare_counts
from applyrate.dashboard.figures import ratio
from applyrate.dashboard.periods import divide, thin_out
from applyrate.dashboard.sparkline import Sparkline, draw_sparkline
from applyrate.dashboard.table_state import (
    ROWS_ON_A_PAGE,
    Column,
    Paging,
    TableState,
    head,
    page_through,
)
from applyrate.dashboard.views import View
from applyrate.store import Store
from applyrate.usage import ResourceSort, ResourceUsage


class ResourceRow(Struct, frozen=True, kw_only=True):
    """A resource in the table. ``change`` is that of its applications, None without a before."""

    resource_id: str
    name: str | None
    url: str
    anchor: str
    applied_count: int
    available_count: int
    rate: float | None
    handoff_share: float | None
    last_used_at: datetime | None
    change: Change | None
    sparkline: Sparkline | None


class ResourceTable(Struct, frozen=True):
    """A page of the table. ``applied_signal``: whether it is known what was applied."""

    applied_signal: bool
    columns: Sequence[Column]
    rows: Sequence[ResourceRow]
    paging: Paging


def read_table(store: Store, org: str, view: View, state: TableState) -> ResourceTable:
    """The rows that a URL asks for; past the last page there are none."""
    ranked = store.ranked(
        org,
        view.resource_type,
        view.picked.window,
        sort=state.sort,
        descending=state.descending,
        search=state.search,
        limit=ROWS_ON_A_PAGE,
        offset=state.offset,
    )
    bounds = _sparkline_bounds(store, org, view)
    return ResourceTable(
        view.resource_type in store.applied_signal(org),
        head(view, OVERVIEW, state, _COLUMNS),
        [_row(store, org, view, usage, bounds) for usage in ranked.items],
        page_through(view, OVERVIEW, state, ranked.match_count),
    )


_COLUMNS: Final = (
    ("Name", ResourceSort.NAME),
    ("Applied", ResourceSort.APPLIED),
    ("Available", ResourceSort.AVAILABLE),
    ("Apply-rate", ResourceSort.APPLY_RATE),
    ("Trend", None),
    ("Handoff share", ResourceSort.HANDOFF_SHARE),
    ("Last used", ResourceSort.LAST_USED),
    ("Change", None),
)


def _row(
    store: Store, org: str, view: View, usage: ResourceUsage, bounds: Sequence[datetime]
) -> ResourceRow:
    resource_type, resource_id = view.resource_type, usage.resource_id
    change = None
    if view.picked.previous is not None:
        before = store.summary(org, resource_type, resource_id, view.picked.previous)
        change = compare_counts(usage.applied_replies, before.applied_replies)
    sparkline = None
    if bounds and usage.applied_replies:
        spans = store.timeline(org, resource_type, resource_id, bounds)
        sparkline = draw_sparkline([span.applied_replies for span in spans])
    return ResourceRow(
        resource_id=resource_id,
        name=None if usage.name is UNSET else usage.name,
        url=resource_url(view, resource_type, resource_id),
        anchor=to_anchor(resource_id),
        applied_count=usage.applied_replies,
        available_count=usage.available_replies,
        rate=ratio(usage.applied_replies, usage.available_replies),
        handoff_share=ratio(usage.handoff_count, usage.applied_sessions),
        last_used_at=usage.last_used_at,
        change=change,
        sparkline=sparkline,
    )


def _sparkline_bounds(store: Store, org: str, view: View) -> Sequence[datetime]:
    """The same spans of time for every row, so that the drawings can be compared."""
    window, used = view.picked.window, None
    if window.from_at is None or window.to_at is None:
        used = store.used_window(org, view.resource_type)
    period = divide(window, used, view.picked.zone)
    return thin_out(period) if period else ()
