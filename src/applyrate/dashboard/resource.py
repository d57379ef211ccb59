"""One resource: how often it is used, when, with what outcome, and in which conversations."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from litestar import Response, get
from msgspec import Struct

from applyrate.api.request import Request
from applyrate.dashboard.addresses import OVERVIEW, RESOURCE, conversation_url
from applyrate.dashboard.charts import Chart
from applyrate.dashboard.comparisons import Change, compare_counts, compare_shares
from applyrate.dashboard.figures import ratio
from applyrate.dashboard.outcome_rows import OutcomeRow, tell_outcomes
from applyrate.dashboard.pages import in_reader_thread, render
from applyrate.dashboard.periods import divide
from applyrate.dashboard.queries import read_id
from applyrate.dashboard.streaming import is_live, stream_url
from applyrate.dashboard.usage_charts import chart_rate, chart_usage
from applyrate.dashboard.views import View, read_view
from applyrate.store import Store
from applyrate.usage import (
    CataloguedResource,
    ConversationUsage,
    Outcomes,
    UsageBucket,
    UsageKind,
    UsageSummary,
)

_NEWEST: Final = 10


class ResourceReport(Struct, frozen=True, kw_only=True):
    """What the page says of a resource in a window, and of the window before.

    ``applied_signal``: whether it is known of its type what was applied. The charts are None where
    there is no time to show. ``applied_in`` are the newest conversations that applied it,
    ``not_applied_in`` those that had it and did not.
    """

    resource_id: str
    catalogued: CataloguedResource
    summary: UsageSummary
    before: UsageSummary | None
    outcomes: Outcomes
    usage_chart: Chart | None
    rate_chart: Chart | None
    applied_in: Sequence[ConversationUsage]
    not_applied_in: Sequence[ConversationUsage]
    applied_signal: bool
    is_known: bool

    @property
    def name(self) -> str:
        """What a person recognises it by."""
        return self.catalogued.name or self.resource_id

    @property
    def rate(self) -> float | None:
        """Applied against available."""
        return _rate(self.summary)

    @property
    def handoff_share(self) -> float | None:
        """How many of the conversations that applied it were handed off."""
        applied = self.outcomes.applied
        return ratio(applied.handoff_count, applied.session_count)

    @property
    def applied_change(self) -> Change | None:
        """The change of its applications against the window before."""
        if self.before is None:
            return None
        return compare_counts(self.summary.applied_replies, self.before.applied_replies)

    @property
    def available_change(self) -> Change | None:
        """The change of how often it was available."""
        if self.before is None:
            return None
        return compare_counts(self.summary.available_replies, self.before.available_replies)

    @property
    def rate_change(self) -> Change | None:
        """The change of its apply-rate."""
        return None if self.before is None else compare_shares(self.rate, _rate(self.before))

    @property
    def outcome_rows(self) -> Sequence[OutcomeRow]:
        """What became of the conversations with it and without it."""
        return tell_outcomes(self.outcomes)


def _rate(summary: UsageSummary) -> float | None:
    return ratio(summary.applied_replies, summary.available_replies)


@get(RESOURCE)
async def show_resource(request: Request) -> Response[bytes]:
    """The page of the resource that the query names; one that nobody recorded has zeros."""
    view, resource_id = read_view(request), read_id(request)
    stream = await stream_url(request)
    report = await in_reader_thread(
        request,
        partial(read_report, request.services.store, request.caller.org, view, resource_id),
    )
    return render(
        request,
        "resource.html",
        view=view,
        report=report,
        active=OVERVIEW,
        is_live=is_live(view),
        stream=stream,
        conversation_url=partial(conversation_url, view),
    )


def read_report(store: Store, org: str, view: View, resource_id: str) -> ResourceReport:
    """Everything that the page says."""
    resource_type, window = view.resource_type, view.picked.window
    asked = (org, resource_type, resource_id)
    catalogued = store.catalogue(org, resource_type, [resource_id]).get(resource_id)
    previous = view.picked.previous
    usage_chart, rate_chart = _read_charts(store, org, view, resource_id, catalogued)
    return ResourceReport(
        resource_id=resource_id,
        catalogued=catalogued or CataloguedResource(),
        summary=store.summary(*asked, window),
        before=None if previous is None else store.summary(*asked, previous),
        outcomes=store.outcomes(*asked, window),
        usage_chart=usage_chart,
        rate_chart=rate_chart,
        applied_in=store.conversations(*asked, window, limit=_NEWEST).items,
        not_applied_in=store.conversations(
            *asked, window, kind=UsageKind.AVAILABLE, unapplied=True, limit=_NEWEST
        ).items,
        applied_signal=resource_type in store.applied_signal(org),
        is_known=catalogued is not None,
    )


def _count_usages(
    store: Store, org: str, view: View, resource_id: str, bounds: Sequence[datetime]
) -> Sequence[UsageBucket]:
    available, applied = (
        store.usage_counts(org, view.resource_type, [resource_id], bounds, kind=kind)[resource_id]
        for kind in (UsageKind.AVAILABLE, UsageKind.APPLIED)
    )
    return [UsageBucket(*counts) for counts in zip(available, applied, strict=True)]


def _read_charts(
    store: Store,
    org: str,
    view: View,
    resource_id: str,
    catalogued: CataloguedResource | None,
) -> tuple[Chart | None, Chart | None]:
    window, used = view.picked.window, None
    if window.from_at is None or window.to_at is None:
        used = store.used_window(org, view.resource_type, resource_id)
    period = divide(window, used, view.picked.zone)
    if period is None:
        return None, None
    counts = _count_usages(store, org, view, resource_id, period.bounds)
    versions = catalogued.versions if catalogued else ()
    timezone, now = view.picked.timezone, datetime.now(UTC)
    return (
        chart_usage(period, timezone, counts, now, versions),
        chart_rate(period, timezone, counts, now, versions),
    )
