"""The overview: which resources of a type are really used in a window."""

from datetime import UTC, datetime
from functools import partial
from typing import Final

from litestar import Response, get
from msgspec import Struct

from applyrate.api.request import Request
from applyrate.dashboard.addresses import OVERVIEW
from applyrate.dashboard.charts import Chart
from applyrate.dashboard.comparisons import Change, compare_counts, compare_shares
from applyrate.dashboard.figures import ratio
from applyrate.dashboard.pages import in_reader_thread, render
from applyrate.dashboard.periods import divide
from applyrate.dashboard.recording_lines import curl_lines, exporter_lines
from applyrate.dashboard.resource_table import read_table
from applyrate.dashboard.streaming import is_live, stream_url
from applyrate.dashboard.table_state import read_table_state
from applyrate.dashboard.usage_charts import chart_usage
from applyrate.dashboard.views import View, read_view
from applyrate.store import Store
from applyrate.usage import TypeTotals

TABLE: Final = "resources"
"""The id of the table on the page. Its own links and its search ask for it alone."""


class Overview(Struct, frozen=True, kw_only=True):
    """What the page says of a type, and of the window before.

    ``applied_signal``: whether it is known what was applied. ``chart`` is None where there is no
    time to show.
    """

    totals: TypeTotals
    before: TypeTotals | None
    chart: Chart | None
    applied_signal: bool

    @property
    def applied_share(self) -> float | None:
        """How many of the resources were applied."""
        return ratio(self.totals.applied_count, self.totals.resource_count)

    @property
    def handoff_share(self) -> float | None:
        """How many of the conversations were handed off."""
        return ratio(self.totals.handoff_count, self.totals.session_count)

    @property
    def applied_change(self) -> Change | None:
        """How many more resources were applied than in the window before."""
        if self.before is None:
            return None
        return compare_counts(self.totals.applied_count, self.before.applied_count)

    @property
    def handoff_change(self) -> Change | None:
        """The change of the handoff share."""
        if self.before is None:
            return None
        before = ratio(self.before.handoff_count, self.before.session_count)
        return compare_shares(self.handoff_share, before)


@get(OVERVIEW)
async def show_overview(request: Request) -> Response[bytes]:
    """The page, or its table alone where nothing else changes."""
    view, state = read_view(request), read_table_state(request)
    store, org = request.services.store, request.caller.org
    stream = await stream_url(request)
    table = await in_reader_thread(request, partial(read_table, store, org, view, state))
    if request.headers.get("hx-target") == TABLE:
        return render(request, "resource_table.html", view=view, state=state, table=table)
    overview = await in_reader_thread(request, partial(read_overview, store, org, view))
    base_url = str(request.base_url).rstrip("/")
    return render(
        request,
        "overview.html",
        view=view,
        state=state,
        table=table,
        overview=overview,
        is_live=is_live(view),
        stream=stream,
        exporter=exporter_lines(base_url),
        curl=curl_lines(base_url),
    )


def read_overview(store: Store, org: str, view: View) -> Overview:
    """What is above the table."""
    resource_type, picked = view.resource_type, view.picked
    totals = store.type_totals(org, resource_type, picked.window)
    previous = picked.previous
    return Overview(
        totals=totals,
        before=None if previous is None else store.type_totals(org, resource_type, previous),
        chart=_read_chart(store, org, view),
        applied_signal=resource_type in store.applied_signal(org),
    )


def _read_chart(store: Store, org: str, view: View) -> Chart | None:
    window, used = view.picked.window, None
    if window.from_at is None or window.to_at is None:
        used = store.used_window(org, view.resource_type)
    period = divide(window, used, view.picked.zone)
    if period is None:
        return None
    counts = store.type_timeline(org, view.resource_type, period.bounds)
    return chart_usage(period, view.picked.timezone, counts, datetime.now(UTC))
