"""What the page of the intake shows of what was rejected: its reasons as rows, the newest below."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from msgspec import Struct

from applyrate.answers import RejectedInput, RejectionReason, Source
from applyrate.dashboard.sparkline import Sparkline, draw_sparkline
from applyrate.intake.inbox import Inbox
from applyrate.intake.rejections import KEPT_DAYS

SHOWN_ROWS: Final = 10

SOURCE_LABELS: Final = {
    Source.REPLIES: "POST /replies",
    Source.CONVERSATIONS: "PUT /conversations",
    Source.TRACES: "POST /v1/traces",
    Source.IMPORT: "applyrate import",
}


class ReasonRow(Struct, frozen=True):
    """A reason with its course over the days that are kept."""

    told: RejectionReason
    sparkline: Sparkline | None


class RejectionReport(Struct, frozen=True):
    """All reasons, the most frequent first, and the newest rejections one by one."""

    rejected_count: int
    reasons: Sequence[ReasonRow]
    newest: Sequence[RejectedInput]


def report_rejections(inbox: Inbox, org: str, now: datetime) -> RejectionReport:
    """What was rejected of an organization in the last days."""
    page, reasons = inbox.rejections(org, limit=SHOWN_ROWS)
    return RejectionReport(
        sum(told.rejected_count for told in reasons),
        [ReasonRow(told, draw_sparkline(_course(told, now.date()))) for told in reasons],
        page.items,
    )


def _course(told: RejectionReason, today: date) -> list[int]:
    """The count of each day that is kept, the oldest first."""
    counts = {row.day: row.rejected_count for row in told.days}
    days = (today - timedelta(days=back) for back in reversed(range(KEPT_DAYS)))
    return [counts.get(day, 0) for day in days]
