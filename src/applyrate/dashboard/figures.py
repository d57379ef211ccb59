"""How numbers and times are written on every page."""

from datetime import datetime, timedelta, tzinfo
from typing import Final

NOTHING: Final = "–"  # noqa: RUF001 (wider than a hyphen, in a column of figures)
"""What stands where there is no number."""


def write_count(count: int | None) -> str:
    """A count with its thousands set apart: ``12,345``."""
    return NOTHING if count is None else f"{count:,}"


def write_counted(count: int, noun: str) -> str:
    """A count with what it counts: ``1 conversation``, ``2 conversations``."""
    return f"{write_count(count)} {noun}{'' if count == 1 else 's'}"


def ratio(part: int, whole: int) -> float | None:
    """How much of a whole a part is, from 0 to 1; None of nothing."""
    return part / whole if whole else None


def write_share(share: float | None) -> str:
    """A share in percent: ``0%``, ``0.4%``, ``61%``; ``100%`` only where it is all.

    One decimal stands below ten percent, and next to all is ``>99%``.
    """
    if share is None:
        return NOTHING
    percent = share * 100
    if 0 < percent < _LEAST:
        return f"<{_LEAST}%"
    if percent < _TEN:
        return f"{percent:.1f}".removesuffix(".0") + "%"
    if _NEARLY_ALL < percent < _ALL:
        return f">{_NEARLY_ALL:.0f}%"
    return f"{percent:,.0f}%"


_LEAST: Final = 0.1
_TEN: Final = 9.95
_NEARLY_ALL: Final = 99.0
_ALL: Final = 100.0


def write_day(at: datetime | None, zone: tzinfo) -> str:
    """A day in a time zone: ``3 Mar 2026``."""
    if at is None:
        return NOTHING
    local = at.astimezone(zone)
    return f"{local.day} {local:%b} {local.year}"


def write_moment(at: datetime | None, zone: tzinfo) -> str:
    """A time in a time zone: ``3 Mar 2026, 14:02``."""
    return NOTHING if at is None else f"{write_day(at, zone)}, {at.astimezone(zone):%H:%M}"


def write_ago(at: datetime | None, now: datetime) -> str:
    """How long ago a time was: ``just now``, ``5 min ago``, ``12 d ago``, ``5 months ago``."""
    if at is None:
        return "never"
    passed = now - at
    for least, unit, name in _UNITS:
        if passed >= least:
            return f"{passed // unit} {name} ago"
    return "just now"


_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_UNITS: Final = (
    (2 * 365 * _DAY, 365 * _DAY, "years"),
    (3 * 30 * _DAY, 30 * _DAY, "months"),
    (_DAY, _DAY, "d"),
    (_HOUR, _HOUR, "h"),
    (_MINUTE, _MINUTE, "min"),
)
"""From how long ago on a time is told in which unit."""
