"""How a window is cut into the points of a chart, and into the fewer ones of a sparkline."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from msgspec import Struct

from applyrate.buckets import Interval, cut, whole
from applyrate.usage import Window


class Period(Struct, frozen=True):
    """Spans of time, each from one bound to the next, and what they last."""

    interval: Interval
    bounds: Sequence[datetime]

    @property
    def starts(self) -> Sequence[datetime]:
        """When each span begins."""
        return self.bounds[:-1]

    def running_at(self, now: datetime) -> int | None:
        """The place of the span that has begun and is not over, if there is one."""
        return find_running(self.bounds, now)


def find_running(bounds: Sequence[datetime], now: datetime) -> int | None:
    """The place of the span between rising bounds that an instant lies in."""
    place = bisect_right(bounds, now) - 1
    return place if 0 <= place < len(bounds) - 1 else None


def divide(window: Window, used: tuple[datetime, datetime] | None, zone: tzinfo) -> Period | None:
    """A window as hours, days, weeks or months of a time zone, few enough for a chart.

    Where the window has no bound, it is the first or the last usage in ``used``. None where neither
    says where it begins and ends, and for a window of centuries, which has too many months.
    """
    from_at = window.from_at or (used and used[0])
    to_at = window.to_at or (used and used[1])
    if from_at is None or to_at is None or from_at > to_at or to_at - from_at > _TWO_CENTURIES:
        return None
    interval = _interval(to_at - from_at)
    filled = whole(from_at, to_at, interval, zone)
    return Period(
        interval,
        cut(Window(window.from_at or filled.from_at, window.to_at or filled.to_at), interval, zone),
    )


def thin_out(period: Period) -> Sequence[datetime]:
    """The bounds of at most so many spans as a sparkline shows, between the same two ends.

    They lie on midnights of UTC, by which days are stored: a row of sparklines is counted quickly.
    """
    first, last = period.bounds[0], period.bounds[-1]
    if period.interval is Interval.HOUR:
        return period.bounds
    days = -((first - last) // _A_DAY)
    step = -(-days // _MOST_SPANS) * _A_DAY
    midnight = datetime.combine(first.astimezone(UTC).date(), time(), UTC)
    inner = (midnight + step * number for number in range(1, _MOST_SPANS + 2))
    return [first, *(at for at in inner if first < at < last), last]


_A_DAY: Final = timedelta(days=1)
_TWO_CENTURIES: Final = timedelta(days=73_048)
_MOST_SPANS: Final = 30
_LONGEST: Final = (
    (timedelta(days=2, hours=1), Interval.HOUR),
    (timedelta(days=100), Interval.DAY),
    (timedelta(days=731), Interval.WEEK),
)
"""Up to which length a window is cut into what."""


def _interval(length: timedelta) -> Interval:
    return next((interval for most, interval in _LONGEST if length <= most), Interval.MONTH)
