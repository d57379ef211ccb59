"""The table of resources: one page of it, each row with what it takes to judge a resource."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

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
from applyrate.usage import RankedResource, ResourceSort


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
    courses = _read_courses(store, org, view, [usage.resource_id for usage in ranked.items])
    return ResourceTable(
        view.resource_type in store.applied_signal(org),
        head(view, OVERVIEW, state, _COLUMNS),
        [_row(view, usage, courses[usage.resource_id]) for usage in ranked.items],
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


class _Course(Struct, frozen=True):
    """The applications of a resource over the window, and in the one before, if there is one.

    ``is_running``: the last span of the window is not over yet.
    """

    counts: Sequence[int]
    is_running: bool
    before: int | None


def _read_courses(
    store: Store, org: str, view: View, resource_ids: Sequence[str]
) -> Mapping[str, _Course]:
    """Those of a page's rows, asked for together."""
    asked, previous = (org, view.resource_type, resource_ids), view.picked.previous
    bounds = _sparkline_bounds(store, org, view)
    courses = store.usage_counts(*asked, bounds)
    begun = [at for at in bounds if at <= datetime.now(UTC)]
    is_running = len(begun) < len(bounds)
    before: Mapping[str, Sequence[int]] = {}
    if previous is not None and previous.from_at is not None and previous.to_at is not None:
        before = store.usage_counts(*asked, (previous.from_at, previous.to_at))
    return {
        resource_id: _Course(
            counts[: len(begun)], is_running, before[resource_id][0] if before else None
        )
        for resource_id, counts in courses.items()
    }


def _row(view: View, usage: RankedResource, course: _Course) -> ResourceRow:
    resource_type, resource_id = view.resource_type, usage.resource_id
    change = None
    if course.before is not None:
        change = compare_counts(usage.applied_replies, course.before)
    return ResourceRow(
        resource_id=resource_id,
        name=usage.name,
        url=resource_url(view, resource_type, resource_id),
        anchor=to_anchor(resource_id),
        applied_count=usage.applied_replies,
        available_count=usage.available_replies,
        rate=ratio(usage.applied_replies, usage.available_replies),
        handoff_share=ratio(usage.handoff_count, usage.applied_sessions),
        last_used_at=usage.last_used_at,
        change=change,
        sparkline=draw_sparkline(course.counts, is_running=course.is_running),
    )


def _sparkline_bounds(store: Store, org: str, view: View) -> Sequence[datetime]:
    """The same spans of time for every row, so that the drawings can be compared."""
    window, used = view.picked.window, None
    if window.from_at is None or window.to_at is None:
        used = store.used_window(org, view.resource_type)
    period = divide(window, used, view.picked.zone)
    return thin_out(period) if period else ()
