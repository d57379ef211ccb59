"""The dead weight: what was not applied in a window, why, and what it costs in context."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

from litestar import Response, get
from litestar.response import Stream
from msgspec import Struct

from applyrate.api.catalogue import WRITE_SCOPES
from applyrate.api.csv_answers import stream_csv
from applyrate.api.reading import read_choice
from applyrate.api.request import Request
from applyrate.dashboard.addresses import UNUSED, UNUSED_CSV, resource_url, to_anchor
from applyrate.dashboard.figures import ratio
from applyrate.dashboard.keep import keep_url, may_keep
from applyrate.dashboard.pages import in_reader_thread, render
from applyrate.dashboard.queries import read_page
from applyrate.dashboard.streaming import is_live, stream_url
from applyrate.dashboard.views import View, read_view
from applyrate.store import Store
from applyrate.usage import (
    Page,
    TypeTotals,
    UnusedPosition,
    UnusedReason,
    UnusedResource,
    UnusedTotals,
)

ROWS_ON_A_PAGE: Final = 50

REASONS: Final = {
    UnusedReason.NEVER_APPLIED: "Never applied",
    UnusedReason.STOPPED: "Stopped being applied",
    UnusedReason.NEVER_AVAILABLE: "Never available",
    UnusedReason.KEPT: "Kept on purpose",
}
"""The reasons in the order in which a reader can choose one."""

ROWS_IN_PIECE: Final = 1_000
"""So many rows of the file are read and sent at a time."""


class UnusedRow(Struct, frozen=True, kw_only=True):
    """A resource on the page; ``weight`` compares its cost with the largest of all, from 0 to 1."""

    resource: UnusedResource
    url: str
    keep_url: str
    anchor: str
    reason: str
    weight: float | None


class Choice(Struct, frozen=True, kw_only=True):
    """A reason to choose, None for all of them, and how many resources it holds for."""

    label: str
    count: int
    url: str
    is_chosen: bool


class UnusedReport(Struct, frozen=True, kw_only=True):
    """What the page says.

    ``wasted_count``: how often something was in context for nothing, without what is kept on
    purpose, ``wasted_share`` of all that was in context.
    ``applied_signal``: whether it is known what was applied; if not, nothing here is said.
    """

    totals: TypeTotals
    wasted_count: int
    wasted_share: float | None
    kept_count: int
    rows: Sequence[UnusedRow]
    choices: Sequence[Choice]
    first: int
    match_count: int
    previous_url: str | None
    next_url: str | None
    applied_signal: bool

    @property
    def unused_share(self) -> float | None:
        """How many of all resources are unused."""
        return ratio(self.totals.unused_count, self.totals.resource_count)


@get(UNUSED)
async def show_unused(request: Request) -> Response[bytes]:
    """The page, of one reason or of all."""
    view, page = read_view(request), read_page(request)
    reason = _read_reason(request)
    stream = await stream_url(request)
    read = partial(
        read_unused, request.services.store, request.caller.org, view, reason=reason, page=page
    )
    return render(
        request,
        "unused.html",
        view=view,
        report=await in_reader_thread(request, read),
        reason=reason,
        is_live=is_live(view),
        stream=stream,
        may_keep=may_keep(request, view.resource_type),
        keep_scope=WRITE_SCOPES[view.resource_type],
        csv_url=view.url(UNUSED_CSV),
        back=view.url(UNUSED, reason=reason, page=None if page == 1 else page),
    )


@get(UNUSED_CSV)
async def download_unused(request: Request) -> Stream:
    """All of them as a file, with the columns that the API's has."""
    view = read_view(request)
    # The first page before the answer begins: what goes wrong at once is an error like any other.
    first = await _read_piece(request, view, None)

    async def pieces() -> AsyncIterator[Sequence[UnusedResource]]:
        page = first
        yield page.items
        while page.next is not None:
            page = await _read_piece(request, view, page.next)
            yield page.items

    return stream_csv(f"unused-{view.resource_type}", UnusedResource, pieces())


async def _read_piece(
    request: Request, view: View, after: UnusedPosition | None
) -> Page[UnusedResource, UnusedPosition]:
    return await in_reader_thread(
        request,
        partial(
            request.services.store.unused,
            request.caller.org,
            view.resource_type,
            view.picked.window,
            limit=ROWS_IN_PIECE,
            after=after,
        ),
    )


def read_unused(
    store: Store, org: str, view: View, *, reason: UnusedReason | None, page: int
) -> UnusedReport:
    """What the page says of a type in a window."""
    # Asked first: a signal never goes away, so where there is one, nothing here lacked it.
    applied_signal = view.resource_type in store.applied_signal(org)
    window = view.picked.window
    offset = (page - 1) * ROWS_ON_A_PAGE
    table = store.unused_table(
        org, view.resource_type, window, reason=reason, limit=ROWS_ON_A_PAGE, offset=offset
    )
    nothing = UnusedTotals(0, 0)
    matching = (
        sum(of.resource_count for of in table.totals.values())
        if reason is None
        else table.totals.get(reason, nothing).resource_count
    )
    wasted_count = sum(
        of.available_replies for why, of in table.totals.items() if why is not UnusedReason.KEPT
    )

    def url(number: int) -> str:
        return view.url(UNUSED, reason=reason, page=None if number == 1 else number)

    return UnusedReport(
        totals=store.type_totals(org, view.resource_type, window),
        wasted_count=wasted_count,
        wasted_share=ratio(wasted_count, table.available_replies),
        kept_count=table.totals.get(UnusedReason.KEPT, nothing).resource_count,
        rows=[
            UnusedRow(
                resource=row,
                url=resource_url(view, view.resource_type, row.resource_id),
                keep_url=keep_url(view, row.resource_id),
                anchor=to_anchor(row.resource_id),
                reason=REASONS[row.reason],
                weight=ratio(row.available_replies, table.most_available),
            )
            for row in table.items
        ],
        choices=_choices(view, table.totals, reason),
        first=offset + 1,
        match_count=matching,
        previous_url=url(page - 1) if page > 1 else None,
        next_url=url(page + 1) if matching > offset + ROWS_ON_A_PAGE else None,
        applied_signal=applied_signal,
    )


def _choices(
    view: View, totals: Mapping[UnusedReason, UnusedTotals], chosen: UnusedReason | None
) -> list[Choice]:
    counts = {reason: of.resource_count for reason, of in totals.items()}
    return [
        Choice(
            label="All",
            count=sum(counts.values()),
            url=view.url(UNUSED),
            is_chosen=chosen is None,
        ),
        *(
            Choice(
                label=label,
                count=counts.get(reason, 0),
                url=view.url(UNUSED, reason=reason),
                is_chosen=reason is chosen,
            )
            for reason, label in REASONS.items()
            if reason in counts or reason is chosen
        ),
    ]


def _read_reason(request: Request) -> UnusedReason | None:
    text = request.query_texts("reason").get("reason")
    return read_choice(UnusedReason, "reason", text) if text else None
