"""Buckets: a window of time cut into hours, days, weeks or months, as a time zone has them.

A bucket begins where the zone's clocks and calendar say, and lasts until the next one does. So a
day in which clocks are changed has 23 or 25 hours, and a day that a zone left out is no bucket.
"""

import difflib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from applyrate.errors import InvalidInput
from applyrate.usage import RESOLUTION, Window

MAX_BUCKETS: Final = 3_000
"""No window is cut into more."""


class Interval(StrEnum):
    """What a bucket lasts. A week starts on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def parse_interval(text: str) -> Interval:
    """The interval of that name. Raises InvalidInput."""
    try:
        return Interval(text)
    except ValueError:
        raise InvalidInput(f"interval: {text!r} is not one of {', '.join(Interval)}") from None


def parse_time_zone(name: str) -> tzinfo:
    """The time zone of that IANA name. Raises InvalidInput, which tells names that are like it."""
    if name == "UTC":
        return UTC  # also where no data of time zones is installed
    if name in _time_zones():
        return ZoneInfo(name)
    like = difflib.get_close_matches(name[:_LONGEST_NAME], _time_zones(), n=3) or _WELL_KNOWN
    raise InvalidInput(
        f"timezone: {name[:_LONGEST_NAME]!r} is not an IANA time zone such as {', '.join(like)}"
    )


def cut(window: Window, interval: Interval, zone: tzinfo) -> list[datetime]:
    """The bounds of a window's buckets: each lasts from one bound to the next.

    The window, which must have both ends, cuts the first and the last one. The bounds are in the
    zone; a window without any time in it has none. Raises InvalidInput where there would be more
    than MAX_BUCKETS, or where the zone's clocks would show a year beyond 1 to 9999.
    """
    from_at, to_at = _ends(window)
    if from_at >= to_at:
        return []
    try:
        bounds = [from_at, *islice(_starts(from_at, to_at, interval, zone), MAX_BUCKETS)]
        if len(bounds) > MAX_BUCKETS:
            raise _too_many(from_at, to_at, interval)
        return [bound.astimezone(zone) for bound in (*bounds, to_at)]
    except OverflowError:
        raise InvalidInput(
            f"timezone: the window leaves the years 1 to 9999 on the clocks of {zone};"
            " send a from and a to inside them"
        ) from None


def whole(first_at: datetime, last_at: datetime, interval: Interval, zone: tzinfo) -> Window:
    """The window of whole buckets that reaches from one instant to another, both inside it.

    Raises InvalidInput as ``cut`` does.
    """
    try:
        from_at = _start(first_at, interval, zone)
        to_at = next(_starts(last_at, None, interval, zone), _LAST)
    except OverflowError:
        return Window(first_at, min(last_at, _LAST - RESOLUTION) + RESOLUTION)
    return Window(from_at, to_at)


_LAST: Final = datetime.max.replace(tzinfo=UTC)
_LONGEST_NAME: Final = 64
_WELL_KNOWN: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo")
_HOUR: Final = timedelta(hours=1)
_LENGTHS: Final = {
    Interval.HOUR: _HOUR,
    Interval.DAY: timedelta(days=1),
    Interval.WEEK: timedelta(weeks=1),
    Interval.MONTH: timedelta(days=30.436875),
}


@cache
def _time_zones() -> Sequence[str]:
    return sorted(available_timezones())


def _ends(window: Window) -> tuple[datetime, datetime]:
    if window.from_at is None or window.to_at is None:
        raise ValueError(window)
    return window.from_at, window.to_at


def _too_many(from_at: datetime, to_at: datetime, interval: Interval) -> InvalidInput:
    count = -((from_at - to_at) // _LENGTHS[interval])
    return InvalidInput(
        f"interval: the window has about {count:,} buckets of one {interval}, and"
        f" {MAX_BUCKETS:,} are the most; send a longer interval, or a from and a to that are nearer"
    )


def _start(at: datetime, interval: Interval, zone: tzinfo) -> datetime:
    """When the bucket started that an instant lies in."""
    local = at.astimezone(zone)
    if interval is Interval.HOUR:
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return at - past
    return _midnight(_first_day(local.date(), interval), zone)


def _starts(
    after: datetime, before: datetime | None, interval: Interval, zone: tzinfo
) -> Iterator[datetime]:
    """When buckets start after one instant and before another, in UTC."""
    starts = _hours(after, zone) if interval is Interval.HOUR else _dates(after, interval, zone)
    previous = after
    for start in starts:
        if before is not None and start >= before:
            return
        if start > previous:
            yield start
            previous = start


def _hours(at: datetime, zone: tzinfo) -> Iterator[datetime]:
    # From full hour to full hour of the clocks that are valid then: where they are changed by half
    # an hour, the next bucket has half an hour.
    while True:
        try:
            at = _start(at, Interval.HOUR, zone) + _HOUR
        except OverflowError:
            return
        yield at


def _dates(at: datetime, interval: Interval, zone: tzinfo) -> Iterator[datetime]:
    day = _first_day(at.astimezone(zone).date(), interval)
    while True:
        try:
            day = _next_day(day, interval)
            yield _midnight(day, zone)
        except (OverflowError, ValueError):  # beyond the last day of the calendar
            return


def _first_day(day: date, interval: Interval) -> date:
    """The first day of the bucket that a day lies in."""
    match interval:
        case Interval.WEEK:
            # The calendar's first week starts before the calendar does.
            return max(day - timedelta(days=day.weekday()), date.min)
        case Interval.MONTH:
            return day.replace(day=1)
    return day


def _next_day(day: date, interval: Interval) -> date:
    match interval:
        case Interval.WEEK:
            return day + timedelta(days=7)
        case Interval.MONTH:
            return date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return day + timedelta(days=1)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """When a day starts. Where clocks skip midnight, that is when they do; where they strike it
    twice, the first time."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
