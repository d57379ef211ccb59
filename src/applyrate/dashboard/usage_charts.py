"""The charts of counts: applied against available, and the rate of one to the other."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from applyrate.dashboard.charts import Chart, Mark, Series, Tone, Unit
from applyrate.dashboard.figures import ratio
from applyrate.dashboard.periods import Period
from applyrate.usage import PublishedVersion, UsageBucket

_EVERY: Final = {"hour": "hourly", "day": "daily", "week": "weekly", "month": "monthly"}


def chart_usage(
    period: Period,
    timezone: str,
    counts: Sequence[UsageBucket],
    now: datetime,
    versions: Sequence[PublishedVersion] = (),
) -> Chart:
    """How often something was available and applied, in each span of a period.

    What has not begun has no count yet.
    """
    begun = list(_begun(period, counts, now))
    return Chart(
        title=f"Applied against available, {_EVERY[period.interval]}",
        starts=period.starts,
        series=(
            Series("Available", Tone.AVAILABLE, [available for available, _ in begun]),
            Series("Applied", Tone.APPLIED, [applied for _, applied in begun]),
        ),
        interval=period.interval,
        timezone=timezone,
        marks=_marks(period, versions),
        running=period.running_at(now),
    )


def chart_rate(
    period: Period,
    timezone: str,
    counts: Sequence[UsageBucket],
    now: datetime,
    versions: Sequence[PublishedVersion] = (),
) -> Chart:
    """How much of what was available was applied; a span without anything available is a gap."""
    rates = [ratio(count.applied_replies, count.available_replies) for count in counts]
    return Chart(
        title=f"Apply-rate, {_EVERY[period.interval]}",
        starts=period.starts,
        series=(Series("Apply-rate", Tone.RATE, rates),),
        interval=period.interval,
        timezone=timezone,
        unit=Unit.SHARE,
        marks=_marks(period, versions),
        running=period.running_at(now),
    )


def _begun(
    period: Period, counts: Sequence[UsageBucket], now: datetime
) -> Iterator[tuple[int | None, int | None]]:
    """What was available and applied, without the zeros of what lies in the future."""
    for start, count in zip(period.starts, counts, strict=True):
        if start > now and count == UsageBucket(0, 0):
            yield None, None
        else:
            yield count.available_replies, count.applied_replies


def _marks(period: Period, versions: Sequence[PublishedVersion]) -> list[Mark]:
    """The versions that were published inside the period."""
    first, last = period.bounds[0], period.bounds[-1]
    return [
        Mark(version.published_at, version.version)
        for version in versions
        if first <= version.published_at < last
    ]
